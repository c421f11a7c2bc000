"""Lines of decoupled spectra as lists of shifts: picked, simulated, and held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.errors import ConfigError, MolvisError, ReadError, did_you_mean
from molvis_core.records import ShiftList, Trace
from molvis_files.writing import write_text
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.spins.system import SpinSystem

SOLVENTS: dict[str, tuple[float, ...]] = {
    "D2O": (),
    "CDCl3": (77.16,),
    "DMSO-d6": (39.52,),
    "CD3OD": (49.00,),
    "acetone-d6": (29.84, 206.26),
    "CD3CN": (1.32, 118.26),
    "C6D6": (128.06,),
    "CD2Cl2": (53.84,),
    "THF-d8": (25.31, 67.21),
    "pyridine-d5": (123.44, 135.43, 149.84),
}
"""13C shifts of solvents in ppm, after G. R. Fulmer et al., Organometallics 29 (2010) 2176, doi:10.1021/om100106e."""
_SOLVENT = 0.75
"""ppm to both sides: the multiplet by deuterium, whose coupling is 20 to 32 Hz, and what references differ by."""
_SEPTET = 75.0
"""Hz to both sides that the outer lines of a septet lie off at most."""
_NEAR = {"13C": 10.0}
"""ppm within which a line may be that of a predicted shift; a fifteenth of it of other nuclei's range."""


@dataclass(frozen=True, eq=False, slots=True)
class Picked:
    """Lines of a spectrum.

    Attributes:
        record: their shifts, with heights over the noise as intensities.
        noise: standard deviation of the noise, in the spectrum's unit.
        left_out: shifts of lines that are the solvent's.
    """

    record: ShiftList
    noise: float
    left_out: tuple[float, ...]


def pick(
    trace: Trace, *, nucleus: str = "13C", solvent: str | None = None, threshold: float = 8.0, apart: float = 3.0
) -> Picked:
    """The lines of a spectrum in which each signal is a single line, such as that of 13C with 1H decoupled.

    Args:
        trace: phased, with a flat baseline.
        nucleus: observed.
        solvent: of `SOLVENTS`, whose lines are left out.
        threshold: standard deviations of the noise that a line stands above the valleys to both sides.
        apart: Hz that two lines are apart at least.

    Raises:
        ConfigError: a solvent that is not known, or a threshold or distance that is not positive.
        molvis_core.errors.RecordError: the trace has no frequency.
    """
    from scipy.signal import find_peaks

    if threshold <= 0 or apart <= 0:
        raise ConfigError(f"threshold and apart must be positive, got {threshold:g} and {apart:g}")
    if solvent is not None and solvent not in SOLVENTS:
        known = f"{did_you_mean(solvent, SOLVENTS)} Known: {', '.join(SOLVENTS)}"
        raise ConfigError(f"no solvent {solvent!r} is known for 13C.{known}")
    if not trace.frequency:
        raise ConfigError("the spectrum does not state the frequency of its nucleus; give it with --frequency")
    noise = noise_level(trace.y)
    step = float(np.median(np.diff(trace.x))) * trace.frequency
    least = max(threshold * noise, 1e-12 * float(np.abs(trace.y).max(initial=0.0)))
    places, _ = find_peaks(trace.y, height=least, prominence=least, distance=max(1, round(apart / step)))
    shifts = _tops(trace, places)
    windows = [(s - w, s + w) for s in SOLVENTS.get(solvent or "", ()) for w in [_reach(trace.frequency)]]
    foreign = np.zeros(len(shifts), np.bool_)
    if nucleus == "13C":
        for low, high in windows:
            foreign |= (shifts > low) & (shifts < high)
    heights = trace.y[places] / noise if noise > 0 else np.ones(len(places))
    record = ShiftList(
        shifts[~foreign].round(3), nucleus, heights[~foreign].round(1), solvent=solvent, identifier=trace.identifier
    )
    return Picked(record, noise, tuple(shifts[foreign].round(3).tolist()))


def _reach(frequency: float) -> float:
    return max(_SOLVENT, _SEPTET / frequency)


def _tops(trace: Trace, places: np.ndarray) -> Float[np.ndarray, " p"]:
    """Where parabolas through the highest points and their neighbors are highest."""
    left, top, right = trace.y[places - 1], trace.y[places], trace.y[places + 1]
    bend = left - 2 * top + right
    off = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    steps = 0.5 * (trace.x[places + 1] - trace.x[places - 1])
    return trace.x[places] + off * steps


def write_list(path: Path, record: ShiftList) -> None:
    """A table of shifts that readers of lists take: one row a line.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written.
    """
    head = f"# {record.nucleus}" + (f", solvent: {record.solvent}" if record.solvent else "")
    rows = [f"{shift:.3f},{record.nucleus}" for shift in record.shifts.tolist()]
    write_text(path, "\n".join([head, "shift,nucleus", *rows]) + "\n")


