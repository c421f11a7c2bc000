"""How the network from molecules to shifts learns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import TrainingError
from molvis_nmr_shifts.prediction.graphs import collate
from molvis_nmr_shifts.prediction.lessons import Lesson, Signal, Targets, guess, targets_of
from molvis_nmr_shifts.prediction.network import ShiftNetwork
from molvis_nn.loop import (
    Checkpoint,
    TrainingState,
    WeightAverage,
    decay_groups,
    descend,
    on_cpu,
    seed_step,
    set_rate,
    warmup_cosine,
)

_BATCH = 48
_RATE = 2e-3
_UNIT = (2.0, 0.2)
"""In ppm, of 13C and 1H: errors of this size count alike."""
_WIDTH_WEIGHT = 0.3
_AIMS = {"val_mae_13C": 1.6, "val_mae_1H": 0.18}
"""In ppm: errors of these sizes count alike when the best epoch is chosen."""
_UNNAMED = 0.5
"""How often a solvent is hidden: predictions without one are asked for most."""


NORMAL_QUANTILE = 1.6448536269514722
"""A normal distribution holds 90% of its values within as many standard deviations."""
_LAPLACE = math.log(10) / NORMAL_QUANTILE


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast.

    Attributes:
        epochs: passes over the molecules.
        guess_after: epochs after which signals without atoms are given some; again every `guess_every`.
        guess_every: epochs between.
    """

    epochs: int = 20
    guess_after: int = 5
    guess_every: int = 5


def predict(network: ShiftNetwork, lessons: Sequence[Lesson], batch: int = 256) -> list[tuple[np.ndarray, np.ndarray]]:
    """Shifts and scales of the atoms of each lesson."""
    was = network.training
    network.eval()
    out: list[tuple[np.ndarray, np.ndarray]] = []
    with torch.no_grad():
        for start in range(0, len(lessons), batch):
            some = lessons[start : start + batch]
            shifts, scales = network(collate([one.graph for one in some], [one.solvent for one in some]))
            ends = np.cumsum([len(one.graph.atoms) for one in some])[:-1]
            out += list(zip(np.split(shifts.numpy(), ends), np.split(scales.numpy(), ends), strict=True))
    network.train(was)
    return out


def loss_of(shifts: Float[Tensor, "a 3"], scales: Float[Tensor, "a 2"], targets: Targets) -> Float[Tensor, ""]:
    """Absolute errors in units of each nucleus, and a Laplace likelihood of the scales.

    The errors that the scales are fitted to pass no gradient on, so that atoms which are hard to predict do not lose
    their say in the shifts.
    """
    off = (shifts - targets.shifts).abs()
    total = shifts.new_zeros(())
    for nucleus, columns in ((0, [0]), (1, [1, 2])):
        weight = targets.weights[:, columns]
        error, scale = off[:, columns], scales[:, [nucleus]]
        wide = torch.log(scale / _UNIT[nucleus]) + error.detach() / scale
        total = total + (weight * (error / _UNIT[nucleus] + _WIDTH_WEIGHT * wide)).sum() / len(columns)
    return total / targets.weights[:, :2].sum().clamp(min=1.0)


def learn(
    network: ShiftNetwork,
    lessons: Sequence[Lesson],
    held_out: Sequence[Lesson],
    course: Course,
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
    checkpoint: Path | None = None,
    stop_at: float = math.inf,
) -> dict[str, float]:
    """Train a network; the epoch whose errors on the held-out lessons are least is kept.

    Args:
        network: to train, in place.
        lessons: to learn from.
        held_out: to judge by; where there are none, the last epoch is kept.
        course: how long.
        seed: of everything drawn.
        progress: called with the number of epochs done.
        checkpoint: a folder; the same call goes on from what an interrupted one left there.
        stop_at: `time.monotonic` after which it stops at the end of an epoch, to go on later.

    Returns:
        Mean absolute errors over signals whose atoms are known, `val_mae_13C` and `val_mae_1H`, in ppm.

    Raises:
        TrainingError: no signal has atoms.
    """
    usable = [one for one in lessons if one.guessed]
    if not usable:
        raise TrainingError("shift-matching: there is no signal whose atoms are known to learn shifts from")
    optimizer = torch.optim.AdamW(decay_groups([network], 0.01), lr=_RATE)
    average = WeightAverage(network, 0.999)
    state = TrainingState(network, optimizer, average, lower=True)
    guesser: dict[str, Tensor] = {}
    kept = Checkpoint(checkpoint / "network.pt", f"{course}\n{len(lessons)}") if checkpoint else None
    if kept and kept.exists:
        with kept.reading() as content:
            state.restore(content)
            guesser = dict(content["guesser"])
            _guess_by(guesser, network, lessons)
    while state.epoch < course.epochs:
        if _guesses(state.epoch, course):
            with average.applied():
                guesser = on_cpu(network.state_dict())
            _guess_by(guesser, network, lessons)
        _epoch(network, [one for one in lessons if one.guessed], optimizer, average, course, state.epoch, seed)
        state.epoch += 1
        with average.applied():
            found = errors(network, held_out)
            state.judged(sum(found[name] / aim for name, aim in _AIMS.items() if name in found) or -state.epoch)
        progress(state.epoch)
        if kept:
            kept.write({**state.content(), "guesser": guesser})
        if time.monotonic() > stop_at:
            break
    network.load_state_dict(state.kept)
    return errors(network, held_out)


