"""How a neural estimator of fluxes is trained: simulations of a network's own fluxes, noise, and what is missing."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molvis_core.errors import MolvisError, ReadError, TrainingError, WriteError
from molvis_files.documents import to_plain
from molvis_files.locking import sole_writer
from molvis_flux.errors import EstimatorError
from molvis_flux.formats import read_study
from molvis_flux.formats.writers import write_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Study
from molvis_flux.neural.calibration import calibrate, calibrate_ensemble
from molvis_flux.neural.estimator import (
    Estimator,
    Measurement,
    Settings,
    features,
    load_estimator,
    make_model,
    measurements,
    network_digest,
    save_estimator,
    simulate,
    without_data,
)
from molvis_flux.neural.inference import WIDEST
from molvis_flux.neural.transform import fit_copula
from molvis_flux.sampling.prior import sample
from molvis_flux.space.flux_space import FluxSpace, flux_space
from molvis_nn.loop import Checkpoint, WeightAverage, descend, half_cosine, on_cpu, set_rate

log = logging.getLogger("molvis")


TrainingProgress = Callable[[int, int, float], None]

STAGES = (0.2, 0.5)
"""Shares of the steps after which an estimator is written that can be used while the training goes on."""


def train(
    study: Study,
    folder: Path | str,
    *,
    settings: Settings | None = None,
    resume: bool = True,
    progress: TrainingProgress | None = None,
    staged: Callable[[Estimator, int], None] | None = None,
) -> Estimator:
    """Train an estimator for a network and its tracers, and write it to a folder.

    Long before the training ends, after `STAGES` of its steps, an estimator is written that can be used: less sharp,
    with intervals calibrated like those of the last. It does not replace one in the folder whose training has ended.

    Args:
        study: the network; experiments with tracers; fragments that may be measured: those that an experiment has data
            of, or else all. Fluxes that it has data of may be measured, too. The values of the data are not used.
        folder: of the estimator. A checkpoint stands beside it until the training has ended.
        settings: of the training.
        resume: go on from the checkpoint of the same training, if there is one.
        progress: called with steps done, steps in all, and the latest loss.
        staged: called with each estimator that was written before the training ended, and the steps done.

    Raises:
        EstimatorError: no experiment, nothing that can be measured, or settings that mean nothing.
        FluxSpaceError: the network allows no fluxes, or a flux has no limit.
        TrainingError: a loss that is not finite.
        WriteError: the folder cannot be written.
        molvis_core.errors.BusyError: another process trains into the folder.
    """
    with sole_writer(folder):
        return _train(study, Path(folder), settings or Settings(), resume, progress, staged)


def _train(
    study: Study,
    folder: Path,
    settings: Settings,
    resume: bool,
    progress: TrainingProgress | None,
    staged: Callable[[Estimator, int], None] | None,
) -> Estimator:
    began = time.process_time()
    _check(settings)
    study = without_data(study)
    space = _free_space(study)
    _check_data(study)
    _check_file(study)
    plan = compile_plan(study.network, study.experiments)
    parts = measurements(study, plan, settings.noise)
    _check_parts(parts, study)
    values = sample(space, settings.simulations, settings.seed)
    copula = fit_copula(space, values)
    simulated = simulate(space, plan, parts, values, np.float32)  # noise is a thousand times its rounding
    center, spread = _standard(simulated, parts, settings.noise[0])
    goal = torch.from_numpy(copula.normal(space.coordinates(values))).float()
    model = make_model(parts, len(space), settings)
    free = tuple(space.parameters[row] for row in space.free)

    def finished(step: int) -> Estimator:
        """The estimator as it is after some steps, calibrated; before the last with fewer held-out cases."""
        fresh, last = Estimator(study, settings, copula, model.eval(), center, spread, free), step == settings.steps
        calibration, metrics = calibrate(fresh, n=min(300 if last else 100, settings.simulations // 20))
        if settings.ensemble_cases and len(space) > WIDEST:
            cases = settings.ensemble_cases if last else -(-settings.ensemble_cases // 6)
            calibration |= calibrate_ensemble(fresh, n=cases)
        metrics |= {"steps": step, "cpu_seconds": time.process_time() - began}  # since the last resumption
        return dataclasses.replace(fresh, calibration=calibration, metrics=metrics)

    def stage(step: int) -> None:
        if _steps_of(folder, study, settings) < step:
            early = finished(step)
            save_estimator(early, folder)
            if staged:
                staged(early, step)

    _descend(model, parts, torch.from_numpy(simulated), goal, center, spread, study, settings,
             folder, resume, progress, stage)  # fmt: skip
    done = finished(settings.steps)
    save_estimator(done, folder)
    shutil.rmtree(_checkpoint(folder), ignore_errors=True)
    return done


def _steps_of(folder: Path, study: Study, settings: Settings) -> float:
    """Steps of the estimator in a folder; 0 where it is an unfinished one of another training, infinite where ended."""
    try:
        found = load_estimator(folder)
    except MolvisError:
        return 0
    if found.complete:
        return math.inf
    same = found.settings == settings and network_digest(found.study.network) == network_digest(study.network)
    return found.metrics["steps"] if same else 0


def _check(settings: Settings) -> None:
    low, high = settings.noise
    if not 0 < low <= high:
        raise EstimatorError(f"noise must be two positive numbers, the smaller one first, got {settings.noise}")
    for name in ("steps", "batch", "simulations", "width", "depth"):
        if getattr(settings, name) < 1:
            raise EstimatorError(f"{name} must be at least 1, got {getattr(settings, name)}")
    if settings.ensemble_cases < 0:
        raise EstimatorError(f"ensemble_cases must be 0 or more, got {settings.ensemble_cases}")
    if settings.simulations < 1000:
        raise EstimatorError(f"simulations must be at least 1,000, got {settings.simulations}")


def _free_space(study: Study) -> FluxSpace:
    """The fluxes of a study that has experiments, and fluxes to estimate."""
    if not study.experiments:
        raise EstimatorError(f"{study.network.name or 'the study'} has no experiment; one with a tracer is expected")
    space = flux_space(study.network)
    if not len(space):
        raise EstimatorError(f"{study.network.name or 'the network'} leaves no flux free: there is nothing to estimate")
    return space


def _check_data(study: Study) -> None:
    """Raise unless what is measured belongs to the stationary state."""
    for experiment in study.experiments:
        for datum in experiment.data:
            if datum.time is not None or datum.kind == "pool":
                place = datum.where or f"experiment {experiment.name!r}"
                raise EstimatorError(f"{place}: the estimator is for the stationary state; fit this with flux-fit")


def _check_file(study: Study) -> None:
    """Raise unless the study can be kept in a file: better before the training than behind it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        write_study(path, study)
        try:
            kept = read_study(path)
        except ReadError as error:
            text = str(error).removeprefix(str(path)).lstrip(":")
            raise EstimatorError(f"the network cannot be kept in the estimator's folder: line {text}") from error
    if network_digest(kept.network) != network_digest(study.network):
        raise EstimatorError("the network changes when it is written as TOML; read it from such a file, and train then")


