"""Make the library's files from the spin systems of GISSMO.

    python plugins/molvis-nmr-library/tools/make_library.py ../shared/data/nmr/spin_systems.json

One entry of each compound of BMRB's collection of metabolites, by the first block of its InChIKey: the one whose
number is lowest. Left out are compounds that are no metabolites (solvents, pesticides, reagents), those with another
halogen than iodine or with boron, silicon or a metal, those whose systems are larger than 24 spins, and entries that
fail the checks: each system is simulated at 600 MHz, has to give the area of its protons, and must not have more
protons than the formula of its InChI.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

FOLDER = Path(__file__).parents[1] / "src" / "molvis_nmr_library"
NO_METABOLITES = re.compile(
    "acenaphthene|acetonitrile|acrylamide|azulene|biphenyl|bisphenol|carbazole|cyclohexan|dibenzofuran|diethyl-ester"
    "|dimethylformamide|fluor|isoprene|khellin|lapachol|metaldehyde|MES$|naphth|nitro|oxazolidin|phenanthrene|porphine"
    "|thiram|toluic|tolualdehyde|tributyl|trimethyl p|xylene|cymene|sec-butylbenzene|cuminaldehyde|isopropylben"
    "|pentyl benzoate|penicillan|ethylmercapto|thiadiazole|antipyrine|triethylenetetr|tetramethylammonium|dichlor"
    "|indanone|chromanone|cadmium|iodide|methyldisulfanyl|neostigmine|harmalol|oximes?-mixture|benzonitrile|orthanilic"
    "|ferulate$|sinapate$|coumarate$|4-2-aminoethyl-morpholine|isochroman|thiophosphate|phthal|hydroxamic|propyn|propiolic"
    "|pentaacetic|bis\\(carboxymethyl",
    re.IGNORECASE,
)
AMINO_ACIDS = [
    "C3H7NO2/c1-2(4)3(5)6",
    "C6H14N4O2",
    "C4H8N2O3/c5-2(4(8)9)1-3(6)7",
    "C4H7NO4/c5-2(4(8)9)1-3(6)7",
    "C3H7NO2S",
    "C6H12N2O4S2",
    "C5H9NO4/c6-3(5(9)10)1-2-4(7)8",
    "C5H10N2O3/c6-3(5(9)10)1-2-4(7)8",
    "C2H5NO2/c3-1-2(4)5",
    "C6H9N3O2",
    "C6H13NO2/c1-3-4(2)5(7)6(8)9",
    "C6H13NO2/c1-4(2)3-5(7)6(8)9",
    "C6H14N2O2/c7-4-2-1-3-5(8)6(9)10",
    "C5H11NO2S/c1-9-3-2-4(6)5(7)8",
    "C9H11NO2/c10-8(9(11)12)6-7-4-2-1-3-5-7",
    "C5H9NO2/c7-5(8)4-2-1-3-6-4",
    "C3H7NO3/c4-2(1-5)3(6)7",
    "C4H9NO3/c1-2(6)3(5)4(7)8",
    "C11H12N2O2/c12-9(11(14)15)5-7-6-13-10-4-2-1-3-8(7)10",
    "C9H11NO3/c10-8(9(12)13)5-6-1-3-7(11)4-2-6",
    "C5H11NO2/c1-3(2)4(6)5(7)8",
    "C5H9NO3/c7-3-1-4(5(8)9)6-2-3",
    "C5H12N2O2/c6-3-1-2-4(7)5(8)9",
    "C6H13N3O3",
    "C3H7NO2/c4-2-1-3(5)6",
    "C4H9NO2/c5-3-1-2-4(6)7",
    "C2H7NO3S",
]
COMPANIONS = [
    "alpha-D-glucose",
    "beta-D-glucose",
    "lactic.acid",
    "pyruvic.acid",
    "acetic.acid",
    "citrate",
    "ethanol$",
    "glycerol$",
    "succinic",
]
"""What is usually beside amino acids in a sample and has signals among theirs: without it they would take them."""
ENERGY = [
    "lactic.acid",
    "pyruvic.acid",
    "acetic.acid",
    "formate",
    "succinic",
    "fumaric",
    "citrate",
    "malic.acid",
    "glucose",
    "glycerol$",
    "3-hydroxybutyrate",
    "acetone",
    "creatine$",
    "creatinine",
    "choline$",
    "betaine$",
    "carnitine",
    "acetylcarnitine",
    "ethanol$",
    "methanol$",
    "myo-inositol",
    "alpha-ketoglutaric",
    "alpha-D-glucose",
    "beta-D-glucose",
    "2-ketobutyric",
    "2-hydroxybutanoic",
    "4-methyl-2-oxovaleric",
    "methyl-oxobutanoic",
    "3-methyl-2-oxopentanoic",
    "isobutyric",
    "isovaleric",
    "propionic",
]
URINE = [
    "hippuric",
    "creatinine$",
    "citrate",
    "trimethylamine",
    "glycolate",
    "guanidineacetic",
    "trigonelline",
    "1-methylnicotinamide",
    "taurine",
    "3-hydroxyphenylacetic",
    "4-hydroxyphenylacet",
    "phenylacetylglycine",
    "indole-3",
    "kynuren",
    "xanth",
    "hypoxanthine",
    "allantoin",
    "uracil$",
    "dimethylglycine",
    "sarcosine",
    "formate",
    "lactic.acid",
    "acetic.acid",
    "succinic",
    "cis-aconitic",
    "fumaric",
    "2-hydroxybutanoic",
    "3-aminoisobutyric",
    "3-hydroxybutyrate",
    "betaine$",
    "carnitine",
    "ethanolamine$",
    "glucose",
    "sucrose",
    "mannitol",
    "myo-inositol",
    "scyllo-inositol",
    "isocitric",
    "malonic",
    "methylmalonic",
    "tartaric",
    "vanill",
    "homovanill",
    "pseudouridine",
    "N-N-dimethylglycine",
    "N-tau-methyl",
    "dimethylamine",
    "methanol",
    "ethanol$",
    "urocanate",
    "acetone",
    "isobutyric",
    "2-furoylglycine",
    "methyl-l-histidine",
    "anserine",
    "carnosine",
    "caffeine",
    "quinal",
    "syringic",
    "adipic",
    "suberic",
    "pimelic",
    "pyroglutam",
    "2-pyrrolidinone",
    "phenol$",
    "cresol",
    "ascorb",
    "tyramine",
    "histamine",
    "threitol",
    "erythritol",
    "pantothenate",
    "3-hydroxy-3-methylglutaric",
    "ethylmalonic",
    "glutaric",
    "orotate",
    "5-hydroxyindole",
]
MEDIUM = [
    "pantothenate",
    "pyridox",
    "nicotinamide",
    "folate",
    "thiamin",
    "choline$",
    "myo-inositol",
    "hypoxanthine",
    "adenine",
    "uridine",
    "cytidine$",
    "uracil$",
    "putrescine",
    "glutathione",
    "ethanolamine$",
    "urocanate",
    "hydroxyproline",
    "trans.4",
    "citrate",
    "pyruvic.acid",
    "lactic.acid",
    "acetic.acid",
    "formate",
    "alpha-D-glucose",
    "beta-D-glucose",
    "succinic",
    "fumaric",
    "pyroglutamate",
    "glycerol$",
    "ethanol$",
    "l-glutathione",
    "l\\(-\\)-glutathione",
    "isovaleric",
    "isobutyric",
    "3-hydroxybutyrate",
    "ala-ala",
    "taurine",
    "lipoic",
]
GLUCOSE = {"pnd:bmse000015_alpha": "alpha-D-Glucose", "pnd:bmse000015_beta": "beta-D-Glucose"}
"""The anomers of one entry apart: they are not in equal amounts."""
GLUCOSE_INCHI = "InChI=1S/C6H12O6/c7-1-2-3(8)4(9)5(10)6(11)12-2/h2-11H,1H2/t2-,3-,4+,5-,6?/m1/s1"
NAMES = {
    "R-(+)-2-Pyrrolidinone-5-carboxylate": "Pyroglutamate", "Ntau-Methyl-L-histidine": "N-tau-Methyl-L-histidine",
    "Methyl-oxobutanoic-acid": "3-Methyl-2-oxobutanoic acid", "DL-serine": "Serine", "(+/-)-Glucose": "D-Glucose",
    "2-Amino-3-hydroxybutanoic acid": "Threonine", "D-Methionine": "Methionine",
}  # fmt: skip


def skeleton(inchi: str) -> str:
    return "/".join(inchi.split("/")[1:3])


def _key(system: SpinSystem) -> str:
    """What tells compounds apart: formula, connectivity, double bonds; of polyols their names, for they are
    diastereomers.
    """
    polyol = re.search("(inositol|threitol|erythritol)", system.name.lower())
    double = re.search(r"/b[^/]*", system.inchi)
    return skeleton(system.inchi) + (system.name.lower() if polyol else double.group() if double else "")


def is_amino(key: str) -> bool:
    return any(key == a or ("/" not in a and key.startswith(a + "/")) for a in AMINO_ACIDS)


def title(name: str) -> str:
    """A name as people write it: no dash before `acid`, commas between numbers."""
    name = NAMES.get(name, name)
    name = re.sub(r"-acid$", " acid", name, flags=re.IGNORECASE)
    name = re.sub(r"(?<![A-Za-z\d])(\d)-(?=\d-)", r"\1,", name)
    return name[:1].upper() + name[1:]


def problem(system: SpinSystem) -> str:
    """What is wrong about an entry; empty if nothing is."""
    atoms = dict(re.findall(r"([A-Z][a-z]?)(\d*)", system.inchi.split("/")[1]))
    if set(atoms) - {"C", "H", "N", "O", "P", "S", "I"}:
        return "elements"
    if system.n_spins > 24 or system.n_spins > int(atoms.get("H") or "1"):
        return f"{system.n_spins} spins"
    found = lines(system, 600.0, threshold=1e-7)
    if not np.allclose(found.weight.sum(axis=0), system.multiplicity, rtol=5e-3):
        return "area"
    return "" if (np.abs(system.shifts) < 12).all() and (np.abs(system.couplings) < 25).all() else "values"


def whole(inchi: str) -> str:
    """An InChI with the stereocentre (`/t`) that GISSMO leaves out where there is one, with its `/m` kept.

    It is the only atom of which RDKit writes the same InChI again.

    Raises:
        ValueError: there are several such atoms, or none.
    """
    if "/m" not in inchi or "/t" in inchi:
        return inchi
    flat, _, hand = inchi.partition("/m")
    atoms = range(1, Chem.MolFromInchi(flat).GetNumAtoms() + 1)
    read = {one: Chem.MolFromInchi(one) for one in (f"{flat}/t{atom}-/m{hand}" for atom in atoms)}
    (only,) = [one for one, mol in read.items() if mol and Chem.MolToInchi(mol) == one]
    return only


def entry_of(system: SpinSystem) -> dict[str, Any]:
    inchi = whole(system.inchi)
    rows, columns = np.nonzero(np.triu(system.couplings))
    return {
        "id": system.identifier.split(":")[1],
        "name": title(system.name),
        "inchi": inchi,
        "inchikey": Chem.InchiToInchiKey(inchi),
        "source": f"GISSMO entry {system.identifier.split(':')[1]} of BMRB, as passed on in PublicNMRData",
        "licence": "CC-BY-SA-4.0",
        "aliases": list(dict.fromkeys([system.name, *system.aliases])),
        "multiplicity": system.multiplicity.tolist(),
        "shifts_ppm": system.shifts.tolist(),
        "couplings_Hz": [
            [a, b, float(system.couplings[a, b])] for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
        ],
    }


def write(name: str, entries: list[dict[str, Any]]) -> None:
    head = {
        "schema": "molvis-spin-systems/0",
        "licence": "CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/",
        "attribution": "GISSMO (doi:10.1021/acs.analchem.7b02884), BMRB, PublicNMRData of AI4DBiological-Systems",
    }
    rows = ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f',\n"n": {len(entries)}, "systems": [\n{rows}\n]}}\n'
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    print(name, len(entries))


def main() -> None:
    chosen: dict[str, SpinSystem] = {}
    anomers: list[SpinSystem] = []
    for system in read_systems(Path(sys.argv[1])):
        if system.identifier in GLUCOSE:
            anomers.append(replace(system, name=GLUCOSE[system.identifier], identifier="pnd:" + system.name))
            continue
        if not system.identifier.startswith("gissmo:bmse") or not system.inchi or NO_METABOLITES.search(system.name):
            continue
        if why := problem(system):
            print(f"left out: {system.identifier} {system.name}: {why}")
            continue
        chosen.setdefault(_key(system), system)
    by_key = {s.name: entry_of(replace(s, inchi=GLUCOSE_INCHI)) for s in anomers}
    by_key |= {key: entry_of(s) for key, s in sorted(chosen.items(), key=lambda item: item[1].identifier)}
    entries = list(by_key.values())

    def those(words: list[str]) -> list[dict[str, Any]]:
        pattern = re.compile(rf"^(?:[DLR]{{1,2}}-|\(\+-\)-|alpha-D-|beta-D-)?(?:{'|'.join(words)})", re.IGNORECASE)
        found = [k for k, e in by_key.items() if is_amino(k) or pattern.search(e["name"])]
        return [by_key[k] for k in found]

    write("metabolites", entries)
    write("amino-acids", those(COMPANIONS))
    write("urine", those(URINE + ENERGY))
    write("serum", those(ENERGY))
    write("medium", those(MEDIUM))


if __name__ == "__main__":
    main()
