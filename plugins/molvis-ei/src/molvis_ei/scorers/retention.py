"""`retention-index`: how probable the retention index is for each candidate."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import BundleError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import EiSpectrum, RankedQuery, Structure
from molvis_ei.derivatives import forms_of, likely_form, readings
from molvis_ei.features import properties
from molvis_ei.preparation import unit_spectrum
from molvis_ei.scorers.candidates import best_of, possible_forms

_FILE = "retention.json"
_FOLDS = 5
_PENALTY = 30.0
_LEAST = 10
"""Spectra of a phase that its width is estimated from, at least."""
_TAILS = 4
"""Degrees of freedom of Student's t: predictions are far off more often than a normal distribution allows."""
_PHASES = (
    ("fame", re.compile(r"FAME|fatty acid methyl", re.IGNORECASE)),
    ("polar", re.compile(r"WAX|FFAP|INNOWAX|polar$(?<!non-polar)", re.IGNORECASE)),
    ("50% phenyl", re.compile(r"DB-?17|HP-?50|Rxi-?17|-17MS", re.IGNORECASE)),
    ("5% phenyl", re.compile(r"(DB|HP|TX|VF|ZB|SLB|Rxi|Rtx|BPX|CP-?SIL)[- ]?(5|8)|5 ?MS|semi-standard", re.IGNORECASE)),
    ("methyl", re.compile(r"(DB|HP|Rtx|OV)-?1(?!\d)|standard non-polar|SE-?30", re.IGNORECASE)),
)


def phase(column: str | None) -> str:
    """The kind of stationary phase that a column has, by its name; `unknown` for any other.

    Indices that are anchored on fatty acid methyl esters instead of alkanes are a kind of their own.
    """
    return next((name for name, pattern in _PHASES if pattern.search(column or "")), "unknown")


@dataclass(frozen=True, eq=False)
class Model:
    """A ridge regression with an offset and a slope over size for each phase.

    Attributes:
        phases: that it knows.
        mean, scale: of the properties.
        weights: of the properties, then of the phases' offsets and slopes.
        center: of the retention indices.
        width: of the errors on unseen compounds, by phase.
    """

    phases: tuple[str, ...]
    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, " w"]
    center: float
    width: Mapping[str, float]

    def predict(self, smiles: Sequence[str], kind: str) -> Float[np.ndarray, " n"]:
        """Retention indices of structures on a phase.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses one of them.
        """
        values = np.array([properties(one) for one in smiles]).reshape(len(smiles), -1)
        return (
            _design((values - self.mean) / self.scale, [kind] * len(smiles), self.phases) @ self.weights + self.center
        )


