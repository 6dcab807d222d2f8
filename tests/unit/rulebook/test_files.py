"""Rule files are plain YAML data: whatever YAML can do beyond data is refused, with file, line and key."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import MAX_BYTES, name_of, read_model, read_yaml


def written(tmp_path: Path, text: str | bytes) -> Path:
    """A file of a rulebook."""
    path = tmp_path / "rules" / "file.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path: Path, text: str | bytes) -> RulebookInvalid:
    """Why a file is not read."""
    with pytest.raises(RulebookInvalid) as caught:
        read_yaml(written(tmp_path, text))
    return caught.value


def test_data_come_with_the_line_of_each_key(tmp_path: Path) -> None:
    data, lines = read_yaml(written(tmp_path, "a: 1\nb:\n  - c: x\n  - d\n"))
    assert data == {"a": 1, "b": [{"c": "x"}, "d"]}
    assert (lines["a",], lines["b",], lines["b", 0, "c"], lines["b", 1]) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x: 2026-11-01", "2026-11-01"),
        ("x: 1.0.0", "1.0.0"),
        ("x: 1.5", 1.5),
        ("x: 12", 12),
        ("x: true", True),
        ("x: null", None),
        ("x: '12'", "12"),
        ("x: 12:30:00", "12:30:00"),
        ("x: 010", "010"),
        ("x: 1_000", "1_000"),
        ("x: yes", "yes"),
        ("x: on", "on"),
    ],
)
def test_a_scalar_is_what_its_author_sees(tmp_path: Path, text: str, value: Any) -> None:
    assert read_yaml(written(tmp_path, text))[0] == {"x": value}


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "")) == (None, {})


@pytest.mark.parametrize(
    ("text", "problem", "line", "key"),
    [
        ("a: &x 1\nb: *x\n", "uses an anchor or alias", 1, None),
        ("a: 1\nb: *x\n", "uses an anchor or alias", 2, None),
        ("a: 1\nb: 2\na: 3\n", "stands twice", 3, "a"),
        ("a: 1\nb: !secret x\n", "uses a YAML tag", 2, None),
        ("a: 1\nb: !!timestamp 2026-11-01\n", "uses a YAML tag", 2, None),
        ("a: 1\nb: !!binary aGVsbG8=\n", "uses a YAML tag", 2, None),
        ("a: 1\nb: [1, 2\n", "is not readable YAML", 3, None),
        ("a: 1\n\x00", "is not readable YAML", None, None),
        (b"a: \xff\n", "is not UTF-8 text", None, None),
        ("[" * 40 + "]" * 40, "is nested deeper than 32", 1, None),
        ("#" * (MAX_BYTES + 1), f"is larger than {MAX_BYTES} bytes", None, None),
    ],
)
def test_what_is_not_plain_data_is_refused_where_it_stands(
    tmp_path: Path, text: str | bytes, problem: str, line: int | None, key: str | None
) -> None:
    fault = refused(tmp_path, text)
    assert (fault.problem, fault.file, fault.line, fault.key) == (problem, "rules/file.yaml", line, key)


def test_nesting_beyond_any_reader_is_refused_like_any_other(tmp_path: Path) -> None:
    assert refused(tmp_path, "[" * 5000 + "]" * 5000).problem == "is nested deeper than 32"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulebookInvalid, match=r"rules/gone.yaml: cannot be read: No such file or directory"):
        read_yaml(tmp_path / "rules" / "gone.yaml")


def test_a_name_leaves_the_machines_folders_out(tmp_path: Path) -> None:
    assert name_of(tmp_path / "rules" / "heart" / "1.0.0" / "rule.yaml") == "rules/heart/1.0.0/rule.yaml"
    assert name_of(tmp_path / "elsewhere.yaml") == "elsewhere.yaml"


class Inner(BaseModel):
    """A closed model."""

    model_config = ConfigDict(strict=True, extra="forbid")
    number: int = 1


class Outer(BaseModel):
    """A model with a list of closed ones."""

    model_config = ConfigDict(strict=True, extra="forbid")
    parts: list[Inner]


@pytest.mark.parametrize(
    ("text", "line", "key", "problem"),
    [
        ("parts:\n  - number: 1\n  - number: x\n", 3, "parts.1.number", "Input should be a valid integer"),
        ("parts:\n  - nummer: 1\n", 2, "parts.0.nummer", "Extra inputs are not permitted"),
        ("parts: []\nmore: 1\n", 2, "more", "Extra inputs are not permitted"),
        ("other: []\n", 1, "parts", "Field required"),
    ],
)
def test_a_value_of_another_type_is_refused_where_it_stands(
    tmp_path: Path, text: str, line: int, key: str, problem: str
) -> None:
    with pytest.raises(RulebookInvalid) as caught:
        read_model(written(tmp_path, text), Outer)
    fault = caught.value
    assert (fault.line, fault.key) == (line, key)
    assert fault.problem.startswith(problem)
