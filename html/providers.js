/*
 * providers.js: the page of the providers and of their validations.
 *
 *     GET /api/v1/providers            cards, counts as the catalog has them
 *     GET /api/v1/validations          which runs there are, and the history
 *     /ws/providers/{p}/validation     each run that goes on, live; else by
 *                                      server-sent events, else by polling
 *
 * A run that somebody else has begun is seen within seconds.  Only what has
 * changed in a card is written, so that bars glide and the focus stays.
 */

import { askToken, button, call, disable, el, text, themeButton, token }
    from "./gateway.js";


const CARDS = 24;
const RUNS = 20;
const RESULTS = 50;
const LOOK_MS = 4000;
const CATALOG_MS = 1000;
const CATALOG_TRIES = 30;
const CUT_TRIES = 3;
const FOLLOW_MAX = 12;          /* the others are looked at together */

const $ = (id) => document.getElementById(id);

const form = $("filters");
const past = $("history-filters");

const cards = new Map();        /* provider's id -> { provider, run, ... } */

let order = [];                 /* ids, as they are shown */
let page = 1;
let timer = 0;
let pastPage = 1;
let shown = null;               /* the run in the dialog */


/* -- text of values -- */

function number(value) {
    return (value ?? 0).toLocaleString("en");
}


function duration(seconds) {
    const s = Math.max(0, Math.round(seconds));

    return s < 90 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}


function time(value) {
    return value ? new Date(value).toLocaleString("en-GB", {
        dateStyle: "medium", timeStyle: "medium" }) : "";
}


function runs(run) {
    return run?.status === "pending" || run?.status === "in_progress";
}


function tone(status) {
    return { completed: "good", failed: "bad", available: "good",
             unavailable: "bad" }[status] ?? "soft";
}


function address(id, rest = "") {
    return `/api/v1/providers/${encodeURIComponent(id)}${rest}`;
}


/* -- what happened, said once and aloud -- */

function say(text, bad = false) {
    $("status").className = bad ? "grow bad" : "grow";
    $("status").textContent = text;
}


/* Runs what is asked for; asks for a token and runs it again if need be. */

async function attempt(what, action) {
    for (;;) {
        try {
            return await action();

        } catch (error) {
            const refused = error.status === 401 || error.status === 403;

            if (!refused || !await askToken(`${what}: ${error.message}`)) {
                say(`${what} failed: ${error.message}`, true);
                return null;
            }
        }
    }
}


/* -- cards -- */

function meter(name) {
    const parts = Object.fromEntries(
        ["available", "unavailable", "unverified"].map(
            (part) => [part, el("span", { class: part })]));

    return { parts, node: el("div", {
        class: "meter", role: "progressbar", "aria-valuemin": "0",
        "aria-label": `validation of ${name}`
    }, ...Object.values(parts)) };
}


function counts() {
    const values = {};
    const labels = {};
    const node = el("p", { class: "counts" });

    for (const name of ["total", "available", "unavailable", "unverified"]) {
        values[name] = el("b", {});
        labels[name] = el("span", {}, name);
        node.append(el("span", { class: name }, values[name], " ",
                       labels[name]));
    }

    return { values, labels, node };
}


function make(provider) {
    const id = provider.id;
    const bar = meter(provider.name);
    const count = counts();
    const card = {
        provider, run: null, follower: null, via: "", bar: bar.node,
        parts: bar.parts, values: count.values, labels: count.labels,
        line: el("p", { class: "now" }),
        way: el("small", { class: "soft" }),
        validate: button("Validate", () => begin(id)),
        retry: button("Retry failed", () => begin(id, "?only=failed")),
        cancel: button("Cancel", () => cancel(id)),
        history: button("History", () => look(id))
    };

    card.node = el("li", { class: "provider", tabindex: "0", "data-id": id,
                           "aria-label": provider.name },
        el("h2", {}, provider.name, " ", el("small", {}, id)),
        card.bar, count.node, card.line,
        el("div", { class: "bar" }, card.validate, card.retry, card.cancel,
           card.history, card.way));

    return card;
}


/* The catalog knows of a run a moment after its end. */

function news(card) {
    return runs(card.run) || card.fresh === true;
}


/* While a run goes on its counts are shown, else the catalog's. */

function figures(card) {
    const run = card.run;
    const models = card.provider.models ?? {};

    if (news(card)) {
        return { total: run.total ?? 0, available: run.available ?? 0,
                 unavailable: run.unavailable ?? 0,
                 unverified: run.unverified ?? 0 };
    }

    return { total: models.total ?? 0, available: models.available ?? 0,
             unavailable: models.unavailable ?? 0,
             unverified: models.unknown ?? 0 };
}


