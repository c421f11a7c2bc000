// Fluxes: the network with its arrows, intervals, and what the data leave open.
import { h, short } from "../../shared/elements.js";
import { fluxMap } from "../../shared/fluxmap.js";
import { card, facts, sheet } from "../parts/pieces.js";

const CAPTIONS = { intervals: "Intervals", courses: "Labelling in time", distributions: "Measured and fitted distributions", posterior: "Posterior" };
const HINT = () => h("span", { class: "hint" }, "Point at an arrow, or reach it with the Tab key.");

export async function result(job, found) {
  const good = found.goodness || {};
  const { network, organs, ...others } = found.pictures || {};
  const pictures = Object.entries(others);
  const rows = found.fluxes.map((v) => ({ ...v, kind: v.name[0], reaction: v.name[1], verdict: v.kind }));
  const table = h("tbody", {}, rows.map((v) => h("tr", { "data-name": v.kind === "net" ? v.reaction : null },
    h("td", { class: "soft" }, v.kind), h("td", {}, v.reaction), h("td", { class: "number" }, number(v.value)), h("td", { class: "number" }, `${number(v.low)} to ${number(v.high)}`),
    h("td", {}, v.verdict), h("td", { class: "number" }, number(v.mean)))));
  const said = h("p", { class: "said", "aria-live": "polite" }, HINT());
  const point = (flow) => {
    table.querySelectorAll(".on").forEach((row) => row.classList.remove("on"));
    const v = flow && rows.find((one) => one.kind === "net" && one.reaction === flow);
    said.replaceChildren(...(v ? [h("b", {}, flow), ` · net ${number(v.value ?? v.mean)}, ${number(v.low)} to ${number(v.high)}, ${v.verdict}`] : [HINT()]));
    if (v) table.querySelector(`[data-name="${CSS.escape(flow)}"]`)?.classList.add("on");
  };
  return { node: h("div", {},
    found.problem ? h("p", { class: "problem" }, found.problem) : null,
    found.accepted === false && good.freedom ? h("p", { class: "problem" }, "The model does not explain the data: the sum of squares is larger than 97.5% of those expected. The intervals are too narrow then.") : null,
    card("Fit", facts([["sum of squares", number(good.ssr ?? found.ssr)], ["expected, 95%", good.freedom ? `${number(good.low)} to ${number(good.high)}` : "cannot be tested"], ["independent data", good.data], ["parameters seen", good.seen],
      ["starts that converged", found.converged ? `${found.converged.filter(Boolean).length} of ${found.starts.length}` : null]])),
    network ? card("Network", framed(network, "Flux map", "verdict certainty", point), said, h("p", { class: "note" }, "Width: net flux; colour: identifiability. Broken arrows are not identifiable; their widths are the posterior's means.")) : null,
    organs ? card("Organs", framed(organs, "Organs", "verdict", () => {})) : null,
    ...pictures.map(([name, svg]) => card(CAPTIONS[name] || name, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": CAPTIONS[name] || name }, h("img", { class: "picture", alt: `${CAPTIONS[name] || name} of the fit`, src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}` })))),
    card("Fluxes", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Fluxes" }, h("table", {}, h("thead", {}, h("tr", {}, ...[["kind"], ["reaction"], ["estimate", 1], [`${Math.round(100 * (found.level || 0.95))}% interval`, 1], ["identifiability"], ["posterior mean", 1]].map(([name, right]) => h("th", { scope: "col", class: right ? "number" : null }, name)))), table))),
    Array.isArray(found.data) ? card("Data", sheet([{ title: "experiment" }, { title: "measurement" }, { title: "numbers", number: true }, { title: "sum of squares", number: true }], [...found.data].sort((a, b) => b.ssr - a.ssr).map((one) => [one.experiment, one.target, one.measured?.length ?? "", number(one.ssr)]), { label: "Data" })) : null) };
}
const number = (x) => (x === null || x === undefined ? "" : short(x));

// A map as the program draws it, with the tools that its report has. Its rules are those of the page: the policy takes none
// that stand in the picture.
function framed(svg, label, colours, point) {
  const text = svg.replace(/<style>[^]*?<\/style>/, "");
  const drawn = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  const frame = h("div", { class: "flux-map", "data-colours": colours },
    h("div", { class: "view", tabindex: 0, role: "region", "aria-label": label }, drawn));
  frame.addEventListener("flux", (event) => point(/** @type {CustomEvent} */ (event).detail));
  // Its width is known once it stands in the page.
  requestAnimationFrame(() => fluxMap(frame));
  return frame;
}
