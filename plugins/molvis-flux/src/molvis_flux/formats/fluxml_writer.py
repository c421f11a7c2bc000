"""Writing studies in FluxML 3, the format of 13CFLUX.

What FluxML has in another form is written in that form, so that the same labelling is simulated: a symmetric metabolite
as variants of the reactions that make it; a coefficient such as 0.488 of a molecule whose atoms are not followed as a
reaction of its own, in a fixed ratio. What it does not have is an error where it is part of the network, and a note
where it is a measurement.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_files.writing import write_text
from molvis_flux.formats.fluxml_writer_data import Variants, configuration
from molvis_flux.formats.orientations import orientations
from molvis_flux.formats.writers import only_study
from molvis_flux.model.network import Constraint, Experiment, Metabolite, Network, Participant, Reaction, Study

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST = 64
"""Combinations of variants that the reader takes."""


def write_fluxml(path: str | Path, study: Study) -> tuple[str, ...]:
    """Write a study as FluxML, whole or not at all; each experiment is a configuration.

    Returns:
        What was written in another form or left out, one sentence each; it stands in the file as a comment, too.

    Raises:
        WriteError: the network has what FluxML cannot hold, such as a copy that drains nothing.
    """
    text, notes = fluxml(study, str(path))
    write_text(Path(path), text)
    return notes


def write_studies(path: Path, measurements: Iterable[Measurement]) -> None:
    """The writer component.

    Raises:
        WriteError: there is no study or there are several; or see `write_fluxml`.
    """
    write_fluxml(path, only_study(path, measurements))


def fluxml(study: Study, path: str = "FluxML") -> tuple[str, tuple[str, ...]]:
    """The FluxML of a study, and what it has in another form or not at all.

    Raises:
        WriteError: see `write_fluxml`.
    """
    form = _Form(path, study)
    network = form.network
    body = [
        "  <reactionnetwork>",
        "    <metabolitepools>",
        *(_pool(path, metabolite) for metabolite in network.metabolites.values()),
        "    </metabolitepools>",
        *(line for reaction in network.reactions.values() for line in form.reaction(reaction)),
        "  </reactionnetwork>",
        *_constraints(path, network, form.variants),
    ]
    first = True
    for experiment in form.experiments:
        body += configuration(experiment, form.study, form.variants, form.notes, first=first)
        first = False
    comment = "\n".join((*study.notes, *form.notes))
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<fluxml xmlns="http://www.13cflux.net/fluxml">',
        "  <info>",
        f"    <name>{escape(network.name)}</name>",
        *([f"    <comment>{escape(comment)}</comment>"] if comment else []),
        "  </info>",
    ]
    return "\n".join((*head, *body, "</fluxml>", "")), tuple(form.notes)


class _Form:
    """A study in the form that FluxML has: names, coefficients and symmetries that it can write."""

    def __init__(self, path: str, study: Study) -> None:
        self.path = path
        self.notes: list[str] = []
        study = self._renamed(study)
        self.split: dict[str, tuple[str, float]] = {}
        self.flows: dict[str, tuple[str, float]] = {}
        self.fed: dict[str, str] = {}
        self.study = dataclasses.replace(study, network=self._whole(study.network))
        stated = {
            ("net", name): factor * study.fluxes["net", of]
            for name, (of, factor) in self.split.items()
            if ("net", of) in study.fluxes
        }
        self.network = self.study.network
        stated |= {("net", name): flux for name, flux in self._outward({**study.fluxes, **stated})}
        self.study = dataclasses.replace(self.study, fluxes={**study.fluxes, **stated})
        self.experiments = tuple(
            dataclasses.replace(e, tracers={self.fed.get(n, n): t for n, t in e.tracers.items()})
            for e in study.experiments
        ) or (None,)
        self.variants = self._turned()
        users: dict[str, set[str]] = {}
        for reaction in self.network.reactions.values():
            for p in (*reaction.substrates, *reaction.products):
                users.setdefault(p.metabolite, set()).add(reaction.name)
        self._ends(users)

    def _renamed(self, study: Study) -> Study:
        """The study with names that expressions of FluxML can hold."""
        network = study.network
        names = {kind: _plain_names(of) for kind, of in (("m", network.metabolites), ("r", network.reactions))}
        changed = [f"{old} is {new}" for of in names.values() for old, new in of.items() if old != new]
        if changed:
            self.notes.append(f"Names that FluxML's expressions cannot hold: {', '.join(changed)}.")
            return _with_names(study, names["m"], names["r"])
        return study

    def _whole(self, network: Network) -> Network:
        """The network with whole coefficients, and with something on the left of every reaction."""
        metabolites, reactions = dict(network.metabolites), dict[str, Reaction]()
        constraints = list(network.constraints)
        for reaction in network.reactions.values():
            sides: list[list[Participant]] = []
            for side in (reaction.substrates, reaction.products):
                kept, split = self._split(reaction, side)
                sides.append(kept)
                for p in split:
                    name = f"{reaction.name}__{p.metabolite}" + ("" if side is reaction.substrates else "__made")
                    self._drain(reaction, name, p, metabolites, reactions, constraints, made=side is reaction.products)
            if not sides[0]:
                sides[0] = [self._nothing(reaction.name, metabolites)]
            reactions[reaction.name] = dataclasses.replace(
                reaction, substrates=tuple(sides[0]), products=tuple(sides[1])
            )
        self._feeds(metabolites, reactions)
        self._outflows(metabolites, reactions)
        return dataclasses.replace(
            network, metabolites=metabolites, reactions=reactions, constraints=tuple(constraints)
        )

    def _feeds(self, metabolites: dict[str, Metabolite], reactions: dict[str, Reaction]) -> None:
        """Reactions that lead from an input to a pool, for what is used beside others: 13CFLUX takes inputs alone."""
        sources = {name for name, m in metabolites.items() if m.role == "source"}
        back = [r for r in reactions.values() if r.reversible or r.net[0] < 0]
        made = {p.metabolite for r in reactions.values() for p in r.products}
        made |= {p.metabolite for r in back for p in r.substrates}
        for reaction in list(reactions.values()):
            used = {p.metabolite for p in reaction.substrates}
            for name in sorted(used & sources - made if used - sources else ()):
                if name in self.fed:
                    continue
                self.fed[name] = f"{name}__fed"
                metabolite = metabolites[name]
                metabolites[name] = dataclasses.replace(metabolite, role="balanced")
                metabolites[f"{name}__fed"] = dataclasses.replace(
                    metabolite, name=f"{name}__fed", symmetries=(), pool=None
                )
                atoms = _unfollowed(metabolite, 0)
                reactions[f"{name}__feed"] = Reaction(
                    f"{name}__feed", (Participant(f"{name}__fed", 1.0, atoms),), (Participant(name, 1.0, atoms),)
                )
                self.flows[f"{name}__feed"] = (name, -1.0)
        if self.fed:
            fed = ", ".join(f"{new} to {old}" for old, new in self.fed.items())
            self.notes.append(f"Inputs that are used beside other pools are led in by reactions of their own: {fed}.")

    def _outflows(self, metabolites: dict[str, Metabolite], reactions: dict[str, Reaction]) -> None:
        """Reactions that lead out of the network for what may pile up: 13CFLUX takes no pool that is only made.

        And atoms of every substrate whose pool has some: it takes no other.
        """
        followed = {p.metabolite for r in reactions.values() for p in (*r.substrates, *r.products) if p.atoms}
        for name, metabolite in list(metabolites.items()):
            if metabolite.role == "sink":
                kept = metabolite.elements if name in followed else ()
                metabolites[name] = dataclasses.replace(metabolite, elements=kept, role="balanced")
                reactions[f"{name}__out"] = Reaction(f"{name}__out", (Participant(name),), ())
                self.flows[f"{name}__out"] = (name, 1.0)
        for name, reaction in reactions.items():
            used = tuple(
                p if p.atoms else dataclasses.replace(p, atoms=_unfollowed(metabolites[p.metabolite], i))
                for i, p in enumerate(reaction.substrates)
            )
            reactions[name] = dataclasses.replace(reaction, substrates=used)

    def _outward(self, fluxes: Mapping[tuple[str, str], float]) -> Iterator[tuple[str, float]]:
        """The flux of each feed and outflow that the stated fluxes determine."""
        for out, (metabolite, way) in self.flows.items():
            terms = [
                (sign * p.coefficient, fluxes.get(("net", r.name)))
                for r in self.network.reactions.values()
                if r.name != out
                for sign, side in ((1, r.products), (-1, r.substrates))
                for p in side
                if p.metabolite == metabolite
            ]
            if terms and all(flux is not None for _, flux in terms):
                yield out, way * math.fsum(times * (flux or 0.0) for times, flux in terms)

    def _split(self, reaction: Reaction, side: Iterable[Participant]) -> tuple[list[Participant], list[Participant]]:
        """Participants with whole coefficients, one each, and those with others."""
        kept: list[Participant] = []
        split: list[Participant] = []
        for p in side:
            if p.atoms and p.coefficient != 1:
                what = "a copy, which drains nothing" if p.coefficient == 0 else f"the coefficient {p.coefficient:g}"
                raise WriteError(
                    f"{self.path}: reaction {reaction.name!r} has {p.metabolite} with followed atoms and {what}; "
                    "FluxML has neither. Write the study as TOML"
                )
            if p.coefficient == int(p.coefficient) and p.coefficient <= 16:
                kept += [dataclasses.replace(p, coefficient=1.0)] * int(p.coefficient)
            else:
                split.append(p)
        return kept, split

    def _drain(
        self,
        reaction: Reaction,
        name: str,
        p: Participant,
        metabolites: dict[str, Metabolite],
        reactions: dict[str, Reaction],
        constraints: list[Constraint],
        *,
        made: bool,
    ) -> None:
        """A reaction of one participant whose flux is a multiple of the whole one's."""
        one = Participant(p.metabolite)
        sides = ((self._nothing(name, metabolites),), (one,)) if made else ((one,), ())
        reactions[name] = dataclasses.replace(
            reaction, name=name, substrates=sides[0], products=sides[1], reversible=False,
            net=(min(0.0, p.coefficient * reaction.net[0]), max(0.0, p.coefficient * reaction.net[1])),
        )  # fmt: skip
        terms = (("net", name, 1.0), ("net", reaction.name, -p.coefficient))
        constraints.append(Constraint(terms, 0.0, 0.0))
        self.split[name] = (reaction.name, p.coefficient)
        self.notes.append(f"{p.coefficient:g} {p.metabolite} of reaction {reaction.name} is the reaction {name}.")

    def _nothing(self, name: str, metabolites: dict[str, Metabolite]) -> Participant:
        """A source without atoms, for what comes from outside: reactions of FluxML have something on the left."""
        source = f"{name}__from"
        metabolites[source] = Metabolite(source, role="source")
        return Participant(source)

    def _ends(self, users: Mapping[str, set[str]]) -> None:
        """FluxML says by the reactions alone what is balanced."""
        sides = [
            {p.metabolite for r in self.network.reactions.values() for p in side(r)}
            for side in (lambda r: r.substrates, lambda r: r.products)
        ]
        balanced = {name for name, m in self.network.metabolites.items() if m.role == "balanced"}
        if one_sided := sorted(balanced & (sides[0] ^ sides[1])):
            self.notes.append(
                f"On one side of all reactions: {', '.join(one_sided)}. 13CFLUX goes by the sides, not by "
                "reversibility, and takes them for inputs or outputs; turn a reversible reaction of each round."
            )
        for name, metabolite in self.network.metabolites.items():
            if metabolite.role == "balanced" and len(users.get(name, ())) == 1:
                self.notes.append(f"{name} stands in one reaction only; FluxML has it leave the network.")

    def _turned(self) -> Variants:
        """The names of the variants of each reaction that has some."""
        found: dict[str, tuple[str, ...]] = {}
        for reaction in self.network.reactions.values():
            count = math.prod(max(1, len(turns)) for _, _, turns in self._sides(reaction))
            if count > _MOST:
                raise WriteError(
                    f"{self.path}: reaction {reaction.name!r} has {count} combinations of orientations of its "
                    f"symmetric metabolites; FluxML is written with at most {_MOST}"
                )
            if count > 1:
                found[reaction.name] = tuple(f"{reaction.name}___{i}" for i in range(1, count + 1))
        return found

    def _sides(self, reaction: Reaction) -> Iterator[tuple[str, Participant, tuple[tuple[int, ...], ...]]]:
        """Participants with their element and the orientations in which they are made."""
        both = reaction.reversible or reaction.net[0] < 0
        for side, tag in ((reaction.substrates, "reduct"), (reaction.products, "rproduct")):
            for p in side:
                metabolite = self.network.metabolites[p.metabolite]
                turned = tag == "rproduct" or both or metabolite.role == "source"
                yield tag, p, orientations(metabolite) if p.atoms and turned else ()

    def reaction(self, reaction: Reaction) -> Iterator[str]:
        """The lines of a reaction; its name lists those of its variants."""
        both = reaction.reversible or reaction.net[0] < 0
        labels = self._labels(reaction)
        name = quoteattr(" ".join(self.variants.get(reaction.name, (reaction.name,))))
        yield f"    <reaction id={name} bidirectional={quoteattr(str(both).lower())}>"
        for tag, p, turns in self._sides(reaction):
            yield from _participant(tag, p, labels, turns)
        yield "    </reaction>"

    def _labels(self, reaction: Reaction) -> dict[str, str]:
        """Letters for the atoms of a reaction; where they do not do, elements with their place."""
        labels: dict[str, str] = {}
        elements: dict[str, str] = {}
        for i, p in enumerate((*reaction.substrates, *reaction.products), 1):
            metabolite = self.network.metabolites[p.metabolite]
            for k, (atom, element) in enumerate(zip(p.atoms, metabolite.elements, strict=False), 1):
                labels.setdefault(atom, f"{element}#{k}@{i}")
                elements.setdefault(atom, element)
        if len(labels) <= len(_LETTERS) and set(elements.values()) <= {"C"}:
            return dict(zip(labels, _LETTERS, strict=False))
        return labels


