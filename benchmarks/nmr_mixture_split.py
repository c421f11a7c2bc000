"""Which of the data folder's spectra and compounds the search for mixtures was developed on, and which were set aside.

    python benchmarks/nmr_mixture_split.py [--data ../shared/data]

Writes benchmarks/nmr_mixture_split.json. Measured spectra are divided by compound: both spectra of proline lie on one
side, and so does whatever the library of spin systems has of a compound that was measured. All other compounds go by a
digest of the first block of their InChI (formula and connectivity), so that isomers by configuration stay together.
The file was written before any search for mixtures ran.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

WRITTEN = Path(__file__).with_suffix(".json")
MEASURED = {
    "looked_at": [
        "gissmo_exp:Arginine", "gissmo_exp:Glycine", "gissmo_exp:Methionine", "gissmo_exp:Proline",
        "mipt:Proline-Varian-MIPT-499.8MHz", "gissmo_exp:Tyrosine", "nrml:2-ketobutyric acid", "gissmo_exp:Alanine",
        "gissmo_exp:Leucine",
    ],
    "set_aside": [
        "gissmo_exp:Glutamate", "gissmo_exp:Isoleucine", "gissmo_exp:Lysine", "gissmo_exp:Serine", "nrml:GABA",
        "gissmo_exp:Aspartate", "gissmo_exp:Glutamine", "gissmo_exp:Phenylalanine",
    ],
}  # fmt: skip
SAMPLES = {
    "looked_at": ["nrc:amino_acid_mixture_2022", "raw/bruker/MTBLS1/ADG10003u_007/10"],
    "set_aside": ["nrc:glucose_2018", "raw/bruker/MTBLS1/ADG10003u_051/10"],
}
SINCE = {
    "set_aside_since": {"sizes": [10, 30, 100], "seeds": list(range(8)), "strangers": [1]},
    "set_aside_since, many strangers": {"sizes": [30, 100], "seeds": list(range(8)), "strangers": [4]},
    "set_aside_third": {"sizes": [10, 30, 100], "seeds": list(range(8)), "strangers": [1]},
    "set_aside_third, many strangers": {"sizes": [30, 100], "seeds": list(range(6)), "strangers": [4]},
    "set_aside_fourth": {"sizes": [10, 30, 100], "seeds": list(range(6)), "strangers": [1]},
    "set_aside_fourth, many strangers": {"sizes": [30, 100], "seeds": list(range(12)), "strangers": [4]},
    "set_aside_fifth": {"sizes": [10, 30, 100], "seeds": list(range(6)), "strangers": [1]},
    "set_aside_fifth, many strangers": {"sizes": [30, 100], "seeds": list(range(12)), "strangers": [4]},
    "set_aside_sixth": {"sizes": [10, 30, 100], "seeds": list(range(6)), "strangers": [1]},
    "set_aside_sixth, many strangers": {"sizes": [30, 100], "seeds": list(range(12)), "strangers": [4]},
    "set_aside_seventh": {"sizes": [10, 30, 100], "seeds": list(range(6)), "strangers": [1]},
    "set_aside_seventh, many strangers": {"sizes": [30, 100], "seeds": list(range(12)), "strangers": [4]},
}
"""Mixtures that were set aside later, see `nmr_mixture_samples.FIELDS`; the urine set aside first was not looked at
until then, either. The third are other mixtures of the compounds of the first, of which sums had been seen twice then,
and so are those after it, of which sums had been seen once more each.
"""
COMPOUND_OF = {
    "gissmo_exp:Arginine": "bmse000029", "gissmo_exp:Glycine": "bmse000089", "gissmo_exp:Methionine": "bmse000044",
    "gissmo_exp:Proline": "bmse000047", "mipt:Proline-Varian-MIPT-499.8MHz": "bmse000047",
    "gissmo_exp:Tyrosine": "bmse000051", "nrml:2-ketobutyric acid": "bmse000325", "gissmo_exp:Alanine": "bmse000028",
    "gissmo_exp:Leucine": "bmse000042", "gissmo_exp:Glutamate": "bmse000037", "gissmo_exp:Isoleucine": "bmse000041",
    "gissmo_exp:Lysine": "bmse000043", "gissmo_exp:Serine": "bmse000867", "nrml:GABA": "bmse000871",
    "gissmo_exp:Aspartate": "bmse000031", "gissmo_exp:Glutamine": "bmse000038",
    "gissmo_exp:Phenylalanine": "bmse000900",
}  # fmt: skip


def skeleton(inchi: str) -> str:
    """Formula and connectivity: the same for isomers by configuration."""
    return "/".join(inchi.split("/")[1:3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    folder = parser.parse_args().data / "nmr"
    systems = json.loads((folder / "spin_systems.json").read_text(encoding="utf-8"))["systems"]
    entries = {s["id"].split(":")[1]: s for s in systems if s["id"].startswith("gissmo:bmse") and s["inchi"]}
    side_of: dict[str, str] = {}
    for side, names in MEASURED.items():
        for name in names:
            side_of[skeleton(entries[COMPOUND_OF[name]]["inchi"])] = side
    compounds: dict[str, list[str]] = {"looked_at": [], "set_aside": []}
    for identifier, entry in sorted(entries.items()):
        key = skeleton(entry["inchi"])
        odd = hashlib.sha256(key.encode()).digest()[0] % 2
        compounds[side_of.get(key, "set_aside" if odd else "looked_at")].append(identifier)
    done = {"measured": MEASURED, "samples": SAMPLES, "since": SINCE, "compounds": compounds}
    WRITTEN.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    print({side: len(names) for side, names in compounds.items()})


if __name__ == "__main__":
    main()
