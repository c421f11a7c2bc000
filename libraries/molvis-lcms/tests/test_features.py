"""Features of runs: peaks, isotopes, merged MS/MS, adducts, several files, blanks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lcms_samples import C13, Eluting, array_element, made_run, numpress_linear, run_text, scan_text, write_run

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.errors import ConfigError, ReadError
from molvis_lcms.alignment import estimate_warp
from molvis_lcms.chromatograms import find_peaks
from molvis_lcms.finding import Settings, Target, find_features, find_targets
from molvis_lcms.ions import group_ions
from molvis_lcms.merging import merge_peaks
from molvis_lcms.records import Feature, FeatureTable, Scan
from molvis_lcms.workflow import Comparison, features_of_runs

GLUCOSE = Eluting(
    180.0634,
    60.0,
    adducts={"[M+H]+": 1.0, "[M+Na]+": 0.5, "[M+NH4]+": 0.2},
    selected=("[M+H]+", "[M+Na]+"),
)
OTHER = Eluting(250.1205, 80.0, fragments=((120.08, 1.0), (91.054, 0.3)), height=4e5)


def near(table: FeatureTable, mz: float, time: float | None = None) -> Feature:
    found = [
        f for f in table.features if abs(f.mz - mz) < 0.003 and (time is None or abs((f.time or 0.0) - time) < 3.0)
    ]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    path = write_run(tmp_path_factory.mktemp("runs") / "a.mzML", made_run([GLUCOSE, OTHER]))
    return find_features(path)


def test_a_feature_has_its_ions_mass_time_area_and_charge(table: FeatureTable) -> None:
    assert (len(table), table.files, table.notes) == (3, ("a.mzML",), ())
    one = near(table, ion_mz(180.0634, "[M+H]+"))
    assert one.mz == pytest.approx(ion_mz(180.0634, "[M+H]+"), rel=2e-6)
    assert one.time == pytest.approx(60.0, abs=1.5)
    assert one.start is not None
    assert one.end is not None
    assert one.start < 55 < 65 < one.end
    assert one.charge == 1
    # The area of a Gaussian of this height and width, without its foot.
    assert one.areas["a.mzML"] == pytest.approx(1e6 * 3.0 * np.sqrt(2 * np.pi), rel=0.05)


def test_isotopes_follow_at_the_distance_of_a_neutron(table: FeatureTable) -> None:
    one = near(table, ion_mz(180.0634, "[M+H]+"))
    assert len(one.isotope_mz) == 3
    np.testing.assert_allclose(np.diff(one.isotope_mz), C13, atol=0.001)
    assert one.isotope_intensity[1] / one.isotope_intensity[0] == pytest.approx(180.0634 / 12 * 0.0066, rel=0.1)


def test_spectra_are_merged_for_each_energy_and_then_over_energies(table: FeatureTable) -> None:
    one = near(table, ion_mz(180.0634, "[M+H]+"))
    assert [s.collision_energy for s in one.spectra] == [20.0, 40.0]
    assert one.merged is not None
    assert one.merged.collision_energy == 30.0
    np.testing.assert_allclose(one.merged.mz, [85.0284, 127.0390, one.mz], atol=0.001)
    assert one.merged.intensity.max() == 1.0
    assert len(one.scans) == 2


def test_repeats_of_one_energy_are_one_spectrum(tmp_path: Path) -> None:
    run = made_run([OTHER], energies=(20.0,))
    again = [replace(s, time=s.time + 1.0) for s in run if s.level == 2]
    found = find_features(write_run(tmp_path / "a.mzML", sorted([*run, *again], key=lambda s: s.time)))
    (one,) = found.features
    assert len(one.scans) == 2
    (spectrum,) = one.spectra
    assert len(spectrum) == 3


def test_a_peak_that_one_of_many_repeats_has_is_left_out() -> None:
    common = np.array([100.0]), np.array([10.0])
    odd = np.array([100.0001, 150.0]), np.array([10.0, 3.0])
    mz, height = merge_peaks([common, common, common, common, odd], 20, least=2)
    assert mz.tolist() == pytest.approx([100.0], abs=1e-3)
    assert height.tolist() == [50.0]


def test_partners_that_elute_together_tell_the_adduct(table: FeatureTable) -> None:
    sodium = near(table, ion_mz(180.0634, "[M+Na]+"))
    assert sodium.adducts[0].adduct == "[M+Na]+"
    assert sodium.adducts[0].weight > 0.9
    assert sodium.adducts[0].reasons[0].startswith("[M+H]+ at 181.07")
    proton = near(table, ion_mz(180.0634, "[M+H]+"))
    assert proton.adducts[0].adduct == "[M+H]+"
    assert any("[M+NH4]+" in reason for reason in proton.adducts[0].reasons)
    assert proton.group == sodium.group == 1
    assert near(table, ion_mz(250.1205, "[M+H]+")).group is None
    for one in table.features:
        assert sum(h.weight for h in one.adducts) == pytest.approx(1.0)


def test_a_mass_difference_without_common_elution_tells_nothing(tmp_path: Path) -> None:
    apart = [
        Eluting(180.0634, 50.0, adducts={"[M+H]+": 1.0}),
        Eluting(180.0634, 75.0, adducts={"[M+Na]+": 1.0}, selected=("[M+Na]+",)),
    ]
    found = find_features(write_run(tmp_path / "a.mzML", made_run(apart)))
    sodium = near(found, ion_mz(180.0634, "[M+Na]+"))
    assert sodium.adducts[0].adduct == "[M+H]+"
    assert sodium.adducts[0].reasons == ()
    assert sodium.group is None


def test_both_polarities_of_one_molecule_are_one_group(tmp_path: Path) -> None:
    negative = replace(GLUCOSE, adducts={"[M-H]-": 1.0, "[M+HCOO]-": 0.5}, selected=("[M-H]-",))
    both = [*made_run([GLUCOSE]), *(replace(s, time=s.time + 0.1) for s in made_run([negative], ionmode="negative"))]
    found = find_features(write_run(tmp_path / "a.mzML", sorted(both, key=lambda s: s.time)))
    groups = {f.group for f in found.features}
    assert {f.ionmode for f in found.features} == {"positive", "negative"}
    assert groups == {1}


def test_isomers_of_one_mass_are_features_of_their_own(tmp_path: Path) -> None:
    isomers = [replace(OTHER, time=40.0), replace(OTHER, time=58.0, fragments=((77.04, 1.0),))]
    found = find_features(write_run(tmp_path / "a.mzML", made_run(isomers)))
    first, second = sorted(found.features, key=lambda f: f.time or 0.0)
    assert (first.time, second.time) == (pytest.approx(40, abs=1.5), pytest.approx(58, abs=1.5))
    assert 77.04 not in np.round(first.spectra[0].mz, 2)
    assert 77.04 in np.round(second.spectra[0].mz, 2)


def test_msms_at_the_foot_of_a_peak_belongs_to_it(tmp_path: Path) -> None:
    run = made_run([OTHER], energies=(20.0,))
    early = [replace(s, time=68.3) for s in run if s.level == 2]
    found = find_features(write_run(tmp_path / "a.mzML", sorted([*run, *early], key=lambda s: s.time)))
    (one,) = found.features
    assert len(one.scans) == 2


def test_msms_without_survey_scans_is_a_feature_without_area(tmp_path: Path) -> None:
    run = [s for s in made_run([OTHER]) if s.level == 2]
    (one,) = find_features(write_run(tmp_path / "a.mzML", run)).features
    assert (one.start, one.area, len(one.spectra)) == (None, None, 2)
    assert one.notes == ("no chromatographic peak in the survey scans",)


@pytest.mark.parametrize(("stated", "expected"), [(2, 1), (None, 1), (1, 1)])
def test_isotopes_decide_on_the_charge_whatever_the_file_says(
    tmp_path: Path, stated: int | None, expected: int
) -> None:
    run = [replace(s, charge=stated) if s.level == 2 else s for s in made_run([OTHER])]
    (one,) = find_features(write_run(tmp_path / "a.mzML", run)).features
    assert one.charge == expected
    assert bool(one.notes) == (stated == 2)


def test_doubly_charged_ions_are_known_by_the_distance_of_their_isotopes(tmp_path: Path) -> None:
    double = Eluting(800.4, 60.0, adducts={"[M+2H]2+": 1.0}, selected=("[M+2H]2+",))
    (one,) = find_features(write_run(tmp_path / "a.mzML", made_run([double]))).features
    assert one.charge == 2
    assert one.adducts[0].adduct == "[M+2H]2+"


def test_scans_out_of_order_give_the_same_features_and_a_note(tmp_path: Path) -> None:
    run = made_run([GLUCOSE, OTHER])
    straight = find_features(write_run(tmp_path / "a.mzML", run))
    order = np.random.default_rng(3).permutation(len(run))
    mixed = find_features(write_run(tmp_path / "b.mzML", [run[k] for k in order]))
    assert [(f.mz, f.time) for f in mixed.features] == [(f.mz, f.time) for f in straight.features]
    assert "not in the order of time" in mixed.notes[0]


def test_a_wide_isolation_window_is_passed_over_and_counted(tmp_path: Path) -> None:
    run = [replace(s, isolation=(100.0, 1000.0)) if s.level == 2 else s for s in made_run([OTHER])]
    found = find_features(write_run(tmp_path / "a.mzML", run))
    assert len(found) == 0
    assert found.notes[0].endswith("isolates more than 6 m/z at once (DIA); passed over, 2 times")


def test_a_cut_run_has_the_features_before_the_cut(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.mzML", made_run([replace(GLUCOSE, time=20.0), replace(OTHER, time=100.0)]))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = find_features(path)
    assert {round(f.mz, 2) for f in found.features} == {181.07, 203.05}
    assert "cut off or damaged" in found.notes[0]


def test_scans_of_zeros_are_survey_scans_without_peaks(tmp_path: Path) -> None:
    run = made_run([OTHER])
    empty = Scan(1, 5.5, np.array([100.0]), np.array([0.0], dtype="f4"), "positive")
    nothing = Scan(2, 6.5, np.array([100.0]), np.array([0.0], dtype="f4"), "positive", 300.0, (299.5, 300.5))
    found = find_features(write_run(tmp_path / "a.mzML", sorted([*run, empty, nothing], key=lambda s: s.time)))
    assert len(found) == 1
    assert "has no peak" in found.notes[0]


def test_targets_are_found_without_msms_and_missing_ones_have_no_area(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.mzML", [s for s in made_run([GLUCOSE]) if s.level == 1])
    ion = ion_mz(180.0634, "[M+H]+")
    there, anywhere, elsewhere, nowhere = find_targets(
        path,
        [Target(ion, "positive", 62.0, name="glucose"), Target(ion), Target(ion, None, 10.0, 5.0), Target(333.3)],
    ).features
    assert there.name == "glucose"
    assert there.area == anywhere.area
    assert there.time == anywhere.time == pytest.approx(60, abs=1.5)
    assert elsewhere.area == nowhere.area == 0


def test_targets_are_found_whatever_the_order_of_scans_and_in_runs_of_both_polarities(tmp_path: Path) -> None:
    negative = [replace(s, time=s.time + 0.4) for s in made_run([], ionmode="negative")]
    run = [s for s in [*made_run([GLUCOSE]), *negative] if s.level == 1]
    run.sort(key=lambda s: s.time)
    target = Target(ion_mz(180.0634, "[M+H]+"), None, 60.0)
    (straight,) = find_targets(write_run(tmp_path / "a.mzML", run), [target]).features
    assert (straight.ionmode, straight.area) == ("positive", pytest.approx(1e6 * 3.0 * np.sqrt(2 * np.pi), rel=0.05))
    order = np.random.default_rng(0).permutation(len(run))
    mixed = find_targets(write_run(tmp_path / "b.mzML", [run[k] for k in order]), [target])
    assert mixed.features[0].area == straight.area
    assert "not in the order of time" in mixed.notes[0]


def test_the_peaks_of_a_chromatogram_part_at_valleys() -> None:
    time = np.arange(60.0)
    one = np.exp(-0.5 * ((time - 20) / 3) ** 2)
    two = one + 0.5 * np.exp(-0.5 * ((time - 36) / 3) ** 2)
    close = one + 0.9 * np.exp(-0.5 * ((time - 24) / 3) ** 2)
    assert [p.apex for p in find_peaks(one)] == [20]
    assert [p.apex for p in find_peaks(two)] == [20, 36]
    assert len(find_peaks(close)) == 1
    assert find_peaks(np.array([0.0, 0.0, 5.0, 0.0, 3.0])) == []


def several(tmp_path: Path, *shifts: float) -> list[Path]:
    molecules = [
        Eluting(150.05 + 17.03 * k, 40.0 + 30 * k, height=1e6 / (1 + k % 3), fragments=((70.0 + k, 1.0),))
        for k in range(8)
    ]
    return [
        write_run(tmp_path / f"{n}.mzML", made_run(molecules, length=320.0, shift=shift, seed=n, energies=(30.0,)))
        for n, shift in enumerate(shifts)
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return several(tmp_path_factory.mktemp("several"), 0.0, 15.0)


@pytest.mark.full
def test_runs_that_drift_are_aligned_and_each_ion_has_an_area_in_both(runs: list[Path]) -> None:
    found = features_of_runs(runs)
    assert len(found) == 8
    areas = found.areas()
    assert (areas > 0).all()
    np.testing.assert_allclose(areas[:, 0], areas[:, 1], rtol=0.1)
    assert all(len(f.scans) == 2 and f.scans[0].startswith("0.mzML:") for f in found.features)
    warp = estimate_warp(find_features(runs[1]).features, find_features(runs[0]).features, 10)
    assert warp.there(130.0) == pytest.approx(115.0, abs=1.5)
    assert warp.back(115.0) == pytest.approx(130.0, abs=1.5)


@pytest.mark.full
def test_what_a_blank_has_too_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    dirty = Eluting(150.05, 40.0, height=9e5, selected=())
    faint = Eluting(167.08, 70.0, height=2e4, selected=())
    blank = write_run(tmp_path / "blank.mzML", made_run([dirty, faint], length=120.0))
    found = features_of_runs(runs[:1], blanks=[blank])
    assert len(found) == 7
    assert found.files == ("0.mzML", "blank.mzML")
    kept = near(found, ion_mz(167.08, "[M+H]+"))
    assert 0 < kept.areas["blank.mzML"] < kept.areas["0.mzML"] / 3
    assert "1 of 8 features are left out" in found.notes[-1]


def test_a_run_that_cannot_be_read_is_a_note_beside_others_and_an_error_alone(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good.mzML", made_run([OTHER]))
    bad = tmp_path / "bad.mzML"
    bad.write_text("no run", encoding="utf-8")
    found = features_of_runs([bad, good])
    assert len(found) == 1
    assert "bad.mzML" in found.notes[0]
    assert found.notes[0].endswith("the file is left out")
    with pytest.raises(ReadError):
        features_of_runs([bad])


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rename one"):
        features_of_runs([tmp_path / "a" / "x.mzML", tmp_path / "b" / "x.mzML"])


@pytest.mark.parametrize("wrong", [{"ppm": 0.0}, {"reach": -1.0}])
def test_tolerances_are_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        Settings(**wrong)
    with pytest.raises(ConfigError, match="must be positive"):
        Comparison(seconds=0.0)


def test_ions_that_lead_to_unlike_masses_are_no_group(table: FeatureTable) -> None:
    shifted = [replace(f, mz=f.mz + 0.01 * k) for k, f in enumerate(table.features)]
    assert {f.group for f in group_ions([replace(f, group=None) for f in shifted], 10)} == {None}


@pytest.mark.full
def test_the_survey_scans_of_a_long_run_are_not_held(tmp_path: Path) -> None:
    """A run four times as long takes about the same memory: what stays are the MS/MS scans."""
    peaks = []
    for length in (150, 600):
        molecules = made_run([Eluting(200.0, 40.0)], length=80.0)
        path = tmp_path / f"{length}.mzML"
        texts = [scan_text(s, k) for k, s in enumerate(molecules, 1)]
        big = Scan(1, 0.0, np.linspace(100, 900, 1500), np.ones(1500, dtype="f4"), "positive")
        element = scan_text(big, 1).replace('value="0.0"', 'value="TIME"')
        texts += [element.replace("TIME", str((90 + k) / 60)) for k in range(length)]
        path.write_text(run_text(texts), encoding="utf-8")
        tracemalloc.start()
        find_features(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def as_profile(scan: Scan) -> Scan:
    """A scan whose peaks are Gaussians."""
    points = scan.mz[:, None] + np.arange(-0.016, 0.016, 0.0015)
    heights = scan.intensity[:, None] * np.exp(-0.5 * ((points - scan.mz[:, None]) / 0.004) ** 2)
    order = np.argsort(points, axis=None)
    return replace(scan, mz=points.ravel()[order], intensity=heights.ravel()[order].astype("f4"), centroid=False)


LATE = 45.0
"""Seconds from which on something is wrong with MS/MS scans."""
WRONG: dict[str, tuple[Callable[[Scan], Scan], int, list[str]]] = {
    "polarity": (
        lambda s: replace(s, ionmode="negative"), 2,
        ["an MS/MS scan is called negative, and every survey scan positive; taken for positive, 2 times"],
    ),
    "no polarity": (lambda s: replace(s, ionmode=None), 2, []),
    "profile": (as_profile, 2, []),
    "zeros": (lambda s: replace(s, intensity=s.intensity * 0), 1, ["an MS/MS scan has no peak; passed over, 2 times"]),
    "no peaks": (
        lambda s: replace(s, mz=s.mz[:0], intensity=s.intensity[:0]), 1,
        ["an MS/MS scan has no peak; passed over, 2 times"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(WRONG))
def test_what_is_wrong_with_some_msms_is_told_in_a_line_and_the_rest_is_found(what: str, tmp_path: Path) -> None:
    change, count, lines = WRONG[what]
    scans = made_run([Eluting(180.0634, 60.0), Eluting(150.0528, 30.0)], length=80.0)
    changed = [change(s) if s.level == 2 and s.time > LATE else s for s in scans]
    found = find_features(write_run(tmp_path / "run.mzML", changed))
    assert [round(f.mz, 3) for f in found.features] == [151.060, 181.071][:count]
    assert {f.ionmode for f in found.features if what != "no polarity"} <= {"positive"}
    assert [line.partition(": ")[2].partition(" (first")[0] for line in found.notes] == lines


def test_a_run_packed_by_numpress_has_the_features_of_a_plain_one(tmp_path: Path) -> None:
    scans = made_run([Eluting(180.0634, 30.0)], length=60.0)
    plain = find_features(write_run(tmp_path / "plain.mzML", scans))
    texts = []
    for number, scan in enumerate(scans, start=1):
        mz = array_element(scan.mz, "MS:1000514", "MS:1002312", numpress_linear(scan.mz))
        texts.append(scan_text(scan, number, arrays=mz + array_element(scan.intensity, "MS:1000515")))
    (tmp_path / "packed.mzML").write_text(run_text(texts), encoding="utf-8")
    packed = find_features(tmp_path / "packed.mzML")
    assert [f.mz for f in packed.features] == pytest.approx([f.mz for f in plain.features], rel=1e-6)
    assert [f.area for f in packed.features] == pytest.approx([f.area for f in plain.features], rel=1e-6)
