"""How features are found, and ions that are looked for by name."""

from __future__ import annotations

from dataclasses import dataclass

from molvis_core.errors import ConfigError

__all__ = ["STANDARD", "Settings", "Target"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How features are found.

    Attributes:
        ppm: tolerance of m/z in survey scans, half width.
        fragment_ppm: within which peaks of repeated MS/MS scans are one, half a millidalton in ten at least.
        reach: seconds before the first and after the last MS/MS scan of an ion in which its chromatogram is looked at.
        widest: m/z of an isolation window, at most: wider ones isolate many ions at once, and are passed over.

    Raises:
        ConfigError: a number that makes no sense.
    """

    ppm: float = 10.0
    fragment_ppm: float = 20.0
    reach: float = 60.0
    widest: float = 6.0

    def __post_init__(self) -> None:
        for name in ("ppm", "fragment_ppm", "reach", "widest"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name):g}")


STANDARD = Settings()


@dataclass(frozen=True, slots=True)
class Target:
    """An ion to look for.

    Attributes:
        mz: of it.
        ionmode: `positive` or `negative`; None for either.
        time: of its apex, in s; None for the highest peak of the run.
        within: seconds by which the apex may be off.
        charge: signed, where it is known.
        name, adduct, formula: of the molecule and the ion, where they are known.
        identifier: of the feature; without it the target's place in the list.
    """

    mz: float
    ionmode: str | None = None
    time: float | None = None
    within: float = 30.0
    charge: int | None = None
    name: str | None = None
    adduct: str | None = None
    formula: str | None = None
    identifier: str | None = None
