"""The text files of mfapy: a model, a status with values and bounds, and measured MIDs.

Reference: Matsuda et al., Metabolic Engineering Communications 13 (2021) e00177, doi:10.1016/j.mec.2021.e00177
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import did_you_mean
from molvis_core.text import is_count
from molvis_files.opening import read_text
from molvis_flux.formats.builder import Draft, reverse
from molvis_flux.formats.experiments import Data, assign_tracers, by_experiment, finite
from molvis_flux.formats.opening import stem, studies_of
from molvis_flux.model.network import Constraint, Datum, Fragment, Metabolite, Participant, Reaction, Study

_FLOOR = 1e-3
_SECTIONS = ("Reactions", "Metabolites", "Reversible_reactions", "Target_fragments", "Fragments")
_ITEM = re.compile(r"(?:\{(?P<times>\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})\}\s*)?(?P<name>[^\s{}+]+)")
_PART = re.compile(r"(?P<pool>.+)_(?P<atoms>[\d:]+)")


def read_mfapy(
    path: str | Path,
    *,
    status: str | Path | None = None,
    data: Data = (),
    tracers: Mapping[str, Any] | None = None,
    merge_pairs: bool = False,
) -> Study:
    """A model of mfapy with what belongs to it.

    Args:
        path: the model, `..._model.txt`.
        status: values, types and bounds of fluxes and pools, `..._status.csv`.
        data: measured MIDs. One file; several, each a parallel experiment named after the file; or by experiment, where
            a file may be replaced by a table of times to files: `{"glucose": {0: "t0.txt", 10: "t10.txt"}}`.
        tracers: labelling of carbon sources, which mfapy keeps in code: by source, for all experiments, or by
            experiment and source: `{"glucose": {"SubsGlc": {"100000": 0.7, "111111": 0.3}}}`. A path is read as a
            file of carbon sources (`Name, Isotopomer, Ratio`).
        merge_pairs: make one reversible reaction of each pair under `//Reversible_reactions`. By default the two stay
            apart, as mfapy has them, and the pair is a condition on their difference.

    Returns:
        The study. A reaction of type `pseudo` takes labelling and drains nothing; one of type `fixed` has its value as
        both bounds; one of type `fitting` is a measured flux in every experiment. Lower bounds up to 0.001 are read as
        0.

    Raises:
        ReadError: a file cannot be read, or its content is impossible; the message names the line.
    """
    draft = Draft(str(path), stem(path).removesuffix("_model"))
    reader = _Model(draft)
    reader.read(read_text(Path(path)))
    measured: list[Datum] = []
    if status is not None:
        measured = reader.status(Path(status))
    reader.close(merge_pairs)
    for name, files in by_experiment(data).items():
        draft.data[name] = [d for time, file in files for d in _read_mids(Path(file), draft, reader.unused, time)]
    if tracers:
        names = list(draft.data) or ["default"]
        for name, sources in assign_tracers(tracers, names, draft).items():
            draft.tracers[name] = sources
            draft.data.setdefault(name, [])
    for found in draft.data.values():
        found += measured
    if measured and not draft.data:
        draft.data["default"] = measured
    return draft.finish()


studies = studies_of(read_mfapy)
"""The reader component."""


def is_mfapy(path: Path) -> bool:
    """Whether a file has the section of reactions of mfapy."""
    return path.is_file() and "//Reactions" in read_text(path)


@dataclass(frozen=True, slots=True)
class _Status:
    """A line of the status: `state` is whether it is of a reaction, a metabolite or a reversible pair."""

    state: str
    name: str
    kind: str
    value: float
    spread: float
    low: float
    high: float
    line: int
    where: str


class _Model:
    """Sections of the model, in the order in which they come."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.unused: set[str] = set()
        self.pairs: dict[str, tuple[str, str, float, float, int]] = {}
        self.pending: list[tuple[list[str], int]] = []

    def read(self, text: str) -> None:
        sections = self.sections(text)
        for cells, number in sections["Metabolites"]:
            self.metabolite(cells, number)
        for cells, number in sections["Reactions"]:
            self.reaction(cells, number)
        for cells, number in sections.get("Reversible_reactions", []):
            self.pair(cells, number)
        for cells, number in (*sections.get("Target_fragments", []), *sections.get("Fragments", [])):
            self.fragment(cells, number)
        if unknown := [name for name in sections if name not in _SECTIONS]:
            self.draft.notes.append(f"{self.draft.path}: sections not read: {', '.join(unknown)}.")

    def sections(self, text: str) -> dict[str, list[tuple[list[str], int]]]:
        """Cells and numbers of the lines of each section."""
        sections: dict[str, list[tuple[list[str], int]]] = {}
        section = ""
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].rstrip() if not line.startswith("//") else line.strip()
            if line.startswith("//"):
                section = line.strip("/ \t")
                if section == "End":
                    break
                sections.setdefault(section, [])
            elif line.strip(' \t"'):  # spreadsheets leave lines of a quotation mark
                if not section:
                    raise self.draft.error(f"{line[:40]!r} stands before any section such as //Reactions", number)
                sections[section].append(([cell.strip(' "') for cell in line.split("\t")], number))
        for name in ("Reactions", "Metabolites"):
            if not sections.get(name):
                raise self.draft.error(f"there is no section //{name}; this is no model of mfapy, or it is cut off")
        return sections

    def bounds(self, cells: Sequence[str], number: int) -> tuple[float, float] | None:
        if len(cells) < 2 or not cells[0] or not cells[1]:
            return None
        low, high = (finite(c, self.draft, "a bound", number, self.draft.path) for c in cells[:2])
        return low, high

    def metabolite(self, cells: list[str], number: int) -> None:
        if len(cells) < 5 or not is_count(cells[1]):
            raise self.draft.error(
                f"{cells!r}: a metabolite has a name, a number of carbons, and whether it is symmetric, a carbon "
                "source and excreted, with tabs between them",
                number,
            )
        elements = ("C",) * int(cells[1])
        self.draft.add_metabolite(
            Metabolite(
                cells[0],
                elements,
                "source" if cells[3] == "carbonsource" else "sink" if cells[4] == "excreted" else "balanced",
                reverse(elements) if cells[2] == "symmetry" else (),
                self.bounds(cells[6:8], number),
            ),
            number,
        )

    def side(self, text: str, number: int) -> list[tuple[str, float]]:
        found = []
        for item in text.split("+"):
            match = _ITEM.fullmatch(item.strip())
            if match is None:
                raise self.draft.error(f"{item.strip()!r} is no metabolite; write `name` or `{{2}}name`", number)
            found.append((match["name"], float(match["times"] or 1)))
        return found

    def halves(self, text: str, number: int) -> tuple[str, str]:
        left, arrow, right = text.partition("-->")
        if not arrow or "-->" in right:
            raise self.draft.error(f"{text!r} is no reaction; it has one arrow `-->`", number)
        return left, right

    def reaction(self, cells: list[str], number: int) -> None:
        if len(cells) < 4:
            raise self.draft.error(
                f"{cells!r}: a reaction has a name, its stoichiometry, and twice the atom mapping, with tabs "
                "between them",
                number,
            )
        name, stoichiometry, mapping, atoms = cells[:4]
        sides = []
        for place in (0, 1):
            balance: defaultdict[str, float] = defaultdict(float)
            if stoichiometry != "nd":
                for metabolite, times in self.side(self.halves(stoichiometry, number)[place], number):
                    balance[metabolite] += times
            mapped: list[tuple[str, str]] = []
            if mapping != "nd" and atoms != "nd":
                names = [m for m, _ in self.side(self.halves(mapping, number)[place], number)]
                maps = [a.strip() for a in self.halves(atoms, number)[place].split("+")]
                if len(names) != len(maps):
                    raise self.draft.error(
                        f"reaction {name!r} maps the atoms of {len(names)} {('substrates', 'products')[place]} with "
                        f"{len(maps)} maps ({atoms!r}); write one for each",
                        number,
                    )
                mapped = list(zip(names, maps, strict=True))
            count = Counter(m for m, _ in mapped)
            found = [Participant(m, balance[m] / count[m], tuple(a)) for m, a in mapped]
            found += [Participant(m, float(times)) for m, times in balance.items() if m not in count]
            for participant in found:
                self.draft.known_metabolite(participant.metabolite, number, f"reaction {name!r}")
            sides.append(tuple(found))
        bounds = self.bounds(cells[5:7], number)
        # Fluxes of mfapy have a direction; a lower bound below zero, which some files have, is never reached.
        net = (0.0, 1000.0) if bounds is None else (max(bounds[0], 0.0), bounds[1])
        self.draft.add_reaction(Reaction(name, sides[0], sides[1], net=net, where=self.draft.where(number)), number)

    def pair(self, cells: list[str], number: int) -> None:
        if len(cells) < 3:
            raise self.draft.error(f"{cells!r}: a pair has a name, a forward and a reverse reaction", number)
        low, high = self.bounds(cells[4:6], number) or (-math.inf, math.inf)
        self.pairs[cells[0]] = (cells[1], cells[2], low, high, number)

    def fragment(self, cells: list[str], number: int) -> None:
        if len(cells) < 4:
            raise self.draft.error(
                f"{cells!r}: a fragment has a name, a type, its atoms such as Ala_2:3, and use", number
            )
        name, kind, where, use = cells[:4]
        if use != "use":
            self.unused.add(name)
            return
        parts = []
        for text in where.split("+"):
            match = _PART.fullmatch(text.strip())
            if match is None:
                raise self.draft.error(f"fragment {name!r} consists of {text!r}; write atoms as in Ala_2:3", number)
            metabolite = self.draft.known_metabolite(match["pool"], number, f"fragment {name!r}")
            atoms = self.draft.atoms(match["atoms"], metabolite, f"fragment {name!r}", number)
            parts.append((metabolite.name, atoms))
        formula = cells[4] if len(cells) > 4 and re.fullmatch(r"(?:[A-Z][a-z]?\d*)+", cells[4]) else ""
        self.draft.fragments[name] = Fragment(
            name,
            ((1.0, *parts[0]),),
            ("C",) * sum(len(atoms) for _, atoms in parts),
            formula,
            tuple(parts[1:]),
            kind="msms" if "msms" in kind else "ms",
            where=self.draft.where(number),
        )

    def status(self, path: Path) -> list[Datum]:
        """Values, types and bounds; what is measured of fluxes and pools."""
        measured: list[Datum] = []
        known = {"reaction": self.draft.reactions, "metabolite": self.draft.metabolites, "reversible": self.pairs}
        used, foreign = 0, []
        for status in self.status_lines(path):
            if status.state not in known:
                raise self.draft.error(
                    f"the state is {status.state!r}; it is {', '.join(known)}", status.line, str(path)
                )
            if status.name not in known[status.state]:
                # mfapy passes over such lines, and its own examples have them.
                foreign.append(f"{status.name} (line {status.line})")
                continue
            used += 1
            if status.state == "reaction":
                measured += self.reaction_status(status, path)
            elif status.state == "metabolite":
                measured += self.metabolite_status(status)
            else:
                self.pair_status(status)
        if foreign and not used:
            raise self.draft.error(
                "none of its lines belongs to the model; is it the status of another?", path=str(path)
            )
        if foreign:
            self.draft.notes.append(f"{path}: not in the model, not used: {', '.join(foreign)}.")
        return measured

    def status_lines(self, path: Path) -> Iterator[_Status]:
        """The lines of a status, with finite numbers and bounds in their order."""
        for number, line in enumerate(read_text(path).splitlines(), 1):
            cells = [cell.strip() for cell in re.split(r"[,\t]", line)]
            if len(cells) < 2 or cells[0] in ("State", "") or line.startswith("#"):
                continue
            if len(cells) < 7:
                raise self.draft.error(
                    f"{line!r}: a line has state, id, type, value, sd, lower and upper bound", number, str(path)
                )
            state, name, kind = cells[:3]
            value, spread, low, high = (
                finite(c, self.draft, f"{what} of {name}", number, str(path))
                for c, what in zip(
                    cells[3:7], ("the value", "the sd", "the lower bound", "the upper bound"), strict=True
                )
            )
            if low > high:
                raise self.draft.error(
                    f"{name!r}: its bounds {low:g} and {high:g} are the wrong way round", number, str(path)
                )
            where = self.draft.where(number, str(path))
            yield _Status(state, name, kind, value, spread, low, high, number, where)

    def reaction_status(self, status: _Status, path: Path) -> Iterator[Datum]:
        name, kind, value = status.name, status.kind, status.value
        reaction = self.draft.reactions[name]
        if kind not in ("fixed", "free", "fitting", "pseudo"):
            raise self.draft.error(
                f"{name!r} is of type {kind!r}; it is fixed, free, fitting or pseudo", status.line, str(path)
            )
        # mfapy holds fluxes off zero by a tiny bound that it does not enforce; its E. coli example cannot meet it.
        net = (value, value) if kind == "fixed" else (status.low if status.low > _FLOOR else 0.0, status.high)
        substrates = reaction.substrates
        if kind == "pseudo":
            substrates = tuple(dataclasses.replace(p, coefficient=0.0) for p in substrates)
        self.draft.reactions[name] = dataclasses.replace(reaction, net=net, substrates=substrates)
        self.draft.fluxes["net", name] = value
        if kind == "fitting":
            yield Datum(name, "net", (value,), (status.spread,), where=status.where)

    def metabolite_status(self, status: _Status) -> Iterator[Datum]:
        name, value = status.name, status.value
        pool = (value, value) if status.kind == "fixed" else (status.low, status.high)
        self.draft.metabolites[name] = dataclasses.replace(self.draft.metabolites[name], pool=pool)
        self.draft.pools[name] = value
        if status.kind == "fitting":
            yield Datum(name, "pool", (value,), (status.spread,), where=status.where)

    def pair_status(self, status: _Status) -> None:
        forward, backward, *_, line = self.pairs[status.name]
        low, high = (status.value, status.value) if status.kind == "fixed" else (status.low, status.high)
        self.pairs[status.name] = (forward, backward, low, high, line)

    def close(self, merge: bool) -> None:
        """Make conditions of the pairs, or merge them."""
        for name, (forward, backward, low, high, number) in self.pairs.items():
            terms = _difference(forward, backward)
            if unknown := [r for r in terms if r not in self.draft.reactions]:
                # mfapy passes over them, and the published whole-body model has them.
                near = did_you_mean(unknown[0], self.draft.reactions)
                self.draft.notes.append(
                    f"{self.draft.where(number)}: pair {name!r} is not used: the model has no reaction "
                    f"{unknown[0]!r}.{near}"
                )
                continue
            if (
                merge
                and {forward, backward} <= set(self.draft.reactions)
                and self.merge(name, forward, backward, low, high)
            ):
                continue
            # Bounds so wide that they exclude nothing would only slow down what samples.
            floor, top = self.reach(terms)
            if low > floor or high < top:
                self.draft.constraints.append(
                    Constraint(
                        tuple(("net", r, float(sign)) for r, sign in terms.items()), low, high,
                        self.draft.where(number), f"{name} = {forward} - {backward}",
                    )
                )  # fmt: skip

    def reach(self, terms: Mapping[str, int]) -> tuple[float, float]:
        """The least and the greatest value of a sum of fluxes that the bounds of each allow."""
        reach = [self.draft.reactions[r].net for r in terms]
        top = sum(b[1] if sign > 0 else -b[0] for b, sign in zip(reach, terms.values(), strict=True))
        floor = sum(b[0] if sign > 0 else -b[1] for b, sign in zip(reach, terms.values(), strict=True))
        return floor, top

    def merge(self, name: str, forward: str, backward: str, low: float, high: float) -> bool:
        """One reversible reaction of two that mirror each other; False where they do not."""
        one, other = self.draft.reactions[forward], self.draft.reactions[backward]
        if _shape(one.substrates, one.products) != _shape(other.products, other.substrates):
            self.draft.notes.append(f"{one.where}: {forward} and {backward} do not mirror each other; kept apart.")
            return False
        top = min(one.net[1], other.net[1])
        net = (max(low, -other.net[1], one.net[0] - other.net[1]), min(high, one.net[1], one.net[1] - other.net[0]))
        merged = dataclasses.replace(
            one, name=name, reversible=True, net=net, exchange=(min(one.net[0], other.net[0]), top)
        )
        kept = {}
        for key, reaction in self.draft.reactions.items():
            if key == forward:
                kept[name] = merged
            elif key != backward:
                kept[key] = reaction
        self.draft.reactions = kept
        there, back = (self.draft.fluxes.pop(("net", r), None) for r in (forward, backward))
        if there is not None and back is not None:
            self.draft.fluxes["net", name] = there - back
            self.draft.fluxes["exchange", name] = min(there, back)
        return True


