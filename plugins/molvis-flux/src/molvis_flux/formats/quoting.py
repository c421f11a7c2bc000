"""Names within equations, conditions and fragments: what would be read as something else stands between back quotes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from molvis_flux.model.network import Participant, Reaction

NAME = r"`(?:[^`]|``)+`"
"""A quoted name, as part of a regular expression."""
_PLAIN = re.compile(r"(?![-=@])[^\s()\[\]+*`<>→⇌;]+")  # in a table, -, = or @ at the start would make a formula
_FLUX = re.compile(r"(net|exchange|xch)\((.+)\)", re.DOTALL)
_LABEL = re.compile(r"[^\s,()`]+")
_NOTHING = ("nothing", "∅")


def quoted(name: str) -> str:
    """A name as it stands in a text: between back quotes where it has blanks, brackets or signs.

    A back quote in the name is doubled.
    """
    if _PLAIN.fullmatch(name) and name not in _NOTHING:
        return name
    return "`" + name.replace("`", "``") + "`"


def labels(atoms: Sequence[str]) -> str:
    """Labels of atoms as they stand in brackets: letters side by side, words with blanks between."""
    if len(atoms) == 1 and len(atoms[0]) > 1:
        return f"{atoms[0]},"  # A comma marks it as one label, not several letters.
    return "".join(atoms) if all(len(atom) == 1 for atom in atoms) else " ".join(atoms)


def labelled(reaction: Reaction) -> tuple[tuple[Participant, ...], tuple[Participant, ...]]:
    """Both sides of a reaction, with other labels of the atoms where those they have cannot stand in brackets."""
    sides = reaction.substrates, reaction.products
    used = dict.fromkeys(label for side in sides for p in side for label in p.atoms)
    if all(_LABEL.fullmatch(label) for label in used):
        return sides
    plain = {label: f"a{i}" for i, label in enumerate(used, 1)}
    one, other = (
        tuple(dataclasses.replace(p, atoms=tuple(plain[label] for label in p.atoms)) for p in side) for side in sides
    )
    return one, other


def unquoted(text: str) -> str:
    """The name that `quoted` wrote; any other text as it is."""
    return text[1:-1].replace("``", "`") if re.fullmatch(NAME, text) else text


def cut(separator: str, text: str) -> list[str]:
    """A text apart at what a regular expression matches outside of quoted names; its group, if any, is kept between.

    Args:
        separator: an expression with at most one group, as `re.split` takes it.
        text: what is written.
    """
    parts, start = [""], 0
    for match in re.finditer(rf"{NAME}|(?P<cut>{separator})", text):
        if match["cut"] is None:
            continue
        parts[-1] += text[start : match.start()]
        parts += [*match.groups()[1:], ""]
        start = match.end()
    parts[-1] += text[start:]
    return parts


def flux_key(kind: str, name: str) -> str:
    """A flux in one text: `v1`, `exchange(v1)`; `net(...)` around a name that looks like one of these."""
    return name if kind == "net" and not _FLUX.fullmatch(name) else f"{kind}({name})"


def flux_of(text: str, kind: str = "net") -> tuple[str, str]:
    """Kind and reaction of `v1` or `exchange(v1)`.

    Args:
        text: what `flux_key` wrote.
        kind: what a bare name means.
    """
    match = _FLUX.fullmatch(text)
    return (kind, text) if match is None else ("net" if match[1] == "net" else "exchange", match[2])
