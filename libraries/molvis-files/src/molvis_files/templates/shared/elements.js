// What every page of molvis is made of: elements, and numbers as people read them. What others wrote goes into a page as
// text, never as markup.

export function h(tag, set, ...children) {
  const one = document.createElement(tag);
  for (const [key, value] of Object.entries(set || {})) {
    if (key.startsWith("on")) one.addEventListener(key.slice(2), value);
    else if (key === "style") one.style.cssText = value || "";  // a policy that forbids the attribute allows this
    else if (value !== null && value !== undefined && value !== false) one.setAttribute(key, value === true ? "" : value);
  }
  one.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return one;
}
export function s(tag, set, ...children) {
  const one = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(set || {})) if (value !== null && value !== undefined) one.setAttribute(key, value);
  one.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
  return one;
}
export const percent = (p) => (p === null || p === undefined ? "" : p >= 0.995 ? ">99%" : p < 0.01 ? "<1%" : `${Math.round(100 * p)}%`);
export const signed = (x, digits) => (x > 0 ? "+" : "") + x.toFixed(digits);
export const short = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 0.01 ? x.toExponential(2) : String(+x.toPrecision(4)));

export function formula(text) {
  return (text.match(/\d+|[+-]+|[^\d+-]+/g) || []).map((part) =>
    /\d/.test(part) ? h("sub", {}, part) : /[+-]/.test(part) ? h("sup", {}, part) : part);
}
export const tag = (level) => h("span", { class: `tag ${level < "2c" && level !== "-" ? "sure" : level === "3" ? "some" : ""}` }, level);
export const bar = (p) => h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: `width:${Math.round(100 * (p || 0))}%` }));

export function ticks(low, high, most) {
  const raw = (high - low) / most, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((x) => x * size).find((x) => x >= raw * (1 - 1e-9));
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9); t * step <= high * (1 + 1e-12) + 1e-300; t++) out.push(+(t * step).toPrecision(10));
  return out;
}
