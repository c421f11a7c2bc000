"""`learned-fingerprint`: how well the fingerprint of a candidate agrees with the one that a spectrum suggests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molvis_core.errors import BundleError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_msms.fingerprint.bits import fingerprints
from molvis_msms.fingerprint.fitting import Settings, fit
from molvis_msms.fingerprint.state import Learned

_FILE = "networks.safetensors"


class LearnedFingerprint:
    """Match of a candidate's fingerprint with what networks read from the peaks.

    The match is the sum over the fingerprint's bits of the weight that the spectrum gives to each, less the mean weight
    that spectra of other compounds near in m/z give: what would count for a candidate with any spectrum does not count.

    In the manner of K. Duehrkop et al., PNAS 112 (2015) 12580, doi:10.1073/pnas.1509788112 (fingerprints from spectra),
    with a listwise loss over structures of equal mass.

    Args:
        dim: of the sum of a spectrum's tokens.
        hidden: width of the layer after it.
        networks: trained with different seeds; their mean is used.
        epochs: of training.
        min_compounds: tokens in spectra of fewer training compounds are left out.
        top_peaks: so many of the highest peaks are used.
        dropout: in the networks.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("match",)

    def __init__(
        self,
        dim: int = 128,
        hidden: int = 384,
        networks: int = 2,
        epochs: int = 24,
        min_compounds: int = 3,
        top_peaks: int = 60,
        dropout: float = 0.35,
    ) -> None:
        self.settings = Settings(
            "learned-fingerprint", dim, hidden, networks, epochs, min_compounds, top_peaks, dropout
        )
        self._learned: Learned | None = None

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """The match of each candidate; 0 before anything was learned.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        if self._learned is None or not candidates:
            return np.zeros((len(candidates), 1))
        bits = fingerprints(candidates)[:, self._learned.chosen]
        return ((bits - self._learned.frequency) @ self._learned.weights(query, self.settings.top_peaks))[:, None]

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Train the networks on spectra among candidates of equal mass, and keep a bank of spectra aside.

        Returns:
            `val_hit1`, the share of the validation compounds whose true structure comes first, and `val_loglik`, the
            mean logarithm of its probability.

        Raises:
            TrainingError: there are no examples, none of their fingerprints differ, or a checkpoint is of another run.
        """
        fitted = fit(self.settings, examples, validation, seed=seed, progress=progress, checkpoint=checkpoint)
        bank = fitted.bank()
        self._learned = Learned(fitted.vocabulary, fitted.chosen, fitted.frequency, fitted.networks, bank)
        hit, likelihood = fitted.ranking.figures(fitted.networks, bank)
        return {"val_hit1": hit, "val_loglik": likelihood}

    def save(self, folder: Path) -> None:
        """Write what was learned into one file, weights as 16-bit numbers.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._learned is None:
            raise TrainingError("learned-fingerprint: there is nothing to save before it has learned")
        save_file(self._learned.tensors(), folder / _FILE)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: the file is missing or damaged, or it is of a scorer with other settings.
        """
        file = folder / _FILE
        try:
            self._learned = Learned.restored(load_file(file), self.settings.networks, self.settings.network)
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
            why = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
            raise BundleError(f"{file}: damaged, or of a learned-fingerprint with other settings: {why}") from error
