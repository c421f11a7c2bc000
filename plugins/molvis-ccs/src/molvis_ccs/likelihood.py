"""`ccs-likelihood`: how probable a measured cross section is for each candidate structure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_ccs.predictor.calibrants import correct, read_calibrants
from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.loading import load
from molvis_ccs.training.calibration import NORMAL_QUANTILE
from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import Structure, Value

_REMEMBERED = 500_000
_NEAR = 3.0
"""Standard deviations within which a value is near a prediction."""
_TAILS, _T_QUANTILE = 4, 2.1318467863266490
"""Degrees of freedom of Student's t, and its two-sided quantile at 90%."""


class CcsLikelihood:
    """Two features: the logarithm of a likelihood, and how far a candidate stands above the others in it.

    The likelihood is Student's t about the prediction, as wide as prediction and measurement together: predictions are
    far off more often than a normal distribution allows. A perfect hit of a prediction good to 1% scores about 0. A
    value without adduct, of an adduct that the predictor does not know, or in another gas than N2 is no evidence: every
    feature of it is 0.

    Predictions are remembered, so that the second value of an unknown, or the next unknown of this mass, costs nothing.

    Args:
        predictor: path of a predictor's file; the one that comes with molvis-ccs where it is empty.
        sd: of a measurement that does not state its own, in percent.
        calibrants: a table of cross sections that the own laboratory measured of known structures, whose common offset
            is corrected for.
    """

    accepts = Value
    features: tuple[str, ...] = ("likelihood", "standing")

    def __init__(self, predictor: str = "", sd: float = 0.3, calibrants: str = "") -> None:
        if not sd >= 0:
            raise ConfigError(f"ccs-likelihood: sd must be 0 percent or more, got {sd}")
        self.predictor, self.sd, self.calibrants = predictor, sd, calibrants
        self.calibrated = ""
        self._model: CcsEnsemble | None = None
        self._known: OrderedDict[tuple[str, str, str | None], tuple[float, float]] = OrderedDict()

    def __call__(self, query: Value, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
            molvis_core.errors.BundleError: the predictor's file cannot be read.
        """
        out = np.zeros((len(candidates), len(self.features)))
        adduct = _adduct(query)
        if adduct is None or not candidates:
            return out
        mean, sd = self.predict(candidates, adduct, query.instrument_type)
        own = query.sd if query.sd is not None else query.value * self.sd / 100
        # The width is calibrated to hold as many values as a normal distribution's would at 90%.
        width = np.hypot(sd, own) * NORMAL_QUANTILE / _T_QUANTILE
        off = (query.value - mean) / width
        score = -(_TAILS + 1) / 2 * np.log1p(off**2 / _TAILS) - np.log(width / query.value)
        # Against a width of 1%: among candidates only differences count, and the number is of a size for people.
        out[:, 0] = score + np.log(0.01)
        out[:, 1] = (score - score.mean()) / (score.std() + 0.5)
        return out

    def with_calibrants(self, path: Path) -> CcsLikelihood:
        """The same scorer with the laboratory's offset that a table tells; this one stays as it is.

        `calibrated` of the new one says what the offset is.

        Raises:
            molvis_core.errors.MolvisError: the table or the predictor cannot be read, or no row of it can be predicted.
        """
        out = CcsLikelihood(self.predictor, self.sd, str(path))
        model = load(self.predictor)
        out.calibrated = correct(model, read_calibrants(path), str(path))
        out._model = model
        return out

    def misfit(self, query: Value, candidates: Sequence[Structure]) -> str:
        """How far a cross section is off what is predicted for every candidate; empty where it is near one.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
            molvis_core.errors.BundleError: the predictor's file cannot be read.
        """
        adduct = _adduct(query)
        if adduct is None or not candidates:
            return ""
        mean, sd = self.predict(candidates, adduct, query.instrument_type)
        off = (query.value - mean) / mean
        if (np.abs(query.value - mean) < _NEAR * sd).any():
            return ""
        least = float(off[np.argmin(np.abs(off))])
        return f"{100 * abs(least):.0f}% {'above' if least > 0 else 'below'} the nearest of them"

    def predict(
        self, candidates: Sequence[Structure], adduct: str, instrument_type: str | None = None
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Mean and standard deviation in A^2 for each candidate, from memory where they are known."""
        kind = instrument_type if instrument_type in INSTRUMENTS else None
        # Isomers that differ in stereo share the connectivity that the predictor sees, charge states do not.
        keys = [(c.smiles, adduct, kind) for c in candidates]
        found = {key: value for key in keys if (value := self._known.get(key)) is not None}
        fresh = {key: c for key, c in zip(keys, candidates, strict=True) if key not in found}
        if fresh:
            if self._model is None:
                self._model = load(self.predictor, calibrants=self.calibrants)
            # An offset of the laboratory is the same for all candidates, and does not make them more alike.
            mean, sd = self._model.predict(list(fresh.values()), adduct, kind, within=True)
            found |= {k: (float(m), float(s)) for k, m, s in zip(fresh, mean, sd, strict=True)}
            self._known |= {key: found[key] for key in fresh}
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        both = np.array([found[key] for key in keys])
        return both[:, 0], both[:, 1]


def _adduct(query: Value) -> str | None:
    """The adduct as the predictor calls it; None where it cannot predict."""
    if query.adduct is None or query.gas not in (None, "N2"):
        return None
    try:
        name = parse_adduct(query.adduct).name
    except AdductError:
        return None
    return name if name in ADDUCTS else None