def _guesses(epoch: int, course: Course) -> bool:
    late = epoch - course.guess_after
    return late >= 0 and late % course.guess_every == 0


def _guess_by(weights: Mapping[str, Tensor], network: ShiftNetwork, lessons: Sequence[Lesson]) -> None:
    """Give signals atoms by the predictions of the network with other weights; none where there are no weights."""
    if not weights:
        return
    own = on_cpu(network.state_dict())
    network.load_state_dict(weights)
    for one, (shifts, scales) in zip(lessons, predict(network, lessons), strict=True):
        guess(one, shifts, scales)
    network.load_state_dict(own)


def _epoch(
    network: ShiftNetwork,
    lessons: Sequence[Lesson],
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    course: Course,
    epoch: int,
    seed: int,
) -> None:
    network.train()
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lessons))
    steps = -(-len(order) // _BATCH)
    for step in range(steps):
        some = [lessons[i] for i in order[step * _BATCH : (step + 1) * _BATCH]]
        named = rng.random(len(some)) >= _UNNAMED
        at = epoch * steps + step
        seed_step(seed, at)
        set_rate(optimizer, _RATE * warmup_cosine(at, course.epochs * steps, 0.03 * course.epochs * steps))
        batch = collate([one.graph for one in some], [one.solvent * int(k) for one, k in zip(some, named, strict=True)])
        shifts, scales = network(batch)
        descend(loss_of(shifts, scales, targets_of(some)), optimizer, clip=1.0, where=f"step {at}")
        average.update(at)


def errors(network: ShiftNetwork, lessons: Sequence[Lesson]) -> dict[str, float]:
    """Mean absolute errors in ppm over the signals whose atoms are known."""
    off: dict[str, list[float]] = {"13C": [], "1H": []}
    for lesson, (shifts, _) in zip(lessons, predict(network, lessons), strict=True):
        for one in (s for s in lesson.signals if s.atoms):
            off[one.nucleus].append(abs(signal_shift(one, shifts, lesson) - one.shift))
    return {f"val_mae_{nucleus}": float(np.mean(some)) for nucleus, some in off.items() if some}


def spreads(lessons: Sequence[Lesson], predicted: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """By nucleus the factor on predicted scales that makes 1.645 of them hold 90% of the signals whose atoms are known.

    A Laplace distribution's own where there are none.
    """
    off: dict[str, list[float]] = {"13C": [], "1H": []}
    for lesson, (shifts, scales) in zip(lessons, predicted, strict=True):
        for one in (s for s in lesson.signals if s.atoms):
            scale = float(scales[list(one.atoms), int(one.nucleus == "1H")].mean())
            off[one.nucleus].append(abs(signal_shift(one, shifts, lesson) - one.shift) / scale)
    return {n: float(np.quantile(some, 0.9)) / NORMAL_QUANTILE if some else _LAPLACE for n, some in off.items()}


def signal_shift(one: Signal, shifts: np.ndarray, lesson: Lesson) -> float:
    """The predicted shift of a signal: of two hydrogens on one carbon, measured apart, the lower or the higher."""
    atoms = list(one.atoms)
    if one.nucleus == "13C":
        return float(shifts[atoms, 0].mean())
    twins = [s.shift for s in lesson.signals if s.nucleus == "1H" and s.atoms and set(s.atoms) & set(atoms)]
    both = len(twins) > 1 and all(lesson.graph.hydrogens[a] == 2 for a in atoms)
    if not both:
        return float(shifts[atoms, 1:].mean())
    return float(shifts[atoms, 1 if one.shift <= np.mean(twins) else 2].mean())
