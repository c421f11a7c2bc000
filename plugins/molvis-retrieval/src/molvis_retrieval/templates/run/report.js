// After the modules `elements`, `molecule` and `shapes` of molvis_files.web.
// The table holds ten thousand rows: those that are in sight are in the document, with a few above and below. What
// others wrote goes into the page as text, never as markup.
const HEAD = JSON.parse(document.getElementById("head").textContent);
const $ = (id) => document.getElementById(id);
const LEVELS = ["1", "2a", "2b", "3", "4", "5"];

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// ---- The table ------------------------------------------------------------------------------------------------------

let ROWS = {};
let shown = [];  // places of the features that pass the filters, in order
let active = -1;  // place among those that has the focus
let open = null;  // feature that is looked at
let sorting = { by: null, down: false };
let words = [];  // of each feature, what the search looks in
let height = 45;

const COLUMNS = [
  { key: "id", title: "id", cell: (k) => ROWS.id[k] },
  { key: "mz", title: "m/z", number: true, cell: (k) => ROWS.mz[k].toFixed(4) },
  { key: "time", title: "min", long: "time, min", number: true, cell: (k) => (ROWS.time[k] === null ? "" : ROWS.time[k].toFixed(2)) },
  { key: "area", title: "area", number: true, cell: (k) => (ROWS.area[k] === null ? "" : ROWS.area[k].toExponential(2)) },
  { key: "level", title: "level", cell: (k) => tag(ROWS.level[k]) },
  { key: "name", title: "first candidate", cell: named },
  { key: "ion", title: "ion", cell: (k) => ROWS.ion[k] },
  { key: "p", title: "probability", number: true, down: true, cell: share },
  { key: "q", title: "q-value", number: true, cell: (k) => (ROWS.q[k] === null ? "" : ROWS.q[k].toFixed(3)) },
  { key: "candidates", title: "candidates", number: true, cell: (k) => ROWS.candidates[k] || "" },
  { key: "unknown", title: "unknown", long: "unknown, by its first ion", cell: (k) => ROWS.unknown[k] },
];
const at = (key, k) => (ROWS[key] ? ROWS[key][k] : null);
const probability = (k) => at("p", k) ?? at("first", k);

function title(k) {
  return at("name", k) || at("formula", k) || (at("problem", k) === "no MS/MS" ? "no MS/MS" : "no candidate");
}
function named(k) {
  const line = [at("name", k) ? formula(at("formula", k) || "") : null, at("key", k) ? ` ${ROWS.key[k]}` : null];
  const phone = [`m/z ${ROWS.mz[k].toFixed(4)}`, at("time", k) !== null ? `${ROWS.time[k].toFixed(2)} min` : "", at("ion", k)];
  const sum = !at("key", k) && at("formula", k);  // the likeliest formula of what no candidate is
  return [
    at("key", k) ? h("b", {}, at("name", k) || formula(at("formula", k))) : h("span", { class: "soft" }, sum ? formula(sum) : title(k)),
    h("span", { class: "under" }, sum ? `the likeliest formula, ${percent(at("fp", k))}` : line),
    h("span", { class: "under phone" }, phone.filter(Boolean).join(" · ")),
  ];
}
function share(k) {
  const p = probability(k);
  return p === null ? "" : [bar(p), h("span", { class: "figure" }, percent(p))];
}

function heads() {
  const used = COLUMNS.filter((c) => ROWS[c.key] || c.key === "name");
  $("heads").replaceChildren(...used.map((c) => h("th", {
    scope: "col", class: `c-${c.key}${c.number ? " number" : ""}`,
    "aria-sort": sorting.by === c.key ? (sorting.down ? "descending" : "ascending") : null,
  }, h("button", { type: "button", title: `Sort by ${c.long || c.title}`, onclick: () => sortBy(c.key) }, c.title))));
  return used;
}
let used = [];

function sortBy(key, down) {
  const column = COLUMNS.find((c) => c.key === key);
  if (down === undefined) down = sorting.by === key ? !sorting.down : Boolean(column && column.down);
  sorting = { by: key, down };
  used = heads();
  $("sort").value = key || "";
  arrange();
}

