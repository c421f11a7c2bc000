"""`ccs-ensemble`: structure and adduct to a cross section and how sure it is, by networks and a kernel regression.

Each network estimates how far, on a logarithmic scale, an ion lies from the trend of its adduct with the volume of the
molecule, and how widely it may err. The prediction is half their mean and half what a kernel regression gives for the
same; where they disagree, that adds to the error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_ccs.features import KINDS, NUMBERS, SIZE, describe_all, kind_of, volume
from molvis_ccs.predictor.quantization import packed
from molvis_ccs.predictor.regression import KernelRegression
from molvis_ccs.trend import TRENDS
from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import AdductError, ConfigError, RecordError, did_you_mean
from molvis_core.records import Structure
from molvis_files.writing import replacing
from molvis_nn.batches import TensorBatch

ADDUCTS = tuple(TRENDS)
INSTRUMENTS = ("DT", "TIMS", "TW")
FORMAT = 3
"""Number of the format of the weights that this molvis writes. Format 2 knew no regression, in format 1 the trend was
that of m/z."""
_CONDITIONS = len(ADDUCTS) + len(INSTRUMENTS) + 2
_LEAST_SPREAD = 0.02


@dataclass(frozen=True, eq=False)
class StructureBatch(TensorBatch):
    """Structures as the networks see them.

    Attributes:
        features: see `molvis_ccs.features`.
        size: what the cross section of the ion of each adduct grows with.
        kind: place of the compound's class in `molvis_ccs.features.KINDS`.
    """

    features: Float[Tensor, "n f"]
    size: Float[Tensor, "n q"]
    kind: Int64[Tensor, " n"]


class _Network(nn.Module):
    def __init__(self, rank: int, width: int, dropout: float, feature_dropout: float) -> None:
        super().__init__()
        self.feature_dropout = feature_dropout
        self.structure, self.ion = nn.Linear(rank, width), nn.Linear(_CONDITIONS, width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width + _CONDITIONS, 2)

    def embed(self, features: Float[Tensor, "n r"]) -> Float[Tensor, "n w"]:
        features = nn.functional.dropout(features, self.feature_dropout, self.training)
        return self.structure(features)

    def forward(
        self, embedded: Float[Tensor, "n w"], ions: Float[Tensor, "n c"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Deviation from the trend and its spread, both in units of the spread of the training data."""
        x = self.dropout(nn.functional.silu(self.norms[0](embedded + self.ion(ions))))
        for layer, norm in zip(self.layers, list(self.norms)[1:], strict=True):
            x = x + self.dropout(nn.functional.silu(layer(norm(x))))
        mean, spread = self.out(torch.cat([x, ions], dim=1)).unbind(dim=1)
        return mean, nn.functional.softplus(spread - 1) + _LEAST_SPREAD


