"""Partitioned libraries: what is in them, how they are built and resumed, and that searches find the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import barcode
import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import IndexFileError
from molvis_core.records import Structure
from molvis_files.stores import open_store
from molvis_retrieval import partition_building
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.candidates import open_candidates
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index, build_index, describe_index, join_indexes
from molvis_retrieval.library import Library
from molvis_retrieval.parents import ParentCounts
from molvis_retrieval.partition_building import build_partitioned, convert_index
from molvis_retrieval.partition_sorting import tables_of
from molvis_retrieval.partitions import Partitions
from molvis_retrieval.vector_rows import Kind, RowFormat
from molvis_retrieval.verification import verify_index

SIZE = 4
DRAWN: tuple[tuple[Structure, str | None], ...] = (
    *((one, "first.smi") for one in barcode.STRUCTURES),
    (structure("CC(=O)[O-].[Na+]", name="sodium acetate"), "salts.smi"),
    (structure("CCCCO", name="butanol"), "second.smi"),
    (structure("C[NH+](C)C"), "ions.smi"),
    (structure("CN(C)C", name="trimethylamine"), "second.smi"),
)


@pytest.fixture
def bundle(toys: None, tmp_path: Path) -> Bundle:
    return barcode.make_bundle(tmp_path / "bundle")


def build(bundle: Any, path: Path | str, **options: Any) -> Index:
    counts = ParentCounts()
    tables = tables_of(DRAWN, counts)
    return build_partitioned(
        bundle, path, tables, counts=counts, source={"drawn": "1"}, **{"size": SIZE, "engine": "local"} | options
    )


def files(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def test_a_partitioned_library_holds_what_a_library_in_memory_holds(bundle: Bundle, tmp_path: Path) -> None:
    found = build(bundle, tmp_path / "large")
    wanted = Library.from_structures(DRAWN)
    assert found.library.table.to_pylist() == wanted.table.to_pylist()
    partitions = Partitions.open(tmp_path / "large")
    assert [partitions.rows(n) for n in range(len(partitions))][:-1] == [SIZE] * (len(partitions) - 1)
    counts = ParentCounts()
    build_partitioned(
        bundle, tmp_path / "again", tables_of(DRAWN, counts), counts=counts, source={}, size=3, engine="local"
    )
    assert counts == wanted.parents


def test_what_is_asked_of_it_is_what_a_library_in_memory_answers(bundle: Bundle, tmp_path: Path) -> None:
    large, small = build(bundle, tmp_path / "large").library, Library.from_structures(DRAWN)
    mass = small.mass
    assert np.array_equal(np.asarray(large.mass), mass)
    assert (large.mass[0], large.mass[-1], len(large.mass)) == (mass[0], mass[-1], len(mass))
    for at in (*mass, mass[0] - 1, mass[-1] + 1, mass[3] * (1 + 5e-6)):
        for ppm in (0.001, 10.0, 1e5):
            assert np.array_equal(large.within_ppm(at, ppm), small.within_ppm(at, ppm))
    for one in small.structures(range(len(small))):
        assert np.array_equal(large.rows_of(one.inchikey14), small.rows_of(one.inchikey14))
        assert np.array_equal(large.rows_of(one.inchikey14, one.exact_mass), small.rows_of(one.inchikey14))
        assert np.array_equal(large.of_formula(one.formula), small.of_formula(one.formula))
    rows = np.array([7, 2, 2, len(small) - 1, 0])
    assert large.structures(rows) == small.structures(rows)
    assert large.formulas(rows) == small.formulas(rows)
    assert [large.aliases(r) for r in rows] == [small.aliases(r) for r in rows]
    assert [large.sources(r) for r in rows] == [small.sources(r) for r in rows]
    assert large.structures([]) == []


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_searches_find_what_they_find_in_an_index(bundle: Bundle, tmp_path: Path, kind: Kind) -> None:
    small = build_index(bundle, Library.from_structures(DRAWN), tmp_path / "small")
    large = build(bundle, tmp_path / "large", kind=kind)
    rows = np.arange(len(small.library))
    reach = 0.0 if kind == "float16" else 0.004
    assert np.abs(large.take(rows) - small.take(rows)).max() <= reach
    assert np.abs(np.concatenate([b.copy() for _, b in large.blocks(5)]) - small.take(rows)).max() <= reach
    queries = [barcode.measurement(structure(s)) for s in ("CCCCO", "CCO", "CC(=O)O")]
    for scope in ("mass", "all"):
        ours, theirs = (identify(bundle, queries, ix, candidates=scope) for ix in (large, small))
        for one, other in zip(ours, theirs, strict=True):
            assert one.n_candidates == other.n_candidates
            assert one.candidates[0].structure == other.candidates[0].structure
            assert one.truth_rank == other.truth_rank == 1
    for one, other in zip(large.search(small.take(rows[:2]), 3), small.search(small.take(rows[:2]), 3), strict=True):
        assert np.allclose(one, other, atol=max(reach, 1e-6))


def test_one_that_is_joined_with_an_index_is_searched_as_one(bundle: Bundle, tmp_path: Path) -> None:
    large = build(bundle, tmp_path / "large")
    small = barcode.make_index(bundle, tmp_path / "more", [structure("CCCCCCCO")])
    both = join_indexes([large, small])
    assert len(both.library) == len(large.library) + 1
    found = identify(bundle, [barcode.measurement(structure("CCCCCCCO"))], both)
    assert found[0].truth_rank == 1


def test_an_index_is_converted_and_nothing_is_embedded(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = build_index(bundle, Library.from_structures(DRAWN), tmp_path / "small")
    monkeypatch.setattr(Bundle, "embed", lambda *_, **__: pytest.fail("embedded"))
    large = convert_index(small, tmp_path / "large", size=SIZE)
    assert np.array_equal(large.take(np.arange(len(small.library))), small.take(np.arange(len(small.library))))
    assert large.library.table.equals(small.library.table)
    assert open_candidates(tmp_path / "large", bundle).bundle_name == "barcode"
    assert verify_index(tmp_path / "large").damaged == ()
    with pytest.raises(IndexFileError, match="exists"):
        convert_index(small, tmp_path / "large")


def test_vectors_of_a_second_bundle_are_added(bundle: Bundle, tmp_path: Path) -> None:
    first = build(bundle, tmp_path / "large")
    other = barcode.make_bundle(tmp_path / "same", same=True, name="other")
    with pytest.raises(IndexFileError, match="it has vectors of barcode, and none of this one. Add them: molvis lib"):
        open_candidates(tmp_path / "large", other)
    second = build_partitioned(other, tmp_path / "large", engine="local")
    assert (second.bundle_name, open_candidates(tmp_path / "large", bundle).bundle_name) == ("other", "barcode")
    assert np.array_equal(open_candidates(tmp_path / "large", bundle).take(np.arange(5)), first.take(np.arange(5)))
    assert describe_index(second)["bundles"] == ["barcode", "other"]


def test_other_structures_and_other_folders_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    build(bundle, tmp_path / "large")
    with pytest.raises(IndexFileError, match=r"made from something else \(drawn, more differ\)"):
        build_partitioned(bundle, tmp_path / "large", iter(()), source={"more": "2"}, engine="local")
    with pytest.raises(IndexFileError, match="no library here: library.toml is missing"):
        build_partitioned(bundle, tmp_path / "nowhere", engine="local")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("")
    with pytest.raises(IndexFileError, match="not a library, and holds thesis.doc"):
        build(bundle, tmp_path / "full")
    with pytest.raises(IndexFileError, match="there is no structure"):
        build_partitioned(bundle, tmp_path / "empty", iter(()), source={}, engine="local")


class Killed:
    """A bundle whose process ends while it embeds, as if by kill -9, unless it has ended often enough."""

    def __init__(self, bundle: Bundle, mark: Path, times: int) -> None:
        self.bundle, self.mark, self.times = bundle, mark, times

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "bundle":
            raise AttributeError(name)
        return getattr(self.bundle, name)

    def embed(self, *args: Any, **options: Any) -> Any:
        done = sorted(self.mark.iterdir())
        if len(done) < self.times:
            (self.mark / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.bundle.embed(*args, **options)


@pytest.mark.full
def test_processes_write_the_same_bytes_and_one_that_is_killed_is_made_up_for(bundle: Bundle, tmp_path: Path) -> None:
    build(bundle, tmp_path / "here")
    (tmp_path / "mark").mkdir()
    dying = Killed(bundle, tmp_path / "mark", times=1)
    with barcode_on_path():
        build(dying, tmp_path / "there", engine="processes", processes=2)
    assert len(list((tmp_path / "mark").iterdir())) >= 1, "a process was killed"
    assert files(tmp_path / "there") == files(tmp_path / "here")


class barcode_on_path:
    """Other processes find the toy encoders."""

    def __enter__(self) -> None:
        self.before = os.environ.get("PYTHONPATH")
        folders = [str(Path(__file__).parent), *([self.before] if self.before else [])]
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)

    def __exit__(self, *_: object) -> None:
        os.environ.pop("PYTHONPATH")
        if self.before:
            os.environ["PYTHONPATH"] = self.before


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from molvis_core.testing import offer
import barcode, test_partitioned
from molvis_retrieval.bundle import Bundle, load_bundle
embed = Bundle.embed
def slowly(self, *args, **options):
    print("embedding", flush=True)
    time.sleep(0.2)
    return embed(self, *args, **options)
Bundle.embed = slowly
import toy
with offer(toy.PLUGIN, barcode.PLUGIN):
    test_partitioned.build(load_bundle({bundle!r}), {out!r})
"""


