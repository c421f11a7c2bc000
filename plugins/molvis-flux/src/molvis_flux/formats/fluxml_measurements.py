"""The measurements of a FluxML configuration.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import math
import re

from molvis_flux.formats.builder import Draft
from molvis_flux.formats.fluxml_tree import Node, attribute, number
from molvis_flux.formats.fluxml_variants import Variants
from molvis_flux.formats.notation import linear
from molvis_flux.model.network import Datum, Fragment

_GROUPS = {"MSgroup": "ms", "MSMSgroup": "msms", "NMR1Hgroup": "1h-nmr", "NMR13Cgroup": "13c-nmr", "group": ""}
_SPEC = re.compile(
    r"\s*(?P<pool>[^\[#\s]+)\s*(?:\[(?P<atoms>[^\]]*)\])?\s*#\s*(?P<kind>[A-Z]+)(?P<channels>.*)", re.DOTALL
)

Series = dict[tuple[str, float | None], dict[str, tuple[float, float, int]]]
"""By identifier and time: by channel, a value, its standard deviation and its line."""


class Measurements:
    """What a configuration measures.

    Args:
        draft: gets the fragments; the data are returned.
        variants: of the reactions.
        single: only this configuration is read, so that a group stands for one fragment.
    """

    def __init__(self, draft: Draft, variants: Variants, *, single: bool) -> None:
        self.draft, self.variants, self.single = draft, variants, single
        self.with_exchange: set[str] = set()

    def read(self, chosen: Node) -> list[Datum]:
        """The data of a configuration.

        Raises:
            ReadError: a measurement that cannot be; the message names the line.
        """
        data: list[Datum] = []
        measurement = chosen.one("measurement")
        model = measurement.one("model")
        series: Series = {}
        for node in measurement.one("data").all("datum"):
            time = node.attributes.get("time")
            key = (
                attribute(node, "id", self.draft),
                None if time is None else number(time, node, "the time", self.draft),
            )
            # Of 1H-NMR, which has one kind of peak only, it may be left out.
            peak = node.attributes.get("type", "P") + node.attributes.get("pos", "")
            channel = node.attributes.get("weight") or peak
            spread = number(attribute(node, "stddev", self.draft), node, "the standard deviation", self.draft)
            value = number(node.text, node, f"the datum of {key[0]}", self.draft)
            series.setdefault(key, {})["".join(channel.split())] = (value, spread, node.line)
        known = {key[0]: next(iter(of.values()))[2] for key, of in series.items()}
        for node in model.one("labelingmeasurement").all(*_GROUPS):
            self._group(node, series, data)
            known.pop(attribute(node, "id", self.draft), None)
        for kind, parent, tags in (
            ("net", "fluxmeasurement", ("netflux",)),
            ("exchange", "fluxmeasurement", ("xchflux",)),
            ("pool", "poolsizemeasurement", ("poolsize",)),
        ):
            for node in model.one(parent).all(*tags):
                name = attribute(node, "id", self.draft)
                self._scalar(node, kind, series, data)
                known.pop(name, None)
        for parent in ("fluxratios", "poolsizeratios"):
            for node in model.one(parent).children:
                known.pop(node.attributes.get("id", ""), None)
                self.draft.notes.append(
                    f"{self.draft.where(node.line)}: <{node.tag}> is not used: ratios are not fitted."
                )
        for name, line in known.items():
            raise self.draft.error(
                f"the datum {name!r} belongs to no measurement of the model; add a group for it", line
            )
        return data

    def _group(
        self,
        node: Node,
        series: Series,
        data: list[Datum],
    ) -> None:
        fragment = self._fragment(node)
        name = fragment.name
        if self.draft.fragments.setdefault(name, fragment) != fragment and self.single:
            raise self.draft.error(f"group {name!r} is defined twice; rename one", node.line)
        mid = fragment.kind == "ms"
        known = [str(i) for i in range(len(fragment.elements) + 1)] if mid else list(fragment.channels)
        for (of, time), values in series.items():
            if of != name:
                continue
            line = next(iter(values.values()))[2]
            if unknown := [c for c in values if c not in known]:
                raise self.draft.error(
                    f"M+{unknown[0]} of group {name!r} is measured, and it has {', '.join(known)}",
                    values[unknown[0]][2],
                )
            found = tuple(values[c][0] if c in values else math.nan for c in known)
            data.append(
                Datum(
                    name,
                    "mid",
                    found,
                    tuple(values[c][1] if c in values else math.nan for c in known),
                    time if time != math.inf else None,
                    scaled=node.attributes.get("scale", "auto") != "one",
                    where=self.draft.where(line),
                )
            )

    def _fragment(self, node: Node) -> Fragment:
        """What a group measures, of its specification such as `Pool[1-3]#M0,1,2,3`."""
        name = attribute(node, "id", self.draft)
        spec = node.attributes.get("spec") or node.one("textual").text or node.text
        match = _SPEC.fullmatch(spec.strip())
        if match is None:
            raise self.draft.error(f"group {name!r} measures {spec.strip()!r}; write `Pool[1-3]#M0,1,2,3`", node.line)
        metabolite = self.draft.known_metabolite(match["pool"], node.line, f"group {name!r}")
        positions = match["atoms"] or ""
        atoms = self.draft.atoms(positions.split(":")[0], metabolite, f"group {name!r}", node.line)
        paired = re.findall(r"\(([^)]*)\)", match["channels"])
        channels = ["".join(c.split()) for c in (paired or match["channels"].split(","))]
        kind = _kind(match["kind"], tandem=":" in positions, paired=bool(paired))
        if kind.endswith("nmr"):
            channels = _peaks(match["kind"], channels)
        kept: tuple[int, ...] = ()
        if kind == "msms":
            kept = self.draft.atoms(positions.split(":")[1], metabolite, f"the daughter of {name!r}", node.line)
            if other := [i + 1 for i in kept if i not in atoms]:
                raise self.draft.error(f"group {name!r}: its daughter has atom {other[0]}, the ion not", node.line)
        return Fragment(
            name,
            ((1.0, metabolite.name, atoms),),
            tuple(metabolite.elements[i] for i in atoms),
            kind=kind,
            where=self.draft.where(node.line),
            channels=() if kind == "ms" else tuple(channels),
            daughter=tuple(atoms.index(i) for i in kept),
        )

    def _scalar(
        self,
        node: Node,
        kind: str,
        series: Series,
        data: list[Datum],
    ) -> None:
        name = attribute(node, "id", self.draft)
        text = (node.one("textual").text or node.text).strip()
        try:
            terms, constant = linear(text)
        except ValueError as error:
            raise self.draft.error(str(error), node.line) from error
        for (of, time), values in series.items():
            if of != name:
                continue
            value, spread, line = next(iter(values.values()))
            if len(terms) != 1 or constant:
                self.draft.notes.append(
                    f"{self.draft.where(node.line)}: {text!r}, a sum of fluxes, is not used as datum."
                )
                continue
            [(target, factor)] = terms.items()
            if kind != "pool":
                target, times = self.variants.term(target)
                factor *= times
            if kind == "pool":
                self.draft.known_metabolite(target, node.line, f"measurement {name!r}")
            else:
                self.draft.known_reaction(target, node.line, f"measurement {name!r}")
            if kind == "exchange":
                self.with_exchange.add(target)
            data.append(
                Datum(target, kind, (value / factor,), (spread / abs(factor),), time, where=self.draft.where(line))
            )


def _kind(letter: str, *, tandem: bool, paired: bool) -> str:
    """The kind of measurement of a group, of the letter behind its `#` and of how its channels are written."""
    if letter != "M":
        return "1h-nmr" if letter == "P" else "13c-nmr"
    if tandem:
        return "msms"
    return "ms-resolved" if paired else "ms"


def _peaks(letter: str, channels: list[str]) -> list[str]:
    """Peaks by their whole names: `S1,T1,3` are S1, T1 and T3."""
    out: list[str] = []
    for i, text in enumerate(channels):
        if i and not text.isdigit():
            letter = text.rstrip("0123456789")
        out.append(letter + text.lstrip("PSDLRT"))
    return out
