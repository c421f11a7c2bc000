"""Requests that mean harm, for benchmarks/serve.py and for a test.

Damaged files of every format (`tests/corpus` and the mutations of the fuzzing kit), archives and XML that unfold,
markup and paths in names, structures of absurd size, forms and JSON that are broken.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from molvis_core.testing.mutations import mutate

NAMES = (
    "../../../../tmp/escaped{0}", "..\\..\\escaped{0}", "/etc/escaped{0}", "<img src=x onerror=alert(1)>{0}",
    "\x00\x1b[2J{0}",
    "a" * 300 + "{0}", "con{0}", ".hidden{0}", "ä\u202egpj{0}", "-rf {0}", "a/../b{0}", "{0}",
    "%2e%2e%2fescaped{0}", "a\r\nSet-Cookie: x{0}",
)  # fmt: skip
"""Of files; {0} is the ending."""
SMILES = (
    "C" * 1000, "C" * 100_000, "(" * 500 + "C" + ")" * 500, "C1CC1" * 150, "[13C@@H]" * 100, "C%99" * 100,
    "c1ccccc1" * 100,
    "<script>alert(1)</script>", "\x00", "[U+235]", "C.C" * 300, "*" * 500, "InChI=1S/" + "C" * 900, "/etc/passwd", "",
    "🧪",
    "[Fe]" * 200, "F/C=C/" * 100 + "F", "C12(C3(C4(C5" * 50,
)  # fmt: skip
ENTITIES = '<!ENTITY e0 "lol">' + "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"peaks": ' + b"[" * 50_000,
    b'{"peaks": [[1e308, 1e308]], "precursor_mz": 100}',
    b"\xff\xfe{}",
    b'{"peaks": [[NaN, 1]]}',
    b'{"precursor_mz": Infinity}',
    b'{"ppm": 1e400}',
    b'{"top": -1}',
    b'{"peaks": [[100, 1], "x"]}',
    b'{"top": 9223372036854775808}',
    b'{"top": true}',
    b'{"__class__": "x"}',
    b'{"name": "' + b"a" * 500_000 + b'"}',
    b'{"peaks": [' + b"[100, 1]," * 50_000 + b'[1, 1]], "precursor_mz": 100}',
    b'{"adduct": "' + b"[M+H]+" * 8 + b'"}',
    b'{"formula": "C999999999999H99999999999999", "peaks": [[1, 1]], "precursor_mz": 100}',
    b'{"formula": "((((", "mass": 100}',
    b'{"adducts": ["[M+' + b"H" * 40 + b']+"], "peaks": [[50, 1]], "precursor_mz": 100}',
    b'{"ccs": ["nan", "1e9", "[M+H]+="]}',
    b'{"candidates": "all", "peaks": [[100, 1]], "precursor_mz": 100, "top": 1000}',
    b'{"name": "\\ud800", "peaks": [[50, 1]], "precursor_mz": 195.0877}',
)
OPERATIONS = {
    "identify": (
        "spectra",
        (".mgf", ".msp", ".mzml", ".mzxml", ".json", ".txt", ".jdx", ".csv", ".tsv", ".parquet", ".spc", ".0"),
    ),
    "explain": ("spectra", (".mgf", ".msp", ".mzml", ".json", ".sdf")),
    "nmr-fit": ("spectra", (".jdx", ".dx", ".csv", ".zip", ".nmrml", ".fid", ".ft")),
    "nmr-mixture": ("spectrum", (".jdx", ".csv", ".zip", ".nmrml")),
    "flux-fit": ("network", (".toml", ".fml", ".xml", ".txt", ".xlsx", ".json", ".csv")),
    "annotate": ("runs", (".mzml", ".mgf", ".csv")),
}
"""The field of each operation's files, and endings that its readers claim."""
QUICK = ("identify", "explain", "nmr-fit")


@dataclass(frozen=True)
class Hostile:
    """One request.

    Attributes:
        what: that it tries.
        path: below the service.
        body: of the request.
        kind: its content type.
    """

    what: str
    path: str
    body: bytes
    kind: str


def requests(
    corpus: Path, count: int, seed: int = 0, operations: Sequence[str] = tuple(OPERATIONS)
) -> Iterator[Hostile]:
    """So many requests, the same for one seed.

    Args:
        corpus: folder of files to damage.
        count: of requests.
        seed: of what is random.
        operations: that are asked.
    """
    rng = random.Random(seed)
    files = [p for p in sorted(corpus.glob("*/*")) if p.is_file() and p.stat().st_size < 200_000]
    contents = {path: path.read_bytes() for path in files}
    makers = [_json, _smiles, _form, _bomb] + [_damaged] * 12
    for _ in range(count):
        yield rng.choice(makers)(rng, contents, operations)


