// What would be measured of structures: spectra, or numbers with their standard deviations.
import { h } from "../../shared/elements.js";
import { drawing } from "../parts/drawing.js";
import { measuredRecord } from "../parts/measured.js";
import { card, facts, sheet } from "../parts/pieces.js";
import { withError } from "./fit.js";

export async function result(job, found) {
  if (found.values) {
    return { node: card(null, sheet([{ title: "structure" }, { title: "of" }, { title: "predicted", number: true }],
      found.values.map((v) => [v.structure, v.column, withError(v.mean, v.sd)]), { label: "Predictions" })) };
  }
  return { node: h("div", {}, found.records.map((one) => {
    const record = measuredRecord({ modality: found.modality, peaks: one.peaks, precursor_mz: one.precursor_mz, adduct: one.adduct, collision_energy: one.collision_energy, instrument_type: one.instrument_type });
    return h("div", { class: "answer" }, card(one.structure, record ? record.node : facts(Object.entries(one).filter(([, v]) => typeof v !== "object"))),
      one.smiles ? h("section", { class: "card chosen" }, drawing(one.smiles), one.smiles === one.structure ? null : h("p", { class: "mono soft" }, one.smiles)) : null);
  })) };
}
