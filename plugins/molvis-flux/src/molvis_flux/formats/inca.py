"""INCA: the tables and the JSON of INCAWrapper, and the models that INCA saved itself.

Reference: Rasmussen et al., bioRxiv (2024), INCAWrapper: a Python wrapper for INCA.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_files.documents import load_json
from molvis_files.opening import read_bytes, read_text
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.equations import add_reaction
from molvis_flux.formats.experiments import settle_roles
from molvis_flux.formats.freeflux import is_freeflux
from molvis_flux.formats.inca_mat import is_model, read_mat
from molvis_flux.formats.inca_parts import joined, mixture, normalised
from molvis_flux.formats.matlab import is_hdf5, variables
from molvis_flux.formats.notation import reaction as parse_reaction
from molvis_flux.formats.opening import studies_of, suffix
from molvis_flux.formats.tables import Row, heading, number, numbers, rows
from molvis_flux.model.network import Datum, Fragment, Participant, Study

_SIBLINGS = {
    "tracers": ("tracers",),
    "data": ("ms_measurements", "ms_measurement"),
    "measured_fluxes": ("flux_measurements", "flux"),
}


def read_inca(
    path: str | Path,
    *,
    reactions: str | Path | None = None,
    tracers: str | Path | None = None,
    data: str | Path | None = None,
    measured_fluxes: str | Path | None = None,
) -> Study:
    """A model of INCA: the tables of INCAWrapper, the JSON of its core, or a MATLAB file.

    Args:
        path: the table of reactions (`model, rxn_id, rxn_eqn`), a folder with `reactions.csv`, a JSON file, or a `.mat`
            with the model `m`.
        reactions: of a MATLAB file the table of reactions, where it keeps atom maps in a form that is not known.
        tracers: a further table; by default the one beside the reactions.
        data: the same, of measured intensities.
        measured_fluxes: the same, of fluxes.

    Returns:
        The study. What no reaction makes is a source, what none uses leaves. Measured intensities with atoms beside the
        labelled ones are taken as not corrected for natural abundance.

    Raises:
        ReadError: a file cannot be read, or its content is impossible; the message names the line.
    """
    path = Path(path)
    if path.is_dir():
        path = next(
            (p for name in ("reactions.csv", "model.json") if (p := path / name).is_file()), path / "reactions.csv"
        )
    folder = path.parent
    draft = Draft(str(path), path.parent.name)
    if suffix(path) == ".json":
        _json(path, draft)
        return draft.finish()
    if suffix(path) == ".mat":
        table = _table(Path(reactions), ("rxn_id", "rxn_eqn")) if reactions else ()
        read_mat(path, draft, {cell["rxn_id"]: cell["rxn_eqn"] for _, cell in table})
        return draft.finish()
    for row, cell in _table(path, ("rxn_id", "rxn_eqn")):
        try:
            substrates, products, reversible = parse_reaction(cell["rxn_eqn"])
        except ValueError as error:
            raise draft.error(f"reaction {cell['rxn_id']!r}: {error}", row.line) from error
        add_reaction(draft, cell["rxn_id"], substrates, products, reversible, row.line)
        draft.name = cell.get("model", "") or draft.name
    settle_roles(draft)

    def beside(given: str | Path | None, kind: str) -> Path | None:
        return (
            Path(given) if given else next((p for n in _SIBLINGS[kind] if (p := folder / f"{n}.csv").is_file()), None)
        )

    if file := beside(tracers, "tracers"):
        _tracers(file, draft)
    if file := beside(data, "data"):
        _mids(file, draft)
    if file := beside(measured_fluxes, "measured_fluxes"):
        _measured_fluxes(file, draft)
    draft.cap_at_scale()
    return draft.finish()


studies = studies_of(read_inca)
"""The reader component."""


def is_inca(path: Path) -> bool:
    """Whether a file is a saved model, the JSON of INCAWrapper or its table of reactions, or a folder has one."""
    if path.is_dir():
        if is_freeflux(path):
            return False
        return (path / "model.json").is_file() or is_inca(path / "reactions.csv")
    if suffix(path) == ".mat":
        return is_hdf5(read_bytes(path)) or is_model(variables(path))
    if suffix(path) == ".json":
        return '"reaction_network"' in read_text(path)
    return "rxn_eqn" in heading(path)


def _measured_fluxes(file: Path, draft: Draft) -> None:
    for row, cell in _table(file, ("rxn_id", "flux", "flux_std_error")):
        draft.known_reaction(cell["rxn_id"], row.line, "a measured flux", str(file))
        value, sd = (number(file, row, cell[key], f"{key} of {cell['rxn_id']}") for key in ("flux", "flux_std_error"))
        where = draft.where(row.line, str(file))
        draft.data.setdefault(cell.get("experiment_id", "default"), []).append(
            Datum(cell["rxn_id"], "net", (value,), (sd,), where=where)
        )


def _table(path: Path, required: tuple[str, ...]) -> Iterator[tuple[Row, dict[str, str]]]:
    """Rows as tables by heading."""
    found = rows(path)
    head = next(found, None)
    names = () if head is None else head.cells
    if missing := [name for name in required if name not in names]:
        raise ReadError(path, f"lacks the column {missing[0]!r}; it has {', '.join(names)}", line=1)
    for row in found:
        if any(row.cells[len(names) :]):
            raise ReadError(path, f"has {len(row.cells)} cells where the heading has {len(names)}", line=row.line)
        yield row, dict(zip(names, (*row.cells, *[""] * len(names)), strict=False))


def _tracers(path: Path, draft: Draft) -> None:
    found: dict[tuple[str, str], list[tuple[tuple[int, ...], float, float]]] = {}
    places: dict[tuple[str, str], int] = {}
    missing: set[str] = set()
    for row, cell in _table(path, ("met_id", "atom_ids")):
        draft.known_metabolite(cell["met_id"], row.line, "a tracer", str(path))
        atoms = tuple(int(a) for a in numbers(path, row, cell["atom_ids"], "an atom"))
        missing |= {key for key in ("ratio", "enrichment", "atom_mdv") if not cell.get(key)}
        ratio, enrichment = (number(path, row, cell.get(key) or "1", f"the {key}") for key in ("ratio", "enrichment"))
        ratio *= enrichment
        mdv = numbers(path, row, cell.get("atom_mdv") or "0 1", "atom_mdv")
        if len(mdv) != 2:
            raise draft.error(
                f"atom_mdv is {cell['atom_mdv']!r}; it has two numbers, for the light and the heavy atom",
                row.line,
                str(path),
            )
        key = cell.get("experiment_id") or "default", cell["met_id"]
        found.setdefault(key, []).append((atoms, ratio, mdv[1]))
        places[key] = row.line
    for key, parts in found.items():
        if "ratio" in missing and len(parts) > 1:
            raise draft.error(
                f"{key[1]} has {len(parts)} tracers in {key[0]!r} and no ratio; add the column `ratio`, their shares",
                places[key],
                str(path),
            )
        draft.tracers.setdefault(key[0], {})[key[1]] = mixture(draft, key[1], parts, places[key], path)
    means = {"ratio": "1", "enrichment": "1", "atom_mdv": "0 and 1: labelled atoms are heavy"}
    draft.notes += [f"{path}: tracers without `{key}`; taken as {means[key]}." for key in means if key in missing]


def _mids(path: Path, draft: Draft) -> None:
    required = (
        "experiment_id", "met_id", "ms_id", "labelled_atom_ids", "unlabelled_atoms", "mass_isotope", "intensity",
        "intensity_std_error",
    )  # fmt: skip
    series: dict[tuple[str, str, str, str], dict[int, tuple[float, float]]] = {}
    where: dict[tuple[str, str, str, str], str] = {}
    times: set[str] = set()
    bare: dict[str, bool] = {}
    for row, cell in _table(path, required):
        name, line = cell["ms_id"], row.line
        draft.fragments.setdefault(name, _fragment(path, row, cell, draft))
        bare[name] = not cell["unlabelled_atoms"]
        mass = int(number(path, row, cell["mass_isotope"], "mass_isotope"))
        key = (cell["experiment_id"], name, cell.get("measurement_replicate", ""), cell.get("time", ""))
        times.add(key[3])
        if key[3]:
            number(path, row, key[3], "the time")
        values = tuple(number(path, row, cell[k], f"{k} of M+{mass}") for k in ("intensity", "intensity_std_error"))
        if mass in series.setdefault(key, {}):
            raise draft.error(f"M+{mass} of {name!r} is measured twice; take one line away", line, str(path))
        series[key][mass] = values[0], values[1]
        where.setdefault(key, draft.where(line, str(path)))
    stationary = times <= {"", "0", "0.0"}
    for key, masses in series.items():
        experiment, name, _, time = key
        length = len(draft.fragments[name].elements) + 1 if bare[name] else max(masses) + 1
        length = max(length, max(masses) + 1)
        draft.data.setdefault(experiment, []).append(
            normalised(
                name,
                tuple(masses[m][0] if m in masses else math.nan for m in range(length)),
                tuple(masses[m][1] if m in masses else math.nan for m in range(length)),
                time=None if stationary else float(time or 0),
                corrected=bare[name],
                where=where[key],
            )
        )


def _fragment(path: Path, row: Row, cell: Mapping[str, str], draft: Draft) -> Fragment:
    """The fragment that a row of measured intensities is of."""
    name, line = cell["ms_id"], row.line
    metabolite = draft.known_metabolite(cell["met_id"], line, f"fragment {name!r}", str(path))
    atoms = tuple(int(a) - 1 for a in numbers(path, row, cell["labelled_atom_ids"], "an atom"))
    if not atoms or max(atoms) >= len(metabolite.elements) or min(atoms) < 0:
        raise draft.error(
            f"fragment {name!r} has the atoms {cell['labelled_atom_ids']}, and {metabolite.name} has "
            f"{len(metabolite.elements)}",
            line,
            str(path),
        )
    rest = cell["unlabelled_atoms"]
    formula = f"C{len(atoms)}{rest}" if rest else ""
    return Fragment(
        name,
        ((1.0, metabolite.name, atoms),),
        ("C",) * len(atoms),
        joined(formula),
        where=draft.where(line, str(path)),
    )


def _json(path: Path, draft: Draft) -> None:
    try:
        model: Mapping[str, Any] = load_json(read_text(path))
        network = model["reaction_network"]
        draft.name = network.get("name") or network.get("id") or draft.name
        for item in network["reactions"]:
            _json_reaction(item, draft)
        settle_roles(draft)
        kinds = {tracer["isotope"]: tracer for tracer in model.get("tracers", ())}
        for experiment in model.get("tracer_experiments", ()):
            _json_tracers(experiment, kinds, draft)
        for item in model.get("flux_measurements", ()):
            draft.known_reaction(item["reaction_id"], None, "a measured flux")
            value, sd = float(item["measured_flux"]), float(item["measurement_error"])
            draft.data.setdefault(item["experiment_id"], []).append(Datum(item["reaction_id"], "net", (value,), (sd,)))
        for item in model.get("mid_measurements", ()):
            _json_mid(item, draft)
    except json.JSONDecodeError as error:
        raise ReadError(path, f"is no JSON: {error.msg}", line=error.lineno) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ReadError(path, f"is no model of INCAWrapper: lacks or misuses {error}") from error
    draft.cap_at_scale()


def _json_reaction(item: Mapping[str, Any], draft: Draft) -> None:
    """A reaction, whose substrates have negative coefficients."""
    sides: tuple[list[Participant], list[Participant]] = ([], [])
    for name, maps in item["stoichiometry_input"].items():
        for atoms, coefficient in maps.items():
            sides[coefficient > 0].append(Participant(name, abs(float(coefficient)), tuple(atoms)))
    add_reaction(draft, item["id"], tuple(sides[0]), tuple(sides[1]), bool(item["reversible"]), None)


def _json_tracers(experiment: Mapping[str, Any], kinds: Mapping[str, Any], draft: Draft) -> None:
    """The tracers of an experiment, of their shares and of `kinds`, what each isotope is."""
    name = experiment["experiment_id"]
    parts: dict[str, list[tuple[tuple[int, ...], float, float]]] = {}
    for isotope, share in experiment["tracer_enrichments"].items():
        tracer = kinds[isotope]
        atoms = tuple(tracer["labelled_atom_positions"])
        parts.setdefault(tracer["compound"], []).append((atoms, float(share), float(tracer["purity"])))
    for source, found in parts.items():
        draft.tracers.setdefault(name, {})[source] = mixture(draft, source, found, None, None)


def _json_mid(item: Mapping[str, Any], draft: Draft) -> None:
    """A measured MID and its fragment, which has all atoms of its compound."""
    metabolite = draft.known_metabolite(item["compound_id"], None, f"fragment {item['fragment_id']!r}")
    atoms = tuple(range(len(metabolite.elements)))
    fragment = Fragment(item["fragment_id"], ((1.0, metabolite.name, atoms),), metabolite.elements)
    draft.fragments.setdefault(fragment.name, fragment)
    parts = sorted(item["measured_components"], key=lambda c: int(c["mass_isotopomer_id"]))
    values = tuple(float(c["measured_intensity"]) for c in parts)
    sd = tuple(float(c["measured_std_dev"]) for c in parts)
    draft.data.setdefault(item["experiment_id"], []).append(normalised(fragment.name, values, sd))
