"""The first grade met is the finding, and what is not known never becomes "not met"."""

from typing import Any

import pytest

from cds_service.decision.assess import CompiledRule, assess, decode_assessments, encode_assessments
from cds_service.decision.evidence import plain_number
from cds_service.decision.facts import Gap, Patient, Record
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from tests.unit.decision.courses_support import SETS as COURSE_SETS
from tests.unit.decision.courses_support import SPEC as COURSES
from tests.unit.decision.support import (
    CARD,
    HEART,
    ago,
    assessed,
    chart,
    condition,
    facts,
    grade,
    quantity,
    rule,
    span,
    value_set,
)

# Two questions whose answers a test can choose by the conditions it gives.
CORE = {"kind": "conditions", "codes": [{"set": "heart", "where": {"tier": ["core"]}}], "clinical": "current"}
MINOR = {
    "kind": "conditions",
    "codes": [{"set": "heart", "where": {"tier": ["minor"]}}],
    "clinical": "any",
    "within_days": 30,
}
TWO = {
    "facts": {"core": CORE, "minor": MINOR},
    "criteria": {"a": {"found": "core"}, "b": {"found": "minor"}},
    "when_unknown": {"a": "Whether A", "b": "Whether B"},
}
A, B, B_OPEN = condition(number=1), condition("snomed|minor", 2, onset=ago(3)), condition("snomed|minor", 2)
NEITHER = condition("snomed|asthma", 3)


def two(*grades: dict[str, Any], otherwise: str = "not met") -> Any:
    """A rule with the criteria a and b."""
    return rule(**TWO, grades=list(grades), otherwise={"finding": otherwise, "says": "Neither was found."})


@pytest.mark.parametrize(
    ("grades", "otherwise", "conditions", "outcome", "found"),
    [
        # the first grade met is the finding
        ([("one", "met", "a"), ("two", "met", "b")], "not met", [A, B], MET, "one"),
        ([("one", "met", "a"), ("two", "met", "b")], "not met", [B], MET, "two"),
        # an undecided earlier grade of the same finding does not matter, a later one neither
        ([("one", "met", "b"), ("two", "met", "a")], "not met", [A, B_OPEN], MET, "two"),
        ([("one", "met", "a"), ("two", "met", "b")], "not met", [A, B_OPEN], MET, "one"),
        # "not met" does not hold while an earlier grade of another finding is undecided
        ([("one", "met", "b"), ("two", "not met", "a")], "not met", [A, B_OPEN], UNKNOWN, None),
        ([("one", "unknown", "b"), ("two", "not met", "a")], "not met", [A, B_OPEN], UNKNOWN, None),
        ([("one", "not met", "b"), ("two", "not met", "a")], "not met", [A, B_OPEN], NOT_MET, "two"),
        # no grade met
        ([("one", "met", "a")], "not met", [NEITHER], NOT_MET, None),
        ([("one", "met", "b")], "not met", [B_OPEN], UNKNOWN, None),
        ([("one", "not met", "b")], "not met", [B_OPEN], NOT_MET, None),
        ([("one", "met", "a")], "unknown", [NEITHER], UNKNOWN, None),
        # always met
        ([("one", "met", "a"), ("two", "unknown", "otherwise")], "unknown", [NEITHER], UNKNOWN, "two"),
    ],
)
def test_the_finding(grades: list, otherwise: str, conditions: list, outcome: object, found: str | None) -> None:
    spec = two(*[grade(name, finding, when) for name, finding, when in grades], otherwise=otherwise)
    result = assessed(spec, facts([*conditions, NEITHER]))
    assert (result.outcome, result.grade) == (outcome, found)


@pytest.mark.parametrize(
    ("when", "conditions", "outcome"),
    [
        ({"all": ["a", "b"]}, [A, B], MET),
        ({"all": ["a", "b"]}, [B_OPEN], NOT_MET),
        ({"all": ["a", "b"]}, [A, B_OPEN], UNKNOWN),
        ({"any": ["a", "b"]}, [A, B_OPEN], MET),
        ({"any": ["a", "b"]}, [B_OPEN], UNKNOWN),
        ({"not": "a"}, [B], MET),
        ({"all": [{"not": "a"}, {"any": ["b"]}]}, [B], MET),
    ],
)
def test_conditions_combine_as_kleene_says(when: Any, conditions: list, outcome: object) -> None:
    result = assessed(two(grade("one", "met", when)), facts([*conditions, NEITHER]))
    assert result.outcome is outcome


