// Small pictures of one feature: isotopes in MS1, and its chromatogram.
import { s, ticks } from "./elements.js";

export function isotopes(measured, expected, mz) {
  const width = 300, base = 120, top = 16, left = 24, right = 24;
  const wanted = (expected || []).map(([apart, share_]) => [mz + apart, share_]);
  const tallest = Math.max(...measured.map((p) => p[1]), ...wanted.map((p) => p[1]));
  const all = [...measured, ...wanted].map((p) => p[0]);
  const low = Math.min(...all) - 0.4, high = Math.max(...all, low + 3) + 0.4;
  const x = (m) => left + ((m - low) / (high - low)) * (width - left - right), y = (v) => base - (v / tallest) * (base - top);
  // Both are held against the same peak, the monoisotopic one.
  const own = measured.reduce((a, b) => (Math.abs(b[0] - mz) < Math.abs(a[0] - mz) ? b : a))[1] || 1;
  const parts = measured.map((p) => s("rect", { class: "measured", x: x(p[0]) - 4, y: y(p[1]), width: 8, height: base - y(p[1]) }));
  parts.push(...wanted.map((p) => s("rect", { class: "expected", x: x(p[0]) - 7, y: y(Math.min(p[1] * own, tallest)), width: 14, height: base - y(Math.min(p[1] * own, tallest)) })));
  parts.push(s("line", { class: "axis", x1: 0, x2: width, y1: base, y2: base }));
  parts.push(...measured.map((p) => s("text", { x: x(p[0]), y: base + 14, "text-anchor": "middle" }, p[0].toFixed(p[0] < 1000 ? 2 : 1))));
  return s("svg", { class: "plot", viewBox: `0 0 ${width} 142`, role: "img", "aria-label": "isotope pattern" }, ...parts);
}
export function chromatogram(trace) {
  const width = 300, base = 120, top = 10;
  const low = trace[0][0], high = trace[trace.length - 1][0];
  const x = (t) => 6 + ((t - low) / (high - low || 1)) * (width - 12), y = (v) => base - v * (base - top);
  const line = trace.map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  const minutes = (t) => (t / 60).toFixed(2);
  return s("svg", { class: "plot", viewBox: `0 0 ${width} 142`, role: "img", "aria-label": `chromatogram from ${minutes(low)} to ${minutes(high)} min` },
    s("polygon", { class: "area", points: `${x(low)},${base} ${line} ${x(high)},${base}` }), s("line", { class: "axis", x1: 0, x2: width, y1: base, y2: base }),
    ...ticks(low / 60, high / 60, 4).map((t) => s("text", { x: x(60 * t), y: base + 14, "text-anchor": "middle" }, String(t))),
    s("text", { x: width - 2, y: base + 14, "text-anchor": "end" }, "min"));
}
