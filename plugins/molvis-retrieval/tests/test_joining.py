"""Bundles that were trained apart, joined: evidence is what it was, and counts in one ranking."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import barcode
import numpy as np
import pytest
import toy
from barcode import BUTANOLS, STRUCTURES, Drawn, make_bundle, make_index, measurement
from test_several import IR, Sung

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError
from molvis_core.records import Measurement, Trace
from molvis_core.testing import offer, toy_component
from molvis_retrieval.bundle import Bundle, Calibration, load_bundle, save_bundle
from molvis_retrieval.calibration.pieces import calibrate_pieces
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.config import parse_config
from molvis_retrieval.identification import identify
from molvis_retrieval.joining import join_bundles
from molvis_retrieval.pieces import Pieces
from molvis_retrieval.presence import Presence


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    components = (toy_component("modality", "ir", IR), toy_component("encoder", "sung", Sung))
    with offer(barcode.PLUGIN, toy.PLUGIN, *components, hide=["molvis-ir"]):
        yield


def infrared(folder: Path, *, text: str = "", calibration: Calibration | None = None, same: bool = False) -> Bundle:
    """A bundle for traces, whose space is the one of peaks or, as `same` has it, says nothing of a structure."""
    config = parse_config(f"""
name = "sung"
encoders.ir.use = "sung"
encoders.structure = {{ use = "drawn", same = {str(same).lower()} }}
{text}
[data]
path = "elsewhere"
[[pairs]]
query = "ir"
reference = "structure"
loss = "barcode-softmax"
""")
    states = {"ir": Sung().state_dict(), "structure": Drawn().state_dict()}
    told = {"name": "sung", "licence": "CC0", "metrics": {"val_mrr": 0.5}, "citations": ["10.1000/1"]}
    return save_bundle(
        folder, config, states, calibration=calibration, metadata=told, card="# sung\n\n## Data\n\nNone.\n"
    )


FITTED = Calibration(
    weights={"msms": 12.0, "msms.alone": 15.0, "liking.liked": 2.0, "liking.idle": 0.0},
    fitted_on="some",
    repeats=0.25,
    presence=Presence(
        modalities=("msms",), weights={"msms": 1.5, "rivals": -0.2},
        features={"msms": (0.1, 0.9, 0.5, 0.2), "rivals": (0.0, 4.0, 2.0, 1.0)},
    ),
    pieces=Pieces(weights={"msms/": 1.0, "msms/msms": 0.5}, features={"msms/msms": (0.0, 1.0, 0.5, 0.2)}),
)  # fmt: skip
LIKING = '{ use = "favours", smiles = "CCC(C)O" }'


@pytest.fixture
def spelled(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "spelled", scorer=LIKING, calibration=FITTED)


def trace(smiles: str, *, noise: float = 0.0, seed: int = 0, fold: str = "val") -> Measurement:
    """A trace that spells a structure's vector."""
    one = structure(smiles)
    y = (1 - noise) * barcode.code(one) + noise * np.random.default_rng(seed).random(barcode.DIM)
    return Measurement(Trace(np.arange(barcode.DIM, dtype=float), y), one, "ir", fold=fold)


def other_space(folder: Path) -> Bundle:
    """A bundle for traces with a space of its own."""
    config = parse_config("""
name = "waves"
encoders.ir = { use = "placed", of = { use = "sung" }, before = 0, after = 3 }
encoders.structure = { use = "placed", of = { use = "drawn" }, before = 0, after = 3 }
[data]
path = "elsewhere"
[[pairs]]
query = "ir"
reference = "structure"
loss = "barcode-softmax"
""")
    states = {
        "ir": {f"encoder.{k}": v for k, v in Sung().state_dict().items()},
        "structure": {f"encoder.{k}": v for k, v in Drawn().state_dict().items()},
    }
    return save_bundle(
        folder, config, states, calibration=Calibration({"ir": 8.0, "ir.alone": 8.0}), metadata={"name": "waves"}
    )


def test_each_measurement_ranks_as_in_its_own_bundle(spelled: Bundle, tmp_path: Path) -> None:
    waves = other_space(tmp_path / "waves")
    joined = join_bundles([spelled, waves], tmp_path / "joined").bundle
    assert joined.channels.modalities == ("ir", "msms")
    index = make_index(joined, tmp_path / "index")
    for bundle, record in (
        (spelled, measurement(STRUCTURES[0], noise=0.5)), (waves, trace("CCCCO", noise=0.5)),
    ):  # fmt: skip
        asked = [dataclasses.replace(record, structure=None)]
        alone = identify(bundle, [asked], make_index(bundle, tmp_path / f"index-{bundle.name}"), mass=74.0732)[0]
        both = identify(joined, [asked], index, mass=74.0732)[0]
        assert [c.structure.smiles for c in both.candidates] == [c.structure.smiles for c in alone.candidates]
        assert [c.score for c in both.candidates] == pytest.approx([c.score for c in alone.candidates], abs=2e-3)
        if alone.probability_among is not None:
            assert both.probability_among == pytest.approx(alone.probability_among, abs=1e-3)


def test_evidence_of_bundles_of_two_spaces_adds_up(spelled: Bundle, tmp_path: Path) -> None:
    waves = other_space(tmp_path / "waves")
    joined = join_bundles([waves, spelled], tmp_path / "joined").bundle
    vectors = joined.embed("structure", STRUCTURES)
    assert vectors.shape[1] == 2 * barcode.DIM + 3
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    for bundle, modality, one in (
        (spelled, "msms", measurement(STRUCTURES[0], noise=0.5)), (waves, "ir", trace("CCO", noise=0.5)),
    ):  # fmt: skip
        query = joined.embed(modality, [one.record])
        assert np.linalg.norm(query) == pytest.approx(1.0, abs=1e-5)
        own = bundle.embed(modality, [one.record]) @ bundle.embed("structure", STRUCTURES).T
        assert query @ vectors.T == pytest.approx(own / np.sqrt(2), abs=1e-5)
        weight = joined.calibration.weights[modality]
        assert weight * (query @ vectors.T) == pytest.approx(bundle.calibration.weights[modality] * own, abs=1e-4)


