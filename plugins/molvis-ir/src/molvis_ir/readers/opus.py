"""Bruker OPUS files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError
from molvis_files.opening import read_bytes
from molvis_ir.readers.spectrum import Items, measurement


def read_opus(path: Path) -> Items:
    """The spectrum of a Bruker OPUS file. Needs `pip install molvis-ir[opus]`.

    Absorbance if there is one, else ATR, Kubelka-Munk, log(1/R) or transmittance, in this order: a file often holds the
    same measurement in several forms. Single-channel spectra and interferograms are no spectra yet, and refused.

    Raises:
        ReadError: the file cannot be read, or brukeropus is not installed.
    """
    raw = read_bytes(path)
    try:
        import brukeropus
    except ImportError as error:
        raise ReadError(path, "OPUS files need brukeropus; install it with: pip install 'molvis-ir[opus]'") from error
    with tempfile.TemporaryDirectory() as folder:
        # It opens paths only, and knows no gzip.
        plain = Path(folder) / "spectrum.0"
        plain.write_bytes(raw)
        try:
            file = brukeropus.read_opus(str(plain))
            blocks = {d.block.type[3] % 32: d for d in reversed(list(file.iter_data()))} if file else {}
            sample = file.snm if file else None
        except Exception as error:  # see read_spc
            raise ReadError(path, f"damaged, or not an OPUS file: {error}") from error
    if not file:
        raise ReadError(path, "not an OPUS file: it does not begin as they do")
    kind = next((kind for kind in _OPUS if kind in blocks), None)
    if kind is None:
        held = ", ".join(sorted(d.label for d in blocks.values())) or "no data"
        yield ReadError(path, f"it holds {held}; save it with its absorbance or transmittance", record=path.name)
        return
    data = blocks[kind]
    try:
        axis = {"WN": "1/CM", "MI": "MICROMETERS"}.get(str(data.dxu), str(data.dxu))
        x, y = np.array(data.x, dtype=np.float64), np.array(data.y, dtype=np.float64)
    except Exception as error:  # see read_spc
        raise ReadError(path, f"damaged: its spectrum lacks {error}") from error
    fields = {"name": str(sample or path.name).strip(), "identifier": path.name.removesuffix(".gz")}
    yield measurement(path, x, y, axis, _OPUS[kind], fields, record=path.name)


# By the number of their kind of data.
_OPUS = {
    4: "ABSORBANCE", 19: "ABSORBANCE", 16: "ABSORBANCE", 6: "KUBELKA-MUNK", 15: "LOG(1/R)", 5: "TRANSMITTANCE",
    18: "TRANSMITTANCE",
}  # fmt: skip
