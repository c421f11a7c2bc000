"""Fit the predictor of cross sections to measurements.

Laboratories disagree and mislabel, so that the median of a compound's values counts, and a Laplace likelihood, which a
few wrong values do not bend. Training ends after a fixed number of epochs; fold `val` only sets how wide the intervals
are, and fold `test` is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from molvis_ccs.features import NUMBERS, describe
from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.quantization import packed, unpacked
from molvis_ccs.predictor.regression import MOST_COUNTED, KnownIons
from molvis_ccs.training.calibration import calibrate
from molvis_ccs.training.ions import Ion, gather
from molvis_core.errors import TrainingError
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_nn.loop import descend


def fit(
    measurements: Iterable[Measurement],
    *,
    members: int = 5,
    width: int = 320,
    rank: int = 384,
    epochs: int = 60,
    batch: int = 128,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.05,
    dropout: float = 0.2,
    feature_dropout: float = 0.05,
    regressed: int = 12_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> CcsEnsemble:
    """A predictor, trained on fold `train` (and what has no fold) and calibrated on fold `val`.

    The same measurements in the same order, arguments and versions of the libraries give the same predictor on the
    same machine. Without a fold `val` the intervals stay as wide as the networks estimate.

    Args:
        measurements: what readers yield; those that are not `usable` are passed over.
        members: networks.
        width: of their layers.
        rank: principal components of the features that they see.
        epochs: over the ions, for each network.
        batch: ions in a step.
        learning_rate: the highest, a tenth of the way through; it falls to nothing along a cosine.
        weight_decay: of AdamW.
        dropout: of the layers.
        feature_dropout: share of the components left out of each structure.
        regressed: ions that the kernel regression learns from at most, drawn by `seed`; 0 for networks alone. It takes
            the cube of their number in time, and its square in memory: 9,000 a GB and half a minute.
        seed: of the first network; each takes the next.
        progress: called with the epochs done and in all.

    Raises:
        TrainingError: no ions to learn from, or a loss that is not finite.
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    ions = gather(measurements)
    train = [ion for ion in ions if ion.fold == "train"]
    if len(train) < 2:
        raise TrainingError(
            f"training needs at least 2 ions, got {len(train)}: measurements with structure, adduct and instrument "
            f"type (DT, TIMS, TW), of fold 'train' or none. Adducts: {', '.join(ADDUCTS)}."
        )
    with torch.random.fork_rng(devices=[]):
        chosen = _chosen(train, regressed, seed)
        known = len({ion.structure.smiles for ion in chosen})
        model = CcsEnsemble(members, width, rank, dropout, feature_dropout, structures=known)
        raw = _Data.of(train, model)
        data = _prepare(model, raw)
        if model.regression is not None:
            model.regression.learn(_known_ions(model, raw, data, train, chosen))
        for number, network in enumerate(model.networks):
            # Each by its own seed from its first weight on: more networks do not change the ones before them.
            torch.manual_seed(seed + number)
            for epoch in _epochs(network, data, epochs, batch, learning_rate, weight_decay, f"network {number}"):
                if progress:
                    progress(number * epochs + epoch, members * epochs)
            _centre(network, data)
    model.eval()
    # Rounded as it will be saved, so that what is calibrated is what is read back.
    model.load_state_dict(unpacked(packed(model.state_dict())))
    calibrate(model, [ion for ion in ions if ion.fold == "val"])
    return model


def _chosen(train: Sequence[Ion], most: int, seed: int) -> list[Ion]:
    """The ions that the regression learns from, in their order."""
    places = np.sort(np.random.default_rng(seed).permutation(len(train))[:most])
    return [train[place] for place in places]


def _known_ions(model: CcsEnsemble, raw: _Data, data: _Data, train: Sequence[Ion], chosen: Sequence[Ion]) -> KnownIons:
    """What the regression learns from, rounded as it will be saved."""
    place = {id(ion): number for number, ion in enumerate(train)}
    some = torch.tensor([place[id(ion)] for ion in chosen])
    rows, row = torch.unique(raw.row[some], return_inverse=True)
    scaled = model.scaled(raw.features[rows])
    counts = torch.log1p(torch.expm1(scaled[:, NUMBERS:]).round().clamp(0, MOST_COUNTED))
    features = torch.cat([scaled[:, :NUMBERS].half().float(), counts], dim=1)
    kinds = raw.conditions[some, len(ADDUCTS) : len(ADDUCTS) + len(INSTRUMENTS)].argmax(dim=1)
    return KnownIons(features, row, raw.adduct[some], kinds, data.target[some], raw.weight[some])


