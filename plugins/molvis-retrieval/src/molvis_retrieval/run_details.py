"""What the first candidate of each feature explains of it: its peaks, a spectrum to hold against, its isotopes.

It is worked out chunk by chunk, and kept as files beside what was found, so that a run which is killed goes on. Of it
are made the page over the run and the annotated spectra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core import registry
from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import ConfigError, MolvisError
from molvis_core.interfaces import Explains, PredictsRecords, UsesReferences
from molvis_core.progress import Progress
from molvis_core.records import PeakList, Structure
from molvis_files.chunks import kept_in, work_in_chunks
from molvis_files.mzpaf import mzpaf
from molvis_files.sketch import sketch
from molvis_files.substructures import Substructure
from molvis_lcms.records import Feature
from molvis_retrieval.annotation_tables import Found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from molvis_retrieval.bundle import Bundle

__all__ = ["DRAWN", "Detailed", "Knowing", "detailed", "isotopes", "work_out"]

DRAWN = 5
"""Candidates of a feature that are drawn."""
_CHUNK = 50
_FEW = 8
"""Chunks from which on other processes work on some: each takes seconds to start."""
_DETAILS = "details"
_LEAST = 0.005
"""Height of the lowest peak of a spectrum below that is kept, as a share of the highest."""

Detailed = tuple[Feature, "dict[str, Any] | None", "dict[str, Any] | None"]
"""A feature with what was kept of its identification, and what was worked out of its first candidate."""


@dataclass(frozen=True, slots=True)
class Knowing:
    """Those who can tell something of a spectrum and a structure.

    Attributes:
        explainers: name peaks.
        references: know measured spectra of structures.
    """

    explainers: tuple[Any, ...]
    references: tuple[Any, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> Knowing:
        """The scorers of a bundle that can."""
        scorers = tuple(bundle.scorers.values())
        return cls(
            tuple(s for s in scorers if isinstance(s, Explains)),
            tuple(s for s in scorers if isinstance(s, UsesReferences)),
        )

    def explained(self, spectrum: Any, structure: Structure) -> list[dict[str, Any]]:
        """The peaks that a structure explains, by the first scorer that explains such spectra."""
        return _explained(spectrum, structure, self.explainers)

    def reference(self, spectrum: Any, structure: Structure, whose: str = "this structure") -> dict[str, Any] | None:
        """A measured spectrum of a structure where one is known, else a predicted one; None where neither is."""
        return _reference(spectrum, structure, self.references, whose)

    def __call__(self, chunk: Sequence[Found]) -> list[dict[str, Any]]:
        """What is worked out of some features, each with its name."""
        return [{"feature": feature.identifier} | _details(feature, one, self) for feature, one in chunk]


def work_out(
    bundle: Bundle,
    found: Iterable[Found],
    count: int,
    folder: Path,
    *,
    processes: int | None = 1,
    progress: Progress | None = None,
) -> None:
    """Explain every feature by its first candidate, and keep it in the folder, see `detailed`.

    Args:
        bundle: whose scorers explain peaks and know reference spectra.
        found: features with what was kept of them.
        count: of these.
        folder: of the results.
        processes: how many work on chunks side by side; None for all processors.
        progress: called with the features done and in all.
    """
    work_in_chunks(
        Knowing.of(bundle), found, count, folder / _DETAILS, size=_CHUNK, what="explained features",
        processes=processes, few=_FEW, progress=progress,
    )  # fmt: skip


def detailed(folder: Path, found: Iterable[Found]) -> Iterator[Detailed]:
    """Features with what was found, and what `work_out` kept of them; None where it was not called.

    Raises:
        ConfigError: a file of these is damaged, or of other features.
    """
    home = folder / _DETAILS
    details, worked_out = kept_in(home), any(home.glob("*.json"))
    for feature, one in found:
        kept = next(details, None)
        if worked_out and (kept is None or kept.get("feature") != feature.identifier):
            raise ConfigError(f"{home} is not of these features; delete it, and run the same command again")
        yield feature, one, kept


def _details(feature: Feature, one: Mapping[str, Any] | None, knowing: Knowing) -> dict[str, Any]:
    """What is worked out of a feature: keys that nothing is known for are left out."""
    candidates = one["candidates"] if one else []
    if not candidates:
        return {}
    best = candidates[0]
    structure = Structure(best["smiles"], best["inchikey"], best["formula"], best["exact_mass"], name=best["name"])
    drawn = {c["smiles"]: sketch(c["smiles"]) for c in candidates[:DRAWN]}
    out: dict[str, Any] = {"sketches": {s: made for s, made in drawn.items() if made}}
    if expected := isotopes(best["formula"], best["adduct"]):
        out["isotopes"] = expected
    if feature.merged is not None and len(feature.merged):
        spectrum = replace(feature.merged, adduct=best["adduct"])
        out["peaks"] = knowing.explained(spectrum, structure)
        below = knowing.reference(spectrum, structure, "the first candidate")
        if below is not None:
            out["below"] = below
    return out


def _explained(spectrum: Any, structure: Structure, explainers: Sequence[Any]) -> list[dict[str, Any]]:
    """The peaks that the structure explains, by the first scorer that explains spectra."""
    for explainer in explainers:
        if isinstance(spectrum, explainer.accepts):
            try:
                return [_told(e) for e in explainer.explain(spectrum, structure)]
            except MolvisError:  # a page without explanations is better than none
                return []
    return []


def _told(one: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "n": int(one.peak), "formula": str(one.formula), "ppm": round(float(one.ppm), 2), "smiles": str(one.smiles),
        "mzpaf": mzpaf(one),
    }  # fmt: skip
    if isinstance(one, Substructure):
        # Sixty atoms as the bits of one number take fifteen characters.
        told |= {"p": round(float(one.probability), 3), "atoms": format(sum(1 << a for a in one.atoms), "x")}
    return told


def _reference(spectrum: Any, structure: Structure, references: Sequence[Any], whose: str) -> dict[str, Any] | None:
    for scorer in references:
        if isinstance(spectrum, scorer.accepts):
            known = scorer.reference(structure, spectrum)
            if known is not None and len(known):
                return _below(f"measured reference spectrum of {whose}", known)
    predicted = _predicted(spectrum, structure) if isinstance(spectrum, PeakList) else None
    return _below(f"predicted for {whose}", predicted) if predicted is not None else None


def _predicted(spectrum: PeakList, structure: Structure) -> PeakList | None:
    """The spectrum that is predicted for the structure under the settings of the measured one."""
    if not any(c.name == "msms" for c in registry.components("predictor")):
        return None
    energy = spectrum.collision_energy
    settings = {"adduct": spectrum.adduct or "", "energy": f"{energy:g}" if energy and energy > 0 else ""}
    try:
        predictor = registry.build("predictor", {"use": "msms", **settings})
        if not isinstance(predictor, PredictsRecords):
            return None
        ((made, *_),) = predictor.records([structure])
    except MolvisError:  # an adduct or a molecule that it does not predict for
        return None
    return made if isinstance(made, PeakList) and len(made) else None


def _below(name: str, spectrum: Any) -> dict[str, Any]:
    height = np.asarray(spectrum.intensity, dtype=np.float64)
    height = height / height.max()
    energy = getattr(spectrum, "collision_energy", None)
    label = name if energy is None else f"{name}, {energy:.3g} eV"
    some = np.flatnonzero(height >= _LEAST)
    return {"label": label, "peaks": [[round(float(spectrum.mz[k]), 4), round(float(height[k]), 3)] for k in some]}


def isotopes(formula: str, adduct: str | None) -> list[list[float]]:
    """Distance in m/z from the monoisotopic peak, and height beside it, of the isotopes of an ion."""
    from molvis_formula.elements import counts_of
    from molvis_formula.ions import ion_atoms
    from molvis_formula.isotopes import isotope_patterns

    if not adduct:
        return []
    try:
        counts = counts_of(parse_formula(formula))
        shares, places = isotope_patterns(counts[None], ion_atoms(adduct))
    except (MolvisError, KeyError, ValueError):  # an element that isotopes are not known of
        return []
    heights = shares[0] / (shares[0, 0] or 1.0)
    return [[round(float(x), 4), round(float(h), 4)] for x, h in zip(places[0], heights, strict=True) if h >= 1e-3]
