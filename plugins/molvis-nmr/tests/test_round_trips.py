"""Properties of the formats that have a writer, and of the defaults that three ways into a fit share."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core.records import Trace
from molvis_nmr.commands.fit import fit as command
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.formats.opening import read_spectrum
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.workflows.fit import fit_files
from molvis_nmr.workflows.fitter import NmrSpinSystem


@st.composite
def spectra(draw: st.DrawFn) -> Trace:
    size = draw(st.integers(16, 60))
    start, width = draw(st.floats(-5, 10)), draw(st.floats(0.5, 20))
    y = draw(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=size, max_size=size))
    y[draw(st.integers(0, size - 1))] = 1.0  # a spectrum of zeros is refused
    frequency = draw(st.floats(40, 1300))
    return Trace(np.linspace(start, start + width, size), np.array(y), frequency=frequency, identifier="a sample")


@settings(max_examples=40, deadline=None)
@given(trace=spectra(), name=st.sampled_from(["a.csv", "a.tsv", "a.txt", "a.jdx", "a.dx", "a.csv.gz", "a.jdx.gz"]))
def test_a_spectrum_comes_out_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, trace: Trace, name: str) -> None:
    path = tmp_path_factory.mktemp("spectrum") / name
    write_spectrum(path, trace)
    again = read_spectrum(path)
    np.testing.assert_allclose(again.x, trace.x, atol=1e-9 * max(1.0, float(np.abs(trace.x).max())))
    np.testing.assert_array_equal(again.y, trace.y)
    assert (again.frequency, again.identifier) == (trace.frequency, trace.identifier)


def test_a_fit_has_the_same_defaults_whoever_asks_for_it() -> None:
    of_function = {k: p.default for k, p in inspect.signature(fit).parameters.items()}
    fields = {f.name: f.default for f in dataclasses.fields(NmrSpinSystem)}
    shared = fields.keys() & of_function.keys() - {"system"}
    assert {k: fields[k] for k in shared} == {k: of_function[k] for k in shared}
    assert {"absolute", "baseline", "couplings", "gaussian", "line_shape", "nucleus", "phase", "starts"} <= shared
    for ask in (fit_files, command):
        given = {k: p.default for k, p in inspect.signature(ask).parameters.items()}
        both = given.keys() & of_function.keys() - {"spectra", "system", "exclude"}
        assert {k: given[k] for k in both} == {k: of_function[k] for k in both}
