// A structure drawn from the few numbers of `molvis_files.sketch`, in colours that the page chooses, and marks behind
// its atoms.
import { s } from "./elements.js";

export function molecule(d, smiles) {
  const labels = d.t, margin = 16;
  const place = (k) => [d.x[k], d.y[k]];
  const width = Math.max(...d.x), deep = Math.max(...d.y);
  const wide = 8.5 * Math.max(0, ...Object.values(labels).map((t) => t.replace(/[<^]/g, "").length - 1));
  const side = margin + wide;
  const halo = s("g", {});
  const parts = [halo];
  const toward = (a, b, by) => {
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]], size = Math.hypot(dx, dy) || 1;
    return [a[0] + (dx / size) * by, a[1] + (dy / size) * by];
  };
  for (let n = 0; n < d.b.length; n += 3) {
    const [i, j, kind] = d.b.slice(n, n + 3);
    const from = place(i), to = place(j);
    const a = labels[i] ? toward(from, to, 9) : from, b = labels[j] ? toward(to, from, 9) : to;
    const size = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const [ux, uy] = [(to[0] - from[0]) / size, (to[1] - from[1]) / size];
    const line = (p, q) => parts.push(s("line", { x1: p[0].toFixed(1), y1: p[1].toFixed(1), x2: q[0].toFixed(1), y2: q[1].toFixed(1) }));
    const moved = (p, by) => [p[0] - uy * by, p[1] + ux * by];
    if (kind === 6) {
      const [l, r] = [moved(b, 4), moved(b, -4)];
      parts.push(s("path", { class: "wedge", d: `M${a} L${l} L${r} Z` }));
    } else if (kind === 7) {
      for (let step = 1; step <= 6; step++) {
        const middle = [a[0] + ((b[0] - a[0]) * step) / 6, a[1] + ((b[1] - a[1]) * step) / 6];
        line(moved(middle, 0.65 * step), moved(middle, -0.65 * step));
      }
    } else if (kind === 2) { line(moved(a, 2.6), moved(b, 2.6)); line(moved(a, -2.6), moved(b, -2.6)); } else {
      line(a, b);
      if (kind === 3) { line(moved(a, 5), moved(b, 5)); line(moved(a, -5), moved(b, -5)); }
      if (kind === 4 || kind === 5) {
        const by = kind === 5 ? 5.5 : -5.5;
        line(moved(labels[i] ? a : toward(from, to, 4), by), moved(labels[j] ? b : toward(to, from, 4), by));
      }
    }
  }
  for (const [k, text] of Object.entries(labels)) parts.push(label(text, ...place(Number(k))));
  const view = [-side, -margin, width + 2 * side, deep + 2 * margin];
  const scale = Math.min(1, 250 / view[2], 190 / view[3]);
  const svg = s("svg", { class: "mol", viewBox: view.join(" "), width: (view[2] * scale).toFixed(0), height: (view[3] * scale).toFixed(0), role: "img", "aria-label": smiles }, ...parts);
  return { svg, halo: (atoms) => halo.replaceChildren(...halos(d, atoms)) };
}
function label(text, x, y) {
  const ends = text[0] === "<";
  const bare = ends ? text.slice(1) : text;
  const element = (bare.replace(/^\^\d+/, "").match(ends ? /H\d*(?=[A-Z])([A-Z][a-z]?)/ : /[A-Z][a-z]?/) || [""]).slice(-1)[0];
  const one = s("text", { class: element, x: x + (ends ? 4.8 : -4.8), y: y + 4.7, "text-anchor": ends ? "end" : "start" });
  let before = 0;
  for (const piece of bare.match(/\^\d*[+-]?|\d+|[^\d^]+/g) || []) {
    const up = piece[0] === "^", down = /^\d/.test(piece), to = up ? -5 : down ? 3 : 0;
    one.append(s("tspan", { dy: to - before, "font-size": up || down ? 9.5 : null }, (up ? piece.slice(1) : piece).replace("-", "−")));
    before = to;
  }
  return one;
}
function halos(d, atoms) {
  const inside = new Set(atoms), alone = new Set(atoms);
  let path = "";
  for (let n = 0; n < d.b.length; n += 3) {
    const [i, j] = d.b.slice(n, n + 2);
    if (!inside.has(i) || !inside.has(j)) continue;
    alone.delete(i); alone.delete(j);
    path += `M${d.x[i]} ${d.y[i]}L${d.x[j]} ${d.y[j]}`;
  }
  for (const k of alone) path += `M${d.x[k]} ${d.y[k]}h.01`;
  return path ? [s("path", { class: "halo", d: path })] : [];
}
export function atomsOf(bits) {  // a number in base sixteen, a bit for each atom
  const found = [];
  [...bits].reverse().forEach((digit, n) => {
    const value = parseInt(digit, 16);
    for (let b = 0; b < 4; b++) if (value & (1 << b)) found.push(4 * n + b);
  });
  return found;
}
