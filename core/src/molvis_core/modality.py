"""What a kind of measurement is called, which record carries it, and in which units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from molvis_core.records import Structure


@dataclass(frozen=True, slots=True)
class Modality:
    """A kind of measurement. A value, never a base class.

    Attributes:
        name: lowercase, such as `ir`: the key in configurations, datasets and bundles.
        record: the record type that carries it.
        axis, axis_unit: what runs along the record, such as `wavenumber` in `cm^-1`.
        signal: what was measured along it, such as `absorbance`.
        descending: people draw the axis from high to low, as that of an infrared or an NMR spectrum.
        summary: one sentence for people.
        measured: False for what is no measurement, such as a structure, a spin system or a network. Readers give it
            like anything else, a dataset of measurements does not hold it, and its record type may be a plugin's own.
    """

    name: str
    record: type[Any]
    axis: str = ""
    axis_unit: str = ""
    signal: str = ""
    summary: str = ""
    descending: bool = False
    measured: bool = True


STRUCTURE = Modality(
    name="structure",
    record=Structure,
    summary="A molecule: SMILES, InChIKey, formula and mass.",
    measured=False,
)
