"""What a second and a third measurement of an unknown are worth, and whether one of another compound is noticed.

    python benchmarks/several.py --data DATASET --library INDEX [--infrared BUNDLE] [--folds val,test] [--work FOLDER]

DATASET holds MS/MS spectra, cross sections and infrared spectra of one set of folds; INDEX is one of the shipped
bundle. Asked for are all compounds of the folds that were measured by MS/MS and in another way, of each up to two
measurements of a kind, among the candidates within 10 ppm. Evidence is that of the shipped bundle, joined (as by
`molvis bundle join`) with one for infrared spectra that was trained on fold `train` alone.

All weights are cross-fitted: compounds are dealt into five parts, and each part is ranked with weights, and with the
probabilities that a piece is of the unknown, that were fitted to the other four; compounds with MS/MS alone teach its
weights. Reported are the log-loss of the true structure and hit@1 with each kind alone and with several, differences
with 95% intervals over compounds drawn again; the same with a piece of another compound in half of the cases, and in as
many as `--doubt` states where nothing is said; and what a cross section could tell at best. Evidence is kept in --work,
since it takes most of the time. Writes benchmarks/results/several.json.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.records import PeakList, Value
from molvis_files.writing import write_text
from molvis_retrieval import Bundle, load_bundle
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.calibration.compounds import by_compound, draw_subsets, usable_records
from molvis_retrieval.calibration.foreign import Pool
from molvis_retrieval.calibration.pieces import EXCHANGED, PieceCase, fit_pieces
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.index import Index
from molvis_retrieval.joining import join_bundles
from molvis_retrieval.pieces import DOUBT, Piece, fit_of

PPM = 10.0
PER_COMPOUND = 2
"""Measurements of a compound and kind that are asked for."""
MOST = 256
"""Candidates that are looked at, the truth among them."""
DRAWS = 4
"""Sets of measurements of a compound that weights are fitted to."""
PENALTY = 0.002
"""As `molvis calibrate` has it."""
PARTS = 5


@dataclass(frozen=True)
class Compound:
    """What was measured of a compound, as evidence for its candidates.

    Attributes:
        key: first block of the InChIKey.
        fold: of the dataset.
        truth: place of the true structure.
        own: a row for each candidate and column, for each measurement, by modality.
        foreign: the same of other compounds' measurements.
        predicted: cross sections of the candidates as predicted, with their deviation, and what was measured.
    """

    key: str
    fold: str
    truth: int
    own: dict[str, list[np.ndarray]]
    foreign: dict[str, list[np.ndarray]]
    predicted: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)


def evidence(bundle: Bundle, joined: Bundle, dataset: Dataset, index: Index, fold: str) -> Iterator[Compound]:
    """Evidence for all compounds of a fold that were measured by MS/MS and in another way."""
    rng = np.random.default_rng(0)
    names = [name for name in ("msms", "ccs", "ir") if name in joined.channels.modalities]
    measured = [
        dataset.measurement(name, int(row))
        for name in names
        for row in dataset.rows(name, fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2)
    ]
    pool, compounds = Pool.of(measured), by_compound(measured)
    weigh = Weigher(joined)
    for key, found in compounds.items():
        if "msms" not in found:
            continue
        structure = next(i.structure for items in found.values() for i in items)
        records, masses = usable_records(weigh, names, found, PER_COMPOUND, rng)
        if not masses or "msms" not in records:
            continue
        mass = float(np.median(masses))
        rows = index.library.within_ppm(mass, PPM)
        structures = index.library.structures(rows)
        vectors = index.take(rows)
        places = [i for i, s in enumerate(structures) if s.inchikey14 == key]
        truth = places[0] if places else len(structures)
        if not places:
            structures.append(structure)
            vectors = np.concatenate([vectors, bundle.embed("structure", [structure])])
        if len(structures) < 2:
            continue
        asked = {m: [(r, False) for r in some] for m, some in records.items()}
        # Where MS/MS is all, it teaches its own weights and is not asked together with others.
        for m, some in records.items() if len(records) > 1 else ():
            for near in (True, False):
                other = pool.foreign(m, some[0], key, rng, near=near)
                asked[m] += [(other, True)] if other is not None else []
        near = _nearest(bundle, asked, vectors, truth)
        kept = [structures[i] for i in near]
        own = weigh.without([key])
        blocks = {m: [(_block(own, joined, m, r, kept), f) for r, f in some] for m, some in asked.items()}
        yield Compound(
            key, fold, int(np.flatnonzero(near == truth)[0]),
            {m: [b for b, f in some if not f] for m, some in blocks.items()},
            {m: [b for b, f in some if f] for m, some in blocks.items()},
            [_predicted(own, r, kept) for r in records.get("ccs", ())],
        )  # fmt: skip


def _nearest(bundle: Bundle, asked: Mapping[str, Sequence[Any]], vectors: np.ndarray, truth: int) -> np.ndarray:
    """Places of the candidates most like the first spectrum, the truth among them."""
    cosine = (bundle.embed("msms", [asked["msms"][0][0]]) @ vectors.T)[0]
    near = np.argsort(-cosine, kind="stable")[:MOST]
    return near if truth in near else np.r_[near[:-1], truth]


def _block(weigh: Weigher, joined: Bundle, modality: str, record: Any, structures: Sequence[Any]) -> np.ndarray:
    """Columns of one measurement."""
    if modality == "ir":
        return (joined.embed("ir", [record]) @ joined.embed("structure", list(structures)).T).T.astype(np.float64)
    found = weigh.features({modality: [record]}, structures)
    return np.concatenate([found[key] for key in weigh.scorers if key in found], axis=1)


def _predicted(weigh: Weigher, record: Any, structures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, float]:
    mean, sd = weigh.scorers["ccs"].scorer.predict(structures, record.adduct, record.instrument_type)
    return mean, sd, float(record.value)


class Weights:
    """Weights of the columns, and of how probable it is that a piece is of the unknown, fitted to some compounds."""

    def __init__(self, compounds: Sequence[Compound], columns: Mapping[str, Sequence[str]]) -> None:
        self.columns = columns
        sizes = np.cumsum([0, *(len(columns[m]) for m in columns)])
        self.slices = {m: slice(a, b) for m, a, b in zip(columns, sizes[:-1], sizes[1:], strict=True)}
        names = [name for some in columns.values() for name in some]
        bounded = [i for i, name in enumerate(names) if name == "ir" or name.startswith("references.")]
        rng = np.random.default_rng(1)
        cases = [case for one in compounds for case in self._cases(one, rng)]
        self.weights, _ = conditional_logit.fit_bounded(cases, PENALTY, bounded)
        several = [c for one in compounds if len(one.own) > 1 for c in self.piece_cases(one, rng, EXCHANGED)]
        self.pieces = fit_pieces(several)

    def _cases(self, one: Compound, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, int, float]]:
        draws = draw_subsets({m: len(v) for m, v in one.own.items()}, DRAWS, rng)
        for draw in draws:
            values = np.zeros((len(one.own["msms"][0]), sum(len(c) for c in self.columns.values())))
            for m, i in draw.items():
                values[:, self.slices[m]] = one.own[m][i]
            yield values, one.truth, 1 / len(draws)

    def piece(self, modality: str, block: np.ndarray) -> Piece:
        """What a measurement says by itself."""
        evidence = block @ self.weights[self.slices[modality]]
        return Piece(evidence, fit_of(evidence, dict(zip(self.columns[modality], block.T, strict=True))))

    def piece_cases(self, one: Compound, rng: np.random.Generator, exchanged: float) -> Iterator[PieceCase]:
        """Cases of two kinds of measurements and more, with one of another compound in some of them."""
        for draw in draw_subsets({m: len(v) for m, v in one.own.items()}, 2 * DRAWS, rng):
            if len(draw) < 2:
                continue
            other = str(rng.choice([*draw])) if rng.random() < exchanged else ""
            blocks = {m: one.own[m][i] for m, i in draw.items()}
            if other:
                if not one.foreign.get(other):
                    continue
                blocks[other] = one.foreign[other][rng.integers(len(one.foreign[other]))]
            yield PieceCase(one.key, {m: self.piece(m, b) for m, b in blocks.items()}, other, one.truth)

    def logits(self, pieces: Mapping[str, Piece], doubt: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Of all candidates, and how probable it is for each that a piece is another compound's."""
        total = np.sum([p.evidence for p in pieces.values()], axis=0)
        found = self.pieces.doubted(pieces, doubt)
        return (total, {}) if found is None else (total + found.added, found.foreign)

    def asked(self, one: Compound, some: Sequence[str], number: int, doubt: float) -> tuple[float, float]:
        """Log-loss and hit of a compound by one measurement of some kinds."""
        pieces = {m: self.piece(m, one.own[m][number % len(one.own[m])]) for m in some}
        return loss(self.logits(pieces, doubt)[0], one.truth)


