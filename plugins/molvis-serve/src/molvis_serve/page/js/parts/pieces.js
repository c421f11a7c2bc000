// Small pieces that several views show.
import { h } from "../../shared/elements.js";

export function problem(error, again) {
  return h("section", { class: "problem", role: "alert" },
    h("p", {}, String(error.message || error)),
    again ? h("button", { type: "button", onclick: again }, "Try again") : null);
}

const STATES = {
  queued: "waiting", running: "running", done: "done", failed: "failed", cancelled: "cancelled",
};
export const badge = (state) => h("span", { class: `state ${state}` }, STATES[state] || state);

export function facts(pairs) {
  const some = pairs.filter(([, said]) => said !== null && said !== undefined && said !== "");
  return h("dl", { class: "facts" }, ...some.map(([name, said]) => h("div", {}, h("dt", {}, name), h("dd", {}, said))));
}

// What is known of one thing, a name and a value on each line.
export function named(pairs) {
  const some = pairs.filter(([, said]) => said !== null && said !== undefined && said !== "");
  return h("dl", {}, ...some.flatMap(([name, said]) => [h("dt", {}, name), h("dd", { class: "number" }, said)]));
}

export function sheet(columns, rows, set = {}) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": set.label || "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, ...columns.map((c) => h("th", { scope: "col", class: c.number ? "number" : null }, c.title)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...columns.map((c, n) => h("td", { class: c.number ? "number" : null }, row[n])))))));
}

export const card = (title, ...children) => h("section", { class: "card" }, title ? h("h2", {}, title) : null, ...children);