def _difference(forward: str, backward: str) -> Counter[str]:
    """How often each reaction counts in a pair's net flux: `v1+v2` against `v3`, or against `nothing`."""
    terms: Counter[str] = Counter()
    for text, sign in ((forward, 1), (backward, -1)):
        for part in (p.strip() for p in text.split("+")):
            if part not in ("nothing", ""):
                terms[part] += sign
    return terms


def _shape(left: Sequence[Participant], right: Sequence[Participant]) -> object:
    """What a reaction does, whatever its letters and the order of its participants."""
    numbers: dict[str, int] = {}
    found = []
    for side in (left, right):
        ordered = sorted(side, key=lambda p: (p.metabolite, len(p.atoms)))
        found.append(
            [
                (p.metabolite, p.coefficient, tuple(numbers.setdefault(a, len(numbers)) for a in p.atoms))
                for p in ordered
            ]
        )
    return found


def _read_mids(path: Path, draft: Draft, unused: set[str], time: float | None) -> Iterator[Datum]:
    rows, lines = _mid_rows(path, draft, unused)
    for name, masses in rows.items():
        used = {mass: (value, spread) for mass, (value, spread, select) in masses.items() if select}
        if not used:
            continue
        length = len(draft.fragments[name].elements) + 1
        if max(used) >= length:
            raise draft.error(
                f"M+{max(used)} of {name!r} is measured, but the fragment has {length - 1} carbons, M+0 to "
                f"M+{length - 1}",
                lines[name],
                str(path),
            )
        yield Datum(
            name,
            "mid",
            tuple(used[m][0] if m in used else math.nan for m in range(length)),
            tuple(used[m][1] if m in used else math.nan for m in range(length)),
            time,
            where=draft.where(lines[name], str(path)),
        )


