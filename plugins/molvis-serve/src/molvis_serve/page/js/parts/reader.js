// In a thread of its own: a result, whole.
let unknowns = [];

function row(one) {
  const [best] = one.candidates;
  return {
    query: one.query, problem: one.problem, mz: one.precursor_mz, adduct: best?.adduct ?? one.adduct, level: one.level ?? "", n: one.n_candidates,
    name: best?.name, formula: best?.formula ?? Object.keys(one.formulas || {})[0], key: best?.inchikey, p: best ? best.probability_joint ?? best.probability : null,
  };
}

onmessage = async ({ data }) => {
  const { number } = data;
  try {
    if (data.open) {
      const answer = await fetch(data.open, { headers: data.headers });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error || answer.statusText);
      unknowns = found.unknowns;
      postMessage({ number, answer: unknowns.map(row) });
    } else postMessage({ number, answer: unknowns[data.get] });
  } catch (error) {
    postMessage({ number, error: error.message });
  }
};
