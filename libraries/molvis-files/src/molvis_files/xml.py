"""XML of strangers: in linear time, without declarations of their own.

A document type with declarations can define entities that unfold to gigabytes, or name files to be read. No format that
molvis reads has any, so a file with some is refused. A bare `<!DOCTYPE fluxml SYSTEM "fluxml.dtd">` declares nothing,
and is passed over; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from molvis_core.errors import ReadError

DEEPEST = 200
"""Elements within each other. The formats have ten or so, and what walks a tree goes as deep as the tree."""
_PROLOGUE = 1 << 20


def make_parser(path: object, namespaces: bool = False) -> Any:
    """An expat parser that refuses declarations; only the handlers of elements and text are free to be set.

    Raises:
        ReadError: by its `Parse`, of a file that declares something.
    """
    parser = expat.ParserCreate(namespace_separator="}" if namespaces else None)
    parser.buffer_text = True

    def doctype(_name: str, _system: str | None, _public: str | None, declares: int) -> None:
        if declares:
            raise ReadError(
                path,
                "declares entities or elements in its <!DOCTYPE>, which can unfold to gigabytes; take the part in "
                "square brackets out",
                line=parser.CurrentLineNumber,
            )

    parser.StartDoctypeDeclHandler = doctype
    return parser


def parse(path: object, parser: Any, data: bytes | str) -> None:
    """Run a parser over a whole document.

    Raises:
        ReadError: it is no XML; the message names the line.
    """
    try:
        parser.Parse(data, True)
    except LookupError as error:
        raise ReadError(path, f"is no XML: {error}; correct its first line", line=1) from error
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ReadError(path, f"is no XML: {reason}; correct the file, or get it whole", line=error.lineno) from error
    except ValueError as error:  # of an encoding that expat cannot take from Python
        raise ReadError(path, f"is no XML: {error}; save it as UTF-8", line=1) from error


def parse_xml(path: object, data: bytes | str) -> Element:
    """The root element of a document; tags are `{namespace}name`, as ElementTree has them.

    Args:
        path: that errors name.
        data: the whole document.

    Raises:
        ReadError: it is no XML, declares a document type of its own, or is nested absurdly.
    """
    builder = TreeBuilder()
    parser = make_parser(path, namespaces=True)
    start, end = counted(path, parser, lambda tag, attributes: _start(builder, tag, attributes))
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: (end(), builder.end(_clark(tag)))
    parser.CharacterDataHandler = builder.data
    parse(path, parser, data)
    return builder.close()


def counted(
    path: object, parser: Any, start: Callable[[str, dict[str, str]], object]
) -> tuple[Callable[[str, dict[str, str]], None], Callable[[], None]]:
    """A handler of elements that begin, and what to call where they end: together they watch the depth."""
    depth = 0

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ReadError(
                path, f"nests more than {DEEPEST} elements; is it the right file?", line=parser.CurrentLineNumber
            )
        start(tag, attributes)

    def end() -> None:
        nonlocal depth
        depth -= 1

    return begin, end


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def _start(builder: TreeBuilder, tag: str, attributes: dict[str, str]) -> None:
    builder.start(_clark(tag), {_clark(name): value for name, value in attributes.items()})


class _FirstElement(Exception):  # noqa: N818 - it ends the look at a beginning, and nothing is wrong
    """The prologue is over."""


def refuse_declarations(path: object, stream: BinaryIO) -> None:
    """Look at the beginning of a document that another parser is going to read, and put the stream back to its start.

    Raises:
        ReadError: it declares a document type of its own, or does not begin as XML does.
    """

    def first(_tag: str, _attributes: dict[str, str]) -> None:
        raise _FirstElement

    parser = make_parser(path)
    parser.StartElementHandler = first
    seen = 0
    try:
        while chunk := stream.read(1 << 14):
            parser.Parse(chunk, False)
            if (seen := seen + len(chunk)) > _PROLOGUE:
                raise ReadError(path, "has no element in its first megabyte; is it the right file?")
    except _FirstElement:
        pass
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(path, f"is no XML: {error}", line=getattr(error, "lineno", 1)) from error
    stream.seek(0)