def loss(logits: np.ndarray, truth: int) -> tuple[float, float]:
    """Log-loss of the truth, and whether it is the first; half of it where it ties."""
    above, ties = (logits > logits[truth]).sum(), (logits == logits[truth]).sum()
    return float(np.logaddexp.reduce(logits) - logits[truth]), float(1 / ties if not above else 0.0)


def parts(
    compounds: Sequence[Compound], columns: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Weights, list[Compound]]]:
    """Each part of the compounds with weights that were fitted to the others."""
    deal = np.random.default_rng(2).permutation(len(compounds)) % PARTS
    for number in range(PARTS):
        rest = [one for one, own in zip(compounds, deal, strict=True) if own != number]
        yield Weights(rest, columns), [one for one, own in zip(compounds, deal, strict=True) if own == number]


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and its 95% interval over compounds drawn again."""
    rng = np.random.default_rng(3)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(2000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(values.mean()), 4), round(float(low), 4), round(float(high), 4)


def worth(done: Sequence[tuple[Weights, list[Compound]]], doubt: float) -> dict[str, Any]:
    """Log-loss and hit@1 with each kind of measurement and with several, on the compounds that have them all."""
    out: dict[str, Any] = {}
    for together in (("msms", "ccs"), ("msms", "ir"), ("msms", "ccs", "ir")):
        single = [(m,) for m in together]
        pairs = [("msms", "ccs"), ("msms", "ir")] if len(together) > 2 else []
        found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        for weights, compounds in done:
            for one in compounds:
                if not set(together) <= set(one.own):
                    continue
                for some in (*single, *pairs, together):
                    drawn = [weights.asked(one, some, i, doubt) for i in range(PER_COMPOUND)]
                    found.setdefault(some, []).append(tuple(np.mean(drawn, axis=0)))
        if not found:
            continue
        arrays = {some: np.array(values) for some, values in found.items()}
        better = min(single, key=lambda some: arrays[some][:, 0].mean())
        out[" + ".join(together)] = {
            "compounds": len(arrays[together]),
            "better alone": better[0],
            **{
                " + ".join(some): {"log-loss": interval(v[:, 0]), "hit@1": interval(v[:, 1])}
                for some, v in arrays.items()
            },
            "difference to the better alone": interval(arrays[together][:, 0] - arrays[better][:, 0]),
            "difference to each": {
                " + ".join(some): interval(arrays[together][:, 0] - v[:, 0])
                for some, v in arrays.items()
                if some != together
            },
        }
    return out


def noticed(done: Sequence[tuple[Weights, list[Compound]]], exchanged: float, doubt: float) -> dict[str, Any]:
    """How good probabilities are where pieces are exchanged: of the answer, and of each piece."""
    answer: list[tuple[float, float, float]] = []
    piece: dict[str, list[tuple[float, float, str]]] = {}
    owner: list[str] = []
    for weights, compounds in done:
        rng = np.random.default_rng(4)
        for one in compounds:
            for case in weights.piece_cases(one, rng, exchanged) if len(one.own) > 1 else ():
                logits, foreign = weights.logits(case.pieces, doubt)
                chosen = np.exp(logits - np.logaddexp.reduce(logits))
                answer.append((float(chosen.max()), *loss(logits, case.truth)))
                owner.append(case.compound)
                for m, other in foreign.items():
                    own = float(m != case.foreign)
                    piece.setdefault(m, []).append((float(chosen @ (1 - other)), own, case.compound))
    stated = np.array(answer)
    out = {
        "cases": len(stated), "compounds": len(set(owner)), "exchanged": exchanged, "doubt": doubt,
        "answer": {
            "calibration error": _with_interval(stated[:, 0], stated[:, 2], owner),
            "stated": round(float(stated[:, 0].mean()), 3), "right": round(float(stated[:, 2].mean()), 3),
            "log-loss": round(float(stated[:, 1].mean()), 3),
            "of those above 0.9, right": round(float(stated[stated[:, 0] > 0.9, 2].mean()), 3),
        },
    }  # fmt: skip
    for m, told in [*piece.items(), *([("all pieces", [t for some in piece.values() for t in some])] if piece else [])]:
        p, own = np.array([t[:2] for t in told]).T
        out[m] = {
            "calibration error": _with_interval(p, own, [t[2] for t in told]),
            "stated": round(float(p.mean()), 3), "own": round(float(own.mean()), 3),
            "own told from others (AUC)": round(auc(p, own), 3),
        }  # fmt: skip
    return out


def calibration_error(stated: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error over ten bins of equal width."""
    place = np.minimum((stated * 10).astype(int), 9)
    bins = [place == k for k in range(10) if (place == k).any()]
    return float(sum(abs(stated[b].mean() - right[b].mean()) * b.mean() for b in bins))


