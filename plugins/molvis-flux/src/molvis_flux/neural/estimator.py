"""A trained neural estimator of fluxes: what it may be given, how it is kept, and how it is opened again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molvis_core.errors import BundleError, WriteError, did_you_mean
from molvis_files.digests import file_sha256
from molvis_files.documents import to_plain
from molvis_files.folders import FolderFormat
from molvis_files.locking import sole_writer
from molvis_files.writing import replacing_folder
from molvis_flux.errors import EstimatorError
from molvis_flux.labelling.stationary import Plan, compile_plan
from molvis_flux.model.network import Datum, Experiment, Metabolite, Network, Reaction, Study
from molvis_flux.neural.network import Mixture, SetEncoder
from molvis_flux.neural.transform import Copula
from molvis_flux.space.flux_space import FluxSpace, flux_space

FOLDER = FolderFormat(
    "estimator",
    "estimator.toml",
    2,
    BundleError,
    make="molvis flux train makes one",
    mend="Train it anew, or copy it again from where it is whole",
    sealed_from=2,
    distribution="molvis-flux",
)
"""Format 1 had no checksum."""

MISSING = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Shares of missing measurements at which intervals are calibrated."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an estimator is trained.

    Attributes:
        noise: least and greatest standard deviation of a mass isotopomer fraction.
        steps, batch: of the training.
        simulations: flux vectors; each is seen with many draws of noise and of missing measurements.
        width, depth, components: of the network; no components means as many as suit the number of free fluxes.
        rate: greatest learning rate.
        seed: of everything that is drawn.
        ensemble_cases: held-out fluxes at each share of missing measurements on which the intervals of `ensemble` are
            calibrated, where that is the method: each takes as long as an estimate. 0: they are not.
    """

    noise: tuple[float, float] = (0.001, 0.03)
    steps: int = 5000
    batch: int = 512
    simulations: int = 200_000
    width: int = 192
    depth: int = 3
    components: int = 0
    rate: float = 1e-3
    seed: int = 0
    ensemble_cases: int = 24


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something that may be measured.

    Attributes:
        experiment: name of the labelling experiment.
        target: a fragment, or a reaction whose flux is measured.
        kind: `mid`, `net` or `exchange`.
        start, stop: its place in a vector of data, one past the end.
        noise: least and greatest standard deviation in training.
    """

    experiment: str
    target: str
    kind: str
    start: int
    stop: int
    noise: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Data:
    """Measurements in an estimator's order. Axis d runs over their numbers.

    Attributes:
        values: 0 where missing.
        sd: standard deviations; 1 where missing.
        there: which numbers were measured.
        notes: what is unusual about them, one sentence each.
    """

    values: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    there: Bool[np.ndarray, " d"]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Estimator:
    """A network's posterior, learned. Made by `molvis_flux.neural.training.train`, opened by `load_estimator`.

    Attributes:
        study: the network, and its experiments with their tracers.
        settings: of the training.
        copula: coordinates of the posterior.
        model: the neural network.
        center, spread: of each number of a vector of data, over the training's fluxes.
        free: `(kind, reaction)` of the coordinates.
        calibration: by interval level, factors by which the neural posterior's intervals are widened: rows of
            `MISSING`, columns of the space's parameters; for those of `ensemble` by `ensemble/` and the level.
        metrics: of the training; `steps` are those done.
    """

    study: Study
    settings: Settings
    copula: Copula
    model: SetEncoder
    center: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    free: tuple[tuple[str, str], ...]
    calibration: dict[str, Float[np.ndarray, "l v"]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @functools.cached_property
    def space(self) -> FluxSpace:
        """Of the network's fluxes."""
        return flux_space(self.study.network, free=self.free)

    @functools.cached_property
    def plan(self) -> Plan:
        """The simulation of every fragment of every experiment."""
        return compile_plan(self.study.network, self.study.experiments)

    @functools.cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """What may be measured, in the order of a vector of data."""
        return measurements(self.study, self.plan, self.settings.noise)

    @property
    def complete(self) -> bool:
        """Whether the training has ended; one that has not writes estimators that can be used, too."""
        return self.metrics.get("steps", self.settings.steps) >= self.settings.steps

    def simulate(self, theta: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Vectors of data without noise, of coordinates of the space."""
        return simulate(self.space, self.plan, self.measurements, self.space.values(theta))

    def posterior(self, data: Sequence[Data]) -> Mixture:
        """The neural posterior over the copula's coordinates, a row for each sample. Nothing exact about it."""
        values, there, sd = (np.stack([getattr(d, name) for d in data]) for name in ("values", "there", "sd"))
        inputs = features(self.measurements, self.center, self.spread, *map(torch.from_numpy, (values, there, sd)))
        with torch.inference_mode():
            return self.model.eval()(*inputs)


def measurements(study: Study, plan: Plan, noise: tuple[float, float]) -> tuple[Measurement, ...]:
    """Fragments of all experiments as the plan has them, then the fluxes that the study has data of."""
    out = [Measurement(s.experiment, s.fragment, "mid", s.start, s.stop, noise) for s in plan.layout]
    end, seen = plan.size, set[tuple[str, str]]()
    for experiment in study.experiments:
        for datum in experiment.data:
            if datum.kind in ("net", "exchange") and (datum.kind, datum.target) not in seen:
                seen.add((datum.kind, datum.target))
                sd = datum.sd[0]
                out.append(Measurement(experiment.name, datum.target, datum.kind, end, end + 1, (sd / 3, 3 * sd)))
                end += 1
    return tuple(out)


def simulate(
    space: FluxSpace,
    plan: Plan,
    parts: Sequence[Measurement],
    values: Float[np.ndarray, "n v"],
    dtype: Any = np.float64,
) -> Float[np.ndarray, "n d"]:
    """Vectors of data without noise, of values of the space."""
    labelling = plan.simulate(*space.net_and_exchange(values), dtype=dtype)
    fluxes = [space.index[part.kind, part.target] for part in parts if part.kind != "mid"]
    return np.concatenate([labelling, values[:, fluxes].astype(dtype)], axis=1) if fluxes else labelling


def features(
    parts: Sequence[Measurement],
    center: Float[np.ndarray, " d"],
    spread: Float[np.ndarray, " d"],
    values: Float[Tensor, "n d"],
    there: Bool[Tensor, "n d"],
    sd: Float[Tensor, "n d"],
) -> tuple[Float[Tensor, "n f c"], Float[Tensor, "n f c"], Float[Tensor, "n f"]]:
    """Vectors of data as the network takes them: standardised, a row for each measurement, 0 where missing."""
    place, used = _padding(tuple((part.start, part.stop) for part in parts))
    scaled = (values - torch.from_numpy(center)) / torch.from_numpy(spread)
    known = there[:, place] & used
    standard = torch.where(known, scaled[:, place], torch.zeros((), dtype=scaled.dtype)).float()
    limits = torch.log(torch.tensor([part.noise for part in parts], dtype=torch.float64))
    log_sd = torch.where(known, torch.log(sd)[:, place], torch.zeros((), dtype=torch.float64)).sum(-1)
    log_sd = (log_sd / known.sum(-1).clamp(min=1)).clamp(limits[:, 0], limits[:, 1])
    noise = (log_sd - limits.mean(-1)) / (limits[:, 1] - limits[:, 0]).clamp(min=0.1) * 3
    return standard, known.float(), torch.where(known.any(-1), noise, torch.zeros_like(noise)).float()


@functools.cache
def _padding(ends: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor]:
    """Where each channel of each measurement is in a vector of data, and which channels there are."""
    width = max(stop - start for start, stop in ends)
    place = torch.tensor([[min(start + c, stop - 1) for c in range(width)] for start, stop in ends])
    used = torch.tensor([[start + c < stop for c in range(width)] for start, stop in ends])
    return place, used


def collect(estimator: Estimator, study: Study) -> Data:
    """The data of a study, in the order of an estimator.

    Args:
        estimator: trained for the study's network and tracers.
        study: any of its measurements may be missing.

    Raises:
        EstimatorError: the network, a tracer or a fragment is not what the estimator was trained for; data that need
            correction first; or there are none.
    """
    check_network(estimator, study.network)
    catalogue = _Catalogue(estimator)
    size = estimator.measurements[-1].stop
    values, sd, there, notes = np.zeros(size), np.ones(size), np.zeros(size, dtype=bool), list[str]()
    for experiment in study.experiments:
        for datum in experiment.data:
            place = datum.where or f"experiment {experiment.name!r}"
            part = catalogue.find(experiment, datum, place)
            given, errors, use = _checked_numbers(datum, part, place)
            rows = slice(part.start, part.stop)
            values[rows], sd[rows], there[rows] = np.where(use, given, 0), np.where(use, errors, 1), use
            low, high = part.noise
            if use.any() and not low / 1.5 <= np.median(errors[use]) <= high * 1.5:
                notes.append(
                    f"{place}: {datum.target!r} has a standard deviation of {np.median(errors[use]):.2g}; the training "
                    f"had {low:.2g} to {high:.2g}"
                )
    if not there.any():
        raise EstimatorError("no measurement in the data; at least one fragment or flux is expected")
    return Data(values, sd, there, tuple(notes))


class _Catalogue:
    """What an estimator was trained for, by name.

    Args:
        estimator: whose measurements these are.
    """

    def __init__(self, estimator: Estimator) -> None:
        self._estimator, self._measurements = estimator, estimator.measurements
        self._mids = {(m.experiment, m.target): m for m in self._measurements if m.kind == "mid"}
        self._fluxes = {(m.target, m.kind): m for m in self._measurements if m.kind != "mid"}

    def find(self, experiment: Experiment, datum: Datum, place: str) -> Measurement:
        """The measurement that a datum is of.

        Raises:
            EstimatorError: the estimator was not trained for it.
        """
        if datum.kind == "pool" or datum.time is not None:
            raise EstimatorError(f"{place}: the estimator is for the stationary state; fit this with flux-fit")
        if datum.kind == "mid":
            check_experiment(self._estimator, experiment, place)
            part = self._mids.get((experiment.name, datum.target))
        else:
            part = self._fluxes.get((datum.target, datum.kind))
        if part is None:
            names = [m.target for m in self._measurements if m.kind == datum.kind]
            raise EstimatorError(
                f"{place}: {datum.kind} of {datum.target!r} is not among what the estimator was trained for."
                f"{did_you_mean(datum.target, names)} Known: {', '.join(dict.fromkeys(names)) or 'none'}"
            )
        return part


def _checked_numbers(
    datum: Datum, part: Measurement, place: str
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"], Bool[np.ndarray, " d"]]:
    """Values of a datum, their standard deviations, and which were measured.

    Raises:
        EstimatorError: too few or too many of them, data that need correction first, or a standard deviation that is
            not positive.
    """
    given, errors = np.array(datum.values), np.array(datum.sd)
    if len(given) != part.stop - part.start or len(errors) != len(given):
        raise EstimatorError(
            f"{place}: {datum.target!r} has {len(given)} values and {len(errors)} standard deviations; "
            f"{part.stop - part.start} of each are expected"
        )
    if datum.scaled or not datum.corrected:
        what = "in arbitrary units" if datum.scaled else "not corrected for natural abundance"
        raise EstimatorError(f"{place}: {datum.target!r} is {what}; correct it first, or fit it with flux-fit")
    use = np.isfinite(given)
    if not (np.isfinite(errors[use]) & (errors[use] > 0)).all():
        raise EstimatorError(
            f"{place}: {datum.target!r} has standard deviations {list(datum.sd)}; positive ones are expected"
        )
    return given, errors, use


def check_experiment(estimator: Estimator, experiment: Experiment, place: str) -> None:
    """That an experiment is one of the training, with the same tracers.

    Raises:
        EstimatorError: it is not; the message begins with `place`.
    """
    known = {e.name: e for e in estimator.study.experiments}
    trained = known.get(experiment.name)
    if trained is None:
        raise EstimatorError(
            f"{place}: no experiment {experiment.name!r} in the training.{did_you_mean(experiment.name, known)} "
            f"Known: {', '.join(known)}"
        )
    for source in trained.tracers.keys() | experiment.tracers.keys():
        if trained.tracers.get(source) != experiment.tracers.get(source):
            raise EstimatorError(
                f"{place}: the tracer of {source!r} is {experiment.tracers.get(source)}; the training had "
                f"{trained.tracers.get(source)}. Train an estimator for this tracer"
            )


def network_digest(network: Network) -> str:
    """SHA-256 of all that fluxes and labelling depend on: not of lines of files, names for people, or fragments."""
    parts = [
        *(_bare(m) for m in sorted(network.metabolites.values(), key=lambda m: m.name)),
        *(_bare(r) for r in network.reactions.values()),
        *(dataclasses.replace(c, where="", name="") for c in network.constraints),
    ]
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


def _bare(part: Metabolite | Reaction) -> Metabolite | Reaction:
    """A part of a network without what neither fluxes nor labelling depend on."""
    if isinstance(part, Metabolite):
        return dataclasses.replace(part, formula="")
    return dataclasses.replace(part, where="", exchange=part.exchange if part.reversible else (0.0, 0.0))


def check_network(estimator: Estimator, network: Network) -> None:
    """That data belong to the network that an estimator was trained for.

    Raises:
        EstimatorError: they do not; the message names the first difference.
    """
    mine = estimator.study.network
    if network_digest(mine) == network_digest(network):
        for name, fragment in mine.fragments.items():
            other = network.fragments.get(name)
            if other is not None and dataclasses.replace(other, where="") != dataclasses.replace(fragment, where=""):
                raise EstimatorError(f"fragment {name!r} is not the one of the training: {other} against {fragment}")
        return
    for what in ("reactions", "metabolites"):
        ours, theirs = getattr(mine, what), getattr(network, what)
        for name in [*ours, *theirs]:
            a, b = (_bare(part[name]) if name in part else None for part in (ours, theirs))
            if a != b:
                raise EstimatorError(
                    f"the estimator was trained for another network: {what[:-1]} {name!r} is {b or 'absent'} here, and "
                    f"{a or 'absent'} there. Train one for this network with `molvis flux train`"
                )
    raise EstimatorError(
        "the estimator was trained for a network with other constraints or another order of reactions. Train one for "
        "this network with `molvis flux train`"
    )


def without_data(study: Study) -> Study:
    """A study with what is measured in its experiments, without results, as a training needs it."""
    return dataclasses.replace(study, notes=(), fluxes={}, pools={})


def save_estimator(estimator: Estimator, folder: Path | str) -> None:
    """Write an estimator: `estimator.toml`, `study.toml` and `weights.safetensors`. No code is in any of them.

    Raises:
        WriteError: the folder cannot be written; what was there before is kept.
    """
    from safetensors.torch import save_file

    from molvis_flux.formats.writers import write_study

    path = Path(folder)
    tensors = {f"model/{name}": t.detach().contiguous().clone() for name, t in estimator.model.state_dict().items()}
    tensors |= {
        name: torch.from_numpy(np.ascontiguousarray(array))
        for name, array in (
            ("knots", estimator.copula.knots), ("logs", estimator.copula.logs), ("g", estimator.copula.g),
            ("h", estimator.copula.h), ("center", estimator.center), ("spread", estimator.spread),
            *((f"calibration/{level}", factors) for level, factors in estimator.calibration.items()),
        )
    }  # fmt: skip
    try:
        with sole_writer(path), replacing_folder(path) as fresh:
            save_file(tensors, fresh / "weights.safetensors")
            write_study(fresh / "study.toml", estimator.study)
            about = {
                "network": estimator.study.network.name,
                "network_digest": network_digest(estimator.study.network),
                "weights": file_sha256(fresh / "weights.safetensors"), "study": file_sha256(fresh / "study.toml"),
                "components": estimator.model.components, "free": [list(pair) for pair in estimator.free],
                "settings": to_plain(estimator.settings),
                "metrics": estimator.metrics,
            }  # fmt: skip
            FOLDER.write(fresh, about)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def load_estimator(folder: Path | str) -> Estimator:
    """Open an estimator.

    Raises:
        BundleError: none is there, or it is damaged, or of a newer molvis.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from molvis_flux.formats import read_study

    path = Path(folder)
    about = FOLDER.read(path)
    try:
        weights = path / "weights.safetensors"
        if file_sha256(weights) != about["weights"]:
            raise BundleError(f"{weights}: damaged: its digest is not the one in estimator.toml")
        tensors = load_file(weights)
        study = read_study(path / "study.toml")
        if network_digest(study.network) != about["network_digest"]:
            raise BundleError(f"{path / 'study.toml'}: its network is not the one the estimator was trained for")
        if about["format"] > 1 and file_sha256(path / "study.toml") != about["study"]:
            raise BundleError(f"{path / 'study.toml'}: damaged: its digest is not the one in estimator.toml")
        given: dict[str, Any] = dict(_renamed(about["settings"]))
        given["noise"] = tuple(given["noise"])
        settings = Settings(**given)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith("model/")}
        copula = Copula(arrays["knots"], arrays["logs"], arrays["g"], arrays["h"])
        parts = measurements(study, compile_plan(study.network, study.experiments), settings.noise)
        model = make_model(parts, len(copula), settings)
        model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
        calibration = {
            n.removeprefix("calibration/"): array
            for n, array in _renamed(arrays).items()
            if n.startswith("calibration/")
        }
        free = tuple((str(kind), str(name)) for kind, name in about["free"])
        return Estimator(
            study, settings, copula, model.eval(), arrays["center"], arrays["spread"], free, calibration,
            about["metrics"],
        )  # fmt: skip
    except (OSError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"{path}: damaged: {error}") from error


def _renamed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What an older version stored, by the present names: it called the ensemble `walkers`."""
    old = "calibration/walkers/"
    names = {"walked": "ensemble_cases"} | {n: n.replace(old, "calibration/ensemble/") for n in stored if old in n}
    return {names.get(name, name): value for name, value in stored.items()}


def make_model(parts: Sequence[Measurement], coordinates: int, settings: Settings) -> SetEncoder:
    """The neural network of some settings, its weights drawn from their seed."""
    components = settings.components or (8 if coordinates <= 6 else 4 if coordinates <= 20 else 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return SetEncoder(
            len(parts), max(part.stop - part.start for part in parts), coordinates, width=settings.width,
            depth=settings.depth, components=components,
        )  # fmt: skip
