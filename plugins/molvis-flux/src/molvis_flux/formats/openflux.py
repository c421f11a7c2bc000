"""The sheets of OpenFLUX, of 2009 and of its later version, as tab- or comma-separated text or as a workbook.

Reference: Quek et al., Microbial Cell Factories 8 (2009) 25, doi:10.1186/1475-2859-8-25
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.derived import Derived
from molvis_flux.formats.equations import add_reaction, two_cells
from molvis_flux.formats.experiments import assign_tracers
from molvis_flux.formats.inca_parts import joined
from molvis_flux.formats.opening import stem, studies_of, suffix
from molvis_flux.formats.tables import Row, number, rows
from molvis_flux.model.network import Datum, Study

_TYPES = ("F", "FR", "R", "B", "BR", "BRR", "S", "SF")
"""Forward, forward and reverse of a pair, of the balances only, and only measured."""

_BALANCE = ("B", "BR", "BRR")
_SECTIONS = {
    "excludedmetabolites": "excluded", "inputsubstrates": "inputs", "simulatedmdvs": "mids", "measuredisotopes": "mids",
    "measurements": "measurements", "measurement": "measurements", "error": "error", "errors": "error",
}  # fmt: skip
_MID = re.compile(r"(?P<molecule>[^#\s:]+)\s*[#:]\s*(?P<mask>[01]+)")


@dataclass(slots=True)
class _Lists:
    """What stands below the reactions, with lines."""

    excluded: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    mids: dict[str, int] = field(default_factory=dict)
    measurements: list[tuple[float, float | None, int]] = field(default_factory=list)
    error: list[tuple[float, float | None, int]] = field(default_factory=list)


def read_openflux(
    path: str | Path,
    *,
    data: str | Path | None = None,
    tracers: Mapping[str, Any] | None = None,
    corrected: bool | None = None,
) -> Study:
    """A sheet of OpenFLUX.

    Args:
        path: text separated by tabs or commas, or a workbook, with the columns `rxnID`, `rxnEq`, `rxnCTrans`, `rates`,
            `rxnType`, and `basis` and `deviation` or `LB` and `UB`; then the lists `excludedMetabolites`,
            `simulatedMDVs`, `inputSubstrates`, and of 2009 `measurements` and `error`.
        data: measured distributions of the later version: for each a line with its name and the formula of its other
            atoms, then lines of fraction and standard deviation.
        tracers: labelling of the input substrates, which OpenFLUX keeps in code: `{"GLU_EX": "U-13C"}`.
        corrected: whether natural isotopes are taken out of the measured fractions. By default they are not where a
            formula stands beside them.

    Returns:
        The study. Reactions of type `B` have no atom map; the products of type `S` are fragments. A `basis` alone is a
        fixed flux, with a `deviation` a measured one; `X` marks a free flux of OpenFLUX and is not needed.

    Raises:
        ReadError: the file cannot be read, or its content is impossible; the message names the line.
    """
    path = Path(path)
    draft, derived, lists = Draft(str(path), stem(path)), Derived(), _Lists()
    names: tuple[str, ...] = ()
    section = ""
    measured: list[Datum] = []
    for row in rows(path):
        cells = row.cells
        if not names:
            names = _heading(path, row)
        elif cells[0].startswith("##") or (not cells[0] and _key(cells[1:2]) in _SECTIONS):
            section = _section(draft, cells, row.line)
        elif section:
            _listed(path, draft, lists, section, row)
        elif not cells[0].startswith("#"):
            measured += _reaction(path, draft, derived, dict(zip(names, cells, strict=False)), row)
    if not draft.reactions:
        raise ReadError(path, "has no reactions of OpenFLUX below its heading")
    _roles(draft, lists)
    _fragments(draft, derived, lists.mids)
    mids = list(_beside(Path(data), draft, derived, corrected) if data else _own_data(draft, lists, corrected))
    if mids or measured or tracers:
        draft.data["default"] = [*mids, *measured]
    if tracers:
        draft.tracers = assign_tracers(tracers, ["default"], draft)
    elif lists.inputs:
        draft.notes.append(
            f"{path}: OpenFLUX keeps the labelling of {', '.join(lists.inputs)} in code; say it by `tracers`."
        )
    draft.cap_at_scale()
    return draft.finish()


studies = studies_of(read_openflux)
"""The reader component."""


def is_openflux(path: Path) -> bool:
    """Whether a table has the heading of OpenFLUX."""
    if not path.is_file() or suffix(path) not in (".txt", ".tsv", ".csv", ".tab", ".xlsx", ".xlsm", ".xls"):
        return False
    head = next(rows(path), None)
    return head is not None and {"rxneq", "rxnctrans"} <= {cell.lower() for cell in head.cells}


def _key(cells: tuple[str, ...]) -> str:
    return cells[0].lower().replace(" ", "").replace("_", "") if cells else ""


def _heading(path: Path, row: Row) -> tuple[str, ...]:
    names = tuple(cell.lower() for cell in row.cells)
    if missing := [name for name in ("rxnid", "rxneq", "rxnctrans", "rxntype") if name not in names]:
        raise ReadError(
            path, f"lacks the column {missing[0]!r} of OpenFLUX; it has {', '.join(filter(None, names))}", line=row.line
        )
    return names


def _section(draft: Draft, cells: tuple[str, ...], line: int) -> str:
    title = cells[0].lstrip("# ") or (cells[1] if len(cells) > 1 else "")
    found = _SECTIONS.get(_key((title,)))
    if found is None:
        draft.notes.append(f"{draft.where(line)}: the list {title!r} is not read.")
    return found or "other"


def _listed(path: Path, draft: Draft, lists: _Lists, section: str, row: Row) -> None:
    """A line of a list: `#`, then a name, or a number and perhaps its deviation."""
    cells = [cell for cell in (c.lstrip("#").strip() for c in row.cells) if cell]
    if not cells or section == "other":
        return
    if section in ("measurements", "error"):
        value = number(path, row, cells[0], f"a value of {section}")
        spread = number(path, row, cells[1], "its deviation") if len(cells) > 1 else None
        getattr(lists, section).append((value, spread, row.line))
        return
    known = getattr(lists, section)
    # A mask may stand in a cell of its own.
    name = "#".join(cells[:2]) if section == "mids" and len(cells) > 1 and set(cells[1]) <= set("01") else cells[0]
    if name in known:
        raise draft.error(f"{name!r} stands twice in a list; take one away", row.line)
    known[name] = row.line


def _reaction(path: Path, draft: Draft, derived: Derived, cell: dict[str, str], row: Row) -> Iterator[Datum]:
    """Add a reaction; what is measured of its flux."""
    name, kind = cell["rxnid"], cell.get("rxntype", "").upper()
    if kind not in _TYPES:
        raise draft.error(f"reaction {name!r} is of type {kind!r}; it is {', '.join(_TYPES)}", row.line)
    transfer = "" if kind in _BALANCE else cell.get("rxnctrans", "")
    substrates, products, _ = two_cells(draft, name, cell.get("rxneq", ""), transfer, row.line)
    if kind in ("S", "SF"):
        derived.add(draft, name, substrates, products, row.line)
        return
    add_reaction(draft, name, substrates, products, reversible=False, line=row.line)
    stated = {
        key: number(path, row, cell[key], f"{key} of {name!r}")
        for key in ("basis", "deviation", "lb", "ub")
        if cell.get(key, "").upper() not in ("", "X")
    }
    if cell.get("rates"):
        draft.notes.append(f"{draft.where(row.line)}: the rate {cell['rates']!r} of {name!r} is not used.")
    draft.bound("net", name, stated.get("lb", 0.0), stated.get("ub", math.inf), row.line)
    if "basis" in stated:
        value = stated["basis"]
        draft.fluxes["net", name] = value
        if stated.get("deviation", 0.0) > 0:
            yield Datum(name, "net", (value,), (stated["deviation"],), where=draft.where(row.line))
        else:
            draft.bound("net", name, value, value, row.line)


def _roles(draft: Draft, lists: _Lists) -> None:
    """What is excluded from the balances is given from outside where it is an input or is only used; else it leaves."""
    made = {p.metabolite for r in draft.reactions.values() for p in r.products}
    used = {p.metabolite for r in draft.reactions.values() for p in r.substrates}
    for name, line in lists.inputs.items():
        draft.known_metabolite(name, line, "the list inputSubstrates")
        if name in made:
            raise draft.error(f"the input {name!r} is made by a reaction; inputs are only used", line)
    for name in dict.fromkeys((*lists.excluded, *lists.inputs)):
        if name not in draft.metabolites:
            draft.notes.append(
                f"{draft.where(lists.excluded[name])}: no balanced reaction has {name!r}, an excluded one."
            )
            continue
        role = "source" if name in lists.inputs or (name in used and name not in made) else "sink"
        draft.metabolites[name] = dataclasses.replace(draft.metabolites[name], role=role)


def _fragments(draft: Draft, derived: Derived, mids: Mapping[str, int]) -> None:
    for name, line in mids.items():
        _fragment(draft, derived, name, line)


def _fragment(draft: Draft, derived: Derived, name: str, line: int | None, formula: str = "") -> None:
    """The fragment `VALX#11111`."""
    match = _MID.fullmatch(name)
    if match is None:
        raise draft.error(f"{name!r} is no fragment; write its molecule and carbons as in VALX#11111", line)
    count, mask = derived.count(draft, match["molecule"]), match["mask"]
    if count and len(mask) != count:
        raise draft.error(f"{name!r} has {len(mask)} carbons, and {match['molecule']} has {count}", line)
    atoms = [i for i, mark in enumerate(mask) if mark == "1"]
    if not atoms:
        raise draft.error(f"{name!r} has no carbon; mark those that are measured by 1", line)
    draft.fragments[name] = derived.fragment(draft, name, match["molecule"], atoms, line, formula)


def _own_data(draft: Draft, lists: _Lists, corrected: bool | None) -> Iterator[Datum]:
    """Of the list `measurements`: the fractions of all fragments one after another."""
    if not lists.measurements:
        return
    wanted = sum(len(draft.fragments[name].elements) + 1 for name in lists.mids)
    spreads = [e[0] for e in lists.error] or [s for _, s, _ in lists.measurements if s is not None]
    if len(lists.measurements) != wanted or len(spreads) != wanted:
        raise draft.error(
            f"the fragments have {wanted} fractions, and there are {len(lists.measurements)} measurements and "
            f"{len(spreads)} errors; give one of each for every mass from M+0 on",
            lists.measurements[0][2],
        )
    at = 0
    for name in lists.mids:
        length = len(draft.fragments[name].elements) + 1
        some = lists.measurements[at : at + length]
        yield Datum(
            name, "mid", tuple(v for v, *_ in some), tuple(spreads[at : at + length]), corrected=corrected is not False,
            where=draft.where(some[0][2]),
        )  # fmt: skip
        at += length


def _beside(path: Path, draft: Draft, derived: Derived, corrected: bool | None) -> Iterator[Datum]:
    """Of a file of measurements: blocks of a name, and of a fraction and its deviation for each mass."""
    blocks = _blocks(path, draft)
    for name, (rest, line, values) in blocks.items():
        length = name.split("#")[-1].count("1") + 1
        _fragment(draft, derived, name, None, joined(f"C{length - 1}{rest}") if rest else "")
        if len(values) > length:
            raise draft.error(f"{name!r} has {len(values)} fractions and {length - 1} carbons", line, str(path))
        fill = [(math.nan, math.nan)] * (length - len(values))
        whole = [*values, *fill]
        yield Datum(
            name, "mid", tuple(v for v, _ in whole), tuple(s for _, s in whole), scaled=bool(fill),
            corrected=not rest if corrected is None else corrected, where=draft.where(line, str(path)),
        )  # fmt: skip
    if corrected is None and any(rest for rest, *_ in blocks.values()):
        draft.notes.append(f"{path}: fractions beside a formula are taken as not corrected for its natural isotopes.")


def _blocks(path: Path, draft: Draft) -> dict[str, tuple[str, int, list[tuple[float, float]]]]:
    """By name: the formula beside it, its line, and fractions with their deviations."""
    blocks: dict[str, tuple[str, int, list[tuple[float, float]]]] = {}
    current = ""
    for row in rows(path):
        cells = [cell for cell in row.cells if cell]
        if _MID.fullmatch(cells[0]):
            current = cells[0]
            if current in blocks:
                raise draft.error(f"{current!r} is measured twice; take one block away", row.line, str(path))
            blocks[current] = (cells[1] if len(cells) > 1 else "", row.line, [])
            continue
        if not current or len(cells) < 2:
            raise draft.error(f"{row.cells!r}: a line has a fraction and its deviation", row.line, str(path))
        value, spread = (number(path, row, cell, f"a fraction of {current}") for cell in cells[:2])
        blocks[current][2].append((value, spread))
    return blocks
