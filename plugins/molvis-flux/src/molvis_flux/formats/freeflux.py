"""The tables of FreeFlux, in Excel or separated by tabs.

Reference: Wu et al., ACS Synthetic Biology 12 (2023) 2707, doi:10.1021/acssynbio.3c00265
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molvis_flux.formats.builder import Draft
from molvis_flux.formats.experiments import Data, assign_tracers, by_experiment, settle_roles
from molvis_flux.formats.opening import studies_of, suffix
from molvis_flux.formats.tables import Row, number, numbers, rows
from molvis_flux.model.network import Datum, Fragment, Metabolite, Participant, Reaction, Study

_ITEM = re.compile(
    r"(?:(?P<times>\d*\.?\d+)(?:\s*\*\s*|(?=\s*[A-Za-z_])))?\s*"
    r"(?P<name>[^\s()*]+)\s*(?:\((?P<atoms>[^()]*)\))?"
)
_FLUX = re.compile(r"(?P<name>.+)_(?P<way>[fb])")


def read_freeflux(
    path: str | Path,
    *,
    data: Data = (),
    measured_fluxes: str | Path | None = None,
    fluxes: str | Path | None = None,
    concentrations: str | Path | None = None,
    tracers: Mapping[str, Any] | None = None,
) -> Study:
    """The reactions of FreeFlux, with what belongs to them.

    Args:
        path: the table of reactions; or a folder, where `measured_MDVs`, `measured_inst_MDVs`, `measured_fluxes`,
            `fluxes` and `concentrations` are read as well. Stationary and instationary MIDs become two experiments.
        data: measured MIDs, in one file or by experiment, see `read_mfapy`.
        measured_fluxes: net fluxes with their standard deviations, for every experiment.
        fluxes: values; `_f` and `_b` at the end of a name mean forward and backward.
        concentrations: sizes of pools.
        tracers: by source, or by experiment and source, see `read_mfapy`: FreeFlux keeps them in code.

    Returns:
        The study. What no reaction makes is a source, what none uses leaves. FreeFlux sets no bounds: fluxes reach to
        1000, or to ten times the greatest that the files state.

    Raises:
        ReadError: a file cannot be read, or its content is impossible; the message names the line.
    """
    path = Path(path)
    folder = path if path.is_dir() else None
    if folder is not None:
        path = _table(folder, "reactions") or folder / "reactions.tsv"
    draft = Draft(str(path), path.parent.name)
    reader = _Reader(draft, path)
    beside = {part: _table(folder, part) if folder else reader.within(part) for part in _BESIDE}
    measured_fluxes = measured_fluxes or beside["measured_fluxes"]
    data = data or {name: file for name, part in _PARTS.items() if (file := beside[part])}
    reader.reactions()
    settle_roles(draft)
    reader.measurements(data, measured_fluxes)
    reader.values(fluxes or beside["fluxes"])
    reader.concentrations(concentrations or beside["concentrations"])
    if tracers:
        draft.tracers |= assign_tracers(tracers, list(draft.data) or ["default"], draft)
    draft.cap_at_scale()
    return draft.finish()


studies = studies_of(read_freeflux)
"""The reader component."""


def is_freeflux(path: Path) -> bool:
    """Whether a table has the heading of FreeFlux's reactions, or a folder has such a table."""
    if path.is_dir():
        return any((path / f"reactions{ending}").is_file() for ending in (".tsv", ".xlsx"))
    return suffix(path) in _TABLES and "reactions" in _sheets_of(path)


_TABLES = (".tsv", ".csv", ".xlsx", ".xlsm")
_PARTS = {"stationary": "measured_MDVs", "instationary": "measured_inst_MDVs"}
_BESIDE = (*_PARTS.values(), "measured_fluxes", "fluxes", "concentrations")
_YES, _NO = ("1", "1.0", "true", "yes", "rev", "<->", "<=>"), ("0", "0.0", "false", "no", "irr", "->", "=>")
ERROR = 0.01
"""Standard deviation of a fraction for which a table states none."""

_FIRST = {
    "reaction": "reactions",
    "rxn": "reactions",
    "fragment": "measured_MDVs",
    "metabolite": "concentrations",
    "flux": "fluxes",
}


def _is_heading(row: Row) -> bool:
    return bool(_part(row))


def _part(row: Row) -> str:
    """What the table below a heading holds; nothing where the row is no heading."""
    cells = [cell.lower().lstrip("#").strip() for cell in row.cells]
    kind = next((part for start, part in _FIRST.items() if re.fullmatch(rf"{start}[_ ]?(ids?|names?)?", cells[0])), "")
    if kind == "reactions":
        if any(cell.startswith(("reactant", "substrate", "educt")) for cell in cells[1:]):
            return "reactions"
        return "measured_fluxes" if any(cell in ("sd", "std", "stdev", "error") for cell in cells[1:]) else "fluxes"
    if kind == "measured_MDVs":
        return "measured_inst_MDVs" if any(cell.startswith("time") for cell in cells[1:]) else kind
    return kind if len(cells) > 1 and any(cells[1:]) else ""


