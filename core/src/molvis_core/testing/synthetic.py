"""Records made up for tests: valid, of different sizes, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from molvis_core.chemistry.adducts import ion_mz, parse_adduct
from molvis_core.records import Distribution, EiSpectrum, PeakList, RankedQuery, ShiftList, Structure, Trace, Value

_SMILES = (
    ("ethanol", "CCO"),
    ("alanine", "CC(N)C(=O)O"),
    ("benzoic acid", "O=C(O)c1ccccc1"),
    ("paracetamol", "CC(=O)Nc1ccc(O)cc1"),
    ("caffeine", "Cn1c(=O)c2c(ncn2C)n(C)c1=O"),
    ("tryptophan", "NC(Cc1c[nH]c2ccccc12)C(=O)O"),
    ("glucose", "OCC1OC(O)C(O)C(O)C1O"),
    ("chlorpromazine", "CN(C)CCCN1c2ccccc2Sc2ccc(Cl)cc21"),
    ("diclofenac", "O=C(O)Cc1ccccc1Nc1c(Cl)cccc1Cl"),
    ("quercetin", "O=c1c(O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12"),
    ("palmitic acid", "CCCCCCCCCCCCCCCC(=O)O"),
    ("triphenylphosphine oxide", "O=P(c1ccccc1)(c1ccccc1)c1ccccc1"),
)


def synthetic_peaks(sizes: Sequence[int] = (3, 12, 40), *, seed: int = 0) -> list[PeakList]:
    """Spectra with so many peaks each, as protonated, sodiated and deprotonated ions of made-up masses."""
    rng = np.random.default_rng(seed)
    ions = (("[M+H]+", "LC-ESI-QTOF"), ("[M+Na]+", "LC-ESI-ITFT"), ("[M-H]-", "LC-ESI-QFT"))
    records = []
    for number, size in enumerate(sizes):
        adduct, instrument = ions[number % len(ions)]
        precursor = ion_mz(float(rng.uniform(150, 900)), adduct)
        ion = parse_adduct(adduct)
        records.append(
            PeakList(
                mz=np.sort(rng.uniform(50, precursor + 1, size)),
                intensity=rng.exponential(size=size).astype(np.float32) + 0.01,
                precursor_mz=precursor,
                adduct=adduct,
                charge=ion.charge,
                ionmode=ion.ionmode,
                collision_energy=float(rng.uniform(10, 60)),
                instrument_type=instrument,
                ms_level=2,
                identifier=f"synthetic {number}",
            )
        )
    return records


def synthetic_ei_spectra(sizes: Sequence[int] = (3, 12, 40), *, seed: int = 0) -> list[EiSpectrum]:
    """Electron ionization spectra with so many peaks each at unit masses; the first is of a derivative."""
    rng = np.random.default_rng(seed)
    return [
        EiSpectrum(
            mz=np.sort(rng.choice(np.arange(40.0, 300.0), size, replace=False)),
            intensity=rng.exponential(size=size).astype(np.float32) + 0.01,
            energy=70.0,
            retention_index=float(rng.uniform(800, 3000)),
            column="DB-5MS",
            derivative="n TMS" if number == 0 else None,
            instrument_type="GC-EI-Q",
            identifier=f"synthetic {number}",
        )
        for number, size in enumerate(sizes)
    ]


def synthetic_shifts(sizes: Sequence[int] = (3, 8, 20), *, seed: int = 0) -> list[ShiftList]:
    """Lists of so many 13C shifts in CDCl3, and of as many 1H shifts with their numbers of protons."""
    rng = np.random.default_rng(seed)
    carbon = [
        ShiftList(rng.uniform(5, 200, size), multiplicity=tuple(rng.choice(list("SDTQ"), size).tolist()),
                  solvent="CDCl3", identifier=f"synthetic {number}")
        for number, size in enumerate(sizes)
    ]  # fmt: skip
    proton = [
        ShiftList(rng.uniform(0.8, 10, size), "1H", rng.integers(1, 4, size), identifier=f"synthetic 1H {number}")
        for number, size in enumerate(sizes)
    ]
    return [*carbon, *proton]


def synthetic_traces(
    sizes: Sequence[int] = (300, 500, 900), *, low: float = 500.0, high: float = 4000.0, seed: int = 0
) -> list[Trace]:
    """Sums of a few Lorentzian bands on axes of so many points from `low` to `high`."""
    rng = np.random.default_rng(seed)
    records = []
    for number, size in enumerate(sizes):
        x = np.linspace(low, high, size)
        centres, widths = rng.uniform(low, high, (8, 1)), (high - low) * rng.uniform(0.002, 0.02, (8, 1))
        bands = rng.uniform(0.1, 1.0, (8, 1)) / (1 + ((x - centres) / widths) ** 2)
        records.append(Trace(x=x, y=bands.sum(axis=0), identifier=f"synthetic {number}"))
    return records


def synthetic_values(count: int = 4, *, seed: int = 0) -> list[Value]:
    """Cross sections, in square angstrom, of ions that grow with mass as real ones do."""
    rng = np.random.default_rng(seed)
    mz = rng.uniform(150, 900, count)
    ccs = 3.2 * mz ** (2 / 3) * rng.normal(1, 0.03, count) + 40
    return [
        Value(
            float(v),
            sd=float(0.01 * v),
            precursor_mz=float(m),
            adduct="[M+H]+",
            charge=1,
            gas="N2",
            instrument_type="DT",
        )
        for v, m in zip(ccs, mz, strict=True)
    ]


def synthetic_distributions(sizes: Sequence[int] = (3, 5, 7), *, seed: int = 0) -> list[Distribution]:
    """Mass isotopomer distributions of fragments with so many isotopomers."""
    rng = np.random.default_rng(seed)
    return [
        Distribution(rng.dirichlet(np.ones(size)), sd=np.full(size, 0.005), identifier=f"synthetic {number}")
        for number, size in enumerate(sizes)
    ]


def synthetic_structures(count: int = 6) -> list[Structure]:
    """Small real molecules of different sizes and elements; 12 at most.

    Raises:
        ValueError: more are asked for.
    """
    from molvis_core.chemistry.structures import structure

    if count > len(_SMILES):
        raise ValueError(f"count must be at most {len(_SMILES)}, got {count}")
    return [structure(smiles, name=name) for name, smiles in _SMILES[:count]]


_MAKERS: dict[type[Any], Callable[[], list[Any]]] = {
    PeakList: synthetic_peaks,
    EiSpectrum: synthetic_ei_spectra,
    ShiftList: synthetic_shifts,
    Trace: synthetic_traces,
    Value: synthetic_values,
    Distribution: synthetic_distributions,
    Structure: synthetic_structures,
}


def synthetic_records(record: type[Any]) -> list[Any]:
    """A few records of a type.

    Raises:
        ValueError: it is no record type of core.
    """
    if record not in _MAKERS:
        known = ", ".join(t.__name__ for t in _MAKERS)
        raise ValueError(f"no synthetic records of type {getattr(record, '__name__', record)}; there are {known}")
    return _MAKERS[record]()


def synthetic_rankings(record: type[Any], *, seed: int = 0) -> list[RankedQuery]:
    """Queries of a record type with candidates, one of which is called the truth: a different one for each of five.

    Raises:
        ValueError: it is no record type of core.
    """
    rng = np.random.default_rng(seed)
    candidates = synthetic_structures(5)
    rankings: list[RankedQuery] = []
    for number, one in enumerate(synthetic_records(record)):
        order = rng.permutation(5).tolist()
        rankings.append(RankedQuery(one, tuple(candidates[i] for i in order), order.index(number % 5)))
    return rankings
