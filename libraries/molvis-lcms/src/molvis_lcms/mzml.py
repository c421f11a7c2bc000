"""mzML: the terms of its elements and the numbers of its arrays.

Terms are recognised by their accession in the PSI-MS vocabulary, whatever they are called.

Reference: L. Martens et al., mzML, a community standard for mass spectrometry data, Mol. Cell. Proteomics 10 (2011)
R110.000133, doi:10.1074/mcp.R110.000133
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_lcms.elements import decoded, numbers
from molvis_lcms.numpress import decode_linear, decode_pic, decode_slof

__all__ = [
    "CHARGE", "ENERGY", "LEVEL", "LOWER_OFFSET", "MINUTE", "NEGATIVE", "NORMALIZED", "POSITIVE", "PROFILE", "SELECTED",
    "TARGET", "TIME", "UPPER_OFFSET", "Terms", "arrays", "ion_terms", "terms",
]  # fmt: skip

Terms = dict[str, str]
"""Values by accession."""
LEVEL, PROFILE, NEGATIVE, POSITIVE = "MS:1000511", "MS:1000128", "MS:1000129", "MS:1000130"
SELECTED, CHARGE = "MS:1000744", "MS:1000041"
TARGET, LOWER_OFFSET, UPPER_OFFSET = "MS:1000827", "MS:1000828", "MS:1000829"
ENERGY, NORMALIZED = "MS:1000045", "MS:1000138"
TIME, MINUTE = "MS:1000016", "UO:0000031"
_MZ, _INTENSITY, _ZLIB, _PLAIN = "MS:1000514", "MS:1000515", "MS:1000574", "MS:1000576"
_TYPES = {"MS:1000521": "<f4", "MS:1000523": "<f8", "MS:1000519": "<i4", "MS:1000522": "<i8"}
_NUMPRESS: dict[str, tuple[Callable[[bytes], np.ndarray], bool]] = {
    "MS:1002312": (decode_linear, False), "MS:1002313": (decode_pic, False), "MS:1002314": (decode_slof, False),
    "MS:1002746": (decode_linear, True), "MS:1002747": (decode_pic, True), "MS:1002748": (decode_slof, True),
}  # fmt: skip
"""What decodes an array, and whether zlib packed it too."""


def terms(element: Any, groups: Mapping[str, Terms]) -> Terms:
    """The terms of an element itself, and those it refers to.

    Args:
        element: of lxml.
        groups: the run's `referenceableParamGroup`s by their `id`.
    """
    found: Terms = {}
    for group in element.findall("{*}referenceableParamGroupRef"):
        found |= groups.get(group.get("ref", ""), {})
    return found | {term.get("accession", ""): term.get("value", "") for term in element.findall("{*}cvParam")}


def ion_terms(scan: Any, groups: Mapping[str, Terms]) -> Terms:
    """The terms of the precursor: where it was isolated, which ion it is, and how it was broken."""
    found: Terms = {}
    for place in ("isolationWindow", "selectedIonList/{*}selectedIon", "activation"):
        if (element := scan.find(f"{{*}}precursorList/{{*}}precursor/{{*}}{place}")) is not None:
            found |= terms(element, groups)
    return found


def arrays(scan: Any, groups: Mapping[str, Terms]) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " q"]]:
    """m/z and intensities as the scan has them, which may be of unlike lengths; empty where it has none.

    Raises:
        ValueError: they cannot be decoded.
        zlib.error: the compressed data are damaged.
    """
    found: dict[str, np.ndarray] = {}
    for element in scan.findall("{*}binaryDataArrayList/{*}binaryDataArray"):
        kinds = terms(element, groups)
        for name in (_MZ, _INTENSITY):
            if name in kinds:
                found[name] = _array(element, kinds)
    return found.get(_MZ, np.empty(0)), found.get(_INTENSITY, np.empty(0))


def _array(element: Any, kinds: Terms) -> Float[np.ndarray, " p"]:
    text = element.findtext("{*}binary")
    for name, (decoder, packed) in _NUMPRESS.items():
        if name in kinds:
            return decoder(numbers(text, packed or _ZLIB in kinds))
    if _ZLIB not in kinds and _PLAIN not in kinds:
        raise ValueError(
            "its compression is neither zlib, MS-Numpress nor none; convert it, for example with msconvert --zlib"
        )
    kind = next((_TYPES[name] for name in _TYPES if name in kinds), None)
    if kind is None:
        raise ValueError("its numbers have neither 32 nor 64 bits")
    return decoded(text, kind, _ZLIB in kinds)
