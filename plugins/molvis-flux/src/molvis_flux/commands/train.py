"""`molvis flux train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvis_core import output
from molvis_files.arguments import existing
from molvis_flux.commands.reading import Options, Reader


def train(
    network: Annotated[Path, typer.Argument(help="The network, in any format that is read; a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the estimator.")],
    steps: Annotated[int, typer.Option(min=1, help="Of the training; 5,000 are some minutes.")] = 5000,
    simulations: Annotated[int, typer.Option(min=1000, help="Flux vectors to learn from.")] = 200_000,
    noise: Annotated[tuple[float, float], typer.Option(help="Least and greatest sd of a fraction.")] = (0.001, 0.03),
    width: Annotated[int, typer.Option(min=8, help="Of the neural network.")] = 192,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on where the same training was interrupted.")] = True,
    reader: Reader = None,
    option: Options = None,
) -> None:
    """Train an estimator of fluxes for a network and its tracers.

    A first estimator that can be used is there after a fifth of the steps, a second after half of them.
    The file's experiments define which tracers are fed and what may be measured; the data's values are not used. After
    an interruption the same command goes on.
    """
    existing(network, what="a network")
    output.resumes()
    from molvis_flux.formats.options import open_study
    from molvis_flux.neural.estimator import Estimator, Settings
    from molvis_flux.neural.training import train as run

    study = open_study(network, reader=reader, options=option)
    settings = Settings(noise=noise, steps=steps, simulations=simulations, width=width, seed=seed)
    with output.progress("training") as show:

        def step(done: int, steps: int, loss: float) -> None:
            show(done, steps, f"training, loss {loss:.2f}")

        def staged(early: Estimator, done: int) -> None:
            spent = f"after {early.metrics['cpu_seconds']:,.0f} CPU seconds"
            output.note(f"an estimator of {done:,} steps can be used from now on, {spent}: {out}")

        estimator = run(study, out, settings=settings, resume=resume, progress=step, staged=staged)
    if output.as_json({"folder": out, "measurements": len(estimator.measurements), "metrics": estimator.metrics}):
        return
    columns = ("missing", "log density", "coverage of 90% intervals before calibration")
    shares = [name.removeprefix("coverage_") for name in estimator.metrics if name.startswith("coverage_")]
    output.print_table(columns, [
        (f"{float(s):.0%}", f"{estimator.metrics[f'log_density_{s}']:.2f}", f"{estimator.metrics[f'coverage_{s}']:.3f}")
        for s in shares
    ])  # fmt: skip
    output.note(f"{len(estimator.space)} free fluxes, {len(estimator.measurements)} measurements: {out}")