@pytest.mark.full
def test_a_build_that_is_killed_goes_on_with_the_partitions_that_are_missing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = textwrap.dedent(SLOW).format(
        tests=str(Path(__file__).parent), bundle=str(tmp_path / "bundle"), out=str(tmp_path / "large")
    )
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for _ in range(4):
        assert running.stdout.readline() == "embedding\n"
    time.sleep(0.05)
    running.kill()
    running.wait()
    running.stdout.close()
    with pytest.raises(IndexFileError, match="unfinished"):
        open_candidates(tmp_path / "large", bundle)
    (folder,) = (tmp_path / "large" / "vectors").iterdir()
    done = sorted(p.name for p in folder.glob("*.rows"))
    assert done
    # What a disk has lost is embedded again.
    (folder / done[0]).write_bytes(bytes((folder / done[0]).stat().st_size))
    again: list[int] = []
    one = partition_building.embed_partition
    monkeypatch.setattr(partition_building, "embed_partition", lambda source, n: again.append(n) or one(source, n))
    built = build(bundle, tmp_path / "large")
    assert again[0] == 0
    assert len(again) == len(Partitions.open(tmp_path / "large")) - len(done) + 1
    whole = build(bundle, tmp_path / "whole")
    assert files(tmp_path / "large") == files(tmp_path / "whole")
    assert len(built.library) == len(whole.library)


