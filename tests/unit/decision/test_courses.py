"""Courses are counted in days, with bounds instead of guesses."""

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cds_service.decision.courses import count_courses, covered_days
from cds_service.decision.dates import AsOf, day_date
from cds_service.decision.facts import Condition, DoseStep, Gap, MedicationEvent, Quarantined, Record
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from tests.unit.decision.courses_support import EPISODE, ESCITALOPRAM, MIRTAZAPINE, SERTRALINE, TABLET, courses, read
from tests.unit.decision.support import AS_OF, ago, coding, condition, daily, event, facts, observation, quantity, span

INTERVALS = st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), max_size=8)


# ------------------------------------------------------------ interval arithmetic


@given(INTERVALS)
def test_covered_days_are_the_days_of_the_union(intervals: list[tuple[int, int]]) -> None:
    assert covered_days(intervals) == len({day for first, last in intervals for day in range(first, last + 1)})


@given(INTERVALS, INTERVALS)
def test_more_intervals_never_cover_fewer_days(some: list, more: list) -> None:
    assert covered_days(some) <= covered_days(some + more) <= covered_days(some) + covered_days(more)


@given(INTERVALS, st.randoms(use_true_random=False))
def test_the_order_of_intervals_does_not_matter(intervals: list, chance: Any) -> None:
    mixed = list(intervals)
    chance.shuffle(mixed)
    assert covered_days(mixed) == covered_days(intervals)


# ------------------------------------------------------------ properties of courses


def taken(code: str, start: int, length: int, number: int, **more: Any) -> MedicationEvent:
    """A statement that began `start` days ago and lasted `length` days, at 50 mg a day."""
    more.setdefault("doses", daily(50))
    return event("statement", code, number, start=ago(start), end=ago(start - length + 1), **more)


RUNS = st.lists(
    st.tuples(st.sampled_from([SERTRALINE, ESCITALOPRAM, MIRTAZAPINE]), st.integers(100, 400), st.integers(1, 90)),
    max_size=5,
)


@given(RUNS)
def test_exact_records_leave_nothing_open_and_count_each_day_once(runs: list) -> None:
    found = courses(*[taken(code, start, length, number) for number, (code, start, length) in enumerate(runs)])
    for course in found:
        assert course.days_certain == course.days_possible
        assert UNKNOWN not in (course.adequate, course.counts)
    days = {(code, start - day) for code, start, length in runs for day in range(length)}
    assert sum(course.days_certain for course in found) == len(days)


@given(RUNS, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(runs: list, chance: Any) -> None:
    events = [taken(code, start, length, number) for number, (code, start, length) in enumerate(runs)]
    mixed = list(events)
    chance.shuffle(mixed)
    assert courses(*mixed) == courses(*events)


@given(st.integers(200, 400), st.integers(1, 90), st.integers(0, 60))
def test_a_longer_course_never_stops_counting(start: int, length: int, longer: int) -> None:
    (short,) = courses(taken(SERTRALINE, start, length, 1))
    (long,) = courses(taken(SERTRALINE, start, length + longer, 1))
    assert long.days_certain == short.days_certain + longer
    assert not (short.counts is MET and long.counts is not MET)


@given(st.integers(1, 90), st.integers(1, 90))
def test_a_higher_dose_never_stops_counting(dose: int, more: int) -> None:
    (low,) = courses(taken(SERTRALINE, 200, 60, 1, doses=daily(dose)))
    (high,) = courses(taken(SERTRALINE, 200, 60, 1, doses=daily(dose + more)))
    assert not (low.counts is MET and high.counts is not MET)


@settings(max_examples=60)
@given(st.integers(100, 400), st.integers(1, 90), st.sampled_from(["start", "end", "dose"]))
def test_what_is_not_recorded_opens_an_answer_and_never_turns_it(start: int, length: int, lost: str) -> None:
    (known,) = courses(taken(SERTRALINE, start, length, 1))
    recorded: dict[str, Any] = {"start": ago(start), "end": ago(start - length + 1), "doses": daily(50)}
    recorded |= {"doses": ()} if lost == "dose" else {lost: None}
    (left,) = courses(event("statement", SERTRALINE, 1, **recorded))
    assert left.days_certain <= known.days_certain <= left.days_possible
    assert left.counts in (UNKNOWN, known.counts)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(100, 900), st.integers(1, 60)), min_size=2, max_size=4), st.integers(100, 900))
