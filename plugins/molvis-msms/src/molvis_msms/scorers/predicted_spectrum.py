"""`predicted-spectrum`: how like the spectrum predicted for a candidate is to the measured one."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import BundleError, ConfigError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_msms.forward.batches import peaks_of
from molvis_msms.forward.ladder import Tolerance
from molvis_msms.forward.learning import Example, Recipe, by_compound, learn
from molvis_msms.forward.matching import Compared, Matching, beside, learn_matching
from molvis_msms.forward.model import ForwardModel, Shape
from molvis_msms.forward.remembered import Remembered
from molvis_msms.forward.settings import Setting


class PredictedSpectrum:
    """Likelihood of the measured peaks under the spectrum that a forward model predicts for a candidate.

    Each peak below the precursor counts by its share of the root intensity: with the logarithm of how much more
    probable the candidate makes it than a background does, and in a cosine of root intensities. The former is a mean;
    many peaks say more than few, but not each as much as the first, so that it comes a second time, multiplied by the
    logarithm of one more than their number. `matched` is what networks make of all this that learned what each peak is
    worth (`molvis_msms.forward.matching`), from compounds that the forward model has not learned from. A spectrum
    without such peaks is no evidence, nor is any before the model has learned.

    Args:
        networks: how many are trained, each from other initial weights; their probabilities are averaged.
        width: of their layers.
        layers: of their graph networks.
        epochs: passes over the compounds that they learn from.
        ppm: tolerance of m/z; it is not less than 3 mDa.
        parts: of a candidate that are looked at, the cheapest: half as many as are learned from take half of the time,
            and rank as well.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("likelihood", "cosine", "likelihood-by-peaks", "matched")
    cost = 2

    def __init__(
        self,
        networks: int = 1,
        width: int = 96,
        layers: int = 4,
        epochs: int = 12,
        ppm: float = 15.0,
        parts: int = 300,
    ) -> None:
        numbers = {
            "networks": networks, "width": width, "layers": layers, "epochs": epochs, "ppm": ppm, "parts": parts,
        }  # fmt: skip
        for name, value in numbers.items():
            if not value > 0:
                raise ConfigError(f"predicted-spectrum: {name} must be positive, got {value}")
        self.recipe = Recipe(networks=networks, width=width, layers=layers, epochs=epochs)
        self.tolerance, self.parts = Tolerance(ppm, 0.003), parts
        self.model: ForwardModel | None = None
        self.matching: Matching | None = None
        self._remembered: Remembered | None = None

    def without(self, compounds: Collection[str]) -> PredictedSpectrum:
        """The same scorer, `matched` by networks that have not learned from these compounds."""
        if self.matching is None:
            return self
        out = copy.copy(self)
        out.matching = self.matching.without(compounds)
        return out

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """A row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        compared = self._compared(query, candidates)
        if compared is not None:
            out[:, :-1] = compared.sums
            out[:, -1] = self.matching(compared) if self.matching else 0.0
        return out

    def _compared(self, query: PeakList, candidates: Sequence[Structure]) -> Compared | None:
        """The query beside what is predicted for each candidate; None where there is nothing to compare."""
        mz, share = informative(query)
        if self.model is None or not len(mz) or not len(candidates):
            return None
        predicted = self._predict()(candidates, Setting.of(query))
        return beside(mz, share, query.precursor_mz or float(mz[-1]), predicted, self.tolerance)

    def _predict(self) -> Remembered:
        """The model with the molecules that it met last."""
        assert self.model is not None
        if self._remembered is None or self._remembered.model is not self.model:
            self._remembered = Remembered(self.model, self.parts)
        return self._remembered

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_remembered": None}  # each process remembers what it meets itself

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> dict[str, float]:
        """Train the forward model on the true structures of queries; returns how well it predicts.

        The networks behind `matched` learn from the validation queries, in parts (`without`).

        Raises:
            molvis_core.errors.TrainingError: there are no queries, or the checkpoint is of other settings.
        """
        self.model = learn(
            _known(examples), _known(validation), self.recipe, seed=seed, progress=progress, folder=checkpoint
        )
        self.matching = self._matching(validation, seed, progress or (lambda done, total, what="": None))
        return dict(self.model.figures)

    def _matching(self, queries: Sequence[RankedQuery], seed: int, say: StageProgress) -> Matching | None:
        by: dict[str, list[tuple[Compared, int]]] = {}
        for done, one in enumerate(queries, start=1):
            compared = self._compared(one.record, one.candidates) if len(one.candidates) > 1 else None
            if compared is not None:
                by.setdefault(one.compound, []).append((compared, one.truth))
            say(done, len(queries), "predicting spectra of candidates")
        return learn_matching(by, seed=seed, progress=lambda done, total: say(done, total, "learning to match"))

    def save(self, folder: Path) -> None:
        """Write what was learned.

        Raises:
            BundleError: nothing was learned.
        """
        if self.model is None:
            raise BundleError("predicted-spectrum has learned nothing that could be saved")
        self.model.save(folder)
        if self.matching is not None:
            self.matching.save(folder)

    def load(self, folder: Path) -> None:
        """Take over what was saved.

        Raises:
            BundleError: a file is missing or damaged, or it is of another width or number of layers.
        """
        model = ForwardModel.load(folder)
        wanted = Shape(self.recipe.width, self.recipe.layers, model.shape.parts)
        if model.shape != wanted:
            raise BundleError(
                f"{folder}: a forward model of width {model.shape.width} and {model.shape.layers} layers; this scorer "
                f"has width = {wanted.width} and layers = {wanted.layers}"
            )
        self.model, self.matching = model, Matching.load(folder)


def _known(queries: Sequence[RankedQuery]) -> list[Example]:
    return by_compound([(one.candidates[one.truth], one.record) for one in queries])


def informative(query: PeakList) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """m/z of the peaks below the precursor, and their shares of the root intensity; that of the precursor is left out.

    All candidates have the precursor's mass, and how much of it is left is known of few.
    """
    limit = np.inf if query.precursor_mz is None else query.precursor_mz - 0.5
    mz, heights = peaks_of(query, -1.0)
    roots = np.sqrt(heights[mz < limit])
    return mz[mz < limit], roots / max(float(roots.sum()), 1e-12)
