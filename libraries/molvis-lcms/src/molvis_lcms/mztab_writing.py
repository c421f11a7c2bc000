"""Features and what they are as a file of mzTab-M 2.0, see `molvis_lcms.mztab`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from molvis_core.chemistry.adducts import ion_mz
from molvis_files.identifiers import DATABASES, link_of
from molvis_files.mztab import (
    ARBITRARY,
    NO_DATABASE,
    NULL,
    abundance_columns,
    abundances,
    software,
    study,
    write_sections,
)
from molvis_lcms.annotations import Annotation, NamedCandidate
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["write_mztab"]

_POLARITY = {
    "positive": "[MS, MS:1000130, positive scan, ]",
    "negative": "[MS, MS:1000129, negative scan, ]",
}
_MEASURES = (
    "[, , probability that it is this candidate given that the truth is among the candidates, ]",
    "[, , probability that the truth is among the candidates and is this one, ]",
)
_SHOWN = 10
"""Candidates of a feature that are written as evidence."""


def write_mztab(
    path: Path | str,
    table: FeatureTable,
    annotations: Sequence[Annotation] = (),
    *,
    version: str,
    title: str = "",
    locations: Mapping[str, Path] | None = None,
) -> None:
    """Write features, their areas and what they are as mzTab-M 2.0.0, whole or not at all.

    Ions of one molecule, as their group says, are one row of the summary: the one whose first candidate is the most
    probable names it. Each of up to ten candidates of a feature is a row of evidence, with its rank.

    Args:
        path: of the file.
        table: the features.
        annotations: of some of the features, or of all.
        version: of molvis, which the file states.
        title: for people.
        locations: of the runs, by their names in the table. Runs that it does not name have none.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; what was there before is kept.
    """
    path = Path(path)
    document = _Document(table, {one.feature: one for one in annotations}, version)
    parts = [document.metadata(title or path.stem, path.stem, locations or {}), document.summary()]
    write_sections(path, [*parts, document.features(), document.evidence()])


@dataclass(frozen=True, slots=True)
class _Evidence:
    number: int
    feature: Feature
    rank: int
    candidate: NamedCandidate


class _Document:
    def __init__(self, table: FeatureTable, annotations: Mapping[str, Annotation], version: str) -> None:
        self.table, self.annotations, self.version = table, annotations, version
        self.number = {one.identifier: k for k, one in enumerate(table.features, start=1)}
        self.files = table.files or ("run",)
        self.rows = list(self._evidence())
        self.of_feature: dict[str, list[_Evidence]] = {}
        for row in self.rows:
            self.of_feature.setdefault(row.feature.identifier, []).append(row)

    def _evidence(self) -> Iterator[_Evidence]:
        number = 0
        for one in self.table.features:
            found = self.annotations.get(one.identifier)
            for rank, candidate in enumerate(found.candidates[:_SHOWN] if found else (), start=1):
                number += 1
                yield _Evidence(number, one, rank, candidate)

    def metadata(self, title: str, name: str, locations: Mapping[str, Path]) -> Sequence[Sequence[object]]:
        modes = {one.ionmode for one in self.table.features}
        found: list[tuple[str, object]] = [
            ("mzTab-version", "2.0.0-M"),
            ("mzTab-ID", name),
            ("title", title),
            ("software[1]", software(self.version)),
            ("quantification_method", "[MS, MS:1001834, LC-MS label-free quantitation analysis, ]"),
        ]
        for k, file in enumerate(self.files, start=1):
            where = locations.get(file)
            found.append((f"ms_run[{k}]-location", where.resolve().as_uri() if where else NULL))
            found.append((f"ms_run[{k}]-name", file))
            found.append((f"ms_run[{k}]-format", "[MS, MS:1000584, mzML file, ]"))
            found.append((f"ms_run[{k}]-id_format", "[MS, MS:1000776, scan number only nativeID format, ]"))
            stated = [polarity for mode, polarity in _POLARITY.items() if mode in modes] or [_POLARITY["positive"]]
            found += [(f"ms_run[{k}]-scan_polarity[{n}]", polarity) for n, polarity in enumerate(stated, start=1)]
        for k, file in enumerate(self.files, start=1):
            found += [(f"assay[{k}]", file), (f"assay[{k}]-ms_run_ref", f"ms_run[{k}]")]
        found += [
            *study(len(self.files)),
            *self._databases(),
            ("small_molecule-quantification_unit", ARBITRARY),
            ("small_molecule_feature-quantification_unit", ARBITRARY),
            (
                "small_molecule-identification_reliability",
                "[MS, MS:1002955, hr-ms compound identification confidence level, ]",
            ),
        ]
        found += [(f"id_confidence_measure[{k}]", measure) for k, measure in enumerate(_MEASURES, start=1)]
        return [["MTD", key, value] for key, value in found]

    def _databases(self) -> Iterator[tuple[str, object]]:
        """Those whose identifiers candidates have, or the one that says that there is none."""
        used = {i.partition(":")[0] for row in self.rows for i in row.candidate.identifiers}
        names = [(d.name, d.prefix) for d in DATABASES if d.prefix in used]
        if not names:
            yield from NO_DATABASE
        for k, (name, prefix) in enumerate(names, start=1):
            yield f"database[{k}]", f"[, , {name}, ]"
            yield f"database[{k}]-prefix", prefix
            yield f"database[{k}]-version", "Unknown"
            yield f"database[{k}]-uri", f"https://identifiers.org/{prefix}"

    def summary(self) -> Sequence[Sequence[object]]:
        head = [
            "SMH", "SML_ID", "SMF_ID_REFS", "database_identifier", "chemical_formula", "smiles", "inchi",
            "chemical_name", "uri", "theoretical_neutral_mass", "adduct_ions", "reliability",
            "best_id_confidence_measure", "best_id_confidence_value",
            *abundance_columns(len(self.files)), "opt_global_inchikey", "opt_global_probability_among_candidates",
        ]  # fmt: skip
        rows = [self._molecule(k, some) for k, some in enumerate(self._molecules(), start=1)]
        return [head, *rows] if rows else []

    def _molecules(self) -> list[list[Feature]]:
        """Features by molecule: those of a group together."""
        groups: dict[object, list[Feature]] = {}
        for one in self.table.features:
            groups.setdefault(("alone", one.identifier) if one.group is None else one.group, []).append(one)
        return list(groups.values())

    def _molecule(self, number: int, ions: Sequence[Feature]) -> list[object]:
        named = [f for f in ions if f.identifier in self.of_feature]
        ion = max(named, key=self._confidence) if named else max(ions, key=lambda f: f.area or 0.0)
        areas = [ion.areas.get(file) for file in self.files]
        references = "| ".join(str(self.number[f.identifier]) for f in ions)
        adducts = "| ".join(dict.fromkeys(a for a in map(self._adduct, ions) if a)) or None
        found = self.annotations.get(ion.identifier, Annotation(ion.identifier))
        inchikey, who, confidence = None, (None,) * 7, (None, None)
        if named:
            c = self.of_feature[ion.identifier][0].candidate
            inchikey, confidence = c.inchikey, (_MEASURES[0], c.probability)
            who = (_databases_of(c), c.formula, c.smiles, None, c.name, _uri(c), c.exact_mass)
        return [
            "SML", number, references, *who, adducts, found.level, *confidence,
            *abundances(areas), inchikey, found.among,
        ]  # fmt: skip

    def _confidence(self, one: Feature) -> float:
        best = self.of_feature[one.identifier][0].candidate
        return best.probability if best.joint is None else best.joint

    def _adduct(self, one: Feature) -> str | None:
        rows = self.of_feature.get(one.identifier)
        named = rows[0].candidate.adduct if rows else None
        return _as_written(named or one.adduct or (one.adducts[0].adduct if one.adducts else None))

    def features(self) -> Sequence[Sequence[object]]:
        head = [
            "SFH", "SMF_ID", "SME_ID_REFS", "SME_ID_REF_ambiguity_code", "adduct_ion", "isotopomer",
            "exp_mass_to_charge", "charge", "retention_time_in_seconds", "retention_time_in_seconds_start",
            "retention_time_in_seconds_end", *(f"abundance_assay[{k}]" for k in range(1, len(self.files) + 1)),
            "opt_global_feature_id",
        ]  # fmt: skip
        rows: list[list[object]] = []
        for one in self.table.features:
            evidence = self.of_feature.get(one.identifier, [])
            rows.append([
                "SMF", self.number[one.identifier], "| ".join(str(e.number) for e in evidence) or None,
                1 if len(evidence) > 1 else None, self._adduct(one), None, one.mz, abs(one.charge or 1), one.time,
                one.start, one.end, *(one.areas.get(file) for file in self.files), one.identifier,
            ])  # fmt: skip
        return [head, *rows] if rows else []

    def evidence(self) -> Sequence[Sequence[object]]:
        head = [
            "SEH", "SME_ID", "evidence_input_id", "database_identifier", "chemical_formula", "smiles", "inchi",
            "chemical_name", "uri", "derivatized_form", "adduct_ion", "exp_mass_to_charge", "charge",
            "theoretical_mass_to_charge", "spectra_ref", "identification_method", "ms_level",
            "id_confidence_measure[1]", "id_confidence_measure[2]", "rank", "opt_global_inchikey",
        ]  # fmt: skip
        rows: list[list[object]] = []
        for e in self.rows:
            one, c = e.feature, e.candidate
            theory = ion_mz(c.exact_mass, c.adduct) if c.adduct else None
            rows.append([
                "SME", e.number, one.identifier, _databases_of(c), c.formula, c.smiles, None, c.name, _uri(c), None,
                _as_written(c.adduct), one.mz, abs(one.charge or 1), theory, self._scans(one), software(self.version),
                "[MS, MS:1000511, ms level, 2]", c.probability, c.joint, e.rank, c.inchikey,
            ])  # fmt: skip
        return [head, *rows] if rows else []

    def _scans(self, one: Feature) -> str | None:
        """The MS/MS scans of a feature, `FILE:NUMBER` where there are several files."""
        out: list[str] = []
        for scan in one.scans:
            file, _, number = scan.rpartition(":")
            run = self.files.index(file) + 1 if file in self.files else 1
            if number.isdigit():
                out.append(f"ms_run[{run}]:scan={number}")
        return "| ".join(out) or None


def _as_written(adduct: str | None) -> str | None:
    """An adduct as mzTab-M writes it: the number of charges before the sign, `[M+H]1+`."""
    return re.sub(r"\](?=[+-]$)", "]1", adduct) if adduct else None


def _databases_of(candidate: NamedCandidate) -> str | None:
    return "| ".join(candidate.identifiers) or None


def _uri(candidate: NamedCandidate) -> str | None:
    links = (link_of(i) for i in candidate.identifiers)
    return next((link for link in links if link), None)