def test_a_space_that_bundles_share_is_not_doubled(spelled: Bundle, tmp_path: Path) -> None:
    made = join_bundles([spelled, infrared(tmp_path / "ir")], tmp_path / "joined", name="both")
    assert made.spaces == 1
    assert made.bundle.name == "both"
    assert made.bundle.config.encoders["structure"] == spelled.config.encoders["structure"]
    assert made.bundle.calibration.weights["msms"] == 12.0
    assert made.bundle.calibration.weights["ir"] == 20.0
    assert made.bundle.calibration.presence == spelled.calibration.presence
    assert any("sung was never calibrated" in note for note in made.notes)


def test_what_a_scorer_learned_and_what_cards_tell_is_kept(tmp_path: Path) -> None:
    config = parse_config(toy.CONFIG + '[scorers.oxygen]\nuse = "toy-oxygen"\n')
    scorer = toy.Oxygen()
    scorer.weight = 0.75
    states = {"msms": toy.Peaks().state_dict(), "structure": toy.Letters().state_dict()}
    told = {"name": "tiny", "licence": "CC BY 4.0", "citations": ["10.1000/2"]}
    first = save_bundle(tmp_path / "tiny", config, states, scorers={"oxygen": scorer}, metadata=told, half=True)
    made = join_bundles([first, infrared(tmp_path / "ir", same=True)], tmp_path / "joined").bundle
    assert made.scorers["oxygen"].weight == 0.75
    assert made.metadata["licence"] == "tiny: CC BY 4.0; sung: CC0"
    assert made.metadata["metrics"] == {"sung/val_mrr": 0.5}
    assert made.metadata["citations"] == ["10.1000/1", "10.1000/2"]
    card = (made.path / "CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# tiny+sung\n")
    assert "## sung\n\n### Data\n\nNone.\n" in card
    assert load_bundle(made.path).digest == made.digest


def test_joined_and_calibrated_a_measurement_of_another_compound_is_noticed(tmp_path: Path) -> None:
    spelled, waves = make_bundle(tmp_path / "spelled"), other_space(tmp_path / "waves")
    joined = join_bundles([spelled, waves], tmp_path / "joined").bundle
    index = make_index(joined, tmp_path / "index")
    known = [
        one
        for number, smiles in enumerate((*BUTANOLS, *barcode.PENTANOLS))
        for one in (
            measurement(structure(smiles), noise=0.4, seed=number, fold="val"), trace(smiles, noise=0.4, seed=number)
        )
    ]  # fmt: skip
    fitted = calibrate(joined, known, index)
    assert fitted.weights["ir"] > 0
    assert fitted.weights["msms"] > 0
    fitted = dataclasses.replace(fitted, pieces=calibrate_pieces(joined.with_calibration(fitted), known, index))
    spectrum = measurement(STRUCTURES[0])
    good, mixed = (
        identify(joined.with_calibration(fitted), [[spectrum, trace(smiles)]], index)[0]
        for smiles in ("CCCCO", "c1ccccc1")
    )
    assert good.candidates[0].structure.smiles == mixed.candidates[0].structure.smiles == "CCCCO"
    assert good.pieces["ir"] > mixed.pieces["ir"]


@pytest.mark.parametrize(
    ("others", "complaint"),
    [
        (("spelled",), "both have an encoder of 'msms'"),
        (("liking",), "both have a scorer 'liking', and these are not the same"),
        ((), "name at least two"),
    ],
)
def test_bundles_that_clash_are_refused(
    spelled: Bundle, tmp_path: Path, others: tuple[str, ...], complaint: str
) -> None:
    make = {
        "spelled": lambda: make_bundle(tmp_path / "again", name="again"),
        "liking": lambda: infrared(tmp_path / "liking", text='scorers.liking = { use = "favours", smiles = "CCO" }'),
    }
    with pytest.raises(BundleError, match=complaint):
        join_bundles([spelled, *(make[one]() for one in others)], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_the_same_scorer_in_both_is_one(spelled: Bundle, tmp_path: Path) -> None:
    weights = {k: v for k, v in FITTED.weights.items() if k.startswith("liking.")}
    other = infrared(
        tmp_path / "ir", text=f"scorers.liking = {LIKING}", calibration=Calibration({"ir": 5.0, **weights})
    )
    assert list(join_bundles([spelled, other], tmp_path / "joined").bundle.scorers) == ["liking"]


def test_a_fusion_has_no_place(tmp_path: Path, spelled: Bundle) -> None:
    broken = infrared(tmp_path / "ir")
    fusion = {"use": "set-attention", "of": ["ir"], "dim": 16}
    config = dataclasses.replace(broken.config, encoders={**broken.config.encoders, "all": fusion})
    with pytest.raises(BundleError, match="fusion 'all'"):
        join_bundles([spelled, dataclasses.replace(broken, config=config)], tmp_path / "joined")


def test_the_metadata_is_plain(spelled: Bundle, tmp_path: Path) -> None:
    made = join_bundles([spelled, infrared(tmp_path / "ir")], tmp_path / "joined").bundle
    assert json.loads(json.dumps(made.metadata["joined"])) == [
        {"name": "barcode", "digest": spelled.digest},
        {"name": "sung", "digest": load_bundle(tmp_path / "ir").digest},
    ]
