// The frame of the page: which view the address asks for, and what of the service is said above all of them.
import { h } from "../shared/elements.js";
import { GONE, key, Problem, setKey } from "./api.js";
import { problem } from "./parts/pieces.js";
import { count, service } from "./state.js";

const VIEWS = {
  "": () => import("./views/new.js"),
  new: () => import("./views/new.js"),
  jobs: () => import("./views/jobs.js"),
  job: () => import("./views/job.js"),
  service: () => import("./views/service.js"),
};
const main = document.getElementById("main");
let now = { base: null, view: null, leave: new AbortController() };

function parts() {
  return location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
}

async function show() {
  if (location.hash === "#main") return;
  const [name = "", ...rest] = parts();
  const base = name === "job" ? `job/${rest[0]}` : name;
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("header.top nav a"))) {
    const here = link.dataset.for === (name === "job" ? "jobs" : name || "new");
    if (here) link.setAttribute("aria-current", name === "job" ? "true" : "page");
    else link.removeAttribute("aria-current");
  }
  if (base === now.base && now.view?.update) return now.view.update(rest);
  now.leave.abort();
  const first = now.base === null;
  const leave = new AbortController();
  now = { base, view: null, leave };
  try {
    const module = await (VIEWS[name] || (() => import("./views/lost.js")))();
    if (leave.signal.aborted) return;
    const view = await module.show(rest, leave.signal);
    if (leave.signal.aborted) return;
    now.view = view;
    main.replaceChildren(view.node);
    document.title = view.title ? `${view.title} · molvis` : "molvis";
    view.shown?.();
    if (!first) (main.querySelector("h1") || main).focus({ preventScroll: true });
    if (!first) scrollTo(0, 0);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof Problem && error.status === 401) return askKey();
    // A part of the page that cannot be fetched is the service that does not answer.
    const gone = error instanceof TypeError && /import|module/i.test(error.message);
    main.replaceChildren(problem(gone ? new Problem(0, GONE) : error, () => { now.base = null; show(); }));
    if (error.status === 404) main.append(h("p", {}, h("a", { href: "#/jobs" }, "All jobs"), ", or ", h("a", { href: "#/new" }, "a new one"), "."));
    if (gone || error.status === 0) status();
  }
}

function askKey() {
  const field = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true });
  const form = h("form", {
    class: "card narrow", onsubmit: (event) => {
      event.preventDefault();
      setKey(field.value.trim());
      now.base = null;
      show();
      status();
    },
  }, h("h1", { tabindex: -1 }, "This service asks for a key"),
    key() ? h("p", { class: "problem", role: "alert" }, "The service does not know this key.") : null,
    h("p", { class: "soft" }, "Whoever runs the service gives out keys. This one is kept until the window is closed."),
    h("div", { class: "field" }, h("label", { for: "key" }, "API key"), field), h("button", { class: "main", type: "submit" }, "Go on"));
  main.replaceChildren(form);
  field.focus();
}

async function status() {
  const place = document.getElementById("status");
  try {
    const known = await service(true);
    const structures = (known.shared.libraries || []).reduce((all, one) => all + one.structures, 0);
    place.className = known.ready ? "ready" : "waiting";
    place.replaceChildren(known.ready ? (structures ? count(structures, "structure") : "ready") : "opening its libraries ...");
    if (!known.ready) setTimeout(status, 2000);
  } catch (error) {
    place.className = "gone";
    place.replaceChildren(error.status === 401 ? "needs a key" : "does not answer");
    if (error.status !== 401) setTimeout(status, 5000);
  }
}

addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
document.documentElement.classList.add("scripted");
show();
status();
