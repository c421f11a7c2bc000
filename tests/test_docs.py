"""The documentation names everything there is, and says of it what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pictures
import pytest
import reference
import stable

from molvis_cli.app import commands
from molvis_core import registry
from molvis_core.plugins import KINDS
from molvis_core.testing import checks

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_say_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == reference.updated(text), "run: make docs"


def test_every_picture_is_drawn_from_its_source() -> None:
    drawn = [picture for page in PAGES for picture in pictures.pictures(page)]
    old = [path.relative_to(ROOT).as_posix() for source, path in drawn if not pictures.is_current(source, path)]
    assert old == [], "run: make pictures MERMAID=FILE"


def test_every_component_is_documented() -> None:
    page = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    names = [(c.kind, c.name) for c in registry.components() if c.distribution in reference.OURS]
    assert len(names) > 20
    assert [(kind, name) for kind, name in names if f"| `{name}` |" not in page] == []


def test_every_argument_of_a_component_is_explained() -> None:
    page = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `[^`]+`(?:, required|, may be left out)?$", page, re.MULTILINE) == []


def test_every_kind_of_component_is_documented() -> None:
    page = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    assert [kind for kind in reference.kinds() if not re.search(rf"^## .*`{kind}`", page, re.MULTILINE)] == []


def test_the_list_of_kinds_has_a_row_for_each_with_a_type_and_a_caller_that_exist() -> None:
    page = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(#([\w-]+)\) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert sorted(kind for kind, *_ in rows) == sorted(KINDS)
    headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall("^## (.*)", page, re.M)}
    assert [anchor for _, anchor, *_ in rows if anchor not in headings] == []
    for _, _, kind_of_thing, callers in rows:
        for module, name in re.findall(r"`(molvis_[\w.]+)\.(\w+)`", kind_of_thing):
            assert name in stable.stable_names()[module]
        named = re.findall(r"`(?:molvis )?([a-z][a-z ]*)`", callers)
        assert {path.replace("molvis", "").strip() for path in named} <= {*commands(), ""}


def test_the_page_on_plugins_names_every_kind_and_shows_those_that_are_code() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    table = page.partition("| kind | what it is |")[2].partition("\n\n")[0]
    first = "".join(row.split("|")[1] for row in table.splitlines()[1:] if row.startswith("|"))
    assert sorted(re.findall(r"`([\w-]+)`", first)) == sorted(KINDS)
    shown = set(re.findall(r"^## (?:A |An |The )(\w+)", page, re.MULTILINE))
    paths = {"preset", "bundle", "translation", "references", "spin-library", "example", "command-group", "contract"}
    assert set(KINDS) - paths <= shown


@pytest.mark.parametrize("section", reference.SECTIONS)
def test_every_configuration_key_is_documented(section: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    fields = [f.name for f in dataclasses.fields(reference.SECTIONS[section])]
    assert [name for name in fields if f"| `{name}` |" not in page] == []


def test_every_contract_has_the_anchor_that_a_failing_check_prints() -> None:
    page = (ROOT / checks.DOCUMENTATION).read_text(encoding="utf-8")
    assert [anchor for anchor in checks.anchors() if f"### {anchor}\n" not in page] == []


def test_every_command_is_documented() -> None:
    assert [path for path in commands() if f"molvis {path}" not in TEXT] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", prose)  # SMARTS in code look like links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_first_page_leads_to_every_page() -> None:
    first = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if f"({page})" not in first and not page.startswith(("index", "decisions/0"))] == []


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_page_on_identification_lists_the_adducts_that_are_tried(mode: str) -> None:
    from molvis_core.chemistry.adducts import likely_adducts

    page = (ROOT / "docs/identify.md").read_text(encoding="utf-8")
    wanted = "\n".join(f"| `{name}` | {100 * share:.1f}% |" for name, share in likely_adducts(mode).items())
    assert f"| {mode} | |\n| --- | --- |\n{wanted}\n\n" in page


def test_the_page_on_identification_explains_every_column_of_the_table() -> None:
    from molvis_retrieval.results import COLUMNS

    page = (ROOT / "docs/identify.md").read_text(encoding="utf-8")
    heads = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(COLUMNS) <= {name.strip(" `") for head in heads for name in head.split(",")}


def test_the_card_of_explained_peaks_has_the_figures_of_the_page() -> None:
    from molvis_msms.explanation.collection import MEASURED

    page = " ".join((ROOT / "docs" / "explain.md").read_text(encoding="utf-8").split())
    figures = [one for cell in MEASURED.values() for one in cell.split("; ")]
    assert [one for one in figures if one not in page] == []