def test_every_criterion_is_in_the_assessment_with_its_evidence_and_reason() -> None:
    result = assessed(two(grade("one", "met", {"any": ["a", "b"]})), facts([A, B_OPEN]))
    first, second = result.clauses
    assert (first.id, first.outcome, [one.resource for one in first.evidence]) == ("a", MET, ["Condition/c1"])
    assert (second.outcome, second.reason) == (UNKNOWN, "Condition/c2: date not exact enough to decide")
    assert second.evidence[0].date == "date unknown"
    assert result.unknowns == ("Whether B (Condition/c2: date not exact enough to decide)",)


def test_reasons_that_several_criteria_share_are_said_once() -> None:
    result = assessed(
        two(grade("one", "met", {"any": ["a", "b"]})), facts(gaps={"conditions": (Gap("conditions", "refused"),)})
    )
    assert result.unknowns == ("Whether A (conditions: refused)",)


def test_an_open_finding_without_an_open_criterion_says_what_the_rule_says() -> None:
    result = assessed(two(grade("one", "met", {"any": ["a", "b"]}), otherwise="unknown"), facts([NEITHER]))
    assert result.unknowns == ("Neither was found.",)


# ------------------------------------------------------------ the card's parts


def carded(**card: Any) -> Any:
    """A rule whose grade has a card."""
    return two(grade("one", "met", "a", card=CARD | card), grade("two", "met", "b"))


def test_the_indicator_is_the_cards_and_none_without_a_card() -> None:
    assert assessed(carded(), facts([A])).indicator == "warning"
    assert assessed(carded(), facts([B])).indicator is None


@pytest.mark.parametrize(("stated", "lowered"), [("critical", "warning"), ("warning", "info"), ("info", "info")])
def test_a_finding_that_rests_on_provisional_records_alone_is_shown_one_lower(stated: str, lowered: str) -> None:
    provisional, confirmed = condition(verification="provisional"), condition(number=2, verification="confirmed")
    spec = carded(indicator=stated)
    assert assessed(spec, facts([provisional])).indicator == lowered
    assert assessed(spec, facts([provisional, confirmed])).indicator == stated
    assert assessed(carded(indicator=stated, provisional_lowers=False), facts([provisional])).indicator == stated


def test_an_indicator_may_differ_by_jurisdiction() -> None:
    spec = carded(indicator={"US": "warning", "EU": "critical", "UK": "critical"})
    compiled = CompiledRule(spec, {"heart": HEART}, "digest")
    found = {where: compiled.assess(chart([A]), where).indicator for where in ("US", "EU", "UK")}
    assert found == {"US": "warning", "EU": "critical", "UK": "critical"}


def test_placeholders_are_those_of_the_record_that_decided() -> None:
    spec = two(grade("one", "met", "b", card=CARD), grade("two", "met", "a"))
    result = assessed(spec, facts([condition("snomed|minor", 1, onset=ago(9)), condition("snomed|minor", 2)]))
    assert result.values["minor.date"] == ago(9).date
    assert result.values["minor.name"] == "minor"
    assert result.values["minor.age"] == "9 d ago"


def test_placeholders_of_an_undated_record_say_so() -> None:
    result = assessed(carded(), facts([A]))
    assert (result.values["core.date"], result.values["core.age"]) == ("date unknown", "date unknown")
    assert result.values["core.value"] == "value not recorded"


def test_a_card_lists_the_records_of_the_facts_that_its_grade_names_each_once() -> None:
    spec = two(grade("one", "met", "a", evidence=["core", "minor"]), grade("two", "met", "b"))
    result = assessed(spec, facts([A, B]))
    assert [one.resource for one in result.evidence] == ["Condition/c1", "Condition/c2"]
    assert assessed(spec, facts([NEITHER])).evidence == ()


def test_security_labels_of_what_bears_on_it_come_along() -> None:
    labelled = A.__class__(Record("Condition", "c1", labels=("ETH", "R")), A.codes, clinical="active")
    assert assessed(carded(), facts([labelled])).labels == ("ETH", "R")


