// What the service is: what it has open, what it can do, and its limits.
import { h } from "../../shared/elements.js";
import { card, facts, sheet } from "../parts/pieces.js";
import { count, operations, service, size, titleOf } from "../state.js";

export async function show() {
  const known = await service(true);
  const { bundle, libraries = [], ...others } = known.shared;
  const limits = known.limits;
  const begun = new Set((await operations()).map((one) => one.name));
  const rest = Object.entries(others).filter(([, value]) => typeof value !== "object");
  return {
    title: "Service",
    node: h("div", {}, h("h1", { tabindex: -1 }, "Service"),
      card("What is open", facts([
        ["version", known.version], ["bundle", bundle?.name], ["digest", bundle?.digest ? h("span", { class: "mono" }, bundle.digest.slice(0, 12)) : null],
        ["modalities", bundle?.modalities?.join(", ")], ...rest.map(([name, value]) => [name.replaceAll("_", " "), String(value)]),
      ]), libraries.length ? sheet([{ title: "library" }, { title: "structures", number: true }], libraries.map((one) => [one.name, one.structures.toLocaleString("en")]), { label: "Libraries" }) : null),
      card("Operations", sheet([{ title: "operation" }, { title: "what, and where" }, { title: "files" }],
        known.operations.map((one) => [
          begun.has(one.name) ? h("a", { href: `#/new/${one.name}` }, titleOf(one.name)) : titleOf(one.name),
          [one.summary, h("span", { class: "why mono" }, one.quick ? `POST /api/v1/${one.path}` : `POST /api/v1/${one.path}, a job`)], one.files.map((upload) => upload.name).join(", "),
        ]), { label: "Operations" })),
      card("Limits", facts([
        ["request for a job", size(limits.max_upload)], ["request answered at once", size(limits.max_call)], ["files of a request", limits.max_files],
        ["work of a job", `${Math.round(limits.job_seconds / 60)} min`], ["jobs that wait", count(limits.max_queued, "job")],
        ["jobs are kept", `${limits.keep_hours} h`], ["requests a minute", limits.rate || "no limit"],
      ])),
      card("For programs", h("p", {}, "The same by HTTP: ", h("a", { href: "docs" }, "description"), ", ", h("a", { href: "openapi.json" }, "OpenAPI"), ", ", h("a", { href: "metrics" }, "metrics"), "."))),
  };
}
