"""One door to every format of networks: readers are components, and a third party's counts as ours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import MolvisError, ReadError, did_you_mean
from molvis_core.plugins import Component
from molvis_core.records import Measurement, Origin
from molvis_flux.model.checking import check_structure
from molvis_flux.model.network import Study

MODALITY = "flux-study"
"""What readers of networks yield: measurements whose record is a `Study`."""


def read_study(path: str | Path, *, reader: str | None = None, strict: bool = True, **options: Any) -> Study:
    """A network model and its experiments, in any format that an installed plugin reads.

    Args:
        path: the file; of FreeFlux and INCAWrapper also the folder.
        reader: name of a reader component, such as `fluxml`; by default the one that recognises the file.
        strict: refuse a study in which `molvis_flux.model.checking.check_structure` finds an error, such as an atom map
            that does not balance.
        options: of the reader: see `read_fluxml`, `read_mfapy`, `read_freeflux` and `read_inca`.

    Raises:
        ReadError: the file cannot be read, is of no known format, or its content is impossible; the message names the
            line.
        TypeError: the reader has no such option.
    """
    path = Path(path)
    study = _only(path, registry.load("reader", _reader_of(path, reader).name)(path, **options))
    errors = [finding for finding in check_structure(study) if finding.severity == "error"] if strict else []
    if errors:
        file, _, line = errors[0].where.rpartition(":")
        more = f" ({len(errors) - 1} more: `molvis flux check` lists them.)" if len(errors) > 1 else ""
        known = line.isdigit() and bool(file)
        raise ReadError(file if known else path, errors[0].message + more, line=int(line) if known else None)
    return study


def studies_of(read: Callable[..., Study]) -> Callable[..., Iterator[Measurement]]:
    """A reader component of a function that returns one study."""

    @functools.wraps(read)
    def reader(path: Path, **options: Any) -> Iterator[Measurement]:
        study = read(path, **options)
        origin = Origin(source_file=Path(path).name)
        yield Measurement(study, None, MODALITY, name=study.network.name or None, origin=origin)

    return reader


def stem(path: str | Path) -> str:
    """The name of a file without its ending, and without that of gzip."""
    name = Path(path).name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def suffix(path: str | Path) -> str:
    """The ending of a file in lower case; `.gz` behind it does not matter."""
    return Path(Path(path).name.lower().removesuffix(".gz")).suffix


def _only(path: Path, found: Iterator[Measurement | ReadError]) -> Study:
    """The one study of a file."""
    studies: list[Study] = []
    for item in found:
        if isinstance(item, ReadError):
            raise item
        studies.append(item.record)
    if len(studies) != 1:
        raise ReadError(path, f"holds {len(studies)} networks; one is needed")
    return studies[0]


def _reader_of(path: Path, name: str | None) -> Component:
    """The reader of that name; else, of those that claim the file's ending or of all, the one that recognises it.

    Not `registry.reader_for`: that takes the first of several readers that recognise a folder, and fails where one of
    them cannot look at it. Here several are an error, and such a reader's problem counts only where no other is found.
    """
    readers = [c for c in registry.components("reader") if c.modality == MODALITY]
    if name is not None:
        return _named(path, name, readers)
    claiming = [] if path.is_dir() else registry.claiming("reader", path, modality=(MODALITY,))
    known, problem = _recognising(path, claiming or readers)
    # A reader that recognises the file goes before one that has no opinion.
    known = known or [c for c in claiming if not c.recognises]
    if len(known) == 1:
        return known[0]
    if known:
        raise ReadError(path, f"several readers recognise it: {', '.join(c.name for c in known)}; name one")
    if problem is not None:
        raise problem
    raise ReadError(path, f"holds no network that is known; formats are {', '.join(c.name for c in readers)}")


def reader_named(path: str | Path, name: str | None) -> tuple[str, Callable[..., Any]]:
    """Name and function of the reader that `read_study` would take.

    Raises:
        ReadError: there is none.
    """
    component = _reader_of(Path(path), name)
    return component.name, registry.load("reader", component.name)


def _named(path: Path, name: str, readers: Sequence[Component]) -> Component:
    """The reader that a caller named, or by one that it had before."""
    names = [c.name for c in readers]
    if name not in {*names, *(old for c in readers for old in c.replaces)}:
        raise ReadError(path, f"no reader {name!r}.{did_you_mean(name, names)} There are {', '.join(names)}")
    return registry.component("reader", name)


def _recognising(path: Path, readers: Sequence[Component]) -> tuple[list[Component], MolvisError | None]:
    """The readers that recognise the file, and the last problem that one had with looking at it."""
    able, problem = [(c, registry.recogniser(c)) for c in readers], None
    known: list[Component] = []
    for component, recognises in able:
        try:
            if recognises is not None and recognises(path):
                known.append(component)
        except MolvisError as error:
            problem = error
    return known, problem
