// A mass spectrum: what a structure explains of it in one colour, another spectrum upside down below, and one peak in hand.
import { h, s } from "../../shared/elements.js";
import { createPlot } from "./plot.js";

// A formula in a picture: counts below the line, the charge above it.
function lowered(text) {
  let at = 0;
  return (text.match(/\d+|[+-]+|[^\d+-]+/g) || []).map((part) => {
    const to = /\d/.test(part) ? 3 : /[+-]/.test(part) ? -4 : 0, by = to - at;
    at = to;
    return s("tspan", { dy: by || null, "font-size": to ? 9.5 : null }, part.replace("-", "−"));
  });
}

// A text in one line, or in two where it is longer than so many letters.
function folded(text, most) {
  const at = text.length > most ? text.lastIndexOf(" ", most) : -1;
  return at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text];
}

const UP = 210, DOWN = 130, TOP = 26, FOOT = 34;

export function spectrumPlot({ peaks, precursor = null, label, caption, onPick }) {
  const highest = Math.max(...peaks.map((p) => p[1]), 1e-300);
  const all = peaks.map(([mz, intensity], n) => ({ mz, share: intensity / highest, n }));
  let explained = new Map(), below = null, pairs = [], on = null, withAtom = new Set();
  const ends = () => {
    const some = [...all.map((p) => p.mz), ...(below ? below.peaks.map((p) => p[0]) : []), ...(precursor ? [precursor] : [])];
    const [a, b] = [Math.min(...some), Math.max(...some)], edge = Math.max((b - a) * 0.04, 1);
    return [Math.max(0, a - edge), b + edge];
  };
  const holder = h("div", {});
  let plot;

  function build() {
    plot = createPlot({
      label, caption, height: UP + (below ? DOWN : 0) + FOOT, domain: ends(), axis: "m/z", least: 0.02, draw, help: "Arrows go from peak to peak.",
      onPoint: (mz, x, y, kind) => pick(nearest(x, y, kind === "mouse" ? 14 : 24)), onLeave: () => pick(null), onKey: key,
    });
    holder.replaceChildren(plot.node);
  }
  let xs = (mz) => mz;
  function nearest(x, y, reach) {
    let best = null, least = reach;
    for (const p of all) {
      const apart = Math.abs(xs(p.mz) - x) - 2 * p.share;
      if (apart < least) { least = apart; best = p.n; }
    }
    return best;
  }
  function key(name) {
    if (name === "at") return on === null ? null : all[on].mz;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[name];
    if (step) pick(on === null ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, on + step)), true);
    else if (name === "Home") pick(0, true);
    else if (name === "End") pick(all.length - 1, true);
    else if (name === "Escape") pick(null);
    else return false;
    return true;
  }
  function pick(n, follow = false) {
    if (n === on) return;
    on = n;
    if (follow && n !== null) plot.see(all[n].mz);
    plot.redraw();
    onPick?.(n);
  }

  function draw(view) {
    xs = view.x;
    const base = UP, inside = (mz) => mz >= view.low && mz <= view.high;
    const seen = all.filter((p) => inside(p.mz));
    const tallest = Math.max(...seen.map((p) => p.share), 1e-9);
    const y = (share) => base - Math.min(1, share / tallest) * (base - TOP);
    const sticks = (some, to) => some.map((p) => `M${view.x(p.mz).toFixed(1)} ${base}V${to(p).toFixed(1)}`).join("");
    const up = (p) => y(p.share);
    const parts = [];
    if (precursor && inside(precursor)) {
      const x = view.x(precursor);
      parts.push(s("line", { class: "precursor", x1: x, x2: x, y1: base, y2: 16 }),
        s("text", { x: x > view.width / 2 ? x + 3 : x - 3, y: 12, "text-anchor": x > view.width / 2 ? "end" : "start" }, `precursor ${precursor.toFixed(4)}`));
    }
    parts.push(s("path", { class: "peak", d: sticks(seen.filter((p) => !explained.has(p.n)), up) }),
      s("path", { class: "known", d: sticks(seen.filter((p) => explained.has(p.n)), up) }),
      s("path", { class: "with", d: sticks(seen.filter((p) => withAtom.has(p.n)), up) }));
    if (on !== null && inside(all[on].mz)) parts.push(s("path", { class: "on", d: sticks([all[on]], up) }), s("circle", { class: "on", cx: view.x(all[on].mz), cy: up(all[on]), r: 3.5 }));
    if (tallest < 0.995) parts.push(s("text", { x: view.left, y: 12 }, `top: ${(100 * tallest).toPrecision(2)}%`));
    if (below) parts.push(...mirrored(view, inside, base));
    parts.push(...labels(view, seen, y, base));
    return parts;
  }
  function mirrored(view, inside, base) {
    const others = below.peaks.map(([mz, share], n) => ({ mz, share, n })).filter((p) => inside(p.mz));
    const tallest = Math.max(...others.map((p) => p.share), 1e-9);
    const down = (some) => some.map((p) => `M${view.x(p.mz).toFixed(1)} ${base + 1}V${(base + 1 + (p.share / tallest) * (DOWN - 18)).toFixed(1)}`).join("");
    return [
      s("line", { class: "axis", x1: view.left, x2: view.right, y1: base + 0.5, y2: base + 0.5 }),
      s("path", { class: "peak", d: down(others.filter((p) => !pairs[p.n])) }), s("path", { class: "paired", d: down(others.filter((p) => pairs[p.n])) }),
      ...folded(below.label, (view.right - view.left) / 6.3).map((line, n, all) => s("text", { class: "side", x: view.left, y: base + DOWN - 6 - 14 * (all.length - 1 - n) }, line)),
    ];
  }
  // The highest are labelled first; a label that would lie over a peak or another label is left out.
  function labels(view, seen, y, base) {
    const boxes = [], out = [];
    const high = [...seen].sort((a, b) => b.share - a.share).slice(0, 40);
    for (const p of high) {
      if (out.length > view.width / 55) break;
      const known = explained.get(p.n), text = known ? known.formula : p.mz.toFixed(4), half = 3.7 * text.length;
      const middle = Math.min(Math.max(view.x(p.mz), view.left + half), view.right - half), line = y(p.share) - 6;
      const box = [middle - half, line - 12, middle + half, line + 2];
      if (line < 26 && precursor && Math.abs(view.x(precursor) - middle) < half + 130) continue;
      if (boxes.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) continue;
      if (high.some((o) => o !== p && Math.abs(view.x(o.mz) - middle) < half && y(o.share) < box[3] && y(o.share) < base)) continue;
      boxes.push(box);
      out.push(s("text", { class: known ? "known" : null, x: middle, y: line, "text-anchor": "middle" }, known ? lowered(text) : text));
    }
    return out;
  }

  build();
  return {
    node: holder, peaks: all, pick,
    mark(atoms) { withAtom = atoms; plot.redraw(); },
    tell(known, other) {
      explained = known;
      const changed = Boolean(other) !== Boolean(below);
      below = other;
      pairs = below ? below.peaks.map(([mz]) => all.some((p) => Math.abs(p.mz - mz) <= Math.max(0.005, mz * 1e-5))) : [];
      if (changed) build(); else plot.redraw();
    },
  };
}
