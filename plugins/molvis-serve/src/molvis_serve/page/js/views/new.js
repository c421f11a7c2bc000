// Where work begins: files or peaks, what is to be done with them, and how.
import { h } from "../../shared/elements.js";
import * as api from "../api.js";
import { fieldFor, fileZone, takeDrops } from "../parts/files.js";
import { optionForm, takesPeaks, Wrong } from "../parts/form.js";
import { badge, problem } from "../parts/pieces.js";
import { operations, service, size, titleOf, when } from "../state.js";

const ORDER = ["identify", "annotate", "explain", "predict"];

export async function show([wanted], signal) {
  const [known, all] = await Promise.all([service(), operations()]);
  all.sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
  if (!all.length) return { node: h("section", { class: "empty" }, h("h1", { tabindex: -1 }, "Nothing is offered"), h("p", {}, "No operation is installed beside this service.")) };
  const page = new Composer(known, all, wanted, signal);
  return { title: "New", node: page.node, shown: () => page.recent(), update: ([name]) => page.choose(name, true) };
}
const place = (operation) => (ORDER.indexOf(operation.name) + 1 || ORDER.length + 1);

class Composer {
  /** @param {api.Info} known @param {api.Operation[]} all @param {string | undefined} wanted @param {AbortSignal} signal */
  constructor(known, all, wanted, signal) {
    this.known = known;
    this.all = all;
    this.signal = signal;
    this.byHand = Boolean(wanted);
    this.zone = fileZone({ said: "", changed: (files) => this.suggest(files) });
    this.choices = h("div", { class: "choices", role: "radiogroup", "aria-label": "What is to be done" });
    this.said = h("p", { class: "soft" });
    this.form = h("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.send(); } });
    this.tabs = h("div", { class: "segments", role: "group", "aria-label": "Where the spectrum comes from" });
    this.told = h("div", { "aria-live": "assertive" });
    this.title = h("input", { id: "title", maxlength: 200, autocomplete: "off" });
    this.button = h("button", { class: "main", type: "submit" }, "Start");
    this.last = h("aside", { class: "recent", "aria-label": "Recent jobs" });
    this.node = h("div", { class: "begin" },
      h("div", {}, h("h1", { tabindex: -1 }, "What was measured?"), this.form), this.last);
    takeDrops(this.zone, signal);
    this.mode = "files";
    this.choose(wanted || all[0].name);
  }

  choose(name = this.all[0].name, byHand = false) {
    if (name === this.operation?.name) return;
    const kept = this.kept();
    this.byHand ||= byHand;
    this.operation = this.all.find((one) => one.name === name) || this.all[0];
    this.options = optionForm(this.operation, this.known.shared);
    for (const [key, value] of kept) {
      const one = this.options.control(key);
      if (one && one.input.type !== "checkbox") one.input.value = value;
    }
    this.options.control("peaks")?.input.dispatchEvent(new Event("input"));
    this.draw();
  }
  kept() {
    const fields = this.operation ? Object.keys(this.operation.options.properties) : [];
    return fields.map((key) => [key, this.options.control(key).input.value]).filter(([, value]) => value);
  }

  draw() {
    const { operation, options } = this;
    const both = operation.files.length > 0 && options.paste;
    if (!operation.files.length) this.mode = "paste";
    else if (!options.paste) this.mode = "files";
    this.choices.replaceChildren(...this.all.map((one) => this.choice(one)));
    this.said.replaceChildren(operation.summary);
    this.tabs.hidden = !both;
    this.tabs.replaceChildren(...[["files", "Files"], ["paste", "Paste peaks"]].map(([mode, text]) => h("button", {
      type: "button", "aria-pressed": String(this.mode === mode), onclick: () => { this.mode = mode; this.draw(); },
    }, text)));
    this.zone.draw(operation);
    const source = h("fieldset", { class: "card" }, h("legend", {}, "Measurement"), this.tabs,
      this.mode === "files" ? this.zone.node : options.paste);
    const what = h("fieldset", { class: "card" }, h("legend", {}, "What to do"), this.choices, this.said, this.libraries(), options.first, options.later,
      h("div", { class: "field" }, h("label", { for: "title" }, "Name of the job"), this.title));
    this.form.replaceChildren(...(this.hasSource() ? [source] : []), what, this.told,
      h("div", { class: "send" }, this.button, h("span", { class: "soft small" }, this.limits())));
  }
  hasSource() { return this.operation.files.length > 0 || Boolean(this.options.paste); }
  choice(one) {
    const radio = h("input", { type: "radio", name: "operation", id: `op-${one.name}`, value: one.name, checked: one === this.operation, onchange: () => {
      this.choose(one.name, true);
      this.choices.querySelector("input:checked").focus();
    } });
    return h("label", { class: "choice", for: `op-${one.name}`, title: one.summary }, radio, titleOf(one.name));
  }
  libraries() {
    const some = this.known.shared.libraries || [];
    if (!some.length || !["identify", "annotate"].includes(this.operation.name)) return null;
    const said = some.map((one) => `${one.name} (${one.structures.toLocaleString("en")})`).join(", ");
    const from = some.length > 1 ? `${some.length} libraries` : said;
    return h("p", { class: "small soft" }, `Candidates from ${from}, by the bundle ${this.known.shared.bundle?.name ?? ""}.`);
  }
  limits() {
    const { max_upload: bytes, max_files: files } = this.known.limits;
    return this.mode === "files" && this.operation.files.length ? `At most ${files} files, ${size(bytes)} together.` : "";
  }

  // The first files say what they want, as long as nobody has chosen.
  suggest(files) {
    this.mode = "files";
    if (!this.byHand && files.length) {
      const isRun = files.some(({ file }) => /\.mzml(\.gz)?$/i.test(file.name));
      const special = this.all.find((one) => one.files.some((upload) => upload.suffixes.length) && files.every(({ file }) => fieldFor(one, file) && one.files.some((upload) => upload.suffixes.length)));
      const name = isRun && this.all.some((one) => one.name === "annotate") ? "annotate"
        : fieldFor(this.operation, files[0].file) ? this.operation.name : special?.name;
      if (name && name !== this.operation.name) this.choose(name);
    }
    const together = this.options.control("together");
    if (together) together.node.classList.toggle("asked", files.length > 1);
    this.draw();
  }

  async send() {
    this.told.replaceChildren();
    const { operation } = this;
    const files = this.mode === "files" ? this.zone.used() : [];
    try {
      const options = this.options.read(this.mode === "paste" || !takesPeaks(operation));
      for (const upload of operation.files) {
        const n = files.filter((one) => one.field === upload.name).length;
        if (n < upload.least) throw new Wrong(document.getElementById("files"), `${upload.help} ${upload.least === 1 ? "At least one is" : `${upload.least} are`} needed.`);
        if (n > upload.most) throw new Wrong(document.getElementById("files"), `${upload.most} files are taken as ${upload.name}, not ${n}.`);
      }
      if (this.hasSource() && !files.length && this.mode === "files" && takesPeaks(operation)) throw new Wrong(document.getElementById("files"), "No file is chosen. Choose files, drop them here, or paste peaks.");
      this.button.disabled = true;
      this.button.textContent = "Sending ...";
      const job = await api.submit(operation.name, options, files, this.title.value.trim() || this.named(files, options));
      location.hash = `#/job/${job.id}`;
    } catch (error) {
      if (error instanceof Wrong) {
        this.told.replaceChildren(h("p", { class: "problem" }, error.message));
        error.input?.closest("details")?.setAttribute("open", "");
        error.input?.setAttribute("aria-invalid", "true");
        error.input?.addEventListener("input", () => error.input.removeAttribute("aria-invalid"), { once: true });
        error.input?.focus();
      } else this.told.replaceChildren(problem(error));
    } finally {
      this.button.disabled = false;
      this.button.textContent = "Start";
    }
  }
  named(files, options) {
    if (files.length) return files.length === 1 ? files[0].file.name : `${files[0].file.name} and ${files.length - 1} more`;
    return String(options.name || options.smiles || (options.precursor_mz ? `m/z ${options.precursor_mz}` : titleOf(this.operation.name))).slice(0, 200);
  }

  async recent() {
    const some = await api.jobs(6).catch(() => []);
    if (this.signal.aborted) return;
    this.last.replaceChildren(h("h2", {}, "Recent jobs"), some.length
      ? h("ul", {}, ...some.map((job) => h("li", {}, h("a", { href: `#/job/${job.id}` }, job.title || titleOf(job.operation)),
        h("span", { class: "soft small" }, titleOf(job.operation), " · ", when(job.created)), badge(job.state))))
      : h("p", { class: "soft" }, "None yet. What you start is listed here, and has an address of its own."));
  }
}
