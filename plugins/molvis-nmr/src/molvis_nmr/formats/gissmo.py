"""GISSMO's XML of spin simulations: spins one by one, with a matrix of couplings.

Reference: H. Dashti et al., Anal. Chem. 89 (2017) 12201, doi:10.1021/acs.analchem.7b02884
"""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_core.text import is_count
from molvis_files.xml import parse_xml
from molvis_nmr.spins.system import SpinSystem


class _Spin(NamedTuple):
    """What a file states of one spin: in ppm, Hz (half the full width at half height) and relative intensity."""

    shift: float
    width: float
    intensity: float
    nucleus: str


def from_gissmo(path: Path, text: str, *, merge: bool = True) -> SpinSystem:
    """A spin system from GISSMO's XML.

    The matrix labelled `merged` is taken where the file holds it beside its parts, else the parts together. `lw`, a
    full width at half height in Hz, becomes half that.

    Args:
        path: that errors name.
        text: of the file.
        merge: make one group of spins that no spectrum can distinguish.

    Raises:
        ReadError: no XML, another schema, or a spin, shift or coupling that is missing, no number or contradicted.
    """
    root = _parsed(path, text)
    matrices = _matrices(path, root)
    spins: dict[str, _Spin] = {}
    couplings: dict[frozenset[str], float] = {}
    for matrix in matrices:
        names = _named(path, matrix)
        _add_spins(path, matrix, names, spins)
        _add_couplings(path, matrix, names, couplings)
    system = _system(path, root, spins, couplings)
    groups = [spin.get("group") for m in matrices for spin in m.iterfind("spin_names/spin")]
    if merge and len(groups) == len(spins) and all(groups):
        return _grouped(path, system, [group or "" for group in groups])
    return merge_equivalent(system) if merge else system


def gissmo_regions(path: Path, text: str) -> list[tuple[float, float]]:
    """What a file of GISSMO's leaves out of the comparison, such as water and DSS: from and to, in ppm.

    Raises:
        ReadError: no XML, another schema, or a limit that is no number.
    """
    root = _parsed(path, text)
    found: list[tuple[float, float]] = []
    for kind in ("water_region", "DSS_region"):
        for region in root.iterfind(f"coupling_matrix/{kind}"):
            if (region.findtext("remove_flag") or "").strip() != "1":
                continue
            ends = [_number(path, f"{kind} {end}", region.findtext(end)) for end in ("min_ppm", "max_ppm")]
            if (pair := (min(ends), max(ends))) not in found:
                found.append(pair)
    return found


def _parsed(path: Path, text: str) -> ET.Element:
    root = parse_xml(path, text)
    if root.tag != "spin_simulation":
        raise ReadError(path, f"holds <{root.tag}> in place of GISSMO's <spin_simulation>")
    return root


def _matrices(path: Path, root: ET.Element) -> list[ET.Element]:
    """The matrix labelled `merged` where there is one, else all of them."""
    matrices = root.findall("coupling_matrix")
    if not matrices:
        raise ReadError(path, "has no <coupling_matrix>, and so no spin system")
    return [m for m in matrices if (m.findtext("label") or "").strip().lower() == "merged"][:1] or matrices


def _add_spins(path: Path, matrix: ET.Element, names: dict[str, str], spins: dict[str, _Spin]) -> None:
    """Add the spins of a matrix to those of the parts before it; the first that states a spin decides."""
    half = 0.5 * _number(path, "lw", matrix.findtext("lw") or "2")
    for cs in matrix.iterfind("chemical_shifts_ppm/cs"):
        name = _spin(path, names, cs.get("index"), "cs")
        if name in spins:
            continue  # of another part
        spins[name] = _Spin(
            shift=_number(path, f"ppm of spin {name}", cs.get("ppm")),
            width=_number(path, f"width_Hz of spin {name}", cs.get("width_Hz", str(half))),
            intensity=_number(path, f"intensity of spin {name}", cs.get("intensity", "1")),
            nucleus=cs.get("nucleus", "1H"),
        )
    if missing := [name for name in names.values() if name not in spins]:
        raise ReadError(path, f"spin {missing[0]} has no chemical shift; each <spin> needs one <cs>")


