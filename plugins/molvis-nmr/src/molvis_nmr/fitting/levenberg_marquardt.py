"""Levenberg and Marquardt's method, for spin systems and for mixtures: (J'WJ + damping D) step = J'W residual.

Ours, because both problems need what libraries of least squares do not offer together: derivatives, which cost a
diagonalization each, serve several steps; every parameter has bounds and a longest step, without which a line jumps
onto its neighbour; the objective of a spin system is n log(sum of squares) with intensities solved for at every point;
and amounts of a mixture end at 0 within a step.

In the same search on spectra of six amino acids `scipy.optimize.least_squares` takes 1.3 times as long with method
`trf`, and 1.2 times with `lm` (as long in the median; it has no bounds); from starts that are far off 2.1 and 1.5
times. `optimistix.LevenbergMarquardt`, which compiles every descent, takes 17 times as long. R factors are the same but
for one system, on which `lm` and optimistix end lower (`benchmarks/nmr_solvers.py`).

Reference: D. W. Marquardt, J. Soc. Ind. Appl. Math. 11 (1963) 431, doi:10.1137/0111030
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

P = TypeVar("P")


class Model(Protocol[P]):
    """What is minimized. A point holds the parameters and whatever was computed there."""

    def derivatives(self, point: P) -> Any:
        """Derivatives at a point, which may serve several steps."""
        ...

    def equations(self, point: P, derivatives: Any) -> Any:
        """The normal equations of a point."""
        ...

    def trial(self, point: P, equations: Any, damping: float) -> P:
        """The point that a damped step leads to."""
        ...

    def objective(self, point: P) -> float:
        """What is minimized."""
        ...

    def negligible(self, before: P, after: P) -> bool:
        """Whether a step has gained next to nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to go on, and how the damping changes.

    Attributes:
        steps: most steps.
        tries: dampings that are tried for one step.
        reuse: steps that share derivatives.
        patience: steps in a row without gain that are the end.
        damping: of the first step.
        raised, lowered: factors of the damping after a step that fails, and after one that succeeds.
        raised_to, lowered_to: the damping after a failure is at least, after a success at most brought down to this.
        hopeless: a step that fails with new derivatives is the end where the damping is larger than this.
    """

    steps: int
    tries: int = 6
    reuse: int = 1
    patience: int = 2
    damping: float = 1e-2
    raised: float = 6.0
    lowered: float = 6.0
    raised_to: float = 1e-3
    lowered_to: float = 1e-7
    hopeless: float = 0.0


def minimize(model: Model[P], point: P, schedule: Schedule) -> tuple[P, bool]:
    """The lowest point found from `point` on, and whether the search ended by itself.

    Args:
        model: what is minimized.
        point: where to start.
        schedule: see `Schedule`.
    """
    damping, age, small = schedule.damping, schedule.reuse, 0
    derivatives: Any = None
    for _ in range(schedule.steps):
        if age >= schedule.reuse:
            derivatives, age = model.derivatives(point), 0
        age += 1
        equations = model.equations(point, derivatives)
        found = None
        for _ in range(schedule.tries):
            new = model.trial(point, equations, damping)
            if model.objective(new) < model.objective(point):
                found = new
                break
            damping = max(damping * schedule.raised, schedule.raised_to)
        if found is None:
            if age == 1 and damping > schedule.hopeless:
                return point, True
            age = schedule.reuse
            continue
        damping = max(damping / schedule.lowered, schedule.lowered_to)
        before, point = point, found
        if model.negligible(before, found):
            age, small = schedule.reuse, small + 1
            if small == schedule.patience:
                return point, True
        else:
            small = 0
    return point, False
