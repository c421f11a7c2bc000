// All jobs of this asker, the newest first; those that run tell how far they are.
import { h } from "../../shared/elements.js";
import * as api from "../api.js";
import { badge, problem } from "../parts/pieces.js";
import { lasted, titleOf, when } from "../state.js";

export async function show(_, signal) {
  const rows = new Map();
  const body = h("tbody");
  const told = h("div", { "aria-live": "polite" });
  const table = h("table", { class: "jobs" },
    h("thead", {}, h("tr", {}, ...["Job", "What", "State", "Begun", "Took", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "hidden" }, "Remove"))))), body);
  const holder = h("section", { class: "card", "aria-label": "Jobs" }, table);
  const node = h("div", {}, h("h1", { tabindex: -1 }, "Jobs"), told, holder);

  function draw(job) {
    const took = job.ended && job.started ? lasted(job.ended - job.started) : "";
    const cells = [
      h("td", { class: "soft what" }, titleOf(job.operation)),
      h("td", {}, badge(job.state), " ", job.state === "running" ? meter(job) : null, job.problem ? h("span", { class: "why" }, job.problem) : null),
      h("td", { class: "soft number begun" }, when(job.created)),
      h("td", { class: "soft number took" }, took),
    ];
    let row = rows.get(job.id);
    if (!row) {
      const link = h("a", { href: `#/job/${job.id}` }, job.title || titleOf(job.operation));
      row = h("tr", {}, h("td", { class: "first" }, link), h("td", {}, h("button", { type: "button", class: "quiet", onclick: () => drop(job) })));
      rows.set(job.id, row);
      body.append(row);
    }
    // What is pressed and followed stays as it is while the rest is drawn anew.
    const button = row.querySelector("button"), does = api.ended(job) ? "Remove" : "Cancel";
    button.textContent = does;
    button.setAttribute("aria-label", `${does} ${job.title || job.id}`);
    [...row.children].slice(1, -1).forEach((cell) => cell.remove());
    row.firstChild.after(...cells);
  }
  async function drop(job) {
    try {
      const left = await api.remove(job.id);
      told.replaceChildren();
      if (left) draw(left);
      else {
        rows.get(job.id).remove();
        rows.delete(job.id);
        empty();
      }
    } catch (error) {
      told.replaceChildren(problem(error));
    }
  }
  function empty() {
    holder.hidden = !rows.size;
    if (!rows.size) told.replaceChildren(h("p", { class: "empty" }, "There are no jobs. ", h("a", { href: "#/new" }, "Begin one."), " Jobs that have ended are kept for a while, then removed."));
  }
  function follow(job) {
    api.watch(job.id, (now) => { if (now && !signal.aborted) draw(now); }, signal).catch(() => {});
  }

  const all = await api.jobs();
  for (const job of all) draw(job);
  empty();
  all.filter((job) => !api.ended(job)).slice(0, 4).forEach(follow);
  return { title: "Jobs", node };
}

export function meter(job) {
  const { done, total, what } = job.progress;
  const said = total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  return h("span", { class: "meter" }, total ? h("progress", { max: total, value: done, "aria-label": what || "Progress" }) : null,
    h("span", { class: "soft small number" }, [what, said].filter(Boolean).join(", ")));
}
