"""A trained translation: a folder with a network, the formulas that it knows, and a card; and spectra through it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molvis_core.errors import AdductError, BundleError, RecordError
from molvis_core.records import PeakList
from molvis_files.digests import blocks_of, damage, stored_digests
from molvis_files.folders import FolderFormat
from molvis_files.writing import replacing_folder
from molvis_msms.translation.corpus import MIN_PEAKS
from molvis_msms.translation.formulas import ELEMENTS, ion_atoms
from molvis_msms.translation.network import Batch, TranslationNetwork
from molvis_msms.translation.settings import Settings, ion_numbers
from molvis_msms.translation.tokens import Choices, Tokens, tokens
from molvis_msms.translation.vocabulary import Vocabulary

FILE = "network.safetensors"
FOLDER = FolderFormat(
    noun="translation",
    file="translation.toml",
    version=1,
    error=BundleError,
    make="Make one with: molvis translation train SPECTRA --out {path}",
    mend="Copy it again, or train it again: molvis translation train SPECTRA --out {path}",
    distribution="molvis-msms",
)
_BLOCK = 32
_SHAPE = ("dim", "table", "layers")
INSTRUMENT_TYPES = {"QTOF": "LC-ESI-QTOF", "Orbitrap": "LC-ESI-QFT", "ion trap": "LC-ESI-ITFT"}
"""What a translated spectrum states as its instrument type, as MassBank spells it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A spectrum and what is wanted of it.

    Attributes:
        spectrum: with a precursor and two peaks at least.
        target: settings that it is translated to.
        formula: of the neutral compound, where it is known: then no peak is added that is no part of it.
    """

    spectrum: PeakList
    target: Settings
    formula: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Translator:
    """Translates spectra between settings.

    Attributes:
        vocabulary: formulas that the network knows.
        network: trained.
        shape: its width and the like.
        top_peaks: of a spectrum that are used.
        about: what it was trained on, for people.
    """

    vocabulary: Vocabulary
    network: TranslationNetwork
    shape: Mapping[str, int]
    top_peaks: int = 60
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def untrained(
        cls, vocabulary: Vocabulary, *, dim: int = 128, table: int = 64, layers: int = 2, top_peaks: int = 60
    ) -> Translator:
        """With fresh weights: what it returns are copies, but for some faint peaks."""
        shape = {"dim": dim, "table": table, "layers": layers}
        return cls(vocabulary, TranslationNetwork(vocabulary.composition(), **shape), shape, top_peaks)

    def translate(
        self,
        requests: Sequence[Request],
        *,
        floor: float = 0.002,
        most: int = 128,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[PeakList]:
        """Spectra as they would be at other settings; the highest peak is 1.

        Measured peaks keep their m/z; what is added has that of its formula.

        Args:
            requests: spectra and settings.
            floor: lowest peak relative to the highest.
            most: number of peaks at most.
            progress: called with the spectra done and in all.

        Raises:
            RecordError: a spectrum has no precursor m/z, or fewer than two peaks.
        """
        found: list[PeakList] = []
        for start in range(0, len(requests), _BLOCK):
            block = requests[start : start + _BLOCK]
            for request, (where, logs) in zip(block, self.shares(block), strict=True):
                found.append(_spectrum(request, where, logs, floor, most))
            if progress:
                progress(len(found), len(requests))
        return found

    @torch.inference_mode()
    def shares(self, requests: Sequence[Request]) -> list[tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]]:
        """For each request the m/z of places, and the logarithm of the intensity's share at each.

        Raises:
            RecordError: see `translate`.
        """
        read: list[Tokens] = []
        source: list[np.ndarray] = []
        target: list[np.ndarray] = []
        for request in requests:
            atoms = _atoms(request)
            spectrum = request.spectrum
            mz = _precursor(spectrum)
            choices = Choices.of(self.vocabulary, negative=spectrum.ionmode == "negative", atoms=atoms)
            read.append(tokens(spectrum, self.vocabulary, choices, self.top_peaks))
            numbers = Settings.of(spectrum).numbers(mz)
            source.append(np.concatenate([ion_numbers(spectrum, formula=atoms is not None), numbers]))
            target.append(request.target.numbers(mz))
        if not read:
            return []
        batch = Batch.of(read, source, range(len(read)), target, self.network.none)
        logs = self.network(batch).numpy()
        return [(one.mz, row[: len(one.mz)]) for one, row in zip(read, logs, strict=True)]

    def save(self, folder: Path | str, about: Mapping[str, Any] | None = None) -> None:
        """Write the folder, whole or not at all; weights as 16-bit numbers.

        Raises:
            BundleError: it exists already.
            OSError: it cannot be written.
        """
        folder = Path(folder)
        if folder.exists():
            raise BundleError(f"{folder} exists. Choose another folder, or delete it first.")
        known = self.vocabulary
        tensors = {
            "vocabulary.atoms": torch.from_numpy(known.atoms),
            "vocabulary.loss": torch.from_numpy(known.loss),
            "vocabulary.negative": torch.from_numpy(known.negative),
            **{f"network.{name}": value.half() for name, value in self.network.state_dict().items()},
        }
        with replacing_folder(folder) as fresh:
            save_file({name: value.contiguous() for name, value in tensors.items()}, fresh / FILE)
            content = {
                "elements": list(ELEMENTS), "network": {**self.shape, "top_peaks": self.top_peaks},
                "about": dict(about or self.about), "blocks": blocks_of(fresh, [FILE]),
            }  # fmt: skip
            (fresh / FOLDER.file).write_text(FOLDER.text(content), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path | str) -> Translator:
        """Read what `save` wrote.

        Raises:
            BundleError: there is none, it is damaged, or a newer molvis made it.
        """
        folder = Path(folder)
        content = FOLDER.read(folder)
        digests = stored_digests(content, FILE)
        if digests is None or content.get("elements") != list(ELEMENTS):
            raise FOLDER.damaged(folder, "it lacks digests, or is of other elements")
        if found := damage(folder / FILE, digests):
            raise FOLDER.damaged(folder, f"{FILE}: {found[0].reason}")
        try:
            tensors = load_file(folder / FILE)
            known = Vocabulary(*(tensors[f"vocabulary.{name}"].numpy() for name in ("atoms", "loss", "negative")))
            shape = {name: int(content["network"][name]) for name in _SHAPE}
            network = TranslationNetwork(known.composition(), **shape, dropout=0.0)
            head = "network."
            network.load_state_dict({n.removeprefix(head): v.float() for n, v in tensors.items() if n.startswith(head)})
            top_peaks = int(content["network"]["top_peaks"])
        except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise FOLDER.damaged(folder, str(error).strip().splitlines()[-1] if str(error) else "unreadable") from error
        network.eval().requires_grad_(requires_grad=False)
        return cls(known, network, shape, top_peaks, content.get("about", {}))


def _precursor(spectrum: PeakList) -> float:
    if spectrum.precursor_mz is None:
        raise RecordError("it has no precursor m/z, without which losses are not known")
    if int((spectrum.intensity > 0).sum()) < MIN_PEAKS:
        raise RecordError("it has fewer than two peaks; there is nothing to translate")
    return spectrum.precursor_mz


def _atoms(request: Request) -> np.ndarray | None:
    """Atoms of the ion, where formula and adduct are known and can be taken apart."""
    spectrum = request.spectrum
    if request.formula is None or spectrum.adduct is None:
        return None
    try:
        return ion_atoms(request.formula, spectrum.adduct)
    except (AdductError, ValueError) as error:
        raise RecordError(f"its formula or adduct cannot be read: {error}") from error


def _spectrum(request: Request, where: np.ndarray, logs: np.ndarray, floor: float, most: int) -> PeakList:
    """A translated spectrum as a record."""
    height = np.exp(logs - logs.max())
    kept = np.flatnonzero(height >= floor)
    kept = kept[np.argsort(-height[kept], kind="stable")[:most]]
    kept = kept[np.argsort(where[kept], kind="stable")]
    target = request.target
    return dataclasses.replace(
        request.spectrum,
        mz=where[kept],
        intensity=height[kept],
        collision_energy=target.energy,
        instrument_type=INSTRUMENT_TYPES.get(target.instrument, request.spectrum.instrument_type),
    )
