"""`ir`: the infrared spectrum of a structure, by the regression of a trained bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import Structure, Trace
from molvis_ir.encoders.regression import IrRegression, IrRegressionStructure
from molvis_ir.preparation import grid

HOW_TO_TRAIN = (
    "No weights are shipped, because the collection that we measure with may not be passed on. Train on spectra that "
    "you have a licence for: molvis train ir --data DATASET --out RUN (docs/ir.md says how to make DATASET), and name "
    "RUN/bundle"
)


class IrPredictor:
    """Absorbance of structures from 550 to 3846 cm^-1 in steps of 4 cm^-1, the highest band being 1.

    Args:
        weights: a bundle that was trained with the preset `ir`: its folder.
    """

    accepts = Structure
    predicts = "ir"

    def __init__(self, weights: str = "") -> None:
        if not weights:
            raise ConfigError(f"ir: name a trained bundle with --set weights=RUN/bundle. {HOW_TO_TRAIN}")
        self._model = learned_encoder(Path(weights), "structure")

    def records(self, structures: Sequence[Structure]) -> list[list[Trace]]:
        """One spectrum of each structure.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        rows = self._model.spectrum(structures).astype(np.float64) if structures else []
        x = grid()
        return [
            [Trace(x, y / max(float(y.max()), 1e-12), identifier=one.name or one.smiles)]
            for one, y in zip(structures, rows, strict=True)
        ]


def learned_encoder(bundle: Path, key: str) -> Any:
    """The `ir-regression` (key `ir`) or `ir-regression-structure` (key `structure`) of a bundle.

    The file of the encoder alone is read, so that a plugin needs nothing of the package that trains.

    Raises:
        BundleError: there is no such bundle, it is damaged, or it was trained with other encoders.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = bundle / f"{key}.safetensors"
    if not file.is_file():
        raise BundleError(f"{bundle}: no trained bundle of infrared spectra: {file.name} is missing. {HOW_TO_TRAIN}")
    try:
        state = {name: v.float() if v.is_floating_point() else v for name, v in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file}: damaged: {error}") from error
    wanted = "pulls" if key == "ir" else "spectra"
    # Where it is one of several encoders side by side, its tensors begin with parts.2. or the like.
    part = next((n.removesuffix(wanted) for n in state if n.split(".")[-1] == wanted and n.startswith("parts.")), "")
    state = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
    encoder = IrRegression() if key == "ir" else IrRegressionStructure()
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(f"{file}: it holds another encoder than that of the preset ir. {HOW_TO_TRAIN}") from error
    if not encoder.learned:
        raise TrainingError(f"{file}: it has learned nothing. {HOW_TO_TRAIN}")
    return encoder.eval()
