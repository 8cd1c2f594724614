/*
 * model-loading.js: waits for the AI models, in the place of the visitor.
 *
 *     <script src="/model-loading.js"></script>
 *
 * While the gateway is not ready an overlay says how far it is; it can be put
 * aside, so that the rest of the site is at hand.  fetch() is wrapped: what
 * the gateway blocks (425, or 503 with "type": "initialization") is held and
 * sent again when it is ready, so the site's own code need not know.
 *
 * Attributes of the element:
 *
 *     data-gateway    the gateway's origin (where the script comes from)
 *     data-show       always: look at once (this is so without it);
 *                     blocked: only when a request is held;
 *                     never: no overlay, requests are held nevertheless
 *     data-patience   seconds until a request that is held gets its 425 (600)
 *     data-reload     loads the page again when the gateway is ready: for a
 *                     page that stands in for one that was blocked
 *
 * document gets the events "model-loading" and "model-ready", with the state
 * as detail.  window.modelLoading has follow(), see below, and ready(), a
 * promise.
 */

(() => {
    "use strict";

    const READY = "/api/v1/admin/ready";
    const PHASES = ["connecting", "loading", "finalizing", "ready"];
    const SHOW_AFTER_MS = 200;
    const READY_SHOWN_MS = 700;
    const SPREAD_MS = 500;          /* others have waited for it, too */
    const RELOAD_MS = 5000;
    const RELOADED = "model-loading-reloaded";

    const script = document.currentScript;
    const gateway = new URL(script?.dataset.gateway ?? "/",
                            script?.src || location.href).origin;
    const show = script?.dataset.show ?? "always";
    const patience = Number(script?.dataset.patience ?? 600) * 1000;
    const native = window.fetch.bind(window);

    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

    /*
     * follow({ socket, events, poll, token, state, via, failed }) tells about
     * a thing while it changes: by WebSocket, else by server-sent events, else
     * by asking again and again.
     *
     *     socket, events, poll    addresses at the gateway; the first two may
     *                             be left out
     *     token()                 the API token; none is needed if left out
     *     state(object)           what is so now; true: that was the last
     *     via(name)               how it comes: WebSocket, events, polling
     *     failed({ status, message })    it cannot be had (401, 403, 404: the
     *                             end), or not now (0: it is tried again)
     *
     * A way that works is taken up again when it breaks; one that never did
     * is left for the next one, and tried again after a while of polling.
     * Returns an object with close().
     */

    const FIRST_MS = 5000;          /* until the first word of a stream */
    const SILENCE_MS = 45000;       /* heartbeats come every 15 s */
    const LASTED_MS = 5000;         /* a stream that lived was a good one */
    const TRIES = 3;
    const PAUSE_MS = 250;
    const PAUSE_MAX_MS = 5000;
    const POLL_MS = 1000;
    const AGAIN_MS = 30000;         /* from polling up to the streams */
    const STREAMS_MAX = 3;          /* a browser has 6 connections a host */

    let streams = 0;


    class Follower {
        constructor(options) {
            this.options = options;
            this.ways = [socket, events, poll].filter(
                (way) => options[way.name]);
            this.way = 0;
            this.tries = 0;
            this.last = "";
            this.retry = 0;
            this.closed = false;
            this.begin();
        }

        address(name) {
            return new URL(this.options[name], gateway);
        }

        headers(more) {
            const token = this.options.token?.();

            return token ? { ...more, Authorization: `Bearer ${token}` }
                         : more;
        }

        begin() {
            const cut = new AbortController();

            this.cut?.abort();
            this.cut = cut;
            this.heard = false;
            this.began = performance.now();
            this.watch(FIRST_MS);

            this.ways[this.way](this, cut.signal)
                .catch((error) => error)
                .then((error) => this.lost(cut, error));
        }

        /* A stream that has nothing more to say is as good as broken. */

        watch(ms) {
            const cut = this.cut;

            clearTimeout(this.silence);

            if (this.ways[this.way] !== poll) {
                this.silence = setTimeout(() => cut.abort(), ms);
            }
        }

        got(text) {
            if (this.closed) {
                return;
            }

            let object = text;

            try {
                object = typeof text === "string" ? JSON.parse(text) : text;
            } catch {
                this.cut.abort();
                return;
            }

            if (!this.heard) {
                this.heard = true;
                this.options.via?.(this.ways[this.way].title);
            }

            this.watch(SILENCE_MS);

            if (this.options.state(object) === true) {
                this.close();
            }
        }

        lost(cut, error) {
            if (this.closed || this.cut !== cut) {
                return;
            }

            cut.abort();
            clearTimeout(this.silence);

            if (error?.final) {
                this.close();
                this.options.failed?.(error);
                return;
            }

            const lasted = performance.now() - this.began > LASTED_MS;

            this.tries = this.heard && lasted ? 0 : this.tries + 1;

            if (this.ways[this.way] === poll) {
                this.way = 0;
                this.tries = 0;

            } else if (!this.heard || this.tries >= TRIES) {
                this.way++;
                this.tries = 0;
            }

            const pause = Math.max(this.retry, Math.min(PAUSE_MAX_MS,
                                   PAUSE_MS * 2 ** this.tries));

            this.timer = setTimeout(() => this.begin(),
                                    this.heard ? pause * (0.5 + Math.random())
                                               : 0);
        }

        close() {
            this.closed = true;
            this.cut.abort();
            clearTimeout(this.silence);
            clearTimeout(this.timer);
        }
    }


    /* A browser sends no header of ours with a WebSocket: the token travels
     * as one of the subprotocols that are offered. */

    function socket(follower, signal) {
        return new Promise((resolve) => {
            const address = follower.address("socket");
            const token = follower.options.token?.();

            address.protocol = address.protocol === "https:" ? "wss:" : "ws:";

            const ws = new WebSocket(address, token
                       ? ["model", `bearer.${token}`]
                       : ["model"]);

            ws.onmessage = (event) => follower.got(event.data);
            ws.onclose = resolve;
            signal.addEventListener("abort", () => {
                ws.close();
                resolve();
            });
        });
    }


    /* EventSource sends no header either, and cannot be told to end. */

    async function events(follower, signal) {
        if (streams >= STREAMS_MAX) {
            return;
        }

        streams++;

        try {
            await stream(follower, signal);
        } finally {
            streams--;
        }
    }


    async function stream(follower, signal) {
        const headers = follower.headers({ Accept: "text/event-stream" });

        if (follower.last) {
            headers["Last-Event-ID"] = follower.last;
        }

        const response = await native(follower.address("events"),
                                      { headers, signal, cache: "no-store" });
        const type = response.headers.get("Content-Type") ?? "";

        if (!response.ok || !type.startsWith("text/event-stream")) {
            response.body?.cancel();
            return;
        }

        const reader = response.body.pipeThrough(new TextDecoderStream())
                       .getReader();
        let rest = "";
        let data = [];

        for (;;) {
            const { value, done } = await reader.read();

            if (done) {
                return;
            }

            follower.watch(SILENCE_MS);

            const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
            rest = lines.pop();

            for (const line of lines) {
                data = field(follower, line, data);
            }
        }
    }


    function field(follower, line, data) {
        if (line === "") {
            if (data.length) {
                follower.got(data.join("\n"));
            }
            return [];
        }

        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);

        if (name === "data") {
            data.push(value);
        } else if (name === "id") {
            follower.last = value;
        } else if (name === "retry" && /^\d+$/.test(value)) {
            follower.retry = Math.min(Number(value), PAUSE_MAX_MS);
        }

        return data;
    }


    async function poll(follower, signal) {
        const again = performance.now() + AGAIN_MS;
        const streamed = follower.ways.length > 1;
        let pause = POLL_MS;

        while (!signal.aborted && !(streamed && performance.now() > again)) {
            try {
                await ask(follower, signal);
                pause = POLL_MS;

            } catch (error) {
                if (error.final || signal.aborted) {
                    throw error;
                }

                follower.options.failed?.({ status: 0,
                                            message: error.message });
                pause = Math.min(pause * 2, PAUSE_MAX_MS);
            }

            await sleep(pause);
        }
    }


    async function ask(follower, signal) {
        const response = await native(follower.address("poll"), {
            headers: follower.headers({ Accept: "application/json" }),
            signal, cache: "no-store"
        });
        const final = [401, 403, 404].includes(response.status);
        const answer = await response.json()
                       .catch((error) => { if (!final) { throw error; } });

        if (final) {
            throw Object.assign(new Error(answer?.error?.message
                                          ?? `status ${response.status}`),
                                { final: true, status: response.status });
        }

        if (answer.error?.message) {
            throw new Error(answer.error.message);
        }

        follower.got(answer);
    }


    socket.title = "WebSocket";
    events.title = "events";
    poll.title = "polling";


    /* -- how far the gateway is -- */

    let state = null;
    let follower = null;
    let looking = false;
    let through = "";
    let known = 0;                  /* when the state came */
    let waiting = [];               /* functions, called when it is ready */
    let held = 0;


    function tell(name) {
        document.dispatchEvent(new CustomEvent(name, { detail: state }));
    }


    function begin() {
        if (follower) {
            return;
        }

        const client = crypto.randomUUID?.()
                       ?? Math.random().toString(36).slice(2);

        state ??= { phase: PHASES[0], progress: 0, ready: false };
        known = performance.now();

        follower = new Follower({
            socket: `/ws/init/${client}`,
            events: `${READY}/events`,
            poll: READY,
            via: (name) => { through = name; },
            failed,
            state: changed
        });

        tell("model-loading");

        if (show !== "never") {
            overlay.open();
        }
    }


    /* If it cannot be asked, then what was held finds out by itself. */

    function failed(error) {
        if (!error.status) {
            overlay.trouble(true);
            return;
        }

        follower = null;
        release();
        overlay.gone();
    }


    function release() {
        for (const go of waiting.splice(0)) {
            go();
        }
    }


    function changed(object) {
        state = object;
        known = performance.now();

        if (!object.ready) {
            overlay.trouble(false);
            return false;
        }

        follower = null;
        release();
        overlay.done();
        tell("model-ready");

        if (script && "reload" in script.dataset) {
            reload();
        }

        return true;
    }


    /*
     * Once more, unless this page is here of its own: it would be loaded again
     * and again.  Of several gateways another one may block it still, so that
     * the next time is some seconds later.
     */

    function reload() {
        const [visit] = performance.getEntriesByType("navigation");
        let wait = RELOAD_MS;

        if (visit?.responseStatus >= 200 && visit.responseStatus < 400) {
            return;
        }

        try {
            const last = Number(sessionStorage.getItem(RELOADED));

            wait = Math.max(0, Math.min(wait, last + wait - Date.now()));
            sessionStorage.setItem(RELOADED, Date.now() + wait);
        } catch { /* a browser that keeps nothing */ }

        setTimeout(() => location.reload(), wait + Math.random() * SPREAD_MS);
    }


    async function look() {
        looking = true;

        try {
            const response = await native(new URL(READY, gateway),
                                          { cache: "no-store" });
            const answer = await response.json();

            if (answer.ready) {
                changed(answer);
                return;
            }

            state = answer;

        } catch {
            /* the overlay says so when it does not come back */

        } finally {
            looking = false;
        }

        begin();
    }


    function ready() {
        if (state?.ready) {
            return Promise.resolve(state);
        }

        if (!looking) {
            begin();
        }

        return new Promise((resolve) => waiting.push(() => resolve(state)));
    }


    /* -- what was blocked -- */

    async function blocked(response) {
        const type = response.headers.get("Content-Type") ?? "";

        if ((response.status !== 425 && response.status !== 503)
            || !type.startsWith("application/json"))
        {
            return false;
        }

        try {
            return (await response.clone().json()).type === "initialization";
        } catch {
            return false;
        }
    }


    /* Until the gateway is ready; false if that took too long. */

    function turn(signal, until) {
        return new Promise((resolve, reject) => {
            signal.throwIfAborted();

            const settle = (how, value) => {
                clearTimeout(timer);
                waiting = waiting.filter((go) => go !== ok);
                how(value);
            };
            const ok = () => settle(resolve, true);
            const timer = setTimeout(() => settle(resolve, false),
                                     Math.max(0, until - performance.now()));

            signal.addEventListener("abort",
                                    () => settle(reject, signal.reason));
            waiting.push(ok);
            begin();
        });
    }


    async function hold(request, response) {
        const until = performance.now() + patience;

        for (let tries = 0; ; tries++) {

            /* it was ready, and this location still has reasons to wait */

            if (tries > 0) {
                const after = Number(response.headers.get("Retry-After"));

                await doze(request.signal, 1000 * Math.min(10,
                            Math.max(after, tries)), until);
            }

            state = state?.ready ? null : state;

            if (!await turn(request.signal, until)) {
                return response;
            }

            await doze(request.signal, Math.random() * SPREAD_MS, until);
            response = await native(request.clone());

            if (!await blocked(response)) {
                return response;
            }
        }
    }


    /* Not beyond the end of patience, nor that of who asks. */

    function doze(signal, ms, until) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(resolve, Math.max(0, Math.min(ms,
                                     until - performance.now())));

            signal.throwIfAborted();
            signal.addEventListener("abort", () => {
                clearTimeout(timer);
                reject(signal.reason);
            }, { once: true });
        });
    }


    async function patient(request) {
        const response = await native(request.clone());

        if (!await blocked(response)) {
            return response;
        }

        overlay.hold(++held);

        try {
            return await hold(request, response);
        } finally {
            overlay.hold(--held);
        }
    }


    window.fetch = function fetch(input, init) {
        const address = input instanceof Request ? input.url : input;

        try {
            if (new URL(address, document.baseURI).origin === gateway) {
                return patient(new Request(input, init));
            }
        } catch {
            /* fetch itself says best what is wrong */
        }

        return native(input, init);
    };


    /* -- what the visitor sees -- */

    const STYLE = `
:host { all: initial !important; color-scheme: inherit !important; }
dialog, .badge {
    font: 16px/1.45 system-ui, sans-serif;
    color: light-dark(#1c2230, #e7ebf2);
    background: light-dark(#ffffff, #1b212b);
    border: 1px solid light-dark(#d4d9e2, #343d4c);
    border-radius: .6em;
}
dialog { width: min(28em, calc(100vw - 2em)); box-sizing: border-box;
         padding: 1.25em; }
dialog::backdrop { background: rgb(0 0 0 / 50%); }
h2 { font-size: 1.15em; margin: 0 0 .75em; }
p { margin: .5em 0; }
ol { display: flex; flex-wrap: wrap; gap: .25em .75em; list-style: none;
     margin: 0 0 .75em; padding: 0; font-size: .85em; }
li { color: light-dark(#566074, #a3adbf); }
li::before { content: "\\25CB\\00A0"; }
li.past::before { content: "\\2713\\00A0"; }
li[aria-current]::before { content: "\\25CF\\00A0"; }
li[aria-current] { color: inherit; font-weight: 600; }
.track { height: .75em; border-radius: .4em; overflow: hidden;
         background: light-dark(#e4e8ee, #343d4c); }
.bar { height: 100%; width: 0; border-radius: inherit;
       background: light-dark(#0b5cad, #6db3f8); }
.line { display: flex; justify-content: space-between; gap: 1em;
        align-items: center; }
.soft { color: light-dark(#566074, #a3adbf); font-size: .85em; }
.bad { color: light-dark(#b3261e, #ff8a80); }
.say { position: absolute; left: -100em; }
button { font: inherit; color: inherit; cursor: pointer; padding: .4em .8em;
         border-radius: .35em;
         border: 1px solid light-dark(#d4d9e2, #343d4c);
         background: light-dark(#f5f6f8, #12161d); }
.badge { position: fixed; right: 1em; bottom: 1em; z-index: 2147483647; }
:focus-visible { outline: 3px solid light-dark(#0b5cad, #6db3f8);
                 outline-offset: 1px; }
[hidden] { display: none; }
@media (prefers-reduced-motion: no-preference) {
    .bar { transition: width .4s ease-out; }
    .busy .bar { animation: breathe 1.6s ease-in-out infinite alternate; }
    @keyframes breathe { to { opacity: .65; } }
}
@media (forced-colors: active) {
    .track { border: 1px solid; }
    .bar { background: Highlight; forced-color-adjust: none; }
}
`;

    function make(name, attributes = {}, ...children) {
        const node = document.createElement(name);

        for (const [key, value] of Object.entries(attributes)) {
            node.setAttribute(key, value);
        }

        node.append(...children);

        return node;
    }


    function duration(seconds) {
        return seconds < 90 ? `${seconds} s`
                            : `${Math.ceil(seconds / 60)} min`;
    }


    /* " · 2 of 4 servers", where the gateway waits for servers */

    function servers() {
        const all = state.backends ?? 0;

        return all && !state.ready
               ? ` \u00B7 ${state.backends_ready} of ${all} model servers` : "";
    }


    const overlay = {
        parts: null,
        timer: 0,
        wanted: 0,
        said: "",
        broken: false,

        build() {
            const part = {
                host: make("model-loading"),
                title: make("h2", { id: "title" }, "The AI models are loading"),
                phases: PHASES.map((phase) => make("li", {}, phase)),
                message: make("p", { id: "message" }),
                track: make("div", {
                    class: "track", role: "progressbar", "aria-valuemin": 0,
                    "aria-valuemax": 100, "aria-labelledby": "title"
                }),
                bar: make("div", { class: "bar" }),
                percent: make("span", {}),
                left: make("span", {}),
                held: make("p", { class: "soft" }),
                via: make("span", { class: "soft" }),
                hide: make("button", { type: "button" }, "Continue meanwhile"),
                say: [0, 1].map(() => make("p", {
                    class: "say", role: "status", "aria-live": "polite" })),
                badge: make("button", { type: "button", class: "badge",
                                        hidden: "" })
            };
            const root = part.host.attachShadow({ mode: "open" });
            const sheet = new CSSStyleSheet();

            sheet.replaceSync(STYLE);
            root.adoptedStyleSheets = [sheet];

            part.track.append(part.bar);
            part.dialog = make("dialog", { "aria-labelledby": "title",
                                           "aria-describedby": "message" },
                part.title, make("ol", {}, ...part.phases), part.message,
                part.track,
                make("p", { class: "line" }, part.percent, part.left),
                part.held,
                make("p", { class: "line" }, part.hide, part.via),
                part.say[0]);

            /* one is silent while the dialog is closed, one while it is open */

            root.append(part.dialog, part.badge, part.say[1]);

            part.hide.addEventListener("click", () => part.dialog.close());
            part.dialog.addEventListener("close", () => {
                part.badge.hidden = !follower;
            });
            part.badge.addEventListener("click", () => {
                part.badge.hidden = true;
                part.dialog.showModal();
            });

            document.body.append(part.host);
            this.parts = part;
        },

        open() {
            clearTimeout(this.wanted);
            this.wanted = setTimeout(() => {
                if (!follower) {
                    return;
                }

                if (!document.body) {
                    this.open();
                    return;
                }

                if (!this.parts) {
                    this.build();
                }

                if (!this.parts.dialog.open && this.parts.badge.hidden) {
                    this.parts.dialog.showModal();
                }

                clearInterval(this.timer);
                this.timer = setInterval(() => this.draw(), 250);
                this.draw();
            }, SHOW_AFTER_MS);
        },

        /* The countdown goes on between two words of the gateway. */

        draw() {
            const p = this.parts;
            const at = Math.max(0, PHASES.indexOf(state.phase ?? "ready"));
            const percent = state.ready ? 100
                            : Math.min(99, Math.round(state.progress ?? 0));
            const left = state.estimated_seconds === undefined
                         || state.estimated_seconds === null ? null
                         : Math.max(0, Math.ceil(state.estimated_seconds
                           - (performance.now() - known) / 1000));

            p.phases.forEach((node, i) => {
                node.className = i < at ? "past" : "";
                node.toggleAttribute("aria-current", false);
            });
            p.phases[at].setAttribute("aria-current", "step");

            p.message.textContent = this.broken && !state.ready
                ? "The gateway does not answer. Trying again."
                : state.message ?? "Waiting for the gateway";
            p.message.className = this.broken && !state.ready ? "bad" : "";
            p.bar.style.width = `${percent}%`;
            p.track.className = state.ready ? "track" : "track busy";
            p.track.setAttribute("aria-valuenow", percent);
            p.percent.textContent = `${percent} %` + servers();
            p.left.textContent = state.ready ? "ready"
                : left === null ? ""
                : left === 0 ? "any moment now" : `about ${duration(left)} left`;
            p.held.textContent = held === 0 ? ""
                : `${held} ${held === 1 ? "request waits" : "requests wait"} `
                  + "and will be sent when the models are ready.";
            p.held.hidden = held === 0;
            p.via.textContent = through;
            p.badge.textContent = `AI models: ${percent} %`;
            this.speak(percent, left);
        },

        /* Aloud: a phase, and every quarter of the way. */

        speak(percent, left) {
            const what = `${state.phase ?? "ready"} `
                         + Math.floor(percent / 25);

            if (what === this.said) {
                return;
            }

            const aloud = state.ready ? "All models are ready"
                : `${state.phase ?? "loading"}, ${percent} percent`
                  + (left ? `, about ${duration(left)} left` : "");

            this.said = what;
            this.parts.say.forEach((node) => { node.textContent = aloud; });
        },

        trouble(broken) {
            this.broken = broken;

            if (this.parts) {
                this.draw();
            }
        },

        hold() {
            if (this.parts && state) {
                this.draw();
            }
        },

        done() {
            clearTimeout(this.wanted);
            clearInterval(this.timer);
            this.broken = false;

            if (!this.parts) {
                return;
            }

            this.draw();
            setTimeout(() => this.gone(), READY_SHOWN_MS);
        },

        gone() {
            if (follower) {
                return;
            }

            clearTimeout(this.wanted);
            clearInterval(this.timer);

            if (this.parts) {
                this.parts.badge.hidden = true;
                this.parts.dialog.close();
            }
        }
    };


    window.modelLoading = Object.freeze({
        follow: (options) => new Follower(options),
        ready
    });

    if (show === "always" || (script && "reload" in script.dataset)) {
        look();
    }
})();
