"""`msms`: structures to tandem mass spectra at given settings."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path

from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import PeakList, Structure
from molvis_msms.forward.model import LEAST, ForwardModel
from molvis_msms.forward.settings import Setting

SHIPPED = Path(__file__).parents[1] / "weights" / "forward"
"""The model that comes with molvis-msms."""


class SpectrumPredictor:
    """Tandem mass spectra of structures, as the parts that a molecule breaks into and their learned probabilities.

    Args:
        adduct: of the ions, such as `[M+H]+`; several with commas between them.
        energy: of the collision in eV, such as `20`; several with commas between them, and a spectrum for each. Without
            one the spectrum is a mean over usual energies.
        instrument: type as MassBank spells it, such as `LC-ESI-QTOF`, `LC-ESI-QFT` or `LC-ESI-ITFT`; none in particular
            where it is empty.
        min_intensity: intensity, relative to the highest peak, of the lowest peak of a spectrum.
        path: folder of a model that was trained before; the one that comes with molvis-msms where it is empty.

    Raises:
        ConfigError: an adduct or an energy that cannot be.
        molvis_core.errors.BundleError: there is no model in the folder, or it is damaged.
    """

    accepts = Structure
    predicts = "msms"

    def __init__(
        self,
        adduct: str = "[M+H]+",
        energy: str | float = "",
        instrument: str = "",
        min_intensity: float = LEAST**2,
        path: str = "",
    ) -> None:
        if not 0 <= min_intensity < 1:
            raise ConfigError(f"predictor msms: min_intensity must be from 0 to below 1, got {min_intensity}")
        energies = _energies(energy)
        self.settings = tuple(
            Setting(name, value, instrument or None) for name in _adducts(adduct) for value in energies
        )
        self.model, self._least = loaded(path), math.sqrt(min_intensity)

    def records(self, structures: Sequence[Structure]) -> list[list[PeakList]]:
        """A spectrum of each structure for every adduct and energy, its highest peak 1.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        return self.model.spectra(structures, [self.settings] * len(structures), least=self._least)


def loaded(path: str = "") -> ForwardModel:
    """A trained model, read once.

    Args:
        path: of its folder; empty for the one that comes with molvis-msms.

    Raises:
        molvis_core.errors.BundleError: there is no model in the folder, or it is damaged.
    """
    return _loaded(str(Path(path) if path else SHIPPED))


@functools.lru_cache(maxsize=4)
def _loaded(path: str) -> ForwardModel:
    return ForwardModel.load(path)


def _adducts(text: str) -> list[str]:
    try:
        return [parse_adduct(name).name for name in text.split(",") if name.strip()] or ["[M+H]+"]
    except AdductError as error:
        raise ConfigError(f"predictor msms: {error}") from error


def _energies(given: str | float) -> list[float | None]:
    """Energies in eV; None alone where there is none.

    Raises:
        ConfigError: one of them is not a positive number.
    """
    found: list[float | None] = []
    for text in str(given).split(","):
        word = text.strip().lower().removesuffix("ev").strip()
        if not word:
            continue
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"predictor msms: energy {text.strip()!r} must be a positive number of eV, such as 20")
        found.append(value)
    return found or [None]
