"""What a study's experiments would show at given fluxes: from files to labelling."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError, did_you_mean
from molvis_core.text import in_cells
from molvis_files.opening import read_text
from molvis_files.writing import write_text
from molvis_flux.errors import FluxSpaceError, SimulationError
from molvis_flux.labelling.instationary import compile_instationary
from molvis_flux.labelling.stationary import Plan, compile_plan
from molvis_flux.model.network import Datum, Experiment, Network, Study, Tracer
from molvis_flux.space.flux_space import flux_space


@dataclass(frozen=True, slots=True)
class Prediction:
    """A simulated mass isotopomer distribution.

    Attributes:
        experiment, fragment: names.
        time: since the tracer was given; None in the stationary state.
        fractions: M+0, M+1, ..., or the fragment's channels; a row for each flux vector.
        channels: of a fragment that is not measured by its mass isotopomers.
    """

    experiment: str
    fragment: str
    time: float | None
    fractions: tuple[tuple[float, ...], ...]
    channels: tuple[str, ...] = ()


def predict(
    study: Study,
    net: Float[np.ndarray, "n r"],
    exchange: Float[np.ndarray, "n r"],
    *,
    times: Sequence[float] = (),
    fragments: Iterable[str] | None = None,
) -> list[Prediction]:
    """Simulate the experiments of a study.

    Args:
        study: with tracers in its experiments, and pool sizes where `times` are given.
        net: net fluxes, in the order of the network's reactions.
        exchange: exchange fluxes.
        times: of instationary labelling; without, the stationary state.
        fragments: names; instead of those that were measured.

    Raises:
        SimulationError: there is no experiment, a pool without a size, or see `compile_plan`.
    """
    if not study.experiments:
        raise SimulationError(
            f"{study.network.name!r} has no experiment, so no tracer is known. Add an experiment to the file, or give "
            "tracers"
        )
    if times:
        plan = compile_instationary(study.network, study.experiments, fragments)
        lacking = [name for name in plan.pools if name not in study.pools]
        if lacking:
            raise SimulationError(
                f"labelling in time needs pool sizes, and there is none of {', '.join(lacking)}. Add them to the file"
            )
        sizes = np.array([[study.pools[name] for name in plan.pools]] * len(net))
        found = plan.simulate(net, exchange, sizes, np.array(times, float))
    else:
        plan = compile_plan(study.network, study.experiments, fragments)
        found = plan.simulate(net, exchange)[:, None]
    kinds = study.network.fragments
    return [
        Prediction(
            slot.experiment,
            slot.fragment,
            time,
            tuple(map(tuple, found[:, t, slot.start : slot.stop].tolist())),
            kinds[slot.fragment].channels if kinds[slot.fragment].kind != "ms" else (),
        )
        for slot in plan.layout
        for t, time in enumerate(times or (None,))
    ]


def simulated_study(
    study: Study, plan: Plan, fractions: Float[np.ndarray, " d"], fluxes: Mapping[tuple[str, str], float]
) -> Study:
    """The study with what a simulation gives in place of its data.

    Data in time, in arbitrary units, or not corrected for natural abundance stay as they are; numbers that were not
    measured stay NaN.

    Args:
        study: with data.
        plan: that was simulated.
        fractions: mass isotopomers, as `Plan.simulate` returns them.
        fluxes: `(kind, reaction)` to the fluxes that were simulated.

    Raises:
        SimulationError: the plan lacks a fragment that the study has data of.
    """

    def simulated(experiment: str, datum: Datum) -> Datum:
        if datum.stationary:
            found = fractions[plan.slot(experiment, datum.target)][: len(datum.values)]
            return replace(datum, values=tuple(np.where(np.isfinite(datum.values), found, np.nan).tolist()))
        if (flux := fluxes.get((datum.kind, datum.target))) is not None:
            return replace(datum, values=(float(flux),))
        return datum

    experiments = (replace(e, data=tuple(simulated(e.name, d) for d in e.data)) for e in study.experiments)
    return replace(study, experiments=tuple(experiments))


def complete_fluxes(
    network: Network, known: Mapping[tuple[str, str], float]
) -> tuple[Float[np.ndarray, "1 r"], Float[np.ndarray, "1 r"]]:
    """All net and exchange fluxes, from those that determine the rest by the balances.

    Exchange fluxes that are not known are taken as the smallest that the network allows.

    Raises:
        SimulationError: fluxes that are not known and do not follow, or that break a balance or a bound.
    """
    for kind, name in known:
        if kind not in ("net", "exchange") or name not in network.reactions:
            raise SimulationError(f"no flux {kind}/{name}.{did_you_mean(name, network.reactions)}")
    stated = {key: value for key, value in known.items() if key[0] == "net" or network.reactions[key[1]].reversible}
    try:
        space = flux_space(network, fixed=stated)
    except FluxSpaceError as error:
        raise SimulationError(f"the fluxes contradict the network: {error}") from error
    values = space.origin.copy()
    still = [space.parameters[row] for row in space.free if space.parameters[row][0] == "net"]
    if still:
        names = ", ".join(name for _, name in still)
        raise SimulationError(
            f"the fluxes given leave {len(still)} net fluxes open; with {names} the others follow. Give those as well"
        )
    theta = np.array([max(0.0, space.ranges[row, 0]) for row in space.free])
    values = space.values(theta[None])[0] if len(theta) else values
    net, exchange = space.net_and_exchange(values[None])
    return net, exchange


def read_fluxes(path: Path, network: Network) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
    """Flux vectors from CSV: a column for each flux, named `net/pgi` or `exchange/pgi`, as `molvis flux sample` writes.

    A name alone means the net flux. Fluxes that are left out follow from the others, see `complete_fluxes`.

    Raises:
        ReadError: the file cannot be read as that.
        SimulationError: see `complete_fluxes`.
    """
    header, rows = _flux_table(path, network)
    reactions = list(network.reactions)
    every = {("net", name) for name in reactions}
    every |= {("exchange", name) for name, r in network.reactions.items() if r.reversible}
    if every <= set(header):
        table = [[[row.get((kind, name), 0.0) for name in reactions] for kind in ("net", "exchange")] for row in rows]
        both = np.array(table)
        return both[:, 0], both[:, 1]
    parts = [complete_fluxes(network, row) for row in rows]
    return np.concatenate([net for net, _ in parts]), np.concatenate([exchange for _, exchange in parts])


def _flux_table(path: Path, network: Network) -> tuple[list[tuple[str, str]], list[dict[tuple[str, str], float]]]:
    """The fluxes that a table names, and their values in each of its rows.

    Raises:
        ReadError: it is no table of numbers, or names a reaction that the network does not have.
    """
    try:
        lines = list(csv.reader(read_text(path).splitlines()))
    except csv.Error as error:
        raise ReadError(path, f"is no table: {error}") from error
    if len(lines) < 2:
        raise ReadError(path, "holds no flux vector; a line of names and at least one of values are expected")
    header = [_parameter(cell.strip()) for cell in lines[0]]
    for _, name in header:
        if name not in network.reactions:
            raise ReadError(path, f"no reaction {name!r}.{did_you_mean(name, network.reactions)}", line=1)
    rows: list[dict[tuple[str, str], float]] = []
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(header):
            raise ReadError(path, f"{len(cells)} values for {len(header)} fluxes", line=number)
        try:
            values = [float(cell) for cell in cells]
        except ValueError as error:
            raise ReadError(path, f"{error}; numbers are expected", line=number) from error
        if not all(map(math.isfinite, values)):
            raise ReadError(path, "a flux that is not finite", line=number)
        rows.append(dict(zip(header, values, strict=True)))
    return header, rows


def _parameter(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    return (kind, name) if slash and kind in ("net", "exchange") else ("net", text)


def parse_tracers(network: Network, texts: Iterable[str]) -> dict[str, Tracer]:
    """Tracers from lines such as `Glc=100000:0.7` and `Glc=111111:0.3`; what is left of a source is unlabelled.

    Raises:
        SimulationError: a line that is not understood, or a source that the network has not.
    """
    given: dict[str, dict[str, float]] = {}
    for text in texts:
        source, equals, rest = text.rpartition("=")  # a name may have the sign, a pattern not
        pattern, _, share = rest.partition(":")
        try:
            fraction = float(share or 1)
        except ValueError as error:
            raise SimulationError(f"tracer {text!r}: {share!r} is no number") from error
        if not equals or not pattern:
            raise SimulationError(
                f"tracer {text!r} is not understood; write SOURCE=PATTERN:FRACTION, as Glc=100000:0.7"
            )
        if source not in network.metabolites:
            raise SimulationError(
                f"tracer {text!r}: no metabolite {source!r}.{did_you_mean(source, network.metabolites)}"
            )
        given.setdefault(source, {})[pattern] = fraction
    found: dict[str, Tracer] = {}
    for source, isotopomers in given.items():
        left = 1 - math.fsum(isotopomers.values())
        light = "0" * len(network.metabolites[source].elements)
        if left > 1e-9:
            isotopomers[light] = isotopomers.get(light, 0.0) + left
        found[source] = Tracer(tuple(isotopomers.items()))
    return found


def parse_times(text: str) -> tuple[float, ...]:
    """`"0,10,60"` to numbers; nothing to none.

    Raises:
        SimulationError: what is no number.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise SimulationError(f"times {text!r}: {error}; numbers with commas between are expected") from error


