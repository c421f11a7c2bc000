"""Shifts as the experimental section of a paper lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList, Structure
from molvis_files.opening import read_text
from molvis_files.spectra import known_structure
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, numbers, solvent_of

_HEAD = re.compile(
    r"(?P<nucleus>[\^(]?[0-9⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}\)?\s?[A-Z][a-z]?(?![a-z])|[CHFPN][-\s]?(?:13|1|19|31|15))"
    r"(?:\s*\{[^{}\n]{0,12}\})?[\s-]*NMR\b"
)
_DETAILS = re.compile(r"\s*[,:]?\s*(?:spectr(?:um|a)\s*)?[(\[](?P<details>[^()\[\]]*(?:\([^()]*\)[^()\[\]]*)*)[)\]]")
_SIGN = re.compile(
    r"\s*[:,=]?\s*(?:[δΔ]\s*[HCNFP]?|delta|d(?=\s*[-=(\d]))?\s*(?:\(?\s*(?:in\s+)?ppm\s*\)?)?\s*[:=]?\s*", re.IGNORECASE
)
_SIGNAL = re.compile(
    r"(?P<first>[-−–]?\d{1,4}(?:\.\d+)?)(?:\s*(?:[-−–—]|to)\s*(?P<last>[-−]?\d{1,4}(?:\.\d+)?))?"
    r"\s*(?:ppm\s*)?(?:\((?P<note>[^()]*(?:\([^()]*\)[^()]*)*)\))?"
)
_BETWEEN = re.compile(r"\s*(?:[,;]|and\b|&|\n|ppm\b)?\s*(?:and\b)?\s*")
_PROTONS = re.compile(r"(?<![\w.])(\d{1,3})\s*H\b")
_CARBONS = re.compile(r"(?<![\w.×x])(?:(\d{1,2})\s*[×x]?\s*C\b|[×x]\s*(\d{1,2}))")
_MULTIPLICITY = re.compile(
    r"(?:br\.?\s*)?(?:app\.?\s*)?(?:s|d|t|q|m|p|quint?|quintet|sext|sept|hept|br|[dtqs]{2,4})(?:\s*br)?"
)
_ATTACHED = {"CH3": "Q", "CH2": "T", "CH": "D", "C": "S", "CQ": "S", "Q": "Q", "T": "T", "D": "D", "S": "S"}
_OTHER = re.compile(r"[\d.]+\s*(?:K|°\s?C|T|M|mM|mg.*)?|TMS|DSS|TSP|int.*|ref.*|r\.?t\.?|DEPT.*|ppm", re.IGNORECASE)
"""A detail that is a temperature, a reference or the like."""
_FREQUENCY = re.compile(r"\d+(?:\.\d+)?\s*MHz", re.IGNORECASE)
_SMILES = re.compile(r"^\s*(?:SMILES\s*[:=]\s*(?P<smiles>\S+)|(?P<inchi>InChI=\S+))\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Listed:
    """One signal as it is written: shift, number of nuclei and multiplicity."""

    shift: float
    count: int | None
    multiplicity: str


def is_experimental(path: Path) -> bool:
    """Whether a text holds a line such as `13C NMR (101 MHz, CDCl3) δ 170.1, ...`."""
    try:
        text = read_text(path)
    except ReadError:
        return False
    return _HEAD.search(text[:200_000]) is not None


def read_experimental(path: Path) -> Items:
    """Lists of shifts in running text, as in `13C NMR (101 MHz, CDCl3) δ 170.1, 137.4 (2C), 21.0.`

    Each heading begins a list, which ends with the paragraph, the next heading, or the first word that is none of its
    own. Of a range, `7.40–7.31 (m, 5H)`, the middle is taken, and the number of protons. Parentheses of 13C may name
    the number of carbons, or the carbon (`CH2`, or its multiplicity where there is no coupling constant beside it). A
    line `SMILES: ...` or `InChI=...` gives the structure of the lists that follow.

    Raises:
        ReadError: the file cannot be read, or has no such heading.
    """
    text = read_text(path)
    heads = list(_HEAD.finditer(text))
    if not heads:
        raise ReadError(path, "no list of shifts in it; write one as in: 13C NMR (101 MHz, CDCl3) δ 170.1, 137.4, 21.0")
    known = _structures(text)
    for number, head in enumerate(heads, start=1):
        line = text.count("\n", 0, head.start()) + 1
        end = heads[number].start() if number < len(heads) else len(text)
        try:
            smiles = next((s for place, s in reversed(known) if place < head.start()), None)
            own = known_structure(smiles) if smiles else None
            yield _list(head["nucleus"], text[head.end() : end], own, f"{path.name.partition('.')[0]} {number}")
        except (RecordError, StructureError) as error:
            yield ReadError(path, str(error), line=line, record=number)


def _structures(text: str) -> list[tuple[int, str]]:
    return [(m.start(), m["smiles"] or m["inchi"]) for m in _SMILES.finditer(text)]


def _list(named: str, text: str, known: Structure | None, identifier: str) -> Measurement:
    nucleus = nucleus_of(named)
    if nucleus is None:
        raise RecordError(f"nucleus {named!r} is none; write it like 13C")
    solvent = None
    if (details := _DETAILS.match(text)) is not None:
        text = text[details.end() :]
        parts = [p.strip() for p in re.split(r"[,;]", details["details"]) if p.strip()]
        solvent = next((p for p in parts if not _FREQUENCY.search(p) and not _OTHER.fullmatch(p)), None)
    sign = _SIGN.match(text)
    signals = list(_signals(text[sign.end() if sign else 0 :], nucleus))
    if not signals:
        raise RecordError(f"no shifts after {named.strip()} NMR; write them as in: δ 170.1, 137.4, 21.0")
    counts = [one.count for one in signals]
    record = ShiftList(
        np.array([one.shift for one in signals]),
        nucleus,
        numbers(counts) if nucleus == "1H" else None,
        multiplicity=attached([one.multiplicity for one in signals]),
        solvent=solvent_of(solvent),
        identifier=identifier,
    )
    return Measurement(check(record), known, MODALITY, name=known.name if known else None)


def _signals(text: str, nucleus: str) -> Iterator[_Listed]:
    """The signals from the beginning of a text up to the first word that is none."""
    text = re.split(r"\n\s*\n", text, maxsplit=1)[0]
    place = 0
    while (found := _SIGNAL.match(text, place)) is not None:
        first = _number(found["first"])
        shift = first if found["last"] is None else (first + _number(found["last"])) / 2
        yield from _noted(shift, found["note"] or "", nucleus)
        place = found.end()
        between = _BETWEEN.match(text, place)
        assert between is not None
        if not between.group().strip() and not between.group():
            return
        place = between.end()


def _number(text: str) -> float:
    return float(text.translate(str.maketrans("−–", "--")))


def _noted(shift: float, note: str, nucleus: str) -> Iterator[_Listed]:
    """A signal with what its parentheses say."""
    parts = [p.strip() for p in note.split(",") if p.strip()]
    coupled = any(re.match(r"\^?\d*J", p) for p in parts)
    if nucleus == "1H":
        protons = _PROTONS.search(note)
        kind = next((p for p in parts if _MULTIPLICITY.fullmatch(p.lower())), "")
        yield _Listed(shift, int(protons[1]) if protons else None, kind)
        return
    plain = [re.sub(r"[₀-₉]", lambda m: str("₀₁₂₃₄₅₆₇₈₉".index(m.group())), p).upper() for p in parts]
    kind = "" if coupled or nucleus != "13C" else next((_ATTACHED[p] for p in plain if p in _ATTACHED), "")
    carbons = _CARBONS.search(note) if nucleus == "13C" else None
    times = int(carbons[1] or carbons[2]) if carbons else 1
    for _ in range(max(1, min(times, 12))):
        yield _Listed(shift, None, kind)
