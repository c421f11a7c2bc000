"""Natural abundance of isotopes, and the purity of tracers: out of measured data, or into simulated ones.

A measured ion M+0, M+1, ... also weighs more for isotopes that no tracer brought: in its derivative, in the elements
that are not traced, and in its traced atoms that carry no label. A correction matrix holds what an ion with 0, 1, ...
labels looks like; data are corrected by solving with it, and simulations made comparable with raw data by multiplying.

Reference: Fernandez et al., J. Mass Spectrom. 31 (1996) 255; van Winden et al., Biotechnol. Bioeng. 80 (2002) 477,
doi:10.1002/bit.10393
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.formula import parse_formula
from molvis_flux.errors import SimulationError
from molvis_flux.model.abundance import ABUNDANCE, MASS_SHIFT, heavy_share
from molvis_flux.model.network import Datum, Experiment, Fragment, Network


def natural_distribution(atoms: Mapping[str, int], masses: int) -> Float[np.ndarray, " m"]:
    """Shares of M+0, M+1, ... of a molecule of natural isotopes, the first `masses` of them.

    Raises:
        SimulationError: an element whose isotopes are not known here, or a negative count.
    """
    found = np.zeros(masses)
    found[0] = 1.0
    for element, count in atoms.items():
        if element not in ABUNDANCE:
            raise SimulationError(
                f"the isotopes of element {element!r} are not known; those of {', '.join(ABUNDANCE)} are"
            )
        if count < 0:
            raise SimulationError(f"{count} atoms of {element!r}; 0 or more are expected")
        for _ in range(count):
            found = np.convolve(found, ABUNDANCE[element])[:masses]
    return found


def correction_matrix(
    formula: str, traced: Sequence[str], masses: int, *, backbone: bool = True, purity: float = 1.0
) -> Float[np.ndarray, "m k"]:
    """What an ion with 0, 1, ... labels shows at M+0, M+1, ...

    Args:
        formula: of the measured ion, with its derivative.
        traced: elements of its traced atoms, such as `("C", "C", "C")`.
        masses: how many were measured, from M+0 on.
        backbone: whether traced atoms without a label carry their natural isotopes; not so where the tracers of a
            simulation have `natural` set, for then they are in its distribution already.
        purity: chance that a label is the heavy isotope; 1 where the tracers of a simulation have it.

    Raises:
        SimulationError: the formula cannot be read or has fewer atoms than are traced, or several elements are traced
            and their natural isotopes are to be corrected, which a mass alone does not distinguish.
    """
    try:
        atoms = Counter(parse_formula(formula))
    except ValueError as error:
        raise SimulationError(str(error)) from error
    kinds = Counter(traced)
    for element, count in kinds.items():
        heavy_share(element)
        if atoms[element] < count:
            raise SimulationError(f"formula {formula!r} has {atoms[element]} {element}, of which {count} are traced")
    if len(kinds) > 1 and (backbone or purity < 1):
        raise SimulationError(
            f"labels of {', '.join(kinds)} have the same mass: natural isotopes of traced atoms can be corrected for "
            "one element only. Give the tracers natural abundance instead (natural = true)"
        )
    rest = natural_distribution({e: n - kinds[e] for e, n in atoms.items()}, masses)
    labels = sum(MASS_SHIFT[element] for element in traced)
    columns = []
    element, count = next(iter(kinds.items()), ("C", 0))
    for label in range(labels + 1):
        if backbone or purity < 1:
            own = _with_label(element, count, label, backbone=backbone, purity=purity)
        else:
            own = np.eye(labels + 1)[label]
        columns.append(np.convolve(own, rest)[:masses])
    return np.array([np.pad(column, (0, masses - len(column))) for column in columns]).T


def _with_label(element: str, count: int, label: int, *, backbone: bool, purity: float) -> Float[np.ndarray, " m"]:
    """What traced atoms of one element show whose labels add `label` to the mass; nothing where no labels do."""
    carried, left = divmod(label, MASS_SHIFT[element])
    if left:
        return np.zeros(1)
    light, heavy = np.array(ABUNDANCE[element] if backbone else [1.0]), np.zeros(MASS_SHIFT[element] + 1)
    heavy[[0, -1]] = 1 - purity, purity
    own = np.ones(1)
    for step in [heavy] * carried + [light] * (count - carried):
        own = np.convolve(own, step)
    return own


def uncorrect(mid: Float[np.ndarray, "*n k"], matrix: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "*n m"]:
    """A distribution of labels as it would be measured: shares of the masses that were."""
    seen = mid @ matrix.T
    return seen / seen.sum(axis=-1, keepdims=True)


def correct(measured: Float[np.ndarray, " m"], matrix: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " k"]:
    """The distribution of labels that comes closest to what was measured, none of them negative.

    Args:
        measured: M+0, M+1, ... in any unit; NaN where not measured.
        matrix: of `correction_matrix`.

    Raises:
        SimulationError: fewer masses were measured than there are labels to find.
    """
    from scipy.optimize import nnls

    seen = np.isfinite(measured)
    if seen.sum() < matrix.shape[1]:
        raise SimulationError(
            f"{matrix.shape[1]} fractions need as many measured masses, got {seen.sum()}; measure more, or compare "
            "simulations with the raw data"
        )
    found, _ = nnls(matrix[seen], measured[seen])
    if not found.sum() > 0:
        raise SimulationError("the measured masses hold no signal; positive values are expected")
    return found / found.sum()


def measurement_matrix(network: Network, experiment: Experiment, datum: Datum) -> Float[np.ndarray, "m k"]:
    """How simulated fractions of a fragment make up what a datum holds.

    The identity for data that are corrected. Otherwise what its other atoms add follows from the fragment's formula;
    its traced atoms carry natural isotopes in the simulation where the experiment's tracers do, and get them here where
    those do not.

    Raises:
        SimulationError: a datum that is not corrected, of a fragment without a formula; or see `correction_matrix`.
    """
    fragment, masses = network.fragments[datum.target], len(datum.values)
    traced = traced_elements(network, fragment)
    size = 1 + sum(MASS_SHIFT.get(element, 1) for element in traced)
    if fragment.kind != "ms":
        if not datum.corrected:
            raise SimulationError(
                f"{datum.where or experiment.name}: data of {fragment.name!r}, by {fragment.kind}, are not corrected "
                "for natural abundance, which is done for mass spectra (ms) only. Correct them first"
            )
        return np.eye(len(fragment.channels))[:masses]
    if datum.corrected:
        return np.eye(size)[:masses]
    if not fragment.formula:
        raise SimulationError(
            f"{datum.where or experiment.name}: data of {fragment.name!r} are not corrected for natural abundance, and "
            "the fragment has no formula to do so with. Give the formula of the measured ion"
        )
    natural = [tracer.natural for tracer in experiment.tracers.values()]
    return correction_matrix(fragment.formula, traced, masses, backbone=not any(natural))


def correct_experiment(network: Network, experiment: Experiment, *, purity: float = 1.0) -> Experiment:
    """The same experiment with its raw MIDs corrected, and their standard deviations with them.

    Natural isotopes are taken out of all atoms, so that the experiment's tracers have to be without (`natural` false).

    Args:
        network: with the formulas of the fragments.
        experiment: data that are corrected stay as they are.
        purity: of the tracer, where it has to be taken out too.

    Raises:
        SimulationError: see `measurement_matrix` and `correct`.
    """
    bare = {name: replace(tracer, natural=False) for name, tracer in experiment.tracers.items()}
    plain = replace(experiment, tracers=bare)
    data: list[Datum] = []
    for datum in experiment.data:
        if datum.kind != "mid" or datum.corrected:
            data.append(datum)
            continue
        fragment = network.fragments[datum.target]
        measurement_matrix(network, plain, datum)
        matrix = correction_matrix(
            fragment.formula, traced_elements(network, fragment), len(datum.values), purity=purity
        )
        values, sd = np.array(datum.values), np.array(datum.sd)
        seen, mid = np.isfinite(values), correct(values, matrix)
        # To first order: what is measured is turned into fractions by the inverse, and divided by its sum.
        turn = np.linalg.pinv(matrix[seen]) / (np.linalg.pinv(matrix[seen]) @ values[seen]).sum()
        turn = turn - mid[:, None] * turn.sum(axis=0)
        spread = np.sqrt((turn**2) @ sd[seen] ** 2)
        data.append(replace(datum, values=tuple(mid.tolist()), sd=tuple(spread.tolist()), corrected=True, scaled=False))
    return replace(plain, data=tuple(data))


def traced_elements(network: Network, fragment: Fragment) -> tuple[str, ...]:
    """Elements of a fragment's traced atoms: those of its first part, and of what is convolved with it."""
    _, name, atoms = fragment.parts[0]
    units = [(name, atoms), *fragment.convolved]
    return tuple(network.metabolites[name].elements[atom] for name, atoms in units for atom in atoms)
