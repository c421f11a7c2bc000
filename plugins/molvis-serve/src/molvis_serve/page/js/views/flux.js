// Fluxes: the network with its arrows, intervals, and what the data leave open.
import { h, s, short } from "../../shared/elements.js";
import { card, facts, sheet } from "../parts/pieces.js";

const STYLES = { identifiable: "identifiable", bounded: "bounded", "not identifiable": "unseen", fixed: "fixed" };
const CAPTIONS = { network: "Network", intervals: "Intervals", distributions: "Measured and fitted distributions", posterior: "Posterior" };
const HINT = () => h("span", { class: "hint" }, "Point at an arrow, or reach it with the Tab key.");
const style = (kind) => STYLES[kind] || (/not|un/.test(kind) ? "unseen" : kind);

export async function result(job, found) {
  const good = found.goodness || {};
  const pictures = Object.entries(found.pictures || {}).filter(([name]) => name !== "network" || !found.map);
  const rows = found.fluxes.map((v) => ({ ...v, kind: v.name[0], reaction: v.name[1], verdict: v.kind }));
  const table = h("tbody", {}, rows.map((v) => h("tr", { "data-name": v.kind === "net" ? v.reaction : null },
    h("td", { class: "soft" }, v.kind), h("td", {}, v.reaction), h("td", { class: "number" }, number(v.value)), h("td", { class: "number" }, `${number(v.low)} to ${number(v.high)}`),
    h("td", {}, v.verdict), h("td", { class: "number" }, number(v.mean)))));
  const said = h("p", { class: "said", "aria-live": "polite" }, HINT());
  const point = (flow) => {
    table.querySelectorAll(".on").forEach((row) => row.classList.remove("on"));
    const v = flow && rows.find((one) => one.kind === "net" && one.reaction === flow);
    said.replaceChildren(...(v ? [h("b", {}, flow), ` · net ${number(v.value ?? v.mean)}, ${number(v.low)} to ${number(v.high)}, ${v.verdict}`] : [HINT()]));
    if (v) table.querySelector(`[data-name="${CSS.escape(flow)}"]`)?.classList.add("on");
  };
  return { node: h("div", {},
    found.problem ? h("p", { class: "problem" }, found.problem) : null,
    found.accepted === false && good.freedom ? h("p", { class: "problem" }, "The model does not explain the data: the sum of squares is larger than 97.5% of those expected. The intervals are too narrow then.") : null,
    card("Fit", facts([["sum of squares", number(good.ssr ?? found.ssr)], ["expected, 95%", good.freedom ? `${number(good.low)} to ${number(good.high)}` : "cannot be tested"], ["independent data", good.data], ["parameters seen", good.seen],
      ["starts that converged", found.converged ? `${found.converged.filter(Boolean).length} of ${found.starts.length}` : null]])),
    found.map ? card("Network", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Flux map" }, map(found.map, point)), said, h("p", { class: "note" }, "Width: net flux; colour: identifiability. Broken arrows are not identifiable; their widths are the posterior's means.")) : null,
    ...pictures.map(([name, svg]) => card(CAPTIONS[name] || name, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": CAPTIONS[name] || name }, h("img", { class: "picture", alt: `${CAPTIONS[name] || name} of the fit`, src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}` })))),
    card("Fluxes", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Fluxes" }, h("table", {}, h("thead", {}, h("tr", {}, ...[["kind"], ["reaction"], ["estimate", 1], [`${Math.round(100 * (found.level || 0.95))}% interval`, 1], ["identifiability"], ["posterior mean", 1]].map(([name, right]) => h("th", { scope: "col", class: right ? "number" : null }, name)))), table))),
    Array.isArray(found.data) ? card("Data", sheet([{ title: "experiment" }, { title: "measurement" }, { title: "numbers", number: true }, { title: "sum of squares", number: true }], [...found.data].sort((a, b) => b.ssr - a.ssr).map((one) => [one.experiment, one.target, one.measured?.length ?? "", number(one.ssr)]), { label: "Data" })) : null) };
}
const number = (x) => (x === null || x === undefined ? "" : short(x));
// A label stands beside its arrow, on the side to which that bends; where something stands already, further along it or
// on the other side.
function beside(arrow, a, middle, b, away, w, taken) {
  const long = 6.4 * arrow.label.length, bent = arrow.bend > 0 ? 1 : -1;
  let best = null, least = Infinity;
  for (const t of [0.5, 0.38, 0.62, 0.28, 0.72, 0.2, 0.8]) {
    for (const side of [bent, -bent]) {
      const by = side * (8 + w / 2), [u, v, z] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
      const x = u * a[0] + v * middle[0] + z * b[0] + away[0] * by, y = u * a[1] + v * middle[1] + z * b[1] + away[1] * by + 4;
      const anchor = Math.abs(away[0]) < 0.4 ? "middle" : away[0] * side > 0 ? "start" : "end";
      const left = { start: x, middle: x - long / 2, end: x - long }[anchor], box = [left, y - 10, left + long, y + 3];
      const over = taken.reduce((sum, o) => sum + Math.max(0, Math.min(box[2], o[2]) - Math.max(box[0], o[0])) * Math.max(0, Math.min(box[3], o[3]) - Math.max(box[1], o[1])), 0);
      if (over < least) { least = over; best = { x, y, anchor, box }; }
    }
    if (!least) break;
  }
  // Where there is no room it shows with its arrow only.
  const room = least < 0.2 * long * 13;
  if (room) taken.push(best.box);
  return s("text", { class: `size ${best.anchor}${room ? "" : " crowded"}`, x: best.x, y: best.y }, arrow.label);
}

function map({ nodes, arrows }, point) {
  const X = 96, Y = 84, xs = nodes.map((n) => n.x), ys = nodes.map((n) => n.y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const place = (n) => [(n.x - left) * X + 70, (n.y - top) * Y + 30];
  const at = new Map(nodes.map((n) => [n.name, place(n)]));
  const width = (Math.max(...xs) - left) * X + 140, height = (Math.max(...ys) - top) * Y + 60;
  const wide = (n) => 7.4 * n.name.length + 14;
  const taken = nodes.map((n) => { const [x, y] = at.get(n.name); return [x - wide(n) / 2, y - 12, x + wide(n) / 2, y + 12]; });
  const flows = arrows.map((arrow) => {
    const [a, b] = [at.get(arrow.from), at.get(arrow.to)], size = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const [ux, uy] = [(b[0] - a[0]) / size, (b[1] - a[1]) / size], away = [-uy, ux];
    const bend = arrow.bend * size, middle = [(a[0] + b[0]) / 2 + away[0] * bend * 1.6, (a[1] + b[1]) / 2 + away[1] * bend * 1.6];
    const clear = (from, to) => { const d = [to[0] - from[0], to[1] - from[1]], l = Math.hypot(...d) || 1; return [from[0] + (d[0] / l) * 20, from[1] + (d[1] / l) * 20]; };
    const start = clear(a, middle), end = clear(b, middle), w = Math.max(0.8, arrow.width);
    const tip = [end[0] - middle[0], end[1] - middle[1]], tl = Math.hypot(...tip) || 1, t = [tip[0] / tl, tip[1] / tl], head = 6 + w;
    const neck = [end[0] - t[0] * head, end[1] - t[1] * head], half = 3 + w * 0.8;
    const d = `M${start}Q${middle} ${neck}`;
    const tell = () => point(arrow.name), forget = () => point(null);
    const one = s("g", { class: `flow ${style(arrow.kind)}`, tabindex: 0, role: "img", "aria-label": `${arrow.name}, from ${arrow.from} to ${arrow.to}, ${arrow.label}` },
      s("path", { class: "reach", d }), s("path", { class: "arrow", d, "stroke-width": w }),
      s("path", { class: "head", d: `M${end}L${neck[0] - t[1] * half} ${neck[1] + t[0] * half}L${neck[0] + t[1] * half} ${neck[1] - t[0] * half}Z` }));
    one.addEventListener("pointerenter", tell);
    one.addEventListener("focus", tell);
    one.addEventListener("pointerleave", forget);
    const text = beside(arrow, a, middle, b, away, w, taken);
    for (const [kind, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) one.addEventListener(kind, () => text.classList.toggle("on", on));
    return [one, text];
  });
  const edge = [Math.min(0, ...taken.map((box) => box[0] - 4)), Math.max(width, ...taken.map((box) => box[2] + 4))];
  return s("svg", { class: "map", viewBox: `${edge[0]} 0 ${edge[1] - edge[0]} ${height}`, width: edge[1] - edge[0], height, role: "group", "aria-label": `Network of ${nodes.length} metabolites and ${arrows.length} arrows` },
    ...flows.map(([one]) => one), ...flows.map(([, text]) => text),
    ...nodes.map((n) => { const [x, y] = at.get(n.name), w = wide(n); return s("g", { class: n.outside ? "outside" : "" }, s("rect", { x: x - w / 2, y: y - 12, width: w, height: 24, rx: 5 }), s("text", { x, y: y + 4 }, n.name)); }));
}
