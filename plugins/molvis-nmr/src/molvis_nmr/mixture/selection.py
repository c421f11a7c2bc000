"""Which compounds of a library are in a mixture: forward and backward until nothing changes.

Compounds come in by what they explain of the residual, several at once where they do not overlap. All that are in are
fitted together, then each has to hold against the residual without it, or gives way to a compound that explains the
same better; what was left out may come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.mixture.compounds import state_of
from molvis_nmr.mixture.joint import improve, learn_errors
from molvis_nmr.mixture.matching import CORE, Match, Template, match, templates_of
from molvis_nmr.mixture.model import MixtureFit
from molvis_nmr.mixture.responses import agree

FAR = 0.045
"""ppm by which the axis of a sample without reference may be off."""
_ENTER, _STAY = 7.0, 5.0
_AT_ONCE, _ROUNDS = 6, 24
_WIDTH_CHANGE = 0.15
_BELONGS = 3.0  # evidence by which another compound has to be better to take one's place


@dataclass(eq=False, slots=True)
class Search:
    """A search under way.

    Attributes:
        fit: what is known so far.
        fixed: places of compounds that are never left out.
        templates: of all compounds.
        matches: of compounds in the residual that `seen` is; None where it has changed since.
        seen: the residual that matches are of, in standard deviations.
        left_out: how often a compound was left out.
    """

    fit: MixtureFit
    fixed: frozenset[int]
    templates: list[list[Template]]
    matches: list[Match | None]
    seen: Float[np.ndarray, " t"]
    left_out: dict[int, int] = field(default_factory=dict)
    width: float = 0.7


def search_of(fit: MixtureFit, fixed: frozenset[int]) -> Search:
    """A search that begins."""
    made = [templates_of(c, fit.mixture.axis, fit.shared) for c in fit.library]
    return Search(fit, fixed, made, [None] * len(made), np.zeros(fit.mixture.axis.points))


def weight_of(search: Search, without: int | None = None) -> Float[np.ndarray, " t"]:
    """1 over the variance of each point, of one compound's absence where it is named; 0 where nothing is fitted."""
    return np.where(search.fit.mixture.mask, 1 / search.fit.sigma(without, local=False) ** 2, 0.0)


def offsets(search: Search, known: bool) -> tuple[np.ndarray, np.ndarray]:
    """Offsets in points that a compound may have, and the logarithm of their odds."""
    mixture, fit = search.fit.mixture, search.fit
    step, core = mixture.axis.step, CORE * mixture.frequency
    reach = (3 * CORE if known else FAR) * mixture.frequency
    stride = max(1, round(0.8 / step))
    center = round(fit.offset / step)
    commons = center + np.arange(-round(reach / step), round(reach / step) + 1, stride)
    off = (commons * step - fit.offset) / core
    return commons.astype(np.int64), -2 * np.log1p(off**2 / 3) if known else np.zeros(len(commons))


def find_offset(search: Search) -> None:
    """By how much the axis of the sample is off, from compounds that fit at one offset and at no other."""
    offset, votes = vote(search, known=False)
    if votes > 0:
        search.fit.offset = offset


def vote(search: Search, *, known: bool) -> tuple[float, float]:
    """The offset in Hz at which most compounds of the library fit, and how strong the evidence for it is.

    Args:
        search: in which few compounds are in yet.
        known: whether the offset is known but for what compounds scatter.
    """
    fit = search.fit
    commons, prior = offsets(search, known=known)
    weight, data = weight_of(search), fit.residual()
    step, core = fit.mixture.axis.step, CORE * fit.mixture.frequency
    votes = np.zeros(len(commons))
    for i in range(len(fit.library)):
        if i in fit.states or fit.library[i].tube:
            continue
        found = match(search.templates[i], fit.mixture.axis, fit.mixture.frequency, data, weight, commons, prior)
        if found.evidence > 2 * _ENTER and (found.each > 2).sum() > 1:
            votes += np.minimum(found.evidence, 60.0) * np.exp(-0.5 * ((commons * step - found.common) / core) ** 2)
    best = int(votes.argmax())
    return float(commons[best] * step), float(votes[best])


def look(search: Search) -> None:
    """Matches of all compounds that are not in, anew where the residual has changed."""
    fit = search.fit
    axis, frequency = fit.mixture.axis, fit.mixture.frequency
    data, weight = fit.residual(), weight_of(search)
    scaled = data * np.sqrt(weight)
    changed = np.append(0, np.cumsum(np.abs(scaled - search.seen) > 0.7))
    search.seen = scaled
    commons, prior = offsets(search, known=True)
    margin = int(np.abs(commons).max())
    for i, templates in enumerate(search.templates):
        if i in fit.states:
            search.matches[i] = None
            continue
        if search.matches[i] is not None and not any(_touched(t, changed, margin) for t in templates):
            continue
        search.matches[i] = match(templates, axis, frequency, data, weight, commons, prior)


def _touched(template: Template, changed: np.ndarray, margin: int) -> bool:
    reach = margin + template.window
    low = int(np.clip(template.first - reach, 0, len(changed) - 1))
    high = int(np.clip(template.first + len(template.shape) + reach, 0, len(changed) - 1))
    return bool(changed[high] - changed[low] > 2)


def _footprint(search: Search, i: int, moved: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " t"]:
    """Points that a compound's multiplets are on."""
    axis = search.fit.mixture.axis
    on = np.zeros(axis.points, dtype=bool)
    for t in search.templates[i]:
        low = t.first + round(float(moved[t.members[0]]) / axis.step)
        on[max(low, 0) : max(low + len(t.shape), 0)] = True
    return on


