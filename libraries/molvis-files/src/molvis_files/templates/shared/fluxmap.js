// Maps of fluxes in a page: what a reaction carries is told where one points, and the map is made larger and moved.
import { h } from "./elements.js";

// The tools of a frame: an element `.flux-map` around a `.view` with the map. Where one points at a reaction, and where one
// leaves it, the frame has an event `flux` whose detail is its name, or null.
export function fluxMap(frame) {
  const svg = frame.querySelector("svg.fluxmap"), view = frame.querySelector(".view");
  if (!svg || !view) return;
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  const colours = (frame.dataset.colours || "").split(" ").filter(Boolean);
  const select = colours.length > 1 ? h("select", {}, colours.map((name) => h("option", {}, name))) : null;
  const find = h("input", { type: "search", size: 12 });
  const zoomer = (label, by, text) => h("button", { type: "button", "aria-label": label, onclick: () => (by ? set(zoom * by) : home()) }, text);
  frame.prepend(h("div", { class: "tools" },
    zoomer("larger", 1.25, "+"), zoomer("smaller", 0.8, "\u2212"), zoomer("whole width", 0, "whole width"),
    select ? h("label", {}, "colour ", select) : null, h("label", {}, "find ", find),
    h("span", { class: "soft small" }, "Point at an arrow, or reach it with Tab. Drag to move; Ctrl and the wheel zoom.")));
  frame.append(tip);
  const [wide, tall] = [svg.width.baseVal.value, svg.height.baseVal.value];
  const flows = [...svg.querySelectorAll(".flow[data-name]")];
  const told = new Map(flows.map((flow) => {
    const title = flow.querySelector("title"), text = title.textContent;
    title.remove();
    flow.setAttribute("role", "img");
    flow.setAttribute("aria-label", text.replaceAll("\n", "; "));
    return [flow, text];
  }));
  let zoom = 1;
  const whole = () => Math.min(1.4, (view.clientWidth || wide) / wide);
  const set = (next, at) => {
    const box = view.getBoundingClientRect(), [x, y] = at ? [at.clientX - box.left, at.clientY - box.top] : [view.clientWidth / 2, view.clientHeight / 2];
    const [u, v] = [(view.scrollLeft + x) / zoom, (view.scrollTop + y) / zoom];
    zoom = Math.min(8, Math.max(0.1, next));
    svg.style.width = `${wide * zoom}px`;
    svg.style.height = `${tall * zoom}px`;
    view.scrollTo(u * zoom - x, v * zoom - y);
  };
  const home = () => { set(whole()); view.scrollTo(0, 0); };
  home();
  // On a small screen letters would be too small to read: it begins larger, and is moved.
  if (view.clientWidth < 600) set(Math.max(whole(), 0.8));
  view.scrollTo(0, 0);
  const tell = (flow, x, y) => {
    const [name, ...lines] = told.get(flow).split("\n");
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: name }), ...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    tip.hidden = false;
    frame.dispatchEvent(new CustomEvent("flux", { detail: flow.dataset.name }));
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? Math.max(4, y - tip.offsetHeight - 12) : y + 18}px`;
  };
  const hush = () => {
    tip.hidden = true;
    frame.dispatchEvent(new CustomEvent("flux", { detail: null }));
  };
  flows.forEach((flow) => {
    flow.addEventListener("pointermove", (event) => { if (!moving) tell(flow, event.clientX, event.clientY); });
    flow.addEventListener("pointerleave", hush);
    flow.addEventListener("focus", () => {
      const box = flow.querySelector(".line").getBoundingClientRect();
      tell(flow, (box.left + box.right) / 2, (box.top + box.bottom) / 2);
    });
    flow.addEventListener("blur", hush);
  });
  frame.addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });
  view.addEventListener("wheel", (event) => {
    // The wheel alone goes on through the page.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    set(zoom * Math.exp(-0.0025 * event.deltaY), event);
  }, { passive: false });
  let moving = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    moving = [event.clientX + view.scrollLeft, event.clientY + view.scrollTop];
    view.setPointerCapture(event.pointerId);
    hush();
  });
  view.addEventListener("pointermove", (event) => { if (moving) view.scrollTo(moving[0] - event.clientX, moving[1] - event.clientY); });
  for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, () => { moving = null; });
  if (select) select.addEventListener("change", () => {
    for (const name of colours) svg.classList.toggle(`by-${name}`, name === select.value);
  });
  find.addEventListener("input", () => {
    const asked = find.value.trim().toLowerCase();
    const found = flows.filter((flow) => { const hit = asked && flow.dataset.name.toLowerCase().includes(asked); flow.classList.toggle("found", Boolean(hit)); return hit; });
    if (!found.length) return;
    const box = found[0].querySelector(".line").getBoundingClientRect(), outer = view.getBoundingClientRect();
    view.scrollBy((box.left + box.right - outer.left - outer.right) / 2, (box.top + box.bottom - outer.top - outer.bottom) / 2);
  });
  addEventListener("beforeprint", () => { svg.style.width = svg.style.height = ""; });
}