def test_damage_is_noticed_where_it_is_looked_at(bundle: Bundle, tmp_path: Path) -> None:
    large = build(bundle, tmp_path / "large")
    (file,) = (tmp_path / "large" / "vectors").glob("*/00001.rows")
    data = bytearray(file.read_bytes())
    data[large.vectors.encoded.rows.width + 20] ^= 1
    file.write_bytes(data)
    index = open_candidates(tmp_path / "large", bundle)
    assert len(index.take(np.array([0, 4, 6]))) == 3
    with pytest.raises(IndexFileError, match=r"00001.rows: damaged: row 1 \(from byte 48 on\) is not what was written"):
        index.take(np.array([5]))
    assert [d.file for d in verify_index(tmp_path / "large").damaged] == [str(file.relative_to(tmp_path / "large"))]
    file.unlink()
    with pytest.raises(IndexFileError, match="missing or truncated"):
        open_candidates(tmp_path / "large", bundle).take(np.array([5]))
    table = tmp_path / "large" / "structures" / "00000.parquet"
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(IndexFileError, match="damaged or missing"):
        open_candidates(tmp_path / "large", bundle).library.structures([0])
    (tmp_path / "large" / "partitions.parquet").write_bytes(b"PAR1")
    with pytest.raises(IndexFileError, match="it is not what was written"):
        open_candidates(tmp_path / "large", bundle)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_every_change_of_a_row_is_noticed(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    rows = RowFormat(kind, 13)
    data = np.frombuffer(rows.encode(rng.normal(size=(6, 13)).astype(np.float32), 2), dtype=np.uint8)
    numbers = np.arange(6)
    assert rows.intact(data, numbers, 2).all()
    assert not rows.intact(data, numbers, 3).any()
    assert not rows.intact(data, numbers[::-1].copy(), 2).any()
    assert not rows.intact(np.zeros_like(data), numbers, 2).any()
    for bit in rng.integers(0, 8 * rows.width, 200):
        bad = data.copy()
        bad[rows.width * 3 + bit // 8] ^= 1 << bit % 8
        assert rows.intact(bad, numbers, 2).tolist() == [True, True, True, False, True, True]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an object store on this machine."""
    server = pytest.importorskip("moto.server", reason="moto plays the object store")
    boto3 = pytest.importorskip("boto3", reason="the bucket is made with it")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_EC2_METADATA_DISABLED": "1",
    }.items():
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket="chemistry")
    yield f"s3://chemistry/libraries/large?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    running.stop()


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_object_store_holds_the_same_library_and_searches_read_parts_of_it(
    bundle: Bundle, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = build(bundle, bucket), build(bundle, tmp_path / "large")
    store = open_store(bucket)
    for name, data in files(tmp_path / "large").items():
        assert store.read(name) == data
    queries = [barcode.measurement(structure(s)) for s in ("CCCCO", "CCO")]
    ours, theirs = (identify(bundle, queries, index) for index in (open_candidates(bucket, bundle), here))
    assert [o.candidates for o in ours] == [t.candidates for t in theirs]
    assert there.name == "large"
    fresh = open_candidates(bucket, bundle)
    looked: list[tuple[str, list[tuple[int, int]]]] = []
    ranges = type(store).ranges
    monkeypatch.setattr(
        type(store), "ranges", lambda self, name, spans: looked.append((name, list(spans))) or ranges(self, name, spans)
    )
    rows = fresh.library.within_ppm(structure("CCCCO").exact_mass, 10.0)
    fresh.take(rows)
    width = fresh.vectors.encoded.rows.width
    assert sum(size for _, spans in looked for _, size in spans) == len(rows) * width
    assert verify_index(bucket).damaged == ()
    with pytest.raises(IndexFileError, match="no library here"):
        open_candidates(bucket.replace("large", "nothing"), bundle)
