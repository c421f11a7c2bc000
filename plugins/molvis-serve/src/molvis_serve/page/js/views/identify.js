// Identifications: one unknown as it is, many as a table beside the one that is looked at.
import { formula, h } from "../../shared/elements.js";
import { openResult } from "../parts/store.js";
import { longTable } from "../parts/longtable.js";
import { unknownView } from "./unknown.js";

export async function result(job, _, rest, signal) {
  const store = await openResult(job.id, signal);
  if (store.rows.length === 1) return { node: unknownView(await store.get(0)) };
  const rows = store.rows;
  const table = longTable({
    label: "Unknowns", rows, rest, signal, base: `#/job/${job.id}`, chunkKey: (k) => String(k + 1),
    columns: [
      { key: "name", title: "unknown and first candidate", sort: (r) => r.query, cell: (r) => [
        h("b", {}, r.query), h("span", { class: "under" }, r.problem || [r.name || "", r.name ? " · " : "", r.formula ? formula(r.formula) : "", r.n ? "" : "no candidate"]),
      ] },
      { key: "mz", title: "m/z", number: true, value: (r) => r.mz, cell: (r) => r.mz?.toFixed(4) ?? "" },
      { key: "ion", title: "ion", value: (r) => r.adduct || "", text: true },
      { key: "level", title: "level", level: true, value: (r) => r.level },
      { key: "p", title: "probability", number: true, down: true, share: true, value: (r) => r.p },
      { key: "candidates", title: "candidates", number: true, value: (r) => r.n },
    ],
    words: (r) => `${r.query} ${r.name || ""} ${r.formula || ""} ${r.key || ""} ${r.adduct || ""} ${r.mz?.toFixed(4) || ""}`,
    async panel(k, nav) {
      return unknownView(await store.get(k), { nav });
    },
  });
  return { node: h("div", {}, table.node), update: table.update, shown: table.shown };
}
