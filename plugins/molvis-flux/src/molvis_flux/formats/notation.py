"""What files write in one line: reactions with atom maps, linear conditions, tracers, positions of atoms."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from molvis_flux.formats.quoting import NAME, cut, flux_key, flux_of, unquoted
from molvis_flux.model.composition import spread_mid
from molvis_flux.model.network import Constraint, Participant, Tracer

_ITEM = re.compile(
    r"(?:(?P<times>\d+\.?\d*(?:[eE][-+]?\d+)?)(?:\s*\*\s*|\s+))?"
    rf"(?P<name>{NAME}|[^\s()+`]+)\s*(?:\((?P<atoms>[^()]*)\))?"
)
_ARROW = r"\s*(<=>|<->|<-->|-->|->|=>|→|⇌)\s*"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z_][\w.:\[\]]*)"
    rf"|(?P<quoted>{NAME})|(?P<sign>[-+*/()]))"
)
_RELATION = r"(<=|>=|==|=|<|>|≤|≥)"
_POSITIONS = re.compile(r"([0-9]{1,4})(?:\s*-\s*([0-9]{1,4}))?")
_CARBONS = re.compile(r"\[?(?P<where>[Uu]|\d+(?:,\d+)*)-?13C\d*\]?(?:[-A-Za-z].*)?")

_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "≤": "≥", "≥": "≤"}

Linear = dict[str, float]


def split_atoms(text: str) -> tuple[str, ...]:
    """Labels of atoms: one letter each, or words where there are spaces or commas between them."""
    text = text.strip()
    return tuple(filter(None, re.split(r"[\s,]+", text))) if re.search(r"[\s,]", text) else tuple(text)


def participants(side: str) -> tuple[Participant, ...]:
    """One side of a reaction: `A(abc) + 2 ATP`. Nothing, `nothing` and `∅` are the outside.

    A name with blanks, brackets or signs stands between back quotes, see `molvis_flux.formats.quoting.quoted`.

    Raises:
        ValueError: what cannot be read.
    """
    if side.strip() in ("", "nothing", "∅"):
        return ()
    found = []
    for item in cut(r"\+", side):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(
                f"{item.strip()!r} is no metabolite; write name, name(abc) or 2 name, and between back quotes a "
                "name with blanks, brackets or signs, as in `D-Glc (ext)`(abcdef)"
            )
        if not math.isfinite(times := float(match["times"] or 1)):
            raise ValueError(f"{match['times']!r} of {match['name']} is no finite number")
        found.append(Participant(unquoted(match["name"]), times, split_atoms(match["atoms"] or "")))
    return tuple(found)


Turns = dict[str, tuple[tuple[int, ...], ...]]
"""Symmetries by metabolite, as in `molvis_flux.model.network.Metabolite.symmetries`."""


def fold(side: Sequence[Participant]) -> tuple[tuple[Participant, ...], Turns]:
    """A symmetric molecule written as parts of itself, `0.5 Suc(abcd) + 0.5 Suc(dcba)`, as one molecule and its turns.

    Parts are folded where a metabolite stands on one side several times with the same atoms in another order.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Participant]] = {}
    for place, participant in enumerate(side):
        # Whole molecules, and those without atoms, each stand for themselves.
        whole = participant.coefficient == int(participant.coefficient) or not participant.atoms
        atoms = (f"#{place}",) if whole else tuple(sorted(participant.atoms))
        groups.setdefault((participant.metabolite, atoms), []).append(participant)
    found: list[Participant] = []
    turns: Turns = {}
    for (name, _), parts in groups.items():
        first = parts[0]
        total = math.fsum(p.coefficient for p in parts)
        found.append(dataclasses.replace(first, coefficient=round(total, 9)))
        if len(parts) == 1 or len(set(first.atoms)) < len(first.atoms):
            continue
        maps = {tuple(first.atoms.index(atom) for atom in p.atoms) for p in parts[1:]}
        turns[name] = tuple(sorted(maps - {tuple(range(len(first.atoms)))}))
    return tuple(found), turns


def reaction(text: str) -> tuple[tuple[Participant, ...], tuple[Participant, ...], bool]:
    """Substrates, products and whether it is reversible, of `A(abc) <-> B(ab) + C(c)`.

    Raises:
        ValueError: there is no arrow or there are several, or a side cannot be read.
    """
    parts = cut(_ARROW, text)
    if len(parts) != 3:
        raise ValueError(f"{text!r} has {len(parts) // 2} arrows; a reaction has one, `->` or `<->`")
    return participants(parts[0]), participants(parts[2]), parts[1] in ("<=>", "<->", "<-->", "⇌")


def positions(text: str) -> tuple[int, ...]:
    """Atoms counted from 0, of `1-3,5`, which counts from 1.

    Raises:
        ValueError: it is no such list.
    """
    found: list[int] = []
    for part in filter(None, re.split(r"[,:\s]+", text.strip())):
        match = _POSITIONS.fullmatch(part)
        if match is None or int(match[1]) < 1 or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"{part!r} is no position of an atom; they count from 1, as in `1-3,5`")
        found += range(int(match[1]) - 1, int(match[2] or match[1]))
    return tuple(found)


