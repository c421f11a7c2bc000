// One feature of a run.
import { bar, formula, h, percent, short, signed, tag } from "../../shared/elements.js";
import { chromatogram, isotopes } from "../../shared/shapes.js";
import { drawing } from "../parts/drawing.js";
import { measuredRecord } from "../parts/measured.js";
import { card, named } from "../parts/pieces.js";

const present = (x) => x !== null && x !== undefined;
export const nameOf = (r) => r.name || r.formula || (r.problem === "no MS/MS" ? "no MS/MS" : "no candidate");

export function featureView(row, one, { nav, rows, byId, base, databases }) {
  const best = (one.candidates || [])[0];
  const told = [`m/z ${row.mz.toFixed(4)}`, present(row.time) ? `${row.time.toFixed(2)} min` : "", row.ion, { "+": "positive", "-": "negative" }[row.mode], row.area ? `area ${row.area.toExponential(2)}` : ""];
  const header = h("header", {}, h("h2", { tabindex: -1 }, best ? best.name || formula(best.formula) : `Feature ${row.id}`), nav,
    h("p", { class: "soft" }, `Feature ${row.id} · ${told.filter(Boolean).join(" · ")}`),
    h("p", { class: "level" }, row.level ? tag(row.level) : null, h("span", {}, one.evidence || row.problem || ""), present(row.q) ? h("span", { class: "soft" }, `q-value ${row.q.toFixed(3)}`) : null));
  const look = { made: null, record: null };
  const spectra = (one.spectra || []).length ? spectraCard(one, row, look) : null;
  return h("div", {}, header, best ? firstCard(best, row, look, databases) : null, spectra, shapes(one, row), one.candidates ? candidatesCard(one.candidates, row) : null, sharesCard(one),
    one.together ? card("Ions of the same unknown", near(one.together.filter((id) => id !== row.id).map((id) => [id, null]), rows, byId, base)) : null,
    one.near ? card("Similar spectra in this run", near(one.near, rows, byId, base)) : null, origin(one));
}

function links(ids, databases) {
  return ids.map(([id, href]) => {
    const [prefix] = id.split(":"), said = `${databases?.[prefix] || prefix} ${id.slice(prefix.length + 1)}`;
    return href ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, said) : h("span", {}, said);
  });
}
function firstCard(best, row, look, databases) {
  const rows = [
    ["probability", percent(best.joint ?? best.p)], ["none of these", present(row.among) ? percent(1 - row.among) : null], ["formula", h("span", {}, formula(best.formula))],
    ["ion", [best.ion, present(best.ppm) ? `${signed(-best.ppm, 1)} ppm` : ""].filter(Boolean).join(", ")], ["InChIKey", h("span", { class: "mono" }, best.key)], ["SMILES", h("span", { class: "mono" }, best.smiles)],
    ["in", best.ids ? h("span", { class: "links" }, links(best.ids, databases)) : null], ["listed by", (best.sources || []).join(", ")],
  ];
  const picture = drawing(best.smiles, { sketch: best.drawing, onDrawn: (made) => { look.made = made; }, onAtom: (k) => look.record?.atom?.(k) });
  return h("section", { class: "card chosen", "aria-label": "First candidate" }, picture, named(rows));
}

function spectraCard(one, row, look) {
  const holder = h("div", {});
  const show = (n) => {
    [...chips.children].forEach((b, k) => b.setAttribute("aria-pressed", String(k === n)));
    const { peaks, label } = one.spectra[n];
    const record = measuredRecord({ modality: "msms", peaks: peaks.map((p) => [p[0], p[1]]), precursor_mz: row.mz, adduct: label }, { onMark: (atoms) => look.made?.halo(atoms) });
    // Peaks that are explained are numbered as in the whole spectrum, of which the highest are here.
    const places = new Map(peaks.map((p, k) => [p[2], k]));
    if (n === 0 && one.explained) record.tell({ below: one.below, peaks: one.explained.filter((e) => places.has(e.n)).map((e) => ({ ...e, n: places.get(e.n) })) });
    else if (n === 0 && one.below) record.tell({ below: one.below, peaks: [] });
    look.record = record;
    holder.replaceChildren(record.node);
  };
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Collision energy" }, ...one.spectra.map((spectrum, n) => h("button", { type: "button", onclick: () => show(n) }, spectrum.label)));
  chips.hidden = one.spectra.length === 1;
  show(0);
  return card("MS/MS", chips, holder);
}

