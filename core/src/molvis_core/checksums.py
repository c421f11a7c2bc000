"""Checksums that tell whether a folder's files are still what was written.

A folder's TOML file holds the checksum of its own content under `checksum`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from typing import Any

from molvis_core.config import write_toml

KEY = "checksum"


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of TOML values, whatever the order of their keys; of a checksum among them nothing is taken."""
    counted = {k: v for k, v in content.items() if k != KEY}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> str:
    """TOML text of values, the number of their format among them, with their checksum."""
    # Taken of what a reader will parse: TOML knows no tuples, and writes some numbers in another way.
    found = checksum(tomllib.loads(write_toml(content)))
    rest = {k: v for k, v in content.items() if k != KEY}
    return write_toml({"format": rest.pop("format"), KEY: found, **rest})


def is_intact(content: Mapping[str, Any]) -> bool:
    """Whether values are those that the checksum among them was taken of; false where there is none."""
    return content.get(KEY) == checksum(content)