def enough(found: Match) -> bool:
    """Whether a compound shows most of what it should."""
    visible = found.seen > 0.5
    if not visible.any():
        return False
    against = (found.each < -1.0) & visible
    return bool(against.sum() <= 0.34 * visible.sum() and (found.each[visible] > 0.5).sum() >= 0.5 * visible.sum())


def forward(search: Search) -> bool:
    """Let the best come in; whether any did."""
    fit = search.fit
    look(search)
    order = sorted(
        (
            i
            for i, m in enumerate(search.matches)
            if m is not None and m.evidence > _ENTER + 3 * search.left_out.get(i, 0)
        ),
        key=lambda i: -getattr(search.matches[i], "evidence", 0.0),
    )
    taken = np.zeros(fit.mixture.axis.points, dtype=bool)
    came = 0
    for i in order:
        found = search.matches[i]
        assert found is not None
        if not enough(found) or came >= _AT_ONCE:
            continue
        on = _footprint(search, i, found.moved)
        if (taken & on).any():
            continue
        taken |= on
        fit.states[i] = state_of(fit.library[i], found.amount, found.moved)
        came += 1
    if came:
        fit.refresh()
    return came > 0


def conditional(search: Search, i: int) -> Match:
    """A compound's match in the residual without it, near where it is."""
    fit = search.fit
    axis = fit.mixture.axis
    data = fit.residual() + fit.signals[i]
    commons, prior = offsets(search, known=True)
    compound, shapes = fit.library[i], fit.states[i].multiplets
    templates = search.templates[i]
    if shapes and any(a is not b for a, b in zip(shapes, compound.multiplets, strict=True)):
        templates = templates_of(replace(compound, multiplets=shapes), axis, fit.shared)
    return match(templates, axis, fit.mixture.frequency, data, weight_of(search, i), commons, prior)


def backward(search: Search) -> bool:
    """Leave out what does not hold, the weakest first; let another take the place of one that it explains better."""
    fit = search.fit
    changed = False
    found = {i: conditional(search, i) for i in fit.states if i not in search.fixed}
    for i in sorted(found, key=lambda i: found[i].evidence):
        m = conditional(search, i) if changed else found[i]
        if m.evidence < _STAY or not enough(m) or fit.states[i].amount <= 0:
            del fit.states[i]
            search.left_out[i] = search.left_out.get(i, 0) + 1
            fit.refresh()
            changed = True
            continue
        better = _rival(search, i, m)
        if better is not None:
            other, there = better
            del fit.states[i]
            search.left_out[i] = search.left_out.get(i, 0) + 1
            fit.states[other] = state_of(fit.library[other], there.amount, there.moved)
            fit.refresh()
            changed = True
    return changed


def _rival(search: Search, i: int, own: Match) -> tuple[int, Match] | None:
    """A compound that is not in and explains what this one does, and better.

    What speaks for it elsewhere does not count: for that it may come in beside this one.
    """
    fit = search.fit
    axis, frequency = fit.mixture.axis, fit.mixture.frequency
    residual, weight = fit.residual(), weight_of(search, i)
    data, beside = residual + fit.signals[i], weight_of(search)
    commons, prior = offsets(search, known=True)
    on = np.append(0, np.cumsum(_footprint(search, i, own.moved)))
    best: tuple[int, Match] | None = None
    for j, templates in enumerate(search.templates):
        if j in fit.states or search.left_out.get(j, 0) > 1:
            continue
        if not any(_touched(t, on, 0) for t in templates):
            continue
        found = match(templates, axis, frequency, data, weight, commons, prior)
        least = best[1].evidence if best else own.evidence + _BELONGS
        if found.evidence <= least or not enough(found):
            continue
        elsewhere = match(templates, axis, frequency, residual, beside, commons, prior)
        if found.evidence - max(elsewhere.evidence, 0.0) > own.evidence + _BELONGS:
            best = j, found
    return best


def select(search: Search, rounds: int = _ROUNDS) -> None:
    """Forward and backward until nothing changes."""
    for number in range(rounds):
        _follow_width(search)
        came = forward(search)
        _settle(search, 3)
        left = backward(search)
        if left:
            _settle(search, 2)
        if not came and not left:
            break
        if number == 0:
            _recenter(search)


def _follow_width(search: Search) -> None:
    """Compare with multiplets of the width that lines were found to have."""
    fit = search.fit
    if abs(np.log(fit.shared.width / search.width)) > _WIDTH_CHANGE and fit.states:
        search.width = fit.shared.width
        search.templates = [templates_of(c, fit.mixture.axis, fit.shared) for c in fit.library]
        search.matches = [None] * len(search.templates)


def _settle(search: Search, steps: int) -> None:
    """All that are in fitted together, the baseline and the errors with them."""
    fit = search.fit
    learn_errors(fit)
    fit.model_error = max(fit.model_error, 0.03)
    agree(fit, weight_of(search))
    search.fit = improve(fit, steps, reach=1.5)


def _recenter(search: Search) -> None:
    """The sample's offset anew, from what came in."""
    fit = search.fit
    moved = np.concatenate([s.moved for i, s in fit.states.items() if i not in search.fixed] or [np.zeros(0)])
    if len(moved) >= 4:
        fit.offset = float(np.median(moved))
