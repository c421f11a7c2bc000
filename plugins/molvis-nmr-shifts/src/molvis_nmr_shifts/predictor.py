"""`shift-predictor`: the shifts of a structure, by the network of a trained bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ConfigError
from molvis_core.records import ShiftList, Structure
from molvis_nmr_shifts.matching.lines import NUCLEI, lines_of
from molvis_nmr_shifts.prediction.graphs import SOLVENTS, graph_of, solvent_place
from molvis_nmr_shifts.prediction.model import ShiftModel
from molvis_nmr_shifts.readers.atoms import places_text

_DIGITS = {"13C": 2, "1H": 3}
"""As spectra are reported, and a step further: errors of prediction are far larger."""


class ShiftPredictor:
    """Lists of 13C and 1H shifts, equivalent atoms as one signal.

    Args:
        weights: folder that the scorer `shift-matching` has learned into: `scorers/KEY` of a trained bundle.
        solvent: such as `CDCl3`; shifts of an unstated solvent where it is empty.
        nuclei: such as `13C 1H`.
    """

    accepts = Structure
    predicts = "nmr-shifts"

    def __init__(self, weights: str, solvent: str = "", nuclei: str = "13C 1H") -> None:
        self.solvent, self.nuclei = solvent, tuple(nuclei.replace(",", " ").split())
        if unknown := sorted(set(self.nuclei) - set(NUCLEI)):
            raise ConfigError(f"shift-predictor: nuclei {', '.join(unknown)} are not predicted; there are 13C and 1H")
        if solvent and solvent not in SOLVENTS:
            raise ConfigError(
                f"shift-predictor: solvent {solvent!r} is none that is known: {', '.join(SOLVENTS[1:])}; leave it out"
            )
        self._model = ShiftModel.load(Path(weights))

    def records(self, structures: Sequence[Structure]) -> list[list[ShiftList]]:
        """The lists of each structure, one for each nucleus that it has.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        return [[record for record, _ in some] for some in self.with_errors(structures)]

    def with_errors(self, structures: Sequence[Structure]) -> list[list[tuple[ShiftList, Float[np.ndarray, " p"]]]]:
        """The same with the standard deviation of each shift in ppm: 90% of measured ones lie within 1.645 of them.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        graphs = [graph_of(one.smiles) for one in structures]
        out: list[list[tuple[ShiftList, np.ndarray]]] = []
        for one, graph, (shifts, scales) in zip(
            structures, graphs, self._model.predict(graphs, solvent_place(self.solvent)), strict=True
        ):
            mine: list[tuple[ShiftList, np.ndarray]] = []
            for nucleus in self.nuclei:
                lines = lines_of(graph, shifts, scales, nucleus)
                if not len(lines.means):
                    continue
                can = graph.numbers == 6 if nucleus == "13C" else graph.hydrogens > 0
                kinds = [np.flatnonzero((graph.classes == k) & can) for k in np.unique(graph.classes[can])]
                columns = slice(0, 1) if nucleus == "13C" else slice(1, 3)
                kinds.sort(key=lambda atoms: float(shifts[atoms, columns].mean()))
                record = ShiftList(
                    lines.means.astype(np.float64).round(_DIGITS[nucleus]), nucleus,
                    lines.counts.astype(np.float64) if nucleus == "1H" else None,
                    multiplicity=tuple("SDTQ"[min(h, 3)] for h in lines.hydrogens) if nucleus == "13C" else (),
                    atoms=tuple(places_text(atoms.tolist()) for atoms in kinds),
                    solvent=self.solvent or None, identifier=one.name or one.smiles,
                )  # fmt: skip
                mine.append((record, lines.widths * self._model.spread[nucleus]))
            out.append(mine)
        return out
