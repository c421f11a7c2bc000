"""What a reader yields: measurements, and records that cannot be read as a `ReadError` with its line and reason."""

from __future__ import annotations

from collections.abc import Iterator

from molvis_core.errors import ReadError
from molvis_core.records import Measurement

Items = Iterator[Measurement | ReadError]