def test_a_record_of_unknown_length_never_makes_days_certain(runs: list, start: int) -> None:
    exact = [taken(SERTRALINE, begin, length, number) for number, (begin, length) in enumerate(runs)]
    open_ended = event("statement", SERTRALINE, 99, start=ago(start), status="stopped", doses=daily(50))
    most = max((course.days_certain for course in courses(*exact)), default=0)
    assume(most < 42 - 1)
    assert MET not in {course.adequate for course in courses(*exact, open_ended)}


# ------------------------------------------------------------ what an event is


def only(*events: MedicationEvent, **more: Any) -> Any:
    """The one course that events make."""
    (course,) = courses(*events, **more)
    return course


def test_an_ingredient_of_the_product_table_alone_has_no_minimum() -> None:
    course = only(taken("rxnorm|12", 200, 60, 1))
    assert (course.ingredient, course.minimum_mg, course.counts) == ("gepirone", "not set", UNKNOWN)


@pytest.mark.parametrize("code", ["rxnorm|5", "rxnorm|13", "rxnorm|20", "rxnorm|21"])
def test_what_never_counts_makes_no_course(code: str) -> None:
    assert courses(taken(code, 200, 60, 1)) == ()


def test_a_code_of_another_system_of_the_same_drug_is_the_same_drug() -> None:
    course = only(taken(SERTRALINE, 200, 30, 1), taken("atc|N06AB06", 170, 30, 2))
    assert (course.days_certain, course.minimum_mg) == (60, "50")


def test_a_combination_with_naltrexone_named_in_text_is_not_taken_for_bupropion() -> None:
    found = read(
        facts([EPISODE], medications=[event("statement", "local|x", start=ago(200), text="naltrexone with sertraline")])
    )
    assert found.courses == ()
    assert found.gaps == ("MedicationStatement/m1: medication not identified",)


def test_an_antidepressant_named_in_words_only_makes_a_course_that_cannot_be_decided() -> None:
    course = only(event("statement", "local|x", start=ago(200), end=ago(100), doses=daily(50), text="Sertraline 50 mg"))
    assert (course.ingredient, course.counts, course.why) == (
        "sertraline",
        UNKNOWN,
        "product code not known: named in text only",
    )


@pytest.mark.parametrize(
    "more",
    [
        {"do_not_perform": True},
        {"intent": "proposal"},
        {"kind": "request", "status": "draft"},
        {"kind": "request", "status": "cancelled"},
        {"status": "not-taken"},
        {"status": "intended"},
        {"kind": "dispense", "status": "cancelled"},
    ],
)
def test_a_drug_that_was_not_taken_makes_no_course(more: dict[str, Any]) -> None:
    recorded: dict[str, Any] = {"kind": "statement", "start": ago(200), "end": ago(100), "doses": daily(50)} | more
    assert courses(event(code=SERTRALINE, **recorded)) == ()


ONCE = daily(50)[0]
ORAL, NASAL = (coding("snomed|oral"),), (coding("snomed|nasal"),)


@pytest.mark.parametrize(
    ("doses", "reasons", "counted"),
    [
        ([msgspec.structs.replace(ONCE, as_needed=True)], [], False),
        ([ONCE, msgspec.structs.replace(ONCE, as_needed=True)], [], True),
        ([msgspec.structs.replace(ONCE, route=NASAL)], [], False),
        ([msgspec.structs.replace(ONCE, route=ORAL)], [], True),
        ([ONCE], ["icd10cm|F41.1"], False),
        ([ONCE], ["icd10cm|F41.1", "icd10cm|F33.2"], True),
    ],
)
def test_a_drug_for_another_purpose_makes_no_course(doses: list, reasons: list[str], counted: bool) -> None:
    given = taken(SERTRALINE, 200, 60, 1, doses=tuple(doses), reasons=tuple((coding(one),) for one in reasons))
    assert bool(courses(given)) is counted


def test_a_drug_that_is_an_antidepressant_on_the_skin_only_makes_no_course_by_mouth() -> None:
    by_mouth = taken("rxnorm|4", 200, 60, 1, doses=(msgspec.structs.replace(ONCE, route=ORAL),))
    assert courses(by_mouth) == ()
    assert [course.ingredient for course in courses(taken("rxnorm|4", 200, 60, 1))] == ["selegiline"]


