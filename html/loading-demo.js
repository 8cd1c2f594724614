/*
 * loading-demo.js: a site's own script, as small as can be.  It sends a chat
 * request and shows the answer; that it may have to wait for the models is
 * none of its business.
 */

import { askToken, call, themeButton } from "./gateway.js";


const $ = (id) => document.getElementById(id);


async function send(event) {
    const { model, message } = event.target.elements;

    event.preventDefault();
    $("state").textContent = "sent";
    $("state").className = "soft";

    try {
        const { json } = await call("/v1/chat/completions", {
            method: "POST",
            body: { model: model.value, messages: [
                { role: "user", content: message.value } ] }
        });

        $("state").textContent = "answered";
        $("answer").textContent = json.choices[0].message.content;

    } catch (error) {
        if (error.status === 401 || error.status === 403) {
            if (await askToken(error.message)) {
                event.target.requestSubmit();
                return;
            }
        }

        $("state").textContent = error.message;
        $("state").className = "bad";
    }
}


$("chat").addEventListener("submit", send);
$("token").addEventListener("click", () => askToken("A token for inference."));

document.addEventListener("model-loading", () => {
    $("state").textContent = "the models are loading";
});
document.addEventListener("model-ready", () => {
    $("state").textContent = "the models are ready";
});

themeButton($("theme"));
