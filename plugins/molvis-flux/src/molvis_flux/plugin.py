"""Manifest of molvis-flux."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its fitters and commands."""
    return [
        Component(
            kind="modality",
            name="mid",
            target="molvis_flux.modality:MID",
            summary="Mass isotopomer distributions of fragments.",
        ),
        Component(
            kind="fitter",
            name="flux-neural",
            target="molvis_flux.neural.fitter:NeuralFluxes",
            summary="Fluxes and their posterior by an estimator trained for the network.",
        ),
        Component(
            kind="fitter",
            name="flux-fit",
            target="molvis_flux.fit.fitter:FluxFit",
            summary="Fluxes by least squares from many starts, then draws from the posterior.",
        ),
        Component(
            kind="command",
            name="flux-fit",
            target="molvis_flux.commands.fit:fit",
            summary="Fluxes from labelling data, with intervals and a verdict on each.",
        ),
        Component(
            kind="command",
            name="flux-design",
            target="molvis_flux.commands.design:design",
            summary="Which tracers and fragments would tell the fluxes that matter.",
        ),
        Component(
            kind="command",
            name="flux-check",
            target="molvis_flux.commands.check:check",
            summary="Find faults in a network and its data.",
        ),
        Component(
            kind="command",
            name="flux-compose",
            target="molvis_flux.commands.compose:compose",
            summary="Make one network of several tissues or strains.",
        ),
        Component(
            kind="command",
            name="flux-sample",
            target="molvis_flux.commands.sample:sample",
            summary="Draw fluxes that a network allows.",
        ),
        Component(
            kind="command",
            name="flux-simulate",
            target="molvis_flux.commands.simulate:simulate",
            summary="Simulate labelling at given fluxes.",
        ),
        Component(
            kind="command",
            name="flux-demo",
            target="molvis_flux.commands.demo:demo",
            summary="Simulate and fit the network of the EMU paper.",
        ),
        Component(
            kind="command",
            name="flux-train",
            target="molvis_flux.commands.train:train",
            summary="Train a neural estimator for a network and its tracers.",
        ),
        Component(
            kind="command",
            name="flux-estimate",
            target="molvis_flux.commands.estimate:estimate",
            summary="Fluxes of a sample by a trained estimator.",
        ),
    ]
