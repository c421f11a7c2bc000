"""The losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from molvis_core.errors import ConfigError
from molvis_core.registry import build

# Cosines of the two queries with the two references: (1, 0.6), (0, 0.8).
QUERY = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
REFERENCE = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
MATCH = torch.eye(2)
TANIMOTO = torch.tensor([[1.0, 0.3], [0.2, 1.0]])
ONES = torch.ones(2, 2)


def log1pexp(x: float) -> float:
    return math.log1p(math.exp(x))


def value(spec: dict[str, object], target: Tensor = MATCH, weight: Tensor = ONES) -> float:
    return build("loss", spec)(QUERY, REFERENCE, target, weight).item()


def test_infonce_is_the_cross_entropy_of_picking_the_match() -> None:
    t = 0.5
    query = (log1pexp((0.6 - 1) / t) + log1pexp((0 - 0.8) / t)) / 2
    reference = (log1pexp((0 - 1) / t) + log1pexp((0.6 - 0.8) / t)) / 2
    assert value({"use": "infonce", "temperature": t, "directions": "query"}) == pytest.approx(query, rel=1e-5)
    assert value({"use": "infonce", "temperature": t, "directions": "reference"}) == pytest.approx(reference, rel=1e-5)
    assert value({"use": "infonce", "temperature": t}) == pytest.approx((query + reference) / 2, rel=1e-5)


def test_infonce_agrees_with_the_cross_entropy_of_pytorch() -> None:
    generator = torch.Generator().manual_seed(1)
    query = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=1)
    reference = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=1)
    logits, labels = query @ reference.T / 0.07, torch.arange(6)
    wanted = (
        torch.nn.functional.cross_entropy(logits, labels) + torch.nn.functional.cross_entropy(logits.T, labels)
    ) / 2
    found = build("loss", "infonce")(query, reference, torch.eye(6), torch.ones(6, 6))
    torch.testing.assert_close(found, wanted)


def test_a_second_spectrum_of_a_compound_is_no_false_negative() -> None:
    query, reference = QUERY[:1], torch.cat([REFERENCE, REFERENCE[:1]])
    target = torch.tensor([[1.0, 0.0, 1.0]])
    found = build("loss", {"use": "infonce", "temperature": 1.0, "directions": "query"})
    assert found(query, reference, target, torch.ones(1, 3)).item() == pytest.approx(log1pexp(0.6 - 1), rel=1e-5)


def test_hard_candidates_are_negatives_that_pick_nothing_themselves() -> None:
    hard = torch.tensor([[0.8, 0.6]])
    target, weight = torch.cat([MATCH, torch.zeros(2, 1)], dim=1), torch.ones(2, 3)
    loss = build("loss", {"use": "infonce", "temperature": 1.0})
    found = loss(QUERY, torch.cat([REFERENCE, hard]), target, weight).item()
    query = (
        math.log(1 + (math.exp(0.6) + math.exp(0.8)) / math.exp(1)) + math.log(1 + (1 + math.exp(0.6)) / math.exp(0.8))
    ) / 2
    reference = (log1pexp(0 - 1) + log1pexp(0.6 - 0.8)) / 2
    assert found == pytest.approx((query + reference) / 2, rel=1e-5)


def test_a_weight_between_0_and_1_counts_a_negative_in_part() -> None:
    weight = torch.tensor([[1.0, 0.5], [1.0, 1.0]])
    first = math.log(1 + 0.5 * math.exp(0.6) / math.exp(1))
    found = value({"use": "infonce", "temperature": 1.0, "directions": "query"}, weight=weight)
    assert found == pytest.approx((first + log1pexp(-0.8)) / 2, rel=1e-5)


def test_printed_equation_3_is_kept_exactly() -> None:
    # sum_i -log(exp(q_i.r_i) / sum_j exp(|q_i.r_j - S_ij|)), j over non-matching pairs: one for each query here.
    wanted = (-1 + abs(0.6 - 0.3)) + (-0.8 + abs(0 - 0.2))
    assert value({"use": "tanimoto-infonce", "form": "printed"}, TANIMOTO) == pytest.approx(wanted, rel=1e-5)


def test_corrected_equation_3_shares_part_of_the_target_by_likeness() -> None:
    t, soft = 0.5, 0.2
    alike = [[1.0, 0.3**2], [0.2**2, 1.0]]
    cosine = [[1.0, 0.6], [0.0, 0.8]]
    total = 0.0
    for i in range(2):
        normaliser = math.log(sum(math.exp(c / t) for c in cosine[i]))
        for j in range(2):
            wanted = (1 - soft) * (i == j) + soft * alike[i][j] / sum(alike[i])
            total -= wanted * (cosine[i][j] / t - normaliser) / 2
    spec = {"use": "tanimoto-infonce", "temperature": t, "soft": soft, "sharpness": 2.0, "directions": "query"}
    assert value(spec, TANIMOTO) == pytest.approx(total, rel=1e-5)


def test_corrected_equation_3_without_soft_targets_is_infonce() -> None:
    corrected = value({"use": "tanimoto-infonce", "soft": 0.0}, TANIMOTO)
    assert corrected == pytest.approx(value({"use": "infonce"}, TANIMOTO), rel=1e-5)


def test_clerms_adds_the_weighted_squared_error_to_infonce() -> None:
    squared = ((1 - 1) ** 2 + (0.6 - 0.3) ** 2 + (0 - 0.2) ** 2 + (0.8 - 1) ** 2) / 4
    wanted = value({"use": "infonce", "temperature": 0.1}, TANIMOTO) + 3 * squared
    assert value({"use": "clerms", "mse": 3.0}, TANIMOTO) == pytest.approx(wanted, rel=1e-5)


def test_siglip_sums_the_pairs_of_each_query() -> None:
    t, b = 0.5, -1.0
    wanted = log1pexp(-(1 / t + b)) + log1pexp(0.6 / t + b) + log1pexp(0 / t + b) + log1pexp(-(0.8 / t + b))
    assert value({"use": "siglip", "temperature": t, "bias": b}) == pytest.approx(wanted / 2, rel=1e-5)


def test_soft_target_is_the_cross_entropy_against_the_softmax_of_tanimoto() -> None:
    t, s = 0.5, 0.25
    total = 0.0
    for cosine, tanimoto in (([1.0, 0.6], [1.0, 0.3]), ([0.0, 0.8], [0.2, 1.0])):
        normaliser = math.log(sum(math.exp(c / t) for c in cosine))
        share = [math.exp(v / s) for v in tanimoto]
        total -= sum(w / sum(share) * (c / t - normaliser) for w, c in zip(share, cosine, strict=True)) / 2
    spec = {"use": "soft-target", "temperature": t, "sharpness": s, "directions": "query"}
    assert value(spec, TANIMOTO) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("distance", "far"),
    [
        ("cosine", [[0.0, 0.4], [1.0, 0.2]]),
        ("l2", [[0.0, math.sqrt(0.8)], [math.sqrt(2), math.sqrt(0.4)]]),
        ("learned", [[0.0, 0.8], [2.0, 0.4]]),  # starts as the squared Euclidean distance
    ],
)
def test_bce_gives_both_kinds_of_pairs_the_same_say(distance: str, far: list[list[float]]) -> None:
    def logit(d: float) -> float:
        return (0.5 - d) / 0.2

    like = (log1pexp(-logit(far[0][0])) + log1pexp(-logit(far[1][1]))) / 2
    unlike = (log1pexp(logit(far[0][1])) + log1pexp(logit(far[1][0]))) / 2
    spec: dict[str, object] = {"use": "bce", "distance": distance, "temperature": 0.2, "dim": 2}
    assert value(spec) == pytest.approx((like + unlike) / 2, abs=2e-3)
    hide = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    like_and_one = (like + log1pexp(logit(far[0][1]))) / 2
    assert value(spec, weight=hide) == pytest.approx(like_and_one, abs=2e-3)
    unbalanced = (2 * like + log1pexp(logit(far[0][1]))) / 3
    assert value({**spec, "balance": False}, weight=hide) == pytest.approx(unbalanced, abs=2e-3)


def test_bce_takes_tanimoto_as_a_label() -> None:
    def pair(label: float, d: float) -> float:
        logit = (0.5 - d) / 0.1
        return label * log1pexp(-logit) + (1 - label) * log1pexp(logit)

    wanted = (pair(1, 0) + pair(0.3, 0.4) + pair(0.2, 1.0) + pair(1, 0.2)) / 4
    found = value({"use": "bce", "label": "tanimoto", "balance": False}, TANIMOTO)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_contrastive_leaves_matches_within_the_margin_and_far_others_alone() -> None:
    # Distances: matches 0 and 0.2, others 0.4 and 1.0.
    spec = {"use": "contrastive", "positive_margin": 0.1, "negative_margin": 0.9}
    wanted = ((0.2 - 0.1) ** 2 / 2 + (0.9 - 0.4) ** 2 / 2) / 2
    assert value(spec) == pytest.approx(wanted, rel=1e-4)


def test_contrastive_lets_near_twins_stay_near() -> None:
    spec = {"use": "contrastive", "positive_margin": 0.1, "negative_margin": 0.9, "tanimoto": True}
    wanted = ((0.2 - 0.1) ** 2 / 2 + (0.9 * 0.7 - 0.4) ** 2 / 2) / 2
    assert value(spec, TANIMOTO) == pytest.approx(wanted, rel=1e-4)


def test_a_positive_weight_gives_matches_a_larger_say_in_labelled_losses() -> None:
    # Distances: matches 0 and 0.2, others 0.4 and 1.0.
    spec = {"use": "contrastive", "positive_margin": 0.1, "negative_margin": 0.9, "positive_weight": 3.0}
    like, unlike = (0.2 - 0.1) ** 2 / 2, (0.9 - 0.4) ** 2 / 2
    assert value(spec) == pytest.approx((3 * like + unlike) / 4, rel=1e-4)
    hide = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    unbalanced = (3 * (0.2 - 0.1) ** 2 + (0.9 - 0.4) ** 2) / (3 * 2 + 1)
    assert value({**spec, "balance": False}, weight=hide) == pytest.approx(unbalanced, rel=1e-4)
    # In bce the same, from the costs of both kinds alone.
    alone = [value({"use": "bce"}, weight=w) for w in (torch.eye(2), 1 - torch.eye(2))]
    weighted = value({"use": "bce", "positive_weight": 3.0})
    assert weighted == pytest.approx((3 * alone[0] + alone[1]) / 4, rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "contrastive", "infonce", "clerms", "siglip"])
def test_a_positive_weight_of_one_changes_nothing(name: str) -> None:
    assert value({"use": name, "positive_weight": 1.0}, TANIMOTO) == value({"use": name}, TANIMOTO)


def test_a_positive_weight_pulls_matches_harder_in_ranked_losses() -> None:
    # Cosines of the matches: 1 and 0.8.
    for name in ("infonce", "clerms"):
        spec = {"use": name, "temperature": 0.5, "positive_weight": 3.0}
        wanted = value({"use": name, "temperature": 0.5}) + 2 * (0 + 0.2) / 2 / 0.5
        assert value(spec) == pytest.approx(wanted, rel=1e-5)
    t, b = 0.5, -1.0
    wanted = 3 * log1pexp(-(1 / t + b)) + log1pexp(0.6 / t + b) + log1pexp(b) + 3 * log1pexp(-(0.8 / t + b))
    found = value({"use": "siglip", "temperature": t, "bias": b, "positive_weight": 3.0})
    assert found == pytest.approx(wanted / 2, rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "contrastive"])
def test_losses_on_labelled_pairs_ask_for_epochs_that_see_every_positive(name: str) -> None:
    assert build("loss", name).every_positive


@pytest.mark.parametrize("size", [2, 9, 30])
@pytest.mark.parametrize("name", ["bce", "contrastive"])
def test_positives_and_negatives_have_equal_say_however_many_there_are(name: str, size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    query, reference = (torch.nn.functional.normalize(torch.randn(size, 4, generator=generator)) for _ in range(2))
    loss, eye = build("loss", name), torch.eye(size)
    like = loss(query, reference, eye, eye)
    unlike = loss(query, reference, eye, 1 - eye)
    torch.testing.assert_close(loss(query, reference, eye, torch.ones(size, size)), (like + unlike) / 2)


def test_a_learned_distance_learns_which_dimensions_tell_compounds_apart() -> None:
    # The second dimension is noise that the compounds share nothing of.
    generator = torch.Generator().manual_seed(0)
    kind = torch.randn(16, 1, generator=generator)
    query, reference = (torch.cat([kind, torch.randn(16, 1, generator=generator)], dim=1) for _ in range(2))
    loss = build("loss", {"use": "bce", "distance": "learned", "dim": 2})
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        loss(query, reference, torch.eye(16), torch.ones(16, 16)).backward()
        optimiser.step()
    scale = loss.scale.detach()
    assert scale[0] > 5 * scale[1].abs()


def test_a_learned_temperature_is_a_parameter_that_stays_within_its_bounds() -> None:
    loss = build("loss", {"use": "infonce", "temperature": 0.02, "learned": True})
    optimiser = torch.optim.SGD(loss.parameters(), lr=100.0)
    for _ in range(3):
        optimiser.zero_grad()
        loss(QUERY, REFERENCE.flip(0), torch.eye(2), ONES).backward()
        optimiser.step()
    assert loss.temperature().item() == pytest.approx(10.0, rel=1e-5)
    optimiser.zero_grad()
    loss(QUERY, REFERENCE, torch.eye(2), ONES).backward()
    (parameter,) = loss.parameters()
    assert parameter.grad is not None
    assert parameter.grad.abs() > 0, "a temperature at its bound must be able to leave it"


def test_scores_keep_full_precision_under_autocast() -> None:
    generator = torch.Generator().manual_seed(2)
    query = torch.nn.functional.normalize(torch.randn(8, 64, generator=generator), dim=1)
    loss, eye, ones = build("loss", {"use": "infonce", "temperature": 0.02}), torch.eye(8), torch.ones(8, 8)
    wanted = loss(query, query.roll(1, dims=1), eye, ones)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(query, query.roll(1, dims=1), eye, ones)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"use": "infonce", "temperature": 0.0}, "temperature must be a positive number, got 0.0"),
        ({"use": "infonce", "directions": "quary"}, "Did you mean 'query'"),
        ({"use": "tanimoto-infonce", "form": "print"}, "Did you mean 'printed'"),
        ({"use": "tanimoto-infonce", "soft": 2.0}, "soft must be"),
        ({"use": "clerms", "mse": -1.0}, "mse must be"),
        ({"use": "bce", "positive_weight": 0.0}, "bce: positive_weight must be a positive number, got 0.0"),
        ({"use": "clerms", "positive_weight": -1.0}, "clerms: positive_weight must be"),
        ({"use": "soft-target", "sharpness": 0.0}, "sharpness must be"),
        ({"use": "bce", "distance": "learned"}, "needs dim"),
        ({"use": "bce", "distance": "cosin"}, "Did you mean 'cosine'"),
        ({"use": "contrastive", "positive_margin": 0.9, "negative_margin": 0.1}, "positive margin must be the smaller"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_by_name(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("loss", spec)


def test_a_learned_distance_of_the_wrong_length_says_so() -> None:
    loss = build("loss", {"use": "bce", "distance": "learned", "dim": 3})
    with pytest.raises(ConfigError, match="dim = 3, but the vectors have 2"):
        loss(QUERY, REFERENCE, MATCH, ONES)


@pytest.mark.parametrize(
    "name", ["bce", "contrastive", "infonce", "tanimoto-infonce", "clerms", "siglip", "soft-target"]
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_shapes_that_do_not_fit_are_refused_instead_of_broadcast(name: str) -> None:
    with pytest.raises(ValueError, match="must both be"):
        build("loss", name)(QUERY, REFERENCE, torch.ones(1, 2), ONES)


@pytest.mark.parametrize(
    "name", ["bce", "contrastive", "infonce", "tanimoto-infonce", "clerms", "siglip", "soft-target"]
)
def test_descending_each_loss_brings_matches_together(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(8, 16, generator=generator).requires_grad_()
    reference = torch.randn(8, 16, generator=generator).requires_grad_()
    loss, normalise = build("loss", name), torch.nn.functional.normalize
    target = 0.2 * torch.rand(8, 8, generator=generator)
    target.fill_diagonal_(1)
    optimiser = torch.optim.Adam([query, reference, *loss.parameters()], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss(normalise(query, dim=1), normalise(reference, dim=1), target, torch.ones(8, 8)).backward()
        optimiser.step()
    cosine = normalise(query, dim=1) @ normalise(reference, dim=1).T
    assert (cosine.argmax(dim=1) == torch.arange(8)).all()
