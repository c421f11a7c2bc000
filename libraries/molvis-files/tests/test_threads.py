"""Linear algebra keeps to the threads that it is given."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from molvis_files.threads import at_most, loaded, one_thread


def _blas() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_within_it_there_is_one_thread_and_after_it_as_many_as_before():
    with threadpool_limits(2, "blas"):
        before = _blas()
        with one_thread():
            assert _blas() == {1}
        assert _blas() == before


def test_a_decorated_function_can_be_called_again_and_again():
    counted = one_thread()(_blas)
    with threadpool_limits(2, "blas"):
        assert counted() == counted() == {1}


def test_there_are_no_more_threads_than_given_and_fewer_stay_fewer():
    with threadpool_limits(2, "blas"):
        before = _blas()
        with at_most(8, loaded()):
            assert _blas() == before
        with at_most(1, loaded()):
            assert _blas() == {1}
        assert _blas() == before
    with threadpool_limits(1, "blas"), at_most(2, loaded()):
        assert _blas() == {1}
