"""The format of molvis: TOML that is comfortable to write by hand, described in docs/flux/models.md."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError, did_you_mean
from molvis_core.text import count_of, is_count
from molvis_files.documents import load_toml
from molvis_files.opening import read_text
from molvis_flux.formats.builder import reverse
from molvis_flux.formats.composition import composed, differences
from molvis_flux.formats.notation import conditions, reaction, tracer
from molvis_flux.formats.opening import read_study, studies_of
from molvis_flux.formats.options import beside
from molvis_flux.formats.quoting import NAME, cut, flux_of, unquoted
from molvis_flux.formats.tables import Row, number, rows
from molvis_flux.formats.toml_source import Lines, TomlSource
from molvis_flux.model.network import Datum, Fragment, Metabolite, Reaction, Study

_SECTIONS = (
    "model",
    "network",
    "metabolites",
    "reactions",
    "constraints",
    "fragments",
    "fluxes",
    "pools",
    "experiments",
)
_PART = re.compile(rf"\s*(?:(?P<weight>[^*+\[\]`]*?)\s+)?(?P<pool>{NAME}|[^\s\[\]`]+)\s*(?:\[(?P<atoms>[^\]]*)\])?\s*")

_PLAN = ("parts", "infusions", "mixtures")


def read_native(path: str | Path) -> Study:
    """A study in the TOML of molvis.

    Args:
        path: the file. Paths in it are relative to its folder.

    Raises:
        ReadError: it is no such TOML, or its content is impossible; the message names the line.
    """
    path = Path(path)
    text = read_text(path)
    try:
        table = load_toml(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ReadError(path, f"is no TOML: {error}", line=int(line[1]) if line else None) from error
    return NativeReader(path, table, Lines(text)).read()


studies = studies_of(read_native)
"""The reader component."""


class NativeReader(TomlSource):
    """One section after the other."""

    def read(self) -> Study:
        """Everything."""
        for name in self.table:
            if name not in (*_SECTIONS, *_PLAN):
                raise self.error(f"there is no section {name!r}.{did_you_mean(name, (*_SECTIONS, *_PLAN))}", name)
        network = self.section("network", {"name": str, "limit": (int, float), "medium": str})
        if "parts" in self.table:
            if "model" in self.table:
                raise self.error("a plan has parts, and a study a model; take one away", "model")
            self.take(composed(self))
        elif others := [name for name in _PLAN if name in self.table]:
            raise self.error(f"{others[0]} belongs to a plan; add the section `parts`", others[0])
        elif "model" in self.table:
            self.base()
        self.draft.name = network.get("name", self.draft.name)
        self.limit = float(network.get("limit", 1000.0))
        self.reactions()
        self.metabolites()
        self.conditions()
        for name, spec in self.entries("fragments"):
            self.fragment(name, spec)
        # In a plan `pools` are those that circulate.
        for section, kind in (("fluxes", "flux"), ("pools", "pool"))[: 1 if "parts" in self.table else 2]:
            for name, value in self.entries(section):
                self.value(section, kind, name, value)
        for name, spec in self.entries("experiments"):
            self.experiment(name, spec)
        return self.draft.finish()

    def base(self) -> None:
        """A model in another format, which the rest of the file adds to."""
        given = self.table["model"]
        spec: dict[str, Any] = {"file": given} if isinstance(given, str) else dict(given)
        if "file" not in spec:
            raise self.error("model lacks `file`", "model")
        file = self.path.parent / spec.pop("file")
        try:
            base = read_study(file, strict=False, **beside(self.path.parent, spec))
        except TypeError as error:
            raise self.error(f"model has an option that its format has not: {error}", "model") from error
        self.take(base)

    def take(self, base: Study) -> None:
        """Start from a study."""
        draft = self.draft
        draft.name = base.network.name
        draft.metabolites, draft.reactions = dict(base.network.metabolites), dict(base.network.reactions)
        draft.fragments, draft.constraints = dict(base.network.fragments), list(base.network.constraints)
        draft.fluxes, draft.pools, draft.notes = dict(base.fluxes), dict(base.pools), list(base.notes)
        for experiment in base.experiments:
            draft.tracers[experiment.name] = dict(experiment.tracers)
            draft.data[experiment.name] = list(experiment.data)

    def reactions(self) -> None:
        """New reactions, and new bounds of old ones."""
        keys = {"text": str, "net": (list, int, float), "exchange": (list, int, float)}
        for name, spec in self.entries("reactions"):
            where = ("reactions", name)
            spec = self.checked({"text": spec} if isinstance(spec, str) else spec, keys, *where)
            old = self.draft.reactions.get(name)
            if "text" in spec:
                try:
                    substrates, products, reversible = reaction(spec["text"])
                except ValueError as error:
                    raise self.error(f"reaction {name!r}: {error}", *where) from error
                substrates, products = self.draft.folded(substrates), self.draft.folded(products)
                net = (-self.limit if reversible else 0.0, self.limit)
                old = Reaction(name, substrates, products, reversible, net, (0.0, self.limit))
            if old is None:
                raise self.error(f'reaction {name!r} has no `text`, such as "A(abc) -> B(abc)"', *where)
            if "exchange" in spec and not old.reversible:
                raise self.error(
                    f"reaction {name!r} has an exchange flux, but its arrow is ->; write <->", *where, "exchange"
                )
            changes = {key: self.pair(spec[key], *where, key) for key in ("net", "exchange") if key in spec}
            if changes.get("exchange", (0.0, 0.0))[0] < 0:
                raise self.error(f"the exchange flux of {name!r} cannot be negative", *where, "exchange")
            self.draft.reactions[name] = dataclasses.replace(old, where=self.draft.where(self.line(*where)), **changes)

    def metabolites(self) -> None:
        """Those of the reactions, and what is said of them."""
        keys = {
            "atoms": (str, int), "role": str, "symmetric": (bool, list), "pool": (list, int, float), "formula": str,
        }  # fmt: skip
        maps: dict[str, tuple[int, str]] = {}
        for item in self.draft.reactions.values():
            for participant in (*item.substrates, *item.products):
                name, count = participant.metabolite, len(participant.atoms)
                before, reaction_before = maps.setdefault(name, (count, item.name))
                if before and count and before != count:
                    raise self.error(
                        f"reaction {item.name!r} maps {count} atoms of {name!r}, and {reaction_before!r} maps "
                        f"{before}; correct one of the maps",
                        "reactions",
                        item.name,
                    )
                if count:
                    maps[name] = (count, reaction_before if before else item.name)
        for name, (count, _) in maps.items():
            self.draft.metabolites.setdefault(name, Metabolite(name, ("C",) * count))
        for name, spec in self.entries("metabolites"):
            where = ("metabolites", name)
            spec = self.checked({"role": spec} if isinstance(spec, str) else spec, keys, *where)
            old = self.draft.metabolites.get(name)
            if old is None and "atoms" not in spec:
                near = did_you_mean(name, self.draft.metabolites)
                raise self.error(f"no reaction has metabolite {name!r}.{near}", *where)
            old = old or Metabolite(name)
            self.draft.metabolites[name] = self.metabolite(old, spec, where)

    def atoms(self, count: str, where: tuple[str, str]) -> int:
        """How many atoms a text states."""
        try:
            return count_of(count)
        except ValueError as error:
            raise self.error(f"atoms: {error}", *where) from error

    def metabolite(self, old: Metabolite, spec: dict[str, Any], where: tuple[str, str]) -> Metabolite:
        """One with what is said of it."""
        elements = old.elements
        if "atoms" in spec:
            atoms = spec["atoms"]
            counts = [("C", str(atoms))] if isinstance(atoms, int) else re.findall(r"([A-Z][a-z]?)(\d*)", atoms)
            elements = tuple(element for element, count in counts for _ in range(self.atoms(count, where)))
        role = spec.get("role", old.role)
        if role not in ("balanced", "source", "sink"):
            raise self.error(f"the role of {old.name!r} is {role!r}; it is balanced, source or sink", *where, "role")
        symmetries = old.symmetries
        if spec.get("symmetric") is True:
            symmetries = reverse(elements)
        elif isinstance(spec.get("symmetric"), list):
            turns = spec["symmetric"] if isinstance(spec["symmetric"][0], list) else [spec["symmetric"]]
            for turn in turns:
                if sorted(turn) != list(range(1, len(elements) + 1)):
                    raise self.error(
                        f"the symmetry of {old.name!r} is {turn}; it is an order of the atoms 1 to {len(elements)}",
                        *where,
                    )
            symmetries = tuple(tuple(i - 1 for i in turn) for turn in turns)
        elif spec.get("symmetric") is False:
            symmetries = ()
        return dataclasses.replace(
            old,
            elements=elements,
            role=role,
            symmetries=symmetries,
            pool=self.pair(spec["pool"], *where, "pool") if "pool" in spec else old.pool,
            formula=spec.get("formula", old.formula),
        )

    def conditions(self) -> None:
        """Linear conditions."""
        texts = self.table.get("constraints", [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self.error(f'constraints is {texts!r}; it is a list of texts such as "v1 = 2*v2"', "constraints")
        for text in texts:
            line = self.line("constraints", text=text)
            try:
                found = conditions(text, "net", self.draft.where(line))
            except ValueError as error:
                raise self.draft.error(str(error), line) from error
            for constraint in found:
                if any(
                    kind == "exchange" and not self.draft.known_reaction(r, line, text).reversible
                    for kind, r, _ in constraint.terms
                ):
                    raise self.draft.error(f"{text!r} is about the exchange of an irreversible reaction", line)
                self.draft.constrain(constraint, line)

    def fragment(self, name: str, spec: Any) -> None:
        """One fragment."""
        where = ("fragments", name)
        keys = {"of": str, "formula": str, "mix": list, "kind": str, "channels": list, "daughter": str}
        spec = self.checked({"of": spec} if isinstance(spec, str) else spec, keys, *where)
        if "of" not in spec:
            raise self.error(f'fragment {name!r} lacks `of`, such as "Ala[1-3]"', *where)
        mixed, *joined = cut(r"\*", spec["of"])
        parts = [self.part(text, *where) for text in cut(r"\+", mixed)]
        convolved = [self.part(text, *where) for text in joined]
        if len({len(atoms) for _, _, atoms in parts}) > 1:
            raise self.error(
                f"the parts of fragment {name!r} differ in their number of atoms; what mixes is alike", *where
            )
        elements = [
            self.draft.metabolites[pool].elements[i] for _, pool, atoms in (parts[0], *convolved) for i in atoms
        ]
        mix = tuple(spec.get("mix", ()))
        if mix and len(mix) != len(parts):
            raise self.error(f"fragment {name!r} has {len(parts)} parts and {len(mix)} names in `mix`", *where, "mix")
        total = sum(weight for weight, _, _ in parts)
        self.draft.fragments[name] = Fragment(
            name,
            tuple((weight / total, pool, atoms) for weight, pool, atoms in parts),
            tuple(elements),
            spec.get("formula", ""),
            tuple((pool, atoms) for _, pool, atoms in convolved),
            mix,
            spec.get("kind", "ms"),
            self.draft.where(self.line(*where)),
            tuple(spec.get("channels", ())),
            self.daughter(spec.get("daughter", ""), parts[0], *where),
        )

    def daughter(self, text: str, part: tuple[float, str, tuple[int, ...]], *where: str) -> tuple[int, ...]:
        """Places, in a fragment's first part, of the atoms that a collision leaves together."""
        if not text:
            return ()
        _, pool, atoms = part
        line, what = self.line(*where), f"fragment {where[-1]!r}"
        kept = self.draft.atoms(text, self.draft.known_metabolite(pool, line, what), f"the daughter of {what}", line)
        if other := [i + 1 for i in kept if i not in atoms]:
            raise self.error(f"{what} has a daughter with atom {other[0]}, which it does not have itself", *where)
        return tuple(atoms.index(i) for i in kept)

    def part(self, text: str, *where: str) -> tuple[float, str, tuple[int, ...]]:
        """Weight, metabolite and atoms of `0.3 Ala[1-3]`."""
        match = _PART.fullmatch(text)
        try:
            weight = float(match["weight"] or 1) if match else 0.0
            if match is None or weight <= 0:
                raise ValueError(f"{text.strip()!r} is no part of a fragment; write `Ala[1-3]` or `0.3 Ala[1-3]`")
        except ValueError as error:
            raise self.error(f"fragment {where[-1]!r}: {error}", *where) from error
        line, what = self.line(*where), f"fragment {where[-1]!r}"
        metabolite = self.draft.known_metabolite(unquoted(match["pool"]), line, what)
        return weight, metabolite.name, self.draft.atoms(match["atoms"] or "", metabolite, what, line)

    def value(self, section: str, kind: str, name: str, value: Any) -> None:
        """A flux or a pool that is stated."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.error(f"the {kind} {name!r} is {value!r}, no finite number", section, name)
        if section == "pools":
            self.draft.known_metabolite(name, self.line(section, name), "a pool size")
            self.draft.pools[name] = float(value)
        else:
            self.draft.fluxes[self.flux(name, section, name)] = float(value)

    def flux(self, text: str, *where: str) -> tuple[str, str]:
        """Kind and reaction of `v1` or `exchange(v1)`."""
        kind, name = flux_of(text)
        self.draft.known_reaction(name, self.line(*where), "a flux")
        return kind, name

    def experiment(self, name: str, spec: Any) -> None:
        """Tracers and data."""
        where = ("experiments", name)
        keys = {"tracers": dict, "mids": (str, list, dict), "fluxes": dict, "pools": dict, "differences": dict}
        spec = self.checked(spec, keys, *where)
        tracers = self.draft.tracers.setdefault(name, {})
        data = self.draft.data.setdefault(name, [])
        for source, labelling in spec.get("tracers", {}).items():
            line = self.line(*where, "tracers", source)
            metabolite = self.draft.known_source(source, name, line)
            try:
                tracers[source] = tracer(labelling, len(metabolite.elements))
            except ValueError as error:
                raise self.draft.error(f"the tracer of {source!r}: {error}", line) from error
        mids = spec.get("mids", [])
        if isinstance(mids, str):
            data += self.table_of_mids(self.path.parent / mids, name)
        elif isinstance(mids, dict):
            data += [
                self.mid({"fragment": fragment, **(m if isinstance(m, dict) else {"values": m})}, name)
                for fragment, m in mids.items()
            ]
        else:
            data += [self.mid(m, name) for m in mids]
        for section in ("fluxes", "pools"):
            measured = [
                (target, pair)
                for target, numbers in spec.get(section, {}).items()
                for pair in (numbers if isinstance(numbers, list) and isinstance(numbers[0], list) else [numbers])
            ]
            for target, numbers in measured:
                value, sd = self.measured(numbers, *where, section, target)
                if section == "pools":
                    self.draft.known_metabolite(target, self.line(*where, section, target), "a measured pool")
                    kind, of = "pool", target
                else:
                    kind, of = self.flux(target, *where, section, target)
                at = self.draft.where(self.line(*where, section, target))
                data.append(Datum(of, kind, (value,), (sd,), where=at))

        data += differences(self, name, spec.get("differences", {}))

    def mid(self, spec: Any, experiment: str) -> Datum:
        """One MID."""
        where = ("experiments", experiment, "mids")
        keys = {
            "fragment": str, "values": list, "sd": (list, int, float), "time": (int, float), "scaled": bool,
            "corrected": bool,
        }  # fmt: skip
        spec = self.checked(spec, keys, *where)
        if "fragment" not in spec or "values" not in spec:
            raise self.error("a MID has `fragment` and `values`", *where)
        name, values = spec["fragment"], spec["values"]
        line = self.line(*where, name, text="" if (*where, name) in getattr(self.line, "found", {}) else name)
        self.draft.known_fragment(name, line)
        sd = spec.get("sd", 0.01)
        sd = [float(sd)] * len(values) if isinstance(sd, (int, float)) else sd
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (*values, *sd)):
            raise self.draft.error(f"the MID of {name!r} holds what is no number", line)
        if len(sd) != len(values):
            raise self.draft.error(
                f"the MID of {name!r} has {len(values)} fractions and {len(sd)} standard deviations", line
            )
        return Datum(
            name, "mid", tuple(map(float, values)), tuple(map(float, sd)),
            None if "time" not in spec else float(spec["time"]), spec.get("scaled", False), spec.get("corrected", True),
            self.draft.where(line),
        )  # fmt: skip

    def table_of_mids(self, path: Path, experiment: str) -> list[Datum]:
        """A table with the columns fragment, mass and value, and sd, time and experiment where there are such."""
        found = rows(path)
        head = next(found, None)
        names = [] if head is None else [cell.lower() for cell in head.cells]
        for column in ("fragment", "mass", "value"):
            if column not in names:
                raise ReadError(path, f"lacks the column {column!r}; it has {', '.join(names)}", line=1)
        series: dict[tuple[str, float | None], dict[int, tuple[float, float, Row]]] = {}
        for row in found:
            cell = dict(zip(names, (*row.cells, *[""] * len(names)), strict=False))
            if cell.get("experiment") not in (None, "", experiment):
                continue
            name, mass = cell["fragment"], cell["mass"].upper().removeprefix("M+").removeprefix("M")
            self.draft.known_fragment(name, row.line, str(path))
            if not is_count(mass):
                raise ReadError(path, f"the mass is {cell['mass']!r}; write 0, 1, ... or M+0, M+1, ...", line=row.line)
            time = number(path, row, cell["time"], "the time") if cell.get("time") else None
            value = number(path, row, cell["value"], f"M+{mass} of {name}")
            sd = number(path, row, cell["sd"], f"the sd of M+{mass} of {name}") if cell.get("sd") else 0.01
            if int(mass) in series.setdefault((name, time), {}):
                raise ReadError(path, f"M+{mass} of {name!r} is measured twice; take one line away", line=row.line)
            series[name, time][int(mass)] = (value, sd, row)
        data = []
        for (name, time), masses in series.items():
            length = max(len(self.draft.fragments[name].elements), *masses) + 1
            numbers = [masses.get(m, (math.nan, math.nan)) for m in range(length)]
            line = next(iter(masses.values()))[2].line
            data.append(
                Datum(
                    name,
                    "mid",
                    tuple(n[0] for n in numbers),
                    tuple(n[1] for n in numbers),
                    time,
                    where=f"{path}:{line}",
                )
            )
        return data
