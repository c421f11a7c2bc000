"""Axes and signals, by the names that files give them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.errors import RecordError
from molvis_ir.units import FLOOR, absorbance, axis_kind, signal_kind, wavenumbers


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("1/CM", "wavenumber"),
        ("cm-1", "wavenumber"),
        ("cm^-1", "wavenumber"),
        ("cm**-1", "wavenumber"),
        ("Wavenumber", "wavenumber"),
        ("Wavenumbers (cm⁻¹)", "wavenumber"),
        ("MICROMETERS", "um"),
        ("µm", "um"),
        ("microns", "um"),
        ("Wavelength (um)", "um"),
        ("NANOMETERS", "nm"),
        ("nm", "nm"),
        ("HZ", None),
        ("", None),
        ("SECONDS", None),
        ("ppm", None),
    ],
)
def test_axes_are_known_by_many_names(unit: str, kind: str | None) -> None:
    assert axis_kind(unit) == kind


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("ABSORBANCE", "as it is"),
        ("Absorbance units", "as it is"),
        ("A", "as it is"),
        ("KUBELKA-MUNK", "as it is"),
        ("log(1/R)", "as it is"),
        ("(micromol/mol)-1m-1 (base 10)", "as it is"),
        ("TRANSMITTANCE", "transmittance"),
        ("% TRANSMITTANCE", "transmittance"),
        ("%T", "transmittance"),
        ("Transmission", "transmittance"),
        ("absorption index", "absorption index"),
        ("dispersion index", "refractive index"),
        ("Real refractive index", "refractive index"),
        ("Imaginary refractive index", "absorption index"),
        ("reflectance", "reflectance"),
        ("% Reflectance", "reflectance"),
        ("ARBITRARY UNITS", None),
        ("COUNTS", None),
    ],
)
def test_signals_are_known_by_many_names(unit: str, kind: str | None) -> None:
    assert signal_kind(unit) == kind


@given(t=st.lists(st.floats(1e-3, 1.5), min_size=2, max_size=9))
def test_transmittance_in_parts_and_in_percent_is_one_absorbance(t: list[float]) -> None:
    axis, through = np.arange(1.0, len(t) + 1), np.array(t)
    as_parts = absorbance(through, "TRANSMITTANCE", axis)
    np.testing.assert_allclose(as_parts, -np.log10(through), atol=1e-12)
    np.testing.assert_allclose(absorbance(through * 100, "%T", axis), as_parts, atol=1e-12)


def test_percent_is_told_by_its_values_where_the_unit_does_not_say_so() -> None:
    axis = np.array([1.0, 2.0])
    np.testing.assert_allclose(absorbance(np.array([10.0, 100.0]), "TRANSMITTANCE", axis), [1, 0], atol=1e-12)
    spike = np.array([*[0.1] * 98, 1.0, 3.0])
    assert absorbance(spike, "TRANSMITTANCE", np.arange(1.0, 101))[0] == pytest.approx(1)


def test_transmittance_of_nothing_and_less_is_the_floor() -> None:
    found = absorbance(np.array([0.0, -0.1, 1.0]), "TRANSMITTANCE", np.arange(1.0, 4.0))
    np.testing.assert_allclose(found, [-np.log10(FLOOR)] * 2 + [0.0])


def test_an_absorption_index_becomes_the_absorbance_of_a_thin_layer() -> None:
    # Liquid water at 1640 cm^-1: k = 0.131 (Hale and Querry, doi:10.1364/AO.12.000555); a layer of 1 um absorbs 0.117.
    found = absorbance(np.array([0.131]), "ABSORPTION INDEX", np.array([1640.0]))
    np.testing.assert_allclose(found, 4 * np.pi * 0.131 * 1640 * 1e-4 / np.log(10))
    assert found[0] == pytest.approx(0.117, abs=1e-3)


def test_an_axis_that_is_not_positive_is_refused() -> None:
    with pytest.raises(RecordError, match="got 0 at point 2"):
        wavenumbers(np.array([1.0, 0.0]), "um")
