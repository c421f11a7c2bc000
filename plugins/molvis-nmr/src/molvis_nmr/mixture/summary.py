"""From a fitted mixture to its quantification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.records import Trace
from molvis_nmr.fitting.agreement import roi_iou
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import signal_of
from molvis_nmr.mixture.joint import Equations, covariance, learn_errors
from molvis_nmr.mixture.limits import upper_limit
from molvis_nmr.mixture.model import MixtureFit
from molvis_nmr.mixture.presence import features_of, probability_of
from molvis_nmr.mixture.responses import RESPONSE_SD, agree
from molvis_nmr.mixture.results import Metabolite, Quantification
from molvis_nmr.mixture.selection import Search, weight_of
from molvis_nmr.mixture.tube import PLACES
from molvis_nmr.windows import outside

ERROR_FACTOR = 1.1
"""By which errors of amounts are multiplied: what residuals do not show, learned from mixtures whose truth is known."""


_SURE = 0.95
_Room: TypeAlias = tuple[list[int], float]  # compounds in doubt, and how residuals correlate: see `upper_limit`


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A mixture before it is fitted.

    Attributes:
        measured: the spectrum, referenced to the standard where one was found.
        entries: how many of the compounds are the library's; those of the tube follow.
        standard: name of the reference compound; empty without one.
        scale: what the fit's unit of intensity is in the spectrum's.
        wing: of water, on the fit's axis.
    """

    measured: Trace
    entries: int
    standard: str
    scale: float
    wing: Float[np.ndarray, " t"]


@dataclass(frozen=True, eq=False, slots=True)
class _Amounts:
    """Amounts in the spectrum's unit, and what turns them into concentrations.

    Attributes:
        order: places of the compounds.
        values, covariance: of their amounts.
        at: which of them is the standard; None where it is not there.
        known: concentration of the standard or of the external reference, dilution included.
        external: amount of one proton in another spectrum; None without one.
    """

    order: tuple[int, ...]
    values: Float[np.ndarray, " c"]
    covariance: Float[np.ndarray, "c c"]
    at: int | None
    known: float
    external: float | None

    @property
    def standard(self) -> tuple[float, float] | None:
        """Amount of the standard, with its standard error."""
        return None if self.at is None else (float(self.values[self.at]), self.error(self.at))

    @property
    def factor(self) -> float | None:
        """From amounts to concentrations."""
        if self.external is not None:
            return self.known / self.external
        return None if self.at is None or self.values[self.at] <= 0 else self.known / float(self.values[self.at])

    def error(self, i: int) -> float:
        """Standard error of an amount."""
        return float(np.sqrt(max(self.covariance[i, i], 0.0)))

    def concentration(self, i: int) -> tuple[float, float] | None:
        """Concentration and its standard error, which is that of a ratio to first order."""
        factor = self.factor
        if factor is None:
            return None
        variance = self.covariance[i, i]
        if self.at is not None:
            ratio, at, covariance = float(self.values[i]) / float(self.values[self.at]), self.at, self.covariance
            variance = variance - 2 * ratio * covariance[i, at] + ratio**2 * covariance[at, at]
        return float(self.values[i]) * factor, float(np.sqrt(max(variance, 0.0))) * factor


