"""Under test, arrays are checked wherever an annotation speaks of them, and nothing else is wrapped."""

from __future__ import annotations

import dataclasses

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float
from typecheck import typecheck

from molvis_core import ties
from molvis_core.chemistry.structures import parse_smiles

Matrix = Float[np.ndarray, "n m"]
checked = jaxtyping.jaxtyped(typechecker=typecheck)


def test_functions_of_ours_that_take_arrays_are_checked_and_others_are_as_they_were_written():
    with pytest.raises(jaxtyping.TypeCheckError, match="columns"):
        ties.rounded(np.zeros(3))
    assert not hasattr(parse_smiles, "__wrapped__")


@pytest.mark.parametrize("annotation", ['Float[np.ndarray, "n m"]', "Matrix | None", "tuple[Matrix, int]", Matrix])
def test_an_array_is_found_however_the_annotation_names_it(annotation):
    def function(values):
        return values

    function.__annotations__ = {"values": annotation}
    function = checked(function)
    with pytest.raises(jaxtyping.TypeCheckError, match="values"):
        function(np.zeros(3))


def test_fields_of_a_dataclass_are_checked():
    @checked
    @dataclasses.dataclass
    class Pair:
        left: Float[np.ndarray, " n"]
        right: Float[np.ndarray, " n"]

    Pair(np.zeros(3), np.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError, match="right"):
        Pair(np.zeros(3), np.zeros(4))


def test_a_function_without_arrays_is_returned_itself():
    def function(name: str, sizes: tuple[int, ...] = ()) -> str:
        return name

    assert checked(function) is function
