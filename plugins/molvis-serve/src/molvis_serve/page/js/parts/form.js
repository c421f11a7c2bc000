// A form made from what an operation says of its options (JSON Schema), so that those of any plugin appear by themselves.
import { h } from "../../shared/elements.js";
import { readPeaks, readRecord } from "./peaks.js";

// The few that most people set; an operation that is not here shows those that are required, and its first few.
const FIRST = {
  identify: ["library", "adduct", "adducts", "together", "ccs", "formula", "classes"],
  annotate: ["library", "adducts", "fdr", "ppm", "blank_ratio"],
};
const PASTED = ["peaks", "precursor_mz", "energy", "instrument", "name"];
const FEW = 5;
const ADDUCTS = ["[M+H]+", "[M+Na]+", "[M+NH4]+", "[M+K]+", "[M-H2O+H]+", "[M-H]-", "[M+Cl]-", "[M+HCOO]-", "[M+CH3COO]-"];
const SPELT = { precursor_mz: "precursor m/z", ms1_ppm: "MS1 tolerance, ppm", ccs: "CCS", ppm: "mass tolerance, ppm", smiles: "SMILES", fdr: "false-discovery rate", together: "all of one unknown", classes: "classes of the unknown", blank_ratio: "least ratio to blanks" };
export const spelt = (name) => { const said = SPELT[name] || name.replaceAll("_", " "); return said[0].toUpperCase() + said.slice(1); };

export function isPeaks(schema) { return schema.type === "array" && schema.items?.type === "array"; }
export const takesPeaks = (operation) => Object.values(operation.options.properties).some(isPeaks);

/** @param {import("../api.js").Operation} operation @param {import("../api.js").Shared} shared */
export function optionForm(operation, shared) {
  const { properties, required = [] } = operation.options;
  const controls = new Map();
  // Of one library there is nothing to choose.
  const names = Object.keys(properties).filter((name) => name !== "library" || properties.library.enum?.length > 1);
  for (const name of names) controls.set(name, control(name, properties[name], required.includes(name), shared));
  const pasted = takesPeaks(operation) ? PASTED.filter((name) => controls.has(name)) : [];
  const others = names.filter((name) => !pasted.includes(name));
  const wanted = FIRST[operation.name] || others.filter((name, n) => required.includes(name) || n < FEW);
  const isFlag = (name) => properties[name].type === "boolean";
  const first = others.filter((name) => wanted.includes(name) || required.includes(name)).sort((a, b) => Number(isFlag(a)) - Number(isFlag(b)));
  const later = others.filter((name) => !first.includes(name));
  const rows = (some) => h("div", { class: "fields" }, some.map((name) => controls.get(name).node));
  const paste = pasted.length ? h("div", { class: "paste" }, rows(pasted)) : null;
  if (pasted.includes("peaks")) fillFromRecord(controls);
  return {
    paste,
    first: rows(first),
    later: later.length ? h("details", { class: "more" }, h("summary", {}, `Further options (${later.length})`), rows(later)) : null,
    control: (name) => controls.get(name),
    hasPeaks: () => pasted.includes("peaks") && controls.get("peaks").filled(),
    read(withPeaks) {
      const out = {};
      for (const [name, one] of controls) {
        if (!withPeaks && pasted.includes(name)) continue;
        const value = one.read();
        if (value !== undefined) out[name] = value;
      }
      return out;
    },
  };
}

// What else a pasted record says goes where it belongs.
function fillFromRecord(controls) {
  const area = controls.get("peaks").input;
  area.addEventListener("paste", () => setTimeout(() => {
    const { found, rest } = readRecord(area.value);
    if (!Object.keys(found).length) return;
    for (const [name, value] of Object.entries(found)) {
      const one = controls.get(name);
      if (one && !one.input.value) one.input.value = String(value);
    }
    area.value = rest.trim();
    area.dispatchEvent(new Event("input"));
  }));
}

export class Wrong extends Error {
  constructor(input, message) {
    super(message);
    this.input = input;
  }
}

function control(name, schema, required, shared) {
  const id = `option-${name}`;
  if (schema.type === "boolean") return flag(id, name, schema);
  const said = help(id, schema);
  const made = isPeaks(schema) ? peaks(id, schema) : schema.enum ? choice(id, schema, required, name === "library" ? librariesBy(shared) : undefined)
    : schema.type === "array" ? texts(id, name, schema) : line(id, name, schema, required);
  made.input.setAttribute("aria-describedby", `${id}-help`);
  made.node = h("div", { class: `field${made.wide ? " wide" : ""}` },
    h("label", { for: id }, spelt(name), required ? h("span", { class: "soft" }, " (needed)") : null), made.input, made.below || null, said);
  return made;
}