def summarize(
    search: Search,
    prepared: Prepared,
    exclude: Sequence[tuple[float, float]],
    *,
    concentration: float | None,
    unit: str,
    dilution: float,
    reference: tuple[float, float] | None,
    limit: float,
    least_probability: float,
) -> Quantification:
    """Amounts with errors, the model on the measured axis, and how well it explains the spectrum.

    Args:
        search: that is at its end.
        prepared: the mixture before the fit.
        exclude: windows in ppm that were not fitted.
        concentration: of the standard.
        unit: of that concentration.
        dilution: from concentrations in the tube to those of the sample.
        reference: amount of one proton and its concentration in another spectrum.
        limit: significance from which a compound counts as present.
        least_probability: from which it does.
    """
    fit = search.fit
    at, spread, correlation = _uncertainty(search)
    amounts = _amounts(fit, at, spread, prepared.scale, concentration, dilution, reference)
    inside = {
        i: _metabolite(search, i, amounts, prepared, (limit, least_probability))
        for i in fit.states
        if i not in search.fixed
    }
    room = [i for i, m in inside.items() if m.probability < _SURE], correlation
    outside = [_absent(search, i, amounts, prepared, room) for i in range(prepared.entries) if i not in fit.states]
    found = [
        *(m if m.present else _with_room(search, i, m, amounts, prepared, room) for i, m in inside.items()),
        *outside,
    ]
    found.sort(key=lambda m: (not m.present, -m.amount, m.error))
    shown = {m.name for m in found if m.present} | {fit.library[i].name for i in search.fixed}
    place = {fit.library[i].name: k for k, i in enumerate(fit.states)}
    order = [place[m.name] for m in found if m.present]
    native = _native(prepared.measured)
    parts = {
        fit.library[i].name: prepared.scale * signal_of(fit.library[i], s, native, fit.shared, fit.floor)
        for i, s in fit.states.items()
        if fit.library[i].name in shown
    }
    wing = np.interp(native.hertz, fit.mixture.axis.hertz, prepared.wing)
    baseline = prepared.scale * np.interp(native.hertz, fit.mixture.axis.hertz, fit.baseline()) + wing
    total = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(prepared.measured))
    mask = _near_signals(total, native, prepared.measured, exclude)
    reference_amount = amounts.standard
    known = concentration is not None or reference is not None
    problem = "" if order else "no compound of the library stands out of the spectrum"
    if known and amounts.factor is None:
        problem = problem or "no signal of the standard was found at 0 ppm: amounts are areas, not concentrations"
    return Quantification(
        metabolites=tuple(found),
        measured=prepared.measured,
        fitted=replace(prepared.measured, y=total + baseline),
        parts=parts,
        baseline=baseline,
        covariance=amounts.covariance[np.ix_(order, order)],
        excluded=tuple((float(a), float(b)) for a, b in exclude),
        roi_iou=roi_iou(total, prepared.measured.y, mask, baseline),
        width=fit.shared.width,
        model_error=fit.model_error,
        response_sd=RESPONSE_SD,
        standard=prepared.standard if reference_amount else "",
        standard_amount=reference_amount,
        unit="" if amounts.factor is None else unit if known else f"per {prepared.standard}",
        unexplained=_unexplained(fit),
        limit=limit,
        offset=fit.offset / fit.mixture.frequency + PLACES.get(prepared.standard, 0.0),
        problem=problem,
    )


def _uncertainty(search: Search) -> tuple[Equations, Float[np.ndarray, "p p"], float]:
    """Covariance of all parameters, that of amounts with the ways in which their multiplets can be read; and by how
    much neighbouring residuals make the variance of a mean larger.
    """
    fit = search.fit
    correlation = learn_errors(fit)
    ways = agree(fit, weight_of(search))
    at, spread = covariance(fit, correlation)
    for i, sd in ways.items():
        if np.isfinite(sd):
            spread[at.layout.at[i], at.layout.at[i]] += sd**2
    return at, spread, max(correlation, 1.0)


def _amounts(
    fit: MixtureFit, at: Equations, spread: Float[np.ndarray, "p p"], scale: float, concentration: float | None,
    dilution: float, reference: tuple[float, float] | None,
) -> _Amounts:  # fmt: skip
    rows = [at.layout.at[i] for i in fit.states]
    values = np.array([s.amount for s in fit.states.values()]) * scale
    own = spread[np.ix_(rows, rows)] * (scale * ERROR_FACTOR) ** 2
    standard = next((k for k, i in enumerate(fit.states) if fit.library[i].standard), None)
    if reference is not None:
        return _Amounts(tuple(fit.states), values, own, None, dilution * reference[1], reference[0])
    return _Amounts(tuple(fit.states), values, own, standard, dilution * (concentration or 1.0), None)