function order(key) {
  const value = key === "level" ? (k) => LEVELS.indexOf(ROWS.level[k]) : key === "p" ? probability : (k) => at(key, k);
  const compare = ["id", "name", "ion", "unknown"].includes(key)
    ? (a, b) => collator.compare(a, b) : (a, b) => a - b;
  const turn = sorting.down ? -1 : 1;
  return (i, j) => {
    const a = value(i), b = value(j);
    const none = (a === null || a === "") - (b === null || b === "");
    return none || turn * compare(a, b) || i - j;  // what is not known comes last, in either direction
  };
}
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function arrange() {
  const asked = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const levels = new Set([...$("levels").children].filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.value));
  const ion = $("ion").value, mode = $("mode").value, least = Number($("p").value);
  const most = $("q").value === "" ? null : Number($("q").value);
  const kept = [];
  for (let k = 0; k < HEAD.count; k++) {
    if (levels.size && !levels.has(ROWS.level[k])) continue;
    if (ion && ROWS.ion[k] !== ion) continue;
    if (mode && ROWS.mode[k] !== mode) continue;
    if (least && !(probability(k) >= least)) continue;
    if (most !== null && !(at("q", k) !== null && at("q", k) <= most)) continue;
    if (asked.length && !asked.every((word) => words[k].includes(word))) continue;
    kept.push(k);
  }
  if (sorting.by) kept.sort(order(sorting.by));
  shown = kept;
  active = shown.indexOf(open);
  $("p-shown").textContent = percent(least) === "<1%" ? "0" : percent(least);
  const filtered = Boolean(asked.length || levels.size || ion || mode || least || most !== null);
  $("filters").classList.toggle("active", filtered);
  const all = `${HEAD.count.toLocaleString("en")} features`;
  $("count").firstElementChild.textContent = filtered ? `${shown.length.toLocaleString("en")} of ${all}` : all;
  $("list").scrollTop = 0;
  draw();
}

function draw(everything) {
  const list = $("list"), focused = document.activeElement?.dataset?.place;
  const first = everything ? 0 : Math.max(0, Math.floor(list.scrollTop / height) - 8);
  const last = everything ? Math.min(shown.length, 2000) : Math.min(shown.length, first + Math.ceil((list.clientHeight || 800) / height) + 18);
  const rows = [];
  if (first) rows.push(gap(first));
  for (let place = first; place < last; place++) rows.push(row(place));
  if (last < shown.length) rows.push(gap(shown.length - last, everything));
  if (!shown.length) rows.push(h("tr", { class: "empty" }, h("td", { colspan: used.length }, "No feature passes these filters.")));
  $("body").replaceChildren(...rows);
  $("body").parentElement.setAttribute("aria-rowcount", shown.length + 1);
  if (focused !== undefined) $("body").querySelector(`tr[data-place="${focused}"]`)?.focus({ preventScroll: true });
}
const gap = (count, said) => h("tr", { class: "gap", "aria-hidden": "true" },
  // One cell: a wide one would widen a table some of whose columns are hidden.
  h("td", { style: said ? null : `height:${count * height}px` }, said ? `and ${count.toLocaleString("en")} more` : null));
function row(place) {
  const k = shown[place];
  return h("tr", {
    "data-k": k, "data-place": place, "aria-rowindex": place + 2, tabindex: place === Math.max(active, 0) ? 0 : -1,
    "aria-selected": k === open ? "true" : null, onclick: () => { active = place; look(k); },
  }, used.map((c) => h("td", { class: `c-${c.key}${c.number ? " number" : ""}`, title: c.key === "name" ? at("problem", k) || title(k) : null }, c.cell(k))));
}

function measure() {
  const one = $("body").querySelector("tr[data-k]");
  const now = one ? one.getBoundingClientRect().height : height;
  if (now && Math.abs(now - height) > 0.5) {
    const place = $("list").scrollTop / height;
    height = now;
    draw();
    $("list").scrollTop = place * height;
  }
}

function go(place, focus = true) {
  if (!shown.length) return;
  active = Math.max(0, Math.min(shown.length - 1, place));
  const list = $("list"), top = active * height, head = $("heads").offsetHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + height + head > list.scrollTop + list.clientHeight) list.scrollTop = top + height + head - list.clientHeight;
  draw();
  if (focus) $("body").querySelector(`tr[data-place="${active}"]`)?.focus({ preventScroll: true });
}

