"""`ForwardModel`: trained networks with their strays, from structures and settings to fragments and spectra."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from molvis_core.errors import BundleError
from molvis_core.records import PeakList, Structure
from molvis_files.writing import replacing
from molvis_fragmentation.parts import Parts
from molvis_msms.forward.batches import Batch, collate
from molvis_msms.forward.ladder import Ladder, Strays
from molvis_msms.forward.losses import grouped
from molvis_msms.forward.network import ForwardNetwork
from molvis_msms.forward.pieces import MOST_PARTS, pieces
from molvis_msms.forward.settings import Setting

_WEIGHTS, _ABOUT = "forward.safetensors", "forward.json"
_FORMAT = 2
_TOGETHER = 16
"""Spectra that are computed at a time."""
_SORTED = 256
"""Molecules that are sorted by size before they are computed."""
LEAST = 0.02
"""Root intensity, relative to the highest peak, of peaks that a predicted spectrum holds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a network is made of.

    Attributes:
        width: of its layers.
        layers: of its graph network.
        parts: that are kept of a molecule, the cheapest.
    """

    width: int = 96
    layers: int = 4
    parts: int = MOST_PARTS


@dataclass(frozen=True, eq=False, slots=True)
class Fragments:
    """What an ion of a molecule gives under a setting, as probabilities.

    `probability` with `precursor`, `elsewhere` and `stray_probability` adds up to 1. They are shares of the sum of root
    intensities: a spectrum's intensities are as their squares.

    Attributes:
        parts: of the molecule, the cheapest, as sets of atoms.
        forms: of the ions, as `molvis_fragmentation.ions.forms_of` gives them.
        mz: of each part, in each form, with -4 to 4 hydrogens beyond those of its charge.
        probability: of the same; 0 for those that there cannot be.
        stray_mz, stray_probability: of fragments that are no part of the molecule.
        precursor_mz: of the whole ion.
        precursor: its probability.
        elsewhere: that of everything else.
    """

    parts: Parts
    forms: Float[np.ndarray, "v 4"]
    mz: Float[np.ndarray, "f v 9"]
    probability: Float[np.ndarray, "f v 9"]
    stray_mz: Float[np.ndarray, " q"]
    stray_probability: Float[np.ndarray, " q"]
    precursor_mz: float
    precursor: float
    elsewhere: float


class ForwardModel:
    """Fragments and spectra of molecules under settings.

    Args:
        networks: of one shape; their probabilities are averaged.
        strays: that they know.
        shape: of the networks.
        figures: of how well it predicts, by name.
    """

    def __init__(
        self, networks: Sequence[ForwardNetwork], strays: Strays, shape: Shape, figures: dict[str, float] | None = None
    ) -> None:
        self.networks = tuple(network.eval().requires_grad_(False) for network in networks)
        self.strays, self.shape, self.figures = strays, shape, dict(figures or {})

    @classmethod
    def load(cls, folder: Path | str) -> ForwardModel:
        """A model that `save` wrote. It may come from a stranger: nothing in it is executed.

        Raises:
            BundleError: a file is missing, damaged or of a newer molvis.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise BundleError(
                    f"{folder / _ABOUT}: format {about['format']}; this molvis-msms reads {_FORMAT}: "
                    + ("train the model anew" if about["format"] < _FORMAT else "install a newer one")
                )
            tensors = load_file(folder / _WEIGHTS)
            stray = {name: tensors.pop(f"stray.{name}").numpy() for name in ("mz", "loss", "sign")}
            strays = Strays(stray["mz"], stray["loss"].astype(bool), stray["sign"].astype(np.int64))
            shape = Shape(**about["shape"])
            networks = [ForwardNetwork(shape.width, shape.layers, len(strays)) for _ in range(int(about["networks"]))]
            for number, network in enumerate(networks):
                mine = {name: tensor.float() for name, tensor in tensors.items() if name.startswith(f"{number}.")}
                network.load_state_dict({name.partition(".")[2]: tensor for name, tensor in mine.items()})
            return cls(networks, strays, shape, dict(about["figures"]))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"{folder}: no forward model, or damaged: {error}") from error

    def save(self, folder: Path | str) -> None:
        """Write the weights in half precision, and what they were made with, into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{number}.{name}": tensor.half().contiguous()
            for number, network in enumerate(self.networks)
            for name, tensor in network.state_dict().items()
        }
        strays = self.strays
        tensors |= {
            "stray.mz": torch.from_numpy(strays.mz.astype(np.float64)),
            "stray.loss": torch.from_numpy(strays.loss.astype(np.uint8)),
            "stray.sign": torch.from_numpy(strays.sign.astype(np.int8)),
        }
        with replacing(folder / _WEIGHTS) as fresh:
            save_file(tensors, fresh)
        about = {
            "format": _FORMAT, "networks": len(self.networks), "shape": asdict(self.shape), "figures": self.figures,
        }  # fmt: skip
        with replacing(folder / _ABOUT) as fresh:
            fresh.write_text(json.dumps(about, indent=1), encoding="utf-8")

    def __call__(self, batch: Batch) -> Float[Tensor, "n e"]:
        """Logarithms of the mean of the networks' probabilities; what an entry is, `ForwardNetwork` says."""
        return self.mean([network(batch) for network in self.networks])

    @staticmethod
    def mean(every: Sequence[Float[Tensor, "n e"]]) -> Float[Tensor, "n e"]:
        """Logarithms of the mean of several networks' probabilities."""
        return torch.stack([*every]).logsumexp(0) - math.log(len(every)) if len(every) > 1 else every[0]

    def fragments(self, structure: Structure, settings: Sequence[Setting]) -> list[Fragments]:
        """Probabilities of the fragments of one molecule under each setting.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses the structure.
        """
        made = pieces(structure.smiles, self.shape.parts)
        batch = collate([made], [settings], self.strays)
        with torch.inference_mode():
            every = self(batch).exp().double().numpy()
        deep, stop = batch.form.shape[1], len(self.strays) + 2
        out: list[Fragments] = []
        for row, one in zip(every, batch.ladders, strict=True):
            count, forms, shifts = one.shape
            own = row[:-stop].reshape(-1, deep, shifts)[:count, :forms]
            inner = count * forms * shifts
            out.append(
                Fragments(
                    made.parts,
                    one.forms,
                    one.mz[:inner].reshape(one.shape),
                    np.where(one.possible[:inner].reshape(one.shape), own, 0.0),
                    one.mz[inner:-1],
                    np.where(one.possible[inner:-1], row[-stop:-2], 0.0),
                    one.precursor_mz,
                    float(row[-2]),
                    float(row[-1]),
                )
            )
        return out

    def spectra(
        self, structures: Sequence[Structure], settings: Sequence[Sequence[Setting]], *, least: float = LEAST
    ) -> list[list[PeakList]]:
        """Predicted spectra of each molecule under its settings; the highest peak of each is 1.

        Args:
            structures: the molecules.
            settings: of each molecule.
            least: root intensity, relative to the highest peak's, of peaks that are kept.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        out: list[list[PeakList]] = [[] for _ in structures]
        for start in range(0, len(structures), _SORTED):
            places = range(start, min(start + _SORTED, len(structures)))
            made = {i: pieces(structures[i].smiles, self.shape.parts) for i in places}
            # Molecules with about as many parts come together: less is padded.
            order = sorted(places, key=lambda i: len(made[i].parts.mass))
            for some in _blocks(order, settings):
                batch = collate([made[i] for i in some], [settings[i] for i in some], self.strays)
                found = iter(self.peaks(batch))
                for i in some:
                    out[i] = [_spectrum(*next(found), setting, least) for setting in settings[i]]
        return out

    def collate(
        self, structures: Sequence[Structure], settings: Sequence[Sequence[Setting]], parts: int | None = None
    ) -> Batch:
        """Molecules and the settings of each as a batch.

        Args:
            structures: the molecules.
            settings: of each molecule.
            parts: that are kept of a molecule; as many as were learned from where none are named.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        made = [pieces(one.smiles, parts or self.shape.parts) for one in structures]
        return collate(made, settings, self.strays)

    def peaks(self, batch: Batch) -> Iterator[tuple[Ladder, Float[np.ndarray, " g"]]]:
        """For each spectrum of a batch its ladder, and the shares of root intensity of the ladder's peaks."""
        with torch.inference_mode():
            shares = grouped(self(batch), batch).numpy()
        for one, row in zip(batch.ladders, shares, strict=True):
            yield one, row[: len(one.peaks)]


def _blocks(order: Sequence[int], settings: Sequence[Sequence[Setting]]) -> Iterator[list[int]]:
    """Molecules one after the other, so many at a time that there are not too many spectra."""
    block: list[int] = []
    number = 0
    for place in order:
        if block and number + len(settings[place]) > _TOGETHER:
            yield block
            block, number = [], 0
        block.append(place)
        number += len(settings[place])
    if block:
        yield block


def _spectrum(one: Ladder, shares: Float[np.ndarray, " g"], setting: Setting, least: float) -> PeakList:
    roots = shares.astype(np.float64) / max(float(shares.max(initial=0.0)), 1e-12)
    kept = roots >= least
    return PeakList(
        mz=one.peaks[kept],
        intensity=roots[kept] ** 2,
        precursor_mz=one.precursor_mz,
        adduct=setting.adduct,
        ionmode="positive" if setting.sign > 0 else "negative",
        collision_energy=setting.energy,
        instrument_type=setting.instrument,
        ms_level=2,
    )
