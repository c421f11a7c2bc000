"""A bundle as a folder: where it is, what `bundle.toml` holds, and whether it is what was written."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from molvis_core import registry
from molvis_core.errors import BundleError, did_you_mean
from molvis_files.digests import KEY, checksum, file_sha256, sealed
from molvis_files.folders import FolderFormat
from molvis_files.writing import recover, replacing
from molvis_retrieval.config import RunConfig

log = logging.getLogger("molvis")


FOLDER = FolderFormat(
    noun="bundle",
    file="bundle.toml",
    version=2,
    error=BundleError,
    mend="Copy the bundle again; if you edited it on purpose: molvis bundle verify {path} --accept",
    sealed_from=2,
)
"""The folder. Older versions are upgraded step by step on opening."""


def upgrade_v1_v2(raw: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had no checksum of `bundle.toml`: its content is taken as it is."""
    raw = {**raw, "format": 2}
    return {**raw, KEY: checksum(raw)}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: upgrade_v1_v2}
"""From a format to the next: `upgrade_v1_v2` goes under 1. A tiny bundle of every old format stays in the tests."""


def read_content(file: Path, *, accept: bool = False) -> dict[str, Any]:
    """The content of `bundle.toml`, upgraded to this molvis's format, if it is what was written."""
    raw = FOLDER.read(file.parent, accept=accept)
    for step in range(raw["format"], FOLDER.version):
        raw = UPGRADES[step](raw)
    return raw


def find_bundle(path: Path | str) -> Path:
    """The folder of a bundle: the name of one that a plugin ships, or a path.

    A name comes first: a folder of that name in the working directory does not take the place of a shipped bundle. A
    path has a separator, such as `./massbank`, or is a folder with a `bundle.toml` whose name no shipped bundle has; a
    `Path` is a path.

    Raises:
        BundleError: there is neither.
    """
    recover(Path(path))
    folder, shipped = Path(path), {c.name for c in registry.components("bundle")}
    if isinstance(path, Path) or {os.sep, os.altsep or os.sep} & set(path):
        if not folder.is_dir():
            raise BundleError(f"{path}: no such folder. It is a path; a bundle is a folder with a bundle.toml")
        return folder
    here = (folder / "bundle.toml").is_file()
    if path in shipped:
        if here:
            log.warning("%s: the shipped bundle of this name is used; for the folder write .%s%s", path, os.sep, path)
        return Path(registry.load("bundle", path))
    if here:
        return folder
    what = "the folder of this name holds no bundle.toml" if folder.is_dir() else "there is no folder of this name"
    raise BundleError(
        f"{path}: no installed plugin ships a bundle of this name, and {what}.{did_you_mean(path, shipped)} "
        f"Shipped: {', '.join(sorted(shipped)) or 'none'}."
    )


def write_content(file: Path, content: Mapping[str, Any]) -> None:
    """Write `bundle.toml` with its checksum, whole or not at all."""
    try:
        with replacing(file) as fresh:
            fresh.write_text(sealed(content), encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{file}: cannot be written: {error}. The old one is kept.") from error


def default_card(config: RunConfig, metadata: Mapping[str, Any]) -> str:
    """The text of a card whose author wrote none."""
    lines = [f"# {metadata.get('name') or config.name or 'A molvis bundle'}", ""]
    for key, spec in config.encoders.items():
        lines.append(f"- `{key}`: encoder `{spec['use']}`")
    for pair in config.pairs:
        lines.append(f"- trained {pair.query} : {pair.reference} with loss `{pair.loss['use']}`")
    for title in ("warnings", "data", "licence", "metrics", "citations"):
        if value := metadata.get(title):
            lines += ["", f"## {title.capitalize()}", ""]
            entries = (
                value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
            )
            lines += [f"- {v}" if isinstance(k, int) else f"- {k}: {v}" for k, v in entries] or [str(value)]
    lines += ["", "Weights are as good as the data they saw; see `bundle.toml` for every setting.", ""]
    return "\n".join(lines)


def digest_of(encoders: Mapping[str, Any], weights: Mapping[str, str]) -> str:
    """SHA-256 of the encoders alone, their configuration and weights."""
    text = json.dumps([encoders, dict(weights)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_STATE_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,98}\.(safetensors|arrow|parquet|toml|json)")
"""Names of files that hold what a scorer learned: none of a folder, and of formats that hold data and no code."""
_SCORER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,98}")


def states_folder(path: Path, key: str) -> Path:
    """Where a bundle keeps what one of its scorers learned."""
    return path / "scorers" / key


class Saves(Protocol):
    """What writes what a scorer learned: the scorer, or another bundle's copy of it."""

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        ...


def write_states(path: Path, scorers: Mapping[str, Saves]) -> dict[str, dict[str, str]]:
    """Write what scorers learned into the folder of a bundle.

    Returns:
        Digests of the files of each scorer.

    Raises:
        BundleError: a scorer wrote nothing, or something that a bundle does not keep.
    """
    digests: dict[str, dict[str, str]] = {}
    for key, scorer in scorers.items():
        folder = states_folder(path, key)
        folder.mkdir(parents=True)
        scorer.save(folder)
        files = sorted(folder.iterdir())
        odd = [f.name for f in files if not f.is_file() or not _STATE_FILE.fullmatch(f.name)]
        if odd or not files or not _SCORER.fullmatch(key):
            raise BundleError(
                f"scorers.{key} wrote {', '.join(odd or [f.name for f in files]) or 'nothing'}; a scorer must write "
                "files ending in .safetensors, .arrow, .parquet, .toml or .json"
            )
        digests[key] = {f.name: file_sha256(f) for f in files}
    return digests


def check_states(path: Path, stated: object, config: RunConfig) -> tuple[str, ...]:
    """The scorers of a bundle that learned something, once every file of theirs agrees with its digest.

    Args:
        path: the bundle.
        stated: digests by scorer and file, as `bundle.toml` has them.
        config: of the bundle.

    Raises:
        BundleError: a file is missing or damaged, or the entry is none that molvis writes.
    """
    where = path / "bundle.toml"
    if not isinstance(stated, Mapping):
        raise BundleError(f"{where}: damaged: [states] must hold a table for each scorer")
    for key, files in stated.items():
        if key not in config.scorers or not _SCORER.fullmatch(key) or not isinstance(files, Mapping):
            raise BundleError(f"{where}: damaged: [states.{key}] is of no scorer of the configuration")
        for name, digest in files.items():
            if not _STATE_FILE.fullmatch(name):
                raise BundleError(f"{where}: damaged: [states.{key}] names {name!r}, which no scorer of molvis writes")
            file = states_folder(path, key) / name
            if not file.is_file():
                raise BundleError(f"{path}: incomplete: {file.relative_to(path)} is missing")
            if (actual := file_sha256(file)) != digest:
                raise BundleError(f"{file}: damaged: its digest is {actual[:12]}, bundle.toml records {digest!s:.12}")
    return tuple(stated)
