"""Galactic SPC files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError
from molvis_files.opening import read_bytes
from molvis_ir.readers.spectrum import Items, measurement, stem_of


def read_spc(path: Path) -> Items:
    """Galactic SPC files, new format (0x4B): each subfile is a spectrum. Needs `pip install molvis-ir[spc]`.

    Raises:
        ReadError: the file cannot be read, or spc-io is not installed.
    """
    raw = read_bytes(path)
    try:
        import spc_io
    except ImportError as error:
        raise ReadError(path, "SPC files need spc-io; install it with: pip install 'molvis-ir[spc]'") from error
    try:
        file = spc_io.SPC.from_bytes_io(io.BytesIO(raw))
        spectra = [(np.array(s.xarray, dtype=np.float64), np.array(s.yarray, dtype=np.float64)) for s in file]
        units = _SPC.get(str(file.xtype), str(file.xtype)), _SPC.get(str(file.ytype), str(file.ytype))
    except Exception as error:  # what a damaged file raises in a stranger's code is not known
        raise ReadError(path, f"damaged, or not a new-format SPC file: {error}") from error
    stem = stem_of(path)
    for number, (x, y) in enumerate(spectra, start=1):
        name = stem if len(spectra) == 1 else f"{stem} {number}"
        yield measurement(path, x, y, *units, {"name": stem, "identifier": name}, record=name)


_SPC = {
    "XWAVEN": "1/CM", "XUMETR": "MICROMETERS", "XNMETR": "NANOMETERS", "YABSRB": "ABSORBANCE", "YKMONK": "KUBELKA-MUNK",
    "YLOGDR": "LOG(1/R)", "YTRANS": "TRANSMITTANCE", "YEXTCF": "ABSORPTION INDEX", "YREFLEC": "REFLECTANCE",
    "YINDRF": "REFRACTIVE INDEX",
}  # fmt: skip
