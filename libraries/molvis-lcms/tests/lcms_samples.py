"""Runs of LC-MS/MS made for tests: molecules that elute as Gaussians, with isotopes, adducts and fragments, as mzML."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import ion_mz
from molvis_lcms.records import Scan

C13 = 1.0033548


@dataclass(frozen=True)
class Eluting:
    """A molecule in a made run.

    Attributes:
        mass: neutral, in Da.
        time: of its apex, in s.
        fragments: m/z and relative heights.
        adducts: relative heights of its ions.
        height: of the highest, at the apex.
        width: standard deviation of its peak, in s.
        selected: adducts whose ion is isolated for MS/MS.
    """

    mass: float
    time: float
    fragments: Sequence[tuple[float, float]] = ((85.0284, 1.0), (127.0390, 0.6))
    adducts: dict[str, float] = field(default_factory=lambda: {"[M+H]+": 1.0})
    height: float = 1e6
    width: float = 3.0
    selected: Sequence[str] = ("[M+H]+",)

    def ions(self) -> list[tuple[str, float, float]]:
        """Adduct, m/z and height of each."""
        return [(name, ion_mz(self.mass, name), self.height * share) for name, share in self.adducts.items()]


def made_run(
    molecules: Sequence[Eluting],
    *,
    length: float = 120.0,
    step: float = 1.0,
    ionmode: str = "positive",
    energies: Sequence[float] = (20.0, 40.0),
    shift: float = 0.0,
    seed: int = 0,
) -> list[Scan]:
    """Survey scans every `step` seconds, and MS/MS of each selected ion near its apex at each energy.

    Args:
        molecules: in it.
        length: of the run, in s.
        step: between survey scans, in s.
        ionmode: of all scans.
        energies: of the MS/MS scans, in eV.
        shift: seconds by which everything comes later.
        seed: of the noise: 1 ppm in m/z, 3% in height, and a hundred peaks of background.
    """
    rng = np.random.default_rng(seed)
    scans: list[Scan] = []
    background = np.sort(rng.uniform(80, 600, 100))
    for time in np.arange(0.0, length, step):
        mz, heights = [background], [rng.exponential(300.0, 100)]
        for one in molecules:
            shape = np.exp(-0.5 * ((time - one.time - shift) / one.width) ** 2)
            for name, ion, height in one.ions():
                size = 2 if "2+" in name or "2-" in name else 1
                share = one.mass / 12.0 * 0.011 * 0.6
                tall = height * shape * np.array([1.0, share, share**2 / 2])
                mz.append(ion + np.arange(3) * C13 / size)
                heights.append(tall)
        every, tall = np.concatenate(mz), np.concatenate(heights)
        every = every * (1 + 1e-6 * rng.standard_normal(len(every)))
        tall = tall * np.exp(0.03 * rng.standard_normal(len(tall)))
        keep = tall > 50.0
        order = np.argsort(every[keep])
        scans.append(Scan(1, float(time), every[keep][order], tall[keep][order].astype("f4"), ionmode=ionmode))
    for one in molecules:
        for name, ion, _ in one.ions():
            if name in one.selected:
                for k, energy in enumerate(energies):
                    scans.append(_msms(one, ion, one.time + shift + 0.3 + 0.2 * k, energy, ionmode, rng))
    scans.sort(key=lambda s: s.time)
    return [_numbered(scan, number) for number, scan in enumerate(scans, start=1)]


def _msms(one: Eluting, ion: float, time: float, energy: float, ionmode: str, rng: np.random.Generator) -> Scan:
    peaks = sorted([*one.fragments, (ion, 10.0 / energy)])
    mz = np.array([m for m, _ in peaks]) * (1 + 1e-6 * rng.standard_normal(len(peaks)))
    heights = np.array([h for _, h in peaks]) * one.height * 0.1
    window = (ion - 0.5, ion + 0.5)
    return Scan(2, time, mz, heights.astype("f4"), ionmode, ion, window, None, energy)


def _numbered(scan: Scan, number: int) -> Scan:
    from dataclasses import replace

    return replace(scan, number=str(number))


def array_element(values: np.ndarray, accession: str, packing: str = "zlib", data: bytes | None = None) -> str:
    raw = np.asarray(values, dtype="<f8").tobytes() if data is None else data
    raw = zlib.compress(raw) if packing == "MS:1000574" or packing == "zlib" else raw
    text = base64.b64encode(raw).decode()
    how = {"zlib": "MS:1000574", "none": "MS:1000576"}.get(packing, packing)
    terms = "".join(f'<cvParam cvRef="MS" accession="{a}" value=""/>' for a in ("MS:1000523", how, accession))
    return f'<binaryDataArray encodedLength="{len(text)}">{terms}<binary>{text}</binary></binaryDataArray>'


def half_bytes(value: int) -> list[int]:
    """A whole number as MS-Numpress writes it: leading half bytes counted, the others from the lowest on."""
    whole = value & 0xFFFFFFFF
    digits = [(whole >> (4 * k)) & 15 for k in range(8)]
    fill = 15 if value < 0 else 0
    left_out = 0
    while left_out < (7 if value < 0 else 8) and digits[7 - left_out] == fill:
        left_out += 1
    return [left_out + (8 if value < 0 and left_out else 0), *digits[: 8 - left_out]]


def packed(values: list[int]) -> bytes:
    halves = [h for value in values for h in half_bytes(value)]
    halves += [0] * (len(halves) % 2)
    return bytes(a << 4 | b for a, b in zip(halves[::2], halves[1::2], strict=True))


def numpress_linear(values: np.ndarray, scale: float = 1e5) -> bytes:
    """Numbers as MS-Numpress packs m/z: how far each is from the straight line through the two before it."""
    scaled = np.round(values * scale).astype(np.int64).tolist()
    misses = [scaled[k] - 2 * scaled[k - 1] + scaled[k - 2] for k in range(2, len(scaled))]
    return struct.pack(">d", scale) + struct.pack(f"<{len(scaled[:2])}I", *scaled[:2]) + packed(misses)


def term(accession: str, value: object = "", unit: str = "") -> str:
    more = f' unitAccession="{unit}"' if unit else ""
    return f'<cvParam cvRef="MS" accession="{accession}" value="{value}"{more}/>'


def scan_text(
    scan: Scan, number: int, *, profile: bool | None = None, minutes: bool = True, arrays: str | None = None
) -> str:
    """One element `spectrum`.

    Args:
        scan: what it holds.
        number: of it.
        profile: what it is flagged as; None for what the scan says.
        minutes: the unit of its time; else seconds.
        arrays: the elements of its arrays, in place of those that hold its peaks.
    """
    terms = [term("MS:1000511", scan.level), term("MS:1000128" if (profile or not scan.centroid) else "MS:1000127")]
    if scan.ionmode:
        terms.append(term("MS:1000130" if scan.ionmode == "positive" else "MS:1000129"))
    time = term("MS:1000016", scan.time / 60 if minutes else scan.time, "UO:0000031" if minutes else "UO:0000010")
    precursor = ""
    if scan.precursor_mz is not None:
        low, high = scan.isolation or (scan.precursor_mz - 0.5, scan.precursor_mz + 0.5)
        middle = scan.precursor_mz
        window = term("MS:1000827", middle) + term("MS:1000828", middle - low) + term("MS:1000829", high - middle)
        ion = term("MS:1000744", middle) + (term("MS:1000041", abs(scan.charge)) if scan.charge else "")
        energy = "" if scan.collision_energy is None else term("MS:1000045", scan.collision_energy, "UO:0000266")
        precursor = (
            f'<precursorList count="1"><precursor><isolationWindow>{window}</isolationWindow>'
            f'<selectedIonList count="1"><selectedIon>{ion}</selectedIon></selectedIonList>'
            f"<activation>{energy}</activation></precursor></precursorList>"
        )
    if arrays is None:
        arrays = array_element(scan.mz, "MS:1000514") + array_element(scan.intensity, "MS:1000515")
    return (
        f'<spectrum index="{number - 1}" id="scan={number}" defaultArrayLength="{len(scan)}">{"".join(terms)}'
        f'<scanList count="1"><scan>{time}</scan></scanList>{precursor}'
        f'<binaryDataArrayList count="2">{arrays}</binaryDataArrayList></spectrum>\n'
    )


def run_text(elements: Sequence[str]) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">'
        f'<run id="r">\n<spectrumList count="{len(elements)}">\n{"".join(elements)}</spectrumList></run></mzML>\n'
    )


def write_run(path: Path, scans: Sequence[Scan]) -> Path:
    """The scans as an mzML file."""
    path.write_text(run_text([scan_text(s, k) for k, s in enumerate(scans, start=1)]), encoding="utf-8")
    return path
