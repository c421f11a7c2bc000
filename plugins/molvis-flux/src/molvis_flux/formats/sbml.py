"""SBML: stoichiometry and bounds, and atom maps from a table beside it.

The elements that are needed are few, so they are read as XML with their lines, without libSBML; the writer's files are
checked against libSBML and cobrapy.

Reference: Keating et al., Molecular Systems Biology 16 (2020) e9110, doi:10.15252/msb.20199110; Olivier and Bergmann,
Journal of Integrative Bioinformatics 15 (2018) 20170082, doi:10.1515/jib-2017-0082 (FBC)
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from molvis_core.errors import ReadError, did_you_mean
from molvis_files.opening import read_text
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.fluxml_tree import Node, attribute, number, parse_tree
from molvis_flux.formats.notation import reaction as parse_reaction
from molvis_flux.formats.opening import stem, studies_of
from molvis_flux.formats.quoting import unquoted
from molvis_flux.formats.tables import Row, rows
from molvis_flux.formats.tables import number as cell_number
from molvis_flux.model.network import Metabolite, Participant, Reaction, Study

TABLE = "atoms"
"""What the table of atom maps is called beside `model.xml`: `model.atoms.csv`."""

OUTSIDE = "_outside"
"""What is added to the name of a metabolite for its source, where a reaction takes it up from nothing."""

_COLUMNS = {
    "reaction": ("reaction", "rxn", "rxn_id", "id"),
    "atoms": ("atoms", "map", "atom_map", "equation", "rxn_eqn"),
    "exchange_low": ("exchange_low",),
    "exchange_high": ("exchange_high",),
}


def read_sbml(path: str | Path, *, atoms: str | Path | None = None) -> Study:
    """A model in SBML, of level 2 or of level 3 with flux balance constraints (FBC).

    Args:
        path: the file.
        atoms: a table with the columns `reaction` and `atoms`, and perhaps `exchange_low` and `exchange_high`: of a
            reaction its participants with followed atoms, such as `g6p_c(abcdef) <-> f6p_c(abcdef)`. By default
            `model.atoms.csv`, `.tsv` or `.xlsx` beside `model.xml`.

    Returns:
        The study. Prefixes `R_` and `M_` of all names are taken away, as cobrapy does. A reaction whose lower bound is
        negative, or whose map has an arrow of both ways, is reversible. Of a metabolite with followed atoms that a
        reaction takes up from nothing, `NAME_outside` is the source, so that a tracer can be given.

    Raises:
        ReadError: it is no SBML, or its content is impossible; the message names the line.
    """
    path = Path(path)
    root = parse_tree(path)
    model = root.one("model")
    if root.tag != "sbml" or not model.children:
        raise ReadError(path, f"its outermost element is <{root.tag}>, not <sbml> with a <model>", line=root.line)
    draft = Draft(str(path), model.attributes.get("name") or model.attributes.get("id") or stem(path))
    _Reader(draft, model).read()
    table = Path(atoms) if atoms else _beside(path)
    if table is None:
        draft.notes.append(
            f"{path}: no atom is followed. SBML has no atom maps: put a table {stem(path)}.{TABLE}.csv beside it, with "
            "the columns reaction and atoms, such as `PGI,g6p_c(abcdef) <-> f6p_c(abcdef)`."
        )
    else:
        _maps(table, draft)
        _uptake(draft)
    _roles(draft)
    draft.cap_at_scale()
    return draft.finish()


studies = studies_of(read_sbml)
"""The reader component."""


def is_sbml(path: Path) -> bool:
    """Whether a file has the outermost element of SBML."""
    return path.is_file() and "<sbml" in read_text(path)[:4096]


def _beside(path: Path) -> Path | None:
    names = (f"{stem(path)}.{TABLE}{ending}" for ending in (".csv", ".tsv", ".xlsx"))
    return next((found for name in names if (found := path.with_name(name)).is_file()), None)


def plain_names(names: Sequence[str], prefix: str) -> dict[str, str]:
    """Identifiers to names: without the prefix where all have it, and with characters that SBML cannot have.

    cobrapy writes `[` as `__91__`.
    """
    strip = all(name.startswith(prefix) for name in names)
    found = {n: re.sub(r"__(\d{1,7})__", _character, n[len(prefix) :] if strip else n) for n in names}
    return found if len(set(found.values())) == len(found) else {name: name for name in names}


def _character(match: re.Match[str]) -> str:
    """What stands for a character that identifiers cannot have; any other number as it is."""
    code = int(match[1])
    plain = code > sys.maxunicode or 0xD800 <= code < 0xE000 or re.fullmatch(r"[A-Za-z0-9_]", chr(code))
    return match[0] if plain else chr(code)


class _Reader:
    """Goes through a model once."""

    def __init__(self, draft: Draft, model: Node) -> None:
        self.draft, self.model = draft, model
        self.values = {
            node.attributes["id"]: node.attributes["value"]
            for node in model.one("listOfParameters").all("parameter")
            if {"id", "value"} <= set(node.attributes)
        }
        self.limits: dict[str, dict[str, float]] = {}

    def read(self) -> None:
        species = list(self.model.one("listOfSpecies").all("species"))
        reactions = list(self.model.one("listOfReactions").all("reaction"))
        if not reactions:
            raise self.draft.error("has no <listOfReactions> with reactions", self.model.line)
        self.species = plain_names([attribute(node, "id", self.draft) for node in species], "M_")
        names = plain_names([attribute(node, "id", self.draft) for node in reactions], "R_")
        for node in species:
            self.metabolite(node)
        for node in self.model.one("listOfFluxBounds").all("fluxBound"):
            self.old_bound(node)
        for node in reactions:
            self.reaction(node, names[node.attributes["id"]])
        others = [n.tag for n in self.model.children if n.tag in ("listOfEvents", "listOfRules", "listOfConstraints")]
        if others:
            self.draft.notes.append(f"{self.draft.path}: not read: {', '.join(others)}.")

    def metabolite(self, node: Node) -> None:
        formula = _given(node, "chemicalFormula")
        boundary = node.attributes.get("boundaryCondition", "false").lower() in ("true", "1")
        name = self.species[node.attributes["id"]]
        # What is not balanced is told apart below, by whether reactions use it.
        self.draft.add_metabolite(Metabolite(name, role="sink" if boundary else "balanced", formula=formula), node.line)

    def old_bound(self, node: Node) -> None:
        """A bound of the first version of FBC."""
        value = self.value(_given(node, "value"), node)
        of = self.limits.setdefault(_given(node, "reaction"), {})
        operation = _given(node, "operation")
        if operation in ("greaterEqual", "greater", "equal"):
            of["low"] = value
        if operation in ("lessEqual", "less", "equal"):
            of["high"] = value

    def value(self, text: str, node: Node) -> float:
        """A bound, which may be infinite; FBC names a parameter."""
        text = self.values.get(text, text)
        if text.strip().upper() in ("INF", "+INF", "-INF"):
            return -math.inf if text.strip().startswith("-") else math.inf
        return number(text, node, "a flux bound", self.draft)

    def bounds(self, node: Node) -> tuple[float, float]:
        """Those of FBC, of its first version, of a kinetic law as level 2 has them, or by the direction."""
        law = {p.attributes.get("id", ""): p for p in _parameters(node)}
        back = node.attributes.get("reversible", "true").lower() in ("true", "1")
        ends = []
        for key, old, fallback in (
            ("low", "LOWER_BOUND", -math.inf if back else 0.0),
            ("high", "UPPER_BOUND", math.inf),
        ):
            text = _given(node, f"{'lower' if key == 'low' else 'upper'}FluxBound")
            if text:
                ends.append(self.value(text, node))
            elif key in (stated := self.limits.get(node.attributes["id"], {})):
                ends.append(stated[key])
            elif old in law:
                ends.append(self.value(attribute(law[old], "value", self.draft), law[old]))
            else:
                ends.append(fallback)
        if ends[0] > ends[1]:
            raise self.draft.error(
                f"reaction {node.attributes['id']!r} has the bounds {ends[0]:g} and {ends[1]:g}, the wrong way round",
                node.line,
            )
        return ends[0], ends[1]

    def reaction(self, node: Node, name: str) -> None:
        low, high = self.bounds(node)
        sides = [tuple(self.side(node.one(tag))) for tag in ("listOfReactants", "listOfProducts")]
        where = self.draft.where(node.line)
        self.draft.add_reaction(
            Reaction(name, sides[0], sides[1], low < 0, (low, high), (0.0, math.inf), where), node.line
        )

    def side(self, node: Node) -> Iterator[Participant]:
        for reference in node.all("speciesReference"):
            species = attribute(reference, "species", self.draft)
            if species not in self.species:
                near = did_you_mean(species, self.species)
                raise self.draft.error(
                    f"a reaction has species {species!r}, which the model has not.{near}", reference.line
                )
            if reference.one("stoichiometryMath").children:
                raise self.draft.error(f"the stoichiometry of {species!r} is a formula; write a number", reference.line)
            text = reference.attributes.get("stoichiometry", "1")
            yield Participant(self.species[species], number(text, reference, "a stoichiometry", self.draft))


def _given(node: Node, key: str) -> str:
    """An attribute of an element, whatever its prefix."""
    return next((v for k, v in node.attributes.items() if k.rpartition(":")[2] == key), "")


def _parameters(node: Node) -> Iterator[Node]:
    law = node.one("kineticLaw")
    yield from law.one("listOfParameters").all("parameter")
    yield from law.one("listOfLocalParameters").all("localParameter")


def _maps(path: Path, draft: Draft) -> None:
    """Put the atoms of a table into the reactions."""
    for row, cell in _cells(path):
        name = cell["reaction"] if cell["reaction"] in draft.reactions else unquoted(cell["reaction"])
        name = name if name in draft.reactions else name.removeprefix("R_")
        reaction = draft.known_reaction(name, row.line, "the table of atoms", str(path))
        if cell["atoms"]:
            _map(path, draft, reaction, cell["atoms"], row)
        for key, low in (("exchange_low", True), ("exchange_high", False)):
            if cell[key]:
                value = cell_number(path, row, cell[key], f"{key} of {name!r}")
                draft.reactions[name] = dataclasses.replace(draft.reactions[name], reversible=True)
                draft.bound("exchange", name, value if low else -math.inf, math.inf if low else value, row.line)


def _cells(path: Path) -> Iterator[tuple[Row, dict[str, str]]]:
    """Rows of a table of atoms by what their cells are."""
    found = rows(path)
    head = next(found, None)
    names = [] if head is None else [cell.lower() for cell in head.cells]
    places = {key: next((names.index(n) for n in known if n in names), None) for key, known in _COLUMNS.items()}
    if places["reaction"] is None or places["atoms"] is None:
        raise ReadError(path, f"lacks a column `reaction` or `atoms`; it has {', '.join(names)}", line=1)
    for row in found:
        cell = {k: row.cells[i] if i is not None and i < len(row.cells) else "" for k, i in places.items()}
        yield row, cell


def _map(path: Path, draft: Draft, reaction: Reaction, text: str, row: Row) -> None:
    try:
        left, right, both = parse_reaction(text)
    except ValueError as error:
        raise ReadError(path, f"the atoms of {reaction.name!r}: {error}", line=row.line) from error
    sides = []
    for given, stated, what in ((left, reaction.substrates, "substrate"), (right, reaction.products, "product")):
        own = [dataclasses.replace(p, metabolite=_species(p.metabolite, stated)) for p in given]
        own = list(draft.folded(own))
        total: dict[str, float] = {}
        for p in stated:
            total[p.metabolite] = total.get(p.metabolite, 0.0) + p.coefficient
        for p in own:
            if p.metabolite not in total and p.coefficient:
                raise ReadError(
                    path,
                    f"{p.metabolite!r} is no {what} of {reaction.name!r} in the model, which has "
                    f"{', '.join(total) or 'none'}",
                    line=row.line,
                )
            _elements(path, draft, p, row)
        count = Counter(p.metabolite for p in own if p.coefficient)
        mapped = [
            dataclasses.replace(p, coefficient=total[p.metabolite] / count[p.metabolite]) if p.coefficient else p
            for p in own
        ]
        sides.append((*mapped, *(p for p in stated if p.metabolite not in count)))
    draft.reactions[reaction.name] = dataclasses.replace(
        reaction, substrates=sides[0], products=sides[1], reversible=reaction.reversible or both
    )


def _species(name: str, stated: Sequence[Participant]) -> str:
    """A name as the reaction has it, which may be without its prefix."""
    known = {p.metabolite for p in stated}
    return name if name in known else name.removeprefix("M_")


def _elements(path: Path, draft: Draft, participant: Participant, row: Row) -> None:
    old = draft.metabolites[participant.metabolite]
    count = len(participant.atoms)
    if old.elements and count and len(old.elements) != count:
        raise ReadError(
            path, f"{old.name} has {count} atoms, and {len(old.elements)} in a line before; correct one", line=row.line
        )
    if count and not old.elements:
        draft.metabolites[old.name] = dataclasses.replace(old, elements=("C",) * count)


def _roles(draft: Draft) -> None:
    """Sources of what is not balanced and can be used; and no flux through what is balanced and has one side only."""
    used, made = _ends(draft)
    balanced = {name for name, metabolite in draft.metabolites.items() if metabolite.role == "balanced"}
    dead = balanced - (used & made)
    for name, metabolite in draft.metabolites.items():
        if metabolite.role == "sink" and name in used:
            draft.metabolites[name] = dataclasses.replace(metabolite, role="source")
        elif name in dead:
            draft.metabolites[name] = dataclasses.replace(metabolite, role="source" if name in used else "sink")
    for name, reaction in draft.reactions.items():
        if dead & {p.metabolite for p in (*reaction.substrates, *reaction.products)}:
            draft.bound("net", name, 0.0, 0.0)
    if dead:
        draft.notes.append(
            f"{draft.path}: only made or only used, so that no flux is with them: {', '.join(sorted(dead))}."
        )


def _ends(draft: Draft) -> tuple[set[str], set[str]]:
    """What reactions can use, and what they can make."""
    used, made = set[str](), set[str]()
    for reaction in draft.reactions.values():
        left = {p.metabolite for p in reaction.substrates}
        right = {p.metabolite for p in reaction.products}
        both = left | right if reaction.reversible or reaction.net[0] < 0 else set[str]()
        used |= left | both
        made |= right | both
    return used, made


def _uptake(draft: Draft) -> None:
    """A source for each metabolite with followed atoms that a reaction takes from nothing."""
    for name, reaction in list(draft.reactions.items()):
        one, other = (reaction.substrates, reaction.products)
        inside = one or other
        inward = reaction.net[0] < 0 if one else reaction.net[1] > 0
        if (one and other) or len(inside) != 1 or not inward:
            continue
        metabolite = draft.metabolites[inside[0].metabolite]
        if not metabolite.elements:
            continue
        outside = f"{metabolite.name}{OUTSIDE}"
        atoms = inside[0].atoms or tuple(f"a{i}" for i in range(len(metabolite.elements)))
        kept = (dataclasses.replace(inside[0], atoms=atoms),)
        fed = (Participant(outside, inside[0].coefficient, atoms),)
        draft.metabolites.setdefault(outside, Metabolite(outside, metabolite.elements, "source"))
        draft.reactions[name] = dataclasses.replace(
            reaction,
            substrates=kept if one else fed,
            products=fed if one else kept,
            reversible=True,  # it runs both ways, but not at once
            exchange=(0.0, 0.0),
        )
        draft.notes.append(f"{reaction.where}: {name} takes up {metabolite.name}; its tracer is one of {outside}.")
