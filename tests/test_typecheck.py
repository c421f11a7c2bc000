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


def test_a_result_is_checked_with_the_arguments():
    @checked
    def column(values: Float[np.ndarray, "n m"], place: int = 0) -> Float[np.ndarray, " n"]:
        return values[:, place] if place >= 0 else values[0]

    assert len(column(np.zeros((3, 4)), place=1)) == 3
    with pytest.raises(jaxtyping.TypeCheckError, match=r"column\(\) return.*dimension n is 4"):
        column(np.zeros((3, 4)), -1)


def test_sizes_of_one_call_say_nothing_of_the_next_or_of_a_call_within():
    @checked
    def total(values: Float[np.ndarray, " n"], depth: int) -> float:
        return values.sum() + (total(values[1:], depth - 1) if depth else 0)

    assert total(np.ones(4), 3) == 10
    assert total(np.ones(2), 0) == 2


def test_an_axis_may_be_named_by_an_argument():
    def ones(size):
        return np.ones(abs(size))

    ones.__annotations__ = {"return": Float[np.ndarray, "{size}"]}
    ones = checked(ones)
    assert len(ones(3)) == 3
    with pytest.raises(jaxtyping.TypeCheckError, match="return"):
        ones(-3)


def test_arguments_of_a_generator_are_checked():
    @checked
    def rows(values: Matrix):
        yield from values

    assert len(list(rows(np.ones((2, 3))))) == 2
    with pytest.raises(jaxtyping.TypeCheckError, match="values"):
        rows(np.ones(3))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_test_may_switch_the_check_off():
    @checked
    def size(values: Matrix) -> int:
        return values.size

    assert size(np.ones(3)) == 3