def _add_couplings(
    path: Path, matrix: ET.Element, names: dict[str, str], couplings: dict[frozenset[str], float]
) -> None:
    """Add the couplings of a matrix to those of the parts before it; they must agree."""
    for entry in matrix.iterfind("couplings_Hz/coupling"):
        pair = [_spin(path, names, entry.get(key), "coupling") for key in ("from_index", "to_index")]
        value = _number(path, f"coupling of {pair[0]} and {pair[1]}", entry.get("value"))
        if pair[0] == pair[1]:
            raise ReadError(path, f"couples spin {pair[0]} to itself by {value:g} Hz; name two spins")
        if abs(couplings.setdefault(frozenset(pair), value) - value) > 1e-6:
            raise ReadError(
                path,
                f"couples {pair[0]} and {pair[1]} by {couplings[frozenset(pair)]:g} Hz and by {value:g} Hz; "
                "give one number for both",
            )


def _system(
    path: Path, root: ET.Element, spins: dict[str, _Spin], couplings: dict[frozenset[str], float]
) -> SpinSystem:
    """The spin system of these spins, every one by itself, with what the file states of it as a whole."""
    order = list(spins)
    matrix_hz = np.zeros((len(order), len(order)))
    for pair, value in couplings.items():
        i, j = (order.index(name) for name in pair)
        matrix_hz[i, j] = matrix_hz[j, i] = value
    field = root.findtext("field_strength")
    try:
        return SpinSystem(
            names=tuple(order),
            shifts=np.array([spin.shift for spin in spins.values()]),
            couplings=matrix_hz,
            nuclei=tuple(spin.nucleus for spin in spins.values()),
            widths=np.array([spin.width for spin in spins.values()]),
            intensities=np.array([spin.intensity for spin in spins.values()]),
            name=(root.findtext("name") or "").strip(),
            identifier=(root.findtext("ID") or "").strip(),
            inchi=(root.findtext("InChI") or "").strip(),
            frequency=_number(path, "field_strength", field) if (field or "").strip() else None,
        )
    except RecordError as error:
        raise ReadError(path, str(error)) from error


def _grouped(path: Path, system: SpinSystem, groups: Sequence[str]) -> SpinSystem:
    """The groups that the file states: those of our own files."""
    parts: dict[str, list[int]] = defaultdict(list)
    for k, group in enumerate(groups):
        parts[group].append(k)
    merged = merge_equivalent(system, list(parts.values()))
    again = expand(merged)
    if not (np.array_equal(again.shifts, system.shifts) and np.array_equal(again.couplings, system.couplings)):
        reason = "spins of one group= differ in shift or couplings, or stand apart; correct them or leave out group="
        raise ReadError(path, reason)
    return dataclasses.replace(merged, names=tuple(parts))


def _named(path: Path, matrix: ET.Element) -> dict[str, str]:
    """Names of spins by index."""
    names: dict[str, str] = {}
    for spin in matrix.iterfind("spin_names/spin"):
        index = spin.get("index") or ""
        if not index or index in names:
            raise ReadError(path, f"<spin index={index!r}>: each spin needs an index of its own")
        names[index] = (spin.get("name") or "").strip() or index
    if not names:
        raise ReadError(path, "has no <spin_names>; each spin needs its <spin index= name=>")
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise ReadError(path, f"two spins are called {twice!r}; each needs a name of its own")
    return names


def _spin(path: Path, names: dict[str, str], index: str | None, tag: str) -> str:
    if index not in names:
        raise ReadError(path, f"<{tag}> names spin {index!r}; <spin_names> has {', '.join(names)}")
    return names[index]


