"""From a fitted mixture to its quantification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.records import Trace
from molvis_nmr.fitting.agreement import region, roi_iou
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Compound
from molvis_nmr.mixture.engine import MixtureFit
from molvis_nmr.mixture.results import Metabolite, Quantification
from molvis_nmr.spins.transitions import lines


@dataclass(frozen=True, eq=False, slots=True)
class Prepared:
    """A mixture before it is fitted.

    Attributes:
        measured: the spectrum, referenced to the standard where one was found.
        everything: all compounds of the library.
        standard: name of the reference compound; empty without one.
        scale: what the fit's unit of intensity is in the spectrum's.
        fit: where the fit starts.
    """

    measured: Trace
    everything: tuple[Compound, ...]
    standard: str
    scale: float
    fit: MixtureFit


@dataclass(frozen=True, eq=False, slots=True)
class _Amounts:
    """Amounts in the spectrum's unit, and what turns them into concentrations.

    Attributes:
        values, covariance: of the compounds of the fit.
        at: place of the standard; None where it is not there.
        known: concentration of the standard; 1 where it is not given.
    """

    values: Float[np.ndarray, " c"]
    covariance: Float[np.ndarray, "c c"]
    at: int | None
    known: float

    @property
    def standard(self) -> tuple[float, float] | None:
        """Amount of the standard, with its standard error."""
        return None if self.at is None else (float(self.values[self.at]), self.error(self.at))

    def error(self, i: int) -> float:
        """Standard error of an amount."""
        return float(np.sqrt(self.covariance[i, i]))

    def concentration(self, i: int) -> tuple[float, float] | None:
        """Concentration and its standard error, which is that of a ratio to first order."""
        if self.at is None:
            return None
        reference, covariance, at = float(self.values[self.at]), self.covariance, self.at
        factor, ratio = self.known / reference, float(self.values[i]) / reference
        variance = covariance[i, i] - 2 * ratio * covariance[i, at] + ratio**2 * covariance[at, at]
        return float(self.values[i]) * factor, float(np.sqrt(max(variance, 0.0))) * factor


def _amounts(fit: MixtureFit, scale: float, concentration: float | None) -> _Amounts:
    values, covariance = fit.amounts(True)
    at = next((i for i, c in enumerate(fit.compounds) if c.standard), None)
    if at is not None and values[at] <= 0:
        at = None
    return _Amounts(values * scale, covariance * scale**2, at, concentration or 1.0)


def summarize(
    fit: MixtureFit,
    prepared: Prepared,
    exclude: Sequence[tuple[float, float]],
    *,
    concentration: float | None,
    unit: str,
    limit: float,
) -> Quantification:
    """Amounts with errors, the model on the measured axis, and how well it explains the spectrum.

    Args:
        fit: of the compounds that are there.
        prepared: the mixture before the fit.
        exclude: windows in ppm that were not fitted.
        concentration: of the standard.
        unit: of that concentration.
        limit: significance from which a compound counts as present.
    """
    measured, standard = prepared.measured, prepared.standard
    amounts = _amounts(fit, prepared.scale, concentration)
    reference = amounts.standard
    found = _metabolites(fit, prepared, amounts, limit)
    place = {c.name: i for i, c in enumerate(fit.compounds)}
    order = [place[m.name] for m in found if m.present]
    native = _native(measured)
    parts = _parts(fit, native, prepared.scale)
    baseline = prepared.scale * np.interp(native.hertz, fit.mixture.axis.hertz, fit.baseline())
    total = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(measured))
    mask = _near_lines(fit, native, measured, exclude)
    return Quantification(
        metabolites=tuple(found),
        measured=measured,
        fitted=replace(measured, y=total + baseline),
        parts=parts,
        baseline=baseline,
        covariance=amounts.covariance[np.ix_(order, order)],
        excluded=tuple((float(a), float(b)) for a, b in exclude),
        roi_iou=roi_iou(total, measured.y, mask, baseline),
        width=fit.width,
        model_error=fit.model_error,
        response_sd=fit.response_sd,
        standard=standard if reference else "",
        standard_amount=reference,
        unit=(unit if concentration is not None else f"per {standard}") if reference else "",
        unexplained=_unexplained(fit),
        limit=limit,
        problem="" if order else "no compound of the library stands out of the spectrum",
    )


def _native(measured: Trace) -> Axis:
    """The axis of the spectrum as it was measured."""
    frequency = measured.frequency or 0.0
    step = float(measured.x[-1] - measured.x[0]) / (len(measured) - 1) * frequency
    return Axis(float(measured.x[0]) * frequency, step, len(measured), 1)


def _parts(fit: MixtureFit, native: Axis, scale: float) -> dict[str, np.ndarray]:
    """What each compound gives to the measured spectrum."""
    transfer = fit.transfer(0.0, native)
    return {
        c.name: scale * s.amount * native.back((fit.transform(i, native) * transfer)[None])[0]
        for i, (c, s) in enumerate(zip(fit.compounds, fit.states, strict=True))
    }


def _metabolites(fit: MixtureFit, prepared: Prepared, amounts: _Amounts, limit: float) -> list[Metabolite]:
    """Every compound of the library, those present first."""
    place = {c.name: i for i, c in enumerate(fit.compounds)}
    missing = [c for c in prepared.everything if c.name not in place]
    errors = dict(zip((c.name for c in missing), _undetected(fit, missing) * prepared.scale, strict=True))
    factor = None if amounts.standard is None else amounts.known / amounts.standard[0]
    found: list[Metabolite] = []
    for compound in prepared.everything:
        i = place.get(compound.name)
        if i is not None:
            found.append(_metabolite(fit, i, amounts, compound.concentrates, limit))
            continue
        error = float(errors[compound.name])
        known = factor if compound.concentrates else None
        found.append(
            Metabolite(
                compound.name,
                compound.identifier,
                0.0,
                error,
                False,
                concentration=None if known is None else 0.0,
                concentration_error=None if known is None else error * known,
            )
        )
    return sorted(found, key=lambda m: (not m.present, -m.amount, m.error))


def _metabolite(fit: MixtureFit, i: int, amounts: _Amounts, concentrates: bool, limit: float) -> Metabolite:
    """A compound that was fitted."""
    c, s = fit.compounds[i], fit.states[i]
    value, error = float(amounts.values[i]), amounts.error(i)
    concentration, spread = (amounts.concentration(i) if concentrates else None) or (None, None)
    return Metabolite(
        c.name,
        c.identifier,
        value,
        error,
        value > limit * error,
        concentration,
        spread,
        shifts=dict(zip(c.groups, s.shift.tolist(), strict=True)),
        moved=float(np.abs(s.shift - c.shifts).max()),
        response=dict(zip(c.groups, (1 + s.response).tolist(), strict=True)),
        system=c.refined(s, fit.width),
    )


def _undetected(fit: MixtureFit, compounds: Sequence[Compound]) -> Float[np.ndarray, " c"]:
    """Standard errors of amounts of compounds that are not there, all else being known."""
    axis, frequency, mask = fit.mixture.axis, fit.mixture.frequency, fit.mixture.mask
    weight = 1 / (fit.sigma(0.0) ** 2 * fit.correlation)
    errors = np.zeros(len(compounds))
    for i, c in enumerate(compounds):
        column = axis.back(c.render(axis, frequency, c.start(), fit.width, False).value).sum(axis=0)
        errors[i] = 1 / np.sqrt(max(float(weight @ column[mask] ** 2), 1e-300))
    return errors


def _near_lines(
    fit: MixtureFit, native: Axis, measured: Trace, exclude: Sequence[tuple[float, float]]
) -> Bool[np.ndarray, " t"]:
    """Points within 25 Hz of a line of what is present, outside of the excluded windows."""
    frequency = fit.mixture.frequency
    position: list[np.ndarray] = []
    strength: list[np.ndarray] = []
    for c, s in zip(fit.compounds, fit.states, strict=True):
        system = c.refined(s, fit.width)
        if system is not None:
            found = lines(system, frequency, threshold=1e-5)
            position.append(found.position)
            strength.append(s.amount * (found.weight @ system.intensities))
        else:
            shapes = native.back(c.render(native, frequency, s, fit.width, False).value).sum(axis=0)
            some = shapes > 0.05 * shapes.max()
            position.append(native.hertz[some])
            strength.append(s.amount * shapes[some] / shapes[some].max())
    if not position:
        return np.zeros(len(native.hertz), dtype=bool)
    mask = region(native.hertz, np.concatenate(position), np.concatenate(strength))
    for a, b in exclude:
        mask &= (measured.x < a) | (measured.x > b)
    return mask


def _unexplained(fit: MixtureFit) -> float:
    """Share of the fitted signal that no compound explains: residuals beyond 5 standard deviations."""
    above = (fit.mixture.target(0.0) - fit.baseline())[fit.mixture.mask]
    off = above - fit.signals().sum(axis=0)[fit.mixture.mask]
    beyond = off > 5 * fit.sigma(0.0)
    total = float(np.maximum(above, 0).sum())
    return float(off[beyond].sum() / total) if total > 0 else 0.0