class RetentionIndex:
    """Logarithm of the likelihood of a measured retention index under the one predicted for a candidate.

    The prediction is a ridge regression on properties of the structure as it is measured, its derivative, with an
    offset and a slope for each kind of stationary phase. The likelihood is Student's t, as wide as the errors on
    compounds that were left out, estimated by phase. A spectrum without an index, or on a phase that nothing was
    learned of, is no evidence: every candidate has 0.
    """

    accepts = EiSpectrum
    any_mass = True
    features: tuple[str, ...] = ("likelihood",)

    def __init__(self) -> None:
        self._model: Model | None = None

    def __call__(self, query: EiSpectrum, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), 1))
        kind = phase(query.column)
        if self._model is None or query.retention_index is None or kind not in self._model.width or not len(out):
            return out
        _, forms = possible_forms(query, candidates)
        smiles = [form.smiles for some in forms for form in some]
        if not smiles:
            return out
        off = (query.retention_index - self._model.predict(smiles, kind)) / self._model.width[kind]
        out[:, 0] = best_of(-(_TAILS + 1) / 2 * np.log1p(off**2 / _TAILS), forms)
        return out

    def predict(self, smiles: Sequence[str], column: str | None) -> tuple[Float[np.ndarray, " n"], float] | None:
        """Retention indices of structures as they are measured, and their standard error; None for an unknown phase."""
        kind = phase(column)
        if self._model is None or kind not in self._model.width:
            return None
        return self._model.predict(smiles, kind), self._model.width[kind]

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],  # noqa: ARG002 - the widths come from cross-validation
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes seconds
    ) -> Mapping[str, float]:
        """Fit the regression to the examples that have an index, and the widths to compounds left out in turn.

        Returns:
            The width of each phase, in units of the index, and how many spectra were used.

        Raises:
            TrainingError: too few of the examples have a retention index.
        """
        smiles, kinds, index, owners = _cases(examples)
        if len(smiles) < _LEAST:
            raise TrainingError(
                f"retention-index: {len(smiles)} spectra have a retention index; {_LEAST} or more are needed"
            )
        values = np.array([properties(one) for one in smiles])
        if progress:
            progress(1, 2, "properties of structures")
        phases = tuple(sorted(set(kinds)))
        names, place = np.unique(owners, return_inverse=True)
        fold = np.random.default_rng([seed, 11]).permutation(len(names))[place] % _FOLDS
        errors = np.zeros(len(smiles))
        for left in range(_FOLDS):
            rest, mine = fold != left, fold == left
            if rest.any() and mine.any():
                part = _fit(
                    values[rest], [k for k, r in zip(kinds, rest.tolist(), strict=True) if r], index[rest], phases
                )
                errors[mine] = [
                    value - float(part.predict([one], kind)[0])
                    for one, kind, value, m in zip(smiles, kinds, index, mine.tolist(), strict=True)
                    if m
                ]
        width = {
            kind: round(float(1.4826 * np.median(np.abs(mine))) + 1.0, 3)
            for kind in phases
            if len(mine := errors[np.array(kinds) == kind]) >= _LEAST
        }
        fitted = _fit(values, kinds, index, phases)
        self._model = Model(fitted.phases, fitted.mean, fitted.scale, fitted.weights, fitted.center, width)
        if progress:
            progress(2, 2, "regression of retention indices")
        return {f"width {kind}": value for kind, value in width.items()} | {"spectra": float(len(smiles))}

    def save(self, folder: Path) -> None:
        """Write the regression.

        Raises:
            TrainingError: nothing was learned.
        """
        model = self._model
        if model is None:
            raise TrainingError("retention-index: there is nothing to save before it has learned")
        state = {
            "phases": model.phases, "mean": model.mean.tolist(), "scale": model.scale.tolist(),
            "weights": model.weights.tolist(), "center": model.center, "width": dict(model.width),
        }  # fmt: skip
        (folder / _FILE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: the file is missing or damaged.
        """
        file = folder / _FILE
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            mean, scale, weights = (np.array(state[k], dtype=np.float64) for k in ("mean", "scale", "weights"))
            phases = tuple(str(p) for p in state["phases"])
            width = {str(k): float(v) for k, v in state["width"].items()}
            wanted = len(properties("C")) + 2 * len(phases)
            if not (len(mean) == len(scale) == len(properties("C")) and len(weights) == wanted):
                raise ValueError(f"{len(weights)} weights of {len(mean)} properties")
            numbers = np.concatenate([mean, scale, weights, [float(state["center"])], list(width.values())])
            if not np.isfinite(numbers).all() or (scale <= 0).any() or min(width.values(), default=1.0) <= 0:
                raise ValueError("numbers that cannot be")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{file}: damaged: {error}") from error
        self._model = Model(phases, mean, scale, weights, float(state["center"]), width)


def _cases(examples: Sequence[RankedQuery]) -> tuple[list[str], list[str], Float[np.ndarray, " n"], list[str]]:
    """Structures as they were measured, phases, retention indices and compounds of what has an index."""
    smiles: list[str] = []
    kinds: list[str] = []
    index: list[float] = []
    owners: list[str] = []
    for one in examples:
        if one.record.retention_index is None:
            continue
        unit = unit_spectrum(one.record)
        found = forms_of(one.candidates[one.truth].smiles, readings(one.record, unit))
        if found:
            smiles.append(likely_form(found, unit).smiles)
            kinds.append(phase(one.record.column))
            index.append(one.record.retention_index)
            owners.append(one.compound)
    return smiles, kinds, np.array(index), owners


def _design(values: Float[np.ndarray, "n d"], kinds: Sequence[str], phases: Sequence[str]) -> Float[np.ndarray, "n w"]:
    which = np.array([[kind == one for one in phases] for kind in kinds], dtype=np.float64).reshape(-1, len(phases))
    # The number of carbons stands for size.
    return np.concatenate([values, which, which * values[:, 1:2]], axis=1)


def _fit(
    values: Float[np.ndarray, "n d"], kinds: Sequence[str], index: Float[np.ndarray, " n"], phases: Sequence[str]
) -> Model:
    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-3
    design = _design((values - mean) / scale, kinds, phases)
    center = float(index.mean())
    ridge = np.full(design.shape[1], _PENALTY)
    ridge[values.shape[1] :] = 1.0
    weights = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ (index - center))
    return Model(tuple(phases), mean, scale, weights, center, {})
