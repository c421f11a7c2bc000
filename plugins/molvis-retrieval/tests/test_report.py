"""The report shows what was found, escapes what it was given, and loads nothing from elsewhere."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import barcode
import numpy as np
import pytest
from barcode import BUTANOLS, STRUCTURES, make_bundle, make_index, measurement

from molvis_core.chemistry.structures import structure
from molvis_core.errors import DatasetError
from molvis_core.records import PeakList, Structure, Trace, Value
from molvis_files.drawing import draw_structure, formula_html
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.drawing import draw_record
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.report import render_report, write_report
from molvis_retrieval.results import Identification

NOON = dt.datetime(2026, 3, 1, 12, 0)


pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def bundle(toys: None, tmp_path: Path) -> Bundle:
    calibration = Calibration({"msms": 10.0, "liking.liked": 3.0}, fitted_on="fold val of a test")
    return make_bundle(
        tmp_path / "bundle", scorer=f'{{ use = "favours", smiles = "{BUTANOLS[1]}" }}', calibration=calibration
    )


@pytest.fixture
def found(bundle: Bundle, index: Index) -> list[Identification]:
    bad = measurement(STRUCTURES[1])
    bad = dataclasses.replace(bad, name="wrong", record=dataclasses.replace(bad.record, ionmode="negative"))
    return identify(bundle, [measurement(STRUCTURES[0]), bad], index)


class Page(HTMLParser):
    """What a browser would fetch, the text it would show, and whether tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "href" and tag == "a":  # followed when it is clicked on, and not before
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action", "poster", "xlink:href", "href"):
                self.fetched.append(value or "")
            if name == "id":
                self.anchors.add(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_loads_nothing_and_runs_nothing(bundle: Bundle, index: Index, found: list[Identification]) -> None:
    text = render_report(found, bundle=bundle, index=index)
    page = Page(text)
    assert not page.open
    assert set(page.tags) & {"script", "link", "img", "iframe", "object", "embed", "base", "form"} == set()
    assert page.fetched == []
    assert page.links[:2] == ["#query-1", "#query-2"]
    assert all(re.match(r"#|https://doi\.org/|https://pubchem\.ncbi\.nlm\.nih\.gov/#query=", k) for k in page.links)
    assert page.anchors >= {"query-1", "query-2"}
    assert not re.search(r"url\(|@import|@font-face|\son\w+=", text)


def test_the_head_says_what_was_asked_of_what(bundle: Bundle, index: Index, found: list[Identification]) -> None:
    text = Page(
        render_report(found, bundle=bundle, index=index, settings={"candidates": "within 10 ppm"}, date=NOON)
    ).text
    for said in (
        "2026-03-01 12:00 · molvis 0.1.0",
        f"bundle barcode {bundle.digest[:12]}",
        f"library {len(STRUCTURES)} structures index",
        "candidates within 10 ppm",
        "queries 2, 1 not identified",
        "true structure first 1 of 1",
        "Calibrated on fold val of a test.",
    ):
        assert said in text


def test_a_query_shows_its_ion_candidates_and_evidence(
    bundle: Bundle, index: Index, found: list[Identification]
) -> None:
    html = render_report(found, bundle=bundle, index=index, shown=3)
    text = Page(html).text
    assert "m/z 75.0804 as [M+H]+ · neutral mass 74.0732 Da · 7 candidates" in text
    assert "true structure at rank 1" in text
    assert "Not drawn: 4 more, which --csv and --json list." in text
    assert html.count('class="structure"') == 3
    for c in found[0].candidates[:3]:
        assert c.structure.inchikey in text
        assert f"{c.score:.2f}" in text
        assert all(f"{value:+.2f}" in text for value in c.evidence.values())
    assert found[0].candidates[3].structure.inchikey not in text


def test_a_candidate_is_looked_up_by_its_inchikey_and_its_formula_has_subscripts(
    bundle: Bundle, index: Index, found: list[Identification]
) -> None:
    html = render_report(found, bundle=bundle, index=index)
    best = found[0].candidates[0].structure
    assert f'href="https://pubchem.ncbi.nlm.nih.gov/#query={best.inchikey}"' in html
    assert "C<sub>4</sub>H<sub>10</sub>O<br>" in html
    assert "C<sub>2</sub>H<sub>5</sub>O<sup>+</sup>" in html
    assert str(formula_html("<b>2</b>")) == "&lt;b&gt;<sub>2</sub>&lt;/b&gt;"


def test_a_reference_spectrum_of_the_first_candidate_hangs_below(bundle: Bundle, index: Index) -> None:
    query, other = measurement(STRUCTURES[0]), measurement(STRUCTURES[9])
    found = identify(bundle, [query, other], index)
    seen: list[str] = []

    def reference(structure: Structure, like: PeakList) -> PeakList | None:
        seen.append(structure.smiles)
        return query.record if structure.smiles == STRUCTURES[0].smiles else None

    html = render_report(found, bundle=bundle, index=index, reference=reference)
    assert seen == [STRUCTURES[0].smiles, STRUCTURES[9].smiles]
    assert html.count("reference spectrum of candidate 1</text>") == 1
    assert html.count('class="paired" x1') == len(query.record)
    text = Page(html).text
    assert f"cosine 1.00 over {len(query.record)}" in text
    assert "Confidence level 2a , probable structure, by a spectrum of it: library spectrum: cosine 1.00" in text
    assert "Confidence level 3 , tentative candidates: " in text
    assert "candidates; whether the truth is among them is not calibrated" in text


def test_a_candidate_of_another_mass_differs_by_daltons(bundle: Bundle, index: Index) -> None:
    found = identify(bundle, [measurement(STRUCTURES[0])], index, candidates="all", top=26)
    text = Page(render_report(found, shown=26)).text
    assert text.count("+0.0 ppm") == len(BUTANOLS)
    assert text.count("+14.016 Da") == len(barcode.PENTANOLS)


def test_a_problem_is_shown_in_the_overview_and_in_its_place(
    bundle: Bundle, index: Index, found: list[Identification]
) -> None:
    html = render_report(found, bundle=bundle, index=index)
    assert html.count("but the ion mode is negative; correct one of them") == 2
    assert '<section id="query-2" class="problem">' in html
    assert html.count('class="spectrum"') == 2  # the spectrum of a query without an answer is of interest too


def test_peaks_that_the_best_candidate_explains_are_labelled_and_listed(
    bundle: Bundle, index: Index, found: list[Identification]
) -> None:
    html = render_report(found[:1], bundle=bundle, index=index)
    assert html.count('class="explained" x1') == 2
    assert "2 explained peaks" in html
    assert "C2H5O+, +1.2 ppm, C[CH]O" in html
    heights = np.asarray(measurement(STRUCTURES[0]).record.intensity)
    assert f"explained by substructures of candidate 1: {heights[[0, 3]].sum() / heights.sum():.0%}" in html
    plain = render_report(found[:1])
    assert "explained by" not in plain
    assert 'class="explained" x1' not in plain


def test_peaks_show_their_atoms_and_what_separates_the_first_two_candidates(
    bundle: Bundle, index: Index, found: list[Identification], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found[0].candidates[0].structure

    def explain(self: object, query: PeakList, candidate: Structure) -> list[SimpleNamespace]:
        sure = 0.9 if candidate == first else 0.2
        known = {"formula": "C2H5O+", "smiles": "C[CH]O", "ppm": 1.25, "classes": (), "probability": sure}
        return [SimpleNamespace(peak=peak, atoms=(0, 1), **known) for peak in (0, 3)]

    monkeypatch.setattr(barcode.Favours, "explain", explain)
    html = render_report(found[:1], bundle=bundle, index=index)
    page = Page(html)
    assert not page.open
    assert "script" not in page.tags
    assert "query-1-spectrum-1" in page.anchors
    assert html.count('<g class="halo h3">') == 1
    assert "#query-1-spectrum-1:has(.p3:is(:hover, :focus)) .h3 { opacity: 1; }" in html
    assert html.count('class="known p3" tabindex="0"') == 2  # the peak, and its row
    assert "2 peaks that candidates 1 and 2 explain unlike" in page.text
    assert "0.90 0.20" in page.text


def test_what_a_file_calls_itself_is_text_and_not_markup(bundle: Bundle, index: Index) -> None:
    evil = '<script>alert("1")</script>'
    query = measurement(STRUCTURES[0])
    record = dataclasses.replace(query.record, instrument_type=evil, identifier=evil)
    html = render_report(
        identify(bundle, [dataclasses.replace(query, name=evil, record=record)], index),
        bundle=bundle,
        index=index,
        settings={evil: evil},
        title=evil,
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 5


def test_a_bundle_that_was_never_calibrated_says_so(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    html = render_report(
        identify(bundle, [measurement(STRUCTURES[0])], make_index(bundle, tmp_path / "index")), bundle=bundle
    )
    assert "This bundle was never calibrated" in html


def test_several_spectra_of_one_unknown_are_drawn_up_to_three(bundle: Bundle, index: Index) -> None:
    spectra = [measurement(STRUCTURES[0], noise=0.2, seed=seed) for seed in range(5)]
    html = render_report(identify(bundle, spectra, index, consensus=True), bundle=bundle)
    assert html.count('class="spectrum"') == 3
    assert "5 measurements · 7 candidates" in Page(html).text
    assert "2 more spectra of this unknown are not drawn." in html


def test_nothing_found_is_a_page_all_the_same() -> None:
    assert "queries 0" in Page(render_report([])).text


def test_the_same_identifications_give_the_same_page(found: list[Identification]) -> None:
    assert render_report(found, date=NOON) == render_report(found, date=NOON)


def test_progress_counts_the_queries(found: list[Identification]) -> None:
    seen: list[tuple[int, int]] = []
    render_report(found, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, found: list[Identification]) -> None:
    path = tmp_path / "report.html"
    write_report(path, found)
    old = path.read_text(encoding="utf-8")
    assert old.startswith("<!doctype html>")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "report.html", found)
    assert path.read_text(encoding="utf-8") == old


@pytest.mark.parametrize(
    "smiles", ["CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C[N+](C)(C)CC(=O)[O-]", "ClCBr", "[Na+].[Cl-]", "C"]
)
def test_a_structure_is_drawn_in_the_colours_of_the_page(smiles: str) -> None:
    svg = draw_structure(structure(smiles).smiles)
    ET.fromstring(svg)
    assert not re.search(r"#[0-9A-Fa-f]{6}", svg)
    assert "currentColor" in svg or "var(--" in svg


def test_a_structure_that_rdkit_refuses_is_not_drawn(found: list[Identification]) -> None:
    assert draw_structure("C1CC") == ""
    candidate = dataclasses.replace(
        found[0].candidates[0], structure=dataclasses.replace(STRUCTURES[0], smiles="C1CC", inchikey="X")
    )
    assert "not drawn" in render_report([dataclasses.replace(found[0], candidates=(candidate,))])


def test_labels_of_peaks_never_lie_on_each_other() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 5, 60, 400):
        record = PeakList(np.sort(rng.uniform(50, 300, count)), rng.random(count), precursor_mz=310.0)
        picture = draw_record(record)
        assert picture is not None
        ET.fromstring(picture.svg)
        found = re.findall(r'<text class="peak" x="([\d.]+)" y="([\d.]+)"', picture.svg)
        assert found
        boxes = [(float(x), float(y)) for x, y in found]
        for i, (x, y) in enumerate(boxes):
            assert all(abs(x - a) > 40 or abs(y - b) > 12 for a, b in boxes[:i])


def test_labels_keep_clear_of_formulas_and_of_the_precursor() -> None:
    rng = np.random.default_rng(1)
    for seed in range(20):
        record = PeakList(np.sort(rng.uniform(50, 300, 40)), rng.random(40), precursor_mz=float(rng.uniform(60, 310)))
        known = [SimpleNamespace(peak=i, formula="C10H11NO2+", ppm=1.0, smiles="C") for i in range(0, 40, 3)]
        picture = draw_record(record, known)
        assert picture is not None
        boxes: list[tuple[float, float, float, float]] = []
        for kind, x, y, anchor, text in re.findall(
            r'<text class="(explained|peak|precursor)" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">(.*?)</text>',
            picture.svg,
        ):
            letters = re.sub("<.*?>", "", text)
            width = 6.0 * len(letters)
            left = float(x) - (width if anchor == "end" else width / 2)
            under = 4 if kind == "explained" else 1
            boxes.append((left, float(y) - (12 if kind == "explained" else 9), left + width, float(y) + under))
            assert left >= 0
            assert left + width <= 860
        assert len(boxes) > 4, seed
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
                assert apart, (seed, one, other)


def test_traces_are_drawn_and_single_values_are_not() -> None:
    picture = draw_record(Trace(np.arange(5000.0), np.sin(np.arange(5000.0) / 100)))
    assert picture is not None
    root = ET.fromstring(picture.svg)
    (line,) = [e for e in root if e.tag == "polyline"]
    assert 1000 < len(line.attrib["points"].split()) <= 5000
    flat = draw_record(Trace(np.array([1.0]), np.array([0.0])))
    assert flat is not None
    ET.fromstring(flat.svg)
    assert draw_record(Value(100.0)) is None
    assert draw_record(PeakList(np.array([]), np.array([]))) is None