def with_tracers(study: Study, tracers: Mapping[str, Tracer]) -> Study:
    """The study fed with other tracers; one experiment where it has none."""
    experiments = study.experiments or (Experiment("simulated"),)
    fed = tuple(replace(e, tracers={**e.tracers, **tracers}) for e in experiments) if tracers else study.experiments
    return replace(study, experiments=fed)


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Predictions as CSV: a line for each flux vector, experiment, fragment and time.

    Where some are of tandem MS, resolved MS or NMR, a last column names their channels in the order of the others.

    Raises:
        WriteError: the file cannot be written; what was there before is kept.
    """
    most = max((len(p.fractions[0]) for p in predictions if p.fractions), default=0)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    named = any(p.channels for p in predictions)
    last = ["channels"] if named else []
    rows.writerow(["vector", "experiment", "fragment", "time", *(f"M+{i}" for i in range(most)), *last])
    for p in predictions:
        for vector, fractions in enumerate(p.fractions):
            cells = in_cells((str(vector), p.experiment, p.fragment, "" if p.time is None else f"{p.time:g}"))
            names = in_cells((" ".join(p.channels),)) if named else ()
            rows.writerow([*cells, *(f"{x:.9g}" for x in fractions), *[""] * (most - len(fractions)), *names])
    write_text(path, text.getvalue())
