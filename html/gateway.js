/*
 * gateway.js: how the pages speak with the gateway.
 *
 * One token for all pages, kept for the tab (sessionStorage), asked for when
 * an answer is 401 or 403.  call() returns the parsed answer or throws a
 * GatewayError that carries the gateway's own message.  el() builds elements
 * from text only, so nothing that a catalog says is ever taken for markup.
 */

const TOKEN = "model-token";
const THEME = "model-theme";


export class GatewayError extends Error {
    constructor(status, error, retryAfter) {
        super(error?.message ?? `the gateway answered with status ${status}`);
        this.status = status;
        this.code = error?.code ?? null;
        this.param = error?.param ?? null;
        this.retryAfter = retryAfter;
    }
}


export function token() {
    return sessionStorage.getItem(TOKEN) ?? "";
}


export function setToken(value) {
    if (value) {
        sessionStorage.setItem(TOKEN, value);
    } else {
        sessionStorage.removeItem(TOKEN);
    }
}


/* options: method, body (an object), signal, prefer. */

export async function call(path, options = {}) {
    const headers = { Accept: "application/json" };

    if (token()) {
        headers.Authorization = `Bearer ${token()}`;
    }

    if (options.prefer) {
        headers.Prefer = options.prefer;
    }

    if (options.body !== undefined) {
        headers["Content-Type"] = "application/json";
    }

    const response = await fetch(path, {
        method: options.method ?? "GET",
        headers,
        signal: options.signal,
        body: options.body === undefined ? undefined
                                         : JSON.stringify(options.body)
    });

    const text = await response.text();
    let answer = null;

    try {
        answer = text ? JSON.parse(text) : null;
    } catch {
        answer = null;
    }

    if (!response.ok) {
        throw new GatewayError(response.status, answer?.error,
                               Number(response.headers.get("Retry-After")));
    }

    return { status: response.status, headers: response.headers,
             json: answer };
}


/* el("td", { class: "number" }, "text", child, ...) */

export function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);

    for (const [key, value] of Object.entries(attributes)) {
        if (typeof value === "function") {
            node.addEventListener(key, value);
        } else if (value === true) {
            node.setAttribute(key, "");
        } else if (value !== false && value !== null && value !== undefined) {
            node.setAttribute(key, value);
        }
    }

    node.append(...children.filter((child) => child !== null
                                              && child !== undefined));

    return node;
}


export function button(label, action) {
    return el("button", { type: "button", click: action }, label);
}


/* Writes what has changed only. */

export function text(node, value) {
    if (node.textContent !== value) {
        node.textContent = value;
    }
}


/* Disables a button or not; a visitor who stands on it is led elsewhere. */

export function disable(button, off, elsewhere) {
    const here = button === document.activeElement;

    button.disabled = off;

    if (off && here) {
        elsewhere.focus({ preventScroll: true });
    }
}


/* The button that walks from the system's colours to light to dark. */

export function themeButton(button) {
    const names = ["system", "light", "dark"];

    const show = (theme) => {
        if (theme === "system") {
            delete document.documentElement.dataset.theme;
        } else {
            document.documentElement.dataset.theme = theme;
        }

        button.textContent = `Colours: ${theme}`;
    };

    let theme = localStorage.getItem(THEME) ?? "system";

    show(theme);

    button.addEventListener("click", () => {
        theme = names[(names.indexOf(theme) + 1) % names.length];
        localStorage.setItem(THEME, theme);
        show(theme);
    });
}


/*
 * The dialog that asks for a token, in each page with a button #token, whose
 * data-needs says which role it takes.
 */

function tokenDialog(needs) {
    return el("dialog", { id: "token-dialog",
                          "aria-labelledby": "token-title" },
        el("form", { method: "dialog" },
            el("h2", { id: "token-title" }, "Token"),
            el("p", { class: "message" }),
            el("label", {}, "API token ", el("input", {
                type: "password", autocomplete: "off", spellcheck: "false" })),
            el("div", { class: "bar" },
                el("button", { class: "main", value: "ok" }, "Use it"),
                el("button", { value: "cancel" }, "Cancel")),
            el("p", { class: "soft" },
               `Kept until this tab is closed. ${needs}`)));
}


/*
 * Asks for a token; resolves when it was given (true) or not.  Two that ask at
 * the same time get one dialog and the same answer.
 */

let asking = null;

export function askToken(message) {
    asking ??= openDialog(message).finally(() => { asking = null; });

    return asking;
}


function openDialog(message) {
    const dialog = document.getElementById("token-dialog");
    const input = dialog.querySelector("input");

    dialog.querySelector(".message").textContent = message;
    input.value = "";
    dialog.returnValue = "";

    dialog.showModal();
    input.focus();

    return new Promise((resolve) => {
        dialog.addEventListener("close", () => {
            const given = dialog.returnValue === "ok" && input.value.trim();

            if (given) {
                setToken(given);
            }

            input.value = "";
            resolve(Boolean(given));
        }, { once: true });
    });
}


{
    const button = document.getElementById("token");

    if (button) {
        document.body.append(tokenDialog(button.dataset.needs));
    }
}
