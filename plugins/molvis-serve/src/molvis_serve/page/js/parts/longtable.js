// A table of thousands of rows: those in sight are in the document, with a few above and below. It filters, sorts, is walked
// through by keys, and shows one row whole beside it.
import { bar, h, percent, tag } from "../../shared/elements.js";
import { problem } from "./pieces.js";

const LEVELS = ["1", "2a", "2b", "3", "4", "5", "-"];
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const narrow = () => matchMedia("(max-width: 1000px)").matches;

export function longTable(set) {
  const table = new LongTable(set);
  return { node: table.node, update: (rest) => table.follow(rest), shown: () => table.begin() };
}

class LongTable {
  constructor({ label, rows, columns, words, panel, rest, base, chunkKey, signal, choices = [], sorting = { by: null, down: false } }) {
    this.label = label;
    this.rows = rows;
    this.panelOf = panel;
    this.base = base;
    this.name = chunkKey;
    this.rest = rest;
    this.columns = columns.filter((c) => c.key === "name" || rows.some((r) => { const v = c.value(r); return v !== null && v !== undefined && v !== ""; }));
    this.words = rows.map((r) => words(r).toLowerCase());
    this.places = new Map(rows.map((_, k) => [chunkKey(k), k]));
    this.shownRows = [];
    this.active = -1;
    this.open = null;
    this.height = 45;
    this.sorting = sorting;
    this.leave = signal;
    this.build(choices);
  }

