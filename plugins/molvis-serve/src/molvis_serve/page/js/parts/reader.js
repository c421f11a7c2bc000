// In a thread of its own: a result, whole. It gives a row for each entry, and one whole when it is asked for.
let get = null;

function row(one) {
  const [best] = one.candidates;
  return {
    query: one.query, problem: one.problem, mz: one.precursor_mz, adduct: best?.adduct ?? one.adduct, level: one.level ?? "", n: one.n_candidates,
    name: best?.name, formula: best?.formula ?? Object.keys(one.formulas || {})[0], key: best?.inchikey, p: best ? best.probability_joint ?? best.probability : null,
  };
}

async function fetched(url, headers) {
  const answer = await fetch(url, { headers });
  if (answer.ok) return answer;
  throw new Error((await answer.json().catch(() => ({}))).error || answer.statusText);
}

async function openResult(url, headers) {
  const { unknowns } = await (await fetched(url, headers)).json();
  get = (k) => unknowns[k];
  return { rows: unknowns.map(row) };
}

// The report of a run holds JSON in scripts that are none, packed and written in letters; in a large one the chunks are files.
async function openRun(url, headers) {
  const page = await (await fetched(url, headers)).text();
  const within = (id) => {
    const start = page.indexOf(">", page.indexOf(`id="${id}"`)) + 1;
    return page.slice(start, page.indexOf("</script>", start));
  };
  const head = JSON.parse(within("head"));
  const columns = await unpacked(within("rows"));
  const parts = new Map();
  const part = async (number) => {
    if (!head.beside) return unpacked(within(`part-${number}`));
    const text = await (await fetched(new URL(`${head.beside}/${number}.js`, url), headers)).text();
    return unpacked(text.slice(text.indexOf('"') + 1, text.lastIndexOf('"')));
  };
  get = async (k) => {
    const number = Math.floor(k / head.chunk);
    if (!parts.has(number)) parts.set(number, await part(number));
    return parts.get(number)[k % head.chunk];
  };
  const names = Object.keys(columns);
  const rows = Array.from({ length: head.count }, (_, k) => Object.fromEntries(names.map((name) => [name, columns[name][k]])));
  return { rows, databases: head.databases };
}
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

onmessage = async ({ data }) => {
  const { number, headers } = data;
  try {
    const answer = data.open ? await openResult(data.open, headers) : data.run ? await openRun(data.run, headers) : await get(data.get);
    postMessage({ number, answer });
  } catch (error) {
    postMessage({ number, error: error.message });
  }
};
