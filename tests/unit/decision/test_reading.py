"""From records to matches: statuses, windows, values, answers."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.chart import Chart
from cds_service.decision.evidence import Found
from cds_service.decision.facts import (
    CodedValue,
    DateValue,
    FlagValue,
    Gap,
    Listing,
    PatientFacts,
    Procedure,
    Quantity,
    Quarantined,
    Record,
    TextValue,
)
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from cds_service.decision.reading import (
    compare,
    condition_status,
    conditions_reader,
    in_window,
    number_of,
    procedures_reader,
    score_reader,
    status_matches,
    timeline_reader,
    value_text,
)
from cds_service.decision.rule import ConditionsFact, ProceduresFact, ScoreFact, TimelineFact
from tests.unit.decision.support import (
    AS_OF,
    HEART,
    ago,
    chart,
    coding,
    condition,
    observation,
    part,
    quantity,
    span,
    value_set,
)

# ------------------------------------------------------------ statuses


@pytest.mark.parametrize(
    ("clinical", "abated", "current", "unresolved", "ended"),
    [
        ("active", False, True, True, False),
        ("recurrence", False, True, True, False),
        ("relapse", False, True, True, False),
        ("inactive", False, False, True, True),
        ("remission", False, False, True, True),
        ("resolved", False, False, False, True),
        (None, False, True, True, False),
        (None, True, False, False, True),
    ],
)
def test_a_clinical_status_is_taken_as_the_rule_language_says(
    clinical: str | None, abated: bool, current: bool, unresolved: bool, ended: bool
) -> None:
    record = condition(clinical=clinical, abated=abated)
    found = {wanted: status_matches(record, wanted) for wanted in ("current", "unresolved", "ended", "any")}
    assert found == {"current": current, "unresolved": unresolved, "ended": ended, "any": True}


def test_statuses_are_said_in_words() -> None:
    assert condition_status(condition()) == "active"
    assert condition_status(condition(clinical=None)) == "status not recorded"
    assert condition_status(condition(clinical=None, abated=True)) == "abated"
    assert condition_status(condition(verification="provisional")) == "active, recorded as provisional"


# ------------------------------------------------------------ windows


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_window_includes_both_its_ends(age: int, first: int, length: int) -> None:
    inside = first <= age <= first + length
    assert in_window(ago(age), AS_OF, first, first + length) is (MET if inside else NOT_MET)


def test_without_bounds_a_date_does_not_matter() -> None:
    assert in_window(None, AS_OF, 0, None) is MET
    assert in_window(None, AS_OF, 31, None) is UNKNOWN
    assert in_window(ago(40), AS_OF, 31, None) is MET


# ------------------------------------------------------------ values


@given(
    st.decimals(-999, 999, places=1),
    st.decimals(-999, 999, places=1),
    st.sampled_from([None, "<", "<=", ">=", ">"]),
    st.booleans(),
)
def test_a_comparison_is_decided_only_when_every_value_of_the_interval_agrees(
    value: Decimal, bound: Decimal, comparator: Any, strict: bool
) -> None:
    def above(number: Decimal) -> bool:
        return number > bound if strict else number >= bound

    step = Decimal("0.01")
    held = {
        None: [value],
        "<": [value - step, value - 5000],
        "<=": [value, value - 5000],
        ">=": [value, value + 5000],
        ">": [value + step, value + 5000],
    }[comparator]
    answers = {above(number) for number in held}
    expected = UNKNOWN if len(answers) == 2 else (MET if answers == {True} else NOT_MET)
    assert compare(Quantity(value, None, comparator), bound, strict=strict) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (quantity(9), Decimal(9)),
        (TextValue(" 12 "), Decimal(12)),
        (TextValue("-1.5"), Decimal("-1.5")),
        (TextValue("12 points"), None),
        (TextValue("1.2.3"), None),
        (TextValue("٣"), None),
        (TextValue("1234567890123"), None),
        (FlagValue(True), None),
        (None, None),
    ],
)
def test_a_number_is_a_quantity_or_plain_digits(value: Any, expected: Decimal | None) -> None:
    found = number_of(value)
    assert (found.value if found else None) == expected


ANSWERS = value_set("answers", {"loinc|yes": {"meaning": "yes", "display": "Yes"}, "loinc|no": {"meaning": "no"}})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (quantity("7.50", "mg"), "7.5 mg"),
        (quantity(7, None, "<"), "<7"),
        (CodedValue((coding("loinc|yes"),)), "Yes"),
        (CodedValue((coding("local|hm"),)), "hm"),
        (CodedValue(()), None),
        (FlagValue(True), "yes"),
        (FlagValue(False), "no"),
        (DateValue(span("2026-12")), "2026-12"),
        (TextValue("free text is never shown"), None),
        (None, None),
    ],
)
def test_a_value_is_shown_without_the_records_own_words(value: Any, expected: str | None) -> None:
    assert value_text(value, ANSWERS.codes) == expected


# ------------------------------------------------------------ conditions and procedures


def conditions(*read: Any, **more: Any) -> Found:
    """What a conditions fact finds."""
    spec = {"kind": "conditions", "codes": [{"set": "heart"}], "clinical": "current"} | more
    return conditions_reader(ConditionsFact.model_validate(spec), {"heart": HEART})(chart(read))


def test_a_condition_with_another_status_or_outside_the_window_is_not_found() -> None:
    assert conditions(condition(clinical="resolved")).matches == ()
    assert conditions(condition(onset=ago(31)), within_days=30).matches == ()
    assert conditions(condition(onset=ago(29)), from_days=30).matches == ()


@pytest.mark.parametrize("onset", [None, span("2026-10")])
def test_a_condition_whose_date_does_not_tell_leaves_the_match_open(onset: Any) -> None:
    (match,) = conditions(condition(onset=onset), within_days=10).matches
    assert (match.certain, match.note) == (False, "date not exact enough to decide")
    (match,) = conditions(condition(onset=onset)).matches
    assert (match.certain, match.note) == (True, None)


def procedures(*done: Procedure, gaps: Any = (), aside: tuple[Quarantined, ...] = ()) -> Found:
    """What a procedures fact finds."""
    spec = ProceduresFact.model_validate({"kind": "procedures", "codes": [{"set": "heart"}]})
    patient = PatientFacts(chart().facts.patient, procedures=Listing(done, len(done), gaps), quarantined=aside)
    return procedures_reader(spec, {"heart": HEART})(Chart(patient, AS_OF))


def procedure(code: str = "snomed|heart", **more: Any) -> Procedure:
    """Something that was done, unless said otherwise."""
    return Procedure(Record("Procedure", "p1"), (coding(code),), **more)


def test_a_procedure_is_found_with_its_date_and_status() -> None:
    (match,) = procedures(procedure(status="completed", when=span("2019"))).matches
    assert (match.display, match.code, match.when, match.status, match.certain) == (
        "Heart disease",
        "snomed|heart",
        span("2019"),
        "completed",
        True,
    )
    assert procedures(procedure()).matches[0].status == "status not recorded"


@pytest.mark.parametrize("done", [procedure(status="not-done"), procedure(status="preparation"), procedure("snomed|x")])
def test_a_procedure_that_was_not_done_or_is_another_is_not_found(done: Procedure) -> None:
    assert procedures(done) == Found()


def test_no_procedure_is_no_evidence_and_an_unread_one_is_a_gap() -> None:
    assert procedures().gaps == ()
    assert procedures(gaps=(Gap("procedures", "refused"),)).gaps == ("procedures: refused",)
    aside = (
        Quarantined(Record("Procedure", "unread"), "code: missing"),
        Quarantined(Record("Procedure", "other"), "status: missing", (coding("snomed|x"),)),
    )
    assert procedures(aside=aside).gaps == ("Procedure/unread could not be read",)


# ------------------------------------------------------------ scores


def score(*values: Any, **more: Any) -> Found:
    """What a score fact finds in observations of the given values, oldest first."""
    scores = value_set("phq9", {"loinc|s": {"label": "PHQ-9 total"}})
    spec = ScoreFact.model_validate({"kind": "score", "codes": [{"set": "phq9"}], "units": ["{score}"]} | more)
    observed = [observation("loinc|s", value, number, ago(50 - number)) for number, value in enumerate(values, start=1)]
    return score_reader(spec, {"phq9": scores}, "depressionScreens")(chart(observations=observed))


def test_a_score_is_found_with_its_label_and_value() -> None:
    (match,) = score(quantity(12, "{score}")).matches
    assert (match.display, match.value, match.certain) == ("PHQ-9 total", "12 {score}", True)


def test_a_score_in_another_unit_is_found_and_not_used() -> None:
    (match,) = score(quantity(12, "mg")).matches
    assert (match.certain, match.number, match.note) == (False, None, "value or unit not understood")


def test_a_score_outside_its_window_or_without_a_value_is_not_found() -> None:
    assert score(quantity(12), within_days=30).matches == ()
    assert score(None).matches == ()


def test_a_unit_that_no_score_has_must_be_named_by_the_rule() -> None:
    assert score(quantity(12), units=["mg"]).matches[0].certain is False
    assert score(quantity(12, "mg"), units=["mg"]).matches[0].certain is True


def remarks(*values: Any, **more: Any) -> list[tuple[bool, str | None]]:
    """Of each value, whether it decides, and the remark on it."""
    return [(match.certain, match.note) for match in score(*map(quantity, values), **more).matches]


SURE = (True, None)


@pytest.mark.parametrize(("value", "plausible"), [(20, True), (600, True), (19, False), (601, False)])
def test_an_implausible_value_decides_nothing_and_says_so(value: int, plausible: bool) -> None:
    assert remarks(value, plausible=[20, 600]) == [SURE if plausible else (False, "implausible value")]


@pytest.mark.parametrize(("value", "usual"), [(130, True), (70, True), (131, False), (69, False)])
def test_a_value_far_from_the_one_before_decides_nothing_and_says_so(value: int, usual: bool) -> None:
    far = (False, "more than 30 % from the value before")
    assert remarks(100, value, change_percent=30) == [SURE, SURE if usual else far]
    assert remarks(100, value) == [SURE, SURE]


def test_the_first_value_and_one_after_nought_have_none_before_to_differ_from() -> None:
    assert remarks(0, 100, change_percent=30) == [SURE, SURE]


def test_values_in_different_units_are_not_compared() -> None:
    values = score(quantity(100, "kg"), quantity(200, "[lb_av]"), units=["kg", "[lb_av]"], change_percent=30).matches
    assert [match.certain for match in values] == [True, True]


def test_a_value_that_is_no_number_hides_no_change_from_the_one_before_it() -> None:
    values = score(quantity(100), TextValue("not weighed"), quantity(200), change_percent=30).matches
    assert [match.note for match in values] == [
        None,
        "value or unit not understood",
        "more than 30 % from the value before",
    ]


def test_the_laboratorys_upper_limit_comes_with_the_value_and_not_with_a_part_of_a_panel() -> None:
    spec = ScoreFact.model_validate({"kind": "score", "codes": [{"set": "phq9"}], "units": []})
    read = score_reader(spec, {"phq9": value_set("phq9", {"loinc|s": {}})}, "liverLabs")
    single = observation("loinc|s", quantity(12), 1, ago(2), upper_limit=Decimal(40))
    panel = observation(
        "loinc|panel", None, 2, ago(1), upper_limit=Decimal(40), components=(part("loinc|s", quantity(9)),)
    )
    assert [match.upper_limit for match in read(chart(observations=[single, panel])).matches] == [Decimal(40), None]


# ------------------------------------------------------------ timelines


def timeline(observations: Any = (), conditions: Any = (), line: Any = None, **more: Any) -> Found:
    """What a timeline of one line finds."""
    answer = {"codes": [{"set": "cssrs"}], "answers": [{"set": "answers", "where": {"meaning": ["yes"]}}]}
    lines = [{"id": "line", "says": ["yes"], "observation": answer | (line or {})}]
    spec = TimelineFact.model_validate({"kind": "timeline", "empty_list": "no evidence", "lines": lines} | more)
    sets = {"cssrs": value_set("cssrs", {"loinc|q1": {}, "loinc|q2": {}}), "answers": ANSWERS, "heart": HEART}
    read = timeline_reader(spec, sets, {"cssrs": "suicideScreens"})
    return read(chart(conditions, observations))


YES, NO = CodedValue((coding("loinc|yes"),)), CodedValue((coding("loinc|no"),))


@pytest.mark.parametrize(
    ("value", "line", "certain"),
    [
        (YES, {}, True),
        (NO, {}, None),
        (CodedValue((coding("local|hm"),)), {}, False),
        (FlagValue(True), {"flag": True}, True),
        (FlagValue(False), {"flag": True}, None),
        (FlagValue(True), {}, False),
        (TextValue("yes"), {}, True),
        (TextValue("No"), {}, None),
        (TextValue("positive"), {}, False),
        (TextValue("perhaps"), {}, False),
        (quantity(3), {"at_least": 2, "units": ["{score}"]}, True),
        (quantity(3), {"less_than": 3, "units": ["{score}"]}, None),
        (quantity(3, "mg"), {"at_least": 2}, False),
        (quantity(3), {}, False),
        (CodedValue((coding("loinc|yes"),)), {"answers": [], "at_least": 2}, False),
        (DateValue(ago(5)), {}, False),
        (DateValue(ago(5)), {"date_ahead_days": 5}, True),
        (DateValue(ago(6)), {"date_ahead_days": 5}, None),
        (DateValue(ago(-6)), {"date_ahead_days": 5}, True),
        (DateValue(span("2026-10")), {"date_ahead_days": 5}, False),
        (DateValue(ago(5)), {"date_past_days": [5, 9]}, True),
        (DateValue(ago(9)), {"date_past_days": [5, 9]}, True),
        (DateValue(ago(10)), {"date_past_days": [5, 9]}, None),
        (DateValue(ago(4)), {"date_past_days": [5, 9]}, None),
        (DateValue(span("2026-10")), {"date_past_days": [5, 9]}, False),
        (None, {}, None),
    ],
)
def test_an_answer_is_the_wanted_one_another_or_not_understood(value: Any, line: Any, certain: bool | None) -> None:
    matches = timeline([observation("loinc|q1", value, when=ago(1))], line=line).matches
    assert [match.certain for match in matches] == ([] if certain is None else [certain])


def test_the_laboratorys_interpretation_speaks_where_there_is_no_value() -> None:
    read = observation("loinc|q1", None, when=ago(1), interpretation=(coding("loinc|yes"),))
    assert [match.certain for match in timeline([read]).matches] == [True]


def test_a_whole_screen_needs_every_answer_of_one_dated_day() -> None:
    first, second = observation("loinc|q1", YES, 1, ago(1)), observation("loinc|q2", YES, 2, ago(1))
    assert len(timeline([first, second], line={"together": True}).matches) == 1
    assert timeline([first], line={"together": True}).matches == ()
    undated = [observation("loinc|q1", YES, 1), observation("loinc|q2", YES, 2)]
    assert timeline(undated, line={"together": True, "within_days": 30}).matches == ()


def screens(*answers: tuple[str, Any, Any]) -> list[tuple[bool, str | None]]:
    """The whole screens that answers (code, value, date) make: whether each is certain, and the remark on it."""
    read = [observation(f"loinc|{code}", value, number, when) for number, (code, value, when) in enumerate(answers)]
    return [(match.certain, match.note) for match in timeline(read, line={"together": True}).matches]


def test_answers_that_may_be_of_one_day_may_be_one_screen() -> None:
    assert screens(("q1", YES, span("2026-10")), ("q2", YES, ago(5))) == [(False, "answers may be of different days")]
    assert screens(("q1", YES, span("2026-10")), ("q2", YES, span("2026-10"))) == [SURE]
    assert screens(("q1", YES, ago(5)), ("q2", YES, ago(6))) == []


def test_each_day_on_which_all_was_answered_is_a_screen_of_its_own() -> None:
    days = [(code, YES, ago(day)) for day in (1, 9) for code in ("q1", "q2")]
    assert screens(*days, ("q1", YES, ago(20))) == [SURE, SURE]


def test_an_answer_that_is_not_final_or_outside_the_window_is_none() -> None:
    assert timeline([observation("loinc|q1", YES, when=ago(1), status="preliminary")]).matches == ()
    assert timeline([observation("loinc|q1", YES, when=ago(31))], line={"within_days": 30}).matches == ()


def test_an_answer_whose_date_does_not_tell_leaves_the_match_open() -> None:
    (match,) = timeline([observation("loinc|q1", YES)], line={"within_days": 30}).matches
    assert not match.certain


def test_a_whole_screen_with_one_open_answer_is_open() -> None:
    screen = [observation("loinc|q1", YES, 1, ago(1)), observation("loinc|q2", TextValue("perhaps"), 2, ago(1))]
    assert [match.certain for match in timeline(screen, line={"together": True}).matches] == [False]


def test_evidence_stands_in_order_of_time_and_carries_what_its_line_says() -> None:
    read = [observation("loinc|q1", YES, 1, ago(1)), observation("loinc|q1", YES, 2, ago(9))]
    matches = timeline(read).matches
    assert [(match.when, match.says, match.line) for match in matches] == [
        (ago(9), ("yes",), "line"),
        (ago(1), ("yes",), "line"),
    ]


def test_a_timeline_without_condition_lines_does_not_miss_conditions() -> None:
    assert timeline(empty_list="unknown").gaps == ()


def test_a_timeline_with_condition_lines_misses_an_empty_list_where_the_rule_says_so() -> None:
    lines = [{"id": "line", "says": ["yes"], "condition": {"codes": [{"set": "heart"}], "clinical": "any"}}]
    assert timeline(empty_list="unknown", lines=lines).gaps == ("no conditions received",)
    assert timeline(empty_list="no evidence", lines=lines).gaps == ()


@pytest.mark.parametrize(
    ("key", "concerned"), [("suicideScreens", True), ("observations", True), ("bundle", True), ("bloodPressure", False)]
)
def test_a_query_that_failed_concerns_the_lines_that_read_it(key: str, concerned: bool) -> None:
    lines = [{"id": "line", "says": ["yes"], "observation": {"codes": [{"set": "cssrs"}], "flag": True}}]
    spec = TimelineFact.model_validate({"kind": "timeline", "empty_list": "no evidence", "lines": lines})
    read = timeline_reader(spec, {"cssrs": value_set("cssrs", {"loinc|q1": {}})}, {"cssrs": "suicideScreens"})
    gaps = read(chart(gaps={"observations": (Gap(key, "timeout"),)})).gaps
    assert gaps == ((f"{key}: timeout",) if concerned else ())
