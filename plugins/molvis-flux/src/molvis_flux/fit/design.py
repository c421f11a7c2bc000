"""Which tracers and fragments determine the fluxes of interest best, before anything is measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_core.errors import did_you_mean
from molvis_core.progress import Progress
from molvis_core.ties import TIE, ascending
from molvis_flux.errors import FitError
from molvis_flux.fit.intervals import PRIOR_SHARE
from molvis_flux.fit.observation import labelling
from molvis_flux.model.network import Datum, Experiment, Network, Study, Tracer
from molvis_flux.sampling.interior import barrier, middle
from molvis_flux.sampling.prior import sample
from molvis_flux.space.coordinates import Coordinates, Name, coordinates
from molvis_flux.space.flux_space import FluxSpace, flux_space

Tracers = Mapping[str, Tracer]


@dataclass(frozen=True, slots=True)
class Option:
    """A tracer, or one more fragment, and what it is worth, averaged over fluxes drawn from the space.

    Attributes:
        name: for people, such as `Glc 50% 100000 + 50% 111111`; or a fragment's.
        tracers: by source; those chosen, for a fragment.
        gain: D-criterion: information on the fluxes that matter, in bits for each of them.
        left: A-criterion: mean of their standard deviations, as shares of those without data.
    """

    name: str
    tracers: Tracers
    gain: float
    left: float


@dataclass(frozen=True, slots=True)
class Design:
    """Options, best first.

    Attributes:
        tracers: each with all fragments measured.
        experiments: parallel experiments, in the order in which to add them; numbers are those of all up to there.
        fragments: in the order in which to add them, under the best tracer; numbers are those of all up to there.
        fluxes: what matters.
    """

    tracers: tuple[Option, ...]
    experiments: tuple[Option, ...]
    fragments: tuple[Option, ...]
    fluxes: tuple[tuple[str, str], ...]


def design(
    study: Study,
    *,
    fluxes: Sequence[tuple[str, str]] = (),
    candidates: Sequence[Tracers] = (),
    fragments: Sequence[str] = (),
    sd: float = 0.01,
    criterion: str = "D",
    experiments: int = 2,
    draws: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Design:
    """Rank tracers, their mixtures, pairs of experiments, and fragments.

    The information that an experiment would give is computed to first order at fluxes drawn from the space, so that no
    guess of the true fluxes is needed, and added to what the constraints determine already.

    Args:
        study: network; its experiments do not count.
        fluxes: `(kind, reaction)` that matter; all net fluxes where none is given.
        candidates: tracers by source. Where none is given: each source with one atom labelled, the first two, or all;
            then mixtures of the four best, and of the best with the unlabelled molecule.
        fragments: that could be measured; all of the network where none is given.
        sd: standard deviation of a fraction.
        criterion: `D` (information) or `A` (standard deviations).
        experiments: how many parallel ones to choose.
        draws: fluxes to average over.
        seed: of the draws.
        progress: called with the candidates done and in all.

    Raises:
        FluxSpaceError: no flux vector is possible, or some flux has no limit.
        FitError: an unknown flux or fragment, no source to label, or a criterion that does not exist.
    """
    network = study.network
    _check(criterion, sd=sd, draws=draws, experiments=experiments)
    names = _measurable(network, fragments)
    space = flux_space(network)
    matter = _that_matter(network, space, fluxes)
    judge = _Judge(network, space, coordinates(space, [], {}), matter, names, sd, draws, seed)
    pure, totals = _weighed(judge, candidates, criterion, progress)
    order = _ordered([judge.rank(total, criterion) for total in totals])
    ranked = tuple(Option(_label(pure[i]), pure[i], *judge.worth(totals[i])) for i in order)
    parallel = [
        Option(_label(pure[i]), pure[i], *worth)
        for i, worth in _greedy(judge, totals, criterion, min(experiments, len(pure)), again=True)
    ]
    first = pure[order[0]]
    seen = judge.information(first)
    added = [
        Option(names[f], first, *worth)
        for f, worth in _greedy(judge, [seen[:, f] for f in range(len(names))], criterion, len(names), again=False)
    ]
    return Design(ranked, tuple(parallel), tuple(added), matter)


def _check(criterion: str, **positive: float) -> None:
    """Raise unless the settings of a design mean something."""
    if criterion not in ("A", "D"):
        raise FitError(f"the criterion must be 'A' or 'D', got {criterion!r}")
    for name, number in positive.items():
        if not number > 0:
            raise FitError(f"{name} must be positive, got {number}")


def _weighed(
    judge: _Judge, candidates: Sequence[Tracers], criterion: str, progress: Progress | None
) -> tuple[list[Tracers], list[Float[np.ndarray, "n k k"]]]:
    """Tracers and their information, with all fragments measured; where none are given, pure ones and mixtures."""
    network = judge.network
    pure = list(candidates) or _pure(network)
    if not pure:
        raise FitError(f"{network.name or 'the network'} has no source with traced atoms that could be labelled")
    totals: list[np.ndarray] = []
    for i, tracers in enumerate(pure):
        totals.append(judge.information(tracers).sum(axis=1))
        if progress:
            progress(i + 1, len(pure))
    if not candidates:
        best = _ordered([judge.rank(total, criterion) for total in totals])[:4]
        mixed = _mixtures(network, [pure[i] for i in best])
        totals += [judge.information(tracers).sum(axis=1) for tracers in mixed]
        pure += mixed
    return pure, totals


def _measurable(network: Network, fragments: Sequence[str]) -> list[str]:
    """Names of fragments that could be measured."""
    names = list(fragments) or [name for name, fragment in network.fragments.items() if fragment.kind == "ms"]
    for name in names:
        if name not in network.fragments:
            raise FitError(f"no fragment {name!r}.{did_you_mean(name, network.fragments)}")
    if not names:
        raise FitError(f"{network.name or 'the network'} has no fragment that could be measured")
    return names


def _that_matter(network: Network, space: FluxSpace, fluxes: Sequence[Name]) -> tuple[Name, ...]:
    """Fluxes that matter, each of which the constraints leave open."""
    known = {p for p, width in zip(space.parameters, np.ptp(space.ranges, axis=1), strict=True) if width > 0}
    for flux in fluxes:
        if flux not in space.parameters:
            raise FitError(f"no flux {'/'.join(flux)}.{did_you_mean(flux[1], network.reactions)}")
        if flux not in known:
            raise FitError(f"the constraints fix {'/'.join(flux)} already; nothing has to be measured for it")
    return tuple(fluxes) or tuple(p for p in space.parameters if p[0] == "net" and p in known)


def _greedy(
    judge: _Judge, options: Sequence[Float[np.ndarray, "n k k"]], criterion: str, count: int, *, again: bool
) -> Iterator[tuple[int, tuple[float, float]]]:
    """Options one by one, each that which adds most to those before, and what all up to there are worth.

    Args:
        judge: of their information.
        options: information of each.
        criterion: `D` or `A`.
        count: of how many.
        again: an option may be taken more than once.
    """
    so_far, left = np.zeros_like(options[0]), list(range(len(options)))
    for _ in range(count):
        i = left[_ordered([judge.rank(so_far + options[option], criterion) for option in left])[0]]
        so_far = so_far + options[i]
        if not again:
            left.remove(i)
        yield i, judge.worth(so_far)


def _ordered(ranks: Sequence[float]) -> list[int]:
    """Which is the best, and so on; of those as good, as tracers of a symmetric molecule are, the first given."""
    values = np.array(ranks)
    return ascending(values, TIE * max(1.0, float(np.abs(values).max()))).tolist()


class _Judge:
    """The information of labelling about some fluxes."""

    def __init__(
        self,
        network: Network,
        space: FluxSpace,
        map_: Coordinates,
        matter: Sequence[tuple[str, str]],
        fragments: Sequence[str],
        sd: float,
        draws: int,
        seed: int,
    ) -> None:
        self.network, self.space, self.map, self.fragments, self.sd = network, space, map_, fragments, sd
        self.values = sample(space, draws, seed)
        self.slopes = map_.slopes(map_.points(self.values))
        self.prior = PRIOR_SHARE * barrier(map_, middle(map_, space))
        directions = map_.directions[[map_.names.index(name) for name in matter]]
        before = directions @ np.linalg.solve(self.prior, directions.T)
        self.directions = directions / np.sqrt(np.diag(before))[:, None]
        # Fluxes that matter may follow from each other: information counts for independent combinations of them.
        scaled = self.directions @ np.linalg.inv(np.linalg.cholesky(self.prior)).T
        _, s, turn = np.linalg.svd(scaled, full_matrices=False)
        self.independent = turn[s > 1e-6 * s[0]] @ np.linalg.cholesky(self.prior).T

    def information(self, tracers: Tracers) -> Float[np.ndarray, "n f k k"]:
        """Of each fragment, at each draw."""
        data = tuple(Datum(name, "mid", (0.0,), (self.sd,)) for name in self.fragments)
        experiment = Experiment("design", dict(tracers), data)
        plain = replace(self.network, fragments={n: replace(f, mix=()) for n, f in self.network.fragments.items()})
        simulated = labelling(plain, self.space, [(experiment, datum) for datum in data], {})
        _, slope = simulated.tangents(self.values, self.map.directions)
        slope = slope * self.slopes[:, None, :] / self.sd
        assert simulated.plan is not None
        slots = [simulated.plan.slot("design", name) for name in self.fragments]
        return np.stack([slope[:, slot].transpose(0, 2, 1) @ slope[:, slot] for slot in slots], axis=1)

    def worth(self, information: Float[np.ndarray, "n k k"]) -> tuple[float, float]:
        """Gain in bits for each independent flux, and the mean share of the standard deviations that is left."""
        spread = np.linalg.inv(self.prior + information)
        left = np.sqrt(np.einsum("ik,nkl,il->ni", self.directions, spread, self.directions, optimize=True)).mean()
        _, size = np.linalg.slogdet(self.independent @ spread @ self.independent.T)
        return float(-0.5 * size.mean() / np.log(2) / len(self.independent)), float(left)

    def rank(self, information: Float[np.ndarray, "n k k"], criterion: str) -> float:
        """Smaller is better."""
        gain, left = self.worth(information)
        return -gain if criterion == "D" else left


def _pure(network: Network) -> list[Tracers]:
    out: list[Tracers] = []
    for name, metabolite in network.metabolites.items():
        size = len(metabolite.elements)
        if metabolite.role != "source" or not size:
            continue
        patterns = ["".join("1" if i == j else "0" for j in range(size)) for i in range(size)]
        patterns += ["11" + "0" * (size - 2)] if size > 2 else []
        patterns += ["1" * size] if size > 1 else []
        out += [{name: Tracer(((pattern, 1.0),))} for pattern in patterns]
    return out


def _mixtures(network: Network, best: Sequence[Tracers]) -> list[Tracers]:
    """Two of the best together: of one source in three proportions, of two sources side by side."""
    out: list[Tracers] = []
    for one, two in itertools.combinations(best, 2):
        (source, a), (other, b) = next(iter(one.items())), next(iter(two.items()))
        if source != other:
            out.append({source: a, other: b})
            continue
        for share in (0.25, 0.5, 0.75):
            pair = ((a.isotopomers[0][0], share), (b.isotopomers[0][0], 1 - share))
            out.append({source: Tracer(pair)})
    source, tracer = next(iter(best[0].items()))
    bare = "0" * len(network.metabolites[source].elements)
    return out + [{source: Tracer(((tracer.isotopomers[0][0], share), (bare, 1 - share)))} for share in (0.2, 0.5)]


def _label(tracers: Tracers) -> str:
    def mixture(tracer: Tracer) -> str:
        if len(tracer.isotopomers) == 1:
            return tracer.isotopomers[0][0]
        return " + ".join(f"{share:.0%} {pattern}" for pattern, share in tracer.isotopomers)

    return ", ".join(f"{source} {mixture(tracer)}" for source, tracer in tracers.items())
