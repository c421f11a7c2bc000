"""The translation that ships, from the table of open MassBank spectra.

    python plugins/molvis-models/tools/make_translation.py massbank_open.parquet --out massbank

The same as `molvis translation train massbank_open.parquet --fold train --epochs 30 --stop 10`, some five CPU minutes.
Ten epochs of thirty, as the time that there was allowed no more; the moving average of the weights is what ships.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from molvis_msms.translation.training import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spectra", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    report = train(
        [args.spectra], args.out, fold="train", epochs=30, stop=10,
        progress=lambda done, total, what: print(what, done, total, flush=True),
    )  # fmt: skip
    print(report)


if __name__ == "__main__":
    main()
