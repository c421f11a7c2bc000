// Curves over one axis: a spectrum, what was fitted to it, and in a band below what is left. Of many points those are drawn
// that a pixel can show: its lowest and its highest.
import { h, s } from "../../shared/elements.js";
import { createPlot } from "./plot.js";

const BODY = 250, BAND = 80, TOP = 12, FOOT = 34;

// Series: `{name, kind: measured|fit|residual|part, x: number[], y: number[]}`, x rising or falling. What lies in windows that
// were left out, `[[from, to]]`, is drawn and does not decide how high the others are.
/**
 * @typedef {{name: string, kind: string, x: number[], y: number[]}} Series
 * @param {{series: Series[], label: string, caption: string, axis?: string, descending?: boolean, without?: number[][], onPoint?: (value: number) => void}} set
 */
export function tracePlot({ series, label, caption, axis = "", descending = false, without = [], onPoint }) {
  const some = series.filter((one) => one.x.length > 1).map(rising);
  const main = some.filter((one) => one.kind !== "residual"), left = some.filter((one) => one.kind === "residual");
  const domain = [Math.min(...some.map((one) => one.x[0])), Math.max(...some.map((one) => one.x.at(-1)))];
  const said = h("p", { class: "said" });
  const usual = [...new Map(some.map((one) => [one.kind, one.name]))].map(([kind, name]) => h("span", { class: `key ${kind}` }, h("span", {}, name)));
  said.replaceChildren(...usual);
  const plot = createPlot({
    label, caption, height: BODY + (left.length ? BAND : 0) + FOOT, domain, descending, axis, least: (domain[1] - domain[0]) / 2000,
    draw, help: "Arrows move.", onKey: (name) => {
      if (name !== "ArrowLeft" && name !== "ArrowRight") return name === "at" ? null : false;
      const [low, high] = plot.range(), by = 0.1 * (high - low) * ((name === "ArrowRight") !== descending ? 1 : -1);
      plot.set(low + by, high + by);
      return true;
    },
    onPoint: (value) => {
      said.replaceChildren(...usual, h("b", {}, value.toPrecision(6)), ` ${axis} `, ...main.map((one) => ` · ${one.name} ${at(one, value)?.toPrecision(4) ?? ""}`));
      onPoint?.(value);
    },
    onLeave: () => said.replaceChildren(...usual),
  });

  function draw(view) {
    const inside = main.map((one) => reach(one, view, without)).reduce(both, [Infinity, -Infinity]);
    const [bottom, top] = padded(inside);
    const y = (value) => BODY - ((value - bottom) / (top - bottom)) * (BODY - TOP);
    const parts = main.map((one) => s("path", { class: one.kind, d: line(one, view, clipped(y, 0, BODY)) }));
    if (bottom < 0 && top > 0) parts.unshift(s("line", { class: "grid", x1: view.left, x2: view.right, y1: y(0), y2: y(0) }));
    if (left.length) {
      // On the scale of the spectrum, so that what is small looks small; larger ones are drawn smaller, and that is said.
      const most = Math.max(...left.map((one) => Math.max(...reach(one, view, without).map(Math.abs))), 1e-300);
      const fits = most <= ((top - bottom) * BAND) / 2 / (BODY - TOP);
      const unit = fits ? (BODY - TOP) / (top - bottom) : (BAND / 2 - 4) / most;
      const middle = BODY + BAND / 2 + 4;
      parts.push(s("line", { class: "grid", x1: view.left, x2: view.right, y1: middle, y2: middle }),
        ...left.map((one) => s("path", { class: "residual", d: line(one, view, clipped((value) => middle - value * unit, BODY + 6, BODY + BAND)) })),
        s("text", { x: view.left, y: BODY + 16 }, fits ? left[0].name : `${left[0].name}, drawn smaller`));
    }
    for (const [from, to] of without) {
      const [a, b] = [Math.min(from, to), Math.max(from, to)].map((v) => view.x(Math.min(Math.max(v, view.low), view.high))).sort((u, v) => u - v);
      if (b - a > 0.5) parts.unshift(s("rect", { class: "without", x: a, width: b - a, y: 0, height: view.foot }));
    }
    return parts;
  }
  return { node: h("div", {}, plot.node, said), plot };
}

function rising(one) {
  if (one.x[0] <= one.x.at(-1)) return one;
  return { ...one, x: [...one.x].reverse(), y: [...one.y].reverse() };
}
function first(x, value) {
  let low = 0, high = x.length;
  while (low < high) { const middle = (low + high) >> 1; if (x[middle] < value) low = middle + 1; else high = middle; }
  return low;
}
const inSight = (one, view) => [Math.max(0, first(one.x, view.low) - 1), Math.min(one.x.length, first(one.x, view.high) + 1)];
const clipped = (y, top, bottom) => (value) => Math.min(Math.max(y(value), top), bottom);
/** @returns {[number, number]} */
function reach(one, view, without) {
  const [from, to] = inSight(one, view);
  const skipped = without.map((ends) => { const [a, b] = [...ends].sort((u, v) => u - v); return [first(one.x, a), first(one.x, b)]; });
  let low = Infinity, high = -Infinity;
  for (let k = from; k < to; k++) {
    const out = skipped.find(([a, b]) => k >= a && k < b);
    if (out) k = out[1] - 1;
    else { if (one.y[k] < low) low = one.y[k]; if (one.y[k] > high) high = one.y[k]; }
  }
  return [low, high];
}
const both = (a, b) => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
/** @param {number[]} range */
function padded([low, high]) {
  if (!(high > low)) return [Number.isFinite(low) ? low - 1 : 0, Number.isFinite(high) ? high + 1 : 1];
  return [Math.min(0, low) === 0 && low > -0.02 * high ? Math.min(low, 0) - 0.01 * (high - low) : low - 0.03 * (high - low), high + 0.04 * (high - low)];
}
function at(one, value) {
  const k = first(one.x, value);
  return k < one.x.length ? one.y[k] : null;
}
function line(one, view, y) {
  const [from, to] = inSight(one, view);
  const columns = view.right - view.left;
  if (to - from <= 2.5 * columns) {
    let d = "";
    for (let k = from; k < to; k++) d += `${k === from ? "M" : "L"}${view.x(one.x[k]).toFixed(1)} ${y(one.y[k]).toFixed(1)}`;
    return d;
  }
  let d = "", column = null, low = 0, high = 0;
  const put = () => { if (column !== null) d += `${d ? "L" : "M"}${column} ${y(low).toFixed(1)}L${column} ${y(high).toFixed(1)}`; };
  for (let k = from; k < to; k++) {
    const here = Math.round(view.x(one.x[k])), value = one.y[k];
    if (here !== column) { put(); column = here; low = high = value; } else { if (value < low) low = value; if (value > high) high = value; }
  }
  put();
  return d;
}