def step(low: Any, high: Any, unit: str | None, often: Any = 1, **more: Any) -> DoseStep:
    """One dosage instruction."""
    one, other, times = (quantity(value).value if value is not None else None for value in (low, high, often))
    return DoseStep(one, other, unit, times, times, **more)


@pytest.mark.parametrize(
    ("doses", "expected"),
    [
        ([step(50, 50, "mg")], "50 mg/d"),
        ([step(25, 50, "mg", 2)], "50 to 100 mg/d"),
        ([step("0.05", "0.05", "g")], "50 mg/d"),
        ([step(2, 2, "Tablet")], "100 mg/d"),
        ([step(2, 2, None)], "dose unknown"),
        ([step(None, 50, "mg")], "dose unknown"),
        ([step(50, 50, "mg", None)], "dose unknown"),
        ([step(25, 25, "mg"), step(25, 25, "mg")], "50 mg/d"),
        ([step(25, 25, "mg", sequence=1), step(50, 50, "mg", sequence=2)], "25 to 50 mg/d"),
        ([step(50, 50, "mg"), step(None, None, None)], "dose unknown"),
        ([step(50, 50, "mg"), step(50, 50, "mg", as_needed=True)], "50 mg/d"),
        ([], "dose unknown"),
    ],
)
def test_the_dose_is_what_the_instructions_add_up_to(doses: list[DoseStep], expected: str) -> None:
    assert only(event("statement", TABLET, start=ago(200), end=ago(100), doses=tuple(doses))).dose == expected


def test_one_unit_of_an_unknown_strength_has_no_dose() -> None:
    assert only(event("statement", SERTRALINE, start=ago(200), end=ago(100), doses=(step(1, 1, "tablet"),))).dose == (
        "dose unknown"
    )


def test_a_dispense_takes_the_dose_of_the_last_prescription_before_it() -> None:
    before = event("request", SERTRALINE, 1, status="active", start=ago(228), doses=daily(25))
    last = event("request", SERTRALINE, 2, status="active", start=ago(220), doses=daily(50))
    after = event("request", SERTRALINE, 3, status="active", start=ago(190), doses=daily(200))
    other = event("request", ESCITALOPRAM, 4, status="draft", start=ago(210), doses=daily(10))
    undated = event("request", SERTRALINE, 5, status="active", doses=daily(99))
    handed = event("dispense", SERTRALINE, 6, start=ago(200), supply_days=60)
    found = courses(before, last, after, other, handed)
    assert [course.dose for course in found if "MedicationDispense/m6" in course.records] == ["50 mg/d"]
    assert courses(handed)[0].dose == "dose unknown"
    assert any(course.end == "end unknown" for course in courses(undated, handed))


# ------------------------------------------------------------ what a course says


def test_a_course_says_when_it_ran_and_what_it_rests_on() -> None:
    course = only(taken(SERTRALINE, 200, 60, 1))
    assert (course.start, course.end) == (ago(200).date, ago(141).date)
    assert course.records == ("MedicationStatement/m1",)
    assert not course.ongoing


def test_a_course_that_reaches_the_as_of_day_is_ongoing() -> None:
    course = only(event("statement", SERTRALINE, status="active", start=ago(200), doses=daily(50)))
    assert (course.end, course.ongoing, course.days_certain) == ("ongoing", True, 201)


def test_a_course_never_reaches_beyond_the_as_of_day() -> None:
    course = only(event("dispense", TABLET, start=ago(9), supply_days=90, quantity=quantity(90).value))
    assert (course.days_certain, course.ongoing) == (10, True)


def test_a_course_without_a_start_says_so() -> None:
    course = only(event("statement", SERTRALINE, doses=daily(50)))
    assert (course.start, course.end, course.days_certain) == ("start unknown", "end unknown", 0)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "6 weeks or more at an adequate dose"),
        ({"doses": daily(25)}, "too short or dose too low"),
        ({"doses": ()}, "dose or duration not recorded"),
        ({"start": ago(200), "end": ago(173)}, "borderline: 4 to under 6 weeks at an adequate dose"),
        ({"start": ago(200), "end": ago(174)}, "too short or dose too low"),
        ({"status_reasons": (coding("snomed|adr"),)}, "stopped for a reason that is not non-response"),
    ],
)
def test_a_course_says_why_it_counts_or_not(more: dict, why: str) -> None:
    recorded: dict[str, Any] = {"start": ago(200), "end": ago(141), "doses": daily(50)} | more
    assert only(event("statement", SERTRALINE, **recorded)).why == why