class CcsEnsemble(nn.Module):
    """Structures to cross sections in A^2 in N2, one column for each adduct of `adducts`.

    `molvis_ccs.training.fitting.fit` makes a trained one, `load` reads one.

    Args:
        members: networks.
        width: of their layers.
        rank: principal components of the features that they see.
        dropout: of their layers, in training.
        feature_dropout: share of the components left out of each structure, in training.
        by_volume: the trend is one of the molecule's volume, else of the ion's m/z. Ions of one m/z differ in size by
            half where some hold bromine and others alkyl chains.
        structures: that the kernel regression knows; without any the networks stand alone.
    """

    accepts = Structure
    predicts = "ccs"
    adducts = columns = ADDUCTS
    instrument_type: str | None = None
    """What the columns are of: one of `INSTRUMENTS`, or None for the mean over them."""

    def __init__(
        self,
        members: int = 5,
        width: int = 320,
        rank: int = 384,
        dropout: float = 0.2,
        feature_dropout: float = 0.05,
        by_volume: bool = True,
        structures: int = 0,
    ) -> None:
        super().__init__()
        self.by_volume = by_volume
        for name, value, least in (
            ("members", members, 1),
            ("width", width, 1),
            ("rank", rank, 1),
            ("structures", structures, 0),
        ):
            if value < least:
                raise ConfigError(f"ccs-ensemble: {name} must be a whole number of at least {least}, got {value}")
        for name, value in (("dropout", dropout), ("feature_dropout", feature_dropout)):
            if not 0 <= value < 1:
                raise ConfigError(f"ccs-ensemble: {name} must be a number from 0 to less than 1, got {value}")
        counts: dict[str, float] = {"members": members, "width": width, "rank": rank}
        self.arguments = counts | {"dropout": dropout, "feature_dropout": feature_dropout}
        self.networks = nn.ModuleList([_Network(rank, width, dropout, feature_dropout) for _ in range(members)])
        trends = [(0.0, b, math.log(a) - b * math.log(500)) for a, b in TRENDS.values()]
        self.regression = KernelRegression(structures, len(ADDUCTS), len(INSTRUMENTS)) if structures else None
        self.register_buffer("trend", torch.tensor(trends, dtype=torch.float32))
        self.register_buffer("centre", torch.zeros(NUMBERS))
        self.register_buffer("scale", torch.ones(NUMBERS))
        self.register_buffer("basis", torch.eye(SIZE, rank))
        self.register_buffer("offset", torch.zeros(rank))
        self.register_buffer("spread", torch.tensor(0.05))
        # One row more for an instrument that is not known.
        self.register_buffer("within", torch.ones(len(INSTRUMENTS) + 1, len(ADDUCTS)))
        self.register_buffer("calibration", torch.ones(len(INSTRUMENTS) + 1, len(ADDUCTS), len(KINDS)))
        # Logarithm of what a laboratory measures by what is predicted, by instrument: see `calibrants`.
        self.register_buffer("shift", torch.zeros(len(INSTRUMENTS) + 1), persistent=False)
        # Relative standard deviation between laboratories.
        self.register_buffer("between", torch.tensor(0.0))

    def collate(self, records: Sequence[Structure]) -> StructureBatch:
        """Features of each structure, and the size of its ions.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        features = describe_all([record.smiles for record in records])
        kinds = torch.tensor([kind_of(record.smiles) for record in records], dtype=torch.int64)
        return StructureBatch(torch.from_numpy(features), torch.from_numpy(self.sizes(records)), kinds)

    def sizes(self, structures: Sequence[Structure]) -> Float[np.ndarray, "n q"]:
        """What the cross section of each ion of each structure grows with: its volume in A^3, or its m/z.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        if not self.by_volume:
            return _ion_mz(np.array([one.exact_mass for one in structures], dtype=np.float64))
        known = {smiles: volume(smiles) for smiles in {one.smiles for one in structures}}
        own = np.array([known[one.smiles] for one in structures], dtype=np.float64)
        return np.repeat(own[:, None], len(ADDUCTS), axis=1)

    def forward(self, batch: StructureBatch) -> tuple[Float[Tensor, "n q"], Float[Tensor, "n q"]]:
        """Mean and standard deviation for each adduct, on `instrument_type`."""
        count, adducts = batch.size.shape
        adduct = torch.arange(adducts, device=batch.size.device).repeat(count)
        row = torch.arange(count, device=batch.size.device).repeat_interleave(adducts)
        kind = torch.full_like(adduct, _instrument(self.instrument_type))
        mean, sd = self.of_ions(batch.features, batch.size.flatten(), row, adduct, kind, batch.kind[row])
        return mean.reshape(count, adducts), sd.reshape(count, adducts)

    def of_ions(
        self,
        features: Float[Tensor, "n f"],
        size: Float[Tensor, " k"],
        row: Int64[Tensor, " k"],
        adduct: Int64[Tensor, " k"],
        instrument: Int64[Tensor, " k"],
        kind: Int64[Tensor, " k"] | None,
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """Mean and standard deviation of ions.

        Args:
            features: of structures.
            size: of the ions, see `sizes`.
            row: which structure an ion is of.
            adduct: its place in `adducts`.
            instrument: its place in `INSTRUMENTS`, or their number where it is not known.
            kind: place of the compound's class; None for standard deviations within the laboratories that taught it.
        """
        known = instrument < len(INSTRUMENTS)
        if not known.any():
            kinds: list[Tensor] = [torch.full_like(instrument, one) for one in range(len(INSTRUMENTS))]
        elif known.all():
            kinds = [instrument]
        else:
            raise ConfigError("ccs-ensemble: ions with and without an instrument in one call; predict sorts them")
        means: list[Tensor] = []
        variances: list[Tensor] = []
        components = self.components(features)
        for network in self.networks:
            embedded = network.embed(components)[row]  # ty: ignore[not-callable]
            for given in kinds:
                mean, spread = network(embedded, self.conditions(size, adduct, given))
                means.append(mean)
                variances.append(2 * spread.square())  # of a Laplace distribution
        stacked = torch.stack(means)
        variance = torch.stack(variances).mean(dim=0) + stacked.var(dim=0, unbiased=False)
        deviation = stacked.mean(dim=0)
        if self.regression is not None:
            other = self.regression(self.scaled(features), row, adduct, instrument if known.any() else None)
            variance = variance + (other - deviation).square() / 4
            deviation = (deviation + other) / 2
        own = variance * self.get_buffer("spread").square()
        if kind is None:
            factor = self.get_buffer("within")[instrument, adduct]
        else:
            factor = self.get_buffer("calibration")[instrument, adduct, kind]
            own = own + self.get_buffer("between").square()
        log_ccs = self.log_trend(size, adduct) + deviation * self.get_buffer("spread")
        log_ccs = log_ccs + self.get_buffer("shift")[instrument]
        mean = log_ccs.exp()
        return mean, mean * factor * own.sqrt()

    def scaled(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """Numbers of mean 0 and deviation 1 over the training data; counts as they are."""
        numbers = (features[:, :NUMBERS] - self.get_buffer("centre")) / self.get_buffer("scale")
        return torch.cat([numbers.clamp(-5, 5), features[:, NUMBERS:]], dim=1)

    def components(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n r"]:
        """Principal components of the scaled features: what the networks see."""
        return self.scaled(features) @ self.get_buffer("basis") - self.get_buffer("offset")

    def conditions(
        self, size: Float[Tensor, " k"], adduct: Int64[Tensor, " k"], instrument: Int64[Tensor, " k"]
    ) -> Float[Tensor, "k c"]:
        """What a network sees of an ion: its adduct, the instrument, and its size."""
        large = torch.log(size / 300).float()
        kinds = [nn.functional.one_hot(adduct, len(ADDUCTS)), nn.functional.one_hot(instrument, len(INSTRUMENTS))]
        return torch.cat([*(kind.float() for kind in kinds), large[:, None], large[:, None] ** 2], dim=1)

    def log_trend(self, size: Float[Tensor, " k"], adduct: Int64[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Logarithm of the cross section that ions of this size and adduct usually have."""
        square, slope, level = self.get_buffer("trend")[adduct].double().unbind(dim=1)
        large = torch.log(size.double())
        return ((square * large + slope) * large + level).float()

    def predict(
        self,
        structures: Sequence[Structure],
        adducts: Sequence[str] | str,
        instrument_types: Sequence[str | None] | str | None = None,
        *,
        chunk: int = 2048,
        within: bool = False,
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Mean and standard deviation in A^2 of one ion of each structure.

        A structure that comes several times is looked at once.

        Args:
            structures: of the molecules M.
            adducts: one for each, or one for all; of `adducts`.
            instrument_types: `DT`, `TIMS`, `TW` or None (their average); one for each, or one for all.
            chunk: structures at a time.
            within: standard deviations within the laboratories that taught it, which candidates for one value share
                the offset of, and not those of the next laboratory.

        Raises:
            AdductError: an adduct that the predictor does not know.
            RecordError: not as many adducts or instrument types as structures.
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        count = len(structures)
        adduct = np.array([_place(a) for a in _each("adducts", adducts, count)], dtype=np.int64)
        kinds = _each("instrument types", instrument_types, count)
        instrument = np.array([_instrument(kind) for kind in kinds], dtype=np.int64)
        mean, sd = np.empty(count), np.empty(count)
        places: dict[str, int] = {}
        row = np.array([places.setdefault(s.smiles, len(places)) for s in structures], dtype=np.int64)
        smiles = list(places)
        kind = np.array([kind_of(text) for text in smiles], dtype=np.int64)[row]
        size = self.sizes(structures)[np.arange(count), adduct]
        training = self.training
        self.eval()
        device = self.get_buffer("spread").device
        with torch.inference_mode():
            for start in range(0, len(smiles), chunk):
                features = torch.from_numpy(describe_all(smiles[start : start + chunk])).to(device)
                inside = (row >= start) & (row < start + chunk)
                for some in (inside & (instrument < len(INSTRUMENTS)), inside & (instrument == len(INSTRUMENTS))):
                    if some.any():
                        given = (size[some], row[some] - start, adduct[some], instrument[some])
                        classes = None if within else torch.from_numpy(kind[some]).to(device)
                        tensors = (torch.from_numpy(g).to(device) for g in given)
                        found = self.of_ions(features, *tensors, classes)
                        mean[some], sd[some] = (f.double().cpu().numpy() for f in found)
        self.train(training)
        return mean, sd

    def save(self, path: Path | str, *, card: Mapping[str, str] | None = None) -> None:
        """Write the predictor to a safetensors file: see `packed`; whatever is text goes to its header.

        Args:
            path: the file.
            card: what it was trained on, its licence and its figures.

        Raises:
            molvis_core.errors.WriteError: it cannot be written.
        """
        from safetensors.torch import save_file

        from molvis_core.errors import WriteError

        state = packed(self.state_dict())
        about = {k: str(v) for k, v in self.arguments.items()}
        about["structures"] = str(len(self.regression.get_buffer("numbers")) if self.regression is not None else 0)
        about["size"] = "volume" if self.by_volume else "mass"
        header = {"format": str(FORMAT), "adducts": " ".join(ADDUCTS), **about, **dict(card or {})}
        try:
            with replacing(Path(path)) as fresh:
                save_file(state, fresh, metadata=header)
        except OSError as error:
            raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def _ion_mz(masses: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n q"]:
    ions = _ions()
    return np.stack([(ion.molecules * masses + ion.shift) / abs(ion.charge) for ion in ions], axis=1)


@functools.cache
def _ions() -> tuple[Any, ...]:
    return tuple(parse_adduct(adduct) for adduct in ADDUCTS)


def _place(adduct: str | None) -> int:
    name = parse_adduct(adduct or "").name
    if name not in ADDUCTS:
        raise AdductError(
            f"the predictor of cross sections knows no {name}.{did_you_mean(name, ADDUCTS)} "
            f"It knows {', '.join(ADDUCTS)}."
        )
    return ADDUCTS.index(name)


def _instrument(kind: str | None) -> int:
    return INSTRUMENTS.index(kind) if kind in INSTRUMENTS else len(INSTRUMENTS)


def _each(what: str, given: Sequence[str | None] | str | None, count: int) -> Sequence[str | None]:
    if given is None or isinstance(given, str):
        return [given] * count
    if len(given) != count:
        raise RecordError(f"{len(given)} {what} for {count} structures")
    return given
