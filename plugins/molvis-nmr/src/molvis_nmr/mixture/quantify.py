"""Mixtures: which of a library's compounds are in a sample, and how much of each.

The spectrum is a sum of the library's compounds with amounts that are not negative, and of what else is in a tube, on
a smooth baseline, all with one line shape. The sample's axis may be off from the library's, a compound from the sample
and a multiplet from its compound; every multiplet may respond a little more or less than it should (relaxation,
suppression of water). How well the model follows strong signals is estimated, and goes into the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_files.threads import one_thread
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.mixture.background import background_of, lower_envelope, water_wing
from molvis_nmr.mixture.compounds import Compound, Shared, state_of
from molvis_nmr.mixture.joint import improve, learn_errors
from molvis_nmr.mixture.library import library_compounds
from molvis_nmr.mixture.matching import match
from molvis_nmr.mixture.model import Mixture, MixtureFit
from molvis_nmr.mixture.responses import agree
from molvis_nmr.mixture.results import WATER, Entry, Quantification
from molvis_nmr.mixture.selection import Search, find_offset, forward, search_of, select, vote, weight_of
from molvis_nmr.mixture.spectrum import standards_at, uniform, width_of_lines, working_axis
from molvis_nmr.mixture.summary import Prepared, summarize
from molvis_nmr.mixture.tube import PLACES, STANDARDS, standard_compounds, tube_compounds

_STAGES = 6
_WIDTH = 0.7  # Hz, half at half height: what lines are expected to have before any is fitted
_WIDER = 1.5  # times the standard's width that lines are at most
_AT_ZERO = 0.02  # ppm about 0 in which a singlet that has no rival is the standard
_STANDARD = 0.6  # share of the evidence without a standard that is asked for with it at one place
_PLACES = 4
_HIDDEN = 3  # rounds for those that come in at the end
_WING = 1.0  # ppm beside water in which its wing is looked for


@dataclass(frozen=True, slots=True)
class Settings:
    """What `quantify` was asked for; see there."""

    window: float
    windows: Mapping[str, float]
    exclude: tuple[tuple[float, float], ...]
    standard: str | None
    tube: bool


def quantify(
    spectrum: Trace,
    library: Sequence[Entry],
    *,
    window: float = 0.03,
    windows: Mapping[str, float] | None = None,
    exclude: Sequence[tuple[float, float]] = (WATER,),
    standard: str | None = "DSS",
    concentration: float | None = None,
    unit: str = "mM",
    dilution: float = 1.0,
    reference: tuple[float, float] | None = None,
    tube: bool = True,
    limit: float = 2.0,
    least_probability: float = 0.65,
    progress: Progress | None = None,
) -> Quantification:
    """Which compounds of a library are in a mixture, and how much of each.

    Compounds come in and are left out until nothing changes, by how well the pattern of their multiplets fits what the
    others do not explain; then all are fitted together. The axis of the sample is referenced to the standard where
    there is one, else to the compounds that fit at one offset only.

    Args:
        spectrum: with its frequency; ppm, real.
        library: spin systems, and spectra of single compounds.
        window: how far in ppm a multiplet may be from where the library has it, beside the sample's offset.
        windows: the same for single compounds (`citrate`) or multiplets (`citrate/H2a`), which pH moves further.
        exclude: windows in ppm that are not fitted; water's without.
        standard: compound at 0 ppm, one of `STANDARDS`; None if there is none.
        concentration: of the standard.
        unit: of that concentration.
        dilution: by which concentrations in the tube are multiplied to be those of the sample.
        reference: instead of a standard's concentration, amount of one proton and its concentration in another
            spectrum that was measured alike (external reference).
        tube: look for solvents, urea, EDTA and the like beside the library's compounds.
        limit: significance from which a compound counts as present.
        least_probability: from which it does.
        progress: called with stages done and in all.

    Raises:
        RecordError: a spectrum without frequency or signal, an empty library, an entry that is none, an unknown
            standard, or settings that cannot be.
    """
    _check_settings(window, limit, standard, concentration, dilution, least_probability, reference)
    if not library:
        raise RecordError("the library is empty; give at least one spin system or reference spectrum")
    advance = progress or _silently
    asked = Settings(window, windows or {}, tuple(exclude), standard, tube)
    with one_thread():
        prepared, search = _prepare(spectrum, library, asked)
        advance(1, _STAGES)
        _look_first(search)
        if not prepared.standard:
            find_offset(search)
        advance(2, _STAGES)
        select(search)
        advance(4, _STAGES)
        _finish(search)
        advance(5, _STAGES)
        found = summarize(
            search, prepared, exclude, concentration=concentration, unit=unit, dilution=dilution, reference=reference,
            limit=limit, least_probability=least_probability,
        )  # fmt: skip
    advance(_STAGES, _STAGES)
    return found


def _silently(done: int, total: int, what: str = "") -> None:
    """Progress that nobody looks at."""


def _check_settings(
    window: float, limit: float, standard: str | None, concentration: float | None, dilution: float,
    least_probability: float, reference: tuple[float, float] | None,
) -> None:  # fmt: skip
    for name, value in (("window", window), ("limit", limit), ("dilution", dilution)):
        if not 0 < value < np.inf:
            raise RecordError(f"{name} must be positive, got {value}")
    if not 0 < least_probability < 1:
        raise RecordError(f"least_probability must lie between 0 and 1, got {least_probability}")
    if standard is not None and standard not in STANDARDS:
        known = ", ".join(STANDARDS)
        raise RecordError(f"no standard named {standard!r}.{did_you_mean(standard, STANDARDS)} Known: {known}, or None")
    if concentration is not None and standard is None:
        raise RecordError(f"a concentration of {concentration} needs its standard")
    if concentration is not None and not 0 < concentration < np.inf:
        raise RecordError(f"concentration must be positive, got {concentration}")
    if reference is not None and not all(0 < value < np.inf for value in reference):
        raise RecordError(f"reference must be an amount and a concentration, both positive, got {reference}")


def _prepare(spectrum: Trace, library: Sequence[Entry], asked: Settings) -> tuple[Prepared, Search]:
    """The spectrum on the axis that is fitted, and the compounds that it is searched for."""
    measured = uniform(spectrum)
    if asked.standard is None:
        return _prepared(measured, None, library, asked)
    places = standards_at(measured, noise_level(measured.y))
    if len(places) == 1 and abs(places[0]) < _AT_ZERO:
        return _prepared(measured, places[0], library, asked)
    # Of several singlets, or one that is off, that is the standard from which the library's compounds are in place.
    best, none = None, _prepared(measured, None, library, asked)
    most = _STANDARD * vote(none[1], known=False)[1] if places else 0.0
    for place in places[:_PLACES]:
        made = _prepared(measured, place, library, asked)
        votes = vote(made[1], known=True)[1]
        if votes > most or (best is None and votes == most):
            best, most = made, votes
    return best or none


def _prepared(
    measured: Trace, offset: float | None, library: Sequence[Entry], asked: Settings
) -> tuple[Prepared, Search]:
    """The same with the standard at a place in ppm; None where there is none."""
    if offset:
        measured = replace(measured, x=measured.x - offset)
    frequency = measured.frequency or 0.0
    own = library_compounds(library, measured, asked.window, asked.windows)
    beside: list[Compound] = []
    if asked.standard and offset is not None:
        beside += standard_compounds(asked.standard, frequency)
    fixed = frozenset(range(len(own), len(own) + len(beside)))
    if asked.tube:
        taken = {c.name.lower().replace("-acid", "").replace("ic acid", "ate") for c in own}
        beside += [c for c in tube_compounds(frequency) if c.name.lower() not in taken]
    everything = [*own, *beside]
    axis, y, mask = working_axis(measured, [*own, *(c for c in beside if c.standard)], asked.exclude)
    scale = float(np.abs(y[mask]).max()) if mask.any() else 0.0
    if scale == 0:
        raise RecordError("the spectrum is zero wherever the library has signals; is it the right one?")
    y = y / scale
    center = frequency * (float(np.mean(WATER)) if not asked.exclude else _near_water(asked.exclude))
    wing = water_wing(axis, y, mask, center, _WING * frequency)
    y = y - wing
    noise = max(noise_level(y[mask]), 1e-7)
    background = background_of(axis)
    envelope = lower_envelope(y, round(150 / axis.step))
    base = background.fit(y, np.full(axis.points, 3 * noise), mask, stiffness=10.0, below=True, start=envelope)
    mixture = Mixture(axis, frequency, y, noise, mask, background)
    standard = asked.standard or "" if offset is not None else ""
    fit = _begun(mixture, everything, base, standard)
    return Prepared(measured, len(own), standard, scale, scale * wing), search_of(fit, fixed)


def _begun(
    mixture: Mixture, everything: Sequence[Compound], base: Float[np.ndarray, " b"], standard: str
) -> MixtureFit:
    """A fit without compounds, with lines as wide as the spectrum's look."""
    width = width_of_lines(mixture.axis, mixture.y, mixture.mask, mixture.noise)
    fit = MixtureFit(mixture, tuple(everything), Shared(width or _WIDTH), base, mixture.noise)
    if width:
        fit.widest = _WIDER * width
    # The axis has the standard at 0, and the library has DSS there.
    fit.offset = -PLACES.get(standard, 0.0) * mixture.frequency
    return fit


