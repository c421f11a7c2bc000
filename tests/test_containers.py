"""The image and the compose file of the service: linted here, and built where there is Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from molvis_serve.settings import PREFIX, table

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "packaging" / "docker"
TEXT = (HOME / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((HOME / "compose.yaml").read_text(encoding="utf-8"))
SETTINGS = {name for name, _, _ in table()}


def tool(name: str) -> str:
    """A tool of the environment for development."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed here")


def test_the_dockerfile_keeps_the_rules_of_its_linter() -> None:
    done = subprocess.run(
        [tool("hadolint"), "--no-color", HOME / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_keeps_the_schema_of_its_format() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", HOME / "compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_they_name_exists() -> None:
    assert (HOME / COMPOSE["services"]["serve"]["build"]["context"]).resolve() == ROOT
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE) for name in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in copied if f"!{name}" not in kept] == []
    named = set(re.findall(rf"{PREFIX}\w+", TEXT)) | {
        name for name in COMPOSE["services"]["serve"]["environment"] if name.startswith(PREFIX)
    }
    assert named <= SETTINGS
    volumes = {
        v.partition(":")[0] for one in COMPOSE["services"].values() for v in one.get("volumes", ()) if v[0] != "."
    }
    assert volumes == set(COMPOSE["volumes"])


def test_the_container_has_longer_to_stop_than_the_service() -> None:
    serve = COMPOSE["services"]["serve"]
    grace = int(serve["environment"][f"{PREFIX}GRACE_SECONDS"])
    assert int(serve["stop_grace_period"].removesuffix("s")) > grace


@pytest.mark.slow
def test_the_image_is_built_and_answers() -> None:
    docker = shutil.which("docker") or pytest.skip("there is no Docker here")
    if subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers here")
    subprocess.run([docker, "build", "-f", HOME / "Dockerfile", "-t", "molvis-test", ROOT], check=True)
    shown = subprocess.run(
        [docker, "run", "--rm", "molvis-test", "list", "route", "--json"], capture_output=True, check=True
    )
    assert {one["name"] for one in json.loads(shown.stdout)} >= {"identify", "nmr-fit"}
