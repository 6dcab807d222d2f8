"""A value set version is the exact content that its hash names."""

import pytest

from cds_service.errors import RulebookInvalid
from cds_service.rulebook.value_sets import read_value_set
from tests.unit.rulebook.support import HEART_CSV, Book

METADATA = "value_sets/heart/1.yaml"


def test_a_value_set_is_its_codes_and_their_columns(book: Book) -> None:
    heart = read_value_set(book.folder / "value_sets", "heart", "1")
    first, second = heart.codes.values()
    assert (heart.id, heart.version, heart.title) == ("heart", "1", "Heart disease")
    assert (first.key, first.display, first.verified) == (("snomed", "1"), "Heart failure", True)
    assert first.columns == {"source": "a source", "tier": "core"}
    assert (second.display, second.verified) == ("2", False)


def test_a_value_set_that_was_edited_is_refused(book: Book) -> None:
    book.edit(HEART_CSV, "snomed,2", "snomed,3")
    fault = book.refused()
    assert (fault.file, fault.problem) == (
        f"rules/{HEART_CSV}",
        "does not have the content hash of its metadata: a released version was edited",
    )


@pytest.mark.parametrize("row", ["snomed,1,Again,yes,a source,core\n", "snomed,,Nothing,yes,a source,core\n"])
def test_an_empty_or_repeated_code_is_refused_with_its_line(book: Book, row: str) -> None:
    book.write(HEART_CSV, book.read(HEART_CSV) + row)
    book.seal_value_set()
    with pytest.raises(RulebookInvalid, match="has an empty or repeated code") as caught:
        read_value_set(book.folder / "value_sets", "heart", "1")
    assert caught.value.line == 4


def test_a_value_set_that_is_missing_is_refused(book: Book) -> None:
    (book.folder / HEART_CSV).unlink()
    assert book.refused().problem == "cannot be read"


def test_a_value_set_without_metadata_is_refused(book: Book) -> None:
    (book.folder / METADATA).unlink()
    fault = book.refused()
    assert (fault.file, fault.problem) == (f"rules/{METADATA}", "cannot be read: No such file or directory")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("code,display\n1,Heart failure\n", id="a column is missing"),
        pytest.param("system,code,display,verified\nsnomed\n", id="a row is too short"),
        pytest.param(b"system,code,display,verified\nsnomed,1,\xff,yes\n", id="it is not UTF-8"),
    ],
)
def test_a_file_that_is_no_value_set_is_refused(book: Book, text: str | bytes) -> None:
    (book.folder / HEART_CSV).write_bytes(text if isinstance(text, bytes) else text.encode())
    book.seal_value_set()
    with pytest.raises(RulebookInvalid):
        read_value_set(book.folder / "value_sets", "heart", "1")