def _near_water(exclude: Sequence[tuple[float, float]]) -> float:
    """The middle of the window that is nearest to water."""
    low, high = min(exclude, key=lambda w: abs(sum(w) / 2 - sum(WATER) / 2))
    return (low + high) / 2


def _look_first(search: Search) -> None:
    """The standard comes in before all others, and lines get its width."""
    fit = search.fit
    mixture = fit.mixture
    weight = np.where(mixture.mask, 1 / fit.floor**2, 0.0)
    for i in sorted(search.fixed):
        found = match(
            search.templates[i], mixture.axis, mixture.frequency, fit.residual(), weight,
            np.array([round(fit.offset / mixture.axis.step)]), np.zeros(1),
        )  # fmt: skip
        if found.amount > 0 and (fit.library[i].standard or found.evidence > 10):
            fit.states[i] = state_of(fit.library[i], found.amount, found.moved)
    fit.refresh()
    if fit.states:
        # All others are not in yet: what is not explained tells nothing of the standard's errors.
        search.fit = improve(fit, 6)
    if any(search.fit.library[i].standard for i in search.fit.states):
        # In a crowded spectrum ever wider lines explain a little of everything, until none of it fits. Lines narrower
        # than the standard's are another matter: proteins bind TSP.
        search.fit.widest = _WIDER * search.fit.shared.width


def _finish(search: Search) -> None:
    """The last steps, with errors as they are, and signals of no compound allowed for.

    Between them those come in that others had hidden: what compounds have beyond their amounts goes back to what is
    not explained.
    """
    search.fit.complete = True
    _adjust(search, 4)
    if forward(search):
        select(search, _HIDDEN)
    _adjust(search, 6)
    learn_errors(search.fit)
    agree(search.fit, weight_of(search))


def _adjust(search: Search, steps: int) -> None:
    """All that are in fitted together, and the amounts that their multiplets agree on."""
    learn_errors(search.fit)
    agree(search.fit, weight_of(search))
    search.fit = improve(search.fit, steps)
