"""`ei-spectrum`: the electron ionization spectrum of a structure, by the network of a trained bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molvis_core.errors import ConfigError, StructureError
from molvis_core.records import EiSpectrum, Structure
from molvis_ei.derivatives import forms_of, parse_derivative
from molvis_ei.scorers.forward import EiForward

_LEAST = 0.002


class EiSpectrumPredictor:
    """Spectra of structures at unit masses, heights of the highest peak 1.

    Args:
        weights: folder that the scorer `ei-forward` has learned into: `scorers/KEY` of a trained bundle.
        derivative: what is measured, such as `2 TMS`; the molecule as it is where it is empty. Of an unstated number,
            `n TMS`, every hydrogen of oxygen and sulfur is replaced.
        width, blocks: of the network, as it was trained.
    """

    accepts = Structure
    predicts = "ei"

    def __init__(self, weights: str, derivative: str = "", width: int = 256, blocks: int = 1) -> None:
        stated = parse_derivative(derivative)
        if derivative and stated is None:
            raise ConfigError(f"ei-spectrum: derivative {derivative!r} is none that is known; write 2 TMS or 1 MeOX")
        self.derivative, self._stated = derivative, stated
        self._model = EiForward(width=width, blocks=blocks)
        self._model.load(Path(weights))

    def records(self, structures: Sequence[Structure]) -> list[list[EiSpectrum]]:
        """One spectrum of each structure.

        Raises:
            StructureError: RDKit refuses a structure, or it cannot have this derivative.
        """
        forms = []
        for one in structures:
            found = forms_of(one.smiles, (self._stated,))
            if not found:
                raise StructureError(f"{one.smiles!r} has no place for {self.derivative}")
            forms.append(found[0])
        rows = self._model.predict(forms)
        return [
            [_spectrum(row, form.name or "none", one)] for row, form, one in zip(rows, forms, structures, strict=True)
        ]


def _spectrum(row: np.ndarray, derivative: str, structure: Structure) -> EiSpectrum:
    """Heights from weighed ones: what is below 0.2% of the highest is left out."""
    masses = np.arange(len(row), dtype=np.float64)
    heights = np.where(masses > 0, row / np.maximum(masses, 1), 0.0) ** 2
    heights = heights / max(float(heights.max(initial=0.0)), 1e-12)
    where = np.flatnonzero(heights >= _LEAST)
    return EiSpectrum(
        masses[where], heights[where], energy=70.0, derivative=derivative, identifier=structure.name or structure.smiles
    )
