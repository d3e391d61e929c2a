"""Elements of a page.

They are built as a tree and written by the standard library, so that whatever a name or a command line holds is text:
nothing has to be escaped by hand, and nothing can be left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import Element, tostring

from fedgen.figures.style import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

Content: TypeAlias = Element | str


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """``<tag attributes>content</tag>``; the name of an attribute may end in an underscore, and has - for others."""
    names = {name.rstrip("_").replace("_", "-"): printable(value) for name, value in attributes.items()}
    made = Element(tag, names)
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + part
        else:
            made.text = (made.text or "") + part
    return made


def section(name: str, heading: str, *content: Content) -> Element:
    """A part of the page that can be linked to."""
    return element("section", element("h2", heading), *content, id=name)


def items(texts: Iterable[Content]) -> Element:
    """A list."""
    return element("ul", *(element("li", text) for text in texts))


def table(caption: str, header: Iterable[str], rows: Iterable[Iterable[Content]]) -> Element:
    """A plain table whose first column names its rows."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = (
        element("tr", *(element("td", cell) if i else element("th", cell, scope="row") for i, cell in enumerate(row)))
        for row in rows
    )
    return element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_="plain"
    )


def document(root: Element) -> str:
    """The whole page."""
    return f"<!DOCTYPE html>\n{tostring(root, encoding='unicode', method='html')}\n"
