"""What FluxML feeds: substrates as mixtures of isotopomers with the purity of their labels.

Where a label states its purity, the positions that it writes as unlabelled have their natural abundance; where it
states none it is used as it stands; an input without labels is natural. So says the documentation of the format, and so
does 13CFLUX 3.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Literal, get_args

from molvis_flux.formats.builder import Draft
from molvis_flux.formats.fluxml_tree import Node, attribute, number
from molvis_flux.formats.notation import blend, impure
from molvis_flux.model.abundance import heavy_share
from molvis_flux.model.network import Metabolite, Tracer

Convention = Literal["fluxml", "13cflux"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)

_13CFLUX = {"C": 0.01055, "N": 0.00368}
"""Natural shares of heavy isotopes in 13CFLUX 3.1.2, read off the isotopomers that it makes of its inputs."""

_Part = tuple[str, float, tuple[float, ...]]
"""A label: its pattern, its share, and the purity of each atom, which is empty where none is stated."""

_MOST = 16
"""Atoms of a source whose isotopomers are written out."""


def read_input(node: Node, tracers: dict[str, Tracer], draft: Draft, convention: Convention) -> None:
    """Add the tracer of an `<input>`.

    Raises:
        ReadError: a pool that there is not, or a labelling that it cannot have.
    """
    name = attribute(node, "pool", draft)
    metabolite = draft.known_metabolite(name, node.line, "an <input>")
    count = len(metabolite.elements)
    nodes = list(node.all("label"))
    if not nodes and not count:
        return
    parts = [_label(label, metabolite, draft) for label in nodes] or [("0" * count, 1.0, (1.0,) * count)]
    tracers[name] = _tracer(parts, metabolite, node, draft, convention)


def _tracer(parts: list[_Part], metabolite: Metabolite, node: Node, draft: Draft, convention: Convention) -> Tracer:
    """The mixture of labels."""
    stated = [bool(purity) for *_, purity in parts]
    shares = {e: _share(e, convention) for e in dict.fromkeys(metabolite.elements)}
    own = tuple(shares.items()) if convention == "13cflux" else ()
    if not any(stated):
        return blend([(pattern, share, 1.0) for pattern, share, _ in parts])
    if not all(stated):
        draft.notes.append(
            f"{draft.where(node.line)}: some labels of {metabolite.name!r} state a purity and some none; those without "
            "are taken as ideal isotopomers."
        )
        return _written_out(parts, metabolite, shares, node, draft)
    each = {p for pattern, _, purity in parts for mark, p in zip(pattern, purity, strict=True) if mark == "1"}
    if len(each) <= 1:
        patterns: dict[str, float] = {}
        for pattern, share, _ in parts:
            patterns[pattern] = patterns.get(pattern, 0.0) + share
        return Tracer(tuple(patterns.items()), each.pop() if each else 1.0, natural=True, abundance=own)
    return _several_purities(parts, metabolite, shares, own)


def _share(element: str, convention: Convention) -> float:
    """Natural share of the heavy isotope of an element."""
    return _13CFLUX.get(element, heavy_share(element)) if convention == "13cflux" else heavy_share(element)


def _label(label: Node, metabolite: Metabolite, draft: Draft) -> tuple[str, float, tuple[float, ...]]:
    """Pattern, share, and the purity of each atom; none where the file states no purity."""
    name, count = metabolite.name, len(metabolite.elements)
    cfg = attribute(label, "cfg", draft)
    share = number(label.text or label.one("textual").text, label, f"the fraction of {cfg}", draft)
    if set(cfg) - set("01") or len(cfg) != count:
        raise draft.error(f"the labelling {cfg!r} of {name} has to be {count} digits 0 or 1", label.line)
    stated = [number(p, label, "the purity", draft) for p in label.attributes.get("purity", "").split()]
    if any(not 0 <= p <= 1 for p in stated):
        raise draft.error(f"the purity of {cfg!r} of {name} is {stated}; it lies between 0 and 1", label.line)
    kinds = list(dict.fromkeys(metabolite.elements))
    if len(stated) not in (0, 1, len(kinds)):
        raise draft.error(f"{name} has {len(kinds)} elements, and {len(stated)} purities", label.line)
    if len(stated) == 1:
        stated *= max(1, len(kinds))
    return cfg, share, tuple(stated[kinds.index(e)] for e in metabolite.elements) if stated else ()


def _several_purities(
    parts: list[_Part], metabolite: Metabolite, shares: dict[str, float], own: tuple[tuple[str, float], ...]
) -> Tracer:
    """Labels of several purities: those that failed are written as unlabelled, where they are natural.

    Of an atom that is heavy with chance p, and natural with chance a if it was not labelled, (p - a) / (1 - a) were.
    A purity below natural abundance is natural abundance.
    """
    mixture: dict[str, float] = {}
    for pattern, share, purity in parts:
        labelled = [
            max(0.0, (p - shares[e]) / (1 - shares[e])) for p, e in zip(purity, metabolite.elements, strict=True)
        ]
        for isotopomer, chance in impure(pattern, labelled).items():
            mixture[isotopomer] = mixture.get(isotopomer, 0.0) + share * chance
    return Tracer(tuple(mixture.items()), natural=True, abundance=own)


def _written_out(
    parts: list[_Part], metabolite: Metabolite, shares: dict[str, float], node: Node, draft: Draft
) -> Tracer:
    """Every isotopomer."""
    count = len(metabolite.elements)
    if count > _MOST:
        raise draft.error(
            f"some labels of {metabolite.name!r}, of {count} atoms, state a purity and some none; state it for all",
            node.line,
        )
    natural = [shares[e] for e in metabolite.elements]
    mixture: dict[str, float] = {}
    for pattern, share, purity in parts:
        if not purity:
            mixture[pattern] = mixture.get(pattern, 0.0) + share
            continue
        heavy = [p if mark == "1" else n for mark, p, n in zip(pattern, purity, natural, strict=True)]
        for marks in itertools.product("01", repeat=count):
            chance = math.prod(h if mark == "1" else 1 - h for mark, h in zip(marks, heavy, strict=True))
            if chance > 0:
                mixture["".join(marks)] = mixture.get("".join(marks), 0.0) + share * chance
    return Tracer(tuple(mixture.items()))


def leave_out_of_balances(draft: Draft) -> None:
    """Leave reactions with a pool on both sides out of the balance of that pool, as 13CFLUX 3 does.

    What is left of such a reaction moves no labelled atoms.
    """
    for name, reaction in draft.reactions.items():
        both = {p.metabolite for p in reaction.substrates if p.atoms} & {
            p.metabolite for p in reaction.products if p.atoms
        }
        if not both:
            continue
        sides = [
            tuple(dataclasses.replace(p, atoms=()) for p in side if p.metabolite not in both)
            for side in (reaction.substrates, reaction.products)
        ]
        draft.reactions[name] = dataclasses.replace(reaction, substrates=sides[0], products=sides[1])
        draft.notes.append(
            f"{reaction.where}: reaction {name!r} has {', '.join(sorted(both))} on both sides; as in 13CFLUX it is "
            "left out of the balance of that pool. convention='fluxml' balances it."
        )
