import { h } from "../../shared/elements.js";

export async function show() {
  return { title: "Not here", node: h("section", { class: "empty" }, h("h1", { tabindex: -1 }, "There is no such page"),
    h("p", {}, h("a", { href: "#/" }, "Begin anew"), " or look at your ", h("a", { href: "#/jobs" }, "jobs"), ".")) };
}