def _number(path: Path, what: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ReadError(path, f"{what} must be a number, got {text!r}")
    return value


# Groups of spins


def merge_equivalent(system: SpinSystem, parts: list[list[int]] | None = None) -> SpinSystem:
    """Groups of equal shift, width and intensity whose couplings to all others agree, made one.

    Couplings within such a group show in no spectrum, and are dropped.

    Args:
        system: perhaps every spin by itself.
        parts: which to make one; without it all that can be.
    """
    parts = _equivalent(system) if parts is None else parts
    first = [part[0] for part in parts]
    return dataclasses.replace(
        system,
        names=tuple(join_names([system.names[k] for k in part]) for part in parts),
        shifts=system.shifts[first],
        couplings=system.couplings[np.ix_(first, first)],
        multiplicity=np.array([int(system.multiplicity[part].sum()) for part in parts]),
        nuclei=tuple(system.nuclei[k] for k in first),
        widths=system.widths[first],
        intensities=system.intensities[first],
    )


def _equivalent(system: SpinSystem) -> list[list[int]]:
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    arrays = (system.shifts, system.widths, system.intensities)
    for k in range(len(system)):
        groups[(system.nuclei[k], *(float(values[k]) for values in arrays))].append(k)
    parts = list(groups.values())
    while True:
        finer: list[list[int]] = []
        for part in parts:
            others = np.setdiff1d(np.arange(len(system)), part)
            split: dict[tuple[float, ...], list[int]] = defaultdict(list)
            for k in part:
                split[tuple(np.round(system.couplings[k, others], 6).tolist())].append(k)
            finer += split.values()
        if len(finer) == len(parts):
            break
        parts = finer
    return sorted(parts)


def join_names(names: Sequence[str]) -> str:
    """Names of spins to that of their group: `10..12` where they count on, `20+21` where they do not."""
    if len(names) > 2 and all(map(is_count, names)):
        numbers = [int(name) for name in names]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return f"{names[0]}..{names[-1]}"
    return "+".join(names)


def part_names(name: str, count: int) -> list[str]:
    """Names of a group's spins: what `join_names` joined, else the group's name with a number behind it."""
    first, dots, last = name.partition("..")
    if dots and is_count(first) and is_count(last) and int(last) - int(first) + 1 == count:
        return [str(k) for k in range(int(first), int(last) + 1)]
    parts = name.split("+")
    if len(parts) == count:
        return parts
    return _numbered(name, count)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}.{k + 1}" for k in range(count)]


def _spin_names(system: SpinSystem) -> tuple[str, ...]:
    """One name a spin. A group whose name only looks joined, as `H++` or `Ha+b` beside `Ha` do, is numbered."""
    counts = system.multiplicity.tolist()
    parts = [part_names(name, count) for name, count in zip(system.names, counts, strict=True)]
    times = Counter(name for names in parts for name in names)
    return tuple(
        name
        for group, names, count in zip(system.names, parts, counts, strict=True)
        for name in (names if all(n and times[n] == 1 for n in names) else _numbered(group, count))
    )


def expand(system: SpinSystem) -> SpinSystem:
    """Every spin by itself, without couplings among those of a group."""
    owner = np.repeat(np.arange(len(system)), system.multiplicity)
    return dataclasses.replace(
        system,
        names=_spin_names(system),
        shifts=system.shifts[owner],
        couplings=system.couplings[np.ix_(owner, owner)],
        multiplicity=None,
        nuclei=tuple(system.nuclei[k] for k in owner),
        widths=system.widths[owner],
        intensities=system.intensities[owner],
    )


def to_gissmo(system: SpinSystem) -> str:
    """GISSMO's XML of a spin system.

    `lw` is the mean full width in Hz; each spin's group, its own half width, its intensity and its nucleus stand in
    attributes that GISSMO does not know and does not mind.
    """
    spins = expand(system)
    root = ET.Element("spin_simulation")

    def put(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
        child = ET.SubElement(parent, tag, attributes)
        child.text = text or None
        return child

    put(root, "version", "2")
    put(root, "name", system.name)
    put(root, "ID", system.identifier)
    put(root, "InChI", system.inchi)
    if system.frequency is not None:
        put(root, "field_strength", repr(float(system.frequency)))
        put(root, "field_strength_applied_flag", "1")
    put(root, "num_split_matrices", "0")
    matrix = put(root, "coupling_matrix")
    put(matrix, "label", "merged")
    put(matrix, "index", "1")
    put(matrix, "lw", f"{2 * float(spins.widths.mean()):.6g}")
    shape = put(matrix, "peak_shape_coefficients")
    put(shape, "lorentzian", "1")
    put(shape, "gaussian", "0")
    names, shifts, couplings = (put(matrix, tag) for tag in ("spin_names", "chemical_shifts_ppm", "couplings_Hz"))
    groups = np.repeat(system.names, system.multiplicity).tolist()
    for k, name in enumerate(spins.names):
        put(names, "spin", index=str(k + 1), name=name, group=groups[k])
        extra = {"width_Hz": repr(float(spins.widths[k])), "intensity": repr(float(spins.intensities[k]))}
        if spins.nuclei[k] != "1H":
            extra["nucleus"] = spins.nuclei[k]
        put(shifts, "cs", index=str(k + 1), ppm=repr(float(spins.shifts[k])), **extra)
    for i, j in zip(*np.nonzero(np.triu(spins.couplings)), strict=True):
        value = repr(float(spins.couplings[i, j]))
        put(couplings, "coupling", from_index=str(i + 1), to_index=str(j + 1), value=value)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode", short_empty_elements=False) + "\n"
