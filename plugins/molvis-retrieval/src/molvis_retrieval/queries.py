"""Queries from files, whichever installed reader claims them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from molvis_core import registry
from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import ConfigError, LeftOutError, MolvisError, ReadError, did_you_mean
from molvis_core.records import Measurement, Origin, Value
from molvis_files.vendors import require_file
from molvis_retrieval.results import Identification

log = logging.getLogger("molvis")


def read_queries(
    path: Path | str, *, modality: str | None = None, reader: str | None = None
) -> tuple[list[Measurement], list[Identification]]:
    """Measurements to identify, and an identification with its problem for each record that cannot be read.

    What is no query at all, such as a survey spectrum, is counted and logged.

    Args:
        path: the file.
        modality: take only readers of this one; without it, of any but structures.
        reader: name of the reader, instead of choosing one by the file's ending.

    Raises:
        ReadError: the file cannot be read at all.
        molvis_core.errors.ComponentError: no reader claims it.
    """
    path = Path(path)
    require_file(path)
    measured = registry.measured_modalities()
    name = reader or registry.for_suffix("reader", path, modality=modality or measured).name
    good: list[Measurement] = []
    bad: list[Identification] = []
    left_out: Counter[str] = Counter()
    for number, item in enumerate(registry.load("reader", name)(path), start=1):
        if isinstance(item, LeftOutError):
            left_out[item.reason] += 1
        elif isinstance(item, ReadError):
            name = str(item.record or f"record {number}")
            bad.append(Identification(name, str(item), spectra=0, origin=Origin(source_file=path.name)))
        else:
            good.append(replace(item, origin=replace(item.origin, source_file=item.origin.source_file or path.name)))
    for reason, count in left_out.items():
        log.warning("%s: %s%s", path.name, reason, f" ({count} times)" if count > 1 else "")
    return good, bad


def read_unknown(
    files: Mapping[str, Sequence[Path | str]], *, cross_sections: Sequence[str] = (), adduct: str | None = None
) -> tuple[list[Measurement], list[Identification]]:
    """All that was measured of one unknown, to hand to `identify` as one query; and what could not be read.

    Args:
        files: by modality, such as `{"msms": ["a.mgf"], "ir": ["b.jdx"]}`.
        cross_sections: in A^2, such as `145.2` or, with its ion, `[M+Na]+=151.8`.
        adduct: of cross sections that name none. Without it, that of the spectra, where they have one in common.

    Raises:
        ReadError: a file cannot be read at all.
        ConfigError: a cross section that cannot be one, or whose ion is not known.
        molvis_core.errors.ComponentError: no reader claims a file.
    """
    measurements: list[Measurement] = []
    unreadable: list[Identification] = []
    for modality, paths in files.items():
        for path in paths:
            good, bad = read_queries(path, modality=modality)
            measurements += good
            unreadable += bad
    ions = {a for m in measurements if (a := getattr(m.record, "adduct", None))}
    usual = adduct or (ions.pop() if len(ions) == 1 else None)
    for text in cross_sections:
        measurements.append(Measurement(cross_section(text, usual), None, "ccs"))
    return measurements, unreadable


def cross_section(text: str, adduct: str | None = None) -> Value:
    """A collision cross section as people write it: `145.2`, or `[M+Na]+=151.8` with its ion.

    Args:
        text: in A^2.
        adduct: of one that names no ion.

    Raises:
        ConfigError: it is no number, cannot be one in A^2, or its ion is not known.
    """
    named, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError as error:
        raise ConfigError(f"cross section {text!r}: {number!r} is no number; write 145.2 or [M+H]+=145.2") from error
    if not value > 0:
        raise ConfigError(f"cross section {text!r}: must be a positive number in A^2, got {value:g}")
    if value < _LEAST:
        raise ConfigError(
            f"cross section {text!r}: no ion is that small in A^2; if it is in nm^2, write {100 * value:g}"
        )
    ion = named.strip() or adduct
    if ion is None:
        raise ConfigError(f"cross section {text!r}: of which ion? Write [M+H]+={number.strip()}, or give --adduct")
    try:
        parsed = parse_adduct(ion)
    except MolvisError as error:
        raise ConfigError(f"cross section {text!r}: {error}") from error
    return Value(value, adduct=parsed.name, charge=parsed.charge)


_LEAST = 30.0
"""In A^2: helium's own cross section with N2 is about this."""


def modality_files(texts: Sequence[str]) -> tuple[dict[str, list[Path]], list[str]]:
    """`raman=a.txt` to a modality and its files; and cross sections as numbers: `ccs=145.2` or `ccs=[M+H]+=145.2`.

    A modality may be named by its first word where another one of that word reads the file: `nmr=c13.txt` is a list of
    shifts.

    Raises:
        ConfigError: it is not of this form, or names no installed modality.
    """
    known = registry.measured_modalities()
    out: dict[str, list[Path]] = {}
    values: list[str] = []
    for text in texts:
        found = re.fullmatch(r"([a-z0-9-]+)=(.+)", text)
        if not found:
            raise ConfigError(
                f"{text!r} must be of the form MODALITY=FILE, such as ir=spectrum.jdx, or ccs=145.2 for a cross section"
            )
        name, what = found.groups()
        relatives = [one for one in known if one.startswith(f"{name}-")]
        if name not in known and not relatives:
            raise ConfigError(
                f"{text!r}: no modality {name!r}.{did_you_mean(name, known)} Installed: {', '.join(sorted(known))}."
            )
        if name == "ccs" and not Path(what).exists() and _NUMBER.fullmatch(what.rpartition("=")[2].strip()):
            values.append(what)
        else:
            out.setdefault(_reading([name, *relatives], Path(what)), []).append(Path(what))
    return out, values


_NUMBER = re.compile(r"[-+]?[0-9.,]+([eE][-+]?[0-9]+)?")


def _reading(names: Sequence[str], file: Path) -> str:
    """The first of the modalities of which a reader claims the file; the first that is installed where none does."""
    installed = [name for name in names if name in registry.measured_modalities()]
    for name in installed if len(names) > 1 else ():
        try:
            registry.for_suffix("reader", file, modality=name)
        except MolvisError:
            continue
        return name
    return installed[0]
