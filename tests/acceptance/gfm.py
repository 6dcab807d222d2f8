"""What a reader of GitHub-flavoured Markdown makes of a text: its elements, attributes and visible words."""

from collections.abc import Iterable
from html.parser import HTMLParser
from typing import NamedTuple

import cmarkgfm.cmark
from cmarkgfm.cmark import Options

EXTENSIONS = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"]
# Raw HTML is let through, so that a text which smuggles some in is seen to do so.
OPTIONS = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES


class Rendered(NamedTuple):
    """The elements in their order, every attribute as `name=value`, and the text between them."""

    elements: tuple[str, ...]
    attributes: tuple[str, ...]
    text: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[str] = []
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [f"{name}={value}" for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append("!--")

    def handle_decl(self, decl: str) -> None:
        self.elements.append("!")

    def handle_pi(self, data: str) -> None:
        self.elements.append("?")


def html_of(text: str) -> str:
    """The HTML that a GFM reader with every extension makes."""
    return cmarkgfm.cmark.markdown_to_html_with_extensions(text, options=OPTIONS, extensions=EXTENSIONS)


def render(text: str) -> Rendered:
    """What comes out of a text."""
    reader = _Reader()
    reader.feed(html_of(text))
    reader.close()
    return Rendered(tuple(reader.elements), tuple(reader.attributes), "".join(reader.parts).strip())
