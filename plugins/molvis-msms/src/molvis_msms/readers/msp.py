"""MSP libraries, as NIST, MoNA, RIKEN and MassBank write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.opening import lines
from molvis_msms.fields import measurement, peak
from molvis_msms.readers.items import Items

_COUNT = re.compile(r"num\s*peaks\s*:", re.IGNORECASE)


def read_msp(path: Path) -> Items:
    """MSP libraries, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    number = 0
    for begin, block in _blocks(lines(path)):
        found = next((i for i, (_, line) in enumerate(block) if _COUNT.match(line)), None)
        number += 1
        if found is None:
            name = block[0][1].partition(":")[2].strip() or number
            yield ReadError(path, "no 'Num Peaks' line; the record is cut off or not MSP", line=begin, record=name)
            continue
        fields = _msp_fields(line for _, line in block[:found])
        yield _msp_record(path, fields, block[found], block[found + 1 :], begin, number)
    if number == 0:
        raise ReadError(path, "empty: no record in it")


def _blocks(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Records: separated by empty lines, or by a new `Name:` behind the peaks."""
    block: list[tuple[int, str]] = []
    for number, raw in numbered:
        line = raw.strip()
        starts = bool(re.match(r"name\s*:", line, re.IGNORECASE))
        if (not line or starts) and block:
            if starts and not any(_COUNT.match(b) for _, b in block):
                block.append((number, line))  # a second name of the same compound
                continue
            yield block[0][0], block
            block = []
        if line:
            block.append((number, line))
    if block:
        yield block[0][0], block


def _msp_fields(lines: Iterator[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        key = key.strip().lower().replace(" ", "_")
        if key in ("comments", "comment"):
            # NIST and MoNA hide further fields here: "SMILES=CCO" "author=..."
            for inner, quoted in re.findall(r'"([^"=]+)=([^"]*)"', value):
                fields.setdefault(inner.strip().lower().replace(" ", "_"), quoted)
        else:
            fields.setdefault(key, value.strip())
    return fields


def _msp_record(
    path: Path,
    fields: Mapping[str, str],
    count: tuple[int, str],
    rows: Sequence[tuple[int, str]],
    begin: int,
    number: int,
) -> Measurement | ReadError:
    name = fields.get("name") or number
    peaks: list[tuple[float, float]] = []
    for line_number, line in rows:
        # Annotations are quoted and may hold anything, numbers too.
        bare = re.sub(r'"[^"]*"', "", line)
        # Several peaks share a line where semicolons part them.
        for part in bare.split(";") if ";" in bare else [bare]:
            if part.strip():
                try:
                    peaks.append(peak(part))
                except ValueError as error:
                    return ReadError(path, str(error), line=line_number, record=name)
    wanted = re.match(r"[0-9]{1,9}", count[1].partition(":")[2].strip())
    if wanted and int(wanted.group()) != len(peaks):
        reason = f"Num Peaks is {wanted.group()}, but there are {len(peaks)} peaks; was the record cut off?"
        return ReadError(path, reason, line=count[0], record=name)
    return measurement(path, fields, peaks, line=begin, number=number)
