// One unknown: what was measured, its candidates, and what the one that is looked at explains.
import { bar, formula, h, percent, signed, tag } from "../../shared/elements.js";
import { drawing } from "../parts/drawing.js";
import { measuredRecord, recordCaption } from "../parts/measured.js";
import { card, named } from "../parts/pieces.js";
import { count } from "../state.js";
import { sideBySide } from "./sidebyside.js";

const FIRST = 8;
// So many measurements are shown together from the start.
const ABREAST = 4;

export function unknownView(one, { heading = "h2", nav = null } = {}) {
  const view = new Unknown(one, Boolean(nav));
  const title = h(heading, { tabindex: -1 }, one.query || "Unknown");
  return h("div", {}, h("header", {}, title, nav, h("p", { class: "soft" }, ionLine(one)), levelLine(one)), ...view.parts());
}

function ionLine(one) {
  const { searched } = one;
  const scope = searched && { mass: `within ${searched.ppm} ppm`, formula: `of formula ${searched.formula}`, all: "all structures" }[searched.scope];
  return [
    one.precursor_mz ? `m/z ${one.precursor_mz.toFixed(4)}` : null, one.adduct ? `as ${one.adduct}` : null, one.mass ? `neutral mass ${one.mass.toFixed(4)} Da` : null,
    one.rt_min !== null && one.rt_min !== undefined ? `${one.rt_min.toFixed(2)} min` : null, one.spectra > 1 ? `${one.spectra} measurements` : null,
    searched ? `${count(one.n_candidates, "candidate")} ${scope} in ${searched.library} (${searched.structures.toLocaleString("en")})` : null,
  ].filter(Boolean).join(" · ");
}
export function levelLine(one) {
  if (!one.level) return null;
  return h("p", { class: "level" }, tag(one.level), h("span", {}, h("span", { class: "hidden" }, "Level: "), one.level_meaning ? `${one.level_meaning}: ` : "", one.level_evidence || ""));
}

class Unknown {
  constructor(one, inPanel) {
    this.one = one;
    this.inPanel = inPanel;
    this.picked = new Set();
    this.shown = [];
    this.made = null;
    this.side = card("Candidate");
    this.side.classList.add("chosen");
    this.list = h("ol", { class: "ranks" });
    this.more = h("div", {});
    this.compared = h("div", { "aria-live": "polite" });
  }

  parts() {
    const { one } = this;
    if (one.problem) return [h("p", { class: "problem" }, one.problem), this.measurements(), this.notes()].filter(Boolean);
    const measured = this.measurements();
    const ranks = one.candidates.length ? card("Candidates", this.list, this.more, this.compared)
      : card("Candidates", h("p", { class: "soft" }, "No structure of the library has this mass. What follows does not need one."));
    this.drawRanks();
    const out = [h("div", { class: "answer" }, h("div", {}, measured, ranks, this.shares(), this.notes()), one.candidates.length ? h("div", { class: "side" }, this.side) : null)];
    if (one.candidates.length) this.look(0);
    return out;
  }

  measurements() {
    const some = this.one.records || [];
    if (!some.length) return null;
    this.records = some.map((record) => measuredRecord(record, { onMark: (atoms) => this.made?.halo(atoms) }));
    const values = some.filter((record) => record.value !== undefined).map((record) => h("p", {}, `${record.modality.toUpperCase()} `, h("strong", { class: "number" }, record.value), record.modality === "ccs" ? " Å²" : "", record.adduct ? ` as ${record.adduct}` : ""));
    const plots = this.records.map((made, n) => [made, some[n]]).filter(([made]) => made);
    const holder = h("div", { class: "measurements" });
    const show = (k) => {
      [...chips.children].forEach((b, n) => b.setAttribute("aria-pressed", String(n === k)));
      this.shown = plots.map(([made]) => made).filter((_, n) => k === 0 || n === k - 1);
      holder.replaceChildren(...this.shown.map((made) => made.node));
      if (this.candidate) this.shown.forEach((made) => made.hold?.(this.candidate));
    };
    const titles = ["All", ...plots.map(([, record]) => recordCaption(record).split(" · ").slice(0, 3).join(" · "))];
    const chips = h("div", { class: "chips", role: "group", "aria-label": "Measurement" }, ...titles.map((title, k) => h("button", { type: "button", onclick: () => show(k) }, title)));
    chips.hidden = plots.length < 2;
    if (plots.length) show(plots.length > ABREAST ? 1 : 0);
    return card(some.length > 1 ? "Measurements" : "Measurement", values.length ? h("div", { class: "measured-values" }, values) : null, chips, holder);
  }

