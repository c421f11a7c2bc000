"""What an NMR tube holds beside the compounds of a sample: reference compounds, chelators, solvents.

References: H. E. Gottlieb, V. Kotlyar, A. Nudelman, J. Org. Chem. 62 (1997) 7512, doi:10.1021/jo971176v (solvents in
D2O); R. H. Barton et al., Nat. Protoc. 5 (2010) 1012 and J. K. Nicholson et al., Biochem. J. 211 (1983) 605,
doi:10.1042/bj2110605 (EDTA and its complexes); D. S. Wishart et al., J. Biomol. NMR 6 (1995) 135,
doi:10.1007/BF00211777 (TSP beside DSS)
"""

from __future__ import annotations

import numpy as np

from molvis_nmr.mixture.compounds import Compound, Multiplet, coupling_to_carbon

STANDARDS = {"DSS": "trimethylsilyl of DSS", "TSP": "trimethylsilyl of TSP"}
"""Reference compounds that are looked for at 0 ppm; nine equivalent protons each."""
PLACES = {"DSS": 0.0, "TSP": -0.019}
"""Where its singlet is on DSS's scale in ppm, which libraries have: that of TSP above pH 6, where it is an anion."""
_SILICON = (0.0468, 6.6)  # share of 29Si, and its coupling to methyl protons in Hz
_SINGLETS: dict[str, tuple[tuple[float, int, float], ...]] = {
    "urea": ((5.78, 4, 0.04),),
    "formate": ((8.44, 1, 0.02),),
    "acetone": ((2.22, 6, 0.015),),
    "DMSO": ((2.71, 6, 0.015),),
    "acetonitrile": ((2.06, 3, 0.015),),
    "methanol": ((3.34, 3, 0.02),),
    "acetate": ((1.91, 3, 0.02),),
    "EDTA": ((3.62, 4, 0.03), (3.22, 8, 0.03)),
    "EDTA, calcium": ((2.56, 4, 0.015),),
    "EDTA, magnesium": ((2.70, 4, 0.015),),
}
"""Shift in ppm, protons, and by how much each may move."""
_ETHYLENE = ((0.6256, 2, 8.6), (1.7569, 2, 8.0), (2.9072, 2, 7.9))


def _singlet(name: str, ppm: float, protons: float, window: float, frequency: float) -> Multiplet:
    carbon = 0.0 if name == "urea" else coupling_to_carbon(ppm)  # urea's protons are on nitrogen
    return Multiplet(
        (f"{ppm:.2f}",), ppm * frequency, np.zeros(1), np.array([float(protons)]), window * frequency, carbon=carbon
    )


def standard_compounds(name: str, frequency: float) -> list[Compound]:
    """The reference compound's singlet with satellites of 29Si, and beside it the methylenes of DSS.

    Those are a compound of their own, for they are missing where DSS is deuterated.
    """
    share, coupling = _SILICON
    methyl = Multiplet(
        ("Si(CH3)3",), PLACES[name] * frequency, np.array([0.0, -coupling / 2, coupling / 2]),
        9 * np.array([1 - share, share / 2, share / 2]), (0.01 + abs(PLACES[name])) * frequency,
        carbon=coupling_to_carbon(0.0),
    )  # fmt: skip
    made = [Compound(name, "", (methyl,), standard=True, tube=True)]
    if name == "DSS":
        apart = 0.5 * np.array([-1.0, 1.0])
        multiplets: list[Multiplet] = []
        for ppm, protons, j in _ETHYLENE:
            # Neighbours of four protons for the middle one: a quintet; of two for the others: triplets.
            times = 4 if ppm == _ETHYLENE[1][0] else 2
            place, weight = np.zeros(1), np.ones(1)
            for _ in range(times):
                place = (place[:, None] + j * apart).ravel()
                weight = np.repeat(weight / 2, 2)
            multiplets.append(
                Multiplet(
                    (f"{ppm:.2f}",),
                    ppm * frequency,
                    place,
                    protons * weight,
                    0.02 * frequency,
                    carbon=coupling_to_carbon(ppm),
                )
            )
        made.append(Compound("DSS, methylenes", "", tuple(multiplets), tube=True))
    return made


def tube_compounds(frequency: float) -> list[Compound]:
    """Singlets of what is often in a tube."""
    return [
        Compound(name, "", tuple(_singlet(name, ppm, n, window, frequency) for ppm, n, window in rows), tube=True)
        for name, rows in _SINGLETS.items()
    ]
