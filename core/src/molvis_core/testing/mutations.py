"""Damage to files, as disks, cut connections, careless programs and ill will do it, for `make fuzz`."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

LARGEST = 1 << 18
"""Bytes of a damaged file: what needs more to do harm is about size alone, which has tests of its own."""

NUMBERS = (
    "0", "-1", "1", "2", "-0", "1e308", "1e999", "-1e999", "nan", "inf", "1e-320", "255", "256", "65535", "65536",
    "2147483647", "2147483648", "-2147483648", "4294967295", "9223372036854775807", "9223372036854775808",
    "99999999999999999999999", "1" * 5000, "0x10", "1_0", "\u0661", "\u00b2", "1,5", "1.2.3", "--1", "+", ".", "e5",
)  # fmt: skip
WORDS = (
    "", " ", "\t", "\x00", "\x1b[2J", "\u202e", "\ufeff", "\ud7ff", "'", '"', "=cmd()", "../../x", "%s", "{0}", "[]",
    "{}", "null", "true", "None", "A" * 3000, "(" * 300, "[" * 1500, "C" * 1500, "C1CC", "[H]", "[M+H]+", "[2M+Na]+",
    "C6H12O6", "H-1", "InChI=1S/", "<", ">", "&amp;", "]]>", "<!--", "//", "$$$$", "M  END", "##END=", "BEGIN IONS",
)  # fmt: skip
_INTEGERS = (0, 1, -1, 127, 128, 255, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, 1e308, float("nan"), float("inf"), "", "x", "nan", [], {},
    [[]], [None], [1, 2], [1, "x"], {"a": 1}, "C" * 1500, [[1, 2], [3]],
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A damaged copy of a file, damaged within where it is packed.

    Args:
        rng: what is random.
        data: of the file.
        others: files of the same kind, to take pieces from.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = _once(rng, data, others)[:LARGEST]
    return data


def _once(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    inside = [f for fits, f in _CONTAINERS if fits(data)]
    if inside and rng.random() < 0.8:
        try:
            return rng.choice(inside)(rng, data, others)
        except Exception:  # noqa: BLE001 - damaged before, in any way: then as bytes
            pass
    is_text = b"\x00" not in data[:1000]
    return rng.choice(_TEXT if is_text and rng.random() < 0.8 else _BYTES)(rng, data, others)


# Bytes


def _place(rng: random.Random, data: bytes, longest: int = 1 << 14) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(rng.random() ** 3 * longest) + 1)


def _flip(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    out = bytearray(data or b"\0")
    for _time in range(rng.choice((1, 1, 4, 16))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, stop = _place(rng, data)
    return data[:start] + data[stop:]


def _end(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _again(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, stop = _place(rng, data, 1000)
    return data[:stop] + data[start:stop] * rng.choice((1, 2, 50, 1000)) + data[stop:]


def _splice(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    start, stop = _place(rng, other)
    at, behind = _place(rng, data, 100)
    return data[:at] + other[start:stop] + data[behind if rng.random() < 0.5 else at :]


def _integer(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    number = (rng.choice(_INTEGERS) & (256**size - 1)).to_bytes(size, rng.choice(("little", "big")))
    at = rng.randrange(len(data) + 1)
    # Headers hold most of the counts of what follows.
    at = at if rng.random() < 0.5 else at % 600
    return data[:at] + number + data[at + size :]


def _noise(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, stop = _place(rng, data, 200)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


# Text


def _number(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _replaced(rng, data, rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", NUMBERS)


def _word(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _replaced(rng, data, rb"[^\s,;:=<>\"']+", (*WORDS, *NUMBERS))


def _replaced(rng: random.Random, data: bytes, pattern: bytes, by: Sequence[str]) -> bytes:
    found = list(re.finditer(pattern, data))
    if not found:
        return data + rng.choice(by).encode("utf-8", "surrogatepass")
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(by).encode("utf-8", "surrogatepass") + data[one.end() :]


def _lines(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    rows = data.split(b"\n")
    i, j = rng.randrange(len(rows)), rng.randrange(len(rows))
    what = rng.randrange(5)
    if what == 0:
        del rows[i]
    elif what == 1:
        rows[i], rows[j] = rows[j], rows[i]
    elif what == 2:
        rows[i:i] = [rows[j]] * rng.choice((1, 3, 500))
    elif what == 3:
        rows[i] = rng.choice(rng.choice(others).split(b"\n")) if others else b""
    else:
        rows[i] += b" " + rows[j]
    return b"\n".join(rows)


def _encoding(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    text = data.decode("utf-8", "replace")
    how = rng.choice(("utf-16", "utf-8-sig", "latin-1", "cr", "crlf", "null"))
    if how in ("cr", "crlf"):
        return text.replace("\n", "\r" if how == "cr" else "\r\n").encode()
    return data.replace(b" ", b"\0", 3) if how == "null" else text.encode(how, "replace")


# What is packed within


def _in_gzip(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return gzip.compress(_once(rng, gzip.decompress(data), others), 1, mtime=0)


def _in_zip(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        files = [(info.filename, packed.read(info)) for info in packed.infolist()[:100]]
    if not files:
        return data
    number = rng.randrange(len(files))
    name, content = files[number]
    what = rng.randrange(8)
    if what == 0:
        del files[number]
    elif what == 1:
        files[number] = (rng.choice((name.upper(), f"../{name}", f"x/{name}", files[0][0])), content)
    else:
        files[number] = (name, _once(rng, content, [c for _, c in files] + list(others)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for inner, content in dict(files).items():
            packed.writestr(zipfile.ZipInfo(inner or "x"), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _in_base64(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"[A-Za-z0-9+/]{16,}={0,2}", data))
    one = rng.choice(found)
    raw = base64.b64decode(one.group() + b"=" * (-len(one.group()) % 4))
    try:
        raw = zlib.compress(rng.choice(_BYTES)(rng, zlib.decompress(raw), []))
    except zlib.error:
        raw = rng.choice(_BYTES)(rng, raw, [])
    return data[: one.start()] + base64.b64encode(raw) + data[one.end() :]


def _in_json(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    value = json.loads(data)
    nodes: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in inner:
            nodes.append((node, key))
            waiting.append(child)
    if not nodes:
        return json.dumps(rng.choice(_VALUES)).encode()
    node, key = rng.choice(nodes)
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice((*_VALUES, value if rng.random() < 0.1 else None))
    return json.dumps(value, default=str).encode()


def _in_parquet(rng: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data)).slice(0, 20)
    number = rng.randrange(max(table.num_columns, 1))
    rows = table.column(number).to_pylist()
    what = rng.randrange(4)
    if what == 0:
        changed = table.remove_column(number)
    elif what == 1:
        changed = table.rename_columns([f"{n}_" if i == number else n for i, n in enumerate(table.column_names)])
    else:
        if what == 2 and rows:
            rows[rng.randrange(len(rows))] = rng.choice((None, [], [None], [-1.0], [float("nan")], 1e308, -1, "", "x"))
        else:
            rows = [rng.choice(_VALUES)] * len(rows)
        changed = table.set_column(number, table.column_names[number], [pa.array(rows)])
    out = io.BytesIO()
    pq.write_table(changed, out)
    return out.getvalue()


Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
_BYTES: tuple[Mutation, ...] = (_flip, _cut, _end, _again, _splice, _integer, _integer, _noise)
_TEXT: tuple[Mutation, ...] = (_number, _number, _word, _word, _lines, _lines, _cut, _end, _again, _splice, _encoding)
_CONTAINERS: tuple[tuple[Callable[[bytes], bool], Mutation], ...] = (
    (lambda data: data.startswith(b"\x1f\x8b"), _in_gzip),
    (lambda data: data.startswith(b"PK\x03\x04"), _in_zip),
    (lambda data: data.startswith(b"PAR1"), _in_parquet),
    (lambda data: data.lstrip()[:1] in (b"{", b"["), _in_json),
    (lambda data: data.startswith(b"<") and bool(re.search(rb"[A-Za-z0-9+/]{16,}={0,2}", data)), _in_base64),
)
