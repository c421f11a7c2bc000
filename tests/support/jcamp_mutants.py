"""Damaged JCAMP-DX spectra, and whether what is read of them is what their header states: part of `make fuzz`.

    python -m jcamp_mutants [--count 20000] [--seed 0]

Fuzzing by readers asks only that nothing breaks. Here what comes out is compared with the header of the damaged file,
by other code than the reader's: as many points as stated, from the first to the last x, and no multiple of the highest
and lowest y. Silence is allowed where the header is silent too.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from molvis_core.errors import MolvisError
from molvis_core.records import Measurement
from molvis_ir.readers.jcamp import read_jcamp

_CHARACTERS = "0123456789.,-+ \t@ABCJKLSTZajkls%?#$=\n"


def spectrum(rng: random.Random, form: str) -> str:
    """A file with a spectrum of a few bands, all of whose labels are right."""
    count = rng.choice((60, 91, 240))
    first, last = (400, 4000) if rng.random() < 0.5 else (4000, 400)
    x = np.linspace(first, last, count)
    bands = [(rng.uniform(500, 3800), rng.uniform(20, 90), rng.uniform(100, 900)) for _ in range(5)]
    y = sum(h * np.exp(-(((x - c) / w) ** 2)) for c, w, h in bands)
    whole = np.round(20 + np.asarray(y)).astype(int)
    factor = rng.choice((0.001, 0.0005))
    labels = [
        "##TITLE=made up", "##JCAMP-DX=4.24", "##DATA TYPE=INFRARED SPECTRUM", "##XUNITS=1/CM", "##YUNITS=ABSORBANCE",
        "##XFACTOR=1.0", f"##YFACTOR={factor}", f"##FIRSTX={first}", f"##LASTX={last}", f"##NPOINTS={count}",
        f"##FIRSTY={whole[0] * factor:.6g}", f"##MAXY={whole.max() * factor:.6g}", f"##MINY={whole.min() * factor:.6g}",
    ]  # fmt: skip
    if form == "XYPOINTS":
        rows = [f"{a:.4f}, {b}" for a, b in zip(x, whole, strict=True)]
        return "\n".join([*labels, "##XYPOINTS=(XY..XY)", *rows, "##END=", ""])
    rows = []
    for begin in range(0, count, 8):
        part = whole[begin : begin + 8]
        if form == "AFFN":
            rows.append(f"{x[begin]:.4f} " + " ".join(map(str, part)))
            continue
        # The line begins with a check of the last value of the one before.
        if begin:
            part = whole[begin - 1 : begin + 8]
        place = x[begin - 1] if begin else x[0]
        digits = "@ABCDEFGHI"[int(str(part[0])[0])] + str(part[0])[1:]
        for step in np.diff(part):
            text = str(abs(int(step)))
            digits += ("%JKLMNOPQR" if step >= 0 else "%jklmnopqr")[int(text[0])] + text[1:]
        rows.append(f"{place:.4f}{digits}")
    if form == "DIF":
        rows.append(f"{x[-1]:.4f}" + "@ABCDEFGHI"[int(str(whole[-1])[0])] + str(whole[-1])[1:])
    return "\n".join([*labels, "##XYDATA=(X++(Y..Y))", *rows, "##END=", ""])


def damage(text: str, rng: random.Random) -> str:
    """One to three faults, as transfers, editors and other programs make them."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        lines = text.split("\n")
        i = rng.randrange(len(lines))
        kind = rng.randrange(9)
        if kind == 0:  # a character
            at = rng.randrange(len(text) or 1)
            text = text[:at] + rng.choice(_CHARACTERS) + text[at + 1 :]
            continue
        if kind == 1:  # lost
            at = rng.randrange(len(text) or 1)
            text = text[:at] + text[at + rng.choice((1, 1, 2, 5, 40)) :]
            continue
        if kind == 2:  # cut off
            text = text[: rng.randrange(len(text) or 1)] + rng.choice(("", "\n##END=\n"))
            continue
        if kind == 3:
            del lines[i]
        elif kind == 4:
            lines.insert(i, lines[i])
        elif kind == 5:
            j = rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 6:
            lines.insert(i, lines.pop(rng.randrange(len(lines))))
        elif kind == 7:
            lines[i] = re.sub(r"\d", lambda m: str((int(m[0]) + rng.choice((0, 1))) % 10), lines[i])
        else:
            lines.insert(i, rng.choice(("", "$$ a comment", "##$PRIVATE=1", "##NPOINTS=7", "garbage")))
        text = "\n".join(lines)
    return text