def _path(operation: str) -> str:
    return f"/api/v1/{operation.replace('-', '/', 1)}"


def _damaged(rng: random.Random, contents: dict[Path, bytes], operations: Sequence[str]) -> Hostile:
    operation = rng.choice(operations)
    field, endings = OPERATIONS[operation]
    fitting = [p for p in contents if p.name.lower().endswith(endings)] or list(contents)
    path = rng.choice(fitting)
    data = contents[path]
    if rng.random() < 0.85:
        data = mutate(rng, data, [contents[p] for p in rng.sample(fitting, min(3, len(fitting)))])
    return _upload(rng, operation, field, "".join(path.suffixes[-1:]), data, f"damaged {path.parent.name}/{path.name}")


def _bomb(rng: random.Random, _: dict[Path, bytes], operations: Sequence[str]) -> Hostile:
    operation = rng.choice(operations)
    field, endings = OPERATIONS[operation]
    ending = rng.choice(endings)
    xml = f'<?xml version="1.0"?>\n<!DOCTYPE x [{ENTITIES}]>\n<mzML><run><x>&e9;</x></run></mzML>'.encode()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../escaped", "x")
        packed.writestr("1/fid", b"\0" * 30_000_000)
        packed.writestr("1/acqus", "##$TD= 99999999999\n")
    bombs = {
        "gzip that unfolds": (ending + ".gz", gzip.compress(b"1 1\n" * 8_000_000, 9)),
        "gzip in gzip": (ending + ".gz", gzip.compress(gzip.compress(b"\0" * 20_000_000, 9), 9)),
        "entities": (ending, xml),
        "zip": (".zip" if ".zip" in endings else ending, zipped.getvalue()),
        "one long line": (ending, b"9" * 3_000_000),
    }
    what = rng.choice(list(bombs))
    return _upload(rng, operation, field, *bombs[what], what)


def _upload(rng: random.Random, operation: str, field: str, ending: str, data: bytes, what: str) -> Hostile:
    name = rng.choice(NAMES).format(ending) if rng.random() < 0.3 else f"file{ending}"
    boundary = f"b{rng.getrandbits(64):x}"
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode("utf-8", "replace")
    parts = [b"--" + boundary.encode() + b"\r\n" + head + data + b"\r\n"]
    if operation == "nmr-fit":
        options = json.dumps({"smiles": "CCO", "starts": 1})
    elif operation == "explain":
        options = json.dumps({"structures": ["CCO"]})
    elif operation == "flux-fit":
        options = json.dumps({"starts": 1, "intervals": "none"})
    else:
        options = "{}"
    if operation == "nmr-mixture":
        other = b'Content-Disposition: form-data; name="library"; filename="a.json"\r\n\r\n{}\r\n'
        parts.append(b"--" + boundary.encode() + b"\r\n" + other)
    told = f'Content-Disposition: form-data; name="options"\r\n\r\n{options}\r\n'.encode()
    parts += [b"--" + boundary.encode() + b"\r\n" + told, b"--" + boundary.encode() + b"--\r\n"]
    return Hostile(what, _path(operation), b"".join(parts), f"multipart/form-data; boundary={boundary}")


def _json(rng: random.Random, _: dict[Path, bytes], operations: Sequence[str]) -> Hostile:
    return Hostile("JSON", _path(rng.choice([*operations, "jobs"])), rng.choice(BODIES), "application/json")


def _smiles(rng: random.Random, _: dict[Path, bytes], operations: Sequence[str]) -> Hostile:
    smiles = rng.choice(SMILES)
    if rng.random() < 0.5 or "explain" not in operations:
        return Hostile("SMILES", "/api/v1/depict", json.dumps({"smiles": smiles}).encode(), "application/json")
    given = {"structures": [smiles], "peaks": [[50.0, 1], [99.0, 2]], "precursor_mz": 100.0}
    return Hostile("SMILES", "/api/v1/explain", json.dumps(given).encode(), "application/json")


def _form(rng: random.Random, contents: dict[Path, bytes], operations: Sequence[str]) -> Hostile:
    """Forms that are broken themselves."""
    operation = rng.choice(operations)
    good = _damaged(rng, contents, [operation])
    kinds = [
        good.kind, "multipart/form-data", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 5000,
        "multipart/form-data; charset=utf-99; boundary=b", "text/html", "application/x-www-form-urlencoded", "",
    ]  # fmt: skip
    body = rng.choice([good.body[: rng.randrange(len(good.body))], mutate(rng, good.body, [good.body]), good.body * 2])
    return Hostile("form", _path(operation), body, rng.choice(kinds))