def _mid_rows(
    path: Path, draft: Draft, unused: set[str]
) -> tuple[dict[str, dict[int, tuple[float, float, bool]]], dict[str, int]]:
    """By fragment and mass: fraction, standard deviation and whether it is selected; and each fragment's first line."""
    rows: dict[str, dict[int, tuple[float, float, bool]]] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not line.strip() or line.startswith("#") or cells[0] == "Name":
            continue
        if len(cells) < 5:
            raise draft.error(f"{line!r}: a line has name, spectrum, select, MDV and sd, with tabs", number, str(path))
        name, mass = cells[0], cells[1].lower().lstrip("m+")
        if not is_count(mass):
            raise draft.error(f"the mass isotopomer of {name!r} is {cells[1]!r}; write 0 or m0", number, str(path))
        value = finite(cells[3], draft, f"M+{mass} of {name}", number, str(path))
        spread = finite(cells[4], draft, f"the sd of M+{mass} of {name}", number, str(path))
        if name in unused:
            continue
        if cells[2] == "1":
            draft.known_fragment(name, number, str(path))
        if int(mass) in rows.setdefault(name, {}):
            raise draft.error(f"M+{mass} of {name!r} is measured twice; take one line away", number, str(path))
        rows[name][int(mass)] = (value, spread, cells[2] == "1")
        lines.setdefault(name, number)
    return rows, lines