def _epochs(
    network: nn.Module, data: _Data, epochs: int, batch: int, learning_rate: float, weight_decay: float, name: str
) -> Iterator[int]:
    """Train a network from its first weights on. Yields the epochs done.

    The rate goes up and down once, and the momentum the other way: L. N. Smith and N. Topin, Super-convergence,
    arXiv:1708.07120, as PyTorch has it. No checkpoint: a network takes a minute.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    count = len(data.target)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    steps = epochs * math.ceil(count / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    network.train()
    for epoch in range(1, epochs + 1):
        for some in torch.randperm(count).split(batch):
            descend(_loss(network, data, some), optimizer, where=f"{name} in epoch {epoch}")
            schedule.step()
        yield epoch


@dataclass(frozen=True, slots=True)
class _Data:
    features: torch.Tensor
    row: torch.Tensor
    conditions: torch.Tensor
    size: torch.Tensor
    adduct: torch.Tensor
    log_ccs: torch.Tensor
    weight: torch.Tensor
    target: torch.Tensor

    @classmethod
    def of(cls, ions: Sequence[Ion], model: CcsEnsemble) -> _Data:
        places: dict[str, int] = {}
        row = torch.tensor([places.setdefault(ion.structure.smiles, len(places)) for ion in ions])
        features = torch.from_numpy(np.stack([describe(smiles) for smiles in places]))
        adduct = torch.tensor([ADDUCTS.index(ion.adduct) for ion in ions])
        instrument = torch.tensor([INSTRUMENTS.index(ion.instrument_type) for ion in ions])
        size = torch.from_numpy(model.sizes([ion.structure for ion in ions]))[torch.arange(len(ions)), adduct]
        log_ccs = torch.log(torch.tensor([ion.ccs for ion in ions], dtype=torch.float64))
        # Several laboratories that agree are worth more than one, but they often share what they are wrong about.
        weight = torch.tensor([min(ion.count, 3) ** 0.5 for ion in ions])
        conditions = model.conditions(size, adduct, instrument)
        return cls(features, row, conditions, size, adduct, log_ccs, weight, torch.zeros(len(ions)))


def _trend(data: _Data) -> torch.Tensor:
    """One curve for all adducts, each at its own height, that never falls: least absolute errors, reweighted.

    By themselves, adducts whose small and large ions are of different classes got curves that hold for neither.
    """
    size = torch.log(data.size)
    present = [place for place in range(len(ADDUCTS)) if bool((data.adduct == place).any())]
    own = torch.stack([(data.adduct == place).double() for place in present], dim=1)
    weight = torch.ones(len(size), dtype=torch.float64)
    square = slope = 0.0
    level = torch.zeros(len(present), dtype=torch.float64)
    for bend in (True, False):
        design = torch.cat([own, size[:, None], *([size[:, None] ** 2] if bend else [])], dim=1)
        for _ in range(_REWEIGHTED):
            scaled = design * weight[:, None].sqrt()
            ridge = 1e-6 * torch.eye(design.shape[1], dtype=torch.float64)
            found = torch.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ (data.log_ccs * weight.sqrt()))
            weight = 1 / (data.log_ccs - design @ found).abs().clamp_min(0.01)
        level, slope, square = found[: len(present)], float(found[len(present)]), float(found[-1]) if bend else 0.0
        if all(slope + 2 * square * math.log(volume) > 0 for volume in _RANGE):
            break
    out = torch.empty(len(ADDUCTS), 3)
    out[:] = torch.tensor([square, max(slope, 0.0), float(level.mean())])
    out[present, 2] = level.float()
    return out


_REWEIGHTED = 30
_RANGE = (30.0, 3000.0)
"""A^3, or Da: between these the trend must not fall."""


def _prepare(model: CcsEnsemble, data: _Data) -> _Data:
    """The trend of each adduct, the spread about it, and the principal components of the features."""
    model.get_buffer("trend").copy_(_trend(data))
    off = data.log_ccs.float() - model.log_trend(data.size, data.adduct)
    model.get_buffer("spread").copy_(off.std().clamp_min(1e-3))
    numbers = data.features[:, :NUMBERS]
    model.get_buffer("centre").copy_(numbers.mean(dim=0))
    model.get_buffer("scale").copy_(numbers.std(dim=0) + 1e-3)
    scaled = model.scaled(data.features)
    mean = scaled.mean(dim=0)
    basis = model.get_buffer("basis").zero_()
    rank = min(basis.shape[1], *scaled.shape)
    torch.manual_seed(0)
    _, size, axes = torch.svd_lowrank(scaled - mean, q=rank)
    # Between as they are, when few components drown the rest, and all alike, when noise counts as much as size.
    deviation = size / math.sqrt(len(scaled))
    basis[:, :rank] = axes / deviation.clamp_min(1e-3 * float(deviation[0])).sqrt()
    model.load_state_dict(unpacked(packed(model.state_dict())))
    model.get_buffer("offset").copy_(mean @ model.get_buffer("basis"))
    return replace(data, features=model.components(data.features), target=off / model.get_buffer("spread"))


def _centre(network: nn.Module, data: _Data) -> None:
    """Move a network's output so that half of the training ions lie above it, on each instrument and of each adduct.

    What dropout leaves out in training is there in predictions: without this single networks are off by up to 2%.
    """
    network.eval()
    with torch.inference_mode():
        embedded = network.embed(data.features)  # ty: ignore[not-callable]
        parts = torch.arange(len(data.target)).split(4096)
        mean = torch.cat([network(embedded[data.row[some]], data.conditions[some])[0] for some in parts])
    out = network.out
    assert isinstance(out, nn.Linear)
    left = data.target - mean
    first = out.in_features - data.conditions.shape[1]
    with torch.no_grad():
        out.bias[0] += left.median()
        left = left - left.median()
        for column in range(len(ADDUCTS) + len(INSTRUMENTS)):
            mine = data.conditions[:, column] > 0
            if int(mine.sum()) >= _ENOUGH:
                off = left[mine].median()
                out.weight[0, first + column] += off
                left = left - off * mine


_ENOUGH = 50
"""Ions of an adduct or an instrument for a median of their own."""


def _loss(network: nn.Module, data: _Data, some: torch.Tensor) -> torch.Tensor:
    embedded = network.embed(data.features[data.row[some]])  # ty: ignore[not-callable]
    mean, spread = network(embedded, data.conditions[some])
    # The absolute value, rounded at its tip so that the gradient does not jump there.
    off = torch.sqrt((mean - data.target[some]) ** 2 + 1e-4)
    return ((off / spread + torch.log(spread)) * data.weight[some]).mean()
