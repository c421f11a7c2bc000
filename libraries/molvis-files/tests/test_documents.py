from __future__ import annotations

import json
import tomllib

import pytest

from molvis_files.documents import load_json, load_toml


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "[" + "9" * 400 + "]", "{", ""])
def test_whatever_is_wrong_with_json_is_one_exception(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        load_json(text)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "a.b = [1, " + "9" * 400 + "]", "a", "a = 2020-13-45"]
)
def test_whatever_is_wrong_with_toml_is_one_exception(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        load_toml(text)


def test_what_is_sound_is_read() -> None:
    assert load_json('{"a": [1, null]}') == {"a": [1, None]}
    assert load_toml("a = [1]") == {"a": [1]}