function draw(card) {
    const now = figures(card);
    const running = runs(card.run);
    const idle = !news(card);
    const whole = Math.max(1, now.total);
    const done = now.available + now.unavailable + now.unverified;

    for (const [name, node] of Object.entries(card.values)) {
        text(node, number(now[name]));
    }

    text(card.labels.unverified, idle ? "unknown" : "unverified");

    for (const [name, node] of Object.entries(card.parts)) {

        /* models that nobody has tested are an empty part of the bar */

        const n = idle && name === "unverified" ? 0 : now[name];

        node.style.width = `${Math.min(100, 100 * n / whole)}%`;
    }

    card.bar.setAttribute("aria-valuemax", now.total);
    card.bar.setAttribute("aria-valuenow", Math.min(now.total, done));
    card.bar.setAttribute("aria-valuetext",
        `${number(done)} of ${number(now.total)} models`);
    card.node.classList.toggle("running", running);
    text(card.line, sentence(card, now, done));
    card.line.className = `now ${card.run?.status === "failed" ? "bad" : ""}`;
    text(card.way, running && card.via ? `live by ${card.via}` : "");

    disable(card.validate, running, card.node);
    disable(card.retry, running || now.unavailable === 0, card.node);
    disable(card.cancel, !running || card.cancelling === true, card.node);
}


function sentence(card, now, done) {
    const run = card.run;

    if (card.problem) {
        return card.problem;
    }

    if (!run) {
        const last = card.provider.last_validated_at;

        return last ? `validated ${time(last)}` : "never validated";
    }

    if (!runs(run)) {
        const took = (new Date(run.completed_at) - new Date(run.started_at))
                     / 1000;

        return `${run.status.replace("_", " ")} ${time(run.completed_at)}`
               + (run.started_at ? `, took ${duration(took)}` : "")
               + (run.error ? `: ${run.error}` : "");
    }

    if (card.cancelling) {
        return "being cancelled";
    }

    if (run.status === "pending") {
        return "waits for its turn";
    }

    const left = run.estimated_seconds;

    return [
        run.phase && run.phase !== "testing" ? run.phase : null,
        `${number(done)} of ${number(now.total)}`,
        run.current_model_id,
        left ? `about ${duration(left)} left` : null
    ].filter(Boolean).join(" · ");
}


/* -- the list of providers -- */

function matches(card) {
    const words = form.elements.search.value.toLowerCase().split(/\s+/);
    const name = `${card.provider.id} ${card.provider.name}`.toLowerCase();
    const tests = {
        running: () => runs(card.run),
        failing: () => figures(card).unavailable > 0,
        keyed: () => card.provider.api_key !== null,
        never: () => !card.run && !card.provider.last_validated_at
    };

    return words.every((word) => name.includes(word))
           && (tests[form.elements.show.value]?.() ?? true);
}


/* What runs comes first, then what is one's own, then the alphabet. */

function sort() {
    const rank = (card) => runs(card.run) ? 0
        : card.provider.api_key !== null || card.provider.source === "manual"
          ? 1 : 2;

    order = [...cards.values()].filter(matches)
        .sort((a, b) => rank(a) - rank(b)
              || a.provider.name.localeCompare(b.provider.name))
        .map((card) => card.provider.id);
}


function show() {
    const pages = Math.max(1, Math.ceil(order.length / CARDS));

    page = Math.max(1, Math.min(pages, page));

    const visible = order.slice((page - 1) * CARDS, page * CARDS)
                    .map((id) => cards.get(id));

    visible.forEach(draw);
    $("list").replaceChildren(...visible.map((card) => card.node));

    if (visible.length === 0) {
        $("list").append(el("li", { class: "soft" }, "No provider matches."));
    }

    text($("page"), pages > 1 ? `Page ${page} of ${pages}` : "");
    $("previous").disabled = page <= 1;
    $("next").disabled = page >= pages;
}


function remember() {
    const query = new URLSearchParams();

    for (const [name, value] of [...new FormData(form),
                                 ...new FormData(past)])
    {
        if (value.trim() !== "") {
            query.set(name, value.trim());
        }
    }

    const said = query.toString();

    history.replaceState(null, "", said ? `?${said}` : location.pathname);
}


