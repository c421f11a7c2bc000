"""Which column of a table of cross sections holds what, recognised by its header whatever its case and punctuation.

The exports of CCSbase, AllCCS, METLIN-CCS and the CCS Compendium are read as they are.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

_NAMES: dict[str, tuple[str, ...]] = {
    "smiles": ("smiles", "smi", "canonicalsmiles", "isomericsmiles", "structure"),
    "inchi": ("inchi",),
    "inchikey": ("inchikey",),
    "name": ("name", "compound", "compoundname", "moleculename", "metabolite", "lipid", "analyte"),
    "adduct": (
        "adduct", "adducts", "precursoradduct", "ionspecies", "ionspeciesagilent", "ion", "iontype", "precursortype",
    ),
    "charge": ("charge", "z", "chargestate"),
    "ionmode": ("ionmode", "polarity", "mode", "ionization", "ionizationmode", "esimode"),
    "mz": ("mz", "m/z", "mzreported", "precursormz", "experimentalmz", "measuredmz", "mzmeasured", "mzavg"),
    "sd": ("sd", "ccssd", "sdccs", "std", "stdev", "stddev", "ccsstd", "ccsstdev", "standarddeviation"),
    "rsd": ("rsd", "rsdccs", "ccsrsd", "cv", "ccscv", "rsdpercent"),
    "gas": ("gas", "driftgas", "buffergas"),
    "instrument": ("instrumenttype", "itype", "ccstype", "imstype", "instrument", "platform", "technique"),
    "fold": ("fold", "split"),
    "source": ("source", "sources", "srctag", "ref", "dataset"),
    "authors": ("reference", "authors", "citation"),
    "contributor": ("collection", "contributor"),
    "licence": ("licence", "license"),
    "redistribution": ("redistribution",),
    "identifier": ("id", "allccsid", "metlinid", "ccsbaseid", "gid", "identifier"),
}  # fmt: skip
_CCS = re.compile(
    r"(?:exp|experimental|measured|mean|avg|average|corrected)?(?P<type>dt|sf|tw|tims|tw?ims)?(?:ims)?"
    r"(?:ccs|crosssection|collisioncrosssection)"
    r"(?P<gas>n2|he|co2|ar)?(?P<middle>value|exp|experimental|measured|mean|avg|average)?"
    r"(?P<unit>a2|a\^2|ang2|angstrom2|nm2|nm\^2)?(?P<n2>n2)?"
)
GASES = {"n2": "N2", "nitrogen": "N2", "he": "He", "helium": "He", "co2": "CO2", "ar": "Ar", "argon": "Ar"}
_TYPES = (
    ("TIMS", ("tims", "trapped")),
    ("TW", ("tw", "travel", "synapt", "vion", "cyclic")),
    ("DT", ("dt", "drift", "6560", "sf", "stepped")),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A column of cross sections: its header, and what that states."""

    header: str
    factor: float
    instrument: str | None
    gas: str | None
    average: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what: field to header, and the columns of cross sections."""

    fields: Mapping[str, str]
    sections: Sequence[Section]

    @property
    def fit(self) -> bool:
        """Whether there is a cross section, and an ion or a structure that it is of."""
        return bool(self.sections) and bool({"adduct", "mz", "smiles", "inchi"} & self.fields.keys())


def _plain(header: str) -> str:
    text = header.strip().lower().replace("\u00b2", "2").replace("\u00e5", "a").replace("\u212b", "a")
    return re.sub(r"[^a-z0-9/^]", "", text)


def columns_of(headers: Sequence[str]) -> Columns:
    """What each column of a table holds, by its header."""
    plain = {header: _plain(header) for header in headers if header}
    fields: dict[str, str] = {}
    for name, known in _NAMES.items():
        found = sorted((known.index(p), header) for header, p in plain.items() if p in known)
        if found:
            fields[name] = found[0][1]
    sections: dict[tuple[str | None, str | None], Section] = {}
    for header, text in plain.items():
        if (match := _CCS.fullmatch(text)) is None:
            continue
        unit, gas = match["unit"] or "", match["gas"] or match["n2"]
        section = Section(
            header,
            100.0 if unit.startswith("nm") else 1.0,
            instrument_type(match["type"]),
            GASES[gas] if gas else None,
            bool(re.search("avg|average|mean", text)),
        )
        key = section.instrument, section.gas
        # Of CCS and CCS_AVG, the average is what the table is about.
        if key not in sections or (section.average and not sections[key].average):
            sections[key] = section
    return Columns(fields, tuple(sections.values()))


def instrument_type(text: str | None) -> str | None:
    """`TIMS`, `TW` or `DT` from the name of an instrument or a technique; any other name as it is."""
    low = (text or "").lower()
    return next((kind for kind, words in _TYPES if any(word in low for word in words)), text or None)


def lacking(headers: Sequence[str]) -> str:
    """Why a table cannot be read: what its header has, and what it lacks."""
    found = ", ".join(h.strip()[:30] for h in headers[:12]) or "nothing"
    return (
        "no column of cross sections (such as CCS or DTCCSN2) beside one of adducts, m/z or structures in its header; "
        f"it has {found}"
    )
