from __future__ import annotations

from pathlib import Path

import pytest

from molvis_core.errors import DatasetError
from molvis_files.folders import FolderFormat

BOX = FolderFormat(
    "box", "box.toml", 3, DatasetError,
    make="Make one with: molvis box make {path}", mend="Make {path} again.", sealed_from=2, distribution="molvis-box",
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    BOX.write(tmp_path, {"size": 3, "names": ("a", "b")})
    found = BOX.read(tmp_path)
    assert (found["format"], found["size"], found["names"]) == (3, 3, ["a", "b"])
    assert found["molvis"]
    assert [p.name for p in tmp_path.iterdir()] == ["box.toml"]


def test_a_folder_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no box here: box.toml is missing\. Make one with: molvis box make .*none$"
    ):
        BOX.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("format = ", r"damaged: .*Make .* again\."),
        ("format = 'x'", r"damaged: 'format' is 'x'; it must be a number from 1 to 3\. Make"),
        ("format = true", "'format' is True"),
        ("format = 0", "'format' is 0"),
        ("format = 2", "does not match its checksum"),
        ("format = 4\nmolvis = '9.9'", r"made by molvis 9\.9 in format 4; this molvis reads up to 3.*molvis-box"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why_and_what_to_do(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "box.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=why):
        BOX.read(tmp_path)


def test_an_older_format_had_no_checksum_and_an_edit_can_be_accepted(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text("format = 1\nsize = 2\n", encoding="utf-8")
    assert BOX.read(tmp_path)["size"] == 2
    BOX.write(tmp_path, {"size": 3})
    file.write_text(file.read_text(encoding="utf-8").replace("size = 3", "size = 4"), encoding="utf-8")
    with pytest.raises(DatasetError, match="checksum"):
        BOX.read(tmp_path)
    assert BOX.read(tmp_path, accept=True)["size"] == 4