let waiting = 0;
function onKey(event) {
  const page = Math.max(1, Math.floor($("list").clientHeight / height) - 2);
  const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: shown.length - 1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    go(to);
    clearTimeout(waiting);
    // Beside an open feature the next one opens, once the key rests.
    if (open !== null && !narrow()) waiting = setTimeout(() => look(shown[active], false), 120);
  } else if (event.key === "Enter" && active >= 0) look(shown[active]);
}
const narrow = () => matchMedia("(max-width: 1000px)").matches;

// ---- One feature ----------------------------------------------------------------------------------------------------

const parts = new Map();
const called = new Map();
// A page on a disk may not fetch, but it may load a script: each chunk beside it is one that calls this.
globalThis.molvisPart = (number, text) => called.get(number)?.(unpacked(text));

function part(number) {
  if (parts.has(number)) return parts.get(number);
  const found = HEAD.beside ? loaded(number) : embedded(number);
  parts.set(number, found);
  if (parts.size > 40) parts.delete(parts.keys().next().value);
  return found;
}
async function embedded(number) {
  // The rest of a large page may still be on its way.
  while (!$(`part-${number}`) && document.readyState === "loading") await new Promise((done) => setTimeout(done, 50));
  return unpacked($(`part-${number}`).textContent);
}
function loaded(number) {
  return new Promise((done, failed) => {
    called.set(number, done);
    const script = h("script", { src: `${HEAD.beside}/${number}.js` });
    script.onerror = () => failed(new Error(`${HEAD.beside}/${number}.js is missing; it belongs beside this page`));
    document.body.append(script);
  });
}

async function look(k, focus = true) {
  open = k;
  document.body.classList.add("open");
  $("panel").hidden = false;
  history.replaceState(null, "", `#${encodeURIComponent(ROWS.id[k])}`);
  measure();
  draw();
  let content;
  try {
    const all = await part(Math.floor(k / HEAD.chunk));
    if (open !== k) return;
    content = panel(k, all[k % HEAD.chunk]);
  } catch (error) {
    content = [h("p", {}, String(error.message || error))];
  }
  const article = $("panel");
  article.replaceChildren(...content);
  article.scrollTop = 0;
  article.setAttribute("aria-label", `Feature ${ROWS.id[k]}`);
  if (focus) article.querySelector("h2")?.focus({ preventScroll: true });
}

function close() {
  if (open === null) return;
  open = null;
  document.body.classList.remove("open");
  $("panel").hidden = true;
  history.replaceState(null, "", location.pathname + location.search);
  measure();
  go(Math.max(active, 0));
}

const section = (name, ...children) => h("section", {}, h("h3", {}, name), ...children);

function panel(k, one) {
  const best = (one.candidates || [])[0];
  const facts = [
    `m/z ${ROWS.mz[k].toFixed(4)}`, at("time", k) !== null ? `${ROWS.time[k].toFixed(2)} min` : "", at("ion", k),
    { "+": "positive", "-": "negative" }[at("mode", k)], at("area", k) ? `area ${ROWS.area[k].toExponential(2)}` : "",
  ];
  const step = (by, said, sign) => h("button", {
    type: "button", "aria-label": said, title: said, disabled: !(shown[active + by] >= 0),
    onclick: () => { go(active + by, false); look(shown[active]); },
  }, sign);
  const header = h("header", {},
    h("h2", { tabindex: -1 }, best ? best.name || formula(best.formula) : `Feature ${ROWS.id[k]}`),
    h("nav", { "aria-label": "Features" }, step(-1, "Previous feature", "↑"), step(1, "Next feature", "↓"),
      h("button", { type: "button", "aria-label": "Close", title: "Close (Escape)", onclick: close }, "✕")),
    h("p", { class: "soft" }, `Feature ${ROWS.id[k]} · ${facts.filter(Boolean).join(" · ")}`),
    h("div", { class: "level-line" }, tag(ROWS.level[k]), h("span", {}, one.evidence || at("problem", k) || ""),
      at("q", k) !== null ? h("span", { class: "soft" }, `q-value ${ROWS.q[k].toFixed(3)}`) : null));
  const drawing = best && best.drawing ? molecule(best.drawing, best.smiles) : null;
  return [
    header,
    best ? firstCandidate(best, drawing, k) : null,
    one.spectra && one.spectra.length ? spectra(one, k, drawing) : null,
    one.isotopes || one.trace ? shapes(one, k) : null,
    one.candidates ? candidates(one.candidates) : null,
    ions(one),
    one.together ? section("Ions of the same unknown", near(one.together.filter((id) => id !== ROWS.id[k]).map((id) => [id, null]))) : null,
    one.near ? section("Similar spectra in this run", near(one.near)) : null,
    origin(one),
  ].filter(Boolean);
}