def read_list(path: Path, nucleus: str) -> ShiftList:
    """The first list of a nucleus in a file of shifts, by whichever installed plugin reads such.

    Raises:
        ReadError: no reader takes the file, or it holds no list of that nucleus.
    """
    try:
        component = registry.reader_for(path, modality="nmr-shifts")
        items = list(registry.load("reader", component.name)(path))
    except ReadError:
        raise
    except MolvisError as error:
        hint = "lists of shifts are read by molvis-nmr-shifts: pip install molvis-nmr-shifts"
        raise ReadError(path, f"is no list of shifts that an installed plugin reads ({error}); {hint}") from error
    faults = [one for one in items if isinstance(one, ReadError)]
    found = [one.record for one in items if not isinstance(one, ReadError)]
    mine = [one for one in found if one.nucleus == nucleus and one.partners is None and len(one)]
    if not mine:
        held = ", ".join(sorted({one.nucleus for one in found})) or (str(faults[0]) if faults else "nothing")
        raise ReadError(path, f"holds no list of {nucleus}; it holds {held}")
    return mine[0]


def decoupled(record: ShiftList, *, width: float = 0.5) -> SpinSystem:
    """Spins of which each signal is one line: what a spectrum with 1H decoupled is simulated from.

    Carbons are taken to be fully relaxed, without an Overhauser effect: each nucleus counts alike, and real spectra
    differ. 13C beside 13C is left out: 1% of it.

    Args:
        record: shifts; signals of several atoms, or with an intensity of 1H, count as many.
        width: half width at half height of all lines, in Hz.

    Raises:
        ConfigError: a list of 1H, whose signals couple with each other.
    """
    if record.nucleus == "1H":
        raise ConfigError("1H couples with 1H: simulate it from a structure (--smiles) or a spin system (--system)")
    counts = [len(text.split(",")) if text else 1 for text in record.atoms] or [1] * len(record)
    names = [f"C{text.replace(',', '/')}" if text else f"s{k}" for k, text in enumerate(record.atoms, start=1)]
    names = names or [f"s{k}" for k in range(1, len(record) + 1)]
    if len(set(names)) < len(names):
        names = [f"{name}.{k}" for k, name in enumerate(names, start=1)]
    size = len(record)
    return SpinSystem(
        tuple(names), record.shifts, np.zeros((size, size)), np.array(counts), (record.nucleus,) * size,
        np.full(size, width), name=record.identifier or "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beside:
    """A predicted shift and the measured line that is taken for it.

    Attributes:
        listed: in ppm; None of a line that no shift is near.
        atoms: of it.
        measured: in ppm; None where there is no line near.
    """

    listed: float | None
    atoms: str
    measured: float | None

    @property
    def difference(self) -> float | None:
        """Measured less listed, in ppm."""
        return None if self.listed is None or self.measured is None else self.measured - self.listed


def compare(listed: ShiftList, measured: ShiftList, *, near: float = 0.0) -> list[Beside]:
    """Each shift of a list with the line that it is, so that the differences add up to the least; by shift.

    A line may be that of several shifts, where there are fewer lines than shifts.

    Args:
        listed: predicted, or of another sample.
        measured: picked.
        near: ppm that the two may differ by; 10 of 13C if not given, and 2 of other nuclei.
    """
    from scipy.optimize import linear_sum_assignment

    reach = near or _NEAR.get(listed.nucleus, 2.0)
    off = np.abs(listed.shifts[:, None] - measured.shifts[None])
    pairs: dict[int, int] = {}
    for row, column in zip(*linear_sum_assignment(np.minimum(off, reach)), strict=True):
        if off[row, column] < reach:
            pairs[int(row)] = int(column)
    for row in range(len(listed)):
        if row not in pairs and len(measured) < len(listed) and off[row].min(initial=reach) < reach:
            pairs[row] = int(off[row].argmin())
    out = [
        Beside(
            float(shift), listed.atoms[row] if listed.atoms else "",
            float(measured.shifts[pairs[row]]) if row in pairs else None,
        )
        for row, shift in enumerate(listed.shifts)
    ]  # fmt: skip
    taken = set(pairs.values())
    out += [Beside(None, "", float(s)) for column, s in enumerate(measured.shifts) if column not in taken]
    return sorted(out, key=_place)


def _place(one: Beside) -> float:
    return next(v for v in (one.listed, one.measured) if v is not None)


def mean_difference(rows: Sequence[Beside]) -> float | None:
    """Mean absolute difference of the shifts that have a line, in ppm; None where none has."""
    found = [abs(one.difference) for one in rows if one.difference is not None]
    return float(np.mean(found)) if found else None
