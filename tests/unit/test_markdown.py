"""Nothing that a record says becomes markup: `inert` and `own` through a GFM reader with every extension on."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds_service.hooks.markdown import LIMIT, block, bullets, inert, own, table
from tests.acceptance.gfm import render

JOINER = "\u2060"
Writer = Callable[[str], str]
WRITERS: list[Writer] = [inert, own]

# Every construct of GFM that makes an element, an attribute or an address.
HOSTILE = [
    # links and images
    *("[x](http://evil.example)", "![x](http://evil.example/i.png)", "[x]: http://evil.example", "[x][y]"),
    *("[x]\n\n[x]: http://evil.example", '[x](<http://evil.example> "t")', "[![a](b)](c)"),
    # raw HTML, comments, entities
    *("<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "<!-- x -->", "<?x?>", "<![CDATA[x]]>"),
    *("</p><h1>x</h1>", "&lt;b&gt;", "&#60;b&#62;", "&#x3c;b&#x3e;", "&colon;", "&amp;lt;"),
    # addresses that are linked without being asked for
    *("http://evil.example", "https://evil.example/x?y=z", "HTTPS://EVIL.EXAMPLE", "ftp://evil.example"),
    *("www.evil.example", "WWW.evil.example/x", "(www.evil.example)", "*www.evil.example", "~www.evil.example"),
    *("a@evil.example", "mailto:a@evil.example", "xmpp:a@evil.example/b", "a.b-c_d@evil.example"),
    *("<http://evil.example>", "<a@evil.example>", "<mailto:a@evil.example>", "javascript:alert(1)", "<x:y>"),
    # blocks
    *("# x", "###### x", "x\n===", "x\n---", "---", "***", "___", "- - -", "- x", "+ x", "* x", "1. x", "1) x"),
    *("-", "+", "1.", "> x", "    x", "\tx", "```\nx", "~~~ x\ny", "x\n\n- y", "- [ ] x", "- [x] x"),
    *("|a|b|\n|-|-|\n|c|d|", "a|b\n-|-\nc|d", "[^1]", "[^1]\n\n[^1]: x", "x  \ny", "x\\\ny"),
    # spans
    *("*x*", "**x**", "_x_", "__x__", "~x~", "~~x~~", "`x`", "``x`", "\\*x*", "\\", "x\\"),
    # mentions, issues, emoji codes
    *("@user", "@org/team", "#12", "GH-12", ":smile:"),
    # what turns text around or hides in it
    *("\u202eevil\u202c", "\u2066x\u2069", "x\u200by", "x\u00ady", "x\x00y", "x\x1b[31my", "\ufeffx"),
    *("x\u2028# y", "x\u2029# y", "x\x0b# y", "x\x0c# y", "x\x85# y", "x\r\n\r\n# y"),
]
PLACES = ["{}", "x {}", "({})", "Condition/{}", "x: {}", "{} x", "_{}", "{}{}"]


def assert_plain(text: str) -> None:
    """A paragraph and nothing else, or nothing at all."""
    rendered = render(text)
    assert rendered.elements in ((), ("p",)), rendered
    assert not rendered.attributes, rendered


def seen(text: str) -> str:
    """What a reader sees of a text written by us: word joiners are invisible, and blanks in a row are one."""
    return " ".join(render(text).text.replace(JOINER, "").split())


def words(text: str) -> str:
    """The text as it may be shown: what is invisible left out, and every blank one space."""
    return " ".join("".join(char if char.isprintable() or char.isspace() else "" for char in text).split())


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("payload", HOSTILE)
def test_a_hostile_text_stays_a_line_of_text(write: Writer, payload: str) -> None:
    for place in PLACES:
        text = place.format(payload, payload)
        assert_plain(write(text))
        assert seen(write(text)) == words(text)


@pytest.mark.parametrize("write", WRITERS)
@given(
    text=st.text(alphabet=st.sampled_from(list("ab \n\t1.)(][<>!*_~`#-+=|&;:@/\\w\u202e\u200b")), max_size=30)
    | st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map(" ".join)
)
@example("www.a.b")
def test_no_combination_becomes_markup(write: Writer, text: str) -> None:
    assert_plain(write(text))
    assert seen(write(text)) == words(text)[:LIMIT] or len(words(text)) > LIMIT


@pytest.mark.parametrize("write", WRITERS)
@given(text=st.text(max_size=60))
def test_any_text_is_one_visible_line(write: Writer, text: str) -> None:
    written = write(text)
    assert written.replace(JOINER, "").isprintable()
    assert_plain(written)


@given(text=st.text(alphabet=st.sampled_from(list("\\*<&[x")), min_size=1, max_size=80), limit=st.integers(4, 60))
def test_a_text_is_cut_before_it_is_escaped(text: str, limit: int) -> None:
    """Cut after, an escape could lose its half, and let the next character through."""
    shown = seen(inert(text, limit))
    assert len(shown) <= limit
    assert shown == text if len(text) <= limit else shown == text[: limit - 3].rstrip() + "..."
    assert_plain(inert(text, limit))


def test_a_long_text_is_cut_to_200_characters_with_a_visible_mark() -> None:
    shown = seen(inert("x" * 500))
    assert len(shown) == LIMIT == 200
    assert shown.endswith("...")


@pytest.mark.parametrize(
    "text",
    [
        "2+ adequate antidepressant exposures found; outcomes: not recorded.",
        "Label guide value; values in the EU and Switzerland differ.",
        "6 weeks or more at an adequate dose, 2026-10-31, 2.5 mg/d (12 h)",
    ],
)
def test_our_own_words_are_left_as_they_are(text: str) -> None:
    """Cards are read as plain text by some clients, so nothing is escaped without need."""
    assert own(text) == text


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_cell_of_a_table_and_an_item_of_a_list_hold_hostile_text(payload: str) -> None:
    for written in (inert(payload), own(payload)):
        listed = render("\n".join(bullets([written])))
        assert (listed.elements, listed.attributes) == (("ul", "li"), ())
        cells = render("\n".join(table(["Head", "Head"], [[written, "last"]])))
        assert cells.elements == ("table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td")
        assert not cells.attributes
        assert cells.text.rstrip().endswith("last")


def test_a_block_without_lines_is_left_out() -> None:
    assert block("Unknown", []) == []
    assert render("\n".join(block("Unknown", bullets(["x"])))).elements == ("p", "strong", "ul", "li")
