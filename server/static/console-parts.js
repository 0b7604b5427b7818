// The parts of the console: tiles with a line of their last minutes, tables, and numbers for people.

import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT_POINTS = 90;
const FEWEST_POINTS = 30;
const HISTORY = new Map();

/** A number with two or three digits; "–" for nothing. */
export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isInteger(value) && Math.abs(value) < 10) return value.toFixed(value < 1 ? 2 : 1);
  return Math.round(value).toLocaleString("en");
}

/** Seconds as milliseconds or seconds: [number, unit]. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return ["–", ""];
  return seconds < 1 ? [figure(seconds * 1000), "ms"] : [figure(seconds), "s"];
}

/** Bytes as [number, unit]. */
export function bytes(value) {
  if (value === null) return ["–", ""];
  return value < 2 ** 30 ? [figure(value / 2 ** 20), "MiB"] : [(value / 2 ** 30).toFixed(2), "GiB"];
}

/** A tile: label, number with unit, a line below, and the curve of `point` over the last readings. */
export function tile(label, [number, unit], { more = "", point = null, tone = "" } = {}) {
  return el("figure", { class: `tile card ${tone}` },
    el("figcaption", { class: "label" }, label),
    el("span", { class: "value" }, number, unit ? el("small", {}, unit) : null),
    el("span", { class: "more" }, more),
    curve(remember(label, point)));
}

function remember(label, point) {
  const points = HISTORY.get(label) ?? [];
  if (point !== null && Number.isFinite(point)) points.push(point);
  HISTORY.set(label, points.slice(-KEPT_POINTS));
  return HISTORY.get(label);
}

function curve(points) {
  const svg = document.createElementNS(SVG, "svg");
  const width = Math.max(points.length, FEWEST_POINTS) - 1;
  svg.setAttribute("viewBox", `0 0 ${width} 30`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (points.length < 2) return svg;
  const top = Math.max(...points) || 1;
  const first = width + 1 - points.length;
  const spots = points.map((point, place) => `${first + place},${(29 - 27 * point / top).toFixed(1)}`);
  svg.append(shape("polygon", [`${first},30`, ...spots, `${width},30`]), shape("polyline", spots));
  return svg;
}

function shape(name, spots) {
  const made = document.createElementNS(SVG, name);
  made.setAttribute("points", spots.join(" "));
  return made;
}

/** A table; `columns` are [title, isNumber], `rows` lists of cells; `empty` is shown instead when there are none. */
export function table(columns, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const kind = (place) => columns[place][1] ? { class: "number" } : {};
  return el("table", {},
    el("thead", {}, el("tr", {}, columns.map(([title], place) => el("th", { scope: "col", ...kind(place) }, title)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, place) => el("td", kind(place), cell))))));
}

export const pill = (text, tone) => el("span", { class: `pill ${tone}` }, text);
