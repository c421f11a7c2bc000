"""Writing studies in the TOML of molvis."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_files.writing import write_text
from molvis_flux.formats.quoting import flux_key, labelled, labels, quoted
from molvis_flux.model.network import (
    Constraint,
    Datum,
    Experiment,
    Fragment,
    Metabolite,
    Participant,
    Reaction,
    Study,
    Tracer,
)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What a comment of TOML may not hold."""


def write_study(path: str | Path, study: Study) -> None:
    """Write a study whole or not at all. `read_study` gives it back, but for the lines it was read from.

    Raises:
        WriteError: it cannot be written; what was there before is kept.
    """
    write_text(Path(path), study_toml(study))


def write_studies(path: Path, measurements: Iterable[Measurement]) -> None:
    """The writer component: the one study of `measurements`, as the reader `flux-toml` yields it.

    Raises:
        WriteError: there is none, or several, or it is something else; or see `write_study`.
    """
    write_study(path, only_study(path, measurements))


def only_study(path: Path, measurements: Iterable[Measurement]) -> Study:
    """The one study of what a writer is given.

    Raises:
        WriteError: there is none, or several, or it is something else.
    """
    found = [measurement.record for measurement in measurements]
    if len(found) != 1 or not isinstance(found[0], Study):
        kinds = ", ".join(type(record).__name__ for record in found[:3]) or "nothing"
        raise WriteError(f"{path}: a file holds one study (a network with its experiments), got {len(found)}: {kinds}")
    return found[0]


def study_toml(study: Study) -> str:
    """The TOML of a study."""
    return "\n".join(_lines(study)) + "\n"


def _lines(study: Study) -> Iterator[str]:
    network = study.network
    yield from (f"# {_CONTROL.sub(' ', line)}" for note in study.notes for line in note.splitlines())
    if network.constraints:  # keys of no table come first
        yield "constraints = ["
        yield from (f"    {_value(_condition(constraint))}," for constraint in network.constraints)
        yield "]\n"
    yield "[network]"
    yield f"name = {_value(network.name)}"
    yield "\n[reactions]"
    yield from (f"{_key(reaction.name)} = {_reaction(reaction)}" for reaction in network.reactions.values())
    mapped: dict[str, int] = {}
    for reaction in network.reactions.values():
        for p in (*reaction.substrates, *reaction.products):
            mapped[p.metabolite] = max(mapped.get(p.metabolite, 0), len(p.atoms))
    specs = {m.name: _metabolite(m, mapped.get(m.name)) for m in network.metabolites.values()}
    yield from _table("metabolites", {name: spec for name, spec in specs.items() if spec})
    yield from _table("fragments", {f.name: _fragment(f) for f in network.fragments.values()})
    yield from _table("fluxes", {flux_key(kind, name): value for (kind, name), value in study.fluxes.items()})
    yield from _table("pools", study.pools)
    for experiment in study.experiments:
        yield from _experiment(experiment)


def _table(head: str, entries: Mapping[str, Any]) -> Iterator[str]:
    """A table, unless it is empty."""
    if entries:
        yield f"\n[{head}]"
        yield from (f"{_key(name)} = {_value(value)}" for name, value in entries.items())


def _experiment(experiment: Experiment) -> Iterator[str]:
    head = f"experiments.{_key(experiment.name)}"
    yield f"\n[{head}]"
    yield from _table(f"{head}.tracers", {source: _tracer(t) for source, t in experiment.tracers.items()})
    for kinds, section in ((("net", "exchange"), "fluxes"), (("pool",), "pools")):
        measured: dict[str, list[list[float]]] = {}
        for d in experiment.data:
            if d.kind in kinds:
                name = d.target if d.kind == "pool" else flux_key(d.kind, d.target)
                measured.setdefault(name, []).append([d.values[0], d.sd[0]])
        pairs = {name: found if len(found) > 1 else found[0] for name, found in measured.items()}
        yield from _table(f"{head}.{section}", pairs)
    for d in experiment.data:
        if d.kind == "mid":
            yield f"\n[[{head}.mids]]"
            yield from (f"{key} = {_value(value)}" for key, value in _mid(d).items())


def _reaction(reaction: Reaction) -> str:
    sides = (" + ".join(map(_participant, side)) for side in labelled(reaction))
    text = (" <-> " if reaction.reversible else " -> ").join(sides).strip()
    spec: dict[str, Any] = {"text": text, "net": list(reaction.net)}
    if reaction.reversible:
        spec["exchange"] = list(reaction.exchange)
    return _value(spec)


