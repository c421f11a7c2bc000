// A plot whose x axis zooms: by dragging over a range, by the wheel, with two fingers, by keys and by buttons. What is drawn is
// the caller's: `draw(view)` returns elements of SVG for the range in sight.
import { h, s, ticks } from "../../shared/elements.js";

const LEFT = 14, RIGHT = 14, FOOT = 34;

export function createPlot({ label, caption = "", height, domain, descending = false, axis = "", least = 1e-6, draw, onPoint, onLeave, onKey, help = "" }) {
  let [low, high] = domain;
  let width = 640, frame = 0, brush = null, pinch = null, panned = null;
  const picture = s("svg", { "aria-hidden": "true", height });
  const area = h("div", { class: "frame", tabindex: 0, role: "application", "aria-roledescription": "plot", "aria-label": `${label}. ${help} Plus and minus zoom, Shift with an arrow moves, 0 shows all.` }, picture);
  const whole = h("button", { type: "button", disabled: true, onclick: () => set(...domain) }, "Whole");
  const node = h("figure", { class: "plot" },
    h("div", { class: "tools" }, h("figcaption", { class: "caption" }, caption),
      h("div", { class: "zoom" }, h("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoom(0.5) }, "+"),
        h("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoom(2) }, "−"), whole)),
    area);

  const inner = () => width - LEFT - RIGHT;
  const toX = (value) => { const t = (value - low) / (high - low); return LEFT + (descending ? 1 - t : t) * inner(); };
  const toValue = (x) => { const t = (x - LEFT) / inner(); return low + (descending ? 1 - t : t) * (high - low); };

  function set(from, to) {
    const span = Math.min(Math.max(to - from, least), domain[1] - domain[0]);
    const middle = (from + to) / 2;
    low = Math.min(Math.max(middle - span / 2, domain[0]), domain[1] - span);
    high = low + span;
    whole.disabled = low <= domain[0] && high >= domain[1];
    redraw();
  }
  function zoom(by, at = (low + high) / 2) { set(at - (at - low) * by, at + (high - at) * by); }
  function pan(by) { const step = by * (high - low) * (descending ? -1 : 1); set(low + step, high + step); }
  function redraw() { frame ||= requestAnimationFrame(paint); }
  function paint() {
    frame = 0;
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const view = { x: toX, low, high, width, height, left: LEFT, right: width - RIGHT, foot: height - FOOT };
    const marks = ticks(low, high, Math.max(3, Math.floor(width / 90)));
    const digits = Math.max(0, ...marks.map((t) => (String(t).split(".")[1] || "").length));
    picture.replaceChildren(...draw(view).filter(Boolean),
      s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: height - FOOT + 0.5, y2: height - FOOT + 0.5 }),
      ...marks.map((t) => s("line", { class: "axis", x1: toX(t), x2: toX(t), y1: height - FOOT, y2: height - FOOT + 4 })),
      ...marks.map((t) => s("text", { x: toX(t), y: height - FOOT + 17, "text-anchor": toX(t) < 24 ? "start" : toX(t) > width - 24 ? "end" : "middle" }, t.toFixed(digits))),
      s("text", { x: width - RIGHT, y: height - 4, "text-anchor": "end" }, axis),
      ...(brush ? [s("rect", { class: "brush", x: Math.min(brush.from, brush.to), y: 0, width: Math.abs(brush.to - brush.from), height: height - FOOT })] : []));
  }

  const fingers = new Map();
  const place = (event) => { const box = area.getBoundingClientRect(); return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height]; };
  area.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [x] = place(event);
    fingers.set(event.pointerId, x);
    if (fingers.size === 2) {
      const [a, b] = [...fingers.values()];
      pinch = { values: [toValue(a), toValue(b)] };
      brush = panned = null;
    } else if (event.pointerType === "mouse" && !event.shiftKey) brush = { from: x, to: x };
    else panned = { x, low, high };
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, x);
    if (pinch && fingers.size === 2) {
      const [a, b] = [...fingers.values()], [u, v] = pinch.values;
      if (Math.abs(a - b) > 12) {
        const scale = (v - u) / (b - a) * (descending ? -1 : 1);
        const start = descending ? u - (width - RIGHT - a) * scale : u - (a - LEFT) * scale;
        set(start, start + scale * inner());
      }
    } else if (brush) { brush.to = x; redraw(); } else if (panned) {
      const by = ((panned.x - x) / inner()) * (panned.high - panned.low) * (descending ? -1 : 1);
      set(panned.low + by, panned.high + by);
    }
    if (!pinch) onPoint?.(toValue(x), x, y, event.pointerType);
  });
  const up = (event) => {
    fingers.delete(event.pointerId);
    if (brush && Math.abs(brush.to - brush.from) > 6) {
      const ends = [toValue(brush.from), toValue(brush.to)].sort((a, b) => a - b);
      brush = null;
      set(...ends);
    }
    brush = panned = null;
    if (fingers.size < 2) pinch = null;
    redraw();
  };
  area.addEventListener("pointerup", up);
  area.addEventListener("pointercancel", up);
  area.addEventListener("pointerleave", () => { if (!brush && document.activeElement !== area) onLeave?.(); });
  area.addEventListener("dblclick", () => set(...domain));
  // The wheel belongs to the page, until the plot has the focus or a key says that it is meant.
  area.addEventListener("wheel", (event) => {
    if (!(event.ctrlKey || event.metaKey || document.activeElement === area)) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / 600);
    else zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 250), toValue(place(event)[0]));
  }, { passive: false });
  area.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey && event.key === "ArrowLeft") pan(-0.2);
    else if (event.shiftKey && event.key === "ArrowRight") pan(0.2);
    else if (event.key === "+" || event.key === "=") zoom(0.6, onKey?.("at") ?? undefined);
    else if (event.key === "-") zoom(1 / 0.6, onKey?.("at") ?? undefined);
    else if (event.key === "0") set(...domain);
    else if (!onKey?.(event.key)) return;
    event.preventDefault();
  });
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now && now !== width) { width = now; redraw(); }
  }).observe(area);
  redraw();
  return { node, redraw, set, range: () => [low, high], see(value) { if (value < low || value > high) set(value - (high - low) / 2, value + (high - low) / 2); } };
}
