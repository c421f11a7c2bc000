"""Manifest of molvis-retrieval: its commands, and how `molvis check` checks the kinds that it owns."""

from __future__ import annotations

from molvis_core import Component, hookimpl

_COMMANDS = (
    ("identify", "identify:identify", "Rank candidate structures for unknown spectra."),
    ("annotate", "annotate:annotate", "Annotate the features of LC-MS/MS runs."),
    ("features", "features:features", "Find the features of LC-MS/MS runs."),
    ("data-import", "data:import_", "Turn files of spectra into a dataset."),
    ("data-describe", "data:describe", "Describe what is in a dataset."),
    ("data-verify", "data:verify", "Check a dataset against its digests."),
    ("data-export", "data:export", "Write the measurements of a dataset to a file."),
    ("data-split", "data:split", "Assign folds, by compound or by structural cluster."),
    ("library-build", "library:build", "Embed a structure library into an index."),
    ("library-convert", "library:convert", "Write an index as a library of partitions."),
    ("library-cluster", "library:cluster", "Prepare a library of partitions for searches without a mass."),
    ("library-describe", "library:describe", "Describe what is in an index."),
    ("library-verify", "library:verify", "Check an index against its digests."),
    ("train", "train:train", "Train a bundle from a configuration."),
    ("pretrain", "pretrain:pretrain", "Pretrain an encoder on structures alone."),
    ("predict", "predict:predict", "Predict what would be measured of structures."),
    ("calibrate", "identify:calibrate", "Fit the probabilities that a bundle's scores stand for."),
    ("evaluate", "evaluate:evaluate", "Measure how often bundles rank the truth first."),
    ("benchmark", "benchmark:benchmark", "From files of spectra to a bundle and its figures."),
    ("bundle-join", "bundle:join", "Join bundles, to rank by what all of them take."),
    ("bundle-verify", "bundle:verify", "Check a bundle against its digests."),
    ("config-fill", "config:fill", "Write out a configuration with every default."),
    ("config-presets", "config:presets", "List the presets, or print one."),
    ("demo", "demo:demo", "Identify a few real spectra with the shipped bundle."),
)
_ROUTES = (
    ("annotate", "annotation:ROUTE", "Annotate the features of LC-MS/MS runs."),
    ("identify", "identification:ROUTE", "Rank candidate structures for unknown spectra."),
    ("predict", "prediction:ROUTE", "Predict what would be measured of structures."),
    ("compare", "comparison:COMPARE", "Hold a structure against a spectrum: the peaks that it explains, and its own."),
    ("sketch", "comparison:SKETCH", "Where atoms and bonds of structures are, for a page that draws them."),
)
_GROUPS = (
    ("data", "Measurements: import files, describe, split."),
    ("library", "Libraries of candidate structures, embedded for search."),
    ("bundle", "Trained bundles."),
    ("config", "Configurations of training runs."),
)


@hookimpl
def molvis_components() -> list[Component]:
    """Commands and their groups, and checks of presets and bundles."""
    home = "molvis_retrieval.commands"
    return [
        *(Component(kind="command", name=name, target=f"{home}.{at}", summary=what) for name, at, what in _COMMANDS),
        *(
            Component(kind="command-group", name=name, target=f"{home}.{name}:__doc__", summary=what)
            for name, what in _GROUPS
        ),
        *(
            Component(kind="route", name=name, target=f"molvis_retrieval.routes.{at}", summary=what)
            for name, at, what in _ROUTES
        ),
        Component(
            kind="contract",
            name="preset",
            target="molvis_retrieval.checks:check_preset",
            summary="A preset is a configuration that reads.",
        ),
        Component(
            kind="contract",
            name="bundle",
            target="molvis_retrieval.checks:check_bundle",
            summary="A bundle opens, and embeds synthetic records.",
        ),
        Component(
            kind="contract",
            name="linker",
            target="molvis_retrieval.checks:check_linker",
            summary="A linker joins two equal spectra, and neither unlike ones nor one with itself.",
        ),
    ]