def _unfollowed(metabolite: Metabolite, place: int) -> tuple[str, ...]:
    """Labels of atoms that no product has."""
    return tuple(f"{metabolite.name}/{place}/{i}" for i in range(len(metabolite.elements)))


def _plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names of letters, digits and underscores that do not begin with a digit: 13CFLUX takes no others."""
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
        while plain in found.values():
            plain += "_"
        found[name] = plain
    return found


def _with_names(study: Study, metabolites: Mapping[str, str], reactions: Mapping[str, str]) -> Study:
    """The study under other names."""

    def side(participants: Iterable[Participant]) -> tuple[Participant, ...]:
        return tuple(dataclasses.replace(p, metabolite=metabolites[p.metabolite]) for p in participants)

    network = study.network
    replace = dataclasses.replace
    return replace(
        study,
        network=replace(
            network,
            metabolites={metabolites[n]: replace(m, name=metabolites[n]) for n, m in network.metabolites.items()},
            reactions={
                reactions[n]: replace(r, name=reactions[n], substrates=side(r.substrates), products=side(r.products))
                for n, r in network.reactions.items()
            },
            fragments={
                n: replace(
                    f,
                    parts=tuple((w, metabolites[m], atoms) for w, m, atoms in f.parts),
                    convolved=tuple((metabolites[m], atoms) for m, atoms in f.convolved),
                )
                for n, f in network.fragments.items()
            },
            constraints=tuple(
                replace(c, terms=tuple((k, reactions[n], x) for k, n, x in c.terms)) for c in network.constraints
            ),
        ),
        experiments=tuple(_experiment(e, metabolites, reactions) for e in study.experiments),
        fluxes={(k, reactions[n]): v for (k, n), v in study.fluxes.items()},
        pools={metabolites[n]: v for n, v in study.pools.items()},
    )


def _experiment(e: Experiment, metabolites: Mapping[str, str], reactions: Mapping[str, str]) -> Experiment:
    """An experiment under other names."""
    names = {"pool": metabolites, "net": reactions, "exchange": reactions, "mid": {}}
    return dataclasses.replace(
        e,
        tracers={metabolites[n]: t for n, t in e.tracers.items()},
        data=tuple(dataclasses.replace(d, target=names[d.kind].get(d.target, d.target)) for d in e.data),
    )


def _pool(path: str, metabolite: Metabolite) -> str:
    elements = metabolite.elements
    if odd := set(elements) - set("CHNOS"):
        raise WriteError(
            f"{path}: {metabolite.name} has followed atoms of {', '.join(sorted(odd))}; FluxML has C, H, N, O, S"
        )
    runs = [(element, len(list(some))) for element, some in itertools.groupby(elements)]
    cfg = " ".join(f"{e}{n}" for e, n in runs) if {e for e, _ in runs} - {"C"} else ""
    return f'      <pool id={quoteattr(metabolite.name)} atoms="{len(elements)}"' + (f' cfg="{cfg}"/>' if cfg else "/>")


def _participant(
    tag: str, p: Participant, labels: Mapping[str, str], turns: tuple[tuple[int, ...], ...]
) -> Iterator[str]:
    def cfg(order: Iterable[int]) -> str:
        atoms = [labels[p.atoms[i]] for i in order]
        return (" " if any("#" in atom for atom in atoms) else "").join(atoms)

    name = f"      <{tag} id={quoteattr(p.metabolite)}"
    if not turns:
        yield f'{name} cfg="{cfg(range(len(p.atoms)))}"/>' if p.atoms else f"{name}/>"
        return
    yield f"{name}>"
    yield from (f'        <variant cfg="{cfg(turn)}" ratio="{1 / len(turns)!r}"/>' for turn in turns)
    yield f"      </{tag}>"


def _constraints(path: str, network: Network, variants: Variants) -> Iterator[str]:
    """Bounds and conditions."""
    lists: dict[str, list[str]] = {"net": [], "xch": [], "psize": []}
    for r in network.reactions.values():
        both = r.reversible or r.net[0] < 0
        names = variants.get(r.name, (r.name,))
        exchange = r.exchange if r.reversible else (0.0, 0.0)
        for name in names:
            net = (r.net[0] / len(names), r.net[1] / len(names))
            lists["net"] += _between(name, *net, open_below=0.0 if not both else -math.inf)
            if both:
                lists["xch"] += _between(name, *(x / len(names) for x in exchange), open_below=0.0)
    for c in network.constraints:
        kind, found = _condition(path, c, variants)
        lists[kind] += found
    for m in network.metabolites.values():
        if m.pool is not None:
            lists["psize"] += _between(m.name, *m.pool, open_below=0.0)
    if not any(lists.values()):
        return
    yield "  <constraints>"
    for tag, found in lists.items():
        if found:
            text = ";\n      ".join(map(escape, found))
            yield f"    <{tag}><textual>{text}</textual></{tag}>"
    yield "  </constraints>"


def _condition(path: str, c: Constraint, variants: Variants) -> tuple[str, list[str]]:
    """The list that a condition belongs to, and its text."""
    kinds = {kind for kind, *_ in c.terms}
    if len(kinds) > 1:
        raise WriteError(
            f"{path}: the condition {c.name!r} is about net and exchange fluxes; FluxML has them apart. Write the "
            "study as TOML"
        )
    named = [(variants.get(name, (name,)), x) for _, name, x in c.terms]
    terms = " ".join(f"{'-' if x < 0 else '+'} {abs(x) * len(names)!r}*{names[0]}" for names, x in named)
    return "net" if kinds == {"net"} else "xch", _between(terms.removeprefix("+ "), c.low, c.high)


def _between(what: str, low: float, high: float, open_below: float = -math.inf) -> list[str]:
    if low == high:
        return [f"{what} = {low!r}"]
    found = [f"{what} >= {low!r}"] if low > open_below and math.isfinite(low) else []
    return found + ([f"{what} <= {high!r}"] if math.isfinite(high) else [])
