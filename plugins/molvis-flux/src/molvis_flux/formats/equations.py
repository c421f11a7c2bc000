"""Reactions in two cells of a sheet: the equation, and the atoms of its participants in the same order."""

from __future__ import annotations

import math
import re

from molvis_flux.formats.builder import Draft
from molvis_flux.model.network import Metabolite, Participant, Reaction

_ARROW = re.compile(r"\s*(<=>|<->|-->|=>|->|=)\s*")
_ITEM = re.compile(r"(?:(?P<times>\d+\.?\d*|\.\d+)(?:\s*\*\s*|\s+))?(?P<name>[^\s+*]+)")
_NO_ATOMS = {"X", "-", "0", ""}

Sides = tuple[tuple[Participant, ...], tuple[Participant, ...], bool]


def two_cells(draft: Draft, name: str, equation: str, transfer: str, line: int) -> Sides:
    """Substrates, products, and whether the arrow points both ways.

    Args:
        draft: for messages.
        name: of the reaction.
        equation: `A + 2 B = C`; the arrow may be `=`, `->`, `-->`, `<->` or `<=>`.
        transfer: `abc + X = abc`; `X` is a molecule without followed atoms. Empty: no atom is followed.
        line: for messages.

    Raises:
        ReadError: one of them cannot be read, or they differ in their number of participants.
    """
    left, arrow, right = _halves(draft, name, equation, line)
    maps = _halves(draft, name, transfer, line) if transfer.strip(" -") else None
    sides = []
    for place, half in ((0, left), (2, right)):
        items = [_item(draft, name, text, line) for text in half.split("+")] if half.strip() else []
        atoms = [""] * len(items)
        if maps is not None:
            atoms = [text.split()[-1] if text.split() else "" for text in maps[place].split("+")]
            if len(atoms) != len(items) and (items or atoms != [""]):
                raise draft.error(
                    f"reaction {name!r} has {len(items)} {('substrates', '', 'products')[place]} in {equation!r} and "
                    f"{len(atoms)} maps in {transfer!r}; write one for each, X where there is no carbon",
                    line,
                )
        sides.append(
            tuple(
                Participant(metabolite, times, () if a in _NO_ATOMS else tuple(a))
                for (metabolite, times), a in zip(items, atoms, strict=False)
            )
        )
    return sides[0], sides[1], arrow in ("<=>", "<->")


def add_reaction(
    draft: Draft,
    name: str,
    substrates: tuple[Participant, ...],
    products: tuple[Participant, ...],
    reversible: bool,
    line: int | None,
) -> None:
    """Add a reaction and the metabolites that it shows.

    Raises:
        ReadError: a metabolite has another number of atoms than before.
    """
    substrates, products = draft.folded(substrates), draft.folded(products)
    for participant in (*substrates, *products):
        old = draft.metabolites.get(participant.metabolite)
        if old is not None and old.elements and participant.atoms and len(old.elements) != len(participant.atoms):
            raise draft.error(
                f"{old.name} has {len(participant.atoms)} atoms in reaction {name!r}, and {len(old.elements)} before; "
                "correct one",
                line,
            )
        if old is None or (participant.atoms and not old.elements):
            draft.metabolites[participant.metabolite] = Metabolite(
                participant.metabolite, ("C",) * len(participant.atoms)
            )
    draft.add_reaction(
        Reaction(
            name, substrates, products, reversible,
            net=(-math.inf if reversible else 0.0, math.inf), exchange=(0.0, math.inf), where=draft.where(line),
        ),
        line,
    )  # fmt: skip


def _halves(draft: Draft, name: str, text: str, line: int) -> tuple[str, str, str]:
    parts = _ARROW.split(text.strip())
    if len(parts) != 3:
        raise draft.error(f"reaction {name!r}: {text!r} has {len(parts) // 2} arrows; write `A + B = C`", line)
    return parts[0], parts[1], parts[2]


def _item(draft: Draft, name: str, text: str, line: int) -> tuple[str, float]:
    match = _ITEM.fullmatch(text.strip())
    if match is None:
        raise draft.error(f"reaction {name!r}: {text.strip()!r} is no metabolite; write `name` or `2 name`", line)
    return match["name"], float(match["times"] or 1)
