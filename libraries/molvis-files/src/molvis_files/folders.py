"""Folders of a kind of ours: one TOML file records what is in them, in which format, with a checksum of itself.

Datasets, indexes, bundles, estimators and pretrained encoders are such folders. What they have in common is here: a
folder that is none, that is damaged, edited by hand, or written by a newer molvis is refused with what to do about it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import MolvisError
from molvis_core.text import in_shell
from molvis_files.digests import is_intact, sealed
from molvis_files.documents import load_toml
from molvis_files.writing import recover, replacing


@dataclass(frozen=True, slots=True)
class FolderFormat:
    """How folders of one kind are read and written.

    Attributes:
        noun: what such a folder is called, such as `dataset`.
        file: name of the TOML file.
        version: number of the format that is written, under the key `format`.
        error: what is raised; it takes a message.
        make: how to make such a folder, in words; `{path}` stands for the folder.
        mend: what to do about a damaged one, in words; `{path}` as above.
        sealed_from: the first version whose file has a checksum of itself.
        distribution: to upgrade where a folder is newer than this molvis.
    """

    noun: str
    file: str
    version: int
    error: type[MolvisError]
    make: str = ""
    mend: str = ""
    sealed_from: int = 1
    distribution: str = "molvis-retrieval"

    def read(self, path: Path | str, *, accept: bool = False) -> dict[str, Any]:
        """Read the folder's TOML file. A folder that stepped aside for one that was never finished is put back first.

        Args:
            path: the folder.
            accept: do not compare the content with its checksum.

        Raises:
            MolvisError: `error`: there is none, it is damaged, or it is of a newer format.
        """
        path = Path(path)
        recover(path)
        file = path / self.file
        try:
            return self.parse(file.read_bytes(), path, accept=accept)
        except FileNotFoundError as error:
            raise self.missing(path) from error
        except OSError as error:
            raise self.damaged(path, str(error)) from error

    def parse(self, data: bytes, path: Path | str, *, accept: bool = False) -> dict[str, Any]:
        """What `read` returns, from the bytes of the TOML file of a folder, which may lie in an object store.

        Raises:
            MolvisError: `error`: it is damaged, or of a newer format.
        """
        try:
            content = load_toml(data.decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise self.damaged(path, str(error)) from error
        found = content.get("format")
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise self.damaged(path, f"'format' is {found!r}; it must be a number from 1 to {self.version}")
        if found > self.version:
            raise self.error(
                f"{self._file(path)}: made by molvis {content.get('molvis', '?')} in format {found}; this molvis reads "
                f"up to {self.version}. Upgrade it: pip install --upgrade {self.distribution}"
            )
        if found >= self.sealed_from and not accept and not is_intact(content):
            raise self.damaged(path, "its content does not match its checksum")
        return content

    def missing(self, path: Path | str) -> MolvisError:
        """The error of a folder without the file; to be raised."""
        hint = self.make.replace("{path}", in_shell(path))
        return self.error(f"{path}: no {self.noun} here: {self.file} is missing. {hint}".rstrip())

    def damaged(self, path: Path | str, why: str) -> MolvisError:
        """The error of a folder whose file is damaged; to be raised."""
        hint = self.mend.replace("{path}", in_shell(path))
        return self.error(f"{self._file(path)}: damaged: {why}. {hint}".rstrip())

    def _file(self, path: Path | str) -> str:
        # An address would lose a slash as a `Path`.
        return f"{path}/{self.file}" if isinstance(path, str) and "://" in path else str(Path(path) / self.file)

    def text(self, content: Mapping[str, Any]) -> str:
        """The file's text: the content, the format's number, who wrote it and the checksum."""
        import molvis_core

        return sealed({"molvis": molvis_core.__version__, **content, "format": self.version})

    def write(self, path: Path | str, content: Mapping[str, Any]) -> None:
        """Write the folder's file, whole or not at all.

        Raises:
            OSError: it cannot be written; the old one is kept.
        """
        with replacing(Path(path) / self.file) as fresh:
            fresh.write_text(self.text(content), encoding="utf-8")