def contradiction(text: str, found: Measurement) -> str:
    """What the header of a file states and the spectrum read of it does not have; empty where they agree."""
    stated: dict[str, float] = {}
    # A label before the title is of no block, and one with something behind its number states none for certain.
    number = r"^\s*##\s*(\w+)\s*=\s*([+-]?\d*\.?\d+(?:[Ee][+-]?\d+)?)(?=\s|$)"
    for name, value in re.findall(number, text[text.upper().find("##TITLE") :], re.MULTILINE):
        stated.setdefault(name.upper(), float(value))
    x, y = found.record.x, found.record.y
    if "?" not in text and (points := stated.get("NPOINTS")) is not None and points != len(x):
        return f"{points:g} points are stated, {len(x)} were read"
    ends = sorted(stated[k] for k in ("FIRSTX", "LASTX") if k in stated)
    step = float(np.median(np.diff(x)))
    if len(ends) == 2 and (abs(x[0] - ends[0]) > 2.5 * step or abs(x[-1] - ends[1]) > 2.5 * step):
        return f"x is stated from {ends[0]:g} to {ends[1]:g}, and goes from {x[0]:g} to {x[-1]:g}"
    if {"MAXY", "MINY", "FIRSTY"} <= stated.keys() and stated["MAXY"] > 0:
        ratio = stated["MAXY"] / float(y.max())
        first = float(y[0] if stated.get("FIRSTX", 0) < stated.get("LASTX", 1) else y[-1])
        same = all(
            abs(stated[k] - ratio * have) <= 0.015 * stated["MAXY"]
            for k, have in (("MINY", float(y.min())), ("FIRSTY", first))
        )
        if same and abs(ratio - 1) > 0.05 and not any(abs(ratio / p - 1) < 0.03 for p in (100, 0.01)):
            return f"FIRSTY, MAXY and MINY are {ratio:g} times what was read"
    return ""


def run(count: int, seed: int = 0) -> tuple[Counter[str], list[str]]:
    """Read mutants: how many of what came out, and the files that something is wrong with, with what it is."""
    rng = random.Random(seed)
    tally: Counter[str] = Counter()
    wrong: list[str] = []
    logging.getLogger("molvis").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.jdx"
        for _ in range(count):
            text = damage(spectrum(rng, rng.choice(("AFFN", "DIF", "XYPOINTS"))), rng)
            path.write_text(text, encoding="latin-1", newline="")
            try:
                items = list(read_jcamp(path))
            except MolvisError:
                tally["refused"] += 1
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it should not be
                wrong.append(f"raises {type(error).__name__}: {error}\n{text}")
                continue
            good = [item for item in items if isinstance(item, Measurement)]
            tally["read" if good else "refused"] += 1
            if not items:
                wrong.append(f"nothing was said\n{text}")
            if len(good) == 1 and text.upper().count("##TITLE=") <= 1 and (why := contradiction(text, good[0])):
                wrong.append(f"{why}\n{text}")
    return tally, wrong


def main() -> int:
    """1 where something is wrong; the first of these files are left in build/fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tally, wrong = run(given.count, given.seed)
    counts = f"{tally['refused']:,} refused, {tally['read']:,} read, {len(wrong)} wrong"
    print(f"jcamp-mutants: {given.count:,} files, {counts}")
    for number, text in enumerate(wrong[:20]):
        file = Path("build/fuzz") / f"jcamp-mutant-{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="latin-1")
        print(f"  {text.splitlines()[0]}: {file}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
