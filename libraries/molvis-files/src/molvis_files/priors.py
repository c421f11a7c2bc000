"""Priors of fits in TOML, to be edited by hand.

"shift/H3" = { mean = 3.21, sd = 0.05 }
"net/v1" = { low = 0.0, high = 3.0 }
scale = { value = 1.0 }
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError, RecordError, did_you_mean
from molvis_core.fitting import Fixed, Normal, Prior, Uniform
from molvis_files.documents import load_toml, write_toml
from molvis_files.opening import read_text
from molvis_files.writing import write_text

__all__ = ["read_prior", "write_prior"]

_KINDS = {frozenset(("mean", "sd")): Normal, frozenset(("low", "high")): Uniform, frozenset(("value",)): Fixed}


def write_prior(path: Path | str, prior: Prior) -> None:
    """Write a prior: a table for each parameter.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written.
    """
    write_text(Path(path), write_toml({name: asdict(belief) for name, belief in prior.items()}))


def read_prior(path: Path | str, usual: Prior) -> Prior:
    """A fitter's usual prior with the changes that a file makes to it.

    Args:
        path: TOML; a parameter that it does not name keeps its usual prior. A plain number fixes a parameter.
        usual: what `Fitter.prior` returns.

    Raises:
        ConfigError: the file is not TOML, names a parameter that there is none of, or gives it no prior.
        molvis_core.errors.ReadError: the file cannot be read.
    """
    path = Path(path)
    try:
        given = load_toml(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    for name in given:
        if name not in usual:
            raise ConfigError(
                f"{path}: there is no parameter {name!r}.{did_you_mean(name, usual)} "
                f"Parameters: {', '.join(usual) or 'none'}."
            )
    return usual | {name: _belief(path, name, value) for name, value in given.items()}


def _belief(path: Path, name: str, value: Any) -> Normal | Uniform | Fixed:
    if _number(value):
        return Fixed(float(value))
    kind = _KINDS.get(frozenset(value)) if isinstance(value, Mapping) else None
    if kind is None or not all(_number(number) for number in value.values()):
        raise ConfigError(
            f"{path}: {name!r} must be a number or {{ mean, sd }}, {{ low, high }} or {{ value }} with numbers, "
            f"got {value!r}"
        )
    try:
        return kind(**{key: float(number) for key, number in value.items()})
    except RecordError as error:
        raise ConfigError(f"{path}: {name!r}: {error}") from error


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