async function everyProvider() {
    const list = [];

    for (let i = 1, last = 1; i <= last; i++) {
        const { json } = await call(`/api/v1/providers?limit=1000&page=${i}`);

        last = json.pagination.total_pages;
        list.push(...json.providers);
    }

    return list;
}


async function load() {
    const list = await attempt("The list of providers", everyProvider);

    if (list === null) {
        return;
    }

    for (const provider of list) {
        const card = cards.get(provider.id);

        if (card) {
            card.provider = provider;
        } else {
            cards.set(provider.id, make(provider));
        }
    }

    $("provider-ids").replaceChildren(
        ...list.map((p) => el("option", { value: p.id })));

    await attempt("The latest validations", lastRuns);
    await findRuns();
    sort();
    show();
    say(`${number(cards.size)} providers`);
    showHistory();

    clearInterval(timer);
    timer = setInterval(findRuns, LOOK_MS);
}


/* -- runs that go on -- */

/* What ended before the page came, and the catalog does not know of yet. */

async function lastRuns() {
    const { json } = await call("/api/v1/validations?limit=200");

    for (const run of json.validations) {
        const card = cards.get(run.provider_id);

        if (!card || card.run || runs(run)) {
            continue;
        }

        card.run = run;

        if (run.status === "completed" && !known(card, run)) {
            settle(card, run);
        }
    }
}


function known(card, run) {
    return new Date(card.provider.last_validated_at ?? 0)
           >= new Date(run.started_at ?? run.created_at);
}


/* One question at a time, however slow the answer. */

let finding = null;

function findRuns() {
    finding ??= (document.hidden ? Promise.resolve() : lookForRuns())
                .finally(() => { finding = null; });

    return finding;
}


async function lookForRuns() {
    const before = [...cards.values()].filter((card) => runs(card.run));
    let follow = FOLLOW_MAX
                 - before.filter((card) => card.follower).length;
    const found = new Set();

    try {
        for (const status of ["in_progress", "pending"]) {
            const { json } = await call(
                `/api/v1/validations?status=${status}&limit=1000`);

            for (const run of json.validations) {
                const card = cards.get(run.provider_id);

                found.add(run.id);

                if (!card || (card.follower && card.run.id === run.id)) {
                    continue;
                }

                if (follow-- > 0) {
                    watch(run.provider_id, run);
                } else {
                    changed(card, run);
                }
            }
        }

        for (const card of before) {
            if (runs(card.run) && !found.has(card.run.id)) {
                await missed(card, card.run.id);
            }
        }

    } catch {
        /* the cards say it, by their own ways */
    }
}


/* A run whose end nobody told. */

async function missed(card, id) {
    const { json } = await call(`/api/v1/validations/${id}?limit=1`)
        .catch((error) => {
            if (error.status !== 404) {
                throw error;
            }

            return { json: { ...card.run, status: "failed",
                             completed_at: new Date().toISOString(),
                             error: "its row is gone" } };
        });

    if (runs(card.run) && card.run.id === id && !runs(json)) {
        card.follower?.close();
        changed(card, json);
    }
}


function watch(id, run) {
    const card = cards.get(id);

    if (!card || (card.follower && card.run?.id === run.id)) {
        return;
    }

    card.follower?.close();
    card.run = run;
    card.problem = "";
    card.cancelling = false;

    const way = encodeURIComponent(id);

    card.follower = window.modelLoading.follow({
        socket: `/ws/providers/${way}/validation`,
        events: address(id, "/validation-events"),
        poll: address(id, "/validation-status"),
        token,
        via: (name) => { card.via = name; },
        failed: (error) => problem(card, error),
        state: (state) => changed(card, state)
    });
    draw(card);
}


function problem(card, error) {
    card.problem = `its progress cannot be read: ${error.message}`;

    if (error.status) {
        card.follower = null;
    }

    draw(card);
}


/*
 * The last run may still be told of when the next one has begun; and of two
 * that differ the one that goes on is the younger one.
 */

function changed(card, run) {
    if (card.run && run.id !== card.run.id && !runs(run)) {
        return false;
    }

    card.run = run;
    card.problem = "";
    draw(card);

    if (runs(run)) {
        return false;
    }

    ended(card, run);

    return true;
}


function ended(card, run) {
    card.follower = null;
    card.cancelling = false;
    settle(card, run);
    draw(card);

    say(`${card.provider.name}: validation ${run.status}, `
        + `${number(run.available)} of ${number(run.total)} available`
        + (run.unavailable ? `, ${number(run.unavailable)} unavailable` : "")
        + (run.error ? `: ${run.error}` : ""), run.status === "failed");
    showHistory();
}


