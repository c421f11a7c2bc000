"""`ei-forward`: how alike a spectrum is to the one predicted for the candidate."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import EiSpectrum, RankedQuery, Structure
from molvis_ei.derivatives import Form
from molvis_ei.forward.learning import Lesson, learn
from molvis_ei.forward.network import ForwardNetwork, collate
from molvis_ei.preparation import MASSES, weighed
from molvis_ei.scorers.candidates import best_of, possible_forms

_FILE, _SETTINGS = "network.safetensors", "network.json"
_REMEMBERED = 30_000


class EiForward:
    """Cosine of a spectrum with what a network predicts for a candidate, and how far it stands above the others.

    Of a derivative the network predicts for the silylated or methoximated forms of the candidate, and the form that
    fits best counts. A candidate that has no such form, such as one without a hydrogen to replace, has a cosine of 0.

    Args:
        width: of the network's layers.
        blocks: residual blocks.
        epochs: of training.
        dropout: in the network.
    """

    accepts = EiSpectrum
    any_mass = True
    features: tuple[str, ...] = ("similarity", "standing")

    def __init__(self, width: int = 256, blocks: int = 1, epochs: int = 16, dropout: float = 0.25) -> None:
        for name, value in (("width", width), ("epochs", epochs)):
            if value < 1:
                raise ConfigError(f"ei-forward: {name} must be a positive whole number, got {value}")
        if blocks < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"ei-forward: blocks must be at least 0 and dropout from 0 to below 1, got {blocks} and {dropout}"
            )
        self.width, self.blocks, self.epochs, self.dropout = width, blocks, epochs, dropout
        self._network: ForwardNetwork | None = None
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()

    def __call__(self, query: EiSpectrum, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate; 0 before anything was learned.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        if self._network is None or not len(candidates):
            return out
        unit, forms = possible_forms(query, candidates)
        rows = self.predict([form for some in forms for form in some])
        out[:, 0] = best_of((rows @ weighed(unit)).astype(np.float64), forms, 0.0)
        out[:, 1] = (out[:, 0] - out[:, 0].mean()) / (out[:, 0].std() + 0.05)
        return out

    def predict(self, forms: Sequence[Form]) -> Float[np.ndarray, "f mass"]:
        """Weighed heights of forms, from memory where they are known.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._network is None:
            raise TrainingError("ei-forward: it predicts nothing before it has learned")
        fresh = list({form.smiles: form for form in forms if form.smiles not in self._known}.values())
        for start in range(0, len(fresh), 256):
            some = fresh[start : start + 256]
            with torch.no_grad():
                made = self._network(collate(some)).numpy().astype(np.float16)
            self._known |= {form.smiles: row for form, row in zip(some, made, strict=True)}
        rows = np.array([self._known[form.smiles] for form in forms], dtype=np.float32)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return rows.reshape(len(forms), MASSES)

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes minutes
    ) -> Mapping[str, float]:
        """Train the network to predict the examples' spectra from their structures.

        Returns:
            `val_cosine`, of predicted and measured spectra of the validation compounds.

        Raises:
            TrainingError: there are no spectra to learn from.
        """
        lesson = Lesson.of(examples)
        held_out = Lesson.of(validation) if validation else None
        torch.manual_seed(seed)
        network = self._made()
        show = progress or (lambda done, total, what: None)
        value = learn(
            network,
            lesson,
            held_out,
            epochs=self.epochs,
            seed=seed,
            progress=lambda done: show(done, self.epochs, "a network from structures to spectra"),
        )
        self._take(network)
        return {"val_cosine": value}

    def _made(self) -> ForwardNetwork:
        return ForwardNetwork(self.width, self.blocks, self.dropout)

    def _take(self, network: ForwardNetwork) -> None:
        # As it will be when it is loaded again.
        network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
        self._network, self._known = network.eval(), OrderedDict()

    def save(self, folder: Path) -> None:
        """Write the network, weights as 16-bit numbers.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._network is None:
            raise TrainingError("ei-forward: there is nothing to save before it has learned")
        save_file({name: value.half() for name, value in self._network.state_dict().items()}, folder / _FILE)
        (folder / _SETTINGS).write_text(json.dumps({"width": self.width, "blocks": self.blocks}), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: the file is missing or damaged, or it is of a scorer with other settings.
        """
        file = folder / _FILE
        network = self._made()
        try:
            network.load_state_dict({name: value.float() for name, value in load_file(file).items()})
        except (OSError, SafetensorError, RuntimeError, ValueError) as error:
            why = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
            raise BundleError(f"{file}: damaged, or of an ei-forward with other settings: {why}") from error
        self._take(network)
