"""What the labels of a JCAMP-DX block say about its data, compared with the data."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from molvis_files.jcamp.blocks import Problem, Rows, parse_number

_NUMBERS = re.compile(r"(NPOINTS|(FIRST|LAST|MIN|MAX|DELTA)[XYRI]|[XYRI]FACTOR)")
_DATA = re.compile(r"\s*[+-]?[\d.]")
_SLIP = 0.02
"""Share of the largest value by which header and data may differ: programs write MAXY of other digits, or of a spectrum
before it was packed."""
_PERCENT = (100.0, 0.01)
"""Many programs state transmittance in percent in one place and in parts in another."""


def split_by(label: str, rows: Rows) -> Problem | None:
    """A label of one number behind which lines of data follow: it stands within a table, and has taken its rest."""
    if not _NUMBERS.fullmatch(label):
        return None
    behind = [line for line, text in rows[1:] if _DATA.match(text)]
    if not behind:
        return None
    where = f"{len(behind)} lines from {behind[0]} on are in no table"
    reason = f"##{label}= stands within the data, so that {where}; move it before the data"
    return Problem("header", rows[0][0], reason)


def contradicts(label: str, before: str, now: str, line: int) -> Problem | None:
    """A number that is stated twice, and differently."""
    if not _NUMBERS.fullmatch(label):
        return None
    one, other = parse_number(before), parse_number(now)
    if one is None or other is None or one == other:
        return None
    return Problem("header", line, f"##{label}= is {other:.10g} here and was {one:.10g} before; leave the right one")


def beyond_ends(
    name: str, x: Float[np.ndarray, " t"], first: float | None, last: float | None, line: int
) -> Problem | None:
    """Data without a stated number of points whose ends are not FIRSTX and LASTX, in either direction.

    Two steps are allowed: some programs state the point behind the last.
    """
    if first is None or last is None or len(x) < 2:
        return None
    slack = 2 * float(np.median(np.abs(np.diff(x)))) + 1e-6 * max(abs(first), abs(last))
    ends, stated = sorted((float(x[0]), float(x[-1]))), sorted((first, last))
    if all(abs(a - b) <= slack for a, b in zip(ends, stated, strict=True)):
        return None
    labels = f"by ##FIRST{name}= and ##LAST{name}= from {first:.10g} to {last:.10g}"
    reason = (
        f"x of the {len(x)} points found goes from {x[0]:.10g} to {x[-1]:.10g}, {labels}: the file is cut off or lines "
        "are missing; get it whole, or state ##NPOINTS="
    )
    return Problem("points", line, reason)


def y_scale(
    y: Float[np.ndarray, " t"], labels: Mapping[str, str], factor: str | None, line: int
) -> tuple[list[Problem], list[Problem]]:
    """FIRSTY, MAXY and MINY against the data.

    Where two or more of them are stated and all are one and the same multiple of what the data have, it is the factor
    that is wrong, and the data cannot be trusted. A hundredfold, and single numbers that differ, are doubts.

    Args:
        y: after the factor.
        labels: what is stated, by label.
        factor: YFACTOR as it is stated.
        line: of the table.

    Returns:
        Problems and doubts.
    """
    have = _found(y)
    stated = {k: v for k in have if (v := parse_number(labels.get(k))) is not None}
    if not stated:
        return [], []
    digit = {k: _half_digit(labels[k]) for k in stated}
    largest = max(stated, key=lambda k: abs(have[k]))

    def odd(ratio: float) -> list[str]:
        slack = _SLIP * abs(have[largest] * ratio)
        return [k for k in stated if abs(stated[k] - ratio * have[k]) > slack + digit[k]]

    if not (wrong := odd(1.0)):
        return [], []
    ratio = stated[largest] / have[largest] if have[largest] else 0.0
    numbers = "; ".join(f"##{k}= is {stated[k]:.6g}, the data have {have[k]:.6g}" for k in wrong)
    if len(stated) == 1 or ratio <= 0 or odd(ratio):
        return [], [Problem("y-scale", line, f"{numbers}: the data are taken as they are")]
    if any(abs(ratio / percent - 1) <= _SLIP for percent in _PERCENT):
        return [], [Problem("y-scale", line, f"{numbers}: percent in one place and parts in the other")]
    what = f"##YFACTOR={factor.strip()} is wrong" if factor else "##YFACTOR= is missing"
    reason = f"{numbers}, which is {ratio:.6g} times as much: {what}; correct it, or these labels"
    return [Problem("y-scale", line, reason)], []


def _found(y: Float[np.ndarray, " t"]) -> dict[str, float]:
    """What the labels are of, as far as the data have it."""
    known = y[np.isfinite(y)]
    if not len(known):
        return {}
    have = {"MAXY": float(known.max()), "MINY": float(known.min())}
    return {"FIRSTY": float(y[0]), **have} if np.isfinite(y[0]) else have


def _half_digit(text: str) -> float:
    """Half of what the last digit written is worth."""
    found = re.match(r"\s*[+-]?\d*(?:\.(\d*))?(?:[Ee]([+-]?\d+))?", text)
    decimals, exponent = found.groups() if found else (None, None)
    return 0.5 * 10.0 ** (int(exponent or 0) - len(decimals or ""))