function links(ids) {
  return ids.map(([id, link]) => {
    const [prefix] = id.split(":");
    const said = `${HEAD.databases[prefix] || prefix} ${id.slice(prefix.length + 1)}`;
    return link ? h("a", { href: link, rel: "noopener noreferrer", target: "_blank" }, said) : h("span", {}, said);
  });
}

function firstCandidate(best, drawing, k) {
  const none = at("among", k);
  const rows = [
    ["probability", best.joint ?? best.p, percent(best.joint ?? best.p)],
    ["none of these", none, none === null ? null : percent(1 - none)],
    ["formula", 1, formula(best.formula)],
    ["ion", best.ion, best.ion + (best.ppm !== undefined ? `, ${signed(-best.ppm, 1)} ppm` : "")],
    ["InChIKey", 1, h("span", { class: "mono" }, best.key)],
    ["SMILES", 1, h("span", { class: "mono" }, best.smiles)],
    ["in", best.ids, best.ids ? h("span", { class: "links" }, links(best.ids)) : null],
    ["listed by", best.sources, (best.sources || []).join(", ")],
  ].filter(([, there, said]) => there !== null && there !== undefined && said !== null);
  return h("div", { class: "first" }, h("div", { id: "drawing" }, drawing ? drawing.svg : null),
    h("dl", {}, ...rows.flatMap(([name, , said]) => [h("dt", {}, name), h("dd", {}, said)])));
}

function candidates(all) {
  const drawn = all.filter((c) => c.drawing), others = all.filter((c) => !c.drawing);
  const rest = others.length ? h("details", {}, h("summary", {}, `${others.length} further candidate${others.length > 1 ? "s" : ""}`),
    h("table", {}, h("tbody", {}, others.map((c) => h("tr", {},
      h("td", { class: "soft" }, all.indexOf(c) + 1), h("td", {}, c.name ? h("b", {}, c.name) : formula(c.formula), " ", h("span", { class: "mono soft" }, c.smiles)),
      h("td", { class: "number" }, percent(c.joint ?? c.p))))))) : null;
  return section("Candidates", drawn.map((c) => candidate(c, all.indexOf(c))), rest);
}
function candidate(c, place) {
  const speaks = (c.evidence || []).map(([name, value]) => `${name} ${signed(value, 2)}`).join(", ");
  return h("div", { class: "candidate" },
    h("span", { class: "rank soft" }, place + 1),
    h("div", { class: "drawing" }, molecule(c.drawing, c.smiles).svg),
    h("div", { class: "what" },
      h("p", {}, h("b", {}, c.name || formula(c.formula)), c.name ? [" ", formula(c.formula)] : null),
      h("p", { class: "soft" }, [c.ion, c.ppm === undefined ? "" : `${signed(-c.ppm, 1)} ppm`].filter(Boolean).join(", "), " ", h("span", { class: "mono" }, c.key)),
      c.ids ? h("p", { class: "links" }, links(c.ids)) : null,
      speaks ? h("details", {}, h("summary", {}, "evidence"), h("p", { class: "soft" }, speaks)) : null),
    h("span", { class: "share" }, bar(c.joint ?? c.p), percent(c.joint ?? c.p)));
}

function shares(rows) {
  return h("table", {}, h("tbody", {}, ...rows.map(([name, p, said]) =>
    h("tr", {}, h("td", {}, name), h("td", { class: "number" }, bar(p), percent(p)), h("td", { class: "soft" }, said || "")))));
}
function ions(one) {
  const found = [], reasons = new Map((one.adducts || []).map(([name, , why]) => [name, why.join("; ")]));
  if (one.ions) found.push(h("div", {}, h("h3", {}, "Which ion"), shares(one.ions.map(([name, p]) => [name, p, reasons.get(name)]))));
  else if (one.adducts) found.push(h("div", {}, h("h3", {}, "Which ion, by what elutes beside it"), shares(one.adducts.slice(0, 6).map(([name, p, why]) => [name, p, why.join("; ")]))));
  if (one.formulas) found.push(h("div", {}, h("h3", {}, "Which formula"), shares(one.formulas.map(([name, p, why]) => [h("span", {}, formula(name)), p, why]))));
  if (one.classes) found.push(h("div", {}, h("h3", {}, "Which classes"), shares(one.classes)));
  return found.length ? h("section", {}, h("div", { class: "twin" }, ...found)) : null;
}