  drawRanks() {
    const { one } = this, all = one.candidates;
    this.list.replaceChildren(...all.slice(0, FIRST).map((c, n) => this.rank(c, n)), this.none());
    const rest = all.slice(FIRST), list = h("ol", { class: "ranks", start: FIRST + 1 });
    const fill = () => { if (!list.children.length) list.append(...rest.map((c, n) => this.rank(c, n + FIRST))); };
    this.more.replaceChildren(...(rest.length ? [h("details", { ontoggle: fill }, h("summary", {}, `${rest.length} further candidates`), list)] : []));
    // Paper shows what is folded up, where it is not too much.
    if (rest.length && rest.length <= 50) (globalThis.requestIdleCallback || setTimeout)(fill);
  }
  rank(c, n) {
    const p = c.probability_joint ?? c.probability;
    const pick = h("input", { type: "checkbox", onchange: () => { if (pick.checked) this.picked.add(n); else this.picked.delete(n); this.sideBySide(); } });
    return h("li", { "data-n": n },
      h("span", { class: "rank" }, c.rank), drawing(c.smiles),
      h("div", { class: "what" }, h("button", { type: "button", onclick: () => this.look(n, true) }, c.name || formula(c.formula)),
        h("div", { class: "small soft" }, c.name ? [formula(c.formula), " · "] : null, [c.adduct, c.mass_error_ppm !== null ? `${signed(-c.mass_error_ppm, 1)} ppm` : null].filter(Boolean).join(" · ")),
        h("label", { class: "pick" }, pick, "compare", h("span", { class: "hidden" }, ` ${c.name || c.smiles}`))),
      h("div", { class: "share" }, bar(p), " ", h("span", { class: "figure" }, percent(p))));
  }
  none() {
    const p = this.one.probability_among;
    if (p === null || p === undefined) return h("li", { class: "none" }, h("span", { class: "rank" }), h("span", { class: "drawing" }), h("div", { class: "what" }, "None of these"), h("div", { class: "share soft small" }, "not calibrated here"));
    const mark = bar(1 - p);
    mark.classList.add("none");
    return h("li", { class: "none" }, h("span", { class: "rank" }), h("span", { class: "drawing" }), h("div", { class: "what" }, "None of these", h("div", { class: "small" }, "the true structure is not in the library")),
      h("div", { class: "share" }, mark, " ", h("span", { class: "figure" }, percent(1 - p))));
  }

