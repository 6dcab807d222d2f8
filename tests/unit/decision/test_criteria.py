"""Each kind of criterion answers met, not met or unknown, and says why it is unknown."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.chart import Chart
from cds_service.decision.criteria import Answer, compile_criterion
from cds_service.decision.dates import Span
from cds_service.decision.evidence import Found, Match, Pressure
from cds_service.decision.facts import Allergy, Gap, Listing, Patient, PatientFacts, Quarantined, Record
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.decision.rule import (
    AgeCriterion,
    CapacityCriterion,
    CountCriterion,
    FollowsCriterion,
    FoundCriterion,
    ReadCriterion,
    StandsCriterion,
    ValueCriterion,
)
from tests.unit.decision.support import AS_OF, ago, chart, coding, condition, event, quantity, span

GAP = ("conditions: refused",)


def match(says: str, when: Span | None, certain: bool = True, number: int = 1) -> Match:
    """Evidence that says one word."""
    return Match(Record("Condition", f"c{number}"), "it", "x|y", when, certain, (says,), note="date not exact enough")


def ask(criterion: Any, *matches: Match, gaps: tuple[str, ...] = (), **more: Any) -> Answer:
    """The answer to a criterion on the fact `f`."""
    return compile_criterion(criterion)(chart(**more), {"f": Found(matches, gaps)})


# ------------------------------------------------------------ found


def test_a_certain_match_is_found_and_a_gap_does_not_matter() -> None:
    answer = ask(FoundCriterion(found="f"), match("yes", ago(1)), match("yes", None, certain=False), gaps=GAP)
    assert (answer.outcome, len(answer.matches), answer.reasons) == (MET, 1, ())


def test_an_uncertain_match_leaves_it_open_and_says_why() -> None:
    answer = ask(FoundCriterion(found="f"), match("yes", None, certain=False))
    assert (answer.outcome, answer.reasons) == (UNKNOWN, ("Condition/c1: date not exact enough",))


def test_nothing_found_is_not_met_only_where_all_was_read() -> None:
    assert ask(FoundCriterion(found="f")).outcome is NOT_MET
    assert ask(FoundCriterion(found="f"), gaps=GAP) == Answer(UNKNOWN, (), GAP)


def test_only_the_words_asked_for_are_found() -> None:
    assert ask(FoundCriterion(found="f", says=["no"]), match("yes", ago(1))).outcome is NOT_MET


# ------------------------------------------------------------ stands


def stands(*matches: Match, gaps: tuple[str, ...] = ()) -> Any:
    """Whether a yes stands against a no."""
    return ask(StandsCriterion(stands="f", says="yes", unless_later=["no"]), *matches, gaps=gaps).outcome


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ([], NOT_MET),
        ([match("yes", ago(5))], MET),
        ([match("yes", ago(5)), match("no", ago(9))], MET),
        ([match("yes", ago(5)), match("no", ago(1))], NOT_MET),
        ([match("yes", ago(5)), match("no", ago(1), certain=False)], UNKNOWN),
        ([match("yes", ago(5)), match("no", None)], UNKNOWN),
        ([match("yes", None)], MET),
        ([match("yes", None, certain=False)], UNKNOWN),
        ([match("yes", ago(5), certain=False), match("no", ago(1))], NOT_MET),
        ([match("yes", ago(5)), match("no", ago(5))], UNKNOWN),
        ([match("yes", span("2026-10-01T09:00:00Z")), match("no", span("2026-10-01T09:00:00Z"))], MET),
        ([match("yes", ago(9)), match("no", ago(5)), match("yes", ago(1), number=2)], MET),
    ],
)
def test_evidence_stands_unless_other_evidence_is_later(matches: list[Match], expected: object) -> None:
    assert stands(*matches) is expected


def test_evidence_without_a_rival_stands_for_itself() -> None:
    criterion = StandsCriterion(stands="f", says="yes")
    assert ask(criterion, match("yes", ago(1)), match("no", ago(0))).outcome is MET


def test_a_gap_leaves_evidence_that_was_not_found_open() -> None:
    assert stands(gaps=GAP) is UNKNOWN
    assert stands(match("yes", ago(5)), match("no", ago(1)), gaps=GAP) is UNKNOWN
    assert stands(match("yes", ago(5)), gaps=GAP) is MET


# ------------------------------------------------------------ follows


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        ([match("test", ago(1)), match("pregnancy", ago(9))], MET),
        ([match("test", ago(9)), match("pregnancy", ago(9))], MET),
        ([match("test", ago(9)), match("pregnancy", ago(1))], NOT_MET),
        ([match("test", ago(1))], NOT_MET),
        ([match("test", ago(1)), match("pregnancy", None)], UNKNOWN),
        ([match("test", None), match("pregnancy", ago(9))], UNKNOWN),
        ([match("test", span("2026-10")), match("pregnancy", span("2026-10"))], UNKNOWN),
        ([match("test", ago(1), certain=False), match("pregnancy", ago(9))], UNKNOWN),
        ([match("test", ago(5)), match("pregnancy", ago(9)), match("pregnancy", ago(1), number=2)], NOT_MET),
    ],
)
def test_one_record_follows_another_by_days(matches: list[Match], expected: object) -> None:
    criterion = FollowsCriterion(follows="f", says="test", after="pregnancy")
    assert ask(criterion, *matches).outcome is expected


def test_a_gap_leaves_the_order_open() -> None:
    assert ask(FollowsCriterion(follows="f", says="test", after="pregnancy"), gaps=GAP).outcome is UNKNOWN


# ------------------------------------------------------------ values

LAST = ago(1)


def score(value: Any, certain: bool = True, when: Span | None = LAST, **more: Any) -> Match:
    """A score that was read, the day before unless said otherwise."""
    number = quantity(value) if value is not None else None
    return Match(Record("Observation", "o1"), "score", "x|y", when, certain, number=number, note="unit", **more)


@pytest.mark.parametrize(
    ("criterion", "value", "expected"),
    [
        ({"at_least": 3}, 3, MET),
        ({"at_least": 3}, 2, NOT_MET),
        ({"more_than": 3}, 3, NOT_MET),
        ({"more_than": 3}, "3.1", MET),
        ({"less_than": 3}, 3, NOT_MET),
        ({"less_than": 3}, "2.9", MET),
    ],
)
def test_the_latest_score_is_compared_with_the_bound(criterion: Any, value: Any, expected: object) -> None:
    criterion = ValueCriterion(value="f", **criterion)
    earlier = (score(99, when=ago(9)), score(-99, when=ago(8)))
    assert ask(criterion, *earlier, score(value)).outcome is expected


@pytest.mark.parametrize(
    ("vague", "when", "expected"),
    [
        (9, span("2026-10"), UNKNOWN),
        (2, span("2026-10"), NOT_MET),
        (9, span("2026-09"), NOT_MET),
        (None, span("2026-10"), UNKNOWN),
        (9, None, UNKNOWN),
        (2, None, NOT_MET),
    ],
)
def test_a_value_that_may_be_later_than_the_last_one_leaves_not_met_open(
    vague: int | None, when: Span | None, expected: object
) -> None:
    earlier = score(vague, certain=False, when=when)
    answer = ask(ValueCriterion(value="f", at_least=3), earlier, score(2, when=ago(9)))
    assert answer.outcome is expected
    assert bool(answer.reasons) is (expected is UNKNOWN)
    assert ask(ValueCriterion(value="f", at_least=3), earlier, score(3, when=ago(9))).outcome is MET


@pytest.mark.parametrize(
    ("comparator", "criterion", "expected"),
    [
        (">", {"at_least": 3}, MET),
        ("<", {"at_least": 3}, NOT_MET),
        ("<", {"less_than": 3}, MET),
        ("<", {"at_least": 2}, UNKNOWN),
        (">", {"less_than": 4}, UNKNOWN),
    ],
)
def test_a_value_given_as_a_range_decides_only_where_all_of_it_does(
    comparator: Any, criterion: Any, expected: Outcome
) -> None:
    last = Match(Record("Observation", "o1"), "score", "x|y", LAST, number=quantity(3, None, comparator))
    answer = ask(ValueCriterion(value="f", **criterion), last)
    assert answer == Answer(expected, (last,), ("value given as a range",) if expected is UNKNOWN else ())


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [(121, "40", MET), (120, "40", NOT_MET), ("1.21", "0.4", MET), (121, None, UNKNOWN), (None, None, UNKNOWN)],
)
def test_a_laboratory_value_is_compared_with_its_own_upper_limit(
    value: Any, limit: str | None, expected: object
) -> None:
    read = score(value, value is not None, upper_limit=Decimal(limit) if limit else None)
    assert ask(ValueCriterion(value="f", more_than_upper_limits=3), read).outcome is expected


def test_a_value_without_an_upper_limit_hides_no_earlier_one_that_has_one() -> None:
    values = (score(999, when=ago(9), upper_limit=Decimal(40)), score(999))
    answer = ask(ValueCriterion(value="f", more_than_upper_limits=3), *values)
    assert answer.outcome is MET
    assert [match.when for match in answer.matches] == [ago(9)]


def test_a_last_value_without_an_upper_limit_leaves_not_met_open_and_says_why() -> None:
    criterion = ValueCriterion(value="f", more_than_upper_limits=3)
    within = score(30, when=ago(9), upper_limit=Decimal(40))
    answer = ask(criterion, within, score(30))
    assert (answer.outcome, answer.reasons) == (UNKNOWN, ("the last value comes without the laboratory's upper limit",))
    assert ask(criterion, score(30, when=ago(9)), score(30, upper_limit=Decimal(40))).outcome is NOT_MET


@given(st.integers(1, 400), st.integers(1, 100), st.sampled_from([None, "<", "<=", ">=", ">"]))
def test_a_multiple_of_the_upper_limit_says_the_same_in_every_unit(value: int, limit: int, comparator: Any) -> None:
    def answer(times: int) -> Answer:
        number = quantity(value * times, None, comparator)
        read = Match(Record("Observation", "o1"), "ALT", "x|y", LAST, number=number, upper_limit=Decimal(limit * times))
        return ask(ValueCriterion(value="f", more_than_upper_limits=3), read)

    assert answer(1).outcome is answer(1000).outcome


# ------------------------------------------------------------ blood pressure


def pressures(part: Any, *readings: Pressure, gaps: tuple[str, ...] = ()) -> Answer:
    """Whether a part of the last reading is above 140."""
    matches = tuple(Match(one.record, "blood pressure", "x|y", one.when, value=one.text) for one in readings)
    found = Found(matches, gaps, readings=readings)
    return compile_criterion(ValueCriterion(value="f", part=part, more_than=140))(chart(), {"f": found})


def pressure(systolic: int, days: int, note: str | None = None) -> Pressure:
    """A reading so many days ago; none of its values is usable where it has a note."""
    high, low = (None, None) if note else (quantity(systolic, "mm[Hg]"), quantity(80, "mm[Hg]"))
    return Pressure(Record("Observation", f"o{days}"), ago(days), high, low, True, note)


def test_a_pressure_is_answered_with_the_reading_that_decides() -> None:
    answer = pressures("systolic", pressure(120, 9), pressure(150, 1))
    assert (answer.outcome, [match.value for match in answer.matches]) == (MET, ["150/80 mmHg"])
    assert pressures("systolic", pressure(150, 9), pressure(120, 1)).outcome is NOT_MET


def test_a_low_pressure_is_no_answer_while_readings_may_be_missing() -> None:
    assert pressures("systolic", pressure(150, 1), gaps=GAP).outcome is MET
    answer = pressures("systolic", pressure(120, 1), gaps=GAP)
    assert (answer.outcome, len(answer.matches), answer.reasons) == (UNKNOWN, 1, GAP)


def test_a_pressure_without_a_usable_value_says_what_is_missing() -> None:
    assert pressures("systolic").reasons == ("no usable systolic value of the last reading",)
    answer = pressures("systolic", pressure(0, 1, "no unit recorded"), gaps=GAP)
    assert (answer.outcome, answer.reasons) == (UNKNOWN, (*GAP, "Observation/o1: no unit recorded"))


def test_a_score_that_was_not_understood_or_not_the_last_is_open() -> None:
    criterion = ValueCriterion(value="f", at_least=3)
    assert ask(criterion, score(9, certain=False)).reasons == ("Observation/o1: unit",)
    assert ask(criterion, score(1), gaps=GAP) == Answer(UNKNOWN, (score(1),), GAP)
    assert ask(criterion, score(9), gaps=GAP).outcome is MET
    assert ask(criterion).outcome is NOT_MET
    assert ask(criterion, gaps=GAP).outcome is UNKNOWN


def person(**more: Any) -> Patient:
    """The person of a chart."""
    return Patient(Record("Patient", "p"), **more)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({"gender": "female"}, MET),
        ({"gender": "male"}, NOT_MET),
        ({"gender": "male", "birth_sex": "female"}, MET),
        ({"gender": "other"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_a_cut_point_of_one_sex_needs_a_recorded_sex(recorded: Any, expected: object) -> None:
    criterion = ValueCriterion(value="f", at_least=3, for_sex="female")
    assert ask(criterion, score(3), patient=person(**recorded)).outcome is expected
    assert ask(criterion, score(2), patient=person(**recorded)).outcome is NOT_MET


# ------------------------------------------------------------ the person


@pytest.mark.parametrize(
    ("bounds", "birth", "expected"),
    [
        ({"at_least": 12, "at_most": 55}, "1970-11-02", MET),
        ({"at_least": 12, "at_most": 55}, "1970-11-01", NOT_MET),
        ({"at_least": 12, "at_most": 55}, "1970", UNKNOWN),
        ({"at_most": 17}, "2008-11-02", MET),
        ({"at_most": 17}, "2008-11-01", NOT_MET),
        ({"at_least": 65}, "1961-11-01", MET),
        ({"at_least": 65}, "1961-11-02", NOT_MET),
        ({"at_least": 65}, None, UNKNOWN),
    ],
)
def test_an_age_counts_completed_years(bounds: Any, birth: str | None, expected: object) -> None:
    patient = person(birth=span(birth) if birth else None)
    answer = ask(AgeCriterion(age="f", **bounds), patient=patient)
    assert answer.outcome is expected
    assert bool(answer.reasons) is (expected is UNKNOWN)


def test_the_age_is_shown() -> None:
    answer = ask(AgeCriterion(age="f", at_least=18), patient=person(birth=span("1970")))
    assert [one.value for one in answer.evidence] == ["55 to 56 years"]


@pytest.mark.parametrize(
    ("recorded", "expected", "source"),
    [
        ({"gender": "female"}, MET, "administrative gender"),
        ({"gender": "female", "birth_sex": "male"}, NOT_MET, "recorded sex at birth"),
        ({"birth_sex": "male", "clinical_sex": "female"}, MET, "sex for clinical use"),
        ({"gender": "unknown"}, UNKNOWN, None),
    ],
)
def test_the_sex_closest_to_the_clinical_question_decides(recorded: Any, expected: object, source: str | None) -> None:
    answer = ask(CapacityCriterion(capacity_for_pregnancy="f"), patient=person(**recorded))
    assert answer.outcome is expected
    assert [one.what for one in answer.evidence] == ([source] if source else [])


# ------------------------------------------------------------ counts and lists


def test_a_count_that_is_open_says_which_gap_leaves_it_so() -> None:
    assert ask(CountCriterion(count="f", at_least=1), gaps=GAP) == Answer(UNKNOWN, (), GAP)
    assert ask(CountCriterion(count="f", at_least=1)).outcome is NOT_MET


def test_a_list_was_read_when_it_arrived_whole_and_not_empty() -> None:
    conditions, medications = ReadCriterion(read="conditions"), ReadCriterion(read="medications")
    assert ask(conditions, conditions=[condition()]).outcome is MET
    assert ask(medications, medications=[event()]).outcome is MET
    assert ask(conditions).reasons == ("no conditions received",)
    assert ask(medications).reasons == ("no medications received",)
    refused = {"medications": (Gap("medicationRequests", "refused"),)}
    answer = compile_criterion(medications)(chart(medications=[event()], gaps=refused), {})
    assert (answer.outcome, answer.reasons) == (NOT_MET, ("medicationRequests: refused",))


@pytest.mark.parametrize(("kind", "read"), [("Condition", "conditions"), ("MedicationDispense", "medications")])
def test_a_list_with_a_resource_set_aside_was_not_read_whole(kind: str, read: Any) -> None:
    aside = Quarantined(Record(kind, "q"), "code: missing")
    whole = chart([condition()], medications=[event()], quarantined=[aside])
    assert compile_criterion(ReadCriterion(read=read))(whole, {}).outcome is NOT_MET


def test_a_list_of_allergies_was_read_when_it_arrived_whole_and_not_empty() -> None:
    def read(*allergies: Allergy, gaps: tuple[Gap, ...] = ()) -> Answer:
        patient = PatientFacts(person(), allergies=Listing(allergies, len(allergies), gaps))
        return compile_criterion(ReadCriterion(read="allergies"))(Chart(patient, AS_OF), {})

    one = Allergy(Record("AllergyIntolerance", "a1"), (coding("rxnorm|1"),))
    assert read(one) == Answer(MET)
    assert read() == Answer(NOT_MET, (), ("no allergies received",))
    assert read(one, gaps=(Gap("allergies", "timeout"),)) == Answer(NOT_MET, (), ("allergies: timeout",))
