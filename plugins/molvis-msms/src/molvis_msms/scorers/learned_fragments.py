"""`learned-fragments`: a network over the peaks and the parts of a candidate that fit them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molvis_core.errors import BundleError, ConfigError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_files.substructures import locating_classifiers, occurrences
from molvis_msms.explanation.peaks import Substructure, explain
from molvis_msms.peak_fragments.cases import case
from molvis_msms.peak_fragments.ensemble import Ensemble
from molvis_msms.peak_fragments.learning import Fitted, Recipe, learn

_WEIGHTS, _ABOUT = "networks.safetensors", "networks.json"
_FORMAT = 1


class LearnedFragments:
    """How well the parts of a candidate explain the peaks, as networks learned from spectra of known compounds.

    Before they have learned, all candidates score 0. The logit of a candidate depends on which others there are: what
    all of them have in common is no evidence.

    Args:
        networks: how many are trained, each from other initial weights.
        width: of their layers.
        epochs: passes over the queries.
        dropout: of what is known of a peak, while training.
        ppm: tolerance of m/z.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("logit",)

    def __init__(
        self, networks: int = 3, width: int = 128, epochs: int = 4, dropout: float = 0.15, ppm: float = 10.0
    ) -> None:
        for name, value in (("networks", networks), ("width", width), ("epochs", epochs), ("ppm", ppm)):
            if not value > 0:
                raise ConfigError(f"learned-fragments: {name} must be positive, got {value}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"learned-fragments: dropout must be from 0 to below 1, got {dropout}")
        self.recipe = Recipe(networks=networks, width=width, epochs=epochs, dropout=dropout, ppm=ppm)
        self._fitted: Fitted | None = None
        self._ensemble: Ensemble | None = None

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """A logit for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        if self._fitted is None or self._ensemble is None or not candidates:
            return np.zeros((len(candidates), 1))
        cases = case(query, candidates, ppm=self.recipe.ppm)
        return (self._ensemble(cases, 0) / self._fitted.temperature)[:, None]

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> dict[str, float]:
        """Train the networks; returns hit rates and the loss on the validation queries.

        Raises:
            molvis_core.errors.TrainingError: there are no queries, or the checkpoint is of other settings.
        """
        self._take(learn(examples, validation, self.recipe, seed=seed, progress=progress, folder=checkpoint))
        return dict(self._fitted.figures) if self._fitted else {}

    def save(self, folder: Path) -> None:
        """Write the weights and what they were made with.

        Raises:
            BundleError: nothing was learned.
        """
        if self._fitted is None:
            raise BundleError("learned-fragments has learned nothing that could be saved")
        tensors = {
            f"{number}.{name}": tensor
            for number, weights in enumerate(self._fitted.networks)
            for name, tensor in weights.items()
        }
        save_file(tensors, folder / _WEIGHTS)
        about = {
            "format": _FORMAT, "recipe": asdict(self.recipe), "networks": len(self._fitted.networks),
            "temperature": self._fitted.temperature, "figures": self._fitted.figures,
        }  # fmt: skip
        (folder / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over weights that were saved.

        Raises:
            BundleError: a file is missing or damaged, or the weights are of another width.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            tensors = load_file(folder / _WEIGHTS)
            if about["format"] > _FORMAT:
                raise BundleError(f"{folder / _ABOUT}: format {about['format']}; this molvis-msms reads {_FORMAT}")
            networks = tuple(
                {name.partition(".")[2]: t for name, t in tensors.items() if name.startswith(f"{number}.")}
                for number in range(int(about["networks"]))
            )
            self._take(Fitted(networks, float(about["temperature"]), dict(about["figures"])))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder}: damaged: {error}") from error
        except RuntimeError as error:
            raise BundleError(
                f"{folder / _WEIGHTS}: its weights do not fit networks of width {self.recipe.width}: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error

    def explain(self, query: PeakList, structure: Structure) -> list[Substructure]:
        """Which peaks, and by which substructures, as the shipped model of fragments has it: for reports.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses the structure.
        """
        classes = occurrences(structure, locating_classifiers())
        return explain(query, structure, ppm=self.recipe.ppm, most=1, classes=classes).best

    def _take(self, fitted: Fitted) -> None:
        self._fitted, self._ensemble = fitted, Ensemble(fitted.networks, self.recipe.width)
