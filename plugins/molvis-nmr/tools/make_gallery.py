"""Make the pictures of docs/nmr/gallery.md, from simulated spectra and from measured ones with an open licence.

python plugins/molvis-nmr/tools/make_gallery.py [--data ../shared/data]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from molvis_core.records import Trace
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.formats.spin_systems import read_systems
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.report import mixture as report
from molvis_nmr.report.figures import draw_fit, save
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows import demo

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "nmr" / "images"
DPI = 90.0


def spectrum(folder: Path, name: str) -> Trace:
    rows = {r["spectrum_id"]: r for r in pq.read_table(folder / "spectra.parquet").to_pylist()}
    row = rows[name]
    x = row["ppm_start"] + row["ppm_step"] * np.arange(row["n"])
    return Trace(x, np.array(row["intensity"]), frequency=row["field_MHz"], identifier=name)


def draw(name: str, title: str, trace: Trace, start: SpinSystem, **settings: object) -> None:
    found = fit(trace, start, **settings)
    excluded = settings.get("exclude", ())
    figure = draw_fit(report.measured(found), report.fitted(found), report.parts(found), title=title, excluded=excluded)
    save(figure, IMAGES / f"{name}.png", dpi=DPI)
    print(name, {k: round(v, 4) for k, v in found.metrics.items()}, found.problem)


def fields() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    system = replace(demo.proline(), widths=np.full(7, 0.8))
    for axes, mhz in zip(figure.subplots(4, 1, sharex=True), (60.0, 200.0, 400.0, 900.0), strict=True):
        trace = simulate(system, mhz, window=(1.7, 2.6), points=6000)
        axes.plot(trace.x, trace.y, color="#0072b2", lw=1.0)
        axes.text(0.99, 0.75, f"{mhz:g} MHz", transform=axes.transAxes, ha="right", fontweight="bold")
        axes.set_xlim(2.6, 1.7)
        axes.set_yticks([])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
    axes.set_xlabel("chemical shift, ppm")
    save(figure, IMAGES / "fields.png", dpi=DPI)


def mixture(folder: Path, systems: dict[str, SpinSystem]) -> None:
    glucose = systems["gissmo:bmse000015:simulation_1"]

    def anomer(members: list[int], name: str) -> SpinSystem:
        return SpinSystem(
            tuple(glucose.names[i] for i in members),
            glucose.shifts[members],
            glucose.couplings[np.ix_(members, members)],
            glucose.multiplicity[members],
            name=name,
        )

    names = ("bmse000042", "bmse000041", "bmse000867", "bmse000038")
    library = [systems[f"gissmo:{name}:simulation_1"] for name in names]
    library += [anomer(list(range(7)), "β-D-glucose"), anomer(list(range(7, 14)), "α-D-glucose")]
    found = quantify(spectrum(folder, "nrc:amino_acid_mixture_2022"), library)
    title = "Four amino acids and glucose, 600 MHz"
    figure = draw_fit(found.measured, found.fitted, found.parts, title=title, excluded=found.excluded)
    save(figure, IMAGES / "mixture.png", dpi=DPI)
    print("mixture", round(found.roi_iou, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[4] / "shared" / "data")
    folder = parser.parse_args().data / "nmr"
    IMAGES.mkdir(parents=True, exist_ok=True)
    systems = {s.identifier: s for s in read_systems(folder / "spin_systems.json")}
    fields()
    draw("proline", "L-proline, 500 MHz, simulated with noise", demo.spectrum(), demo.start())
    draw(
        "2-ketobutyrate", "2-Ketobutyric acid, 500 MHz", spectrum(folder, "nrml:2-ketobutyric acid"),
        systems["gissmo:bmse000325:simulation_1"], exclude=[(4.5, 5.1), (-0.5, 0.3)], phase=True,
    )  # fmt: skip
    mixture(folder, systems)


if __name__ == "__main__":
    main()