def _sheets_of(path: Path) -> dict[str, str]:
    """The sheet of each part, by its heading; the one sheet of a table is nameless."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for row in rows(path):
        if row.sheet in seen or not any(row.cells):
            continue
        seen.add(row.sheet)
        if part := _part(row):
            found.setdefault(part, row.sheet)
    return found


def _table(folder: Path, name: str) -> Path | None:
    return next((p for suffix in (".tsv", ".xlsx", ".csv") if (p := folder / f"{name}{suffix}").is_file()), None)


_Side = list[tuple[str, float, tuple[str, ...]]]
"""Metabolites with their coefficients and the labels of their atoms."""


class _Reader:
    """One table after the other."""

    def __init__(self, draft: Draft, path: Path) -> None:
        self.draft, self.path = draft, path
        self.symmetric: dict[str, tuple[int, ...]] = {}
        self.sheets = _sheets_of(path)

    def within(self, part: str) -> Path | None:
        """The workbook itself, where a sheet of it holds this part."""
        return self.path if len(set(self.sheets.values())) > 1 and part in self.sheets else None

    def table(self, path: Path, columns: int, part: str = "reactions") -> list[Row]:
        """Rows below the heading; of a workbook of several sheets those of the one that holds this part."""
        every = [row for row in rows(path) if any(row.cells)]
        if path == self.path and len({row.sheet for row in every}) > 1:
            every = [row for row in every if row.sheet == self.sheets.get(part, "")]
        found = [row for row in every if not row.cells[0].startswith("#") and not _is_heading(row)]
        for row in found:
            if len(row.cells) < columns or not all(row.cells[:columns]):
                raise self.draft.error(f"{row.cells!r}: a row has {columns} columns", row.line, str(path))
        return found

    def reactions(self) -> None:
        read = [(row, self.sides(row)) for row in self.table(self.path, 2)]
        # Every metabolite is known, with all its atoms, before the first reaction is made of them.
        for row, sides in read:
            for name, _, atoms in (item for side in sides for item in side):
                self.metabolite(name, atoms, row)
        for row, sides in read:
            self.reaction(row, sides)

    def sides(self, row: Row) -> tuple[_Side, _Side]:
        """Substrates and products of a reaction.

        Maps of what leaves the network have no effect, and the shipped models have some that are too short: atoms are
        left out where one side has none.
        """
        left, right = (self.side(cell, row) for cell in (*row.cells, "", "")[1:3])
        if all(any(atoms for *_, atoms in side) for side in (left, right)):
            return left, right
        return [(name, times, ()) for name, times, _ in left], [(name, times, ()) for name, times, _ in right]

    def reaction(self, row: Row, sides: tuple[_Side, _Side]) -> None:
        substrates, products = (tuple(Participant(*item) for item in side) for side in sides)
        text = row.cells[3] if len(row.cells) > 3 else ""
        if text.lower() not in ("", *_YES, *_NO):
            raise self.draft.error(f"the reversibility of {row.cells[0]!r} is {text!r}; write 1 or 0", row.line)
        reversible = text.lower() in _YES
        self.draft.add_reaction(
            Reaction(
                row.cells[0],
                substrates,
                products,
                reversible,
                net=(-math.inf if reversible else 0.0, math.inf),
                exchange=(0.0, math.inf),
                where=self.draft.where(row.line),
            ),
            row.line,
        )

    def side(self, text: str, row: Row) -> _Side:
        found: list[Participant] = []
        if text.strip().lower() in ("", "nothing", "none", "∅"):
            return []
        for item in text.split("+"):
            match = _ITEM.fullmatch(item.strip())
            if match is None:
                raise self.draft.error(f"{item.strip()!r} is no metabolite; write `name(abc)` or `2name`", row.line)
            maps = [part.strip() for part in (match["atoms"] or "").split(",")]
            if len(maps) == 2 and sorted(maps[0]) == sorted(maps[1]):
                turned = tuple(maps[0].index(atom) for atom in maps[1])
                if self.symmetric.setdefault(match["name"], turned) != turned:
                    raise self.draft.error(
                        f"{item.strip()!r} is turned another way than {match['name']} elsewhere; a molecule has "
                        "one symmetry",
                        row.line,
                    )
            elif len(maps) > 1:
                raise self.draft.error(f"{item.strip()!r}: give one map, or two that are permutations of it", row.line)
            found.append(Participant(match["name"], float(match["times"] or 1), tuple(maps[0])))
        return [(p.metabolite, p.coefficient, p.atoms) for p in self.draft.folded(found)]

    def metabolite(self, name: str, atoms: tuple[str, ...], row: Row) -> None:
        old = self.draft.metabolites.get(name)
        turned = self.symmetric.get(name)
        if old is None or (atoms and not old.elements):
            found = Metabolite(name, ("C",) * len(atoms), symmetries=(turned,) if turned and atoms else ())
            self.draft.metabolites[name] = found
        elif atoms and len(old.elements) != len(atoms):
            raise self.draft.error(
                f"{name} has {len(atoms)} atoms in reaction {row.cells[0]!r}, and {len(old.elements)} before; "
                "correct one",
                row.line,
            )

    def measurements(self, data: Data, measured_fluxes: str | Path | None) -> None:
        """MIDs by experiment, each with the measured net fluxes, which belong to all of them."""
        for name, files in by_experiment(data).items():
            part = _PARTS.get(name, "measured_MDVs")
            self.draft.data[name] = [datum for _, file in files for datum in self.mids(Path(file), part)]
        measured = [] if measured_fluxes is None else self.measured_fluxes(Path(measured_fluxes))
        if measured and not self.draft.data:
            self.draft.data["default"] = []
        for found in self.draft.data.values():
            found += measured

    def mids(self, path: Path, part: str) -> list[Datum]:
        found = []
        for row in self.table(path, 2, part):
            cells = [*row.cells, ""]
            name, *moment, means, spreads = cells[: 4 if len(row.cells) > 3 and cells[3] else 3]
            time = number(path, row, moment[0], f"the time of {name}") if moment else None
            values, sd = (
                numbers(path, row, means, f"the MID of {name}"),
                numbers(path, row, spreads, f"the sd of {name}"),
            )
            self.fragment(name, row, path)
            if not sd:
                sd = (ERROR,) * len(values)
                self.draft.notes.append(
                    f"{self.draft.where(row.line, str(path))}: {name} has no standard deviations; taken as {ERROR:g}."
                )
            if len(sd) != len(values):
                raise self.draft.error(
                    f"{name} has {len(values)} fractions and {len(sd)} standard deviations", row.line, str(path)
                )
            found.append(Datum(name, "mid", values, sd, time, where=self.draft.where(row.line, str(path))))
        return found

    def fragment(self, name: str, row: Row, path: Path) -> None:
        pool, _, digits = name.rpartition("_")
        metabolite = self.draft.known_metabolite(pool, row.line, f"fragment {name!r}", str(path))
        text = digits if re.search(r"\D", digits) else " ".join(digits)
        atoms = self.draft.atoms(text, metabolite, f"fragment {name!r}", row.line, str(path))
        self.draft.fragments.setdefault(
            name,
            Fragment(name, ((1.0, pool, atoms),), ("C",) * len(atoms), where=self.draft.where(row.line, str(path))),
        )

    def measured_fluxes(self, path: Path) -> list[Datum]:
        found = []
        for row in self.table(path, 3, "measured_fluxes"):
            self.draft.known_reaction(row.cells[0], row.line, "a measured flux", str(path))
            value, sd = (number(path, row, cell, f"the flux {row.cells[0]}") for cell in row.cells[1:3])
            found.append(Datum(row.cells[0], "net", (value,), (sd,), where=self.draft.where(row.line, str(path))))
        return found

    def concentrations(self, given: str | Path | None) -> None:
        if given is None:
            return
        path = Path(given)
        for row in self.table(path, 2, "concentrations"):
            self.draft.known_metabolite(row.cells[0], row.line, "a concentration", str(path))
            self.draft.pools[row.cells[0]] = number(path, row, row.cells[1], f"the pool {row.cells[0]}")

    def values(self, given: str | Path | None) -> None:
        if given is None:
            return
        path = Path(given)
        ways: dict[str, dict[str, float]] = {}
        for row in self.table(path, 2, "fluxes"):
            name = row.cells[0]
            value = number(path, row, row.cells[1], f"the flux {name}")
            match = _FLUX.fullmatch(name)
            if name in self.draft.reactions or match is None:
                self.draft.known_reaction(name, row.line, "a flux", str(path))
                self.draft.fluxes["net", name] = value
            else:
                self.draft.known_reaction(match["name"], row.line, "a flux", str(path))
                ways.setdefault(match["name"], {})[match["way"]] = value
        for name, way in ways.items():
            forward, backward = way.get("f", 0.0), way.get("b", 0.0)
            self.draft.fluxes["net", name] = forward - backward
            self.draft.fluxes["exchange", name] = min(forward, backward)
