"""`shift-matching`: how well a list of shifts fits the one that is predicted for a candidate."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from molvis_core.errors import BundleError, ConfigError, StructureError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import RankedQuery, ShiftList, Structure
from molvis_nmr_shifts.library import PredictedLibrary
from molvis_nmr_shifts.matching.fitting import Case, fit_among, fit_prices
from molvis_nmr_shifts.matching.lines import NUCLEI, USUAL, Lines, Prices, likelihoods, lines_of
from molvis_nmr_shifts.prediction.graphs import solvent_place
from molvis_nmr_shifts.prediction.learning import Course, learn
from molvis_nmr_shifts.prediction.lessons import lessons_of
from molvis_nmr_shifts.prediction.model import KnownGraphs, ShiftModel
from molvis_nmr_shifts.prediction.network import ShiftNetwork

_PRICES = "prices.json"
_REMEMBERED = 50_000
_LEAST = -60.0
"""Of a likelihood of a signal: candidates that fit worse than this, on average over signals, fit alike."""


class ShiftMatching:
    """Likelihood of a list under the shifts predicted for a candidate, and how far it stands above the others.

    A graph network predicts mean and width of each kind of equivalent atoms. The measured list is laid along the
    predicted lines in the likeliest order-keeping way, where lines may be missing, fall together or have several
    signals, and signals may be extra or lie anywhere (a mixture, so that one outlier does not decide). Columns are of
    13C and of 1H: a list tells of its own nucleus alone, and cross peaks of 13C and 1H (HSQC) of both, where carbons
    without hydrogens are not waited for. Of other nuclei every feature is 0.

    Args:
        epochs: of training.
        width, layers: of the network.
        dropout: in the network.
        library: folder that `molvis_nmr_shifts.library.write_library` wrote: candidates that need no prediction.
    """

    accepts = ShiftList
    any_mass = True
    features: tuple[str, ...] = ("carbon", "carbon_standing", "proton", "proton_standing")

    def __init__(
        self, epochs: int = 24, width: int = 128, layers: int = 5, dropout: float = 0.05, library: str = ""
    ) -> None:
        if epochs < 1:
            raise ConfigError(f"shift-matching: epochs must be a positive whole number, got {epochs}")
        ShiftNetwork.check(width, layers, dropout)
        self.epochs, self.width, self.layers, self.dropout, self.library = epochs, width, layers, dropout, library
        self.prices: dict[str, Prices] = dict(USUAL)
        self._model: ShiftModel | None = None
        self._graphs = KnownGraphs()
        self._lines: OrderedDict[tuple[str, str, int], Lines] = OrderedDict()
        self._library: PredictedLibrary | None = None

    def __call__(self, query: ShiftList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate; 0 before anything was learned.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        if self._model is None or not len(candidates) or not len(query):
            return out
        for column, nucleus in enumerate(NUCLEI):
            record = axis_of(query, nucleus)
            if record is None:
                continue
            lines = self.lines(candidates, nucleus, record.solvent)
            if query.experiment == "HSQC":
                lines = lines.in_hsqc()
            each = likelihoods(record, lines, self.prices[nucleus]) / len(record)
            score = np.maximum(each, _LEAST) * math.sqrt(len(record))
            out[:, 2 * column] = score
            out[:, 2 * column + 1] = (score - score.mean()) / (score.std() + 0.5)
        return out

    def kind(self, record: ShiftList) -> str:
        """Lists of one nucleus say the same twice, those of two nuclei do not."""
        return f"{record.nucleus} {record.experiment or ''}"

    def lines(self, candidates: Sequence[Structure], nucleus: str, solvent: str | None = None) -> Lines:
        """Predicted lines of each candidate, from memory where they are known.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._model is None:
            raise TrainingError("shift-matching: it predicts nothing before it has learned")
        place = solvent_place(solvent)
        found: dict[int, Lines] = {}
        if self.library and not place:
            self._library = self._library or PredictedLibrary.open(Path(self.library), self._model)
            found = self._library.known(candidates, nucleus)
        keys = [(nucleus, one.smiles, place) for one in candidates]
        lacking = [key[1] for i, key in enumerate(keys) if i not in found and key not in self._lines]
        fresh = list(dict.fromkeys(lacking))
        graphs = [self._graphs(smiles) for smiles in fresh]
        for smiles, graph, (shifts, scales) in zip(fresh, graphs, self._model.predict(graphs, place), strict=True):
            for each in NUCLEI:
                self._lines[each, smiles, place] = lines_of(graph, shifts, scales, each)
        out = Lines.joined([found[i] if i in found else self._lines[key] for i, key in enumerate(keys)])
        while len(self._lines) > _REMEMBERED:
            self._lines.popitem(last=False)
        return out

    @property
    def model(self) -> ShiftModel:
        """The trained network.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._model is None:
            raise TrainingError("shift-matching: there is nothing before it has learned")
        return self._model

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Train the network on the signals whose atoms are known, then fit what an alignment costs.

        Returns:
            `val_mae_13C` and `val_mae_1H`, in ppm, over the signals of validation compounds whose atoms are known; and
            `val_hit1`, the share of the validation queries whose truth is first among their candidates.

        Raises:
            TrainingError: there are no signals with atoms to learn from.
        """
        show = progress or (lambda done, total, what: None)
        lessons = lessons_of((one.record, one.candidates[one.truth].smiles) for one in examples)
        held_out = lessons_of((one.record, one.candidates[one.truth].smiles) for one in validation)
        torch.manual_seed(seed)
        network = ShiftNetwork(self.width, self.layers, self.dropout)
        course = Course(self.epochs, max(1, self.epochs // 3), max(1, self.epochs // 3))
        found = learn(
            network, lessons, held_out, course, seed=seed, checkpoint=checkpoint,
            progress=lambda done: show(done, self.epochs, "a network from structures to shifts"),
        )  # fmt: skip
        settings = {"width": self.width, "layers": self.layers}
        self.take(ShiftModel.learned(network, settings, lessons, held_out))
        self.fit(validation or examples)
        ranked = [self(one.record, one.candidates)[:, [0, 2]].sum(axis=1) for one in validation]
        first = [float(s.argmax() == one.truth) for s, one in zip(ranked, validation, strict=True)]
        return {**found, "val_hit1": float(np.mean(first))} if first else found

    def take(self, model: ShiftModel) -> None:
        """Use a trained network."""
        self._model, self._library = model, None
        self._lines.clear()

    def fit(self, queries: Sequence[RankedQuery]) -> None:
        """Fit what an alignment costs to queries whose structure is known, so that their truths stand out.

        Rivals are a query's own candidates, and of 13C, whose lists can be sought without a mass, those of the others
        that fit its list best. Every second list of 13C is taken without its multiplicities: what is fitted holds for
        both.
        """
        for nucleus in NUCLEI:
            cases, known = self._cases(queries, nucleus)
            if cases and nucleus == "1H":
                self.prices[nucleus] = fit_prices(cases, USUAL[nucleus])
            elif cases:
                pool = list({one.smiles: one for some in known for one in some}.values())
                row = {one.smiles: i for i, one in enumerate(pool)}
                taken = [np.array([row[one.smiles] for one in some]) for some in known]
                self.prices[nucleus] = fit_among(cases, self.lines(pool, nucleus), taken, USUAL[nucleus])

    def _cases(self, queries: Sequence[RankedQuery], nucleus: str) -> tuple[list[Case], list[tuple[Structure, ...]]]:
        """Lists of a nucleus with the lines of their candidates, and the candidates."""
        cases: list[Case] = []
        known: list[tuple[Structure, ...]] = []
        for one in queries:
            record = axis_of(one.record, nucleus)
            if record is None or one.record.partners is not None or len(one.candidates) < 2:
                continue
            if nucleus == "13C" and len(known) % 2:
                record = replace(record, multiplicity=())
            try:
                cases.append((record, self.lines(one.candidates, nucleus, record.solvent), one.truth))
            except StructureError:
                continue
            known.append(tuple(one.candidates))
        return cases, known

    def save(self, folder: Path) -> None:
        """Write the network and the prices.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._model is None:
            raise TrainingError("shift-matching: there is nothing to save before it has learned")
        self._model.save(folder)
        text = json.dumps({nucleus: asdict(prices) for nucleus, prices in self.prices.items()}, indent=1)
        (folder / _PRICES).write_text(text, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: a file is missing or damaged, or it is of a scorer with other settings.
        """
        model = ShiftModel.load(folder)
        if model.settings != {"width": self.width, "layers": self.layers}:
            stated = f"width {self.width} and {self.layers} layers"
            raise BundleError(f"{folder}: a network of other settings: {model.settings}, not of {stated}")
        try:
            found = json.loads((folder / _PRICES).read_text(encoding="utf-8"))
            prices = {nucleus: _prices(found[nucleus]) for nucleus in NUCLEI}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise BundleError(f"{folder / _PRICES}: damaged: {error}") from error
        self.prices = prices
        self.take(model)


def _prices(content: Mapping[str, float]) -> Prices:
    """Written ones; before `bare` and `uneven` were told apart, they cost what a missing line does, and nothing."""
    whole = {"bare": content["missing"], "uneven": 0.0, **content}
    return Prices(**{name: float(value) for name, value in whole.items()})


def axis_of(record: ShiftList, nucleus: str) -> ShiftList | None:
    """What a list tells of a nucleus: itself, one axis of its cross peaks, or nothing.

    Cross peaks of one carbon share its shift, and are one signal of it.
    """
    if record.partners is None:
        return record if record.nucleus == nucleus else None
    if record.experiment not in ("HSQC", "COSY", "TOCSY") or record.nucleus not in NUCLEI:
        return None
    if record.nucleus == nucleus:
        values = record.shifts if record.experiment == "HSQC" else np.concatenate([record.shifts, record.partners])
    elif record.experiment == "HSQC":
        values = record.partners
    else:
        return None
    near = 0.15 if nucleus == "13C" else 0.02
    rows = np.sort(values)
    kept = rows[np.concatenate([[True], np.diff(rows) > near])] if len(rows) else rows
    return replace(record, shifts=kept, nucleus=nucleus, partners=None, intensity=None, multiplicity=(), atoms=())
