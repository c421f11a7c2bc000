"""From a fitted mixture to its quantification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.records import Trace
from molvis_nmr.fitting.agreement import region, roi_iou
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import Compound
from molvis_nmr.mixture.engine import MixtureFit
from molvis_nmr.mixture.results import Metabolite, Quantification
from molvis_nmr.spins.transitions import lines


def summarize(
    fit: MixtureFit,
    everything: Sequence[Compound],
    measured: Trace,
    scale: float,
    exclude: Sequence[tuple[float, float]],
    standard: str,
    concentration: float | None,
    unit: str,
    limit: float,
) -> Quantification:
    """Amounts with errors, the model on the measured axis, and how well it explains the spectrum."""
    assert measured.frequency is not None
    frequency = measured.frequency
    amounts, covariance = fit.amounts(True)
    amounts, covariance = amounts * scale, covariance * scale**2
    place = {c.name: i for i, c in enumerate(fit.compounds)}
    at = next((i for i, c in enumerate(fit.compounds) if c.standard), None)
    reference = (float(amounts[at]), float(np.sqrt(covariance[at, at]))) if at is not None else None
    if reference is not None and reference[0] <= 0:
        reference = None
    step = float(measured.x[-1] - measured.x[0]) / (len(measured) - 1) * frequency
    native = Axis(float(measured.x[0]) * frequency, step, len(measured), 1)
    transfer = fit.transfer(0.0, native)
    parts: dict[str, np.ndarray] = {}
    for c, s in zip(fit.compounds, fit.states, strict=True):
        value = (1 + s.response) @ c.render(native, frequency, s, fit.width, False).value
        parts[c.name] = scale * s.amount * native.back((value * transfer)[None])[0]
    baseline = scale * np.interp(native.hertz, fit.axis.hertz, fit.baseline())
    total = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(measured))
    found: list[Metabolite] = []
    missing = [c for c in everything if c.name not in place]
    errors = dict(zip((c.name for c in missing), _undetected(fit, missing) * scale, strict=True))
    factor = None if reference is None else (concentration or 1.0) / reference[0]
    for compound in everything:
        i = place.get(compound.name)
        if i is None:
            error = float(errors[compound.name])
            known = factor is not None and compound.concentrates
            found.append(
                Metabolite(
                    compound.name,
                    compound.identifier,
                    0.0,
                    error,
                    False,
                    concentration=0.0 if known else None,
                    concentration_error=error * factor if known and factor is not None else None,
                )
            )
            continue
        c, s = fit.compounds[i], fit.states[i]
        value, error = float(amounts[i]), float(np.sqrt(covariance[i, i]))
        absolute = spread = None
        if factor is not None and reference is not None and at is not None and compound.concentrates:
            absolute = value * factor
            ratio = value / reference[0]
            variance = covariance[i, i] - 2 * ratio * covariance[i, at] + ratio**2 * covariance[at, at]
            spread = float(np.sqrt(max(variance, 0.0))) * factor
        found.append(
            Metabolite(
                c.name,
                c.identifier,
                value,
                error,
                value > limit * error,
                absolute,
                spread,
                shifts=dict(zip(c.groups, s.shift.tolist(), strict=True)),
                moved=float(np.abs(s.shift - c.shifts).max()),
                response=dict(zip(c.groups, (1 + s.response).tolist(), strict=True)),
                system=c.refined(s, fit.width),
            )
        )
    found.sort(key=lambda m: (not m.present, -m.amount, m.error))
    order = [place[m.name] for m in found if m.present]
    mask, unexplained = _told(fit, native, measured, exclude)
    problem = "" if order else "no compound of the library stands out of the spectrum"
    return Quantification(
        metabolites=tuple(found),
        measured=measured,
        fitted=replace(measured, y=total + baseline),
        parts=parts,
        baseline=baseline,
        covariance=covariance[np.ix_(order, order)],
        excluded=tuple((float(a), float(b)) for a, b in exclude),
        roi_iou=roi_iou(total, measured.y, mask, baseline),
        width=fit.width,
        model_error=fit.model_error,
        response_sd=fit.response_sd,
        standard=standard if reference else "",
        standard_amount=reference,
        unit=(unit if concentration is not None else f"per {standard}") if reference else "",
        unexplained=unexplained,
        limit=limit,
        problem=problem,
    )


def _undetected(fit: MixtureFit, compounds: Sequence[Compound]) -> Float[np.ndarray, " c"]:
    """Standard errors of amounts of compounds that are not there, all else being known."""
    weight = 1 / (fit.sigma(0.0) ** 2 * fit.correlation)
    errors = np.zeros(len(compounds))
    for i, c in enumerate(compounds):
        column = fit.axis.back(c.render(fit.axis, fit.frequency, c.start(), fit.width, False).value).sum(axis=0)
        errors[i] = 1 / np.sqrt(max(float(weight @ column[fit.mask] ** 2), 1e-300))
    return errors


def _told(
    fit: MixtureFit, native: Axis, measured: Trace, exclude: Sequence[tuple[float, float]]
) -> tuple[Bool[np.ndarray, " t"], float]:
    """Points within 25 Hz of a line of what is present; share of the fitted signal that nothing explains."""
    position: list[np.ndarray] = []
    strength: list[np.ndarray] = []
    for c, s in zip(fit.compounds, fit.states, strict=True):
        system = c.refined(s, fit.width)
        if system is not None:
            found = lines(system, fit.frequency, threshold=1e-5)
            position.append(found.position)
            strength.append(s.amount * (found.weight @ system.intensities))
        else:
            shapes = native.back(c.render(native, fit.frequency, s, fit.width, False).value).sum(axis=0)
            some = shapes > 0.05 * shapes.max()
            position.append(native.hertz[some])
            strength.append(s.amount * shapes[some] / shapes[some].max())
    mask = (
        region(native.hertz, np.concatenate(position), np.concatenate(strength)) if position else native.hertz < -np.inf
    )
    for a, b in exclude:
        mask &= (measured.x < a) | (measured.x > b)
    signals = fit.signals().sum(axis=0)
    off = (fit.target(0.0) - fit.baseline() - signals)[fit.mask]
    beyond = off > 5 * fit.sigma(0.0)
    total = float(np.maximum((fit.target(0.0) - fit.baseline())[fit.mask], 0).sum())
    return mask, float(off[beyond].sum() / total) if total > 0 else 0.0
