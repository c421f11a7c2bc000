"""The gradient descent of Fattakhov et al., for comparison.

The loss is log(2 - cos) of the angle between simulation and measurement; Adam with a learning rate that falls where the
loss stands still; the measurement, and not the model, is broadened at first, and less and less.

Reference: M. M. Fattakhov et al., 2026, Application of the Gradient Descent Method for Optimization of Spin System
Parameters of Metabolite Molecules by NMR Spectra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.fitting import Fixed, Prior
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_files.threads import one_thread
from molvis_nmr.fitting.measured import Measured, check
from molvis_nmr.fitting.priors import with_prior, with_usual_prior
from molvis_nmr.fitting.problem import Problem, problem_of
from molvis_nmr.fitting.solutions import Floor, Solution
from molvis_nmr.fitting.spin_system import LADDER, REACH, SpinSystemFit, summarize
from molvis_nmr.fitting.variable_projection import evaluate
from molvis_nmr.spins.autograd import simulate_torch
from molvis_nmr.spins.system import SpinSystem

MODES = {
    "free": (),
    "fixed-couplings": ("couplings",),
    "fixed-couplings-intensities": ("couplings", "intensities"),
    "fixed-intensities": ("intensities",),
}
"""The four modes of Fattakhov et al., and what they leave at its start values."""
BROADENING = (10.0, 5.0, 2.0, 1.0, 0.0)
"""Full widths in points of the Lorentzian that the measurement is convolved with."""


def fit_gradient(
    spectra: Trace | Sequence[Trace],
    system: SpinSystem,
    *,
    mode: str = "free",
    nucleus: str = "1H",
    epochs: int = 400,
    learning_rate: float = 1e-2,
    factor: float = 0.9,
    patience: int = 10,
    broadening: Sequence[float] = BROADENING,
    exclude: Sequence[tuple[float, float]] = (),
    prior: Prior | None = None,
    progress: Progress | None = None,
) -> SpinSystemFit:
    """Fit a spin system by the method of Fattakhov et al.

    Shifts are steps in Hz, as couplings and widths are. Errors are those of least squares at the estimates.

    Args:
        spectra: one, or several of the same spins, which share their couplings.
        system: start values.
        mode: `free`, `fixed-couplings`, `fixed-couplings-intensities` or `fixed-intensities`.
        nucleus: observed.
        epochs: at each broadening.
        learning_rate: of Adam.
        factor: by which the rate falls.
        patience: after so many epochs without gain.
        broadening: full widths in points, one after the other.
        exclude: windows in ppm that do not count.
        prior: of which only what is `Fixed` counts, and the `scale`.
        progress: called with (done, all) epochs.

    Raises:
        RecordError: as for `molvis_nmr.fitting.spin_system.fit`; or a mode that does not exist.
    """
    traces = [spectra] if isinstance(spectra, Trace) else list(spectra)
    check(traces, [system] * len(traces), nucleus, exclude, LADDER)
    if mode not in MODES:
        raise RecordError(f"no mode named {mode!r}.{did_you_mean(mode, MODES)} There are: {', '.join(MODES)}")
    measured = [Measured(trace, nucleus, exclude) for trace in traces]
    problem = problem_of(measured, [system] * len(traces), nucleus)
    problem = with_prior(with_usual_prior(problem, gaussian=False, phase=False), prior or {})
    fixed = {name for name, belief in (prior or {}).items() if isinstance(belief, Fixed)}
    if "couplings" in MODES[mode]:
        held = np.arange(len(problem.names)) < len(problem.pairs)
        problem = replace(problem, free=problem.free & ~held)
    descent = _Descent(problem, fixed, free_intensities="intensities" not in MODES[mode])
    total = epochs * len(broadening)
    for stage, width in enumerate(broadening):
        optimizer = torch.optim.Adam(descent.parameters, lr=learning_rate)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
        targets = [torch.tensor(m.broadened(0.5 * width * m.step)) for m in measured]
        for epoch in range(epochs):
            optimizer.zero_grad()
            loss = descent.loss(targets)
            loss.backward()
            optimizer.step()
            scheduler.step(loss.item())
            if progress is not None:
                progress(stage * epochs + epoch + 1, total)
    theta, intensities = descent.estimates()
    problem = replace(problem, r_mean=intensities)
    with one_thread():
        stage = problem.stage(theta, 0.0, REACH)
        # The intensities are the descent's: least squares finds their scale alone.
        state = evaluate(replace(problem, r_sd=np.full_like(problem.r_sd, 1e-4)), theta, stage)
        return summarize(Solution(problem, state, stage, (Floor(),) * len(problem.measured), ended=True), starts=1)


class _Descent:
    """What Adam moves: couplings, then of each spectrum shifts in Hz, widths and intensities."""

    def __init__(self, problem: Problem, fixed: set[str], *, free_intensities: bool) -> None:
        self.problem, self.theta = problem, problem.mean
        theta = problem.mean
        first = problem.systems[0]
        self.couplings = torch.tensor(theta[: len(problem.pairs)], requires_grad=True)
        self.offsets, self.widths, self.intensities = [], [], []
        for s in range(len(problem.measured)):
            self.offsets.append(torch.zeros(problem.groups, dtype=torch.float64, requires_grad=True))
            self.widths.append(torch.tensor(np.exp(theta[problem.at(s, "width")]), requires_grad=True))
            self.intensities.append(torch.tensor(problem.r_mean[s].copy(), requires_grad=free_intensities))
        held = np.array([f"intensity/{name}" in fixed for name in first.names])
        self.free_r = torch.tensor(~held)
        moved = [self.couplings, *self.offsets, *self.widths, *self.intensities]
        self.parameters = [p for p in moved if p.requires_grad and p.numel()]

    def _each(self, s: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        problem = self.problem
        free = torch.tensor(problem.free)
        shift, width = problem.at(s, "shift"), problem.at(s, "width")
        start = torch.tensor(self.theta)
        shifts = start[shift] + torch.where(free[shift], self.offsets[s], 0.0) / problem.measured[s].observed
        widths = torch.where(free[width], self.widths[s].abs(), start[width].exp()).clamp_min(0.05)
        r = torch.where(self.free_r, self.intensities[s].abs(), self.intensities[s].detach())
        couplings = torch.where(free[: len(problem.pairs)], self.couplings, start[: len(problem.pairs)])
        k, m = np.array(problem.pairs, dtype=np.int64).reshape(-1, 2).T
        # Couplings that start at 0 link groups as well: exactly 0 would leave them out for good.
        couplings = couplings + 1e-9 * (couplings.detach() == 0)
        matrix = torch.tensor(problem.systems[s].couplings)
        matrix = matrix.index_put((torch.tensor(k), torch.tensor(m)), couplings)
        return shifts, matrix, widths, r

    def loss(self, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mean over the spectra of log(2 - cos)."""
        problem, total = self.problem, torch.zeros((), dtype=torch.float64)
        for s, (m, target) in enumerate(zip(problem.measured, targets, strict=True)):
            shifts, couplings, widths, r = self._each(s)
            made = simulate_torch(
                shifts, couplings, widths, r, m.trace.x, m.frequency,
                multiplicity=problem.systems[s].multiplicity.tolist(), nuclei=problem.systems[s].nuclei,
                nucleus=problem.nucleus,
            )  # fmt: skip
            keep = torch.tensor(m.keep, dtype=torch.float64)
            cosine = torch.nn.functional.cosine_similarity(made * keep, target * keep, dim=0)
            total = total + torch.log(2 - cosine) / len(targets)
        return total

    def estimates(self) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "s g"]]:
        """All nonlinear parameters, and the intensities of each spectrum with a mean of 1."""
        problem, theta = self.problem, self.theta.copy()
        found: list[np.ndarray] = []
        with torch.no_grad():
            for s in range(len(problem.measured)):
                shifts, couplings, widths, r = (t.numpy() for t in self._each(s))
                theta[: len(problem.pairs)] = [couplings[k, m] for k, m in problem.pairs]
                theta[problem.at(s, "shift")], theta[problem.at(s, "width")] = shifts, np.log(widths)
                given = problem.scale[s]
                found.append(r if given is not None else r / r[problem.observed].mean())
        return theta, np.stack(found)