def test_an_unverified_code_or_citation_is_known() -> None:
    unsure = value_set("heart", {"snomed|heart": {"tier": "core"}, "snomed|minor": {"tier": "minor"}}, verified=False)
    assert not assessed(carded(), facts([A])).unverified
    assert assessed(carded(), facts([A]), [unsure]).unverified
    assert not assessed(carded(), facts([NEITHER])).unverified
    citation = {"id": "label", "source": "label", "section": "1", "says": "It says so.", "status": "unverified"}
    doubtful = rule(**TWO, citations=[citation], grades=[grade("one", "met", {"any": ["a", "b"]})])
    assert assessed(doubtful, facts([A])).unverified


# ------------------------------------------------------------ as a whole


def test_assessments_come_back_from_their_bytes_and_are_the_same_every_time() -> None:
    compiled = CompiledRule(carded(), {"heart": HEART}, "digest")
    patient = chart([A, B_OPEN])
    results = assess([compiled, compiled], patient, "US")
    assert decode_assessments(encode_assessments(results)) == results
    assert encode_assessments(results) == encode_assessments(assess([compiled, compiled], patient, "US"))


def test_a_rule_on_the_person_reads_no_records() -> None:
    spec = rule(
        facts={"person": {"kind": "patient"}},
        criteria={"adult": {"age": "person", "at_least": 18}},
        grades=[grade("adult", "met", "adult", card=CARD)],
        when_unknown={"adult": "Age"},
    )
    result = assessed(spec, facts(patient=Patient(Record("Patient", "p"), birth=span("1980-01-01"))))
    assert (result.outcome, [one.value for one in result.evidence]) == (MET, ["46 years"])


@pytest.mark.parametrize(
    ("value", "text"), [("7.50", "7.5"), ("100", "100"), ("-0", "0"), ("1E+2", "100"), ("0.10", "0.1")]
)
def test_numbers_are_shown_plainly(value: str, text: str) -> None:
    assert plain_number(quantity(value).value) == text


HEART_CODES = [{"set": "heart"}]
PRESSURE = {
    "kind": "blood pressure",
    "codes": {"set": "bp"},
    "panels": {"set": "bp"},
    "systolic": "8480-6",
    "diastolic": "8462-4",
    "within_days": 30,
    "pair_minutes": 5,
    "plausible_systolic": [60, 300],
    "plausible_diastolic": [30, 200],
}
SCORE = {"kind": "score", "codes": [{"set": "phq9"}], "units": []}
STORY = {"id": "line", "says": ["yes"], "condition": {"codes": HEART_CODES, "clinical": "any"}}


@pytest.mark.parametrize(
    ("fact", "criterion", "outcome"),
    [
        ({"kind": "conditions", "codes": HEART_CODES, "clinical": "any"}, {"found": "f"}, UNKNOWN),
        ({"kind": "timeline", "empty_list": "unknown", "lines": [STORY]}, {"stands": "f", "says": "yes"}, UNKNOWN),
        ({"kind": "timeline", "empty_list": "no evidence", "lines": [STORY]}, {"found": "f"}, NOT_MET),
        ({"kind": "medications", "codes": HEART_CODES}, {"found": "f"}, UNKNOWN),
        ({"kind": "allergies", "codes": HEART_CODES, "recorded_as": "any"}, {"found": "f"}, UNKNOWN),
        ({"kind": "procedures", "codes": HEART_CODES}, {"found": "f"}, NOT_MET),
        ({"kind": "orders", "codes": HEART_CODES[0], "routes": HEART_CODES[0]}, {"found": "f"}, NOT_MET),
        (PRESSURE, {"value": "f", "part": "systolic", "more_than": 140}, UNKNOWN),
        (SCORE, {"value": "f", "at_least": 10}, NOT_MET),
        (COURSES, {"count": "f", "at_least": 2}, UNKNOWN),
        ({"kind": "patient"}, {"age": "f", "at_least": 18}, UNKNOWN),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) and "kind" in value else None,
)
def test_every_kind_of_fact_is_read_and_an_empty_chart_is_open_unless_absence_is_an_answer(
    fact: dict[str, Any], criterion: dict[str, Any], outcome: object
) -> None:
    spec = rule(
        facts={"f": fact}, criteria={"c": criterion}, grades=[grade("one", "met", "c")], when_unknown={"c": "Whether C"}
    )
    sets = [HEART, value_set("bp", {"loinc|8480-6": {}}), *COURSE_SETS.values()]
    assert assessed(spec, facts(), sets).outcome is outcome
