// A JSON schema as a tree of fields. References are followed; a type that holds itself is named, not followed for ever.

import { el, prose } from "./dom.js";

const LIMITS = [
  ["minimum", "≥ "], ["maximum", "≤ "], ["exclusiveMinimum", "> "], ["exclusiveMaximum", "< "],
  ["minLength", "length ≥ "], ["maxLength", "length ≤ "], ["minItems", "items ≥ "], ["maxItems", "items ≤ "],
  ["pattern", "matches "], ["multipleOf", "multiple of "],
];

/** The example of a body: the one it has, or the first of several. */
export const exampleOf = (content) => content.example ?? Object.values(content.examples ?? {})[0]?.value;

const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);
const isNull = (schema) => schema.type === "null";

/** Follows `$ref` within the document: {schema, name}, the name being "" for schemas without one. */
export function resolve(root, schema) {
  if (!schema?.$ref) return { schema: schema ?? {}, name: "" };
  const found = schema.$ref.slice(2).split("/").reduce((node, key) => node?.[key], root);
  const { $ref, ...beside } = schema;
  return { schema: { ...found, ...beside }, name: nameOf($ref) };
}

/** A short name of a type: `string (date-time)`, `array of Release`, `integer or null`. */
export function kindOf(root, schema) {
  if (schema.$ref) return nameOf(schema.$ref);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map((option) => kindOf(root, option)).join(" or ");
  if (schema.type === "array") return `array of ${kindOf(root, schema.items ?? {})}`;
  if (schema.type === "object" && schema.additionalProperties && !schema.properties) {
    return `map of ${kindOf(root, schema.additionalProperties)}`;
  }
  if (schema.enum || "const" in schema) return "one of";
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type ?? "anything";
  return schema.format ? `${type} (${schema.format})` : type;
}

/** What a value may be, in words: enum values, bounds, default. */
export function limitsOf(schema) {
  const inner = (schema.anyOf ?? []).find((option) => !isNull(option) && !option.$ref) ?? {};
  const whole = { ...inner, ...schema };
  const words = LIMITS.filter(([key]) => key in whole).map(([key, text]) => text + whole[key]);
  const values = whole.enum ?? whole.items?.enum ?? ("const" in whole ? [whole.const] : null);
  if (values) words.unshift(values.map((value) => JSON.stringify(value)).join(", "));
  if (whole.items?.pattern) words.push(`each matches ${whole.items.pattern}`);
  if ("default" in schema && schema.default !== null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.join(" · ");
}

/** The named or inline object behind arrays, maps and "or null", whose fields are worth showing: or null. */
function objectsIn(root, schema) {
  const { schema: found, name } = resolve(root, schema);
  const options = found.anyOf ?? found.oneOf;
  if (options) return options.flatMap((option) => objectsIn(root, option));
  if (found.type === "array") return objectsIn(root, found.items ?? {});
  if (found.properties) return [{ schema: found, name }];
  return typeof found.additionalProperties === "object" ? objectsIn(root, found.additionalProperties) : [];
}

/** One line of a field: name, type, whether it must be there, what it means, and the fields inside it. */
export function field(root, name, schema, { required = false, seen = [], description = "" } = {}) {
  const text = description || schema.description || "";
  const limits = limitsOf(schema);
  return el("li", {},
    el("span", { class: "name" }, name),
    el("span", { class: "kind" }, kindOf(root, schema)),
    required ? el("span", { class: "must" }, "required") : null,
    text ? prose(text) : null,
    limits ? el("p", { class: "limits" }, el("code", {}, limits)) : null,
    nested(root, schema, seen));
}

function nested(root, schema, seen) {
  return objectsIn(root, schema).map(({ schema: inner, name }) => {
    if (name && seen.includes(name)) return el("p", {}, `${name}: as above`);
    return unfolding(`Fields of ${name || "the object"}`, () => fields(root, inner, name ? [...seen, name] : seen));
  });
}

/** A fold whose content is made when it is first opened, so that big documents open at once. */
export function unfolding(title, make, attributes = { class: "nested" }) {
  const fold = el("details", attributes, el("summary", {}, title));
  fold.addEventListener("toggle", () => fold.append(make()), { once: true });
  return fold;
}

function fields(root, schema, seen) {
  const required = new Set(schema.required ?? []);
  return el("ul", { class: "fields" }, Object.entries(schema.properties).map(([name, inner]) =>
    field(root, name, inner, { required: required.has(name), seen })));
}

/** The whole tree of a schema, its outermost fields unfolded; a type that stands alone or in an array is shown once. */
export function tree(root, schema) {
  const objects = objectsIn(root, schema).filter(({ name }, place, all) =>
    !name || all.findIndex((other) => other.name === name) === place);
  const parts = objects.map(({ schema: inner, name }) =>
    el("div", {}, objects.length > 1 ? el("h4", {}, name) : null, fields(root, inner, name ? [name] : [])));
  const about = resolve(root, schema).schema.description;
  return el("div", {},
    el("p", { class: "faint" }, el("code", {}, kindOf(root, schema))),
    about ? prose(about, "faint") : null,
    parts);
}
