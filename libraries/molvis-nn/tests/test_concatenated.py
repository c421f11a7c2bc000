"""Encoders made of encoders, and the mass as a kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError
from molvis_core.interfaces import Concatenation, HasTemperature, declares
from molvis_core.records import PeakList
from molvis_core.testing import offer
from molvis_nn.concatenated import Concatenated, NeutralMass, Placed


def ion(smiles: str, adduct: str | None = "[M+H]+") -> PeakList:
    mass = structure(smiles).exact_mass
    return PeakList(np.array([50.0]), np.array([1.0]), ion_mz(mass, adduct) if adduct else None, adduct)


def test_an_ion_and_its_molecule_have_the_same_mass_vector_whatever_the_adduct() -> None:
    molecule = structure("CC(=O)Oc1ccccc1C(=O)O")
    ions = [ion(molecule.smiles, a) for a in ("[M+H]+", "[M-H]-", "[M+Na]+", "[2M+H]+")]
    query, reference = NeutralMass("ion"), NeutralMass("structure")
    scores = query(query.collate(ions)) @ reference(reference.collate([molecule])).T
    assert torch.allclose(scores, torch.ones(4, 1), atol=1e-4)


def test_the_mass_kernel_falls_with_the_distance() -> None:
    encoder = NeutralMass("structure")
    chain = [structure("C" * n + "O") for n in (5, 6, 8, 20)]
    vectors = encoder(encoder.collate(chain))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-5)
    similar = (vectors[:1] @ vectors.T)[0]
    assert similar[0] > similar[1] > similar[3]


def test_an_ion_without_precursor_prefers_no_mass() -> None:
    encoder = NeutralMass("ion")
    blank = encoder(encoder.collate([ion("CCO", None)]))
    assert torch.isfinite(blank).all()
    assert blank.norm().item() == pytest.approx(1.0, abs=1e-5)


def test_the_product_of_joined_vectors_is_the_weighted_mean_of_the_parts() -> None:
    parts = [
        {"use": "neutral-mass", "of": "structure", "dim": 8},
        {"use": "neutral-mass", "of": "structure", "dim": 16},
    ]
    joined = Concatenated(parts, weights=[3, 1])
    molecules = [structure(s) for s in ("CCO", "CCCO", "c1ccccc1")]
    vectors = joined(joined.collate(molecules))
    assert vectors.shape == (3, 24)
    small, large = (part(part.collate(molecules)) for part in joined.encoders)
    expected = 0.75 * small @ small.T + 0.25 * large @ large.T
    assert torch.allclose(vectors @ vectors.T, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"of": []}, "empty"),
        ({"of": [{"use": "neutral-mass", "of": "ion"}], "weights": [1, 2]}, "as many positive weights"),
        (
            {"of": [{"use": "neutral-mass", "of": "ion"}, {"use": "neutral-mass", "of": "structure"}]},
            "different records",
        ),
        ({"of": [{"use": "neutral-mass", "of": "ions"}]}, "'ion' or 'structure'"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(arguments: dict, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Concatenated(**arguments)


def test_a_placed_vector_meets_its_part_of_concatenated_vectors_alone() -> None:
    small, large = ({"use": "neutral-mass", "of": "structure", "dim": dim} for dim in (8, 16))
    both, placed = Concatenated([small, large]), Placed(large, before=8)
    molecules = [structure(s) for s in ("CCO", "CCCO", "c1ccccc1")]
    alone = placed.encoder(placed.collate(molecules))
    vectors = placed(placed.collate(molecules))
    assert vectors.shape == (3, 24)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(vectors @ both(both.collate(molecules)).T, alone @ alone.T / 2**0.5, atol=1e-5)
    with pytest.raises(ConfigError, match="0 or more"):
        Placed(large, before=-1)


class Half(torch.nn.Module):
    """Mean squared error of cosines, with a parameter of its own."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, query: Tensor, reference: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return (weight * (self.scale * query @ reference.T - target) ** 2).mean()


def test_submodules_and_parameters_are_what_a_module_declares() -> None:
    joined = Concatenated([{"use": "neutral-mass", "of": "structure", "dim": 8}] * 2)
    assert declares(joined, Concatenation)
    assert not declares(joined, HasTemperature)
    joined.temperature = torch.nn.Parameter(torch.ones(()))
    assert declares(joined, HasTemperature)


def test_each_part_of_a_joined_vector_is_judged_as_if_it_stood_alone() -> None:
    from molvis_nn.concatenated import EachPart

    torch.manual_seed(0)
    with offer(loss={"half": Half}):
        loss = EachPart([3, 2], {"use": "half", "scale": 0.5})
    a, b = (torch.nn.functional.normalize(torch.randn(2, 4, d), dim=-1) for d in (3, 2))
    joined = torch.cat([0.6 * a, 0.8 * b], dim=-1)
    target, weight = torch.eye(4), torch.ones(4, 4)
    alone = [Half(0.5)(part[0], part[1], target, weight) for part in (a, b)]
    assert torch.allclose(loss(joined[0], joined[1], target, weight), sum(alone) / 2, atol=1e-6)
    fixed = torch.cat([joined, torch.randn(2, 4, 2)], dim=-1)
    assert torch.allclose(loss(fixed[0], fixed[1], target, weight), sum(alone) / 2, atol=1e-6)
    assert len(list(loss.parameters())) == 2
    with pytest.raises(ConfigError, match="5 in all, but the vectors have 4"):
        loss(a[0].repeat(1, 2)[:, :4], a[1].repeat(1, 2)[:, :4], target, weight)
    with pytest.raises(ConfigError, match="sizes must be the length of each part"):
        EachPart([], {"use": "half"})
