"""Among which structures of a library an unknown is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from molvis_core.chemistry.adducts import likely_adducts
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_core.errors import AdductError, ConfigError, DatasetError
from molvis_retrieval.results import Searched
from molvis_retrieval.unknowns import Unknown, as_betaine, as_likely_ions

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

Scope = Literal["auto", "mass", "formula", "all"]


@dataclass(frozen=True, slots=True)
class Search:
    """Which candidates are looked at, for all queries of one identification; see `identify`.

    Attributes:
        candidates: `auto`, `mass`, `formula` or `all`.
        ppm: half width of the mass window.
        mass: neutral mass in Da, where it is given.
        formula: where it is given.
        adduct: of ions that name none.
        adducts: to try for ions that name none.

    Raises:
        ConfigError: an option that makes no sense.
        AdductError: one of `adducts` cannot be read.
    """

    candidates: str = "auto"
    ppm: float = 10.0
    mass: float | None = None
    formula: str | None = None
    adduct: str | None = None
    adducts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.candidates not in ("auto", "mass", "formula", "all"):
            raise ConfigError(f"candidates must be 'auto', 'mass', 'formula' or 'all', got {self.candidates!r}")
        if not self.ppm > 0:
            raise ConfigError(f"ppm must be positive, got {self.ppm:g}")
        if self.mass is not None and not self.mass > 0:
            raise ConfigError(f"mass must be positive, got {self.mass:g}")
        if self.formula is not None:
            try:
                formula_mass(parse_formula(self.formula))
            except ValueError as error:
                raise ConfigError(str(error)) from error
        if self.adduct is not None and self.adducts:
            raise ConfigError(
                f"adduct {self.adduct!r} is taken, or adducts {', '.join(self.adducts)} are tried; name one of the two"
            )
        if self.adducts:
            likely_adducts(None, names=self.adducts)  # a name that cannot be read is no query's fault

    def scope(self, unknown: Unknown) -> str:
        """`mass`, `formula` or `all`: what `auto` means for an unknown, or what was asked for."""
        if self.candidates != "auto":
            return self.candidates
        if self.formula is not None:
            return "formula"
        # An ion without adduct is asked for one rather than searched for in the whole library.
        ion = any(hasattr(r, "precursor_mz") for r in unknown.records)
        return "mass" if ion or self.mass is not None else "all"

    def readings(self, unknown: Unknown) -> list[Unknown]:
        """The unknown, or one for each adduct that it may be where nothing determines the mass that is searched for.

        One that was measured as `[M]+` may also be the protonated form of a betaine.
        """
        if self.scope(unknown) != "mass":
            return [unknown]
        try:
            found = as_likely_ions(unknown, self.adducts)
        except AdductError as error:
            return [replace(unknown, problem=str(error))]
        betaine = as_betaine(found[0]) if len(found) == 1 and self.mass is None else None
        return [*found, betaine] if betaine else found

    def rows(self, index: Index, unknown: Unknown) -> Int64[np.ndarray, " m"] | None:
        """Rows of the candidates in the library; None for all of it.

        Raises:
            DatasetError: there is no candidate, and what to do about it.
        """
        scope = self.scope(unknown)
        if scope == "all":
            if not len(index.library):
                raise DatasetError("the library is empty")
            return None
        if scope == "formula":
            wanted = self._formula(unknown)
            if wanted is None:
                raise DatasetError("no formula is known for this query; give one with --formula")
            rows = index.library.of_formula(wanted)
            if not len(rows):
                raise DatasetError(f"no candidate of formula {wanted} in the library")
            return rows
        if unknown.mass is None:
            raise DatasetError(
                "no neutral mass without precursor m/z and adduct; name the adduct with --adduct or the mass with "
                "--mass, or search all"
            )
        rows = index.library.within_ppm(unknown.mass, self.ppm)
        if not len(rows):
            raise DatasetError(
                f"no candidate within {self.ppm:g} ppm of {unknown.mass:.4f} Da; widen --ppm, or "
                f"check the adduct {unknown.adduct}"
            )
        return rows

    def searched(self, index: Index, readings: Sequence[Unknown]) -> Searched:
        """Among what the candidates of an unknown were looked for, under all its readings."""
        scope = self.scope(readings[0])
        return Searched(
            index.name,
            len(index.library),
            scope,
            self.ppm if scope == "mass" else None,
            self._formula(readings[0]) if scope == "formula" else None,
            tuple(dict.fromkeys(a for u in readings for r in u.records if (a := getattr(r, "adduct", None)))),
        )

    def _formula(self, unknown: Unknown) -> str | None:
        return self.formula or (unknown.truth.formula if unknown.truth else None)