function shapes(one, row) {
  const some = [];
  if (one.isotopes) some.push(h("div", {}, h("h3", {}, "Isotopes in MS1"), isotopes(one.isotopes, one.expected, row.mz), one.expected ? h("p", { class: "small soft" }, "Outlined: what the first candidate's formula predicts.") : null));
  if (one.trace) some.push(h("div", {}, h("h3", {}, "Chromatogram"), chromatogram(one.trace)));
  return some.length ? card(null, h("div", { class: "twin" }, some)) : null;
}

function candidatesCard(all, row) {
  const none = present(row.among) ? h("li", { class: "none" }, h("span", { class: "rank" }), h("span", { class: "drawing" }), h("div", { class: "what" }, "None of these"), h("div", { class: "share" }, bar(1 - row.among), " ", h("span", { class: "figure" }, percent(1 - row.among)))) : null;
  return card("Candidates", h("ol", { class: "ranks" }, all.map((c, n) => {
    const p = c.joint ?? c.p, speaks = (c.evidence || []).map(([name, value]) => `${name} ${signed(value, 2)}`).join(", ");
    return h("li", {}, h("span", { class: "rank" }, n + 1), c.drawing ? drawing(c.smiles, { sketch: c.drawing }) : h("div", { class: "drawing small mono soft" }, c.smiles.slice(0, 60)),
      h("div", { class: "what" }, h("b", {}, c.name || formula(c.formula)), h("div", { class: "small soft" }, c.name ? [formula(c.formula), " · "] : null, [c.ion, present(c.ppm) ? `${signed(-c.ppm, 1)} ppm` : ""].filter(Boolean).join(" · ")),
        speaks ? h("details", { class: "small" }, h("summary", {}, "evidence"), h("p", { class: "soft" }, speaks)) : null),
      h("div", { class: "share" }, bar(p), " ", h("span", { class: "figure" }, percent(p))));
  }), none));
}

function sharesCard(one) {
  const why = new Map((one.adducts || []).map(([name, , reasons]) => [name, reasons.join("; ")]));
  const table = (title, rows) => h("div", {}, h("h3", {}, title), h("table", {}, h("tbody", {}, rows.map(([name, p, said]) => h("tr", {}, h("td", {}, name), h("td", { class: "number" }, bar(p), h("span", { class: "figure" }, percent(p))), h("td", { class: "soft small" }, said || ""))))));
  const some = [];
  if (one.ions) some.push(table("Which ion", one.ions.map(([name, p]) => [name, p, why.get(name)])));
  else if (one.adducts) some.push(table("Which ion, by what elutes beside it", one.adducts.slice(0, 6).map(([name, p, reasons]) => [name, p, reasons.join("; ")])));
  if (one.formulas) some.push(table("Which formula", one.formulas.map(([name, p]) => [h("span", {}, formula(name)), p])));
  if (one.classes) some.push(table("Which classes", one.classes));
  return some.length ? card(null, h("div", { class: "twin" }, some)) : null;
}

function near(some, rows, byId, base) {
  return h("div", { class: "chips" }, some.filter(([id]) => byId.has(id)).map(([id, similarity]) => {
    const r = rows[byId.get(id)];
    return h("a", { class: "as-button small", href: `${base}/${encodeURIComponent(id)}` }, nameOf(r), h("span", { class: "soft" }, ` ${id}, m/z ${r.mz.toFixed(4)}${similarity === null ? ` ${r.ion ?? ""}` : `, ${similarity.toFixed(2)}`}`));
  }));
}

function origin(one) {
  const areas = Object.entries(one.areas || {}), top = Math.max(...areas.map(([, area]) => area), 1e-300);
  const told = [present(one.start) ? `eluting from ${(one.start / 60).toFixed(2)} to ${(one.end / 60).toFixed(2)} min` : "", present(one.charge) ? `charge ${one.charge}` : "", one.scans ? `MS/MS scans ${one.scans.join(", ")}` : ""].filter(Boolean).join(" · ");
  if (!told && !areas.length && !one.usis && !one.notes) return null;
  return card("Where it was measured", told ? h("p", { class: "soft small" }, told) : null,
    one.usis ? h("p", { class: "links" }, one.usis.map((usi) => h("a", { class: "mono", href: `https://metabolomics-usi.gnps2.org/dashinterface/?usi1=${encodeURIComponent(usi)}`, target: "_blank", rel: "noopener noreferrer" }, usi))) : null,
    areas.length ? h("table", {}, h("tbody", {}, areas.map(([file, area]) => h("tr", {}, h("td", {}, file), h("td", { class: "number" }, short(area)), h("td", {}, bar(area / top)))))) : null,
    (one.notes || []).map((line) => h("p", { class: "note" }, line)));
}