function near(some) {
  return h("div", { class: "near" }, ...some.map(([id, similarity]) => {
    const k = byId.get(id);
    return h("button", { type: "button", onclick: () => { active = shown.indexOf(k); look(k); } },
      `${title(k)} `, h("span", { class: "soft" }, `${id}, m/z ${ROWS.mz[k].toFixed(4)}${similarity === null ? ` ${at("ion", k) ?? ""}` : `, ${similarity.toFixed(2)}`}`));
  }));
}
let byId = new Map();

function origin(one) {
  const areas = Object.entries(one.areas || {});
  const top = Math.max(...areas.map(([, area]) => area), 1e-300);
  const rows = areas.map(([file, area]) => h("tr", {}, h("td", {}, file), h("td", { class: "number" }, short(area)), h("td", {}, bar(area / top))));
  const told = [
    one.start !== undefined ? `eluting from ${(one.start / 60).toFixed(2)} to ${(one.end / 60).toFixed(2)} min` : "",
    one.charge !== undefined ? `charge ${one.charge}` : "",
    one.scans ? `MS/MS scans ${one.scans.join(", ")}` : "",
  ].filter(Boolean).join(" · ");
  if (!told && !rows.length && !one.usis && !one.notes) return null;
  return section("Where it was measured",
    told ? h("p", { class: "soft small" }, told) : null,
    one.usis ? h("p", { class: "links small" }, one.usis.map((usi) => h("a", {
      href: `https://metabolomics-usi.gnps2.org/dashinterface/?usi1=${encodeURIComponent(usi)}`, target: "_blank", rel: "noopener noreferrer", class: "mono",
    }, usi))) : null,
    rows.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "file"), h("th", { class: "number" }, "area"), h("th", {}, ""))), h("tbody", {}, rows)) : null,
    one.notes ? h("ul", { class: "small soft" }, one.notes.map((line) => h("li", {}, line))) : null);
}

// ---- Pictures -------------------------------------------------------------------------------------------------------

function spectra(one, k, drawing) {
  const explained = new Map((one.explained || []).map((e) => [e.n, e]));
  const said = h("p", { class: "said" });
  const holder = h("div", { class: "wide-plot" });
  const table = h("tbody", {});
  let number = 0;
  const point = (peak) => {
    holder.querySelectorAll(".on").forEach((line) => line.classList.remove("on"));
    table.querySelectorAll(".on").forEach((line) => line.classList.remove("on"));
    drawing?.halo([]);
    said.replaceChildren(...usual);
    if (!peak) return;
    const e = number === 0 ? explained.get(peak[2]) : null;
    holder.querySelector(`[data-n="${peak[2]}"]`)?.classList.add("on");
    table.querySelector(`[data-n="${peak[2]}"]`)?.classList.add("on");
    said.replaceChildren(h("b", {}, `m/z ${peak[0].toFixed(4)}`), ` ${(100 * peak[1]).toFixed(1)}%`,
      e ? [" · ", formula(e.formula), `, ${signed(e.ppm, 1)} ppm`, e.p !== undefined ? `, probability ${e.p.toFixed(2)}` : "", " · ", h("span", { class: "mono" }, e.smiles)] : " · not explained");
    if (e && e.atoms) drawing?.halo(atomsOf(e.atoms));
  };
  const usual = explained.size ? [h("span", { class: "key", style: "background:var(--accent);margin-left:0" }), "explained by the first candidate",
    h("span", { class: "key", style: "background:var(--peak)" }), "not explained. Point at a peak."] : ["Point at a peak for its m/z."];
  const show = (which) => {
    number = which;
    const all = one.spectra[which].peaks;
    holder.replaceChildren(spectrum(all, ROWS.mz[k], which === 0 ? explained : new Map(), which === 0 ? one.below : null, point));
    [...chips.children].forEach((b, n) => b.setAttribute("aria-pressed", n === which));
    point(null);
  };
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Collision energy" },
    ...one.spectra.map((spectrum_, n) => h("button", { type: "button", onclick: () => show(n) }, spectrum_.label)));
  if (one.spectra.length === 1) chips.hidden = true;
  const name = one.spectra.length === 1 ? `MS/MS, ${one.spectra[0].label}` : "MS/MS";
  const peaks = new Map(one.spectra[0].peaks.map((p) => [p[2], p]));
  for (const e of one.explained || []) {
    const peak = peaks.get(e.n);
    if (!peak) continue;
    const ask = () => { if (number !== 0) show(0); point(peak); };
    table.append(h("tr", { class: "known-row", "data-n": e.n, tabindex: 0, onfocus: ask, onpointerenter: ask },
      h("td", { class: "number" }, peak[0].toFixed(4)), h("td", { class: "number" }, `${(100 * peak[1]).toFixed(1)}%`), h("td", {}, formula(e.formula)),
      h("td", { class: "number" }, signed(e.ppm, 1)), h("td", { class: "number" }, e.p !== undefined ? e.p.toFixed(2) : ""), h("td", { class: "mono" }, e.smiles)));
  }
  const list = table.children.length ? h("details", {}, h("summary", {}, `${table.children.length} of ${one.spectra[0].peaks.length} peaks explained`),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...["m/z", "height", "formula", "ppm", "probability", "substructure"].map((t) => h("th", {}, t)))), table))) : null;
  show(0);
  return section(name, chips, holder, said, list);
}

