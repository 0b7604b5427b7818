// One endpoint: what it takes, what it answers, and the form that tries it.

import { coded, el, prose } from "./dom.js";
import { exampleOf, field, resolve, tree } from "./docs-schema.js";
import { tryForm } from "./docs-try.js";

const TONES = { 2: "good", 3: "info", 4: "warn", 5: "bad" };
const PLACES = { path: "In the path", query: "In the query", header: "In the headers" };

/** The example as text: JSON indented, text as it is. */
const shown = (example) => typeof example === "string" ? example : JSON.stringify(example, null, 2);

/** The path with its parameters marked. */
export function pathOf(path) {
  return el("span", { class: "path" }, path.split(/(\{\w+\})/).map((part) =>
    part.startsWith("{") ? el("b", {}, part) : part));
}

/** Everything below an endpoint's headline. */
export function details(root, operation) {
  return el("div", { class: "body" },
    el("div", {},
      operation.description ? el("div", { class: "note" }, prose(operation.description)) : null,
      access(operation),
      parameters(root, operation),
      requestBody(root, operation),
      answers(root, operation)),
    el("div", {}, tryForm(root, operation), exampleAnswer(root, operation)));
}

function access(operation) {
  if (!operation.security?.length) return null;
  return el("p", { class: "note" }, el("span", { class: "pill warn" }, "Needs a bearer token"));
}

function parameters(root, operation) {
  return Object.entries(PLACES).map(([place, title]) => {
    const found = operation.parameters.filter((parameter) => parameter.in === place);
    if (!found.length) return null;
    return el("section", {}, el("h3", {}, title), el("ul", { class: "fields" }, found.map((parameter) =>
      field(root, parameter.name, parameter.schema, parameter))));
  });
}

function requestBody(root, operation) {
  const content = Object.values(operation.requestBody?.content ?? {})[0];
  if (!content) return null;
  return el("section", {},
    el("h3", {}, "Body"),
    el("p", { class: "faint" }, coded(operation.requestBody.description ?? "")),
    tree(root, content.schema));
}

function answers(root, operation) {
  return el("section", {}, el("h3", {}, "Answers"), Object.entries(operation.responses).map(([status, given]) =>
    answer(root, status, resolve(root, given).schema)));
}

function answer(root, status, given) {
  const fold = el("details", { class: "answer" },
    el("summary", {}, el("span", { class: `pill ${TONES[status[0]] ?? ""}` }, status), coded(given.description)));
  fold.addEventListener("toggle", () => fold.append(answerBody(root, status, given)), { once: true });
  return fold;
}

function answerBody(root, status, given) {
  const headers = Object.entries(given.headers ?? {}).map(([name, header]) => {
    const { schema: found } = resolve(root, header);
    return field(root, name, found.schema ?? {}, { description: found.description });
  });
  const bodies = Object.entries(given.content ?? {}).map(([type, content]) => [
    el("h4", {}, type),
    status[0] === "2" ? tree(root, content.schema) : null,
    status[0] !== "2" && exampleOf(content) ? el("pre", {}, shown(exampleOf(content))) : null,
  ]);
  return el("div", {}, bodies, headers.length ? [el("h4", {}, "Headers"), el("ul", { class: "fields" }, headers)] : null);
}

function exampleAnswer(root, operation) {
  const [status, given] = Object.entries(operation.responses).find(([code]) => code[0] === "2") ?? [];
  const content = Object.values(given?.content ?? {})[0];
  if (!content || exampleOf(content) === undefined) return null;
  return el("section", {},
    el("h3", {}, `Example of ${status}`),
    el("pre", { tabindex: 0, "aria-label": `Example of ${status}` }, shown(exampleOf(content))));
}
