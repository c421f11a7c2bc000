"""A candidate is parsed once on its way through `molvis identify`, whoever needs the molecule."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rdkit import Chem

from molvis_cli.app import main
from molvis_core.chemistry import structures

ISOMERS = ["CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Oc1cccc(C(=O)O)c1", "COC(=O)c1ccc(C(=O)O)cc1", "O=C(O)/C=C/c1ccc(O)c(O)c1"]
SPECTRUM = """BEGIN IONS
TITLE=unknown
PEPMASS=181.0495
CHARGE=1+
ADDUCT=[M+H]+
121.0284 30
139.0390 20
163.0390 100
END IONS
"""


@pytest.mark.full
def test_reading_parents_features_fragments_and_drawings_share_one_parse_of_a_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("isomers.smi").write_text("\n".join(ISOMERS), encoding="utf-8")
    Path("unknown.mgf").write_text(SPECTRUM, encoding="utf-8")
    parsed, asked = Counter[str](), Counter[str]()
    parse, ask = Chem.MolFromSmiles, structures._parsed

    def counting(smiles: str, *rest: object, **more: object) -> object:
        parsed[smiles] += 1
        return parse(smiles, *rest, **more)

    def asking(smiles: str) -> object:
        asked[smiles] += 1
        return ask(smiles)

    ask.cache_clear()
    monkeypatch.setattr(Chem, "MolFromSmiles", counting)
    monkeypatch.setattr(structures, "_parsed", asking)
    with pytest.raises(SystemExit) as ended:
        main(["identify", "unknown.mgf", "--library", "isomers.smi", "--html", "report.html", "--quiet"])
    assert not ended.value.code
    assert all(Path("report.html").read_text(encoding="utf-8").count(smiles) for smiles in ISOMERS)
    assert {smiles: parsed[smiles] for smiles in ISOMERS} == dict.fromkeys(ISOMERS, 1)
    assert min(asked[smiles] for smiles in ISOMERS) > 2  # else this test follows nobody
