// Files that are dropped or chosen, each with the field of the operation that it goes into.
import { h } from "../../shared/elements.js";
import { size } from "../state.js";

const bare = (name) => name.toLowerCase().replace(/\.gz$/, "");
export const takes = (upload, file) => !upload.suffixes.length || upload.suffixes.some((ending) => bare(file.name).endsWith(ending));

export function fieldFor(operation, file) {
  const some = operation.files.filter((upload) => takes(upload, file));
  const named = some.find((upload) => upload.name !== operation.files[0].name && bare(file.name).includes(upload.name.replace(/s$/, "")));
  return (named || some[0])?.name ?? null;
}

// Dropped folders are walked; what the browser gives of them comes in pieces.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) found.push(await new Promise((done, failed) => entry.file(done, failed)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) break;
        for (const one of some) await walk(one);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

export function fileZone({ said, changed }) {
  let all = [], operation = null;
  const input = h("input", { type: "file", multiple: true, id: "files", class: "hidden", "aria-describedby": "files-said", onchange: () => { add([...input.files]); input.value = ""; } });
  const list = h("ul", { class: "files", "aria-label": "Files" });
  const hint = h("p", { class: "soft small", id: "files-said" }, said);
  const zone = h("div", { class: "drop" },
    input, h("label", { for: "files", class: "as-button" }, "Choose files"),
    h("p", {}, "or drop them anywhere on this page"), hint);

  function add(some) {
    all = [...all, ...some.filter((file) => !all.some((one) => one.file.name === file.name && one.file.size === file.size)).map((file) => ({ file, field: null }))];
    changed(all);
  }
  function drop(one) {
    all = all.filter((other) => other !== one);
    changed(all);
    (list.querySelector("button") || zone.querySelector("input")).focus();
  }
  function draw(next) {
    operation = next;
    for (const one of all) {
      const fits = operation.files.some((upload) => upload.name === one.field && takes(upload, one.file));
      if (!fits) one.field = fieldFor(operation, one.file);
    }
    zone.hidden = !operation.files.length;
    list.hidden = !all.length;
    zone.classList.toggle("some", all.length > 0);
    const endings = [...new Set(operation.files.flatMap((upload) => upload.suffixes))];
    hint.replaceChildren(endings.length ? `${operation.files.map((upload) => upload.help).join(" ")} Endings: ${endings.join(", ")}.` : operation.files.map((upload) => upload.help).join(" "));
    list.replaceChildren(...all.map((one) => h("li", { class: one.field ? null : "odd" },
      h("span", { class: "name" }, one.file.name), h("span", { class: "soft number" }, size(one.file.size)),
      operation.files.length > 1 ? place(one) : one.field ? null : h("span", { class: "soft" }, "not taken by this operation"),
      h("button", { type: "button", class: "quiet", "aria-label": `Remove ${one.file.name}`, onclick: () => drop(one) }, "✕"))));
  }
  function place(one) {
    const choice = h("select", { "aria-label": `What ${one.file.name} is`, onchange: () => { one.field = choice.value || null; changed(all); } },
      ...operation.files.map((upload) => h("option", { value: upload.name, selected: upload.name === one.field, disabled: !takes(upload, one.file) }, upload.name)),
      h("option", { value: "", selected: !one.field }, "left out"));
    return choice;
  }
  return { node: h("div", {}, zone, list), add, draw, used: () => all.filter((one) => one.field), all: () => all };
}

// The whole page takes what is dropped, while the view is there.
export function takeDrops(zone, signal) {
  let depth = 0;
  const mark = (on) => document.body.classList.toggle("dropping", on);
  const listen = (name, does) => addEventListener(name, does, { signal });
  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  listen("dragenter", (event) => { if (hasFiles(event)) { depth += 1; mark(true); } });
  listen("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) mark(false); });
  listen("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  listen("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    mark(false);
    zone.add(await dropped(event.dataTransfer));
  });
  listen("paste", (event) => { if (event.clipboardData?.files.length) zone.add([...event.clipboardData.files]); });
}
