"""Dosage instructions as steps: what they say, and nothing they leave unsaid."""

from decimal import Decimal

import pytest

from cds_service.decision.coding import Coding
from cds_service.decision.facts import DoseStep
from tests.unit.fhir.make import Json, concept, facts, request


def step(dosage: Json) -> DoseStep:
    (event,) = facts(request(dosageInstruction=[dosage])).medications.items
    return event.doses[0]


def per_day(timing: Json) -> tuple[Decimal | None, Decimal | None]:
    found = step({"timing": timing})
    return found.per_day_low, found.per_day_high


def repeat(**members: object) -> Json:
    return {"repeat": members}


@pytest.mark.parametrize(
    ("timing", "low", "high"),
    [
        (repeat(frequency=1, period=1, periodUnit="d"), "1", "1"),
        (repeat(frequency=2, period=1, periodUnit="d"), "2", "2"),
        (repeat(frequency=1, period=8, periodUnit="h"), "3", "3"),
        (repeat(frequency=1.0, period=2.0, periodUnit="d"), "0.5", "0.5"),
        (repeat(frequency=2, period=1, periodUnit="wk"), str(Decimal(2) / 7), str(Decimal(2) / 7)),
        (repeat(frequency=1, frequencyMax=3, period=1, periodUnit="d"), "1", "3"),
        (repeat(frequency=1, period=4, periodMax=6, periodUnit="h"), "4", "6"),
        (repeat(period=1, periodUnit="d", when=["MORN", "EVE"]), "2", "2"),
        (repeat(period=1, periodUnit="d"), "1", "1"),
        (repeat(when=["MORN", "NOON", "EVE"]), "3", "3"),
        (repeat(timeOfDay=["08:00:00", "20:00:00"]), "2", "2"),
    ],
)
def test_frequency_as_intakes_per_day(timing: Json, low: str, high: str) -> None:
    assert per_day(timing) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    ("code", "times"),
    [("QD", "1"), ("BID", "2"), ("TID", "3"), ("qid", "4"), ("AM", "1"), ("PM", "1"), ("QHS", "1"), ("QOD", "0.5")],
)
def test_frequency_by_abbreviation(code: str, times: str) -> None:
    assert per_day({"code": concept(code, "urn:any")}) == (Decimal(times), Decimal(times))


@pytest.mark.parametrize(
    "timing",
    [
        {},
        {"code": {"text": "daily"}},
        {"code": concept("NEVER-HEARD-OF", "urn:any")},
        repeat(frequency=1, period=1),
        repeat(frequency=1, period=1, periodUnit="fortnight"),
        repeat(frequency=1, period=0, periodUnit="d"),
        repeat(frequency=3, frequencyMax=1, period=1, periodUnit="d"),
        repeat(frequency=1, period=1, periodUnit="d", dayOfWeek=["mon", "wed"]),
    ],
)
def test_frequency_that_is_not_said_stays_unsaid(timing: Json) -> None:
    assert per_day(timing) == (None, None)


def dose(**members: object) -> Json:
    return {"doseAndRate": [members]}


@pytest.mark.parametrize(
    ("dosage", "low", "high", "unit"),
    [
        (dose(doseQuantity={"value": 50, "unit": "milligram", "system": "http://unitsofmeasure.org", "code": "mg"}),
         "50", "50", "mg"),
        (dose(doseQuantity={"value": 1}), "1", "1", None),
        (dose(doseQuantity={"value": 50.0, "unit": "mg"}), "50", "50", "mg"),
        (dose(doseQuantity={"value": 0.125, "unit": "mg"}), "0.125", "0.125", "mg"),
        (dose(doseRange={"low": {"value": 25, "unit": "mg"}, "high": {"value": 50, "unit": "mg"}}), "25", "50", "mg"),
        (dose(doseRange={"high": {"value": 50, "unit": "mg"}}), None, "50", "mg"),
        (dose(doseQuantity={"value": 50, "comparator": "<="}), None, "50", None),
        (dose(doseQuantity={"value": 50, "comparator": ">"}), "50", None, None),
        (dose(doseRange={"low": {"value": 25, "unit": "mg"}, "high": {"value": 1, "unit": "g"}}), None, None, None),
        (dose(rateQuantity={"value": 5}), None, None, None),
        ({"text": "one in the morning"}, None, None, None),
    ],
)  # fmt: skip
def test_amount_of_one_intake(dosage: Json, low: str | None, high: str | None, unit: str | None) -> None:
    found = step(dosage)
    assert found.amount_low == (None if low is None else Decimal(low))
    assert found.amount_high == (None if high is None else Decimal(high))
    assert found.unit == unit


def test_equal_amounts_are_written_in_one_way_whatever_came_before() -> None:
    written = [step(dose(doseQuantity={"value": value})).amount_low for value in (50, 50.0, 5e1)]
    assert [str(value) for value in written] == ["50", "50", "50"]


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ({"boundsDuration": {"value": 6, "code": "wk"}}, 42),
        ({"boundsDuration": {"value": 2, "unit": "months"}}, 60),
        ({"boundsDuration": {"value": 2, "code": "h"}}, None),
        ({"boundsDuration": {"value": -2, "code": "d"}}, None),
        ({"boundsDuration": {"value": 3, "code": "wk", "comparator": "<"}}, None),
        ({"boundsPeriod": {"start": "2026-01-01", "end": "2026-01-28"}}, 28),
        ({"boundsPeriod": {"start": "2026-01-01T08:00:00Z", "end": "2026-01-29T08:00:00Z"}}, 28),
        ({"boundsPeriod": {"start": "2026-01-01"}}, None),
        ({"boundsPeriod": {"start": "2026-01", "end": "2026-02"}}, None),
        ({"boundsPeriod": {"start": "2026-02-01", "end": "2026-01-01"}}, None),
        ({"boundsRange": {"low": {"value": 1}}}, None),
    ],
)
def test_length_of_a_step(bounds: Json, days: int | None) -> None:
    assert step({"timing": {"repeat": bounds}}).days == days


@pytest.mark.parametrize(
    ("member", "as_needed"),
    [
        ({}, False),
        ({"asNeededBoolean": False}, False),
        ({"asNeededBoolean": True}, True),
        ({"asNeededCodeableConcept": concept("25064002")}, True),
    ],
)
def test_as_needed_in_each_form(member: Json, as_needed: bool) -> None:
    assert step(member).as_needed is as_needed


def test_sequence_and_route() -> None:
    found = step({"sequence": 2, "route": concept("46713006", text="nasal")})
    assert (found.sequence, found.route, found.route_text) == (2, (Coding("snomed", "46713006"),), "nasal")


@pytest.mark.parametrize(
    ("dosage", "element"),
    [
        (dose(doseQuantity={"value": 1e40}), "dosageInstruction.doseAndRate.doseQuantity"),
        (repeat(frequency=1e40, period=1, periodUnit="d"), "dosageInstruction.timing.repeat"),
        (repeat(boundsPeriod={"start": "then"}), "dosageInstruction.timing.repeat.boundsPeriod.start"),
    ],
)
def test_what_cannot_be_read_names_its_element(dosage: Json, element: str) -> None:
    timed = dosage if "doseAndRate" in dosage else {"timing": dosage}
    (aside,) = facts(request(dosageInstruction=[timed])).quarantined
    assert aside.reason.startswith(f"{element}: ")
