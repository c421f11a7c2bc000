"""What a cross section, its ion and its structure must have to do with each other."""

from __future__ import annotations

import re

from molvis_ccs.trend import usual_ccs
from molvis_core.chemistry.adducts import Adduct, ion_mz, parse_adduct
from molvis_core.errors import AdductError, RecordError
from molvis_core.records import Structure

LEAST = 30.0
"""In A^2: helium's own cross section with N2 is about this, so that no ion is smaller."""
TOLERANCE = 30.0
"""In ppm, of an m/z against structure and adduct. Of 14,539 published ones 16 are further off; of 1,440 collected
ones whose structure is wrong the nearest is 30.2 off."""


def cross_section(value: float, *, mass: float | None = None, gas: str | None = None) -> float:
    """A cross section in A^2 that an ion can have.

    Args:
        value: in A^2.
        mass: of the ion in Da; with it the value is compared with the trend of published ones.
        gas: the drift gas; the trend is that of N2.

    Raises:
        RecordError: zero, negative, not finite, in another unit, or twice or half what ions of this mass have.
    """
    if not 0 < value < float("inf"):
        raise RecordError(f"CCS must be a positive number in A^2, got {value:g}; leave a value that is missing empty")
    if value < 10:
        raise RecordError(
            f"CCS {value:g}: no ion is that small in A^2; if it is in nm^2, write {100 * value:g} instead"
        )
    if value < LEAST:
        raise RecordError(f"CCS {value:g}: no ion is that small in A^2, N2 against He is {LEAST:g}; check the column")
    if mass is not None and (gas or "N2") == "N2":
        usual = usual_ccs(mass)
        # Published ones lie between 0.6 and 1.7 times the trend.
        if not 0.5 < value / usual < 2:
            raise RecordError(
                f"CCS {value:g} A^2 is {value / usual:.2f} times what an ion of {mass:.1f} Da has in N2 ({usual:.0f}); "
                "check its unit, its ion and the gas"
            )
    return value


def ion(text: str, *, charge: str | None = None, ionmode: str | None = None) -> Adduct:
    """The adduct, which charge and ion mode must not contradict. `[M+H]` gets its sign from them.

    Args:
        text: such as `[M+H]+`.
        charge: such as `1`, `-1`, `2+`. Without a sign only its size counts.
        ionmode: anything that begins with `pos` or `neg`, or `+` or `-`.

    Raises:
        AdductError: the adduct cannot be read, or they contradict it.
    """
    size, sign = _charge(charge)
    mode = _sign(ionmode)
    if re.fullmatch(r"\[[^\]]*\]|\d*M[+-][^\[\]+-]+", text.strip()) and (sign or mode):
        inner = text.strip().strip("[]")
        text = f"[{inner}]{'' if size in (None, 1) else size}{sign or mode}"
    found = parse_adduct(text)
    own = "+" if found.charge > 0 else "-"
    if (size is not None and size != abs(found.charge)) or (sign and sign != own):
        raise AdductError(f"adduct {found.name} has charge {found.charge:+d}, not {charge}; correct one of them")
    if mode and mode != own:
        raise AdductError(f"adduct {found.name} is {found.ionmode}, but the ion mode is {ionmode}; correct one of them")
    return found


def _charge(text: str | None) -> tuple[int | None, str]:
    if text is None:
        return None, ""
    match = re.fullmatch(r"([+-]?)(\d{1,3})(?:\.0*)?([+-]?)", text.strip())
    if match is None or int(match.group(2)) == 0:
        raise AdductError(f"charge {text!r} cannot be read; write it like 1, -1 or 2+")
    return int(match.group(2)), match.group(1) or match.group(3)


def _sign(ionmode: str | None) -> str:
    if ionmode is None:
        return ""
    low = re.sub(r"^\W*esi\W*(?=[+-]|pos|neg)|^\(|\)$", "", ionmode.strip().lower()) or ionmode.strip()[-1:]
    sign = "+" if low.startswith(("+", "p")) else "-" if low.startswith(("-", "n", "\u2212")) else ""
    if not sign:
        raise AdductError(f"ion mode {ionmode!r} cannot be read; write positive or negative")
    return sign


def agreeing_mz(mz: float, structure: Structure, adduct: Adduct, *, rounding: float = 0.0) -> float:
    """An m/z that structure and adduct can have.

    Args:
        mz: as the source gives it.
        structure: of the molecule M.
        adduct: of the ion.
        rounding: half a unit of the last digit that the source writes.

    Raises:
        RecordError: it is off by more than `TOLERANCE`; the message states by how much.
    """
    wanted = ion_mz(structure.exact_mass, adduct)
    off = abs(mz - wanted)
    if off > max(TOLERANCE * 1e-6 * wanted, rounding):
        raise RecordError(
            f"m/z {mz:g} contradicts structure and adduct: {structure.formula} as {adduct.name} has {wanted:.4f}, "
            f"{1e6 * (mz / wanted - 1):+.0f} ppm off; correct the structure (a salt?), the adduct or the m/z"
        )
    return mz


def sure_ion(structure: Structure, adduct: Adduct) -> float:
    """m/z of an ion that a source gives without its m/z, where structure and adduct leave no doubt.

    Raises:
        RecordError: a structure of several parts, or a charged one that more charge is added to: which ion flew is not
            ours to guess.
    """
    if "." in structure.smiles:
        raise RecordError(f"structure {structure.smiles[:60]!r} has several parts; give the one that flew, or the m/z")
    if structure.charge and abs(adduct.shift) > 0.01:
        raise RecordError(
            f"structure {structure.smiles[:60]!r} has charge {structure.charge:+d} by itself, {adduct.name} adds to a "
            "neutral one; write [M]+ or [M]-, or give the m/z"
        )
    return ion_mz(structure.exact_mass, adduct)