function spectrum(peaks, precursor, explained, below, point) {
  const width = 760, base = 200, top = 26, left = 12, right = 12, deep = below ? 150 : 0;
  const others = below ? below.peaks : [];
  const mzs = [...peaks.map((p) => p[0]), ...others.map((p) => p[0]), precursor];
  const low = Math.max(0, Math.min(...mzs) * 0.9), high = Math.max(...mzs) * 1.04;
  const x = (mz) => left + ((mz - low) / (high - low)) * (width - left - right);
  const y = (share) => base - share * (base - top);
  const near = (mz, list) => list.find((p) => Math.abs(p[0] - mz) <= Math.max(0.005, mz * 1e-5));
  const parts = [s("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base })];
  for (const t of ticks(low, high, 9)) {
    parts.push(s("text", { x: x(t), y: base + (below ? deep + 30 : 15), "text-anchor": "middle" }, String(t)));
  }
  parts.push(s("line", { class: "precursor", x1: x(precursor), x2: x(precursor), y1: base, y2: top - 8 }),
    s("text", { x: Math.min(x(precursor), width - right), y: top - 13, "text-anchor": x(precursor) > width / 2 ? "end" : "start" }, `precursor ${precursor.toFixed(4)}`));
  const sorted = [...peaks].sort((a, b) => explained.has(a[2]) - explained.has(b[2]) || a[1] - b[1]);
  for (const p of sorted) parts.push(s("line", { class: explained.has(p[2]) ? "known" : "peak", "data-n": p[2], x1: x(p[0]), x2: x(p[0]), y1: base, y2: y(p[1]) }));
  for (const p of others) parts.push(s("line", { class: near(p[0], peaks) ? "paired" : "peak", x1: x(p[0]), x2: x(p[0]), y1: base + 2, y2: base + 2 + p[1] * (deep - 6) }));
  if (below) parts.push(s("text", { x: left, y: base + deep + 14 }, below.label));
  const boxes = [[x(precursor) - 1, 0, x(precursor) + 1, base]];
  for (const p of [...peaks].sort((a, b) => b[1] - a[1]).slice(0, 40)) {
    if (p[1] < 0.02 || boxes.length > 15) break;
    const text = explained.has(p[2]) ? explained.get(p[2]).formula : p[0].toFixed(4);
    const half = 3.5 * text.length, middle = Math.min(Math.max(x(p[0]), left + half), width - right - half), line = y(p[1]) - 5;
    const box = [middle - half, line - 11, middle + half, line + 2];
    if (boxes.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) continue;
    if (peaks.some((o) => o !== p && Math.abs(x(o[0]) - middle) < half && y(o[1]) < box[3])) continue;
    boxes.push(box);
    parts.push(s("text", { class: explained.has(p[2]) ? "known" : "", x: middle, y: line, "text-anchor": "middle" }, text));
  }
  const svg = s("svg", { class: "plot", viewBox: `0 0 ${width} ${base + deep + 36}`, role: "img", "aria-label": `mass spectrum of ${peaks.length} peaks` }, ...parts);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), mx = ((event.clientX - box.left) / box.width) * width;
    const closest = peaks.reduce((a, b) => (Math.abs(x(b[0]) - mx) - 3 * b[1] < Math.abs(x(a[0]) - mx) - 3 * a[1] ? b : a));
    point(Math.abs(x(closest[0]) - mx) < 14 ? closest : null);
  });
  svg.addEventListener("pointerleave", () => point(null));
  return svg;
}