  build(choices) {
    const levels = this.columns.find((c) => c.level);
    const counts = levels && this.rows.reduce((all, r) => all.set(levels.value(r), (all.get(levels.value(r)) || 0) + 1), new Map());
    this.text = h("input", { type: "search", placeholder: "name, formula, m/z, InChIKey", "aria-label": `Search ${this.label.toLowerCase()}`, autocomplete: "off", spellcheck: "false" });
    this.levels = h("span", { class: "levels", role: "group", "aria-label": "Level" }, ...(counts ? LEVELS.filter((l) => counts.has(l)).map((l) => h("button", {
      type: "button", value: l, "aria-pressed": "false", "aria-label": `Level ${l}`, onclick: ({ currentTarget: b }) => { b.setAttribute("aria-pressed", String(b.getAttribute("aria-pressed") !== "true")); this.arrange(); },
    }, l, h("span", { class: "soft" }, counts.get(l).toLocaleString("en")))) : []));
    this.least = this.columns.some((c) => c.share) ? h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, "aria-label": "Least probability" }) : null;
    this.leastSaid = h("output", { class: "number" }, "0%");
    this.choices = choices.map(({ title, value }) => {
      const all = [...this.rows.reduce((some, r) => some.set(value(r), (some.get(value(r)) || 0) + 1), new Map())].filter(([v]) => v).sort((a, b) => b[1] - a[1]);
      return { value, few: all.length < 2, title, input: h("select", {}, h("option", { value: "" }, "any"), ...all.map(([v, n]) => h("option", { value: v }, `${v} (${n})`))) };
    });
    this.said = h("span", { class: "said-count", role: "status" });
    this.filters = h("form", { class: "filters", role: "search", onsubmit: (e) => e.preventDefault(), oninput: () => this.arrange() },
      this.text, this.levels, ...this.choices.filter((c) => !c.few).map((c) => h("label", { class: "extra" }, c.title, c.input)),
      this.least ? h("label", { class: "extra" }, "probability from", this.least, this.leastSaid) : null, h("span", { class: "tally" }, this.said));
    this.heads = h("tr");
    this.body = h("tbody");
    this.list = h("div", { class: "list", tabindex: 0, role: "region", "aria-label": this.label, onscroll: () => this.later(), onkeydown: (e) => this.key(e) },
      h("table", { "aria-label": this.label }, h("thead", {}, this.heads), this.body));
    this.panel = h("article", { class: "panel", hidden: true, tabindex: -1 });
    this.node = h("div", { class: "whole" }, this.filters, h("div", { class: "split" }, this.list, this.panel));
    this.text.addEventListener("keydown", (e) => { if (e.key === "ArrowDown") { e.preventDefault(); this.go(Math.max(this.active, 0)); } });
    this.node.addEventListener("keydown", (e) => { if (e.key === "Escape" && this.open !== null) this.close(); });
    new ResizeObserver(() => this.measure()).observe(this.list);
    this.print = () => this.draw(true);
  }

  begin() {
    this.drawHeads();
    this.arrange();
    this.measure();
    addEventListener("beforeprint", this.print, { signal: this.leave });
    addEventListener("afterprint", () => this.draw(), { signal: this.leave });
    this.follow(this.rest);
    if (this.open === null && !narrow() && this.shownRows.length && this.rows.length < 200) this.look(this.shownRows[0], false);
  }
  follow(rest) {
    const k = rest[0] === undefined ? null : this.places.get(rest[0]);
    if (k === undefined || k === this.open) return;
    if (k === null) this.close(false);
    else { this.active = this.shownRows.indexOf(k); if (this.active >= 0) this.go(this.active, false); this.look(k, true, false); }
  }

  drawHeads() {
    this.heads.replaceChildren(...this.columns.map((c) => h("th", {
      scope: "col", class: `c-${c.key}${c.number ? " number" : ""}`, "aria-sort": this.sorting.by === c.key ? (this.sorting.down ? "descending" : "ascending") : null,
    }, h("button", { type: "button", onclick: () => this.sortBy(c) }, c.title))));
  }
  sortBy(column) {
    this.sorting = { by: column.key, down: this.sorting.by === column.key ? !this.sorting.down : Boolean(column.down) };
    this.drawHeads();
    this.heads.children[this.columns.indexOf(column)].firstChild.focus();
    this.arrange();
  }
  order() {
    const column = this.columns.find((c) => c.key === this.sorting.by);
    const value = column.level ? (r) => LEVELS.indexOf(column.value(r)) : column.sort || column.value;
    const values = this.rows.map(value);
    const compare = values.some((v) => typeof v === "string") ? (a, b) => collator.compare(a, b) : (a, b) => a - b;
    const turn = this.sorting.down ? -1 : 1;
    const none = (v) => Number(v === null || v === undefined || v === "");
    return (i, j) => none(values[i]) - none(values[j]) || (none(values[i]) ? 0 : turn * compare(values[i], values[j])) || i - j;
  }
  arrange() {
    const asked = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const levels = new Set([...this.levels.children].filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.value));
    const level = this.columns.find((c) => c.level), share = this.columns.find((c) => c.share);
    const least = Number(this.least?.value || 0);
    const kept = [];
    for (let k = 0; k < this.rows.length; k++) {
      const r = this.rows[k];
      if (levels.size && !levels.has(level.value(r))) continue;
      if (least && !(share.value(r) >= least)) continue;
      if (this.choices.some((c) => c.input.value && String(c.value(r)) !== c.input.value)) continue;
      if (asked.length && !asked.every((word) => this.words[k].includes(word))) continue;
      kept.push(k);
    }
    if (this.sorting.by) kept.sort(this.order());
    this.shownRows = kept;
    this.active = kept.indexOf(this.open);
    this.leastSaid.textContent = least ? percent(least) : "0%";
    const all = `${this.rows.length.toLocaleString("en")} ${this.label.toLowerCase()}`;
    this.said.textContent = kept.length === this.rows.length ? all : `${kept.length.toLocaleString("en")} of ${all}`;
    this.list.scrollTop = 0;
    this.draw();
  }

  later() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }
  draw(everything = false) {
    const { list, shownRows: shown, height } = this;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.place;
    const first = everything ? 0 : Math.max(0, Math.floor(list.scrollTop / height) - 8);
    const last = everything ? Math.min(shown.length, 2000) : Math.min(shown.length, first + Math.ceil((list.clientHeight || 800) / height) + 18);
    const gap = (n) => h("tr", { class: "gap", "aria-hidden": "true" }, h("td", { style: `height:${n * height}px` }));
    const rows = [];
    if (first) rows.push(gap(first));
    for (let place = first; place < last; place++) rows.push(this.row(place));
    if (last < shown.length) rows.push(gap(shown.length - last));
    if (!shown.length) rows.push(h("tr", {}, h("td", { colspan: this.columns.length, class: "soft" }, "Nothing passes these filters.")));
    this.body.replaceChildren(...rows);
    this.body.parentElement.setAttribute("aria-rowcount", shown.length + 1);
    if (focused !== undefined) this.body.querySelector(`tr[data-place="${focused}"]`)?.focus({ preventScroll: true });
  }
  row(place) {
    const k = this.shownRows[place], r = this.rows[k];
    return h("tr", {
      "data-k": k, "data-place": place, "aria-rowindex": place + 2, tabindex: place === Math.max(this.active, 0) ? 0 : -1,
      "aria-selected": k === this.open ? "true" : null, onclick: () => { this.active = place; this.look(k); },
    }, this.columns.map((c) => h("td", { class: `c-${c.key}${c.number ? " number" : ""}` }, this.cell(c, r))));
  }
  cell(c, r) {
    if (c.cell) return c.cell(r);
    const value = c.value(r);
    if (value === null || value === undefined || value === "") return null;
    if (c.level) return tag(value);
    if (c.share) return [bar(value), h("span", { class: "figure" }, percent(value))];
    return String(value);
  }
  measure() {
    const one = this.body.querySelector("tr[data-k]");
    const now = one ? one.getBoundingClientRect().height : 0;
    const seen = this.list.clientHeight;
    if (now && Math.abs(now - this.height) > 0.5) {
      const place = this.list.scrollTop / this.height;
      this.height = now;
      this.list.scrollTop = place * now;
    } else if (seen === this.seen) return;
    this.seen = seen;
    this.draw();
  }
  // The rows that are there already say which of them is open and which is reached by the Tab key.
  mark() {
    for (const one of this.body.querySelectorAll("tr[data-k]")) {
      if (Number(one.dataset.k) === this.open) one.setAttribute("aria-selected", "true"); else one.removeAttribute("aria-selected");
      one.tabIndex = Number(one.dataset.place) === Math.max(this.active, 0) ? 0 : -1;
    }
  }

  go(place, focus = true) {
    const { list, height } = this;
    if (!this.shownRows.length) return;
    this.active = Math.max(0, Math.min(this.shownRows.length - 1, place));
    const top = this.active * height, head = this.heads.offsetHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height + head > list.scrollTop + list.clientHeight) list.scrollTop = top + height + head - list.clientHeight;
    if (this.body.querySelector(`tr[data-place="${this.active}"]`)) this.mark();
    else this.draw();
    if (focus) this.body.querySelector(`tr[data-place="${this.active}"]`)?.focus({ preventScroll: true });
  }
  key(event) {
    if (event.target.closest("thead")) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.height) - 2);
    const to = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: this.shownRows.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.go(to);
      clearTimeout(this.waiting);
      // Beside an open row the next one opens, once the key rests.
      if (this.open !== null && !narrow()) this.waiting = setTimeout(() => this.look(this.shownRows[this.active], false), 150);
    } else if (event.key === "Enter" && this.active >= 0) this.look(this.shownRows[this.active]);
  }

  async look(k, focus = true, write = true) {
    if (k === undefined) return;
    this.open = k;
    this.active = this.shownRows.indexOf(k);
    this.node.classList.add("open");
    this.panel.hidden = false;
    this.mark();
    if (write) history.replaceState(null, "", `${this.base}/${encodeURIComponent(this.name(k))}`);
    let content;
    try {
      content = await this.panelOf(k, this.steps());
    } catch (error) {
      content = problem(error, () => this.look(k));
    }
    if (this.open !== k) return;
    this.panel.replaceChildren(content);
    this.panel.scrollTop = 0;
    if (focus) this.panel.querySelector("h2")?.focus({ preventScroll: !narrow() });
  }
  steps() {
    const step = (by, said, sign) => h("button", { type: "button", "aria-label": said, title: said, disabled: this.shownRows[this.active + by] === undefined, onclick: () => { this.go(this.active + by, false); this.look(this.shownRows[this.active]); } }, sign);
    return h("nav", { "aria-label": this.label }, step(-1, "Previous", "↑"), step(1, "Next", "↓"), h("button", { type: "button", "aria-label": "Close", title: "Close (Escape)", onclick: () => this.close() }, "✕"));
  }
  close(write = true) {
    if (this.open === null) return;
    this.open = null;
    this.node.classList.remove("open");
    this.panel.hidden = true;
    if (write) history.replaceState(null, "", this.base);
    this.mark();
    this.go(Math.max(this.active, 0));
  }
}
