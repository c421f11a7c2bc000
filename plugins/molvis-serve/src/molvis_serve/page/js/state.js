// What the views share: what the service offers, and what was drawn or asked once already.
import * as api from "./api.js";

// Operations that the page itself uses to draw; nobody would start them as a job.
const OWN = new Set(["depict", "sketch", "compare"]);
let known = null;

export async function service(fresh = false) {
  if (!known || fresh) known = api.info().catch((error) => { known = null; throw error; });
  return known;
}
export async function operations() {
  return (await service()).operations.filter((one) => !OWN.has(one.name));
}

// Answers that do not change, the oldest forgotten first.
class Memory {
  constructor(most) {
    this.most = most;
    this.kept = new Map();
  }
  get(key, make) {
    if (!this.kept.has(key)) {
      const made = make();
      this.kept.set(key, made);
      made.catch(() => this.kept.delete(key));
      if (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    }
    return this.kept.get(key);
  }
}

const drawn = new Memory(2000);
let asked = null;

// Sketches asked for within one turn travel together.
export function sketchOf(smiles) {
  return drawn.get(smiles, () => new Promise((done, failed) => {
    if (!asked) {
      asked = new Map();
      setTimeout(fetchSketches, 0);
    }
    asked.set(smiles, [done, failed]);
  }));
}
async function fetchSketches() {
  const waiting = [...asked];
  asked = null;
  for (let start = 0; start < waiting.length; start += 50) {
    const some = waiting.slice(start, start + 50);
    try {
      const { sketches } = await api.call("sketch", { structures: some.map(([smiles]) => smiles) });
      for (const [smiles, [done]] of some) done(sketches[smiles] ?? null);
    } catch (error) {
      for (const [, [, failed]] of some) failed(error);
    }
  }
}

const compared = new Memory(200);
export function compare(question) {
  return compared.get(JSON.stringify(question), () => api.call("compare", question));
}

export const titles = {
  identify: "Identify", annotate: "Annotate a run", explain: "Explain peaks", predict: "Predict",
};
export const titleOf = (name) => titles[name] || words(name);
const CAPITALS = { nmr: "NMR", ir: "IR", ei: "EI", ccs: "CCS" };
function words(name) {
  const [first, ...rest] = name.split("-");
  return [CAPITALS[first] || first[0].toUpperCase() + first.slice(1), ...rest].join(" ");
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let k = 0, left = bytes;
  while (left >= 1000 && k < 3) { left /= 1000; k += 1; }
  return `${k && left < 10 ? left.toFixed(1) : Math.round(left)} ${units[k]}`;
}
export function lasted(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export function when(seconds) {
  const then = new Date(1000 * seconds);
  return (then.toDateString() === new Date().toDateString() ? clock : day).format(then);
}
