"""Spin systems: what a spectrum is simulated from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import RecordError

_FILLED: Any = None  # filled in by __post_init__, so that no reader of a field meets None


@dataclass(frozen=True, eq=False, slots=True)
class SpinSystem:
    """Groups of magnetically equivalent spins 1/2 with their shifts and couplings.

    Attributes:
        names: of the groups, such as `H3`: each once.
        shifts: chemical shifts in ppm.
        couplings: J in Hz between a spin of one group and a spin of another; symmetric, 0 on the diagonal.
        multiplicity: spins in each group.
        nuclei: of each group, such as `1H`. Lines are simulated of one nucleus at a time.
        widths: w of the Lorentzian w / (w^2 + (v - v0)^2), that is half the width at half height, in Hz.
        intensities: r, the groups' intensities relative to full relaxation; 1 where nothing is known.
        name: for people.
        identifier: of the source, such as `bmse000047`.
        inchi: of the molecule, where known.
        frequency: 1H frequency in MHz of the spectrum it was refined on, where known.
        aliases: other names by which people look for it.

    Raises:
        RecordError: arrays of other lengths, a coupling matrix that is not symmetric, names that repeat, a multiplicity
            below one, a width that is not positive, or numbers that are not finite.
    """

    __no_type_check__: ClassVar[bool] = True  # the checks below have the better message
    names: tuple[str, ...]
    shifts: Float[np.ndarray, " g"]
    couplings: Float[np.ndarray, "g g"]
    multiplicity: Int[np.ndarray, " g"] = _FILLED
    nuclei: tuple[str, ...] = ()
    widths: Float[np.ndarray, " g"] = _FILLED
    intensities: Float[np.ndarray, " g"] = _FILLED
    name: str = ""
    identifier: str = ""
    inchi: str = ""
    frequency: float | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.names)
        put = object.__setattr__
        put(self, "names", tuple(str(name) for name in self.names))
        put(self, "nuclei", tuple(self.nuclei) or ("1H",) * size)
        if size == 0:
            raise RecordError("SpinSystem has no spins")
        if len(set(self.names)) < size:
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise RecordError(f"SpinSystem.names repeats {', '.join(twice)}; each group needs a name of its own")
        defaults = {"multiplicity": 1, "widths": 1.0, "intensities": 1.0}
        shapes = {"shifts": (size,), "couplings": (size, size), **dict.fromkeys(defaults, (size,))}
        for field, shape in shapes.items():
            given = getattr(self, field)
            values = np.full(shape, defaults[field]) if given is None else np.array(given)
            if values.shape != shape:
                raise RecordError(f"SpinSystem.{field} must have shape {shape} for {size} groups, got {values.shape}")
            if not np.isfinite(values).all():
                raise RecordError(f"SpinSystem.{field} must be finite, got {values[~np.isfinite(values)][0]}")
            values = values.astype(np.int64 if field == "multiplicity" else np.float64)
            values.flags.writeable = False
            put(self, field, values)
        if len(self.nuclei) != size:
            raise RecordError(f"SpinSystem.nuclei has {len(self.nuclei)} entries for {size} groups")
        self._check_couplings()
        self._check_positive()

    def _check_couplings(self) -> None:
        """Raise RecordError where couplings are not symmetric, or couple a group to itself."""
        off = np.abs(self.couplings - self.couplings.T)
        if off.max() > 1e-6:
            k, m = np.unravel_index(int(off.argmax()), off.shape)
            a, b = self.names[k], self.names[m]
            raise RecordError(
                f"SpinSystem.couplings is not symmetric: {a}-{b} is {self.couplings[k, m]:g} Hz and {b}-{a} is "
                f"{self.couplings[m, k]:g} Hz; give one number for both"
            )
        if np.diag(self.couplings).any():
            k = int(np.flatnonzero(np.diag(self.couplings))[0])
            raise RecordError(f"SpinSystem.couplings couples {self.names[k]} to itself; equivalent spins show no J")

    def _check_positive(self) -> None:
        """Raise RecordError where a multiplicity is below one or a width is not positive."""
        if (self.multiplicity < 1).any():
            k = int(np.flatnonzero(self.multiplicity < 1)[0])
            raise RecordError(
                f"SpinSystem.multiplicity of {self.names[k]} must be at least 1, got {self.multiplicity[k]}"
            )
        if (self.widths <= 0).any():
            k = int(np.flatnonzero(self.widths <= 0)[0])
            raise RecordError(f"SpinSystem.widths of {self.names[k]} must be positive, got {self.widths[k]:g} Hz")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_spins(self) -> int:
        """Spins in all groups together."""
        return int(self.multiplicity.sum())
