// The operator's live page: reads /health and /metrics every two seconds, the trends every thirty.

import { bytes, duration, figure, pill, table, tile } from "./console-parts.js";
import { parse, quantile, ratesBy, samplesOf, sum, sumBy, total } from "./console-metrics.js";
import { byId, el } from "./dom.js";

// Every metric this page reads.
const METRICS = {
  requests: "yojohan_http_requests_total",
  durations: "yojohan_http_request_duration_seconds_bucket",
  inFlight: "yojohan_http_requests_in_flight",
  lag: "yojohan_event_loop_lag_seconds",
  memory: "process_resident_memory_bytes",
  pool: "yojohan_db_pool_connections",
  depth: "yojohan_actor_mailbox_depth",
  capacity: "yojohan_actor_mailbox_capacity",
  messages: "yojohan_actor_messages_total",
  restarts: "yojohan_actor_restarts_total",
  sinceTick: "yojohan_actor_seconds_since_tick",
  views: "yojohan_views_events_total",
};
const PERIODS = [["day", "Today"], ["week", "This week"], ["month", "This month"]];
const EVERY = 2_000;
const TRENDS_EVERY = 30_000;
const PATIENCE = 5_000;
const ROUTES_SHOWN = 25;
const TONES = { ok: "good", healthy: "good", degraded: "warn", down: "bad", unhealthy: "bad" };

const state = { before: null, trendsAt: -Infinity, seenAt: null };

const get = (path) => fetch(path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });

async function health() {
  const answer = await get("/health");
  const { status, checks } = await answer.json();
  byId("health").textContent = status;
  byId("health").className = `pill ${TONES[status] ?? ""}`;
  document.title = status === "healthy" ? "Yojohan console" : `${status}: Yojohan console`;
  const rows = Object.entries(checks).map(([name, check]) =>
    [name, pill(check.status, TONES[check.status] ?? ""), check.detail ?? ""]);
  byId("checks").replaceChildren(table([["Part"], ["State"], ["Why"]], rows, "Nothing is checked."));
}

/** Reads the metrics; a refusal is said once and leaves the rest of the page working. */
async function metrics() {
  const answer = await get("/metrics");
  const refused = byId("refused");
  refused.hidden = answer.ok;
  if (!answer.ok) {
    refused.textContent = answer.status === 403
      ? "The server shows its metrics only to the addresses in METRICS_ALLOW, and yours is not among them. Health and trends are still live."
      : `The metrics cannot be read: the server answered ${answer.status}.`;
    for (const id of ["tiles", "routes", "actors"]) byId(id).replaceChildren();
    byId("routes").append(el("p", { class: "empty" }, "Needs /metrics."));
    byId("actors").append(el("p", { class: "empty" }, "Needs /metrics."));
    state.before = null;
    return;
  }
  const now = parse(await answer.text());
  byId("tiles").replaceChildren(...tiles(now, state.before));
  byId("routes").replaceChildren(routes(now, state.before));
  byId("actors").replaceChildren(actors(now));
  state.before = now;
}

function tiles(now, before) {
  return [...trafficTiles(now, before), ...processTiles(now), ...viewTiles(now, before)];
}

function trafficTiles(now, before) {
  const rate = before ? total(ratesBy(now, before, METRICS.requests, "route")) : null;
  const failing = before ? failures(ratesBy(now, before, METRICS.requests, "status")) : 0;
  const [half, tail] = [0.5, 0.99].map((share) => quantile(now, before, METRICS.durations, share));
  const flying = sum(now, METRICS.inFlight);
  return [
    tile("Requests", [figure(rate), "/s"], { point: rate, more: `${figure(failing)}/s failing`, tone: failing > 0 ? "bad" : "" }),
    tile("Median answer", duration(half), { point: half, more: half === null ? "no requests" : "p50" }),
    tile("Slow answers", duration(tail), { point: tail, more: tail === null ? "no requests" : "p99", tone: tail > 1 ? "warn" : "" }),
    tile("In flight", [figure(flying), ""], { point: flying, more: "requests" }),
  ];
}

const failures = (rates) => total(new Map([...rates].filter(([status]) => String(status).startsWith("5"))));

function processTiles(now) {
  const lag = sum(now, METRICS.lag);
  const memory = sum(now, METRICS.memory);
  const pool = sumBy(now, METRICS.pool, "state");
  const used = pool.get("in_use") ?? null;
  const others = [...pool].filter(([name]) => name !== "in_use").map(([name, count]) => `${count} ${name}`).join(", ");
  return [
    tile("Event loop lag", duration(lag), { point: lag, tone: lag > 0.1 ? "warn" : "" }),
    tile("Memory", bytes(memory), { point: memory, more: "resident" }),
    tile("Database connections", [figure(used), "in use"], { point: used, more: others, tone: pool.get("waiting") > 0 ? "warn" : "" }),
  ];
}

