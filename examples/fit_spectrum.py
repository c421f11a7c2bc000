"""Fit a spin system to a spectrum, from Python: L-proline, simulated as published, and a start that is off.

    python examples/fit_spectrum.py proline-fit

Leaves a folder with the parameters as JSON, TOML and GISSMO's XML, the simulated spectrum, a picture, and a report to
look at. For a spectrum of your own use `molvis_nmr.read_spectrum` and `molvis_nmr.read_system`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from molvis_nmr import fit, write_fit
from molvis_nmr.workflows import demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out

    spectrum, start = demo.spectrum(frequency=500.0, snr=500.0), demo.start()
    found = fit(spectrum, start)
    write_fit(out, found, title="L-proline, 500 MHz")

    bounds = found.fit.interval(0.9)
    for name, value, (low, high) in zip(found.fit.names, found.fit.values, bounds, strict=True):
        if name.startswith("shift/"):
            print(f"{name}: {value:.5f} ppm ({low:.5f} to {high:.5f})")
    print(f"ROI IoU {found.metrics['roi_iou']:.3f}; the report: {out / 'report.html'}")


if __name__ == "__main__":
    main()
