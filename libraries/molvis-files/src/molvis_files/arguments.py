"""Arguments of a command line that are checked before anything heavy is imported for it."""

from __future__ import annotations

from pathlib import Path

from molvis_core import registry
from molvis_core.errors import ConfigError, ReadError, did_you_mean
from molvis_files.writing import recover


def existing(*paths: Path | str | None, what: str = "") -> None:
    """Say so where a path names nothing, so that a slip of the keyboard is answered at once.

    Args:
        paths: files or folders; None is left out. Of FILE#ENTRY the file counts.
        what: that must be there, such as `a dataset`.

    Raises:
        ReadError: the first that is missing.
    """
    for path in paths:
        if path is None:
            continue
        recover(Path(path))
        if Path(path).exists() or Path(str(path).rpartition("#")[0] or "?").exists():
            continue
        from molvis_files.stores import is_url

        if is_url(path):  # whether it is there is seen when it is opened
            continue
        raise ReadError(Path(path), f"no such file or folder{f'; give {what}' if what else ''}")


def folder_of(kind: str, name: Path | str, *, make: str) -> Path:
    """What a name or a path means where a command takes the folder of something that plugins ship, too.

    Args:
        kind: of the component, such as `translation`. Where a folder has its name as well, the component is meant.
        name: of the component, or a path.
        make: how one makes such a folder, for the error.

    Raises:
        ConfigError: neither is there.
    """
    shipped = [c.name for c in registry.components(kind)]
    if str(name) in shipped:
        return Path(registry.load(kind, str(name)))
    recover(Path(name))
    if Path(name).exists():
        return Path(name)
    raise ConfigError(
        f"no {kind} {str(name)!r}: no such folder.{did_you_mean(str(name), shipped)} Shipped: "
        f"{', '.join(shipped) or 'none'}. {make}"
    )


def writable(*paths: Path | None) -> None:
    """Say so where the folder that a file is to be written to is not there.

    Raises:
        ConfigError: the first whose folder is missing.
    """
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}; make it first")