def test_the_last_recorded_stop_reason_speaks() -> None:
    first = taken(SERTRALINE, 200, 60, 1, status_reasons=(coding("snomed|adr"),))
    last = taken(SERTRALINE, 140, 60, 2, status_reasons=(coding("snomed|none"),))
    assert only(first, last).response == "non-response documented"
    assert only(first, taken(SERTRALINE, 140, 60, 2, status_reasons=(coding("local|x"),))).response == (
        "stopped for a reason that is not non-response"
    )


# ------------------------------------------------------------ the episode


def test_without_a_depression_the_episode_is_open() -> None:
    course = only(taken(SERTRALINE, 200, 60, 1), conditions=(condition("snomed|asthma"),))
    assert (course.in_episode, course.why) == (UNKNOWN, "episode start not recorded exactly")


@given(st.integers(100, 300), st.integers(0, 120))
def test_a_course_belongs_to_the_episode_up_to_sixty_days_before_it(onset: int, before: int) -> None:
    began = condition("icd10cm|F33.2", onset=ago(onset))
    last_day = onset + before
    course = only(
        event("statement", SERTRALINE, start=ago(last_day + 59), end=ago(last_day), doses=daily(50)),
        conditions=(began,),
    )
    assert course.in_episode is (MET if before <= 60 else NOT_MET)


def in_episode(*conditions: Condition) -> object:
    """Whether a course that ended 100 days ago belongs to the episode that conditions tell of."""
    ended = event("statement", SERTRALINE, start=ago(200), end=ago(100), doses=daily(50))
    return only(ended, conditions=conditions).in_episode


def depression(number: int = 1, code: str = "icd10cm|F33.2", **more: Any) -> Condition:
    """A depression on record."""
    return condition(code, number, **more)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([depression(onset=ago(150))], MET),
        ([depression(onset=ago(30))], NOT_MET),
        # a depression that has ended says nothing of the current episode
        ([depression(onset=ago(150), clinical="resolved")], UNKNOWN),
        # a recorded date alone: it began then or before
        ([depression(recorded=ago(150))], MET),
        ([depression(recorded=ago(30))], UNKNOWN),
        ([depression()], UNKNOWN),
        # the same diagnosis at many encounters began with the first, different ones leave the beginning between them
        ([depression(1, onset=ago(150)), depression(2, onset=ago(30))], MET),
        ([depression(1, onset=ago(150)), depression(2, "snomed|mdd", onset=ago(30))], UNKNOWN),
    ],
)
def test_the_episode_began_with_the_first_record_of_the_depression(conditions: list, expected: object) -> None:
    assert in_episode(*conditions) is expected


@pytest.mark.parametrize(
    ("remission", "expected"),
    [(ago(250), MET), (ago(30), NOT_MET), (span("2026"), UNKNOWN), (None, UNKNOWN)],
)
def test_a_remission_moves_the_beginning_to_after_it(remission: Any, expected: object) -> None:
    parted = depression(2, "icd10cm|F33.42", onset=remission, clinical="remission")
    assert in_episode(depression(onset=span("2020-01-01")), parted) is expected


# ------------------------------------------------------------ a drug still taken


def ongoing(*scores: tuple[int, int]) -> Any:
    """A course that began 200 days ago and is not over, with depression scores (days ago, value)."""
    still = event("statement", SERTRALINE, status="active", start=ago(200), doses=daily(50))
    read = [observation("loinc|44261-6", quantity(value), days, ago(days)) for days, value in scores]
    return only(still, observations=read)


