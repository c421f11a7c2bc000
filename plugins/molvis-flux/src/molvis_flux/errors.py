"""What can go wrong with fluxes. Each error derives from `MolvisError` and from the built-in that it refines."""

from __future__ import annotations

from collections.abc import Sequence

from molvis_core.errors import MolvisError


class CompositionError(MolvisError, ValueError):
    """Parts that do not fit together.

    Attributes:
        place: `parts`, `pools`, `infusions` or `mixtures`, and which of them; empty where unknown.
    """

    place: tuple[str, ...] = ()


class FluxSpaceError(MolvisError, ValueError):
    """No flux vector satisfies a network, or some flux has no limit.

    Attributes:
        conditions: those that clash, or the fluxes without a limit; in words.
    """

    def __init__(self, message: str, conditions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.conditions = tuple(conditions)


class SimulationError(MolvisError, ValueError):
    """A network, an experiment or fluxes from which no labelling follows."""


class FitError(MolvisError, ValueError):
    """A flux fit cannot be done: no data, NaN, a constraint that nothing meets, an argument that means nothing."""


class MapError(MolvisError, ValueError):
    """A map that cannot be read, or that is not one of the network's."""


class EstimatorError(MolvisError, ValueError):
    """Data that an estimator was not trained for, or settings that mean nothing."""
