"""Which files, modules and commands of a distribution another one claims too.

pip overwrites without a word: of two distributions that bring a file of one name, the one that was installed last is
there, and uninstalling either takes it from both. `molvis` on the package index is another project's, with a command of
that name, so this is no remote case.
"""

from __future__ import annotations

import csv
import re
from importlib import metadata
from pathlib import PurePosixPath

_SCRIPTS = ("console_scripts", "gui_scripts")


def claimed_elsewhere(distribution: str) -> list[str]:
    """A sentence for each other distribution that claims something of this one, what to do included.

    Args:
        distribution: name of an installed distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    mine = metadata.distribution(distribution)
    own = _normal(distribution)
    claims = _claims(mine)
    seen: set[str] = set()
    found: list[str] = []
    for other in metadata.distributions():
        name = _normal(other.name or "")
        if not name or name == own or name in seen:  # a damaged dist-info has no name
            continue
        seen.add(name)
        shared = sorted(claims & _claims(other))
        if shared:
            more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
            found.append(
                f"{other.name} {other.version} claims {', '.join(shared[:3])}{more} too; whichever was installed last "
                f"is there. Uninstall it and reinstall {mine.name}: pip uninstall {other.name}; "
                f"pip install --force-reinstall --no-deps {mine.name}"
            )
    return sorted(found)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _claims(distribution: metadata.Distribution) -> set[str]:
    """Commands, importable names and other files. An editable install lists no modules: its entry points name them."""
    found: set[str] = set()
    for entry in distribution.entry_points:
        if entry.group in _SCRIPTS:
            found.add(f"the command {entry.name!r}")
        found.add(f"the module {entry.module.partition('.')[0]!r}")
    for file in _files(distribution):
        path = PurePosixPath(file)
        top = path.parts[0]
        if top.endswith((".dist-info", ".egg-info", ".pth")) or top in ("..", "__pycache__"):
            continue  # scripts are entry points already
        if len(path.parts) > 1 or path.suffix in (".py", ".so", ".pyd"):
            found.add(f"the module {top.partition('.')[0]!r}")
        else:
            found.add(f"the file {str(path)!r}")
    return found


def _files(distribution: metadata.Distribution) -> list[str]:
    """Files that a distribution declares. From Python 3.12 on its `files` leave out those that another one removed."""
    record = distribution.read_text("RECORD")
    if record is None:
        return [file.as_posix() for file in distribution.files or ()]
    return [row[0] for row in csv.reader(record.splitlines()) if row]
