"""Mutants: every small change that could make a rule wrong is made, and a case that notices none is told apart."""

from typing import Any

import pytest

from cds_service.decision.codes import ValueSet
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.load import RuleVersion
from cds_service.rulebook.mutants import Mutant, mutants, tally
from tests.unit.decision.support import HEART, grade, rule, value_set
from tests.unit.rulebook.support import Book

CASES, EXPLAINED = "heart/1.0.0/cases.yaml", "heart/1.0.0/mutants.yaml"
SURVIVORS = (
    "facts.disease.clinical current -> unresolved",
    "facts.disease.clinical current -> any",
    "facts.story.lines.minor.condition.codes.0 tier without 'core'",
    "facts.story.lines.minor.condition.clinical any -> current",
    "facts.story.lines.minor.condition.clinical any -> unresolved",
)
RESOLVED = """\
  - case: A resolved heart failure is a minor finding
    given:
      conditions: [{code: "snomed|1", clinical: resolved}]
    expect: {outcome: met, grade: minor}
"""
WHY = "the first codes of both are the same"


def heart(book: Book) -> RuleVersion:
    """The small rulebook's rule."""
    version = book.load().version("heart")
    assert version is not None
    return version


# ------------------------------------------------------------ which of them the cases notice


def test_a_change_that_no_case_notices_survives_and_the_others_are_killed(book: Book) -> None:
    found = tally(heart(book))
    assert (found.rule, found.survivors, found.explained, found.idle) == ("heart", SURVIVORS, 0, ())
    assert (found.killed, found.total) == (10, 15)


def test_a_case_that_notices_a_change_kills_it(book: Book) -> None:
    book.write(CASES, book.read(CASES) + RESOLVED)
    left = tally(heart(book)).survivors
    assert left == SURVIVORS[:1]


def test_a_rule_whose_cases_tell_nothing_apart_has_survivors_only(book: Book) -> None:
    book.write(
        CASES, "cases:\n  - case: Asthma\n    given: {conditions: [{code: local|x}]}\n    expect: {outcome: not met}\n"
    )
    found = tally(heart(book))
    assert (found.killed, len(found.survivors)) == (0, 15)


def test_cases_that_fail_on_the_rule_itself_are_refused_and_kill_nothing(book: Book) -> None:
    book.write(CASES, book.read(CASES) + RESOLVED.replace("grade: minor", "grade: disease"))
    with pytest.raises(RulebookInvalid, match="fails on the rule itself"):
        tally(heart(book))


def test_a_survivor_that_is_explained_is_counted_apart(book: Book) -> None:
    book.write(EXPLAINED, f"survivors:\n  {SURVIVORS[0]}: {WHY}\n  {SURVIVORS[1]}: {WHY}\n")
    found = tally(heart(book))
    assert (found.explained, found.survivors, found.idle, found.total) == (2, SURVIVORS[2:], (), 15)


def test_an_explanation_of_what_a_case_kills_or_of_nothing_is_idle(book: Book) -> None:
    killed = "grades minor before disease"
    book.write(CASES, book.read(CASES) + BOTH)
    book.write(EXPLAINED, f"survivors:\n  {killed}: {WHY}\n  facts.gone.clinical current -> any: {WHY}\n")
    found = tally(heart(book))
    assert found.idle == (killed, "facts.gone.clinical current -> any")
    assert found.explained == 0


BOTH = """\
  - case: Both are met, and the first is the finding
    given:
      conditions: [{code: "snomed|1", clinical: active}, {code: "snomed|2", clinical: active}]
    expect: {outcome: met, grade: disease}
"""


@pytest.mark.parametrize("text", ["survivors: [one]\n", "survivors: {a: b}\nmore: 1\n", "{}\n"])
def test_explanations_in_another_shape_are_refused(book: Book, text: str) -> None:
    book.write(EXPLAINED, text)
    with pytest.raises(RulebookInvalid) as caught:
        tally(heart(book))
    assert caught.value.file == f"rules/{EXPLAINED}"


# ------------------------------------------------------------ which changes are made

TABLE = value_set("table", {"loinc|a": {}, "loinc|b": {}, "loinc|c": {}})
SETS = {"heart": HEART, "table": TABLE}
ONE = {"f": {"kind": "conditions", "codes": [{"set": "table", "codes": ["a"]}], "clinical": "any"}}


