from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest

from molvis_core.errors import ReadError
from molvis_files.xml import DEEPEST, parse_xml, refuse_declarations

BOMB = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;">]>
<a>&d;</a>
"""
PLAIN = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE a SYSTEM "a.dtd">
<a xmlns="urn:x" xmlns:y="urn:y"><!-- [<!ENTITY --><b y:k="1" k="2">t\u00e9xt<i/>tail</b></a>
"""


def test_a_document_that_declares_entities_is_refused_with_its_line() -> None:
    for look in (lambda: parse_xml("a.xml", BOMB), lambda: refuse_declarations("a.xml", io.BytesIO(BOMB.encode()))):
        with pytest.raises(ReadError, match=r"a\.xml:2: declares entities or elements in its <!DOCTYPE>"):
            look()


def test_a_plain_document_is_what_elementtree_makes_of_it() -> None:
    for data in (PLAIN, PLAIN.encode()):
        assert ET.tostring(parse_xml("a.xml", data)) == ET.tostring(ET.fromstring(data))


def test_a_look_at_the_beginning_leaves_the_stream_at_its_start() -> None:
    stream = io.BytesIO(PLAIN.encode() + b"behind, anything")
    refuse_declarations("a.xml", stream)
    assert stream.tell() == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no element found"),
        (b"<a>", "no element found"),
        (b"<a></b>", "mismatched tag"),
        (b"<a>&b;</a>", "undefined entity"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "klingon"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a/>', "is no XML"),
        (b"<a>" * (DEEPEST + 1), "nests more than"),
    ],
)
def test_what_is_no_document_is_a_read_error(data: bytes, reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        parse_xml("a.xml", data)


def test_a_beginning_without_end_is_given_up() -> None:
    with pytest.raises(ReadError, match="no element in its first megabyte"):
        refuse_declarations("a.xml", io.BytesIO(b"<!--" + b"x" * (3 << 20)))
    with pytest.raises(ReadError, match="is no XML"):
        refuse_declarations("a.xml", io.BytesIO(b"\x89PNG"))
