"""The official boundary of CMS128 (84 days of antidepressant pass, 83 fail) agrees with our interval arithmetic.

The measure adds up the days that antidepressant dispenses cover between the first dispense (IPSD) and 114 days after
it (numerator 1: at least 84) or 231 days after it (numerator 2: at least 180). A dispense covers the day it was handed
over and the days of its supply, counted inclusively, as our exposures do; and our as-of day cuts a course off as the
measure's window does. So, read at as-of = IPSD + 114, the possible days of all courses together have to give the
official numerator 1 of each development case, and read at IPSD + 231 the official numerator 2. (Possible days: these
records carry no dose.) The measure leaves out a patient whose earlier antidepressant overlaps the 105 days before the
IPSD: the end of that course, as we read it, lies on the official side of the line (105 days before is out, 106 in).

Data: the dispenses of the development test cases of "Antidepressant Medication Management" in
cqframework/ecqm-content-qicore-2024, CC0 1.0 (licence text: fhir_fixtures/licences). All patients are synthetic.
Denominator exclusions for hospice do not concern the arithmetic, so that only the days of those cases are compared.
"""

import datetime as dt

import pytest

from cds_service.decision.dates import AsOf, day_number
from tests.unit.decision.courses_support import EPISODE, TABLET, read
from tests.unit.decision.support import event, facts, span

IPSD = dt.date(2025, 1, 1)
JANUARY, MARCH = "2025-01-01T01:00:00.000Z", "2025-03-01T01:00:00.000Z"
Dispense = tuple[str, int]  # handed over, days of supply
TEN_DAYS_TWICE: list[Dispense] = [(JANUARY, 10), (MARCH, 10)]

# test case, dispenses, official numerator 1, official numerator 2
CASES: list[tuple[str, list[Dispense], bool, bool]] = [
    ("Antidepressant continuous treatment 83 days", [(JANUARY, 83)], False, False),
    ("Antidepressant continuous treatment 84 days", [(JANUARY, 84)], True, False),
    ("Antidepressant continuous treatment 179 days", [(JANUARY, 179)], True, False),
    ("Antidepressant continuous treatment 180 days", [(JANUARY, 180)], True, True),
    ("Two dispensing events where the first is considered IPSD", [(MARCH, 10), (JANUARY, 10)], False, False),
    ("IPSD with depression diagnosis within 60 days", [(JANUARY, 10)], False, False),
    ("IPSD but no depression diagnosis", [(JANUARY, 10)], False, False),
    ("Active antidepressant ends 105 days prior to IPSD", [(JANUARY, 10)], False, False),
    ("Active antidepressant ends 106 days prior to IPSD", [(JANUARY, 10)], False, False),
    *[
        (case, TEN_DAYS_TWICE, False, False)
        for case in (
            "Qualifying encounter is nursing facility visit",
            "Qualifying encounter is annual wellness visit",
            "Qualifying encounter is Preventive Care Services Initial Office Visit, 18 and Up",
            "Qualifying encounter is Preventive Care Services Established Office Visit, 18 and Up",
            "Qualifying encounter is Psych Visit Psychotherapy",
            "Qualifying encounter is Psych Visit Diagnostic Evaluation",
            "Qualifying encounter is Home Healthcare Services",
            "Qualifying encounter is Virtual Encounter",
            "Qualifying encounter is Telephone Visit",
            "Hospice inpatient encounter during MP but no discharge",
            "Hospice inpatient encounter discharge during MP",
            "Hospice service request during the MP",
            "Hospice encounter overlaps the MP",
            "Hospice observation value is yes",
            "Hospice discharge to home during the MP",
            "Hospice diagnosis overlaps the MP",
            "Hospice procedure starts during the MP",
        )
    ],
]


def covered(dispenses: list[Dispense], window: int) -> int:
    """The days that our courses may cover up to so many days after the IPSD."""
    events = [
        event("dispense", TABLET, number, start=span(handed_over), supply_days=days)
        for number, (handed_over, days) in enumerate(dispenses, start=1)
    ]
    as_of = AsOf.of(IPSD + dt.timedelta(days=window))
    found = read(facts([EPISODE], medications=events), as_of)
    return sum(course.days_possible for course in found.courses)


def test_all_development_cases_are_here() -> None:
    assert len(CASES) == len({case for case, *_ in CASES}) == 26


@pytest.mark.parametrize(
    ("dispenses", "numerator_1", "numerator_2"),
    [pytest.param(*facts_and_result, id=case) for case, *facts_and_result in CASES],
)
def test_our_days_give_the_official_numerators(dispenses: list[Dispense], numerator_1: bool, numerator_2: bool) -> None:
    assert (covered(dispenses, 114) >= 84) is numerator_1
    assert (covered(dispenses, 231) >= 180) is numerator_2


def test_two_separate_dispenses_are_two_courses_of_ten_days() -> None:
    assert covered(TEN_DAYS_TWICE, 114) == 20
    assert covered([(JANUARY, 83)], 114) == 83
    assert covered([(JANUARY, 180)], 114) == 115


@pytest.mark.parametrize(("end", "left_out"), [("2024-09-18T00:00:00.000Z", True), ("2024-09-17T23:59:59.000Z", False)])
def test_an_earlier_course_ends_on_the_official_side_of_105_days(end: str, left_out: bool) -> None:
    earlier = event("request", TABLET, 1, status="active", start=span("2023-01-01T00:00:00.000Z"), end=span(end))
    index = event("dispense", TABLET, 2, start=span(JANUARY), supply_days=10)
    found = read(facts([EPISODE], medications=[earlier, index]), AsOf.of(IPSD))
    course = next(course for course in found.courses if "MedicationRequest/m1" in course.records)
    assert (span(course.end).last_day >= day_number(IPSD) - 105) is left_out