/*
 * The counts of a run are shown until the catalog has them.  Of a run that did
 * not get to its end, or was of some models only, the catalog says better how
 * the provider is.
 */

async function settle(card, run) {
    const whole = run.status === "completed";
    const tries = whole ? CATALOG_TRIES : CUT_TRIES;

    card.fresh = whole && !run.only_failed && !run.chosen;

    for (let i = 0; i < tries && card.run === run; i++) {
        await new Promise((resolve) => setTimeout(resolve, CATALOG_MS));

        try {
            card.provider = (await call(address(card.provider.id))).json;
        } catch {
            continue;
        }

        if (card.run !== run) {
            break;
        }

        card.fresh &&= !known(card, run);
        draw(card);

        if (whole && known(card, run)) {
            break;
        }
    }
}


async function begin(id, query = "") {
    const card = cards.get(id);
    const path = address(id, `/validate-models${query}`);

    disable(card.validate, true, card.node);
    disable(card.retry, true, card.node);

    const run = await attempt(`The validation of ${card.provider.name}`,
        async () => {
            try {
                return (await call(path, { method: "POST" })).json;

            } catch (error) {

                /* somebody was faster: theirs is as good */

                if (error.status === 409) {
                    const { json } = await call(
                        address(id, "/validation-status"));

                    if (runs(json)) {
                        return json;
                    }
                }

                throw error;
            }
        });

    if (run) {
        say(`${card.provider.name}: validation begun`);
        watch(id, run);
        showHistory();
    }

    draw(card);
}


async function beginAll() {
    const answer = await attempt("The validation of all",
        () => call("/api/v1/validations", { method: "POST" }));

    if (answer) {
        const all = answer.json.validations;
        const refused = all.filter((run) => run.error).length;

        say(`${number(all.length - refused)} validations begun`
            + (refused ? `, ${number(refused)} not` : ""));
        await findRuns();
        sort();
        show();
        showHistory();
    }
}


async function cancel(id) {
    const card = cards.get(id);
    const run = card.run?.id;

    card.cancelling = true;
    draw(card);

    const answer = await attempt(`Cancelling ${card.provider.name}`,
        () => call(`/api/v1/validations/${run}/cancel`, { method: "POST" }));

    if (!answer && card.run?.id === run) {
        card.cancelling = false;
        draw(card);
    }
}


/* -- history -- */

function look(id) {
    past.elements.provider.value = id;
    past.elements.status.value = "";
    pastPage = 1;
    remember();
    showHistory();
    $("history-title").scrollIntoView({ block: "start" });
    $("history-title").focus();
}


let historyAsked = 0;

async function showHistory() {
    const asked = ++historyAsked;
    const query = new URLSearchParams({ page: pastPage, limit: RUNS });

    for (const [name, value] of new FormData(past)) {
        if (value.trim() !== "") {
            query.set(name, value.trim());
        }
    }

    let answer;

    try {
        answer = (await call(`/api/v1/validations?${query}`)).json;
    } catch (error) {
        $("history-status").className = "bad";
        $("history-status").textContent = `The history: ${error.message}`;
        return;
    }

    if (asked !== historyAsked) {
        return;
    }

    const { total, total_pages: last } = answer.pagination;

    $("history-status").className = "soft";
    text($("history-status"), total === 1 ? "1 validation"
                                          : `${number(total)} validations`);
    text($("history-page"), last > 1 ? `Page ${pastPage} of ${last}` : "");
    disable($("newer"), pastPage <= 1, $("history-title"));
    disable($("older"), pastPage >= last, $("history-title"));
    $("runs").replaceChildren(...answer.validations.map(runRow));
}


function cell(label, value, attributes = {}) {
    return el("td", { "data-label": label, ...attributes }, value);
}


function runRow(run) {
    const took = run.completed_at && run.started_at
        ? (new Date(run.completed_at) - new Date(run.started_at)) / 1000
        : null;
    const count = (label, n) => cell(label, number(n), { class: "number" });

    return el("tr", { "data-id": run.id },
        cell("Begun", time(run.started_at ?? run.created_at)),
        cell("Provider", run.provider_id),
        cell("Status", run.status.replace("_", " ")
             + (run.only_failed ? ", of what had failed" : "")
             + (run.error ? `: ${run.error}` : ""),
             { class: tone(run.status) }),
        count("Models", run.total),
        count("Available", run.available),
        count("Unavailable", run.unavailable),
        count("Unverified", run.unverified),
        cell("Duration", took === null ? "" : duration(took),
             { class: "number" }),
        cell("Results", button("Results", () => {
            shown = run;
            $("run-result").value = "";
            showResults(1);
        })));
}


