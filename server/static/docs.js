// The viewer of /openapi.json: endpoints by tag, a search over them, and an address for each in the fragment.

import { byId, el, prose } from "./dom.js";
import { details, pathOf } from "./docs-operation.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Every operation of the document, flat, in its order. */
function operationsOf(root) {
  return Object.entries(root.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => ({
    ...item[method], path, method, parameters: item[method].parameters ?? [], tag: item[method].tags?.[0] ?? "Other",
  })));
}

function card(root, operation) {
  const fold = el("details", { class: "operation card", id: operation.operationId },
    el("summary", {},
      el("span", { class: `pill method ${operation.method}` }, operation.method.toUpperCase()),
      pathOf(operation.path),
      el("span", { class: "summary" }, operation.summary ?? "")));
  fold.addEventListener("toggle", () => fold.append(details(root, operation)), { once: true });
  return fold;
}

function section(root, tag, operations) {
  return el("section", { class: "tag", "aria-label": tag }, el("h2", {}, tag),
    operations.map((operation) => card(root, operation)));
}

function indexOf(tag, operations) {
  return [el("h2", {}, tag), el("ul", {}, operations.map((operation) =>
    el("li", {}, el("a", { href: `#${operation.operationId}` }, operation.summary || operation.path))))];
}

function show(root, operations) {
  const tags = new Map((root.tags ?? []).map(({ name }) => [name, []]));
  for (const operation of operations) tags.set(operation.tag, [...(tags.get(operation.tag) ?? []), operation]);
  const filled = [...tags].filter(([, found]) => found.length);
  byId("operations").replaceChildren(...filled.map(([tag, found]) => section(root, tag, found)));
  byId("index").replaceChildren(...filled.flatMap(([tag, found]) => indexOf(tag, found)));
}

/** Hides what does not hold every word of the search, wherever in the endpoint's texts. */
function search(operations, words) {
  let hits = 0;
  for (const operation of operations) {
    const text = [operation.method, operation.path, operation.summary, operation.description, operation.operationId,
      operation.tag, ...operation.parameters.map(({ name }) => name)].join(" ").toLowerCase();
    const hit = words.every((word) => text.includes(word));
    hits += hit;
    byId(operation.operationId).hidden = !hit;
    document.querySelector(`#index a[href="#${operation.operationId}"]`).parentElement.hidden = !hit;
  }
  for (const tag of document.querySelectorAll(".tag")) tag.hidden = !tag.querySelector(".operation:not([hidden])");
  for (const head of document.querySelectorAll("#index h2")) {
    head.hidden = !head.nextElementSibling.querySelector("li:not([hidden])");
  }
  state(hits ? "" : "No endpoint matches.");
}

function state(text, bad = false) {
  const line = byId("state");
  line.textContent = text;
  line.hidden = !text;
  line.classList.toggle("bad", bad);
}

/** Opens the endpoint that the fragment names. */
function follow() {
  const wanted = byId(decodeURIComponent(location.hash.slice(1)));
  for (const link of document.querySelectorAll("#index a")) {
    if (link.hash === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (wanted?.matches("details.operation")) {
    if (wanted.hidden) clearSearch();
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

function clearSearch() {
  byId("find").value = "";
  byId("find").dispatchEvent(new Event("input"));
}

function listen(operations) {
  const find = byId("find");
  find.addEventListener("input", () => search(operations, find.value.toLowerCase().split(/\s+/).filter(Boolean)));
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      event.preventDefault();
      find.focus();
    }
  });
}

async function start() {
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const root = await answer.json();
    const operations = operationsOf(root);
    byId("version").textContent = root.info.version;
    byId("about").replaceChildren(...prose(root.info.description ?? ""));
    show(root, operations);
    listen(operations);
    state("");
    follow();
  } catch (error) {
    state(`/openapi.json cannot be shown: ${error.message}`, true);
  }
}

start();