def made(sets: dict[str, ValueSet] = SETS, **more: Any) -> dict[str, Mutant]:
    """The mutants of a small rule, by their names."""
    data = rule(**({"facts": ONE} | more)).model_dump(by_alias=True, exclude_unset=True)
    return {mutant.id: mutant for mutant in mutants(data, sets)}


def fact(kind: str, **more: Any) -> set[str]:
    """The changes made in one fact."""
    names = made(facts={"f": {"kind": kind} | more})
    return {name.removeprefix("facts.f") for name in names if name.startswith("facts.f")}


def criterion(**more: Any) -> set[str]:
    """The changes made in one criterion."""
    names = made(criteria={"c": more})
    return {name.removeprefix("criteria.c") for name in names if name.startswith("criteria.c")}


STATUSES = {f".clinical current -> {other}" for other in ("unresolved", "ended", "any")}


def test_a_window_is_shifted_by_a_day_and_left_out() -> None:
    found = fact("conditions", codes=[], clinical="current", within_days=30, from_days=5)
    assert found - STATUSES == {
        " without within_days",
        ".within_days 30 -> 31",
        ".within_days 30 -> 29",
        ".from_days 5 -> 6",
        ".from_days 5 -> 4",
    }


def test_a_change_that_makes_no_rule_is_left_out() -> None:
    found = fact("conditions", codes=[], clinical="current", within_days=0)
    assert found - STATUSES == {" without within_days", ".within_days 0 -> 1"}


def test_a_status_list_is_replaced_by_each_other_one() -> None:
    assert fact("conditions", codes=[], clinical="current") == STATUSES
    assert fact("allergies", codes=[], recorded_as="any") == {
        ".recorded_as any -> allergy",
        ".recorded_as any -> intolerance",
    }


def test_each_end_of_what_is_plausible_is_shifted_and_the_window_of_a_pressure_is_never_left_out() -> None:
    spec: dict[str, Any] = {
        "codes": {"set": "table"},
        "panels": {"set": "table"},
        "systolic": "a",
        "diastolic": "b",
        "within_days": 30,
        "pair_minutes": 5,
        "plausible_systolic": [60, 300],
        "plausible_diastolic": [30, 200],
    }
    found = fact("blood pressure", **spec)
    assert {name for name in found if "systolic" in name} == {
        ".plausible_systolic.0 60 -> 61",
        ".plausible_systolic.0 60 -> 59",
        ".plausible_systolic.1 300 -> 301",
        ".plausible_systolic.1 300 -> 299",
    }
    assert " without within_days" not in found


def test_an_entry_of_a_list_is_left_out_and_a_single_one_is_not() -> None:
    found = fact("score", codes=[{"set": "table"}, {"set": "heart"}], units=["mg", "g"])
    assert {".codes without table", ".codes without heart", ".units without mg", ".units without g"} <= found
    assert fact("score", codes=[{"set": "table"}], units=["mg"]) == set()


def test_the_same_entry_twice_is_one_change() -> None:
    data = rule(facts={"f": {"kind": "score", "codes": [{"set": "table"}] * 2, "units": []}})
    names = [mutant.id for mutant in mutants(data.model_dump(by_alias=True, exclude_unset=True), SETS)]
    assert names.count("facts.f.codes without table") == 1


def test_a_line_of_a_timeline_is_left_out_and_named_by_its_id() -> None:
    lines = [
        {"id": name, "says": ["yes"], "observation": {"codes": [], "flag": True, "together": True, "at_least": 1.5}}
        for name in ("one", "two")
    ]
    found = fact("timeline", empty_list="unknown", lines=lines)
    assert {".lines without one", ".lines without two", ".empty_list unknown -> no evidence"} <= found
    assert {name for name in found if name.startswith(".lines.two")} == {
        ".lines.two.observation.flag True -> False",
        ".lines.two.observation.together True -> False",
        ".lines.two.observation.at_least 1.5 -> 1.6",
        ".lines.two.observation.at_least 1.5 -> 1.4",
    }


def test_a_whole_value_set_loses_each_kind_of_row_where_it_has_several() -> None:
    assert fact("procedures", codes=[{"set": "heart"}]) == {
        ".codes.0 tier without 'core'",
        ".codes.0 tier without 'minor'",
    }
    assert fact("procedures", codes=[{"set": "table"}]) == set()