/* -- the results of one run -- */

let resultsAsked = 0;

async function showResults(to) {
    const run = shown;
    const asked = ++resultsAsked;
    const query = new URLSearchParams({ page: to, limit: RESULTS });

    if ($("run-result").value) {
        query.set("result", $("run-result").value);
    }

    const got = await attempt("The results",
        () => call(`/api/v1/validations/${run.id}?${query}`));

    if (!got || asked !== resultsAsked) {
        return;
    }

    const answer = got.json;
    const { total, total_pages: last } = answer.pagination;

    text($("run-title"), `Validation of ${run.provider_id}`);
    text($("run-line"), `${answer.status.replace("_", " ")}, `
         + `${number(total)} ${total === 1 ? "result" : "results"}`);
    text($("results-page"), last > 1 ? `Page ${to} of ${last}` : "");
    disable($("results-previous"), to <= 1, $("run").querySelector(".scroll"));
    $("results-previous").onclick = () => showResults(to - 1);
    disable($("results-next"), to >= last, $("run").querySelector(".scroll"));
    $("results-next").onclick = () => showResults(to + 1);
    $("results").replaceChildren(...answer.results.map(resultRow));

    if (!$("run").open) {
        $("run").showModal();
    }
}


function resultRow(result) {
    return el("tr", {},
        cell("Model", result.model_id, { class: "title" }),
        cell("Result", result.result, { class: tone(result.result) }),
        cell("Latency", result.latency_ms === null ? ""
             : `${Math.round(result.latency_ms)} ms`, { class: "number" }),
        cell("Status", result.status_code ?? "", { class: "number" }),
        cell("Why", [result.error_class?.replace("_", " "), result.error]
                    .filter(Boolean).join(": ")));
}


/* -- keys -- */

function walk(step) {
    const nodes = [...$("list").querySelectorAll("li[data-id]")];
    const at = nodes.indexOf(document.activeElement.closest("li[data-id]"));

    nodes[Math.max(0, Math.min(nodes.length - 1, at + step))]?.focus();
}


function key(event) {
    const typed = event.target.closest("input, select, textarea, dialog");
    const card = cards.get(event.target.closest("li[data-id]")?.dataset.id);
    const own = { v: card?.validate, x: card?.cancel, r: card?.retry,
                  h: card?.history }[event.key];

    if (event.ctrlKey || event.altKey || event.metaKey) {
        return;
    }

    if (event.key === "ArrowDown" && event.target === $("search")) {
        walk(1);
    } else if (typed) {
        return;
    } else if (event.key === "/") {
        $("search").focus();
    } else if (event.key === "ArrowDown") {
        walk(1);
    } else if (event.key === "ArrowUp") {
        walk(-1);
    } else if (own) {
        own.click();
    } else if (event.key === "Enter" && event.target === card?.node) {
        card.history.click();
    } else {
        return;
    }

    event.preventDefault();
}


/* -- the beginning -- */

function turn(to) {
    page = to;
    show();
    $("list").focus();
}


function begun() {
    for (const [name, value] of new URLSearchParams(location.search)) {
        const field = form.elements.namedItem(name)
                      ?? past.elements.namedItem(name);

        if (field) {
            field.value = value;
        }
    }

    form.addEventListener("input", () => {
        page = 1;
        remember();
        sort();
        show();
    });

    past.addEventListener("change", () => {
        pastPage = 1;
        remember();
        showHistory();
    });

    for (const node of [form, past, $("run").querySelector("form")]) {
        node.addEventListener("submit", (event) => event.preventDefault());
    }

    $("all").addEventListener("click", beginAll);
    $("previous").addEventListener("click", () => turn(page - 1));
    $("next").addEventListener("click", () => turn(page + 1));
    $("newer").addEventListener("click", () => { pastPage--; showHistory(); });
    $("older").addEventListener("click", () => { pastPage++; showHistory(); });
    $("run-result").addEventListener("change", () => showResults(1));

    $("token").addEventListener("click", async () => {
        if (await askToken("A token of this gateway.")) {
            load();
        }
    });

    document.addEventListener("visibilitychange", findRuns);
    document.addEventListener("keydown", key);
    themeButton($("theme"));
    window.modelLoading.ready().then(load);
}


begun();