@pytest.mark.parametrize(
    ("scores", "response", "counts"),
    [
        ([], "ongoing, response not recorded", UNKNOWN),
        # without a score at the start, a recent high one shows that the drug has not worked
        ([(10, 10)], "ongoing, inadequate so far", MET),
        ([(10, 9)], "ongoing, response not recorded", UNKNOWN),
        ([(200, 0), (10, 12)], "ongoing, inadequate so far", MET),
        # with one, the change from it decides
        ([(200, 20), (10, 16)], "ongoing, inadequate so far", MET),
        ([(200, 20), (10, 15)], "ongoing, response not recorded", UNKNOWN),
        ([(200, 20), (10, 11)], "ongoing, response not recorded", UNKNOWN),
        ([(200, 20), (10, 10)], "ongoing, responding", NOT_MET),
        ([(214, 20), (10, 10)], "ongoing, responding", NOT_MET),
        ([(215, 20), (10, 10)], "ongoing, inadequate so far", MET),
        # a score is recent for 90 days, and tells of the drug four weeks after its beginning
        ([(91, 20)], "ongoing, response not recorded", UNKNOWN),
        ([(90, 20)], "ongoing, inadequate so far", MET),
    ],
)
def test_a_drug_still_taken_counts_where_recent_scores_show_no_response(
    scores: list, response: str, counts: object
) -> None:
    course = ongoing(*scores)
    assert (course.response, course.counts) == (response, counts)


def test_a_score_of_the_first_four_weeks_says_nothing_of_the_drug() -> None:
    started = event("statement", SERTRALINE, status="active", start=ago(50), doses=daily(50))

    def response(days: int) -> Any:
        return only(started, observations=[observation("loinc|44261-6", quantity(20), 1, ago(days))]).response

    assert (response(23), response(22)) == ("ongoing, response not recorded", "ongoing, inadequate so far")


# ------------------------------------------------------------ counting


@given(st.lists(st.sampled_from([MET, NOT_MET, UNKNOWN]), max_size=3), st.integers(1, 3))
def test_certain_and_undecidable_courses_bound_the_count(outcomes: list, at_least: int) -> None:
    drugs = [SERTRALINE, ESCITALOPRAM, MIRTAZAPINE]
    made: dict[Any, dict[str, Any]] = {
        MET: {"doses": daily(50)},
        NOT_MET: {"doses": daily(1)},
        UNKNOWN: {"doses": ()},
    }
    events = [taken(drug, 200, 60, n, **made[one]) for n, (drug, one) in enumerate(zip(drugs, outcomes, strict=False))]
    found = read(facts([EPISODE], medications=[*events, event("statement", "rxnorm|20", 9, start=ago(9))]))
    certain, possible = outcomes.count(MET), len(outcomes) - outcomes.count(NOT_MET)
    expected = MET if certain >= at_least else (UNKNOWN if possible >= at_least else NOT_MET)
    assert count_courses(found, at_least) is expected


def test_one_ingredient_counts_once_however_many_courses_it_has() -> None:
    found = read(facts([EPISODE], medications=[taken(SERTRALINE, 400, 60, 1), taken(SERTRALINE, 200, 60, 2)]))
    assert len(found.courses) == 2
    assert count_courses(found, 2) is NOT_MET
    assert found.values == {"count": "1", "open": "0", "state": "not recorded"}


def test_what_could_not_be_read_leaves_the_count_open() -> None:
    aside = Quarantined(Record("MedicationRequest", "q"), "authoredOn: not a date")
    gap = {"medications": (Gap("medicationDispenses", "refused"),)}
    for found in (
        read(facts([EPISODE], medications=[taken(SERTRALINE, 200, 60, 1)], quarantined=[aside])),
        read(facts([EPISODE], medications=[taken(SERTRALINE, 200, 60, 1)], gaps=gap)),
        read(facts([EPISODE])),
    ):
        assert count_courses(found, 2) is UNKNOWN


def test_scores_that_cannot_be_used_are_left_out() -> None:
    unusable = [
        observation("loinc|44261-6", quantity(20, None, ">"), 1, ago(5)),
        observation("loinc|44261-6", quantity(20), 2),
        observation("loinc|44261-6", None, 3, ago(5)),
        observation("loinc|44261-6", quantity(20), 4, ago(5), status="preliminary"),
    ]
    ongoing = event("statement", SERTRALINE, status="active", start=ago(200), doses=daily(50))
    assert only(ongoing, observations=unusable).response == "ongoing, response not recorded"


def test_the_as_of_day_alone_decides_what_is_ongoing() -> None:
    exact = event("statement", SERTRALINE, start=span("2026-01-01"), end=span("2026-06-30"), doses=daily(50))
    at_its_end = read(facts([EPISODE], medications=[exact]), AsOf.of(day_date(span("2026-06-30").first_day)))
    assert at_its_end.courses[0].ongoing
    assert not read(facts([EPISODE], medications=[exact]), AS_OF).courses[0].ongoing
