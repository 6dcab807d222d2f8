"""The error tree: codes, statuses and texts."""

import inspect
from typing import Any

import pytest

from cds_service import errors
from cds_service.errors import CdsError, MalformedRequest, RequiredDataMissing, RulebookInvalid, operation_outcome

ABSTRACT = {errors.CdsError, errors.RequestError, errors.ServiceError, errors.Refusal}
SPECIAL: dict[type[CdsError], list[CdsError]] = {
    MalformedRequest: [MalformedRequest(kind, "hook") for kind in ("structure", "required", "value")],
    RequiredDataMissing: [RequiredDataMissing([("conditions", "not sent")])],
    RulebookInvalid: [RulebookInvalid("is empty", file="rule.yaml", line=3, key="id")],
    errors.SettingsRefused: [errors.SettingsRefused("is no number", setting="CDS_PORT")],
    errors.CommandRefused: [errors.CommandRefused("Name a file.")],
}


def examples() -> list[CdsError]:
    classes: list[Any] = [thing for _, thing in inspect.getmembers(errors, inspect.isclass)]
    concrete = [thing for thing in classes if issubclass(thing, CdsError) and thing not in ABSTRACT]
    return [example for cls in concrete for example in SPECIAL.get(cls) or [cls()]]


def test_each_fault_has_a_code_of_its_own_and_the_table_holds_exactly_these() -> None:
    codes = [example.code for example in examples()]
    assert len(codes) == len(set(codes))
    assert set(codes) == set(errors.STATUS)


def test_the_tree_in_the_docstring_names_every_class_and_code() -> None:
    drawing = errors.__doc__ or ""
    for example in examples():
        assert type(example).__name__ in drawing
        assert example.code in drawing


@pytest.mark.parametrize("error", examples(), ids=lambda error: error.code)
def test_every_error_has_a_status_a_sentence_and_an_issue(error: CdsError) -> None:
    assert 400 <= error.status < 600
    assert str(error) == error.sentence
    assert error.sentence.rstrip(".")
    (issue,) = error.issues()
    assert issue.code == error.issue


def test_the_kinds_of_malformed_request_tell_what_to_do_and_where() -> None:
    error = MalformedRequest("value", "context.userId", why="It names no practitioner.")
    assert (error.code, error.status, error.issue) == ("CDS-103", 400, "value")
    assert error.issues()[0].expression == ("context.userId",)
    assert error.sentence.endswith("correct it. It names no practitioner.")


def test_missing_data_are_one_issue_per_key_with_a_cause_class() -> None:
    error = RequiredDataMissing([("patient", "timeout"), ("conditions", "client error")])
    assert [issue.diagnostics for issue in error.issues()] == ["patient: timeout", "conditions: client-error"]
    assert [issue.expression for issue in error.issues()] == [("prefetch.patient",), ("prefetch.conditions",)]
    assert str(error).endswith("Missing: patient (timeout), conditions (client-error).")


@pytest.mark.parametrize("missing", [[], [("patient", "of some reason")]])
def test_missing_data_need_a_key_and_a_known_cause(missing: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="at least one key"):
        RequiredDataMissing(missing)


def test_a_rulebook_fault_names_file_line_and_key() -> None:
    assert str(RulebookInvalid("is empty.", file="a/rule.yaml", line=3, key="id")).endswith(
        "a/rule.yaml:3: id: is empty."
    )
    assert str(RulebookInvalid("is empty.", file="a/rule.yaml")).endswith(" a/rule.yaml: is empty.")


def test_an_outcome_leaves_out_members_without_a_value() -> None:
    outcome = operation_outcome(errors.UnknownPage().issues())
    assert set(outcome["issue"][0]) == {"severity", "code", "details"}
