// Peaks and what they are: a spectrum, a structure, and the substructures of each peak.
import { formula, h, signed } from "../../shared/elements.js";
import { drawing } from "../parts/drawing.js";
import { measuredRecord } from "../parts/measured.js";
import { card, named } from "../parts/pieces.js";

export async function result(job, found) {
  const all = found.explained;
  const problems = (found.problems || []).map((one) => h("p", { class: "note" }, typeof one === "string" ? one : JSON.stringify(one)));
  if (!all.length) return { node: h("div", {}, h("p", { class: "empty" }, "Nothing was explained."), problems) };
  const holder = h("div", {});
  const choice = all.length > 1 ? h("div", { class: "field" }, h("label", { for: "which" }, "Spectrum"),
    h("select", { id: "which", onchange: ({ target }) => show(Number(target.value)) }, ...all.map((one, n) => h("option", { value: n }, one.spectrum || `Spectrum ${n + 1}`)))) : null;
  const show = (n) => holder.replaceChildren(...[all[n], ...(all[n].against || [])].map((one, k) => explanation(one, k, all[n], job)));
  show(0);
  return { node: h("div", {}, choice, holder, problems) };
}

function explanation(one, k, whole, job) {
  let made = null;
  // Those that a substructure explains more likely than none does.
  const peaks = one.peaks.map((p, n) => ({ ...p, n })).filter((p) => p.substructures.length && p.unexplained < 0.5);
  const told = { below: null, peaks: peaks.map((p) => { const [best] = p.substructures; return { n: p.n, formula: best.formula, ppm: best.ppm, smiles: best.smiles, p: best.probability, atoms: bits(best.atoms) }; }) };
  const record = measuredRecord({ modality: "msms", peaks: one.peaks.map((p) => [p.mz, p.intensity]), precursor_mz: job.options.precursor_mz ?? undefined, adduct: job.options.adduct }, { onMark: (atoms) => made?.halo(atoms) });
  record.tell(told);
  const picture = drawing(one.structure, { onDrawn: (m) => { made = m; }, onAtom: (a) => record.atom(a) });
  const error = one.mass_error_ppm;
  return h("div", { class: "answer" }, h("div", {}, card(k ? "Against" : whole.spectrum || "Spectrum", record.node)),
    h("section", { class: "card chosen" }, h("h2", {}, "Structure"), picture,
      named([["formula", h("span", {}, formula(one.formula))], ["peaks", `${peaks.length} of ${one.peaks.length} explained`], ["mass error", error ? `${signed(error.offset, 1)} ppm, width ${error.width.toFixed(1)}` : null],
        ["InChIKey", h("span", { class: "mono" }, one.inchikey)], ["SMILES", h("span", { class: "mono" }, one.structure)]])));
}
const bits = (atoms) => atoms.reduce((sum, a) => sum + (1n << BigInt(a)), 0n).toString(16);
