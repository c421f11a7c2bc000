// The API of the service: what is asked and answered, and errors as they are.

const BASE = new URL("api/v1/", document.baseURI);
const KEY = "molvis-key";
const ENDED = new Set(["done", "failed", "cancelled"]);
export const ended = (job) => ENDED.has(job.state);
export const key = () => sessionStorage.getItem(KEY) || "";
export const setKey = (text) => sessionStorage.setItem(KEY, text);

export const GONE = "The service does not answer. It may have been stopped, or the network is gone.";

export class Problem extends Error {
  constructor(status, message, retry = 0) {
    super(message);
    this.status = status;
    this.retry = retry;
  }
}

export const address = (path) => new URL(path, BASE).href;
export const headers = () => (key() ? { "x-api-key": key() } : {});

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(address(path), { ...options, headers: { ...options.headers, ...headers() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, GONE);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  let said = `${answer.status} ${answer.statusText}`;
  try {
    said = (await answer.json()).error || said;
  } catch { /* no JSON: the status has to do */ }
  return new Problem(answer.status, said, Number(answer.headers.get("retry-after")) || 0);
}

const pause = (seconds, signal) => new Promise((done, failed) => {
  const timer = setTimeout(done, 1000 * seconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); failed(new DOMException("left", "AbortError")); }, { once: true });
});

// Where the service has too much to do it says when to try again, and then it is tried again, three times.
async function patiently(path, options = {}) {
  for (let turn = 0; ; turn++) {
    try {
      return await ask(path, options);
    } catch (error) {
      if (!(error instanceof Problem) || ![429, 503].includes(error.status) || turn === 3) throw error;
      await pause(Math.min(error.retry || 2, 15), options.signal);
    }
  }
}

/**
 * What the API answers: see `schemas.py`.
 * @typedef {{name: string, help: string, suffixes: string[], least: number, most: number}} Upload
 * @typedef {{type?: string, description?: string, default?: any, enum?: string[], items?: Option, minimum?: number, maximum?: number, maxLength?: number, maxItems?: number}} Option
 * @typedef {{name: string, path: string, summary: string, quick: boolean, options: {properties: Record<string, Option>, required: string[]}, files: Upload[]}} Operation
 * @typedef {{bundle?: {name: string, digest: string, modalities: string[]}, libraries?: {name: string, structures: number}[]}} Shared
 * @typedef {{version: string, ready: boolean, shared: Shared, operations: Operation[], limits: Record<string, number>}} Info
 * @typedef {"queued" | "running" | "done" | "failed" | "cancelled"} State
 * @typedef {{id: string, operation: string, title: string, options: Record<string, any>, files: Record<string, string[]>, state: State,
 *   ahead: number | null, created: number, started: number | null, ended: number | null, expires: number | null, attempts: number,
 *   progress: {done: number, total: number, what: string}, problem: string, results: {name: string, bytes: number, url: string}[]}} Job
 */

/** @returns {Promise<Info>} */
export const info = async () => (await ask("info")).json();
/** @returns {Promise<Job[]>} */
export const jobs = async (limit = 200) => (await (await ask(`jobs?limit=${limit}`)).json()).jobs;
/** @returns {Promise<Job>} */
export const job = async (id) => (await ask(`jobs/${id}`)).json();
export const result = async (id, signal) => (await ask(`jobs/${id}/result`, { signal })).json();
/** @returns {Promise<Job | null>} the job that was cancelled; null where it had ended, and is forgotten */
export const remove = async (id) => (await ask(`jobs/${id}`, { method: "DELETE" })).json();
export const fileAddress = (id, name) => address(`jobs/${id}/files/${name.split("/").map(encodeURIComponent).join("/")}`);
export const file = (id, name, signal) => ask(fileAddress(id, name), { signal });

export async function call(path, options, signal) {
  const answer = await patiently(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(options), signal,
  });
  return answer.json();
}

/** @returns {Promise<Job>} */
export async function submit(operation, options, files, title) {
  const form = new FormData();
  form.set("operation", operation);
  form.set("options", JSON.stringify(options));
  form.set("title", title);
  for (const { field, file: one } of files) form.append(field, one, one.name);
  return (await ask("jobs", { method: "POST", body: form })).json();
}

// A job now and after each change, until it has ended. What breaks off is taken up again.
/** @param {string} id @param {(now: Job | null, error?: Problem) => void} tell @param {AbortSignal} signal */
export async function watch(id, tell, signal) {
  for (let wait = 0.5; ; wait = Math.min(2 * wait, 10)) {
    try {
      const answer = await ask(`jobs/${id}/events`, { signal });
      for await (const now of events(answer.body)) {
        wait = 0.5;
        tell(now);
        if (ended(now)) return;
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status === 404 || error.status === 401) throw error;
      tell(null, error);
    }
    await pause(wait, signal);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      kept += value;
      for (let end; (end = kept.indexOf("\n\n")) >= 0; kept = kept.slice(end + 2)) {
        const data = kept.slice(0, end).split("\n").filter((line) => line.startsWith("data: "));
        if (data.length) yield JSON.parse(data.map((line) => line.slice(6)).join("\n"));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// A file goes to the disk by a link; with a key it has to be fetched first, which a link cannot do.
export async function download(id, name) {
  let href = fileAddress(id, name);
  if (key()) href = URL.createObjectURL(await (await ask(href)).blob());
  const link = document.createElement("a");
  link.href = href;
  link.download = name.split("/").pop();
  link.click();
  if (href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(href), 60000);
}
