// Drawings of structures: the service says where their atoms are, the page draws them in its own colours.
import { h } from "../../shared/elements.js";
import { molecule } from "../../shared/molecule.js";
import { sketchOf } from "../state.js";

/** @param {string} smiles @param {{onDrawn?: (made: any) => void, onAtom?: (atom: number | null) => void, sketch?: any}} set */
export function drawing(smiles, { onDrawn, onAtom, sketch } = {}) {
  const node = h("div", { class: "drawing" });
  const draw = (found) => {
    if (!found) return node.replaceChildren(h("span", { class: "none" }, "cannot be drawn"));
    const made = molecule(found, `Structure ${smiles}`);
    if (onAtom) listen(made, found, onAtom);
    node.replaceChildren(made.svg);
    onDrawn?.(made);
  };
  if (sketch) draw(sketch);
  else sketchOf(smiles).then(draw, () => node.replaceChildren(h("span", { class: "none" }, "not drawn: the service does not answer")));
  return node;
}

// Pointing at an atom, or going from one to the next by arrows.
function listen(made, sketch, onAtom) {
  const { svg } = made, count = sketch.x.length;
  let now = null;
  const tell = (atom) => { if (atom !== now) { now = atom; onAtom(atom); } };
  svg.classList.add("atoms");
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-roledescription", "structure");
  svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. Arrows go from atom to atom.`);
  svg.addEventListener("pointermove", (event) => {
    const to = svg.getScreenCTM().inverse(), x = to.a * event.clientX + to.c * event.clientY + to.e, y = to.b * event.clientX + to.d * event.clientY + to.f;
    let best = null, least = 16;
    for (let k = 0; k < count; k++) {
      const apart = Math.hypot(sketch.x[k] - x, sketch.y[k] - y);
      if (apart < least) { least = apart; best = k; }
    }
    tell(best);
  });
  svg.addEventListener("pointerleave", () => tell(null));
  svg.addEventListener("blur", () => tell(null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") tell(null);
    else if (step) tell(now === null ? 0 : (now + step + count) % count);
    else return;
    event.preventDefault();
  });
}
