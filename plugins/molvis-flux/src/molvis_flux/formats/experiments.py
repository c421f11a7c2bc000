"""What readers of several formats share: data of several experiments, tracers, roles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_files.opening import read_text
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.notation import tracer
from molvis_flux.model.network import Tracer

Data = str | Path | Sequence[str | Path] | Mapping[str, Any]


def by_experiment(data: Data) -> dict[str, list[tuple[float | None, str | Path]]]:
    """Files of measurements by experiment, each with its time."""
    if isinstance(data, (str, Path)):
        data = [data]
    if not isinstance(data, Mapping):
        data = {Path(file).stem: file for file in data}
    return {
        str(name): [(float(t), file) for t, file in files.items()] if isinstance(files, Mapping) else [(None, files)]
        for name, files in data.items()
    }


def assign_tracers(tracers: Mapping[str, Any], names: Sequence[str], draft: Draft) -> dict[str, dict[str, Tracer]]:
    """Tracers by experiment and source, of a table by source, by experiment, or of files of carbon sources."""
    by_source = not set(tracers) & set(names)
    found: dict[str, dict[str, Tracer]] = {}
    for name in names if by_source else tracers:
        table = tracers if by_source else tracers[name]
        if isinstance(table, (str, Path)):
            table = _read_sources(Path(table), draft)
        if not isinstance(table, Mapping):
            raise draft.error(f"the tracers of {name!r} are {table!r}; give a table of sources, or a file")
        found[name] = {}
        for source, spec in under_full_names(table, draft.metabolites):
            metabolite = draft.known_source(source, name, None)
            try:
                found[name][source] = tracer(spec, len(metabolite.elements))
            except ValueError as error:
                raise draft.error(f"the tracer of {source!r}: {error}") from error
    return found


def under_full_names(table: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The entries of a table by name, where one with points, such as `Glc.ex`, may stand as a table in a table.

    So it does where it was written as a key with points and without quotes.
    """
    for key, value in table.items():
        begins = key not in known and any(name.startswith(f"{key}.") for name in known)
        # The shares of a mixture are numbers.
        if begins and isinstance(value, Mapping) and not any(isinstance(v, (int, float)) for v in value.values()):
            yield from under_full_names({f"{key}.{rest}": part for rest, part in value.items()}, known)
        else:
            yield key, value


def _read_sources(path: Path, draft: Draft) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split()
        if not cells or cells[0] == "Name":
            continue
        if len(cells) < 3:
            raise draft.error(f"{line!r}: a line has a name, an isotopomer and a ratio", number, str(path))
        found.setdefault(cells[0], {})[cells[1].lstrip("#")] = finite(cells[2], draft, "the ratio", number, str(path))
    return found


def finite(text: str, draft: Draft, what: str, line: int, path: str) -> float:
    """A finite number, or an error that names what is not one."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise draft.error(f"{what} is {text!r}, no finite number", line, path)
    return value


def settle_roles(draft: Draft, inputs: set[str] | None = None, *, loose: bool = False) -> None:
    """Make sources of what is only used, or of the inputs that are named, and sinks of what is only made.

    Args:
        draft: its metabolites are changed.
        inputs: names of the sources, where the file has them.
        loose: reversible reactions at the rim of the network lead in or out all the same.
    """
    seen: dict[str, set[str]] = {name: set() for name in draft.metabolites}
    for reaction in draft.reactions.values():
        for participant in (*reaction.substrates, *reaction.products):
            seen[participant.metabolite].add(reaction.name)
    made, used = set[str](), set[str]()
    for reaction in draft.reactions.values():
        left = {p.metabolite for p in reaction.substrates}
        right = {p.metabolite for p in reaction.products}
        both = {m for m in left | right if reaction.reversible and not (loose and len(seen[m]) == 1)}
        made |= right | both
        used |= left | both
    ends = []
    for name, metabolite in draft.metabolites.items():
        if name in (used - made if inputs is None else inputs):
            draft.metabolites[name] = dataclasses.replace(metabolite, role="source")
        elif name in made - used:
            draft.metabolites[name] = dataclasses.replace(metabolite, role="sink")
            ends.append(name)
    if ends:
        draft.notes.append(f"No reaction uses {', '.join(ends)}: taken as outputs.")
