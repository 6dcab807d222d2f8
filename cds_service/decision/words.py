"""Words of a record's texts, by which a drug or a substance that has no known code is recognised."""

import string

_NO_LETTERS = str.maketrans(dict.fromkeys(string.punctuation, " "))


def words_of(*texts: str | None) -> frozenset[str]:
    """The words of texts, in lower case, without punctuation."""
    return frozenset(" ".join(filter(None, texts)).lower().translate(_NO_LETTERS).split())
