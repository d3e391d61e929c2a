"""Which format content is in, told by the content and never by a name."""

from __future__ import annotations

import re

import msgspec

from fedgen.errors import FormatError
from fedgen.io.content import GZIP, ZIP, decode_json

COLUMNS = ("user", "server", "room")
READABLE = "fedgen reads parquet federation directories, csv (user,server,room), petgraph, node-link and GraphML"

_GRAPH_KEYS = {"nodes", "edges", "links", "node_holes", "edge_property", "directed", "multigraph"}
_NODE_LINK_KEYS = {"links", "directed", "multigraph", "graph"}
_HEAD = 4096
_USER_NODE = re.compile(rb'"kind"\s*:\s*"[Uu]ser"')
_USERS_OF_ROOM = re.compile(rb'"users"\s*:')  # no string holds it: quotes within are escaped
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def recognise(content: bytes) -> str:
    """The name of the single-file format that unpacked content is in; ``attendance`` (:mod:`fedgen.io.attendance`) too.

    Raises:
        FormatError: none of them; says what the content looks like instead.
    """
    if content.startswith(_UTF_16):
        raise FormatError("is UTF-16; convert it to UTF-8")
    head = content[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] in (b"{", b"["):
        return _json_format(content)
    if head.startswith(b"<"):
        if b"graphml" not in head:
            raise FormatError(f"is XML but no GraphML; {READABLE}")
        return "graphml"
    if head.startswith(b"PAR1"):
        raise FormatError("is a single parquet table; give the federation directory that it belongs to")
    if head.startswith((GZIP, *ZIP)):
        raise FormatError("is packed twice; unpack it once")
    first = head.split(b"\n", 1)[0]
    if not head or any(byte < 32 and byte not in b"\t\r" for byte in first):
        raise FormatError(f"is not in a format that fedgen knows; {READABLE}")
    missing = _missing(columns(first))
    for separator, words in _SEPARATORS.items():
        if missing and not _missing(columns(first, separator)):
            raise FormatError(f"separates its columns by {words}; write it again with commas")
    if missing == list(COLUMNS):
        raise FormatError(f"is not in a format that fedgen knows; {READABLE}")
    if missing:
        raise FormatError(f"has no column {' and no column '.join(missing)} in its header; needs {','.join(COLUMNS)}")
    return "csv"


def columns(header: bytes, separator: str = ",") -> list[str]:
    """The column names of the first line of a CSV; those that fedgen knows in lower case, however they are written."""
    line = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    names = [name.strip().strip('"') for name in line.split(separator)]
    return [name.lower() if name.lower() in COLUMNS else name for name in names]


def _missing(header: list[str]) -> list[str]:
    return [name for name in COLUMNS if name not in header]


def _json_format(content: bytes) -> str:
    keys = decode_json(content, dict[str, msgspec.Raw])
    if keys.keys() & _GRAPH_KEYS:
        edges = bytes(keys.get("edges", keys.get("links", msgspec.Raw(b"")))).lstrip()
        of_objects = edges[:1] == b"[" and edges[1:].lstrip()[:1] == b"{"
        if of_objects or keys.keys() & _NODE_LINK_KEYS:
            return "node-link"
        nodes = bytes(keys.get("nodes", msgspec.Raw(b"")))
        return "petgraph" if _USER_NODE.search(nodes) or not _USERS_OF_ROOM.search(nodes) else "attendance"
    if keys and all(bytes(value)[:1] == b"[" for value in keys.values()):
        return "locust"
    named = ", ".join(list(keys)[:5]) or "none"
    raise FormatError(f"is JSON but no federation (its keys: {named[:80]!r}); {READABLE}")
