"""Training of a translation from files of spectra, which goes on after an interruption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from molvis_core.errors import BundleError, ReadError, TrainingError
from molvis_core.records import Measurement
from molvis_files.locking import sole_writer
from molvis_files.writing import recover
from molvis_msms.references.search import read_spectra
from molvis_msms.translation.corpus import by_compound, ions_of, vocabulary_of
from molvis_msms.translation.learning import Lesson, Recipe, learn
from molvis_msms.translation.translator import Translator
from molvis_nn.loop import Checkpoint

MIN_COMPOUNDS = 6
"""That share a formula of the vocabulary."""
_FEWEST = 5
"""Compounds without which there is nothing to generalise from."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training did.

    Attributes:
        path: the folder.
        compounds, spectra: that were learned from.
        formulas: fragments and losses that the network knows.
        unreadable: records that could not be read.
        root_cosine: mean over compounds in the last epoch, of translations with some peaks left out.
        licences: of the spectra, with their counts.
    """

    path: Path
    compounds: int
    spectra: int
    formulas: int
    unreadable: int
    root_cosine: float
    licences: dict[str, int] = field(default_factory=dict)


def train(
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    reader: str | None = None,
    fold: str | None = None,
    epochs: int = 60,
    stop: int | None = None,
    min_compounds: int = MIN_COMPOUNDS,
    seed: int = 0,
    resume: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> TrainReport:
    """Learn to translate from spectra of known compounds at several settings.

    Args:
        paths: of the files, in any format that a reader of MS/MS spectra takes.
        out: the folder; it must not exist. A checkpoint stands beside it until the training is done.
        reader: name of the reader, instead of choosing one by a file's ending.
        fold: take only spectra of this fold, where the files name folds.
        epochs: each sees every compound once; the learning rate falls to zero over them.
        stop: after so many of them, where that is earlier.
        min_compounds: fragments and losses of fewer compounds are left out.
        seed: of everything drawn.
        resume: go on from the checkpoint of an interrupted training, if there is one.
        progress: called with what is done, what there is in all, and of what.

    Raises:
        ReadError: a file cannot be read at all.
        TrainingError: there are too few compounds with two spectra of one ion, or the checkpoint is of another run.
        BundleError: the folder exists.
        molvis_core.errors.BusyError: another process writes it.
    """
    out = Path(out)
    say = progress or (lambda done, total, what: None)
    if min(epochs, min_compounds, stop or 1) < 1:
        raise TrainingError(
            f"epochs, stop and min_compounds must be positive, got {epochs}, {stop} and {min_compounds}"
        )
    with sole_writer(out):
        recover(out)
        if out.exists():
            raise BundleError(f"{out} exists. Choose another folder, or delete it first.")
        say(0, 0, "reading spectra")
        items = [item for path in paths for item in read_spectra(path, reader)]
        read = [m for m in items if isinstance(m, Measurement) and (fold is None or m.fold == fold)]
        ions = ions_of(read)
        compounds = by_compound(ions)
        if len(compounds) < _FEWEST:
            raise TrainingError(
                f"{len(compounds)} compounds have two spectra of one ion with adduct and collision energy; "
                f"translation is learned from {_FEWEST} at least"
            )
        vocabulary = vocabulary_of(ions, min_compounds, lambda done, total: say(done, total, "formulas of peaks"))
        torch.manual_seed(seed)
        recipe = Recipe(epochs=epochs, stop=stop or epochs)
        translator = Translator.untrained(vocabulary, top_peaks=recipe.top_peaks)
        signature = f"{recipe}\nseed {seed}\ncompounds {len(compounds)}\nformulas {len(vocabulary)}"
        checkpoint = Checkpoint(out.with_name(f"{out.name}.checkpoint"), signature)
        if not resume:
            checkpoint.path.unlink(missing_ok=True)
        value = learn(
            translator.network, Lesson(vocabulary, compounds), recipe, seed=seed, checkpoint=checkpoint,
            progress=lambda done, mean: say(done, epochs, f"training, root cosine {mean:.3f}"),
        )  # fmt: skip
        report = TrainReport(
            out, len(compounds), sum(len(ion.spectra) for some in compounds for ion in some), len(vocabulary),
            sum(isinstance(item, ReadError) for item in items), round(value, 4),
            dict(Counter(m.licence or "not stated" for m in read).most_common()),
        )  # fmt: skip
        translator.save(out, about=_about(report, paths, fold, recipe, seed))
        checkpoint.path.unlink(missing_ok=True)
    return report


def _about(
    report: TrainReport, paths: Sequence[Path | str], fold: str | None, recipe: Recipe, seed: int
) -> dict[str, object]:
    return {
        "sources": [Path(path).name for path in paths],
        "fold": fold or "",
        "epochs": recipe.epochs,
        "stop": recipe.stop,
        "seed": seed,
        "compounds": report.compounds,
        "spectra": report.spectra,
        "licences": report.licences,
    }
