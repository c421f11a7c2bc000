"""What the network learns from: molecules with the measured shifts of their atoms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molvis_core.errors import StructureError
from molvis_core.records import ShiftList
from molvis_nmr_shifts.prediction.graphs import Graph, graph_of, solvent_place

NUMBERS = {"13C": 6, "1H": 1}
_FAR = {"13C": 8.0, "1H": 0.8}
"""In ppm: an assignment that a prediction made is believed up to here."""
_TRUST = 0.5
"""Weight of such an assignment."""
ATTACHED = {"S": 0, "D": 1, "T": 2, "Q": 3}


@dataclass(frozen=True, slots=True)
class Signal:
    """A measured shift.

    Attributes:
        nucleus: `13C` or `1H`.
        shift: in ppm.
        atoms: that it is of; none where that is not known.
        attached: hydrogens on the carbon, where that is known.
    """

    nucleus: str
    shift: float
    atoms: tuple[int, ...]
    attached: int | None = None


@dataclass(eq=False, slots=True)
class Lesson:
    """One molecule in one solvent with its signals.

    Attributes:
        smiles, graph: of the molecule.
        solvent: its place in `SOLVENTS`.
        signals: that were measured.
        guessed: the same with atoms that a prediction has given them.
    """

    smiles: str
    graph: Graph
    solvent: int
    signals: list[Signal]
    guessed: list[tuple[Signal, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guessed = [(one, 1.0) for one in self.signals if one.atoms]


def signals_of(record: ShiftList, graph: Graph) -> list[Signal]:
    """The signals of a list; atoms that cannot have them are left out."""
    wanted = NUMBERS[record.nucleus]
    out: list[Signal] = []
    for place, shift in enumerate(record.shifts.tolist()):
        text = record.atoms[place] if record.atoms else ""
        atoms = tuple(int(t) for t in text.split(",") if t.strip().isdecimal())
        kind = record.multiplicity[place] if record.multiplicity else ""
        fits = all(a < len(graph.numbers) for a in atoms) and all(
            graph.numbers[a] == wanted if wanted > 1 else graph.hydrogens[a] > 0 for a in atoms
        )
        attached = ATTACHED.get(kind.upper()) if record.nucleus == "13C" else None
        out.append(Signal(record.nucleus, shift, atoms if fits else (), attached))
    return out


def lessons_of(examples: Iterable[tuple[ShiftList, str]]) -> list[Lesson]:
    """Lists with the SMILES of what they are of; those of one molecule in one solvent become one lesson.

    A molecule that RDKit refuses is left out, as are nuclei that are not predicted.
    """
    graphs: dict[str, Graph | None] = {}
    found: dict[tuple[str, int], list[Signal]] = defaultdict(list)
    for record, smiles in examples:
        if record.nucleus not in NUMBERS or record.partners is not None:
            continue
        if smiles not in graphs:
            try:
                graphs[smiles] = graph_of(smiles)
            except StructureError:
                graphs[smiles] = None
        graph = graphs[smiles]
        if graph is not None:
            found[smiles, solvent_place(record.solvent)] += signals_of(record, graph)
    out: list[Lesson] = []
    for (smiles, solvent), signals in found.items():
        graph = graphs[smiles]
        assert graph is not None
        out.append(Lesson(smiles, graph, solvent, signals))
    return out


def guess(lesson: Lesson, shifts: Float[np.ndarray, "a 3"], scales: Float[np.ndarray, "a 2"]) -> None:
    """Give signals whose atoms are not known those that a prediction fits best.

    Each kind of equivalent carbons, or of carbons with hydrogens, gets one signal at most; kinds of which a signal is
    known have theirs.
    """
    lesson.guessed = [(one, 1.0) for one in lesson.signals if one.atoms]
    for nucleus, column in (("13C", 0), ("1H", 1)):
        mine = [one for one in lesson.signals if one.nucleus == nucleus and not one.atoms]
        members = _free(lesson, nucleus) if mine else []
        if not members:
            continue
        means = np.array([(shifts[m, 0] if column == 0 else shifts[m, 1:].mean(axis=1)).mean() for m in members])
        wide = np.array([scales[m, column].mean() for m in members])
        off = np.abs(np.array([one.shift for one in mine])[:, None] - means[None])
        cost = np.minimum(off / wide[None], 50.0) + _contradictions(lesson.graph, mine, members)
        for row, kind in zip(*linear_sum_assignment(cost), strict=True):
            if off[row, kind] <= _FAR[nucleus]:
                atoms = tuple(int(a) for a in members[kind])
                lesson.guessed.append((replace(mine[row], atoms=atoms), _TRUST))


def _free(lesson: Lesson, nucleus: str) -> list[np.ndarray]:
    """Kinds of equivalent atoms of which no signal is known."""
    graph = lesson.graph
    taken = {int(graph.classes[a]) for one, _ in lesson.guessed if one.nucleus == nucleus for a in one.atoms}
    can = graph.numbers == 6 if nucleus == "13C" else graph.hydrogens > 0
    return [np.flatnonzero(graph.classes == kind) for kind in sorted({int(k) for k in graph.classes[can]} - taken)]


def _contradictions(graph: Graph, signals: Sequence[Signal], members: Sequence[np.ndarray]) -> Float[np.ndarray, "s k"]:
    """What it costs to give a signal a carbon with another number of hydrogens than it states."""
    has = np.array([graph.hydrogens[m[0]] for m in members])
    stated = [has if one.attached is None else np.full(len(has), one.attached) for one in signals]
    return 20.0 * (np.array(stated) != has)


@dataclass(frozen=True, eq=False)
class Targets:
    """What the atoms of a batch were measured to have.

    Attributes:
        shifts: 13C, and the lower and the higher shift of the hydrogens.
        weights: of each; 0 where it was not measured.
        pairs: whether both shifts of the hydrogens were measured apart.
    """

    shifts: Float[Tensor, "a 3"]
    weights: Float[Tensor, "a 3"]
    pairs: Bool[Tensor, " a"]


def targets_of(lessons: Sequence[Lesson]) -> Targets:
    """Shifts of the atoms of some lessons, numbered through."""
    sizes = [len(one.graph.atoms) for one in lessons]
    shifts, weights = np.zeros((sum(sizes), 3), np.float32), np.zeros((sum(sizes), 3), np.float32)
    start = 0
    for lesson, size in zip(lessons, sizes, strict=True):
        values: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
        for one, trust in lesson.guessed:
            for atom in one.atoms:
                values[atom, int(one.nucleus == "1H")].append((one.shift, trust / len(one.atoms)))
        for (atom, proton), some in values.items():
            numbers = np.array([v for v, _ in some])
            weight = max(w for _, w in some)
            if not proton:
                shifts[start + atom, 0], weights[start + atom, 0] = np.median(numbers), weight
            else:
                both = lesson.graph.hydrogens[atom] == 2 and len(numbers) > 1
                low, high = (numbers.min(), numbers.max()) if both else (np.median(numbers),) * 2
                shifts[start + atom, 1:], weights[start + atom, 1:] = (low, high), weight
        start += size
    found, given = torch.from_numpy(shifts), torch.from_numpy(weights)
    return Targets(found, given, found[:, 1] != found[:, 2])
