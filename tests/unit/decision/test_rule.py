"""The typed rule is strict and closed."""

from typing import Any

import pytest
from pydantic import ValidationError

from cds_service.decision.rule import (
    AgeCriterion,
    AllOf,
    AnyOf,
    CapacityCriterion,
    CountCriterion,
    FollowsCriterion,
    FoundCriterion,
    NotOf,
    ReadCriterion,
    StandsCriterion,
    ValueCriterion,
    condition_names,
    fact_name,
)
from tests.unit.decision.support import rule


@pytest.mark.parametrize(
    "fault",
    [
        {"colour": "red"},
        {"version": 1},
        {"version": "1.0"},
        {"rule": "Heart Disease"},
        {"implements": ["D100"]},
        {"grades": []},
        {"otherwise": {"finding": "met", "says": "It is so."}},
        {"facts": {"x": {"kind": "another"}}},
    ],
)
def test_what_the_language_does_not_know_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**fault)


def test_a_rule_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValidationError):
        rule().title = "Another"  # type: ignore[misc]


def test_a_condition_names_its_criteria_in_the_order_written() -> None:
    condition = AllOf(all=["b", NotOf.model_validate({"not": "a"}), AnyOf(any=["c", "b"])])
    assert condition_names(condition) == ("b", "a", "c", "b")
    assert condition_names("otherwise") == ()
    assert condition_names("a") == ("a",)


@pytest.mark.parametrize(
    ("criterion", "fact"),
    [
        (FoundCriterion(found="f"), "f"),
        (ValueCriterion(value="f", at_least=1), "f"),
        (StandsCriterion(stands="f", says="x"), "f"),
        (FollowsCriterion(follows="f", says="x", after="y"), "f"),
        (CountCriterion(count="f", at_least=1), "f"),
        (AgeCriterion(age="f"), "f"),
        (CapacityCriterion(capacity_for_pregnancy="f"), "f"),
        (ReadCriterion(read="conditions"), None),
    ],
)
def test_a_criterion_asks_about_one_fact_or_about_a_list(criterion: Any, fact: str | None) -> None:
    assert fact_name(criterion) == fact