def linear(text: str) -> tuple[Linear, float]:
    """Coefficients by name, and the constant, of `2*a - (b + c)/3 + 4`.

    Raises:
        ValueError: it is not linear, or cannot be read.
    """
    tokens: list[re.Match[str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot read {text[at:].strip()!r}; write sums of fluxes such as `2*v1 - v2/3`")
        tokens.append(match)
        at = match.end()
    reader = _Reader(tokens, text)
    terms, constant = reader.sum()
    if reader.at < len(tokens):
        raise ValueError(f"cannot read {tokens[reader.at][0].strip()!r} in {text.strip()!r}")
    return terms, constant


class _Reader:
    """Sums, products and brackets, by descent."""

    def __init__(self, tokens: Sequence[re.Match[str]], text: str) -> None:
        self.tokens, self.text, self.at = tokens, text, 0

    def sign(self, allowed: str) -> str:
        """The next token, taken, if it is one of these."""
        found = self.tokens[self.at]["sign"] if self.at < len(self.tokens) else None
        if not found or found not in allowed:
            return ""
        self.at += 1
        return found

    def sum(self) -> tuple[Linear, float]:
        terms, constant = self.product()
        while sign := self.sign("+-"):
            more, extra = self.product()
            factor = 1.0 if sign == "+" else -1.0
            for name, value in more.items():
                terms[name] = terms.get(name, 0.0) + factor * value
            constant += factor * extra
        return terms, constant

    def product(self) -> tuple[Linear, float]:
        terms, constant = self.atom()
        while sign := self.sign("*/"):
            others, factor = self.atom()
            if others and (terms or sign == "/"):
                raise ValueError(f"{self.text.strip()!r} is not linear in the fluxes; conditions have to be")
            if others:
                terms, constant, factor = others, factor, constant
            elif sign == "/":
                if factor == 0:
                    raise ValueError(f"{self.text.strip()!r} divides by zero")
                factor = 1 / factor
            terms, constant = {name: value * factor for name, value in terms.items()}, constant * factor
        return terms, constant

    def atom(self) -> tuple[Linear, float]:
        if self.sign("-"):
            terms, constant = self.atom()
            return {name: -value for name, value in terms.items()}, -constant
        if self.sign("+"):
            return self.atom()
        if self.sign("("):
            inner = self.sum()
            if not self.sign(")"):
                raise ValueError(f"{self.text.strip()!r} lacks a closing bracket")
            return inner
        if self.at >= len(self.tokens) or self.tokens[self.at]["sign"]:
            raise ValueError(f"{self.text.strip()!r} lacks a flux or a number")
        token = self.tokens[self.at]
        self.at += 1
        if token["number"]:
            return {}, float(token["number"])
        if token["quoted"]:
            # What looks like `exchange(v)` is the name of a reaction here.
            return {flux_key("net", unquoted(token["quoted"])): 1.0}, 0.0
        name = token["name"]
        if name in ("net", "exchange", "xch") and self.sign("("):
            inner, _ = self.sum()
            if len(inner) != 1 or not self.sign(")"):
                raise ValueError(f"{self.text.strip()!r}: write `{name}(reaction)`")
            return {f"{name}({flux_of(next(iter(inner)))[1]})": 1.0}, 0.0
        return {name: 1.0}, 0.0


def conditions(text: str, kind: str, where: str = "") -> list[Constraint]:
    """Linear conditions separated by `;` or lines: `v1 = 1; 0 <= v2 - 2*v3 <= 10; exchange(v4) >= 0.1`.

    Args:
        text: what is written.
        kind: what a bare name means: `net` or `exchange`.
        where: `file:line`, for messages.

    Raises:
        ValueError: one cannot be read, or is not linear.
    """
    found = []
    for part in filter(None, (p.strip() for p in cut(r"[;\n]", text))):
        pieces = cut(_RELATION, part)
        if len(pieces) not in (3, 5):
            raise ValueError(f"{part!r} is no condition; write `v1 <= 10`, `v1 = 2*v2` or `0 <= v1 - v2 <= 5`")
        sides = [linear(piece) for piece in pieces[::2]]
        several = [
            condition(left, relation, right, kind, where, part)
            for left, relation, right in zip(sides, pieces[1::2], sides[1:], strict=False)
        ]
        if len(several) == 2 and not sides[0][0] and not sides[2][0]:
            # `0 <= v1 - v2 <= 5` is one condition with two ends.
            first, second = several
            several = [dataclasses.replace(first, low=max(first.low, second.low), high=min(first.high, second.high))]
        found += several
    return found


def condition(
    left: tuple[Linear, float], relation: str, right: tuple[Linear, float], kind: str, where: str, name: str
) -> Constraint:
    """The constraint `left relation right`, everything that depends on fluxes to the left.

    Raises:
        ValueError: no flux is left in it.
    """
    if not left[0]:  # `1 <= v1` is `v1 >= 1`
        left, right, relation = right, left, _TURNED.get(relation, relation)
    terms = dict(left[0])
    for flux, value in right[0].items():
        terms[flux] = terms.get(flux, 0.0) - value
    bound = right[1] - left[1]
    terms = {flux: value for flux, value in terms.items() if value}
    if not terms:
        raise ValueError(f"{name!r} names no flux; a condition needs at least one")
    return Constraint(
        terms=tuple((*flux_of(flux, kind), value) for flux, value in terms.items()),
        low=-math.inf if relation in ("<", "<=", "≤") else bound,
        high=math.inf if relation in (">", ">=", "≥") else bound,
        where=where,
        name=" ".join(name.split()),
    )


def tracer(spec: Any, atoms: int) -> Tracer:
    """A tracer as people write it.

    Args:
        spec: a pattern such as `"110000"`; a name such as `"1,2-13C"`, `"U-13C"` or `"unlabelled"`; a table of
            patterns or names with their fractions, such as `{"U-13C": 0.2, "unlabelled": 0.8}`, which may also hold
            `purity` and `natural`; `{"mid": [...]}`, a measured MID spread evenly over the positions; or a `Tracer`.
        atoms: how many traced atoms the source has.

    Raises:
        ValueError: it cannot be read, or the fractions do not sum to one.
    """
    if isinstance(spec, Tracer):
        return spec
    if isinstance(spec, str):
        return Tracer(((_pattern(spec, atoms), 1.0),))
    if not isinstance(spec, Mapping):
        raise ValueError(
            f"{spec!r} is no tracer; write a pattern such as '110000', or a table of patterns and fractions"
        )
    if "mid" in spec:
        if set(spec) != {"mid"} or not isinstance(spec["mid"], Sequence) or len(spec["mid"]) != atoms + 1:
            raise ValueError(f"{spec!r} is no tracer; `mid` stands alone, with the fractions M+0 to M+{atoms}")
        return spread_mid(spec["mid"])
    mixture: dict[str, float] = {}
    for name, fraction in spec.items():
        if name in ("purity", "natural"):
            continue
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)):
            raise ValueError(f"the fraction of {name!r} is {fraction!r}, no number")
        pattern = _pattern(name, atoms)
        mixture[pattern] = mixture.get(pattern, 0.0) + float(fraction)
    if not abs(sum(mixture.values()) - 1) <= 1e-3:
        raise ValueError(
            f"its fractions sum to {sum(mixture.values()):g}, not to 1; add what is missing, such as unlabelled"
        )
    natural, shares = _natural(spec.get("natural", False))
    return Tracer(tuple(mixture.items()), float(spec.get("purity", 1.0)), natural, shares)


