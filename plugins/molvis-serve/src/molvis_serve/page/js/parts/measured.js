// A measured record of an unknown, and what a candidate says of it: peaks with their atoms, and a spectrum to hold against it.
import { formula, h, signed } from "../../shared/elements.js";
import { atomsOf } from "../../shared/molecule.js";
import { compare } from "../state.js";
import { spectrumPlot } from "./spectrum.js";
import { tracePlot } from "./trace.js";

const AXES = { ir: ["wavenumber, cm⁻¹", true], raman: ["Raman shift, cm⁻¹", true], nmr: ["chemical shift, ppm", true] };

export function recordCaption(record) {
  return [
    record.modality === "msms" ? "MS/MS" : record.modality?.toUpperCase(), record.adduct, record.collision_energy !== undefined ? `${+record.collision_energy.toFixed(2)} eV` : null,
    record.instrument_type, record.peaks ? `${record.peaks.length} peaks` : record.points ? `${record.points.length} points` : null,
  ].filter(Boolean).join(" · ");
}

// Returns `{node, hold(candidate)}`; `hold` fetches what the candidate explains, and tells `onCompared` of it.
/** @param {any} record @param {{onMark?: (atoms: number[]) => void, onCompared?: (answer: any) => void}} set */
export function measuredRecord(record, { onMark, onCompared } = {}) {
  if (record.points) {
    const [axis, descending] = AXES[record.modality] || ["", false];
    const plot = tracePlot({
      series: [{ name: "measured", kind: "fit", x: record.points.map((p) => p[0]), y: record.points.map((p) => p[1]) }],
      label: `${record.modality} spectrum`, caption: recordCaption(record), axis, descending,
    });
    return { node: plot.node };
  }
  if (!record.peaks?.length) return null;
  let told = null, turn = 0;
  const said = h("div", { class: "said", "aria-live": "polite" }), list = h("div", {});
  const plot = spectrumPlot({
    peaks: record.peaks, precursor: record.precursor_mz ?? null, label: `Mass spectrum of ${record.peaks.length} peaks`, caption: recordCaption(record),
    onPick: (n) => point(n),
  });
  const known = () => new Map((told?.peaks || []).map((e) => [e.n, e]));
  function usual() {
    if (!told) return [h("span", { class: "hint" }, "Point at a peak, or take the arrow keys.")];
    const share = explainedShare(plot.peaks, known(), record.precursor_mz);
    return [
      told.peaks.length ? h("span", { class: "key known" }, h("span", {}, `explained by this candidate, ${Math.round(100 * share)}% of the intensity below the precursor`)) : h("span", {}, "This candidate explains no peak. "),
      told.peaks.length ? h("span", { class: "key peak" }, h("span", {}, "not explained")) : null,
      told.below ? h("span", { class: "key paired" }, h("span", {}, "below, in both")) : null,
    ].filter(Boolean);
  }
  function point(n) {
    list.querySelectorAll(".on").forEach((row) => row.classList.remove("on"));
    if (n === null) { onMark?.([]); return said.replaceChildren(...usual()); }
    const peak = plot.peaks[n], e = known().get(n);
    list.querySelector(`[data-n="${n}"]`)?.classList.add("on");
    onMark?.(e?.atoms ? atomsOf(e.atoms) : []);
    said.replaceChildren(h("b", {}, `m/z ${peak.mz.toFixed(4)}`), ` · ${(100 * peak.share).toFixed(1)}%`, ...(e
      ? [" · ", ...formula(e.formula), `, ${signed(e.ppm, 1)} ppm`, e.p !== undefined ? `, probability ${e.p.toFixed(2)}` : "", " · ", h("span", { class: "mono" }, e.smiles)]
      : told ? [" · not explained by this candidate"] : []));
  }
  // The other way round: an atom of the drawing marks the peaks that hold it.
  function atom(k) {
    if (k === null || !told) { plot.mark(new Set()); onMark?.([]); return said.replaceChildren(...usual()); }
    const some = told.peaks.filter((e) => e.atoms && atomsOf(e.atoms).includes(k));
    plot.mark(new Set(some.map((e) => e.n)));
    onMark?.([k]);
    said.replaceChildren(h("b", {}, `Atom ${k + 1}`), some.length
      ? ` is in ${some.length} of ${told.peaks.length} explained peaks: ${some.slice(0, 8).map((e) => plot.peaks[e.n].mz.toFixed(4)).join(", ")}${some.length > 8 ? " ..." : ""}` : " is in no explained peak");
  }
  function table() {
    const some = told.peaks;
    if (!some.length) return list.replaceChildren();
    const open = list.querySelector("details")?.open;
    list.replaceChildren(h("details", { open }, h("summary", {}, `${some.length} of ${record.peaks.length} peaks explained`),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Explained peaks" }, h("table", { class: "peaks-known" },
        h("thead", {}, h("tr", {}, ...[["m/z", 1], ["height", 1], ["ion formula"], ["ppm", 1], ["probability", 1], ["substructure"]].map(([name, number]) => h("th", { scope: "col", class: number ? "number" : null }, name)))),
        h("tbody", {}, ...some.map((e) => {
          const peak = plot.peaks[e.n], ask = () => plot.pick(e.n, true);
          return h("tr", { class: "known-row", "data-n": e.n, tabindex: 0, onfocus: ask, onpointerenter: ask },
            h("td", { class: "number" }, peak.mz.toFixed(4)), h("td", { class: "number" }, `${(100 * peak.share).toFixed(1)}%`), h("td", {}, formula(e.formula)),
            h("td", { class: "number" }, signed(e.ppm, 1)), h("td", { class: "number" }, e.p === undefined ? "" : e.p.toFixed(2)), h("td", { class: "mono" }, e.smiles));
        }))))));
  }
  said.replaceChildren(...usual());
  return {
    node: h("div", {}, plot.node, said, list), atom,
    tell(answer) {
      told = answer;
      plot.tell(known(), answer.below);
      table();
      said.replaceChildren(...usual());
    },
    async hold(candidate) {
      const mine = ++turn;
      said.replaceChildren("Looking what this candidate explains ...");
      try {
        const answer = await compare(questionOf(record, candidate));
        if (mine !== turn) return;
        this.tell(answer);
        onCompared?.(answer);
      } catch (error) {
        if (mine === turn) said.replaceChildren(`What this candidate explains is not known: ${error.message}`);
      }
    },
  };
}

export function questionOf(record, candidate) {
  const asked = { smiles: candidate.smiles, peaks: record.peaks, modality: record.modality === "ei" ? "ei" : "msms" };
  const more = { precursor_mz: record.precursor_mz, adduct: candidate.adduct || record.adduct, energy: record.collision_energy, instrument: record.instrument_type };
  for (const [name, value] of Object.entries(more)) if (value !== undefined && value !== null && value !== "") asked[name] = value;
  return asked;
}

export function explainedShare(peaks, known, precursor) {
  const inside = peaks.filter((p) => p.mz < (precursor || Infinity) - 0.5);
  const all = inside.reduce((sum, p) => sum + p.share, 0);
  return all ? inside.filter((p) => known.has(p.n)).reduce((sum, p) => sum + p.share, 0) / all : 0;
}