def _participant(participant: Participant) -> str:
    times = "" if participant.coefficient == 1 else f"{_number(participant.coefficient)} "
    atoms = f"({labels(participant.atoms)})" if participant.atoms else ""
    return f"{times}{quoted(participant.metabolite)}{atoms}"


def _metabolite(metabolite: Metabolite, mapped: int | None) -> dict[str, Any]:
    """What differs from a balanced chain of the carbons that reactions map; None where no reaction has it."""
    spec: dict[str, Any] = {}
    if metabolite.elements != ("C",) * (mapped or 0) or mapped is None:
        spec["atoms"] = _formula(metabolite.elements) or 0
    if metabolite.role != "balanced":
        spec["role"] = metabolite.role
    if metabolite.symmetries:
        spec["symmetric"] = [[i + 1 for i in turn] for turn in metabolite.symmetries]
    if metabolite.pool is not None:
        spec["pool"] = list(metabolite.pool)
    if metabolite.formula:
        spec["formula"] = metabolite.formula
    return spec


def _formula(elements: Sequence[str]) -> str:
    """`CCCHH` as `C3H2`, in order."""
    runs: list[list[Any]] = []
    for element in elements:
        if runs and runs[-1][0] == element:
            runs[-1][1] += 1
        else:
            runs.append([element, 1])
    return "".join(f"{element}{count}" for element, count in runs)


def _atoms(atoms: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for atom in atoms:
        if runs and atom == runs[-1][1] + 1:
            runs[-1][1] = atom
        else:
            runs.append([atom, atom])
    return ",".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs)


def _fragment(fragment: Fragment) -> str | dict[str, Any]:
    parts = [
        f"{'' if len(fragment.parts) == 1 else _number(weight) + ' '}{quoted(pool)}[{_atoms(atoms)}]"
        for weight, pool, atoms in fragment.parts
    ]
    of = " * ".join([" + ".join(parts), *(f"{quoted(pool)}[{_atoms(atoms)}]" for pool, atoms in fragment.convolved)])
    spec: dict[str, Any] = {"of": of}
    if fragment.formula:
        spec["formula"] = fragment.formula
    if fragment.mix:
        spec["mix"] = list(fragment.mix)
    if fragment.kind != "ms":
        spec["kind"] = fragment.kind
    if fragment.channels:
        spec["channels"] = list(fragment.channels)
    if fragment.daughter:
        spec["daughter"] = _atoms([fragment.parts[0][2][place] for place in fragment.daughter])
    return spec if len(spec) > 1 else of


def _tracer(tracer: Tracer) -> str | dict[str, Any]:
    if len(tracer.isotopomers) == 1 and tracer.isotopomers[0][1] == 1 and tracer.purity == 1 and not tracer.natural:
        return tracer.isotopomers[0][0]
    spec: dict[str, Any] = dict(tracer.isotopomers)
    if tracer.purity != 1:
        spec["purity"] = tracer.purity
    if tracer.natural:
        spec["natural"] = dict(tracer.abundance) or True
    return spec


def _mid(datum: Datum) -> dict[str, Any]:
    spec: dict[str, Any] = {"fragment": datum.target, "values": list(datum.values), "sd": list(datum.sd)}
    if datum.time is not None:
        spec["time"] = datum.time
    if datum.scaled:
        spec["scaled"] = True
    if not datum.corrected:
        spec["corrected"] = False
    return spec


def _condition(constraint: Constraint) -> str:
    terms = " + ".join(f"{_number(factor)} * {_term(kind, name)}" for kind, name, factor in constraint.terms)
    if constraint.low == constraint.high:
        return f"{terms} = {_number(constraint.low)}"
    low = "" if constraint.low == -math.inf else f"{_number(constraint.low)} <= "
    high = "" if constraint.high == math.inf else f" <= {_number(constraint.high)}"
    return f"{low}{terms}{high}"


def _term(kind: str, name: str) -> str:
    """A flux of a condition. Always quoted: there a name may not even begin with a digit."""
    name = "`" + name.replace("`", "``") + "`"
    return name if kind == "net" else f"exchange({name})"


def _key(name: str) -> str:
    return name if name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else _text(name)


def _text(text: str) -> str:
    """A basic string. TOML has no escapes of surrogates as JSON has, and takes no bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return (
            str(value) if not math.isfinite(value) else repr(float(value)) if value != int(value) else str(int(value))
        )
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(map(_value, value)) + "]"
