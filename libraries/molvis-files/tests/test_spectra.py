"""What records of spectra state."""

from __future__ import annotations

import pytest

from molvis_files.spectra import stated

FIELDS = {"name": "n/a", "title": ' "Caffeine" ', "polarity": "-", "charge": "  ", "adduct": "Unknown"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("name", "title"), "Caffeine"),
        (("name",), None),
        (("charge", "adduct"), None),
        (("smiles",), None),
        (("polarity",), None),
    ],
)
def test_a_field_is_what_the_first_of_its_names_states(names: tuple[str, ...], found: str | None) -> None:
    assert stated(FIELDS, names) == found


def test_a_minus_alone_is_a_polarity() -> None:
    assert stated(FIELDS, ("ionmode", "polarity"), minus=True) == "-"