  look(n, asked = false) {
    const c = this.one.candidates[n];
    if (c === this.candidate) return;
    this.candidate = c;
    for (const item of this.list.parentNode?.querySelectorAll("li[data-n]") || this.list.children) {
      if (item.dataset.n === String(n)) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
    }
    this.made = null;
    this.picture = drawing(c.smiles, { onDrawn: (made) => { this.made = made; }, onAtom: (k) => this.shown.forEach((record) => record.atom?.(k)) });
    const links = Object.entries(c.links || {});
    const rows = [
      ["probability", percent(c.probability_joint ?? c.probability)], ["among these", c.probability_joint === null || c.probability_joint === undefined ? null : percent(c.probability)],
      ["formula", h("span", {}, formula(c.formula))], ["mass error", c.mass_error_ppm === null ? null : `${signed(-c.mass_error_ppm, 1)} ppm`],
      ["ion", c.adduct], ["InChIKey", h("span", { class: "mono" }, c.inchikey)], ["SMILES", h("span", { class: "mono" }, c.smiles)],
      ["in", links.length ? h("span", { class: "links" }, links.map(([id, href]) => h("a", { href, target: "_blank", rel: "noopener noreferrer" }, id))) : null],
      ["listed by", (c.sources || []).join(", ") || null],
    ];
    this.side.replaceChildren(h("h2", {}, `${c.rank}. `, c.name || formula(c.formula)), this.picture,
      h("div", {}, named(rows), this.evidence(c)));
    this.shown.forEach((record) => record.hold?.(c));
    if (asked && matchMedia("(max-width: 1000px)").matches) this.side.scrollIntoView({ block: "start" });
  }

  // How far each piece of evidence lies above the least among the candidates that are listed.
  evidence(c) {
    const names = Object.keys(c.evidence || {});
    if (!names.length) return null;
    const values = Object.fromEntries(names.map((name) => [name, this.one.candidates.map((o) => o.evidence[name] ?? 0)]));
    const widest = Math.max(...names.map((name) => Math.max(...values[name]) - Math.min(...values[name]))) || 1;
    const alone = this.one.candidates.length === 1;
    return h("details", { open: !this.inPanel }, h("summary", {}, "Evidence"), h("div", { class: "evidence" }, names.flatMap((name) => [
      h("span", {}, name), alone ? h("span") : bar((c.evidence[name] - Math.min(...values[name])) / widest), h("span", { class: "number" }, signed(c.evidence[name], 2)),
    ])));
  }

  sideBySide() {
    const some = [...this.picked].sort((a, b) => a - b).slice(0, 4).map((n) => this.one.candidates[n]);
    const record = (this.one.records || []).find((one) => one.peaks?.length);
    this.compared.replaceChildren(some.length > 1 ? sideBySide(some, record) : h("p", { class: "small soft" }, some.length ? "Choose one more to compare." : ""));
  }

  shares() {
    const { one } = this, found = [];
    const table = (title, rows) => h("div", {}, h("h3", {}, title), h("table", {}, h("tbody", {}, rows.map(([name, p]) => h("tr", {}, h("td", {}, name), h("td", { class: "number" }, bar(p), h("span", { class: "figure" }, percent(p))))))));
    const likeliest = (shares) => Object.entries(shares || {}).sort((a, b) => b[1] - a[1]).slice(0, 6).filter(([, p]) => p >= 0.005);
    if (likeliest(one.adducts).length) found.push(table("Which ion", likeliest(one.adducts)));
    if (likeliest(one.formulas).length) found.push(table("Which formula", likeliest(one.formulas).map(([name, p]) => [h("span", {}, formula(name)), p])));
    if (one.classes?.length) found.push(table("Which classes", one.classes.slice(0, 12).map((c) => [c.name, c.probability_overall ?? c.probability])));
    return found.length ? card(null, h("div", { class: "twin" }, found), one.classes?.length ? h("p", { class: "note" }, one.classes[0].probability_overall == null ? "Classes: the share of the candidates' probability that has them, given that the truth is among the candidates." : "Classes: whether or not the truth is among the candidates; known compounds with similar spectra count, too.") : null) : null;
  }
  notes() {
    const unjudged = (this.one.pieces_unjudged || []).map((name) => name.toUpperCase()).join(", ");
    const some = [...(this.one.contradictions || []).map((text) => `Contradiction: ${text}`), ...(unjudged ? [`Whether it is of this unknown was not looked at: ${unjudged}`] : []), ...(this.one.notes || []).map((text) => `Not used: ${text}`)];
    return some.length ? h("div", {}, some.map((text) => h("p", { class: "note" }, text))) : null;
  }
}