def test_rows_that_were_picked_lose_each_kind_and_gain_each_other() -> None:
    assert fact("procedures", codes=[{"set": "heart", "where": {"tier": ["core"]}}]) == {".codes.0 tier with 'minor'"}
    assert fact("procedures", codes=[{"set": "heart", "where": {"tier": ["core", "minor"]}}]) == {
        ".codes.0 tier without 'core'",
        ".codes.0 tier without 'minor'",
    }


def test_codes_that_were_picked_one_by_one_lose_each_and_gain_each_other() -> None:
    assert fact("procedures", codes=[{"set": "table", "codes": ["a", "b"]}]) == {
        ".codes.0.codes without a",
        ".codes.0.codes without b",
        ".codes.0 with c",
    }


def test_tables_that_tell_drugs_apart_are_not_picked_from() -> None:
    found = fact("medications", codes=[{"set": "table"}], known=[{"set": "heart"}])
    assert found == set()


def test_a_value_set_that_the_rule_does_not_pin_is_left_alone() -> None:
    assert made(sets={}, facts={"f": {"kind": "procedures", "codes": [{"set": "heart"}]}}).keys() == {
        "grades.disease.finding -> not met",
        "grades.disease.finding -> unknown",
    }


def test_a_bound_is_shifted_and_turned_into_its_neighbour() -> None:
    assert criterion(value="f", more_than=140) == {
        " more_than -> at_least",
        ".more_than 140.0 -> 140.1",
        ".more_than 140.0 -> 139.9",
    }
    assert " at_least -> more_than" in criterion(value="f", at_least=3)


def test_a_part_and_a_sex_are_turned_into_the_other() -> None:
    found = criterion(value="f", at_least=3, part="systolic", for_sex="female")
    assert {".part systolic -> diastolic", ".for_sex female -> male"} <= found


def test_an_age_and_a_count_are_shifted_and_keep_their_kind_of_bound() -> None:
    assert criterion(age="f", at_most=65) == {".at_most 65 -> 66", ".at_most 65 -> 64"}
    assert criterion(count="f", at_least=1) == {".at_least 1 -> 2"}


def test_words_that_were_asked_for_are_left_out_each() -> None:
    assert criterion(stands="f", says="a", unless_later=["b", "c"]) == {
        ".unless_later without b",
        ".unless_later without c",
    }


def test_a_grade_gets_each_other_finding_and_the_place_of_its_neighbour() -> None:
    grades = [grade("one", "met", "disease-recorded"), grade("two", "unknown", "otherwise")]
    found = made(grades=grades)
    assert {name for name in found if name.startswith("grades")} == {
        "grades.one.finding -> not met",
        "grades.one.finding -> unknown",
        "grades.two.finding -> met",
        "grades.two.finding -> not met",
        "grades two before one",
    }
    assert [one.id for one in found["grades two before one"].rule.grades] == ["two", "one"]


def conditions(when: Any) -> set[str]:
    """The changes made in a grade's condition."""
    names = made(grades=[grade("one", "met", when)])
    return {name.removeprefix("grades.one.when") for name in names if name.startswith("grades.one.when")}


def test_a_condition_loses_each_part_its_negation_and_turns_any_into_all() -> None:
    assert conditions("a") == set()
    assert conditions({"all": ["a", {"not": "b"}]}) == {
        " all -> any",
        " without part 0",
        " without part 1",
        ".all.1 without not",
    }
    assert conditions({"any": ["a", {"not": {"all": ["b"]}}]}) == {
        " any -> all",
        " without part 0",
        " without part 1",
        ".any.1 without not",
        ".any.1.not all -> any",
    }


def test_a_mutant_differs_from_the_rule_and_the_rule_stays_as_it_was() -> None:
    spec = rule(facts=ONE)
    data = spec.model_dump(by_alias=True, exclude_unset=True)
    found = list(mutants(data, SETS))
    assert found
    assert all(mutant.rule != spec for mutant in found)
    assert data == spec.model_dump(by_alias=True, exclude_unset=True)
    assert [mutant.id for mutant in mutants(data, SETS)] == [mutant.id for mutant in found]
