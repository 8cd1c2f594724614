/*
 * catalog.js: the catalog's page.
 *
 *     filters -> address bar -> GET /api/v1/models -> rows
 *
 * What is asked for stands in the address, so a view can be sent to somebody
 * or reloaded.  Only the newest question is waited for: an older one is cut
 * off.  A refresh is a job: the page follows its row until it ends.
 */

import { askToken, call, disable, el, themeButton } from "./gateway.js";


const LIMIT = 50;
const COMPARE_MAX = 10;
const TYPING_MS = 150;
const POLL_MS = 500;

const $ = (id) => document.getElementById(id);

const form = $("filters");
const chosen = new Set();

let page = 1;
let pages = 0;
let question = null;
let typing = 0;


/* -- text of values -- */

function number(value) {
    return value === null || value === undefined ? "?"
                                                 : value.toLocaleString("en");
}


function price(value) {
    return value === null || value === undefined
           ? "?" : `$${Number(value).toLocaleString("en",
                   { maximumFractionDigits: 6 })}`;
}


function words(value) {
    if (value === null || value === undefined) {
        return "?";
    }

    return typeof value === "object" ? JSON.stringify(value) : String(value);
}


function capabilities(model) {
    return Object.entries(model.capabilities ?? {})
           .filter(([, has]) => has === true)
           .map(([name]) => name.replaceAll("_", " "))
           .join(", ");
}


/* -- errors -- */

/* true: the token was given, ask again */

async function failed(error, what) {
    if (error.name === "AbortError") {
        return false;
    }

    if (error.status === 401 || error.status === 403) {
        if (await askToken(`${what}: ${error.message}`)) {
            return true;
        }
    }

    $("status").textContent = `${what} failed: ${error.message}`;
    $("status").className = "grow bad";

    return false;
}


/* -- the list -- */

function asked() {
    const query = new URLSearchParams();

    for (const [name, value] of new FormData(form)) {
        if (value.trim() !== "") {
            query.set(name, value.trim());
        }
    }

    if (page > 1) {
        query.set("page", page);
    }

    return query;
}


async function load() {
    question?.abort();
    question = new AbortController();

    const query = asked();
    const text = query.toString();

    history.replaceState(null, "", text ? `?${text}` : location.pathname);

    query.set("limit", LIMIT);

    try {
        const { json } = await call(`/api/v1/models?${query}`,
                                    { signal: question.signal });
        show(json);

    } catch (error) {
        if (await failed(error, "The list")) {
            start();
        }
    }
}


function show(answer) {
    const { total, total_pages: last } = answer.pagination;
    const rows = answer.models.map(row);

    pages = last;
    $("rows").replaceChildren(...rows);

    if (rows.length === 0) {
        $("rows").append(el("tr", {}, el("td", { colspan: 9, class: "soft" },
                                         "No model matches.")));
    }

    $("status").className = "grow";
    $("status").textContent = answer.pagination.approximate
        ? `Nothing matches exactly; ${number(total)} models come near.`
        : `${answer.pagination.at_least ? "At least " : ""}${number(total)} `
            + "models";
    $("page").textContent = last > 1 ? `Page ${page} of ${last}` : "";
    $("previous").disabled = page <= 1;
    $("next").disabled = page >= last;
}


function row(model) {
    const cell = (label, text, attributes = {}) =>
        el("td", { "data-label": label, ...attributes }, text);

    const box = el("input", {
        type: "checkbox",
        checked: chosen.has(model.id),
        "aria-label": `compare ${model.id}`,
        change: () => choose(model.id, box)
    });

    return el("tr", {
        tabindex: "0",
        "data-id": model.id,
        class: chosen.has(model.id) ? "chosen" : null
    },
    cell("Compare", box),
    cell("Model", el("div", {},
        el("button", { type: "button", class: "name", tabindex: "-1",
                       click: () => detail(model.id) }, model.name),
        el("br"), el("small", {}, model.id)), { class: "title" }),
    cell("Provider", model.provider_id),
    cell("Type", model.type),
    cell("Context", number(model.limits?.context), { class: "number" }),
    cell("Input", price(model.pricing?.input), { class: "number" }),
    cell("Output", price(model.pricing?.output), { class: "number" }),
    cell("Capabilities", capabilities(model)),
    cell("Validated", model.health_status, {
        class: { available: "good", unavailable: "bad" }[model.health_status]
               ?? "soft"
    }));
}


async function providers() {
    const select = form.elements.provider;
    const wanted = new URLSearchParams(location.search).get("provider") ?? "";
    const list = [];

    for (let i = 1, last = 1; i <= last; i++) {
        const { json } = await call(`/api/v1/providers?limit=1000&page=${i}`);

        last = json.pagination.total_pages;
        list.push(...json.providers);
    }

    list.sort((a, b) => a.name.localeCompare(b.name));

    select.replaceChildren(el("option", { value: "" }, "any"),
        ...list.map((p) => el("option", { value: p.id }, p.name)));
    select.value = wanted;
}


/* -- comparing -- */

function choose(id, box) {
    if (box.checked && chosen.size >= COMPARE_MAX) {
        box.checked = false;
        $("status").textContent = `At most ${COMPARE_MAX} models are compared.`;
        return;
    }

    if (box.checked) {
        chosen.add(id);
    } else {
        chosen.delete(id);
    }

    box.closest("tr").classList.toggle("chosen", box.checked);
    $("compare").disabled = chosen.size < 2;
    $("compare").textContent = chosen.size ? `Compare ${chosen.size}`
                                           : "Compare";
}


async function compare() {
    const query = new URLSearchParams();

    for (const id of chosen) {
        query.append("ids", id);
    }

    try {
        const { json } = await call(`/api/v1/models/compare?${query}`);

        comparison(json);

    } catch (error) {
        if (await failed(error, "The comparison")) {
            compare();
        }
    }
}


