// A result is read by another thread, so that the page stays quick: this one gets a row for each unknown, and one whole when
// it is looked at.
import { address, headers } from "../api.js";

export const openResult = (id, signal) => open({ open: address(`jobs/${id}/result`) }, signal);
// A run's report holds a row of each feature and, packed in chunks, everything of each.
export const openRun = (id, signal) => open({ run: address(`jobs/${id}/files/report.html`) }, signal);

function open(what, signal) {
  const worker = new Worker(new URL("./reader.js", import.meta.url), { type: "module" });
  signal.addEventListener("abort", () => worker.terminate(), { once: true });
  const waiting = new Map();
  let number = 0;
  worker.onmessage = ({ data }) => {
    const [done, failed] = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.error) failed(new Error(data.error));
    else done(data.answer);
  };
  worker.onerror = () => { for (const [, failed] of waiting.values()) failed(new Error("The result cannot be read.")); };
  const ask = (what) => new Promise((done, failed) => {
    waiting.set(++number, [done, failed]);
    worker.postMessage({ number, ...what });
  });
  return ask({ ...what, headers: headers() }).then((answer) => ({ ...answer, get: (k) => ask({ get: k }) }));
}