def _with_interval(stated: np.ndarray, right: np.ndarray, owner: Sequence[str]) -> dict[str, float]:
    """The error; what it would be on so many compounds if probabilities were right; and its 95% interval."""
    keys, place = np.unique(owner, return_inverse=True)
    rows = [np.flatnonzero(place == k) for k in range(len(keys))]
    rng = np.random.default_rng(5)
    drawn = [np.concatenate([rows[k] for k in rng.integers(len(rows), size=len(rows))]) for _ in range(300)]
    low, high = np.quantile([calibration_error(stated[d], right[d]) for d in drawn], (0.025, 0.975))
    perfect = np.mean([calibration_error(stated, rng.random(len(keys))[place] < stated) for _ in range(100)])
    return {
        "value": round(calibration_error(stated, right), 4), "low": round(float(low), 4), "high": round(float(high), 4),
        "if right": round(float(perfect), 4),
    }  # fmt: skip


def auc(stated: np.ndarray, right: np.ndarray) -> float:
    """How often an own piece has a higher probability than an exchanged one."""
    own, other = stated[right > 0.5], stated[right < 0.5]
    if not len(own) or not len(other):
        return float("nan")
    return float((own[:, None] > other).mean() + 0.5 * (own[:, None] == other).mean())


def at_best(done: Sequence[tuple[Weights, list[Compound]]]) -> dict[str, Any]:
    """What a cross section could tell, were the predictions of the candidates right and the value as good as stated.

    Values are drawn about the prediction for the true structure: with the spread between laboratories (0.33% in the
    median, a standard deviation of 0.49%), and with the error of the predictor.
    """
    rng = np.random.default_rng(6)
    out: dict[str, Any] = {}
    for name, width in (("0.49%, as laboratories differ", 0.0049), ("1.6%, as predictions err", 0.016)):
        alone: list[tuple[float, float]] = []
        beside: list[tuple[float, float]] = []
        spectrum: list[tuple[float, float]] = []
        sizes = np.array([len(one.predicted[0][0]) for _, some in done for one in some if one.predicted])
        for weights, compounds in done:
            for one in compounds:
                if not one.predicted:
                    continue
                size = np.log(one.predicted[0][0])
                msms = weights.piece("msms", one.own["msms"][0]).evidence
                drawn = [-0.5 * ((size[one.truth] + rng.normal(0, width) - size) / width) ** 2 for _ in range(20)]
                alone.append(tuple(np.mean([loss(d, one.truth) for d in drawn], axis=0)))
                beside.append(tuple(np.mean([loss(d + msms, one.truth) for d in drawn], axis=0)))
                spectrum.append(loss(msms, one.truth))
        a, b, s = np.array(alone), np.array(beside), np.array(spectrum)
        out[name] = {
            "compounds": len(a),
            "ccs": {"log-loss": interval(a[:, 0]), "hit@1": interval(a[:, 1])},
            "msms": {"log-loss": interval(s[:, 0]), "hit@1": interval(s[:, 1])},
            "msms + ccs": {"log-loss": interval(b[:, 0]), "hit@1": interval(b[:, 1])},
            "difference to msms": interval(b[:, 0] - s[:, 0]),
            "bits": interval((np.log(sizes) - a[:, 0]) / np.log(2)),
            "bits to name a candidate": interval(np.log2(sizes)),
        }
    spread = [np.std(np.log(one.predicted[0][0])) for _, some in done for one in some if one.predicted]
    return out | {"spread of the predictions for one mass": round(float(np.median(spread)), 4)}