function comparison(answer) {
    const [head, body] = ["thead", "tbody"].map(
        (part) => $("table").querySelector(part));

    head.replaceChildren(el("tr", {}, el("th", { scope: "col" }, "Field"),
        ...answer.models.map((id) => el("th", { scope: "col" }, id))));

    const fill = () => body.replaceChildren(
        ...answer.fields
        .filter((field) => field.differs || !$("differences").checked)
        .map((field) => el("tr", { class: field.differs ? "differs" : null },
            el("th", { scope: "row" }, field.field,
               field.differs ? el("span", { class: "skip" }, " differs")
                             : null),
            ...field.values.map((value) => el("td", {}, words(value))))));

    $("differences").onchange = fill;
    fill();
    $("table").showModal();
}


/* -- one model -- */

/* Nested members become lines with dots: pricing.input. */

function* members(value, path = "") {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
        for (const [key, inner] of Object.entries(value)) {
            yield* members(inner, path ? `${path}.${key}` : key);
        }
        return;
    }

    yield [path, value];
}


async function detail(id) {
    try {
        const { json } = await call("/api/v1/models/"
            + id.split("/").map(encodeURIComponent).join("/"));
        const provenance = json.provenance ?? {};

        $("detail-title").textContent = json.name;
        $("detail").querySelector("tbody").replaceChildren(
            ...[...members(json)]
            .filter(([path]) => !path.startsWith("provenance."))
            .map(([path, value]) => el("tr", {},
                el("th", { scope: "row" }, path),
                el("td", {}, words(value)),
                el("td", { class: "soft" }, source(provenance, path)))));
        $("detail").showModal();

    } catch (error) {
        if (await failed(error, "The model")) {
            detail(id);
        }
    }
}


function source(provenance, path) {
    const from = provenance[path];

    return from === undefined ? "" : `from ${words(from)}`;
}


/* -- refreshing -- */

async function refresh() {
    let job;

    disable($("refresh"), true, $("rows"));

    try {
        job = (await call("/api/v1/models/refresh", { method: "POST" })).json;

    } catch (error) {
        $("refresh").disabled = false;

        if (await failed(error, "The refresh")) {
            refresh();
        }
        return;
    }

    $("refresh-bar").hidden = false;
    follow(job.id ?? job.jobs?.[0]?.id);
}


async function follow(id) {
    const bar = $("refresh-progress");
    const line = $("refresh-status");

    try {
        const { json: job } = await call(`/api/v1/jobs/${id}`);

        bar.value = job.status === "completed" ? 100 : job.progress ?? 0;
        line.textContent = `Refresh: ${job.status.replace("_", " ")}`;

        if (job.status === "pending" || job.status === "in_progress") {
            setTimeout(follow, POLL_MS, id);
            return;
        }

        line.className = job.status === "completed" ? "good" : "bad";
        line.textContent = job.status === "completed" ? counts(job.result)
            : `Refresh ${job.status}: ${job.error ?? "no reason given"}`;

    } catch (error) {
        line.className = "bad";
        line.textContent = `The refresh goes on, but its progress cannot be `
                           + `read: ${error.message}`;
    }

    $("refresh").disabled = false;
    load();
}


function counts(result) {
    return ["added", "changed", "removed", "unchanged", "failed"]
           .filter((name) => result?.[name] !== undefined)
           .map((name) => `${number(result[name])} ${name}`)
           .join(", ");
}


/* -- keys -- */

function walk(step) {
    const rows = [...$("rows").querySelectorAll("tr[data-id]")];
    const at = rows.indexOf(document.activeElement.closest?.("tr[data-id]"));

    rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.focus();
}


function key(event) {
    const typed = event.target.closest("input, select, textarea, dialog");
    const current = event.target.closest("tr[data-id]");

    if (event.ctrlKey || event.altKey || event.metaKey) {
        return;
    }

    if (event.key === "ArrowDown" && event.target === $("search")) {
        walk(1);
    } else if (typed && !(current && event.target.type === "checkbox")) {
        return;
    } else if (event.key === "/") {
        $("search").focus();
    } else if (event.key === "ArrowDown") {
        walk(1);
    } else if (event.key === "ArrowUp") {
        walk(-1);
    } else if (event.key === "Enter" && event.target === current) {
        detail(current.dataset.id);
    } else if (event.key === "c" && current) {
        current.querySelector("input").click();
    } else {
        return;
    }

    event.preventDefault();
}


/* -- the beginning -- */

async function start() {
    try {
        await providers();
    } catch (error) {
        if (await failed(error, "The providers")) {
            start();
        }
        return;
    }

    load();
}


function turn(to) {
    page = Math.max(1, Math.min(pages, to));
    load();
    $("rows").focus();
}


function begin() {
    const query = new URLSearchParams(location.search);

    for (const [name, value] of query) {
        const field = form.elements.namedItem(name);

        if (field) {
            field.value = value;
        }
    }

    page = Math.max(1, Number.parseInt(query.get("page"), 10) || 1);

    form.addEventListener("submit", (event) => event.preventDefault());

    form.addEventListener("input", () => {
        clearTimeout(typing);
        page = 1;
        typing = setTimeout(load, TYPING_MS);
    });

    $("previous").addEventListener("click", () => turn(page - 1));
    $("next").addEventListener("click", () => turn(page + 1));
    $("compare").addEventListener("click", compare);
    $("refresh").addEventListener("click", refresh);

    $("token").addEventListener("click", async () => {
        if (await askToken("A token of this gateway.")) {
            start();
        }
    });

    document.addEventListener("keydown", key);
    themeButton($("theme"));
    start();
}


begin();
