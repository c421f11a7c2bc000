"""The learned score of formulas: two small networks, over what a formula is like and over its explained peaks.

Their weights are made by `tools/prepare_training.py` and `tools/train_score.py` of the distribution, on the training
fold of MassBank's open part. They see numbers of atoms, mass errors and peaks, and no list of known compounds.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError

_SHIPPED = "massbank.npz"


@dataclass(frozen=True, eq=False, slots=True)
class Score:
    """Networks that are read from a file.

    Attributes:
        arrays: weights, means and standard deviations of the inputs, by name.
        temperature: what the logits are divided by, so that probabilities are as often right as they say.
    """

    arrays: Mapping[str, np.ndarray]
    temperature: float

    def prior(self, candidates: Float[np.ndarray, "n a"]) -> Float[np.ndarray, " n"]:
        """Logits before the peaks are looked at, of `molvis_formula.features.candidate_features`."""
        return self._net("prior", self._scaled("candidate", candidates), (0, 2))[:, 0].astype(np.float64)

    def joint(self, candidates: Float[np.ndarray, "n a"], peaks: Float[np.ndarray, "n p b"]) -> Float[np.ndarray, " n"]:
        """What the peaks add to the logits, of `molvis_formula.features.peak_features`."""
        scaled = self._scaled("peak", peaks)
        summed = np.maximum(self._net("peak", scaled, (0, 2)), 0).sum(axis=1)
        top = np.concatenate([summed / 10, self._scaled("candidate", candidates)], axis=1)
        direct = summed @ self.arrays["direct.weight"].T + self.arrays["direct.bias"]
        return (self._net("top", top, (0, 2)) + direct)[:, 0].astype(np.float64)

    def _scaled(self, name: str, values: np.ndarray) -> np.ndarray:
        return ((values - self.arrays[f"{name}_mean"]) / self.arrays[f"{name}_sd"]).astype(np.float32)

    def _net(self, name: str, values: np.ndarray, layers: tuple[int, ...]) -> np.ndarray:
        for place, layer in enumerate(layers):
            values = np.maximum(values, 0) if place else values
            values = values @ self.arrays[f"{name}.{layer}.weight"].T + self.arrays[f"{name}.{layer}.bias"]
        return values


@functools.lru_cache(maxsize=4)
def load_score(path: Path | None = None) -> Score:
    """The score that is shipped, or one that `tools/train_score.py` has written.

    Raises:
        ReadError: the file cannot be read, or is no such score.
    """
    file = path or Path(str(resources.files("molvis_formula") / "weights" / _SHIPPED))
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        return Score(arrays, float(arrays["temperature"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ReadError(file, f"this is no score of formulas ({error}); tools/train_score.py writes one") from error