// What stands between backticks is to be typed as it is.
function help(id, schema) {
  return h("p", { class: "help", id: `${id}-help` }, (schema.description || "").split("`").map((part, n) => (n % 2 ? h("code", { class: "mono" }, part) : part)));
}

function flag(id, name, schema) {
  const input = h("input", { type: "checkbox", id, "aria-describedby": `${id}-help`, checked: schema.default === true });
  return {
    input,
    node: h("div", { class: "field flag" }, h("label", { for: id }, input, " ", spelt(name)), help(id, schema)),
    filled: () => input.checked !== (schema.default === true),
    read: () => (input.checked === (schema.default === true) ? undefined : input.checked),
  };
}

const librariesBy = ({ libraries = [] }) => {
  const sizes = new Map(libraries.map((one) => [one.name, one.structures.toLocaleString("en")]));
  return (value) => (value ? `${value} (${sizes.get(value) ?? "?"})` : "all together, the first with priority");
};

function choice(id, schema, required, called = (value) => value || "not set") {
  const input = h("select", { id },
    schema.default === undefined && !required ? h("option", { value: "" }, called("")) : null,
    ...schema.enum.map((value) => h("option", { value, selected: value === schema.default }, called(value))));
  return { input, filled: () => input.value !== (schema.default ?? ""), read: () => (input.value === (schema.default ?? "") ? undefined : input.value) };
}

function line(id, name, schema, required) {
  const isNumber = schema.type === "number" || schema.type === "integer";
  const long = !isNumber && schema.maxLength > 2000;
  const input = h(long ? "textarea" : "input", {
    id, required, rows: long ? 3 : null, spellcheck: "false", autocomplete: "off", inputmode: isNumber ? "decimal" : null,
    placeholder: schema.default !== undefined ? String(schema.default) : null,
    list: name === "adduct" ? `${id}-names` : null,
  });
  const below = name === "adduct" ? h("datalist", { id: `${id}-names` }, ...ADDUCTS.map((value) => h("option", { value }))) : null;
  const read = () => {
    const text = input.value.trim();
    if (!text) {
      if (required) throw new Wrong(input, `${spelt(name)} is needed.`);
      return undefined;
    }
    if (!isNumber) return text;
    const value = Number(text.replace(",", "."));
    const { minimum = -Infinity, maximum = Infinity } = schema;
    if (!Number.isFinite(value) || (schema.type === "integer" && !Number.isInteger(value))) throw new Wrong(input, `${spelt(name)} must be a${schema.type === "integer" ? " whole" : ""} number, not “${text.slice(0, 40)}”.`);
    if (value < minimum || value > maximum) throw new Wrong(input, `${spelt(name)} must be from ${minimum} to ${maximum}.`);
    return value;
  };
  return { input, below, wide: long, filled: () => Boolean(input.value.trim()), read };
}

function texts(id, name, schema) {
  const some = schema.items.enum;
  const single = !some && /^(adducts|ccs)$/.test(name);
  const input = h(single ? "input" : "textarea", { id, rows: single ? null : 2, spellcheck: "false", autocomplete: "off", placeholder: some ? some.slice(0, 4).join(", ") : single ? "separated by commas" : "one on each line" });
  const read = () => {
    const values = input.value.split(single || some ? /[,\n]/ : /\n/).map((one) => one.trim()).filter(Boolean);
    return values.length ? values : undefined;
  };
  return { input, wide: !single, filled: () => Boolean(input.value.trim()), read };
}

function peaks(id, schema) {
  const input = h("textarea", { id, rows: 8, spellcheck: "false", autocomplete: "off", class: "mono", placeholder: "138.0662 100\n110.0713 40\n195.0877 80" });
  const below = h("p", { class: "small count", role: "status" });
  input.addEventListener("input", () => {
    const { peaks: found, odd } = readPeaks(input.value);
    below.classList.toggle("bad", odd.length > 0);
    below.textContent = odd.length ? `Line ${odd[0].line} is no m/z with an intensity: ${odd[0].text}` : found.length ? `${found.length} peaks, m/z ${found[0][0]} to ${found.at(-1)[0]}` : "";
  });
  const read = () => {
    const { peaks: found, odd } = readPeaks(input.value);
    if (odd.length) throw new Wrong(input, `Line ${odd[0].line} of the peaks is no m/z with an intensity: ${odd[0].text}`);
    if (found.length > schema.maxItems) throw new Wrong(input, `${found.length} peaks; at most ${schema.maxItems} are taken.`);
    return found.length ? found : undefined;
  };
  return { input, below, wide: true, filled: () => Boolean(input.value.trim()), read };
}
