"""Runs of instruments as XML, one scan at a time: what mzML and mzXML have in common."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from molvis_core.errors import LeftOutError, ReadError
from molvis_files.opening import DAMAGE, open_bytes, unpack_zlib
from molvis_files.xml import refuse_declarations

__all__ = ["decoded", "is_profile", "numbers", "read_run"]

Item = TypeVar("Item")


def read_run(
    path: Path,
    kind: str,
    scan_tag: str,
    scan: Callable[[Any, int], Item | None],
    others: dict[str, Callable[[Any], None]],
    kept: str = "MS/MS scan",
) -> Iterator[Item | ReadError]:
    """What is read of the scans of a run, one at a time. Of a file that is cut off the scans before the cut are kept.

    Args:
        path: the file; gzip or not.
        kind: name of the format, for messages.
        scan_tag: name of the elements that are scans.
        scan: reads an element, given its number from 1; None where it is none of those that are wanted.
        others: what to do with elements of other names; they are let go afterwards.
        kept: what those that are wanted are called, for messages.

    Raises:
        ReadError: the file is not of this format, or holds no scan.
    """
    from lxml import etree  # ty: ignore[missing-module-member] - lxml comes without stubs

    number = found = 0
    tags = [f"{{*}}{name}" for name in (scan_tag, *others)]
    try:
        with open_bytes(path) as raw:
            # lxml resolves entities within attributes, whatever its options.
            refuse_declarations(path, raw)
            for _, element in etree.iterparse(raw, tag=tags, resolve_entities=False, huge_tree=True):
                name = etree.QName(element).localname
                if name == scan_tag:
                    number += 1
                    if (item := scan(element, number)) is not None:
                        found += 1
                        yield item
                else:
                    others[name](element)
                _let_go(element, scan_tag)
    except ReadError:
        raise
    except (etree.XMLSyntaxError, *DAMAGE, ValueError) as error:
        line = getattr(error, "lineno", None)
        if number == 0:
            raise ReadError(path, f"damaged or not {kind}: {error}", line=line) from error
        reason = f"cut off or damaged after {number} scans; the {found} {kept}s among them are kept: {error}"
        yield LeftOutError(path, reason, line=line)
        return
    if number == 0:
        raise ReadError(path, f"no scan in it; is it an {kind} file?")
    if found == 0:
        yield LeftOutError(path, f"none of its {number} scans is an {kept}")


def _let_go(element: Any, scan_tag: str) -> None:
    """Free what has been read: runs have gigabytes. Scans within scans wait for the outermost."""
    from lxml import etree  # ty: ignore[missing-module-member]

    element.clear()
    parent = element.getparent()
    if parent is not None and etree.QName(parent).localname != scan_tag:
        while element.getprevious() is not None:
            del parent[0]


_STEP = 0.12
"""Of profiles in m/z, at most: those of quadrupoles and ion traps have some ten points to a unit, others more."""


def is_profile(mz: Sequence[float] | np.ndarray) -> bool:
    """Whether a scan that is said to be a profile is one: a peak of a profile has five points or more.

    Converters flag runs whose survey scans alone are profiles, and those that somebody picked or thinned out. The side
    lobes of Fourier transforms make peaks near each other, though never that many.
    """
    gaps = np.diff(mz)
    return len(gaps) == 0 or bool(np.mean(gaps < _STEP) > 0.8)


def decoded(text: str | None, kind: str, packed: bool) -> Float[np.ndarray, " p"]:
    """Numbers from base64.

    Args:
        text: with or without white space.
        kind: as NumPy calls it, such as `<f8`.
        packed: by zlib.

    Raises:
        ValueError: they cannot be decoded.
        zlib.error: the compressed data are damaged.
    """
    return np.frombuffer(numbers(text, packed), dtype=kind).astype(np.float64)


def numbers(text: str | None, packed: bool) -> bytes:
    """The bytes of an array, of whatever kind its numbers are; see `decoded`.

    Raises:
        ValueError: they cannot be decoded.
        zlib.error: the compressed data are damaged.
    """
    data = base64.b64decode("".join((text or "").split()), validate=True)
    return unpack_zlib(data) if packed else data
