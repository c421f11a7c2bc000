"""A study from one format into another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from molvis_core.errors import WriteError
from molvis_flux.formats.fluxml_writer import write_fluxml
from molvis_flux.formats.opening import suffix
from molvis_flux.formats.options import open_study
from molvis_flux.formats.sbml_writer import write_sbml
from molvis_flux.formats.writers import write_study
from molvis_flux.model.network import Study

_WRITERS: dict[str, Callable[[Path, Study], tuple[str, ...] | None]] = {
    ".toml": write_study,
    ".fml": write_fluxml,
    ".xml": write_sbml,
    ".sbml": write_sbml,
}


def convert(
    source: str | Path, out: str | Path, *, reader: str | None = None, options: Iterable[str] | None = None
) -> tuple[Study, tuple[str, ...]]:
    """Read a network and write it in the format that the ending of `out` says.

    Args:
        source: in any format that is read.
        out: `.toml`, `.fml`, `.xml` or `.sbml`.
        reader: name of the reader.
        options: of the reader, as `molvis_flux.formats.options.open_study` takes them.

    Returns:
        The study as it was read, and what the new format has otherwise or not at all.

    Raises:
        ReadError: the source cannot be read, or an option is none.
        WriteError: the ending is not known, or the format cannot hold the network.
    """
    out = Path(out)
    write = _WRITERS.get(suffix(out))
    if write is None:
        raise WriteError(f"{out}: no format has the ending {out.suffix!r}; write {', '.join(_WRITERS)}")
    study = open_study(source, reader=reader, options=options)
    return study, write(out, study) or ()
