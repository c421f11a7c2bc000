// A run: its features as a table to filter and sort, each with everything that is known of it.
import { formula, h, percent } from "../../shared/elements.js";
import { longTable } from "../parts/longtable.js";
import { openRun } from "../parts/store.js";
import { featureView, nameOf } from "./feature.js";

export async function result(job, _, rest, signal) {
  if (!job.results.some((one) => one.name === "report.html")) return { node: h("p", { class: "empty" }, "This job left no report.") };
  const store = await openRun(job.id, signal);
  const { rows } = store;
  if (!rows.length) return { node: h("p", { class: "empty" }, "No feature was found in these files.") };
  const byId = new Map(rows.map((r, k) => [r.id, k]));
  const share = (r) => r.p ?? r.first ?? null;
  const table = longTable({
    label: "Features", rows, rest, signal, base: `#/job/${job.id}`, chunkKey: (k) => rows[k].id, sorting: { by: "p", down: true },
    columns: [
      { key: "id", title: "id", value: (r) => r.id },
      { key: "mz", title: "m/z", number: true, value: (r) => r.mz, cell: (r) => r.mz.toFixed(4) },
      { key: "time", title: "min", number: true, value: (r) => r.time ?? null, cell: (r) => r.time?.toFixed(2) ?? "" },
      { key: "area", title: "area", number: true, down: true, value: (r) => r.area ?? null, cell: (r) => r.area?.toExponential(2) ?? "" },
      { key: "level", title: "level", level: true, value: (r) => r.level ?? "" },
      { key: "name", title: "first candidate", value: nameOf, cell: named },
      { key: "ion", title: "ion", value: (r) => r.ion ?? "" },
      { key: "p", title: "probability", number: true, down: true, share: true, value: share },
      { key: "q", title: "q-value", number: true, value: (r) => r.q ?? null, cell: (r) => r.q?.toFixed(3) ?? "" },
      { key: "candidates", title: "candidates", number: true, down: true, value: (r) => r.candidates || null },
    ],
    choices: [{ title: "ion", value: (r) => r.ion ?? "" }, { title: "polarity", value: (r) => ({ "+": "positive", "-": "negative" })[r.mode] ?? "" }],
    words: (r) => `${r.id} ${r.mz.toFixed(4)} ${r.name ?? ""} ${r.formula ?? ""} ${r.key ?? ""} ${r.ion ?? ""}`,
    panel: async (k, nav) => featureView(rows[k], await store.get(k), { nav, rows, byId, base: `#/job/${job.id}`, databases: store.databases }),
  });
  return { node: table.node, update: table.update, shown: table.shown };
}

function named(r) {
  const sum = !r.key && r.formula;
  return [
    r.key ? h("b", {}, r.name || formula(r.formula)) : h("span", { class: "soft" }, sum ? formula(sum) : nameOf(r)),
    h("span", { class: "under wide-only" }, sum ? `the likeliest formula, ${percent(r.fp)}` : r.name ? formula(r.formula || "") : "", r.key ? ` ${r.key}` : ""),
    h("span", { class: "under narrow-only" }, [`m/z ${r.mz.toFixed(4)}`, r.time !== undefined && r.time !== null ? `${r.time.toFixed(2)} min` : "", r.ion].filter(Boolean).join(" · ")),
  ];
}
