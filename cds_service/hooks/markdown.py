"""GitHub-flavoured Markdown for cards: our own structure, with everything else made inert.

Text taken from a record stands in one escaped run, cut first and escaped after, since cutting an escape in half lets
the next character through. Addresses are linked by readers even when escaped, which a word joiner after `@`, `:` and
`.` prevents.
"""

import re
import unicodedata

LIMIT = 200
_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# No escape keeps a reader from linking an e-mail or web address; an invisible word joiner inside it does.
_JOIN_AFTER = set("@:.")
_WORD_JOINER = "\u2060"
# Where a reader takes words for an address: http://, ftp://, www., and what has an @ (mailto:, xmpp:).
_ADDRESS = re.compile(r"@|:(?=//)|www(?=\.)", re.IGNORECASE)
# The start of a line that makes a list, a rule or an underlined heading.
_MAY_START_A_BLOCK = frozenset("-+=0123456789")
_BLOCK = re.compile(r"^(\d{1,9}(?=[.)](?: |$))|(?=[-+=]))")
_OWN = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|#~&"})


def inert(text: str, limit: int = LIMIT) -> str:
    """Text of a record as plain characters: no markup, link, mention, control or direction change comes out of it."""
    plain = _one_line(text)
    if len(plain) > limit:
        plain = plain[: limit - 3] + "..."
    return "".join(_escaped(char) for char in plain)


def _one_line(text: str) -> str:
    kept = "".join(" " if char.isspace() else char for char in text if char.isspace() or _visible(char))
    return " ".join(kept.split())


def _visible(char: str) -> bool:
    """Not a control, format, surrogate or private character, and no line or paragraph separator."""
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _escaped(char: str) -> str:
    text = f"\\{char}" if char in _PUNCTUATION else char
    return text + _WORD_JOINER if char in _JOIN_AFTER else text


def own(text: str) -> str:
    """Our own words and typed values as one run that reads well as plain text, too.

    An id, a code or a unit may be anything in a record, so this holds against hostile text just as `inert` does: it
    escapes what acts inside a line or at its start, and breaks addresses.
    """
    plain = text.strip() if text.isprintable() else _one_line(text)
    escaped = plain.translate(_OWN)
    if plain[:1] in _MAY_START_A_BLOCK:
        escaped = _BLOCK.sub(r"\1\\", escaped)
    # The search is dear, and hardly any text holds an address.
    if "@" in plain or "://" in plain or "www." in plain.lower():
        escaped = _ADDRESS.sub(rf"\g<0>{_WORD_JOINER}", escaped)
    return escaped


def bullets(lines: list[str]) -> list[str]:
    """Lines as a list."""
    return [f"- {line}" for line in lines]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table; cells must not hold line breaks."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def block(title: str, lines: list[str]) -> list[str]:
    """A titled block, with the blank lines that keep it apart; nothing when there are no lines."""
    return [f"**{title}**", "", *lines, ""] if lines else []