def columns_of(joined: Bundle) -> dict[str, list[str]]:
    """Names of the columns of each kind of measurement, in the order of `_block`."""
    scorers = Weigher(joined).scorers
    kinds: dict[str, type[Any]] = {"msms": PeakList, "ccs": Value}
    named = {
        m: [f"{k}.{f}" for k, one in scorers.items() if one.scorer.accepts is kind for f in one.features]
        for m, kind in kinds.items()
    }
    return named | ({"ir": ["ir"]} if "ir" in joined.modalities else {})


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--infrared", type=Path)
    parser.add_argument("--bundle", default="massbank")
    parser.add_argument("--folds", default="val,test")
    parser.add_argument("--work", type=Path, default=Path("work/several"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "several.json")
    options = parser.parse_args()
    bundle, index, dataset = load_bundle(options.bundle), Index.open(options.library), Dataset.open(options.data)
    infrared = load_bundle(options.infrared) if options.infrared else None
    options.work.mkdir(parents=True, exist_ok=True)
    joined = join_bundles([bundle, infrared], options.work / "joined").bundle if infrared else bundle
    compounds: list[Compound] = []
    for fold in options.folds.split(","):
        file = options.work / f"{fold}.pickle"
        if not file.exists():
            found: list[tuple[Any, ...]] = []
            for one in evidence(bundle, joined, dataset, index, fold):
                found.append(astuple(one))
                print(f"\r{fold}: {len(found)}", end="", flush=True)
            file.write_bytes(pickle.dumps(found))
        compounds += [Compound(*one) for one in pickle.loads(file.read_bytes())]
    done = list(parts(compounds, columns_of(joined)))
    result = {
        "bundle": bundle.name, "infrared": infrared.name if infrared else None, "folds": options.folds,
        "compounds": {
            "all": len(compounds), **{" + ".join(k): n for k, n in Counter(tuple(c.own) for c in compounds).items()}
        },
        "worth": worth(done, DOUBT),
        "worth without doubt": worth(done, 0.0),
        "noticed": [
            noticed(done, e, d)
            for e, d in ((0.5, 0.5), (0.5, DOUBT), (0.5, 0.0), (DOUBT, DOUBT), (DOUBT, 0.0), (0.0, DOUBT), (0.0, 0.0))
        ],
        "a cross section at best": at_best(done),
    }  # fmt: skip
    write_text(options.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