function shapes(one, k) {
  const found = [];
  if (one.isotopes) found.push(h("div", {}, h("h3", {}, "Isotopes in MS1"), isotopes(one.isotopes, one.expected, ROWS.mz[k]),
    one.expected ? h("p", { class: "small soft" }, "Outlined: what the first candidate's formula predicts.") : null));
  if (one.trace) found.push(h("div", {}, h("h3", {}, "Chromatogram"), chromatogram(one.trace)));
  return h("section", {}, h("div", { class: "twin" }, ...found));
}
// ---- The beginning --------------------------------------------------------------------------------------------------

function choices() {
  const count = (key) => ROWS[key].reduce((all, v) => all.set(v, (all.get(v) || 0) + 1), new Map());
  const levels = count("level");
  $("levels").replaceChildren(...LEVELS.filter((l) => levels.has(l)).map((l) => h("button", {
    type: "button", value: l, "aria-pressed": "false", title: `Level ${l}`,
    onclick: (event) => { const b = event.currentTarget; b.setAttribute("aria-pressed", b.getAttribute("aria-pressed") !== "true"); arrange(); },
  }, l, " ", h("span", {}, levels.get(l).toLocaleString("en")))));
  const ionsFound = ROWS.ion ? [...count("ion")].filter(([name]) => name).sort((a, b) => b[1] - a[1]) : [];
  $("ion").append(...ionsFound.map(([name, n]) => h("option", { value: name }, `${name} (${n})`)));
  $("ion-label").hidden = ionsFound.length < 2;
  $("mode-label").hidden = !ROWS.mode || new Set(ROWS.mode.filter(Boolean)).size < 2;
  $("q-label").hidden = !ROWS.q;
  $("sort").append(h("option", { value: "" }, "order of the list"), ...COLUMNS.filter((c) => ROWS[c.key]).map((c) => h("option", { value: c.key }, c.long || c.title)));
}

async function begin() {
  if (typeof DecompressionStream === "undefined") {
    $("body").replaceChildren(h("tr", {}, h("td", {}, "This browser is too old for this page: take one of 2023 or later, or annotations.csv.")));
    return;
  }
  ROWS = await unpacked($("rows").textContent);
  for (const key of ["level", "ion", "mode"]) ROWS[key] ??= new Array(HEAD.count).fill("");
  byId = new Map(ROWS.id.map((id, k) => [id, k]));
  words = ROWS.id.map((id, k) => ["name", "formula", "key", "ion"].reduce((text, key) => `${text} ${at(key, k) ?? ""}`, `${id} ${ROWS.mz[k].toFixed(4)}`).toLowerCase());
  used = heads();
  choices();
  arrange();
  measure();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  fromAddress();
}
function fromAddress() {
  const k = byId.get(decodeURIComponent(location.hash.slice(1)));
  if (k !== undefined && k !== open) { go(shown.indexOf(k), false); look(k); }
}

$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("input", (event) => { if (event.target.id !== "sort") arrange(); });
$("sort").addEventListener("change", () => sortBy($("sort").value || null, Boolean(COLUMNS.find((c) => c.key === $("sort").value)?.down)));
$("clear").addEventListener("click", () => {
  $("filters").reset();
  [...$("levels").children].forEach((b) => b.setAttribute("aria-pressed", "false"));
  arrange();
  $("text").focus();
});
$("more").addEventListener("click", () => $("more").setAttribute("aria-expanded", $("filters").classList.toggle("open")));
let frame = 0;
$("list").addEventListener("scroll", () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); });
$("list").addEventListener("keydown", onKey);
$("text").addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { event.preventDefault(); go(Math.max(active, 0)); } });
addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
  else if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { event.preventDefault(); $("text").focus(); }
});
addEventListener("hashchange", fromAddress);
addEventListener("resize", () => { measure(); draw(); });
addEventListener("beforeprint", () => draw(true));
addEventListener("afterprint", () => draw());
begin();
