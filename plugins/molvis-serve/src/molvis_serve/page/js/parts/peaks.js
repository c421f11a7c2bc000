// Peaks as people paste them: a pair on each line, or all in one line, with blanks, tabs, commas, semicolons or colons between.

export function readPeaks(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const peaks = [], odd = [];
  lines.forEach((line, n) => {
    if (!line || /^[#;%]/.test(line)) return;
    const numbers = line.split(/[\s,;:|()[\]]+/).filter(Boolean);
    const values = numbers.map(Number);
    const fine = numbers.length >= 2 && values.slice(0, 2).every(Number.isFinite) && values[0] > 0 && values[1] >= 0;
    if (fine && numbers.length === 2) peaks.push([values[0], values[1]]);
    else if (fine && numbers.length % 2 === 0 && values.every(Number.isFinite)) {
      for (let k = 0; k < values.length; k += 2) peaks.push([values[k], values[k + 1]]);
    } else if (fine) peaks.push([values[0], values[1]]);  // a third column is a comment
    else odd.push({ line: n + 1, text: line.slice(0, 60) });
  });
  return { peaks: peaks.sort((a, b) => a[0] - b[0]), odd };
}

// What else stands in a pasted record of MGF, MSP or MassBank.
/** @type {[RegExp, string, (text: string) => any][]} */
const NAMES = [
  [/^(?:PEPMASS|PRECURSORMZ|PRECURSOR_MZ|MS\$FOCUSED_ION: PRECURSOR_M\/Z)\s*[:=]?\s*([\d.]+)/i, "precursor_mz", Number],
  [/^(?:ADDUCT|PRECURSORTYPE|PRECURSOR_TYPE|MS\$FOCUSED_ION: PRECURSOR_TYPE)\s*[:=]?\s*(\[.*)/i, "adduct", String],
  [/^(?:COLLISION_?ENERGY)\s*[:=]\s*([\d.]+)/i, "energy", Number],
  [/^(?:NAME|TITLE|COMPOUND_NAME|RECORD_TITLE)\s*[:=]\s*(.+)/i, "name", String],
];
export function readRecord(text) {
  const found = {}, rest = [];
  for (const line of text.split(/\r?\n/)) {
    const hit = NAMES.find(([pattern]) => pattern.test(line.trim()));
    if (hit) found[hit[1]] ??= hit[2](line.trim().match(hit[0])[1]);
    else if (!/^[A-Za-z_$]/.test(line.trim())) rest.push(line);
  }
  return { found, rest: rest.join("\n") };
}