def _natural(spec: Any) -> tuple[bool, tuple[tuple[str, float], ...]]:
    """Whether unlabelled positions are natural, and the shares of heavy isotopes where they are stated."""
    shares = tuple(spec.items()) if isinstance(spec, Mapping) else ()
    if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for _, share in shares):
        raise ValueError(f"natural is {spec!r}; it is true, or the share of the heavy isotope of each element")
    return bool(spec), shares


def _pattern(text: str, atoms: int) -> str:
    text = text.strip().lstrip("#")
    if re.fullmatch("[01]+", text) and len(text) == atoms:
        return text
    if text.lower() in ("unlabelled", "unlabeled", "natural", "12c"):
        return "0" * atoms
    match = _CARBONS.fullmatch(text)
    if match is None:
        why = f"has {len(text)} atoms and the source {atoms}" if re.fullmatch("[01]+", text) else "is no labelling"
        raise ValueError(f"{text!r} {why}; write {atoms} digits 0 or 1, `U-13C`, `1,2-13C` or `unlabelled`")
    if match["where"] in "Uu":
        return "1" * atoms
    heavy = positions(match["where"])
    if max(heavy) >= atoms:
        raise ValueError(f"{text!r} labels atom {max(heavy) + 1}, and the source has {atoms}")
    return "".join("1" if i in heavy else "0" for i in range(atoms))


def impure(pattern: str, purities: Sequence[float]) -> dict[str, float]:
    """The isotopomers of a pattern whose heavy atoms have each their own purity."""
    heavy = [i for i, mark in enumerate(pattern) if mark == "1"]
    mixture: dict[str, float] = {}
    for kept in itertools.product((True, False), repeat=len(heavy)):
        marks = list(pattern)
        chance = 1.0
        for i, is_heavy in zip(heavy, kept, strict=True):
            chance *= purities[i] if is_heavy else 1 - purities[i]
            marks[i] = "1" if is_heavy else "0"
        if chance > 0:
            mixture["".join(marks)] = chance
    return mixture


def blend(parts: Sequence[tuple[str, float, float]]) -> Tracer:
    """A tracer of `(pattern, share, purity)`. Where purities differ the isotopomers are written out."""
    purities = {purity for pattern, _, purity in parts if "1" in pattern}
    mixture: dict[str, float] = {}
    for pattern, share, purity in parts:
        several = impure(pattern, [purity] * len(pattern)) if len(purities) > 1 else {pattern: 1.0}
        for isotopomer, chance in several.items():
            mixture[isotopomer] = mixture.get(isotopomer, 0.0) + share * chance
    return Tracer(tuple(mixture.items()), purities.pop() if len(purities) == 1 else 1.0)