def _check_parts(parts: Sequence[Measurement], study: Study) -> None:
    """Raise unless something can be measured, and all of it follows from the fluxes alone."""
    if not parts:
        raise EstimatorError(f"{study.network.name or 'the study'} has no fragment that can be measured")
    for part in parts:
        if part.kind == "mid" and study.network.fragments[part.target].mix:
            raise EstimatorError(
                f"fragment {part.target!r} mixes in unknown proportions; give its weights, or fit it with flux-fit"
            )


def _standard(
    simulated: Float[np.ndarray, "n d"], parts: Sequence[Measurement], noise: float
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Center and spread that vectors of data are standardised with; `noise` is the least of a fraction."""
    center, spread = simulated.mean(axis=0, dtype=np.float64), np.maximum(simulated.std(axis=0, dtype=np.float64), 1e-6)
    labelled = np.concatenate([np.full(p.stop - p.start, p.kind == "mid") for p in parts])
    # A fraction that hardly varies must not be blown up into noise.
    return center, np.where(labelled, np.maximum(spread, 2 * noise), spread)


def draw_missing(parts: Sequence[Measurement], n: int, generator: torch.Generator) -> Bool[Tensor, "n f"]:
    """Which measurements are there: none missing, any share of them, whole experiments, or both; at least one is."""
    experiments = {name: i for i, name in enumerate(dict.fromkeys(part.experiment for part in parts))}
    owner = torch.tensor([experiments[part.experiment] for part in parts])

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    share = uniform(n, 1) * (uniform(n, 1) > 0.25)
    single = uniform(n, len(parts)) >= share
    lost = uniform(n, 1) * (uniform(n, 1) > 0.6)
    whole = (uniform(n, len(experiments)) >= lost)[:, owner]
    # Now and then all but one experiment are missing: with many experiments the above would hardly ever give that.
    only = torch.randint(len(experiments), (n, 1), generator=generator) == owner
    whole = torch.where(uniform(n, 1) < 0.1, only, whole)
    there = single & whole
    forced = torch.randint(len(parts), (n,), generator=generator)
    there[torch.arange(n), forced] |= ~there.any(dim=1)
    return there


def draw_batch(
    parts: Sequence[Measurement], clean: Float[Tensor, "n d"], generator: torch.Generator
) -> tuple[Float[Tensor, "n d"], Bool[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Vectors of data with noise: values, which are there, standard deviations."""
    n = len(clean)
    limits = torch.log(torch.tensor([part.noise for part in parts]))
    common = torch.rand(n, 1, generator=generator)
    each = torch.rand(n, len(parts), generator=generator)
    # A sample's measurements are mostly about equally good.
    level = torch.where(torch.rand(n, 1, generator=generator) < 0.6, common.expand_as(each), 0.7 * common + 0.3 * each)
    sd = torch.exp(limits[:, 0] + level * (limits[:, 1] - limits[:, 0]))
    there = draw_missing(parts, n, generator)
    repeats = torch.tensor([part.stop - part.start for part in parts])
    sd, there = sd.repeat_interleave(repeats, dim=1), there.repeat_interleave(repeats, dim=1)
    gaps = torch.rand(clean.shape, generator=generator) < 0.1 * (torch.rand(n, 1, generator=generator) < 0.1)
    values = clean + sd * torch.randn(clean.shape, generator=generator)
    return values, there & ~gaps, sd


def _descend(
    model: torch.nn.Module,
    parts: Sequence[Measurement],
    simulated: Float[Tensor, "n d"],
    goal: Float[Tensor, "n k"],
    center: Float[np.ndarray, " d"],
    spread: Float[np.ndarray, " d"],
    study: Study,
    settings: Settings,
    folder: Path,
    resume: bool,
    progress: TrainingProgress | None,
    stage: Callable[[int], None],
) -> None:
    """Minimise the posterior's negative log density. A step depends on its number and the seed alone."""
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, betas=(0.9, 0.98), weight_decay=1e-3)
    average = WeightAverage(model, 0.998)
    signature = json.dumps([to_plain(settings), network_digest(study.network), [part.target for part in parts]])
    checkpoint = Checkpoint(_checkpoint(folder) / "checkpoint.pt", signature, other="another network or other settings")
    first = _resume(checkpoint, model, optimizer, average) if resume else 0
    every = min(500, max(1, settings.steps // 4))
    generator = torch.Generator()
    center_, spread_ = center.astype(np.float32), spread.astype(np.float32)
    stages = {math.ceil(share * settings.steps) for share in STAGES if settings.steps > 1}
    for step in range(first, settings.steps):
        if step in stages:  # behind the checkpoint of this step, so that an interruption here costs no steps
            with average.applied():
                stage(step)
            model.train()
        generator.manual_seed(settings.seed * 1_000_003 + step)
        rows = torch.randint(len(simulated), (settings.batch,), generator=generator)
        values, there, sd = draw_batch(parts, simulated[rows], generator)
        loss = -model(*features(parts, center_, spread_, values, there, sd)).log_prob(goal[rows]).mean()
        set_rate(optimizer, settings.rate * min(1.0, (step + 1) / 100) * half_cosine(step / settings.steps))
        value = descend(loss, optimizer, clip=1.0, where=f"step {step}")
        average.update(step)
        if progress:
            progress(step + 1, settings.steps, value)
        if (step + 1) % every == 0 and step + 1 < settings.steps:
            _keep(checkpoint, step + 1, model, optimizer, average)
    average.copy_to(model)


def _checkpoint(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.training")


def _keep(
    checkpoint: Checkpoint, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage
) -> None:
    try:
        checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write({
            "step": step, "model": on_cpu(model.state_dict()), "optimizer": optimizer.state_dict(),
            "average": on_cpu(average.state),
        })  # fmt: skip
    except (OSError, TrainingError) as error:
        raise WriteError(f"{checkpoint.path.parent}: cannot be written: {error}") from error


def _resume(
    checkpoint: Checkpoint, model: torch.nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage
) -> int:
    """Steps that are done already. A checkpoint of another training, or a damaged one, does not count."""
    if not checkpoint.exists:
        return 0
    try:
        with checkpoint.reading() as content:
            model.load_state_dict(content["model"])
            optimizer.load_state_dict(content["optimizer"])
            average.state = dict(content["average"])
            return int(content["step"])
    except TrainingError as error:
        log.warning("%s Training from the beginning.", error)
        return 0
