"""Words of a record's texts are compared without case and punctuation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.words import words_of


def test_words_are_read_from_every_text_that_is_there() -> None:
    assert words_of("Phenelzine, (15 mg)", None, "", "TAB.") == {"phenelzine", "15", "mg", "tab"}


def test_no_text_has_no_words() -> None:
    assert words_of() == words_of(None, " .,- ") == frozenset()


@pytest.mark.parametrize("text", ["ketamine/esketamine", "ketamine-esketamine", "ketamine;esketamine"])
def test_punctuation_parts_words(text: str) -> None:
    assert words_of(text) == {"ketamine", "esketamine"}


@given(st.lists(st.text("abcXYZ ,.-", max_size=12)))
def test_words_do_not_depend_on_case_or_on_how_the_texts_are_split(texts: list[str]) -> None:
    assert words_of(*texts) == words_of(" ".join(texts).swapcase())
