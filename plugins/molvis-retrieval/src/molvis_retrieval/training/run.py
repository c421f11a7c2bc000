"""What a run is made of, resolved once: `prepare` makes it, and what trains or validates takes it as one argument."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from molvis_core import registry
from molvis_core.interfaces import Featurises
from molvis_nn.loop import TrainingProgress
from molvis_nn.pretrained import load_state
from molvis_retrieval.config import RunConfig, check
from molvis_retrieval.training.pairings import (
    Pairing,
    candidate_pools,
    pairing_names,
    resolve,
    structures_of,
    validation_pairings,
)
from molvis_retrieval.training.windows import Windows

if TYPE_CHECKING:
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

Report = Callable[[TrainingProgress], None]

log = logging.getLogger("molvis")


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that a run uses and that stays the same while it trains, but for the weights.

    Attributes:
        config: with its pairings written out and without the encoders that take part in none.
        dataset: the measurements.
        pairings: of the training fold, in the order of `config.pairs`.
        validation: the pairings that the validation fold has enough compounds for.
        encoders: by their keys in the configuration.
        losses, targets: one for each pairing.
        library: where harder candidates come from.
        pools: by compound the rows of the library that its harder candidates are drawn from.
        validation_pools: by compound the rows of the library that it is ranked among.
    """

    config: RunConfig
    dataset: Dataset
    pairings: tuple[Pairing, ...]
    validation: tuple[Pairing, ...]
    encoders: Mapping[str, Any]
    losses: tuple[Any, ...]
    targets: tuple[Any, ...]
    library: Library | None = None
    pools: Mapping[str, np.ndarray] = field(default_factory=dict)
    validation_pools: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What metrics call each pairing."""
        return pairing_names(self.config.pairs)

    @property
    def trained(self) -> dict[str, Any]:
        """The encoders whose weights change."""
        return {key: encoder for key, encoder in self.encoders.items() if key not in self.config.train.freeze}

    def windows(self, **settings: int) -> Windows:
        """Windows from the library, or else from the structures of the dataset.

        Args:
            settings: of the windows, in place of those of the configuration.
        """
        from molvis_retrieval.library import Library

        config = self.config
        library = self.library if self.library is not None else Library.from_dataset(self.dataset)
        return Windows(self.dataset, library, config.data, replace(config.windows, **settings), config.train.seed)


def prepare(config: RunConfig, *, progress: Report | None = None) -> Run:
    """Open the data of a configuration, build its components and draw its pools of candidates.

    Args:
        config: of the run. The initial weights depend on its seed.
        progress: called while a library is read and while structures are prepared.

    Raises:
        ConfigError, molvis_core.errors.ComponentError: the configuration names what does not exist.
        molvis_core.errors.BundleError: the weights to start from are missing or damaged.
        TrainingError: a fold has too few compounds.
    """
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

    check(config)
    torch.manual_seed(config.train.seed)
    dataset = Dataset.open(config.data.path)
    named = len(config.pairs)
    config, pairings = resolve(config, dataset)
    settings, negatives = config.train, config.negatives
    validation = validation_pairings(config, dataset, named)
    encoders = {k: registry.build("encoder", s, where=f"encoders.{k}") for k, s in config.encoders.items()}
    for key, folder in settings.init_from.items():
        encoders[key].load_state_dict(load_state(folder, config.encoders[key]))
    for key in settings.freeze:
        encoders[key].requires_grad_(False)
    losses = tuple(registry.build("loss", p.loss, where="pairs.loss") for p in config.pairs)
    targets = tuple(registry.build("target", p.target, where="pairs.target") for p in config.pairs)
    library, pools, validation_pools = None, {}, {}
    if not negatives.path and any(pair.negatives for pair in config.pairs):
        log.warning(
            "no library is named: encoders are trained without harder negatives of equal mass. Name one with "
            "--negatives, or as [negatives] path"
        )
    if negatives.path:
        if progress:
            progress(TrainingProgress(0, 0, 0, settings.epochs, message=f"reading {negatives.path}"))
        library = Library.read(negatives.path)
        options = (negatives.ppm, negatives.pool, settings.seed)
        if any(pair.negatives for pair in config.pairs):
            pools = candidate_pools(library, structures_of(dataset, pairings), negatives.by, *options)
        # A search asks by mass, whatever the negatives of the training are.
        validation_pools = candidate_pools(library, structures_of(dataset, validation), "mass", *options)
    run = Run(
        config, dataset, tuple(pairings), tuple(validation), encoders, losses, targets, library, pools, validation_pools
    )
    featurise(run, progress)
    return run


def featurise(run: Run, progress: Report | None = None) -> None:
    """Let a structure encoder prepare its features once, by all processors, instead of in every worker and epoch."""
    encoder = run.encoders.get("structure")
    if not isinstance(encoder, Featurises):
        return
    structures = list(structures_of(run.dataset, [*run.pairings, *run.validation]).values())
    if run.library is not None:
        pools = (run.pools, run.validation_pools)
        rows = sorted({int(r) for pool in pools for drawn in pool.values() for r in drawn})
        structures += run.library.structures(rows)

    def report(done: int, total: int) -> None:
        if progress:
            progress(TrainingProgress(done, total, 0, run.config.train.epochs, message="preparing structures"))

    encoder.featurise(structures, progress=report)