function viewTiles(now, before) {
  const rates = ratesBy(now, before, METRICS.views, "outcome");
  const totals = sumBy(now, METRICS.views, "outcome");
  return [["accepted", "Views accepted"], ["duplicate", "Views repeated"], ["rejected", "Views rejected"]].map(([name, label]) => {
    const rate = before ? rates.get(name) ?? 0 : null;
    const all = totals.get(name) ?? 0;
    return tile(label, [figure(rate), "/s"], { point: rate, more: `${all.toLocaleString("en")} in all` });
  });
}

function routes(now, before) {
  const rates = ratesBy(now, before, METRICS.requests, "route");
  const totals = [...sumBy(now, METRICS.requests, "route")];
  totals.sort(([a, all], [b, some]) => (rates.get(b) ?? 0) - (rates.get(a) ?? 0) || some - all);
  const rows = totals.slice(0, ROUTES_SHOWN).map(([route, all]) => {
    const mine = ({ route: other }) => other === route;
    const speeds = [0.5, 0.99].map((share) => duration(quantile(now, before, METRICS.durations, share, mine)).join(" "));
    return [el("code", {}, route), figure(rates.get(route)), ...speeds, all.toLocaleString("en")];
  });
  return table([["Route"], ["/s", true], ["p50", true], ["p99", true], ["in all", true]], rows, "No requests yet.");
}

function actors(now) {
  const [depth, capacity, handled, restarts, tick] =
    [METRICS.depth, METRICS.capacity, METRICS.messages, METRICS.restarts, METRICS.sinceTick].map((name) => sumBy(now, name, "actor"));
  const names = new Set([...depth.keys(), ...restarts.keys(), ...tick.keys()]);
  const rows = [...names].sort().map((name) => [
    name, mailbox(depth.get(name) ?? 0, capacity.get(name)), (handled.get(name) ?? 0).toLocaleString("en"),
    restarts.get(name) ? pill(figure(restarts.get(name)), "warn") : "0",
    tick.has(name) ? `${duration(tick.get(name)).join(" ")} ago` : "–",
  ]);
  return table([["Actor"], ["Mailbox", true], ["Handled", true], ["Restarts", true], ["Last tick", true]], rows, "No actor reports.");
}

/** A quarter full is worth a look, three quarters a worry. */
function mailbox(depth, capacity) {
  const text = capacity ? `${depth} / ${capacity}` : `${depth}`;
  const share = capacity ? depth / capacity : 0;
  return share >= 0.75 ? pill(text, "bad") : share >= 0.25 ? pill(text, "warn") : text;
}

async function trends() {
  if (performance.now() - state.trendsAt < TRENDS_EVERY) return;
  state.trendsAt = performance.now();
  byId("trending").replaceChildren(...await Promise.all(PERIODS.map(trend)));
}

async function trend([period, title]) {
  const card = el("section", { class: "card" }, el("h2", {}, title));
  try {
    const answer = await get(`/api/v1/recommendations/trending?period=${period}&limit=10`);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const { results } = await answer.json();
    card.append(results.length ? el("ol", {}, results.map(trendRow)) : el("p", { class: "empty" }, "Nothing is trending."));
  } catch (error) {
    card.append(el("p", { class: "empty" }, `Cannot be read: ${error.message}`));
  }
  return card;
}

function trendRow({ release, score }) {
  return el("li", {}, el("span", { class: "score" }, figure(score)),
    el("a", { href: `/api/v1/releases/${encodeURIComponent(release.slug)}` }, release.title));
}

/** One round. A hidden page rests; a server that does not answer is said loudly and asked again. */
async function round() {
  if (!document.hidden) {
    const outcomes = await Promise.allSettled([health(), metrics(), trends()]);
    const silent = outcomes.slice(0, 2).every(({ status }) => status === "rejected");
    byId("silent").hidden = !silent;
    byId("silent").textContent = silent ? "The server does not answer. What is shown is from before." : "";
    if (silent) byId("health").className = "pill bad";
    if (silent) byId("health").textContent = "no answer";
    else state.seenAt = new Date();
    byId("age").textContent = state.seenAt ? `as of ${state.seenAt.toLocaleTimeString()}` : "";
  }
  setTimeout(round, EVERY);
}

round();
