"""Errors that molvis raises.

Each derives from `MolvisError`, so that a program can catch ours alone, and from the built-in that it refines, so that
code which knows nothing of molvis still catches it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from molvis_core.text import shortened, visible


class MolvisError(Exception):
    """Base of every error that molvis raises on purpose.

    Messages quote what files hold: escape sequences in them are shown, and one of millions of characters is cut.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_safe(a) if isinstance(a, str) else a for a in args))


def _safe(message: str) -> str:
    return visible(shortened(message), lines=True)


class RecordError(MolvisError, ValueError):
    """A measurement or a structure holds what cannot be: NaN, negative peaks, arrays of different lengths."""


class ReadError(MolvisError, ValueError):
    """A file cannot be read as the format it claims.

    Attributes:
        path: the file.
        line: its line, counted from 1, where known.
        record: the record in it, as it calls itself or counted from 1, where known.
        reason: what is wrong and what to do.
    """

    def __init__(self, path: object, reason: str, *, line: int | None = None, record: str | int | None = None) -> None:
        self.path, self.line, self.reason = str(path), line, _safe(reason)
        self.record = record = visible(shortened(record, 120)) if isinstance(record, str) else record
        place = self.path if line is None else f"{self.path}:{line}"
        reason = self.reason
        super().__init__(f"{place}: {reason}" if record is None else f"{place}: record {record}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send errors through pickle; the default would call __init__ with the finished message.
        return _rebuild_read_error, (self.path, self.reason, self.line, self.record)


def _rebuild_read_error(path: str, reason: str, line: int | None, record: str | int | None) -> ReadError:
    return ReadError(path, reason, line=line, record=record)


class LeftOutError(ReadError):
    """Something of a file is left out while the rest is read: survey spectra, what a cut took.

    Such things are counted, and reported once for a file.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_left_out, (self.path, self.reason, self.line, self.record)


def _rebuild_left_out(path: str, reason: str, line: int | None, record: str | int | None) -> LeftOutError:
    return LeftOutError(path, reason, line=line, record=record)


class WriteError(MolvisError, OSError):
    """A file cannot be written; what was there before is kept."""


class BusyError(MolvisError, RuntimeError):
    """Another process is writing the same folder."""


class AdductError(MolvisError, ValueError):
    """An adduct that cannot be read, or that contradicts the ion mode or charge."""


class StructureError(MolvisError, ValueError):
    """A structure that RDKit refuses."""


class ConfigError(MolvisError, ValueError):
    """A configuration names a key or a value that does not exist."""


class ComponentError(MolvisError, LookupError):
    """No component, or more than one, has the requested name."""


class PluginError(MolvisError, ImportError):
    """A plugin is installed but broken."""


class BundleError(MolvisError, ValueError):
    """A bundle cannot be opened: damaged, incomplete, or from a newer molvis."""


class DatasetError(MolvisError, ValueError):
    """A dataset on disk is damaged, incomplete, or lacks what was asked of it."""


class IndexFileError(MolvisError, ValueError):
    """An index on disk is damaged or truncated, or was made by another bundle."""


class TrainingError(MolvisError, RuntimeError):
    """Training cannot go on: a loss that is not finite, a disk that is full, an empty fold."""


class ScoreError(MolvisError, ValueError):
    """Scores that are not finite. They must never be ranked: NaN > x is False and would look like a perfect hit."""


_LONGEST_WORD = 200
"""Characters. No name has more, and comparing long ones takes minutes."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'infonce'?"`, or nothing when no known word is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
