// Several candidates side by side: structures, evidence, and the peaks that one explains and another does not.
import { bar, formula, h, percent, signed } from "../../shared/elements.js";
import { drawing } from "../parts/drawing.js";
import { compare } from "../state.js";
import { explainedShare, questionOf } from "../parts/measured.js";

const APART = 0.1, MOST = 15;

export function sideBySide(some, record) {
  const names = [...new Set(some.flatMap((c) => Object.keys(c.evidence || {})))];
  const shares = some.map(() => h("dd", {}, record ? "..." : "–"));
  const node = h("div", {}, h("h3", {}, "Side by side"),
    h("div", { class: "columns", tabindex: 0, role: "region", "aria-label": "Candidates side by side" }, some.map((c, n) => h("section", {},
      h("h3", {}, `${c.rank}. `, c.name || formula(c.formula)), drawing(c.smiles),
      h("dl", { class: "facts" },
        h("div", {}, h("dt", {}, "probability"), h("dd", {}, bar(c.probability_joint ?? c.probability), " ", percent(c.probability_joint ?? c.probability))),
        h("div", {}, h("dt", {}, "intensity explained"), shares[n]),
        h("div", {}, h("dt", {}, "mass error"), h("dd", {}, c.mass_error_ppm === null ? "–" : `${signed(-c.mass_error_ppm, 1)} ppm`)),
        ...names.map((name) => h("div", {}, h("dt", {}, name), h("dd", {}, c.evidence[name] === undefined ? "–" : signed(c.evidence[name], 2)))))))));
  if (record) {
    Promise.all(some.map((c) => compare(questionOf(record, c)))).then((answers) => {
      const highest = Math.max(...record.peaks.map((p) => p[1]));
      const peaks = record.peaks.map(([mz, intensity], n) => ({ mz, share: intensity / highest, n }));
      const known = answers.map((answer) => new Map(answer.peaks.map((e) => [e.n, e])));
      known.forEach((one, k) => shares[k].replaceChildren(percent(explainedShare(peaks, one, record.precursor_mz))));
      const value = (one, n) => (one.has(n) ? one.get(n).p ?? 1 : 0);
      const apart = peaks.map((p) => [p, known.map((one) => value(one, p.n))])
        .filter(([, values]) => Math.max(...values) - Math.min(...values) >= APART)
        .sort((a, b) => gap(b) - gap(a)).slice(0, MOST);
      node.append(apart.length ? peaksApart(some, apart) : h("p", { class: "small soft" }, "They explain the same peaks."));
    }, (error) => shares.forEach((one) => one.replaceChildren(error.message)));
  }
  return node;
}
const gap = ([p, values]) => (Math.max(...values) - Math.min(...values)) * Math.sqrt(p.share);

function peaksApart(some, apart) {
  return h("details", { open: true }, h("summary", {}, `${apart.length} peaks that they explain unlike, by the probability of the substructure`),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Peaks that separate" }, h("table", {}, h("thead", {}, h("tr", {},
      h("th", { scope: "col", class: "number" }, "m/z"), h("th", { scope: "col", class: "number" }, "height"), ...some.map((c) => h("th", { scope: "col", class: "number" }, `${c.rank}`)))),
    h("tbody", {}, apart.map(([p, values]) => h("tr", {}, h("td", { class: "number" }, p.mz.toFixed(4)), h("td", { class: "number" }, `${(100 * p.share).toFixed(1)}%`),
      ...values.map((v) => h("td", { class: "number" }, v ? v.toFixed(2) : "–"))))))));
}
