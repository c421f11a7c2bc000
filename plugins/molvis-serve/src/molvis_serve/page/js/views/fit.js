// NMR: a fit of a spin system, or the compounds of a mixture: spectrum, model and what is left, that zoom together.
import { h, short } from "../../shared/elements.js";
import { tracePlot } from "../parts/trace.js";
import { card, facts, sheet } from "../parts/pieces.js";

const KINDS = [["shift/", "Chemical shifts"], ["coupling/", "Couplings"], ["width/", "Widths, half at half height"], ["intensity/", "Intensities, relative to their mean"], ["", "Line shape and phase"]];
const percentOf = (x) => (x === null || x === undefined ? null : `${(100 * x).toFixed(2)}%`);

// `7.671 ± 0.012`: the error with two digits, the value with as many places.
export function withError(value, error) {
  if (value === null || value === undefined) return "–";
  if (!(error > 0) || !Number.isFinite(error)) return String(+value.toPrecision(6));
  const places = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(places)} ± ${error.toFixed(places)}`;
}

export async function result(job, found) {
  const curves = found.spectra || [found.spectrum];
  const problem = found.problem ? h("p", { class: "problem" }, `Not to be trusted: ${found.problem}`)
    : found.doubt ? h("p", { class: "note" }, `In doubt: ${found.doubt}`) : null;
  return { node: h("div", {}, problem, ...curves.map((one, n) => spectrumCard(one, n, curves.length, found.excluded || [])), ...(found.parameters ? fitTables(found) : mixtureTables(found))) };
}

function spectrumCard(one, n, count, without) {
  const title = count > 1 ? `Spectrum ${n + 1}` : "Spectrum";
  const caption = [one.frequency ? `${one.frequency.toFixed(2)} MHz` : "", one.identifier || ""].filter(Boolean).join(", ");
  const holder = h("div", {});
  const names = Object.keys(one.parts || {});
  const chosen = new Set();
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Parts of the model" }, ...names.map((name) => h("button", {
    type: "button", "aria-pressed": "false", onclick: ({ currentTarget: b }) => {
      if (chosen.has(name)) chosen.delete(name); else chosen.add(name);
      b.setAttribute("aria-pressed", String(chosen.has(name)));
      draw();
    },
  }, name)));
  let plot = null;
  function draw() {
    const series = [
      { name: "measured", kind: "measured", x: one.ppm, y: one.measured }, { name: "fitted", kind: "fit", x: one.ppm, y: one.fitted },
      ...[...chosen].map((name) => ({ name: chosen.size > 1 ? "parts" : name, kind: "part", x: one.ppm, y: one.parts[name] })),
      { name: "residual", kind: "residual", x: one.ppm, y: one.measured.map((v, k) => v - one.fitted[k]) },
    ];
    const range = plot?.plot.range();
    plot = tracePlot({ series, label: title, caption, axis: "chemical shift, ppm", descending: true, without });
    holder.replaceChildren(plot.node);
    if (range) plot.plot.set(...range);
  }
  draw();
  const windows = signals(one);
  const jumps = h("div", { class: "chips", role: "group", "aria-label": "Multiplets" }, ...windows.map(([low, high]) => h("button", { type: "button", onclick: () => plot.plot.set(low, high) }, `${(((low + high) / 2) || 0).toFixed(2).replace(/^-0\.00$/, "0.00")} ppm`)));
  return card(title, holder, without.length ? h("p", { class: "small soft" }, "Grey: left out of the fit.") : null,
    windows.length > 1 ? h("div", { class: "jumps" }, h("h3", {}, "Multiplets"), jumps) : null, names.length > 1 ? h("div", { class: "jumps" }, h("h3", {}, "Parts of the model"), chips) : null);
}

// Where the model has signal: what somebody wants to zoom to.
function signals(one) {
  const top = Math.max(...one.fitted);
  const step = Math.abs(one.ppm.at(-1) - one.ppm[0]) / (one.ppm.length - 1);
  const apart = Math.max(3, Math.round(0.06 / step)), margin = 0.04;
  const found = [];
  for (let k = 0, last = -Infinity; k < one.fitted.length; k++) {
    if (one.fitted[k] < 0.01 * top) continue;
    if (k - last > apart) found.push([one.ppm[k], one.ppm[k]]);
    else found.at(-1)[1] = one.ppm[k];
    last = k;
  }
  return found.map(([a, b]) => [Math.min(a, b) - margin, Math.max(a, b) + margin]).slice(0, 24);
}

function fitTables(found) {
  const { metrics = {}, parametric } = found;
  const rest = new Set(found.parameters);
  const tables = KINDS.map(([prefix, title]) => {
    const rows = [...rest].filter((one) => one.name.startsWith(prefix));
    rows.forEach((one) => rest.delete(one));
    return rows.length ? h("div", {}, h("h3", {}, title), sheet([{ title: "group" }, { title: "value", number: true }],
      rows.map((one) => [one.name.slice(prefix.length), [`${withError(one.value, one.error)}${one.unit ? ` ${one.unit}` : ""}`, one.flag ? h("span", { class: "remark" }, one.flag) : null]]), { label: title })) : null;
  });
  return [
    card("Agreement", facts([["IoU", metrics.iou?.toFixed(4)], ["ROI IoU", metrics.roi_iou?.toFixed(4)], ["R factor", percentOf(metrics.r_factor)], ["without line shape", parametric ? `IoU ${parametric.iou.toFixed(4)}` : null]]),
      h("p", { class: "note" }, "IoU is intersection over union where the model has signal; ROI IoU is that within 25 Hz of the lines of the start, a region that the fit cannot choose. Errors are standard deviations.")),
    card("Parameters", h("div", { class: "twin" }, tables)),
    found.alternatives?.length ? card("Other solutions", sheet([{ title: "R factor", number: true }, { title: "worse by", number: true }, { title: "what differs" }],
      found.alternatives.map((one) => [percentOf(one.r_factor), one.worse.toFixed(1), apart(one, found).join(", ")]), { label: "Other solutions" }),
    h("p", { class: "note" }, "Worse by: in -2 log likelihood, points that correlate counted once.")) : "",
  ];
}

// Couplings and shifts in which a solution is another.
function apart(one, found) {
  const own = new Map(found.parameters.map((p) => [p.name, p.value]));
  return [
    ...Object.entries(one.couplings_Hz).filter(([pair, value]) => Math.abs(value - (own.get(`coupling/${pair}`) ?? 0)) > 0.3).map(([pair, value]) => `J ${pair} ${value.toFixed(2)} Hz`),
    ...Object.entries(one.shifts_ppm).filter(([name, value]) => own.has(`shift/${name}`) && Math.abs(value - own.get(`shift/${name}`)) > 0.002).map(([name, value]) => `${name} at ${value.toFixed(4)} ppm`),
  ];
}

function mixtureTables(found) {
  const unit = found.unit || "amount";
  const value = (m) => (m.concentration === null || m.concentration === undefined ? [m.amount, m.error] : [m.concentration, m.concentration_error || 0]);
  const present = found.metabolites.filter((m) => m.present), absent = found.metabolites.filter((m) => !m.present);
  return [
    card("Agreement", facts([["ROI IoU", found.roi_iou?.toFixed(4)], ["not explained", percentOf(found.unexplained)], ["half width", `${found.width_Hz?.toFixed(2)} Hz`], ["standard", found.standard || "none"]])),
    card("Present", sheet([{ title: "compound" }, { title: unit, number: true }, { title: "error", number: true }, { title: "significance", number: true }, { title: "moved, ppb", number: true }],
      present.map((m) => { const [x, error] = value(m); return [m.name, withError(x, error), percentOf(error / x), m.significance.toFixed(0), (1000 * m.moved_ppm).toFixed(1)]; }), { label: "Compounds that are present" }),
      h("p", { class: "note" }, "Significance is the amount in standard errors.")),
    absent.length ? card("Not found", sheet([{ title: "compound" }, { title: `would be seen from about, ${unit}`, number: true }], absent.map((m) => [m.name, short(found.limit * value(m)[1])]), { label: "Compounds that are not found" })) : "",
  ];
}
