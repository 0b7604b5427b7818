// The form that sends a request from this page: to this server only, with the token from the head of the page.

import { byId, el } from "./dom.js";
import { exampleOf, resolve } from "./docs-schema.js";

const SHOWN_CHARACTERS = 200_000;

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The form for one operation. */
export function tryForm(root, operation) {
  const inputs = operation.parameters.map((parameter) => ({ parameter, input: inputFor(root, parameter) }));
  const body = bodyInput(operation);
  const send = el("button", { type: "submit" }, "Send");
  const copy = el("button", { type: "button", class: "quiet" }, "Copy curl");
  const result = el("div", { class: "result", "aria-live": "polite" });
  const form = el("form", { class: "try" },
    el("h3", {}, "Try it"),
    el("div", { class: "inputs" }, inputs.map(({ parameter, input }) => labelled(parameter.name, parameter.required, input))),
    body ? labelled("body", true, body) : null,
    el("div", { class: "send" }, send, copy),
    result);
  const build = () => request(operation, inputs, body);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(build(), send, result);
  });
  copy.addEventListener("click", () => copyCurl(build(), copy));
  return form;
}

function labelled(name, required, input) {
  return el("label", {}, el("span", { class: "name" }, name), required ? el("span", { class: "faint" }, " required") : null, input);
}

function inputFor(root, parameter) {
  const { schema } = resolve(root, parameter.schema);
  const attributes = { required: parameter.required, "data-name": parameter.name };
  if (schema.enum) {
    const choices = schema.enum.map((value) => el("option", { value }, String(value)));
    return el("select", attributes, el("option", { value: "" }, `(${schema.default ?? "not sent"})`), choices);
  }
  return el("input", { ...attributes, placeholder: hint(parameter, schema), autocomplete: "off", spellcheck: "false" });
}

function hint(parameter, schema) {
  const example = parameter.example ?? schema.default ?? "";
  if (schema.type === "array") return example === "" ? "a, b, …" : `such as ${example}`;
  return example === "" ? "" : "default" in schema && !("example" in parameter) ? `${example}` : `such as ${example}`;
}

function bodyInput(operation) {
  const content = Object.values(operation.requestBody?.content ?? {})[0];
  if (!content) return null;
  const area = el("textarea", { spellcheck: "false", required: true });
  area.value = JSON.stringify(exampleOf(content) ?? {}, null, 2);
  return area;
}

/** What to send: {method, address, headers, body}. Empty fields are left out. */
function request(operation, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  let path = operation.path;
  for (const { parameter, input } of inputs) {
    const value = input.value.trim();
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (parameter.in === "header") headers[parameter.name] = value;
    else for (const one of parameter.schema.type === "array" ? value.split(",") : [value]) query.append(parameter.name, one.trim());
  }
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const address = location.origin + path + (query.size ? `?${query}` : "");
  return { method: operation.method.toUpperCase(), address, headers, body: body ? body.value : undefined };
}

/** The same request as a line for a shell; the token is left to a variable so that it stays out of histories. */
function curlLine({ method, address, headers, body }) {
  const parts = ["curl", "-i"];
  if (method !== "GET") parts.push("-X", method);
  for (const [name, value] of Object.entries(headers)) {
    parts.push("-H", name === "Authorization" ? '"Authorization: Bearer $TOKEN"' : quoted(`${name}: ${value}`));
  }
  if (body !== undefined) parts.push("--data-raw", quoted(body));
  return [...parts, quoted(address)].join(" ");
}

async function copyCurl(made, button) {
  const line = curlLine(made);
  try {
    await navigator.clipboard.writeText(line);
    button.textContent = "Copied";
  } catch {
    button.after(el("pre", {}, line));
    button.disabled = true;
  }
  setTimeout(() => { button.textContent = "Copy curl"; }, 1500);
}

async function run(made, send, result) {
  send.disabled = true;
  const began = performance.now();
  try {
    const { address, ...options } = made;
    const answer = await fetch(address, { ...options, cache: "no-store", credentials: "omit" });
    const text = await answer.text();
    result.replaceChildren(...report(made, answer, text, performance.now() - began));
  } catch (error) {
    result.replaceChildren(el("p", { class: "notice bad" }, `No answer: ${error.message}`), curlFold(made));
  }
  send.disabled = false;
}

function report(made, answer, text, milliseconds) {
  const tone = answer.ok ? "good" : answer.status < 400 ? "info" : "bad";
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const moved = answer.redirected ? ` · from ${answer.url}` : "";
  return [
    el("p", {}, el("span", { class: `pill ${tone}` }, `${answer.status} ${answer.statusText}`.trim()),
      el("span", { class: "faint" }, ` ${milliseconds.toFixed(0)} ms · ${text.length.toLocaleString()} characters${moved}`)),
    el("h4", {}, "Headers"), el("pre", {}, headers || "(none)"),
    el("h4", {}, "Body"), el("pre", { tabindex: 0, "aria-label": "Body of the answer" }, pretty(text)),
    curlFold(made),
  ];
}

function curlFold(made) {
  return el("div", {}, el("h4", {}, "As a shell command"), el("pre", {}, curlLine(made)));
}

function pretty(text) {
  let whole = text || "(empty)";
  try {
    whole = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* Not JSON: shown as it came. */ }
  return whole.length > SHOWN_CHARACTERS ? `${whole.slice(0, SHOWN_CHARACTERS)}\n… (cut here)` : whole;
}
