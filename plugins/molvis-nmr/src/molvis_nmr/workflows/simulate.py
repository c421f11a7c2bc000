"""From a file or a structure to a simulated spectrum in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ConfigError, WriteError
from molvis_core.output import to_plain
from molvis_core.records import Trace
from molvis_files.writing import replacing, write_text
from molvis_nmr.spins.approximation import Approximation, approximation
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, distinct, lines
from molvis_nmr.workflows.peaks import decoupled, read_list


@dataclass(frozen=True, eq=False, slots=True)
class Simulated:
    """A spectrum and what it was simulated from.

    Attributes:
        system: the spins.
        lines: of the observed nucleus, in ascending order; those at one place are one.
        trace: the spectrum.
        nucleus: that was observed.
        approximate: how far a spectrum is off that was simulated in clusters; None where it is exact.
    """

    system: SpinSystem
    lines: Lines
    trace: Trace
    nucleus: str
    approximate: Approximation | None = None

    def couplings(self, group: int) -> list[tuple[str, float]]:
        """What a group of spins is coupled to, and J in Hz, the strongest first."""
        j = self.system.couplings[group]
        order = sorted(np.flatnonzero(j).tolist(), key=lambda k: -abs(j[k]))
        return [(self.system.names[k], float(j[k])) for k in order]

    def seen(self, group: int) -> int:
        """Lines that hold more than a hundredth of the group's strongest."""
        weight = np.abs(self.lines.weight[:, group])
        return int((weight > 0.01 * weight.max(initial=0)).sum())

    def as_dict(self) -> dict[str, object]:
        """Everything as plain data: groups, lines from the lowest frequency up, and the spectrum."""
        position, weight = self.lines.position, self.lines.weight
        width = self.lines.share @ self.system.widths
        system, mhz = self.system, self.trace.frequency or 1.0
        fields = ("name", "identifier", "inchi", "names", "nuclei", "multiplicity", "shifts", "couplings", "widths")
        return {
            "system": {field: to_plain(getattr(system, field)) for field in (*fields, "intensities")},
            "nucleus": self.nucleus,
            "approximate": None if self.approximate is None else asdict(self.approximate),
            "frequency_MHz": mhz,
            "lines": {
                "position_Hz": position.tolist(),
                "shift_ppm": (position / mhz).tolist(),
                "intensity": (weight @ system.intensities).tolist(),
                "width_Hz": width.tolist(),
            },
            "spectrum": {"ppm": self.trace.x.tolist(), "intensity": self.trace.y.tolist()},
        }


def simulate_file(
    system: Path | str | None = None,
    *,
    smiles: str | None = None,
    shifts: Path | None = None,
    frequency: float = 600.0,
    nucleus: str = "1H",
    window: tuple[float, float] | None = None,
    points: int | None = None,
    width: float | None = None,
    broadening: float = 0.0,
    gaussian: float = 0.0,
    out: Path | str | None = None,
) -> Simulated:
    """Simulate a spin system from a file, or one made from a structure, and write its spectrum where a file is named.

    Args:
        system: a file that `molvis_nmr.formats.spin_systems.read_system` reads.
        smiles: a structure, in place of it; its 1H are simulated.
        shifts: a file with a list of shifts of the nucleus, in place of both; each signal is one line.
        frequency: of 1H, in MHz.
        nucleus: whose spectrum.
        window: from and to, in ppm.
        points: of the spectrum.
        width: w of all lines in Hz, in place of the system's.
        broadening: Hz added to every width.
        gaussian: standard deviation of a further Gaussian in Hz.
        out: `.csv`, `.tsv`, `.txt`, `.jdx` or `.dx` for the spectrum, `.json` for everything, `.png`, `.svg` or `.pdf`
            for a picture.

    Raises:
        ConfigError: not one of a system, a structure and a list; another nucleus than 1H of a structure; a width that
            is not positive.
        ReadError: the file cannot be read.
        StructureError: RDKit refuses the structure.
        RecordError: the system has no such nucleus, or a window or number of points that cannot be.
        WriteError: `out` cannot be written, or has another ending.
    """
    if sum(one is not None for one in (system, smiles, shifts)) != 1:
        raise ConfigError("give one of a spin system in a file, a structure as SMILES, and a list of shifts")
    if shifts is not None:
        spins = decoupled(read_list(shifts, nucleus))
    elif system is not None:
        from molvis_nmr.formats.spin_systems import read_system

        spins = read_system(system)
    else:
        from molvis_nmr.prediction.structure import from_smiles

        if nucleus != "1H":
            raise ConfigError(
                f"of a structure 1H is simulated, not {nucleus}. Predict the shifts (molvis predict shift-predictor "
                "SMILES --out list.sdf, with weights of your own) and give them: --shifts list.sdf"
            )
        spins = from_smiles(str(smiles))
    if width is not None:
        if not 0 < width < np.inf:
            raise ConfigError(f"width must be positive, got {width:g} Hz")
        spins = replace(spins, widths=np.full(len(spins), float(width)))
    trace = simulate(
        spins, frequency, window=window, points=points, gaussian=gaussian, broadening=broadening, nucleus=nucleus
    )
    found = distinct(lines(spins, frequency, nucleus=nucleus))
    done = Simulated(spins, found, trace, nucleus, approximation(spins, frequency, nucleus=nucleus))
    if out is not None:
        write_simulated(Path(out), done)
    return done


def write_simulated(path: Path, done: Simulated) -> None:
    """A simulated spectrum in a file, by the ending of its name; see `simulate_file`.

    Raises:
        WriteError: it cannot be written, or has another ending.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        write_text(path, json.dumps(done.as_dict(), allow_nan=False) + "\n")
    elif suffix in (".png", ".svg", ".pdf"):
        try:
            with replacing(path) as fresh:
                _draw(fresh, suffix[1:], done)
        except OSError as error:
            raise WriteError(f"{path}: cannot be written: {error}") from error
    else:
        from molvis_nmr.formats.writers import SUFFIXES, write_spectrum

        if suffix not in (*SUFFIXES, ".gz"):
            known = ", ".join((*SUFFIXES, ".json", ".png", ".svg", ".pdf"))
            raise WriteError(f"{path}: a simulated spectrum cannot be written as {suffix!r}; end it in {known}")
        write_spectrum(path, done.trace, name=done.system.name or None)


def _draw(path: Path, kind: str, done: Simulated) -> None:
    """The spectrum with its shifts, from the left end down."""
    from matplotlib.figure import Figure

    trace, system = done.trace, done.system
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(trace.x, trace.y, color="#1f2933", linewidth=0.8)
    for name, nucleus, shift in zip(system.names, system.nuclei, system.shifts.tolist(), strict=True):
        if nucleus == done.nucleus and trace.x[0] < shift < trace.x[-1]:
            axes.axvline(shift, ymax=0.03, color="#d55e00", linewidth=1.2)
            style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7, "rotation": 90, "color": "#d55e00"}
            axes.annotate(name, (shift, 0), (0, -4), textcoords="offset points", **style)
    axes.set_ylim(-0.12 * trace.y.max(), 1.05 * trace.y.max())
    axes.set_xlim(trace.x[-1], trace.x[0])
    axes.set_yticks([])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel(f"{done.nucleus} chemical shift, ppm, at {trace.frequency:.1f} MHz")
    axes.set_title(system.name or system.identifier, loc="left", fontsize=10)
    figure.savefig(path, format=kind, dpi=160)
