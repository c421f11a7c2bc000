// Answers that no view knows: tables where they are tables, and else values by their names.
import { h } from "../../shared/elements.js";
import { card, facts, sheet } from "../parts/pieces.js";

const isRow = (value) => value && typeof value === "object" && !Array.isArray(value);
const plain = (value) => (typeof value === "number" ? String(+value.toPrecision(6)) : value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value).slice(0, 200) : String(value));

export async function result(job, found) {
  const single = Object.entries(found).filter(([, value]) => value === null || typeof value !== "object");
  const rest = Object.entries(found).filter(([, value]) => value !== null && typeof value === "object");
  return { node: h("div", {}, single.length ? card(null, facts(single.map(([name, value]) => [said(name), plain(value)]))) : null, ...rest.map(([name, value]) => part(name, value))) };
}
const said = (name) => name.replaceAll("_", " ");

export function part(name, value) {
  if (Array.isArray(value) && value.length && value.every(isRow)) {
    const keys = [...new Set(value.slice(0, 50).flatMap(Object.keys))].filter((key) => value.some((row) => row[key] === null || typeof row[key] !== "object")).slice(0, 12);
    return card(said(name), sheet(keys.map((key) => ({ title: said(key), number: value.every((row) => row[key] === null || row[key] === undefined || typeof row[key] === "number") })),
      value.slice(0, 500).map((row) => keys.map((key) => plain(row[key]))), { label: said(name) }), value.length > 500 ? h("p", { class: "small soft" }, `The first 500 of ${value.length}.`) : null);
  }
  if (Array.isArray(value)) return value.length ? card(said(name), h("ul", {}, value.slice(0, 200).map((one) => h("li", {}, plain(one))))) : "";
  return card(said(name), facts(Object.entries(value).map(([key, one]) => [said(key), plain(one)])));
}
