"""Files of instrument vendors, which only the vendors' libraries read: what to do with them."""

from __future__ import annotations

from pathlib import Path

from molvis_core import registry
from molvis_core.errors import ReadError

VENDORS = {
    ".raw": "Thermo or Waters", ".d": "Agilent or Bruker", ".wiff": "Sciex", ".wiff2": "Sciex", ".wiff.scan": "Sciex",
    ".lcd": "Shimadzu", ".qgd": "Shimadzu", ".baf": "Bruker", ".tdf": "Bruker", ".yep": "Bruker", ".t2d": "Sciex",
}  # fmt: skip


def require_file(path: Path, wanted: str = "") -> None:
    """Make sure that there is a file that some reader may read.

    Args:
        path: the file.
        wanted: what it should hold, for the message.

    Raises:
        ReadError: it does not exist, is a folder, or is a vendor's; the message states what to do.
    """
    vendor = next((VENDORS[end] for end in VENDORS if path.name.lower().endswith(end)), None)
    claimed = any(path.name.lower().endswith(s) for c in registry.components("reader") for s in c.suffixes)
    if path.exists() and vendor and not claimed:
        raise ReadError(
            path,
            f"a {'folder' if path.is_dir() else 'file'} of {vendor}, which only the vendor's library reads; convert it "
            "with ProteoWizard: msconvert --mzML --filter 'peakPicking vendor msLevel=1-' and the name of the "
            f"{'folder' if path.is_dir() else 'file'}",
        )
    if path.is_dir():
        raise ReadError(path, "a folder; name the files in it")
    if not path.is_file():
        raise ReadError(path, f"no such file{f'; {wanted}' if wanted else ''}")
