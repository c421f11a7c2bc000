// One job: how far it is, and once it is done what it found. The view that shows that follows from what the answer holds.
import { h } from "../../shared/elements.js";
import * as api from "../api.js";
import { badge, card, facts, problem } from "../parts/pieces.js";
import { lasted, size, titleOf, when } from "../state.js";

/** @type {[(job: api.Job, found: any) => boolean, () => Promise<any>][]} */
const KINDS = [
  [(job) => job.operation === "annotate", () => import("./run.js")],
  [(job) => job.operation === "identify", () => import("./identify.js")],
  [(job, found) => Array.isArray(found?.unknowns), () => import("./identify.js")],
  [(job, found) => Array.isArray(found?.explained), () => import("./explained.js")],
  [(job, found) => Array.isArray(found?.records) || Array.isArray(found?.values), () => import("./predicted.js")],
  [(job, found) => Boolean(found?.spectra?.[0]?.ppm || found?.spectrum?.ppm), () => import("./fit.js")],
  [(job, found) => Boolean(found?.fluxes && found.pictures), () => import("./flux.js")],
];

export async function show([id, ...rest], signal) {
  const first = await api.job(id);
  const page = new JobPage(first, signal, rest);
  return { title: first.title || titleOf(first.operation), node: page.node, update: ([, ...more]) => page.update(more), shown: () => page.begin() };
}

class JobPage {
  /** @param {api.Job} job @param {AbortSignal} signal @param {string[]} rest */
  constructor(job, signal, rest) {
    this.job = job;
    this.signal = signal;
    this.rest = rest;
    this.head = h("div", { class: "head" });
    this.body = h("div", {});
    this.node = h("div", {}, this.head, this.body);
    // Progress draws the head anew five times a second: a button that went meanwhile would not be pressed.
    this.button = h("button", { type: "button", onclick: () => this.drop() });
    this.right = h("span", { class: "right" }, this.button);
    this.named = h("h1", { tabindex: -1 }, job.title || titleOf(job.operation));
    this.state = h("span", {});
    this.head.append(this.named, this.state, this.right);
    this.draw();
  }
  draw() {
    const { job } = this;
    const took = job.started && job.ended ? ` · took ${lasted(job.ended - job.started)}` : "";
    this.button.textContent = api.ended(job) ? "Remove" : "Cancel";
    const files = job.results.length ? h("button", { type: "button", onclick: () => { this.files().scrollIntoView({ block: "center" }); this.files().querySelector("button")?.focus(); } }, "Files") : null;
    this.state.replaceChildren(badge(job.state), h("span", { class: "soft small number" }, `${titleOf(job.operation)} · ${when(job.created)}${took}`));
    if (files && this.right.children.length === 1) this.right.prepend(files);
    if (job.state !== "done") this.body.replaceChildren(this.progress());
  }
  files() { return this.node.querySelector(".results-files"); }

  begin() {
    if (this.job.state === "done") this.open();
    else if (!api.ended(this.job)) {
      api.watch(this.job.id, (now, error) => {
        if (this.signal.aborted) return;
        if (now) this.job = now;
        this.draw();
        if (error) this.body.append(h("p", { class: "soft", role: "status" }, `${error.message} It is tried again.`));
        if (now?.state === "done") this.open();
      }, this.signal).catch((error) => { if (error.name !== "AbortError") this.body.replaceChildren(problem(error)); });
    }
  }
  progress() {
    const { job } = this, { done, total, what } = job.progress;
    if (job.state === "failed") return h("div", {}, h("div", { class: "problem", role: "alert" }, h("span", {}, job.problem || "It failed, and did not say why.")), h("p", {}, h("a", { href: `#/new/${job.operation}` }, "Begin anew"), " with other files or options."), asked(job));
    if (job.state === "cancelled") return h("div", {}, h("p", { class: "empty" }, "This job was cancelled. It left no result."), asked(job));
    const said = job.state === "queued" ? (job.ahead ? `Waiting; ${job.ahead} before it.` : "Waiting for a free worker.") : [what || "Working", total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : ""].filter(Boolean).join(", ");
    return h("div", {}, h("div", { class: "progressing" },
      h("progress", job.state === "running" && total ? { max: total, value: done, "aria-label": "Progress" } : { "aria-label": "Progress" }),
      h("p", { role: "status" }, said), h("p", { class: "small soft" }, "You may leave this page; the job goes on, and this address shows it.")), asked(job));
  }

  async open() {
    if (this.opening) return;
    this.opening = true;
    this.body.replaceChildren(h("p", { class: "soft", role: "status" }, "Reading the result ..."));
    try {
      let found = null;
      let kind = KINDS.find(([fits]) => fits(this.job, null));
      if (!kind) {
        found = await api.result(this.job.id, this.signal);
        kind = KINDS.find(([fits]) => fits(this.job, found)) || [null, () => import("./plain.js")];
      }
      const module = await kind[1]();
      this.view = await module.result(this.job, found, this.rest, this.signal);
      if (this.signal.aborted) return;
      this.body.replaceChildren(this.view.node, filesCard(this.job), asked(this.job));
      this.view.shown?.();
    } catch (error) {
      if (error.name !== "AbortError") this.body.replaceChildren(problem(error, () => { this.opening = false; this.open(); }), filesCard(this.job));
    }
  }
  update(rest) { this.rest = rest; this.view?.update?.(rest); }
  async drop() {
    try {
      const left = await api.remove(this.job.id);
      if (left) { this.job = left; this.draw(); } else location.hash = "#/jobs";
    } catch (error) {
      this.body.prepend(problem(error));
    }
  }
}

function filesCard(job) {
  const some = job.results.filter((one) => !/^(parts|details)\//.test(one.name));  // those are what a run goes on from
  const own = [{ name: "result.json", bytes: null }];
  const line = (one) => h("li", {}, h("span", { class: "name" }, one.name), h("span", { class: `soft small${one.bytes === null ? "" : " number"}` }, one.bytes === null ? "the answer for programs" : size(one.bytes)),
    h("button", { type: "button", "aria-label": `Download ${one.name}`, onclick: () => (one.bytes === null ? saveResult(job) : api.download(job.id, one.name)) }, "Download"));
  return card("Files", h("ul", { class: "results-files" }, [...some, ...own].map(line)));
}
async function saveResult(job) {
  const answer = await fetch(api.address(`jobs/${job.id}/result`), { headers: api.headers() });
  const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: `${(job.title || job.operation).replace(/[^\w.-]+/g, "_")}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function asked(job) {
  const options = Object.entries(job.options).filter(([name, value]) => value !== null && value !== "" && name !== "peaks" && JSON.stringify(value).length < 300);
  const sent = Object.entries(job.files).map(([field, names]) => [field, names.join(", ")]);
  return h("details", { class: "more" }, h("summary", {}, "What was asked"),
    facts([...sent, ...options.map(([name, value]) => [name.replaceAll("_", " "), Array.isArray(value) ? value.join(", ") : String(value)])]));
}
