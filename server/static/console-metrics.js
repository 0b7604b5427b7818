// The Prometheus text format, read into samples, and the figures that two readings give.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** A reading: a map from metric name to its samples `{labels, value}`, and when it was taken. */
export function parse(text, at = performance.now()) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const [, name, labels, value] = LINE.exec(line) ?? [];
    if (!name) continue;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels: labelsOf(labels), value: numberOf(value) });
  }
  return { at, samples };
}

function labelsOf(text) {
  const found = {};
  for (const [, name, value] of (text ?? "").matchAll(LABEL)) found[name] = value.replace(/\\[n"\\]/g, (pair) => ESCAPED[pair]);
  return found;
}

const numberOf = (text) => text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);

/** All samples of a metric; none when it is not exported. */
export const samplesOf = (reading, name) => reading?.samples.get(name) ?? [];

/** The sum of a metric over all its samples, or null when it is not exported. */
export function sum(reading, name) {
  const found = samplesOf(reading, name);
  return found.length ? found.reduce((total, { value }) => total + value, 0) : null;
}

/** A map from the value of `label` to the sum of the metric's samples that carry it. */
export function sumBy(reading, name, label) {
  const sums = new Map();
  for (const { labels, value } of samplesOf(reading, name)) sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
  return sums;
}

/** Counter growth per second by label between two readings. A counter that shrank began anew with the process. */
export function ratesBy(now, before, name, label) {
  const rates = new Map();
  if (!before || now.at <= before.at) return rates;
  const old = sumBy(before, name, label);
  for (const [key, value] of sumBy(now, name, label)) {
    const start = old.get(key) ?? 0;
    rates.set(key, (value < start ? value : value - start) / ((now.at - before.at) / 1000));
  }
  return rates;
}

export const total = (rates) => [...rates.values()].reduce((all, rate) => all + rate, 0);

/** Histogram buckets `[upper bound, count]`, ascending, of the samples `keep` takes; cumulative as exported. */
function buckets(reading, name, keep) {
  const counts = new Map();
  for (const { labels, value } of samplesOf(reading, name)) {
    if (keep(labels)) counts.set(numberOf(labels.le), (counts.get(numberOf(labels.le)) ?? 0) + value);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/**
 * A quantile in seconds of what happened between two readings, by linear interpolation within a bucket;
 * null when nothing happened. Above the last finite bound it is that bound.
 */
export function quantile(now, before, name, share, keep = () => true) {
  const old = new Map(buckets(before, name, keep));
  const grown = buckets(now, name, keep).map(([bound, count]) => [bound, Math.max(0, count - (old.get(bound) ?? 0))]);
  const all = grown.at(-1)?.[1] ?? 0;
  if (all === 0) return null;
  const place = grown.findIndex(([, count]) => count >= share * all);
  const [bound, count] = grown[place];
  const [lower, below] = place > 0 ? grown[place - 1] : [0, 0];
  if (bound === Infinity) return lower;
  return lower + (bound - lower) * (share * all - below) / Math.max(1, count - below);
}