def _native(measured: Trace) -> Axis:
    """The axis of the spectrum as it was measured."""
    frequency = measured.frequency or 0.0
    step = float(measured.x[-1] - measured.x[0]) / (len(measured) - 1) * frequency
    return Axis(float(measured.x[0]) * frequency, step, len(measured))


def _metabolite(
    search: Search, i: int, amounts: _Amounts, prepared: Prepared, least: tuple[float, float]
) -> Metabolite:
    """A compound that is in the fit."""
    fit, k = search.fit, amounts.order.index(i)
    c, s = fit.library[i], fit.states[i]
    value, error = float(amounts.values[k]), amounts.error(k)
    significance = value / max(error, 1e-300)
    features = features_of(search, i, significance, prepared.entries)
    probability = probability_of(features)
    concentration, spread = (amounts.concentration(k) if c.concentrates else None) or (None, None)
    frequency = fit.mixture.frequency
    mask = fit.mixture.mask
    by_group = [
        (name, m, moved, r) for m, moved, r in zip(c.multiplets, s.moved, s.response, strict=True) for name in m.names
    ]
    off = s.moved - fit.offset
    return Metabolite(
        c.name,
        c.identifier,
        value,
        error,
        significance > least[0] and probability > least[1],
        concentration,
        spread,
        shifts={name: (m.center + float(moved)) / frequency for name, m, moved, _ in by_group},
        moved=float(np.abs(off).max()) / frequency,
        response={name: 1 + float(r) for name, _, _, r in by_group},
        probability=probability,
        upper_limit=value + 1.645 * error,
        upper_concentration=None if concentration is None or spread is None else concentration + 1.645 * spread,
        snr=float(fit.signals[i][mask].max(initial=0.0)) / fit.floor,
        tube=c.tube,
        features=tuple(features.tolist()),
    )


def _absent(search: Search, i: int, amounts: _Amounts, prepared: Prepared, room: _Room) -> Metabolite:
    """A compound that is not in the fit."""
    c = search.fit.library[i]
    limit = upper_limit(search, i, *room) * prepared.scale
    factor = amounts.factor if c.concentrates else None
    error = limit / 1.645
    return Metabolite(
        c.name, c.identifier, 0.0, error, False,
        concentration=None if factor is None else 0.0,
        concentration_error=None if factor is None else error * factor,
        upper_limit=limit,
        upper_concentration=None if factor is None else limit * factor,
        tube=c.tube,
    )  # fmt: skip


def _with_room(
    search: Search, i: int, found: Metabolite, amounts: _Amounts, prepared: Prepared, room: _Room
) -> Metabolite:
    """A compound that is in the fit without being present: it may have more than the fit gave it."""
    limit = max(found.upper_limit, upper_limit(search, i, *room) * prepared.scale)
    factor = amounts.factor if found.concentration is not None else None
    return replace(found, upper_limit=limit, upper_concentration=None if factor is None else limit * factor)


def _near_signals(
    total: Float[np.ndarray, " t"], native: Axis, measured: Trace, exclude: Sequence[tuple[float, float]]
) -> Bool[np.ndarray, " t"]:
    """Points within 25 Hz of a signal of what is present, outside of the excluded windows."""
    from scipy.ndimage import maximum_filter1d

    strong = (total > 2e-2 * total.max()).astype(np.uint8) if total.any() else np.zeros(len(total), dtype=np.uint8)
    mask = np.asarray(maximum_filter1d(strong, 2 * round(25 / native.step) + 1)).astype(bool)
    return mask & outside(measured.x, exclude)


def _unexplained(fit: MixtureFit) -> float:
    """Share of the fitted signal that no compound explains: residuals beyond 5 standard deviations."""
    mask = fit.mixture.mask
    above, off = (fit.mixture.y - fit.baseline())[mask], fit.residual()[mask]
    beyond = off > 5 * fit.sigma()[mask]
    total = float(np.maximum(above, 0).sum())
    return float(off[beyond].sum() / total) if total > 0 else 0.0
