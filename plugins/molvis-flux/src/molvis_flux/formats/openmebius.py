"""The workbooks of OpenMebius and OpenMebius2: a model with its labels, and experiments.

Reference: Kajihata et al., BioMed Research International 2014 (2014) 627014, doi:10.1155/2014/627014
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_flux.formats.builder import Draft, reverse
from molvis_flux.formats.derived import Derived
from molvis_flux.formats.equations import Sides, add_reaction, two_cells
from molvis_flux.formats.experiments import Data, assign_tracers, by_experiment, settle_roles
from molvis_flux.formats.opening import stem, studies_of, suffix
from molvis_flux.formats.tables import Row, number, rows
from molvis_flux.model.network import Datum, Participant, Study, Tracer

_MDV = ("mdv(biomass)", "mdv", "ms(normalized)")
"""Sheets of an experiment with fractions, the best first: biomass carried over and natural isotopes taken out."""

Labels = dict[str, tuple[tuple[str, float], ...]]
"""By key and by name, the isotopomers of a label."""


def read_openmebius(
    path: str | Path,
    *,
    data: Data = (),
    labels: str | Path | None = None,
    tracers: Mapping[str, Any] | None = None,
    sd: float = 0.01,
) -> Study:
    """A model of OpenMebius.

    Args:
        path: the workbook, with the sheets `model` (`ID`, `Reaction`, `Transition`), `MS` and `biomass`; or its model
            sheet as CSV or text.
        data: workbooks of experiments, with the sheets `info` (`mu`), `substrate` (`Uptake`, `Label`) and `MDV`; one,
            several, or by name.
        labels: JSON with the isotopomers of each label; by default `label.json` beside the model.
        tracers: labelling of the substrates, instead of what the experiments say.
        sd: standard deviation of a fraction. OpenMebius states none.

    Returns:
        The study. `Sym_A` is the metabolite A, the same read from both ends; rows of the sheet `MS` that are used are
        fragments; the sheet `biomass` is one reaction that leads out, whose flux is the growth rate.

    Raises:
        ReadError: a file cannot be read, or its content is impossible; the message names the line.
    """
    path = Path(path)
    draft, derived = Draft(str(path), stem(path)), Derived()
    sheets = _sheets(path)
    symmetric: set[str] = set()
    for row, cell in sheets.get("model") or sheets.get("", []):
        sides = _sides(draft, cell, row, symmetric)
        add_reaction(draft, cell["id"], sides[0], sides[1], reversible=sides[2], line=row.line)
    if not draft.reactions:
        raise ReadError(path, "has no reactions in its sheet `model`")
    for name in symmetric & set(draft.metabolites):
        metabolite = draft.metabolites[name]
        draft.metabolites[name] = dataclasses.replace(metabolite, symmetries=reverse(metabolite.elements))
    _biomass(path, draft, sheets.get("biomass", ()))
    settle_roles(draft, loose=True)
    for row, cell in sheets.get("ms", ()):
        _fragment(draft, derived, cell, row, symmetric)
    kept = {"model", "", "biomass", "ms", "info", "position"}
    if left := [name for name in sheets if name not in kept]:
        draft.notes.append(f"{path}: sheets not read: {', '.join(left)}.")
    known = _labels(Path(labels) if labels else path.with_name("label.json"), given=labels is not None)
    for name, files in by_experiment(data).items():
        for time, file in files:
            _experiment(Path(file), draft, name, known, time, sd)
    if tracers:
        draft.tracers = assign_tracers(tracers, list(draft.data) or ["default"], draft)
    draft.cap_at_scale()
    return draft.finish()


studies = studies_of(read_openmebius)
"""The reader component."""


def is_openmebius(path: Path) -> bool:
    """Whether a table, or the sheet `model` of a workbook, has the heading of OpenMebius."""
    if not path.is_file() or suffix(path) not in (".xlsx", ".xlsm", ".xls", ".csv", ".tsv", ".txt", ".tab"):
        return False
    heads: dict[str, Row] = {}
    for row in rows(path):
        heads.setdefault(_plain(row.sheet), row)
        if "model" in heads or not row.sheet:
            break
    head = heads.get("model") or heads.get("")
    return head is not None and {"id", "reaction", "transition"} <= {cell.lower() for cell in head.cells}


def _plain(title: str) -> str:
    return re.sub(r"[\s_\-]", "", title.lower())


def _sheets(path: Path) -> dict[str, list[tuple[Row, dict[str, str]]]]:
    """Rows of each sheet by its heading, in lower case."""
    heads: dict[str, tuple[str, ...]] = {}
    found: dict[str, list[tuple[Row, dict[str, str]]]] = {}
    for row in rows(path):
        sheet = _plain(row.sheet)
        if sheet not in heads:
            heads[sheet] = tuple(cell.lower() for cell in row.cells)
            found[sheet] = []
            continue
        width = len(heads[sheet])
        cells = (*row.cells[:width], *[""] * (width - len(row.cells)))
        found[sheet].append((row, dict(zip(heads[sheet], cells, strict=True))))
    wanted = {"model": ("id", "reaction", "transition"), "": ("id", "reaction", "transition"), "ms": ("id", "reaction")}
    for sheet, columns in wanted.items():
        if missing := [name for name in columns if sheet in heads and name not in heads[sheet]]:
            raise ReadError(path, f"sheet {sheet!r} lacks the column {missing[0]!r}; it has {', '.join(heads[sheet])}")
    return found


def _sides(draft: Draft, cell: Mapping[str, str], row: Row, symmetric: set[str]) -> Sides:
    """A reaction, in which `Sym_A` is A."""
    left, right, both = two_cells(draft, cell["id"], cell["reaction"], cell.get("transition", ""), row.line)
    symmetric |= {p.metabolite[4:] for p in (*left, *right) if p.metabolite.startswith("Sym_")}
    turned = [tuple(dataclasses.replace(p, metabolite=_name(p.metabolite)) for p in side) for side in (left, right)]
    return turned[0], turned[1], both


def _name(text: str) -> str:
    return text.removeprefix("Sym_")


def _biomass(path: Path, draft: Draft, found: Sequence[tuple[Row, dict[str, str]]]) -> None:
    """One reaction of all precursors, in mmol for each gram that grows."""
    parts = []
    for row, cell in found:
        name = _name(cell.get("precursor", ""))
        draft.known_metabolite(name, row.line, "the sheet `biomass`")
        parts.append(Participant(name, number(path, row, cell.get("biomass", ""), f"the biomass of {name!r}")))
    parts = [p for p in parts if p.coefficient]
    if parts:
        name = "biomass" if "biomass" not in draft.reactions else "biomass_efflux"
        add_reaction(draft, name, tuple(parts), (), reversible=False, line=found[0][0].line)


def _fragment(draft: Draft, derived: Derived, cell: Mapping[str, str], row: Row, symmetric: set[str]) -> None:
    if cell.get("used", "").lower() in ("false", "0", "no"):
        return
    left, right, _ = _sides(draft, cell, row, symmetric)
    if len(right) != 1:
        raise draft.error(
            f"fragment {cell['id']!r} has {len(right)} products; it is the one that is measured", row.line
        )
    # What is measured may have the name of a metabolite, and then is another molecule all the same.
    product = dataclasses.replace(right[0], metabolite=f"{cell['id']} (measured)")
    derived.add(draft, cell["id"], left, (product,), row.line)
    atoms = range(len(product.atoms))
    if cell["id"] in draft.fragments:
        raise draft.error(f"fragment {cell['id']!r} is defined twice; rename one", row.line)
    draft.fragments[cell["id"]] = derived.fragment(draft, cell["id"], product.metabolite, atoms, row.line)


def _labels(path: Path, *, given: bool) -> Labels:
    """The labels of a JSON file; none where it is not there and was not asked for."""
    if not path.is_file() and not given:
        return {}
    found: Labels = {}
    try:
        for key, label in load_json(read_text(path)).items():
            parts = tuple(
                (str(p).lstrip("#"), float(r)) for p, r in zip(label["label"], label["ratio"], strict=True) if r
            )
            found[key] = found[label["name"]] = parts
    except json.JSONDecodeError as error:
        raise ReadError(path, f"is no JSON: {error.msg}", line=error.lineno) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReadError(path, f"has no labels of OpenMebius: lacks or misuses {error}") from error
    return found


def _experiment(path: Path, draft: Draft, name: str, known: Labels, time: float | None, sd: float) -> None:
    data = draft.data.setdefault(name, [])
    tracers = draft.tracers.setdefault(name, {})
    tables: dict[str, list[Row]] = {}
    for row in rows(path):
        tables.setdefault(_plain(row.sheet), []).append(row)
    for row in tables.get("substrate", [])[1:]:
        _substrate(path, draft, row, tables["substrate"][0], tracers, known)
    info = tables.get("info", [])
    if len(info) > 1 and "mu" in info[0].cells and "biomass" in draft.reactions:
        growth = number(path, info[1], info[1].cells[info[0].cells.index("mu")], "the growth rate mu")
        draft.fluxes["net", "biomass"] = growth
    sheet = next((s for s in _MDV if tables.get(s)), None)
    if sheet is None:
        raise draft.error(
            f"has no sheet MDV, of experiment {name!r}; let OpenMebius write it, or import the areas by "
            "`molvis flux import`",
            path=str(path),
        )
    data += _mdvs(path, draft, tables[sheet], time, sd)
    draft.notes.append(
        f"{path}: fractions of the sheet {sheet!r}, with the standard deviation {sd:g}, as none is stated."
    )


def _substrate(path: Path, draft: Draft, row: Row, head: Row, tracers: dict[str, Tracer], known: Labels) -> None:
    """Uptake and label of a substrate."""
    cell = dict(zip((c.lower() for c in head.cells), row.cells, strict=False))
    source = row.cells[0]
    draft.known_metabolite(source, row.line, "the sheet `substrate`", str(path))
    if cell.get("uptake"):
        users = [n for n, r in draft.reactions.items() if any(p.metabolite == source for p in r.substrates)]
        if len(users) == 1:
            draft.fluxes["net", users[0]] = number(path, row, cell["uptake"], f"the uptake of {source}")
    label = cell.get("label", "")
    count = len(draft.metabolites[source].elements)
    if not label or not count:
        return
    if label not in known:
        raise draft.error(
            f"the label {label!r} of {source!r} is not in label.json, which has {', '.join(known) or 'none'}; give "
            "`labels=` or `tracers=`",
            row.line,
            str(path),
        )
    if bad := [pattern for pattern, _ in known[label] if len(pattern) != count or set(pattern) - set("01")]:
        raise draft.error(f"the label {label!r} has {bad[0]!r}, and {source} has {count} atoms", row.line, str(path))
    tracers[source] = Tracer(known[label])


def _mdvs(path: Path, draft: Draft, table: Sequence[Row], time: float | None, sd: float) -> Iterator[Datum]:
    """A row for each mass, and a column for each fragment."""
    head, *found = table
    columns: dict[str, list[float]] = {name: [] for name in head.cells[1:] if name}
    unused = [name for name in columns if name not in draft.fragments]
    for row in found:
        for name, text in zip(head.cells[1:], row.cells[1:], strict=False):
            if name in draft.fragments:
                columns[name].append(number(path, row, text, f"{row.cells[0]} of {name}") if text else math.nan)
    for name in (n for n in columns if n in draft.fragments):
        length = len(draft.fragments[name].elements) + 1
        values = [*columns[name], *[math.nan] * length]
        if any(math.isfinite(v) and v > 0 for v in values[length:]):
            raise draft.error(f"{name!r} has more fractions than M+0 to M+{length - 1}", head.line, str(path))
        if any(map(math.isfinite, values)):
            yield Datum(
                name, "mid", tuple(values[:length]), (sd,) * length, time, where=draft.where(head.line, str(path))
            )
    if unused:
        draft.notes.append(f"{path}: no fragments of the model, or not used: {', '.join(unused)}.")
