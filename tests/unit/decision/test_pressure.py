"""Blood pressure readings are put together from panels and single observations, and the last one decides."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.dates import Span
from cds_service.decision.evidence import Found, Pressure
from cds_service.decision.facts import Observation, Record, TextValue
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from cds_service.decision.pressure import pressure_above, pressure_reader
from cds_service.decision.rule import BloodPressureFact
from tests.unit.decision.support import ago, chart, coding, observation, part, quantity, span, value_set

BP = value_set(
    "bp",
    {
        "loinc|85354-9": {"group": "panel"},
        "loinc|8480-6": {"group": "systolic"},
        "loinc|8462-4": {"group": "diastolic"},
        "loinc|8478-0": {"group": "mean"},
    },
)
SPEC = {
    "kind": "blood pressure",
    "codes": {"set": "bp", "where": {"group": ["systolic", "diastolic"]}},
    "panels": {"set": "bp", "where": {"group": ["panel"]}},
    "systolic": "8480-6",
    "diastolic": "8462-4",
    "within_days": 30,
    "pair_minutes": 5,
    "plausible_systolic": [60, 300],
    "plausible_diastolic": [30, 200],
}


def read(*observations: Observation, **more: Any) -> Found:
    """What the fact finds."""
    spec = BloodPressureFact.model_validate(SPEC | more)
    return pressure_reader(spec, {"bp": BP}, "bloodPressure")(chart(observations=observations))


def panel(systolic: Any, diastolic: Any, number: int = 1, when: Span | None = None) -> Observation:
    """A panel of today, unless said otherwise; numbers are mmHg."""
    values = [quantity(one, "mm[Hg]") if isinstance(one, int) else one for one in (systolic, diastolic)]
    parts = (part("loinc|8480-6", values[0]), part("loinc|8462-4", values[1]))
    return observation("loinc|85354-9", None, number, when or ago(0), components=parts)


HIGH, LOW = quantity(150, "mm[Hg]"), quantity(80, "mm[Hg]")


def above(found: Found) -> object:
    """Whether the systolic value is above 140."""
    return pressure_above(found.readings, "systolic", Decimal(140), strict=True)[0]


def texts(found: Found) -> list[str]:
    """The readings as shown."""
    return [reading.text for reading in found.readings]


def test_matches_and_readings_stand_in_one_order() -> None:
    found = read(panel(150, 90, 1, ago(2)), panel(128, 78, 2, ago(9)))
    assert texts(found) == ["128/78 mmHg", "150/90 mmHg"] == [match.value for match in found.matches]
    assert found.values == {"value": "150/90 mmHg", "age": "2 d ago", "date": ago(2).date, "name": "blood pressure"}


def test_a_value_that_is_no_quantity_is_no_reading() -> None:
    assert texts(read(panel(TextValue("high"), TextValue("normal")))) == []


def test_a_code_that_is_neither_side_is_no_reading() -> None:
    both = observation("loinc|8478-0", quantity(95, "mm[Hg]"), when=ago(1))
    assert texts(read(both, codes={"set": "bp"})) == []


def test_a_single_value_meets_the_nearest_partner_and_each_partner_once() -> None:
    def single(code: str, value: int, number: int, minute: int) -> Observation:
        return observation(code, quantity(value, "mm[Hg]"), number, span(f"2026-10-30T09:{minute:02d}:00Z"))

    found = read(
        single("loinc|8480-6", 150, 1, 0),
        single("loinc|8480-6", 140, 2, 4),
        single("loinc|8462-4", 90, 3, 1),
        single("loinc|8462-4", 80, 4, 5),
    )
    assert texts(found) == ["150/90 mmHg", "140/80 mmHg"]


def test_two_observations_without_an_id_are_not_one_reading() -> None:
    def nameless(code: str, value: int, when: Span) -> Observation:
        return Observation(Record("Observation", ""), "final", (coding(code),), when, quantity(value, "mm[Hg]"))

    found = read(nameless("loinc|8480-6", 150, ago(2)), nameless("loinc|8462-4", 80, ago(9)))
    assert texts(found) == ["?/80 mmHg", "150/? mmHg"]


def test_kilopascals_are_converted_and_that_is_said() -> None:
    (reading,) = read(panel(quantity("18.7", "kPa"), quantity("12", "kPa"))).readings
    assert (reading.text, reading.note) == ("140/90 mmHg", "recorded as 18.7 kPa")


@pytest.mark.parametrize(("unit", "note"), [(None, "no unit recorded"), ("bar", "unit not understood")])
def test_another_unit_is_kept_as_a_reading_without_values(unit: str | None, note: str) -> None:
    (reading,) = read(panel(quantity(150, unit), quantity(90, unit))).readings
    assert (reading.systolic, reading.diastolic, reading.note) == (None, None, note)


@pytest.mark.parametrize("unit", ["mm[Hg]", "mmHg", "mm Hg"])
def test_millimetres_of_mercury_are_known_in_three_spellings(unit: str) -> None:
    assert texts(read(panel(quantity(150, unit), quantity(90, unit)))) == ["150/90 mmHg"]


def pressure(systolic: int | None, diastolic: int | None, days: int, certain: bool = True) -> Pressure:
    """A reading so many days ago."""
    high = quantity(systolic, "mm[Hg]") if systolic is not None else None
    low = quantity(diastolic, "mm[Hg]") if diastolic is not None else None
    return Pressure(Record("Observation", f"o{days}"), ago(days), high, low, certain)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([], UNKNOWN),
        ([pressure(141, 80, 1)], MET),
        ([pressure(140, 80, 1)], NOT_MET),
        ([pressure(150, 80, 9), pressure(120, 80, 1)], NOT_MET),
        ([pressure(120, 80, 9), pressure(150, None, 1)], MET),
        ([pressure(150, 80, 9), pressure(120, None, 1)], MET),
        ([pressure(150, None, 9), pressure(120, 80, 1)], NOT_MET),
        ([pressure(None, 80, 1)], UNKNOWN),
        ([pressure(150, None, 1)], MET),
        ([pressure(120, None, 1)], UNKNOWN),
        ([pressure(150, None, 9), pressure(120, None, 1)], UNKNOWN),
        ([pressure(150, 80, 1, certain=False)], UNKNOWN),
        ([pressure(150, None, 1, certain=False)], UNKNOWN),
    ],
)
def test_the_last_pair_decides_and_a_later_high_value_is_enough(readings: list[Pressure], expected: object) -> None:
    assert pressure_above(tuple(readings), "systolic", Decimal(140), strict=True)[0] is expected


def test_the_reading_that_decides_is_named() -> None:
    pair, single = pressure(120, 80, 9), pressure(150, None, 1)
    assert pressure_above((pair, single), "systolic", Decimal(140), strict=True) == (MET, single)
    assert pressure_above((pair, single), "diastolic", Decimal(90), strict=True) == (NOT_MET, pair)
    assert pressure_above((single,), "diastolic", Decimal(90), strict=True) == (UNKNOWN, None)


@given(st.lists(st.tuples(st.integers(60, 300), st.integers(30, 200), st.integers(0, 29)), min_size=1, max_size=6))
def test_pairs_on_different_days_are_decided_by_the_youngest(drawn: list) -> None:
    by_day = {days: (high, low) for high, low, days in drawn if high >= low}
    found = read(*[panel(high, low, days, ago(days)) for days, (high, low) in by_day.items()])
    outcome, _ = pressure_above(found.readings, "systolic", Decimal(140), strict=True)
    expected = UNKNOWN if not by_day else (MET if by_day[min(by_day)][0] > 140 else NOT_MET)
    assert outcome is expected


def test_a_reading_without_a_date_is_on_record_and_decides_nothing() -> None:
    undated = Observation(Record("Observation", "o1"), "final", (coding("loinc|8480-6"),), None, HIGH)
    (reading,) = read(undated).readings
    assert (reading.certain, reading.when.text) == (False, "date unknown")
    assert above(read(undated)) is UNKNOWN
    assert above(read(undated, panel(120, 80, 2, ago(9)))) is UNKNOWN
    assert above(read(undated, panel(150, 80, 2, ago(9)))) is MET


def test_values_without_a_date_are_not_put_together() -> None:
    high = Observation(Record("Observation", "o1"), "final", (coding("loinc|8480-6"),), None, HIGH)
    low = Observation(Record("Observation", "o2"), "final", (coding("loinc|8462-4"),), None, LOW)
    assert sorted(texts(read(high, low))) == ["150/? mmHg", "?/80 mmHg"]


def test_values_further_apart_than_the_rule_allows_are_not_one_reading() -> None:
    def at(code: str, value: Any, number: int, minute: int) -> Observation:
        return observation(code, value, number, span(f"2026-10-30T09:{minute:02d}:00Z"))

    high = at("loinc|8480-6", HIGH, 1, 0)
    assert texts(read(high, at("loinc|8462-4", LOW, 2, 5))) == ["150/80 mmHg"]
    assert texts(read(high, at("loinc|8462-4", LOW, 2, 6))) == ["150/? mmHg", "?/80 mmHg"]


def test_parts_of_another_panel_are_no_reading() -> None:
    ambulatory = panel(150, 90, 1, ago(1))
    mean = observation("loinc|8478-0", None, 1, ago(1), components=ambulatory.components)
    assert texts(read(ambulatory)) == ["150/90 mmHg"]
    assert texts(read(mean)) == []


@pytest.mark.parametrize(("systolic", "diastolic"), [(301, 90), (59, 40), (150, 29), (150, 201), (80, 120)])
def test_an_implausible_or_swapped_reading_is_left_out(systolic: int, diastolic: int) -> None:
    assert texts(read(panel(systolic, diastolic), panel(120, 80, 2, ago(9)))) == ["120/80 mmHg"]


@pytest.mark.parametrize(("systolic", "diastolic"), [(300, 200), (60, 30), (90, 90)])
def test_the_bounds_of_what_is_plausible_are_plausible(systolic: int, diastolic: int) -> None:
    assert texts(read(panel(systolic, diastolic))) == [f"{systolic}/{diastolic} mmHg"]


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", "cancelled"])
def test_a_reading_that_is_not_final_is_none(status: str) -> None:
    assert texts(read(observation("loinc|8480-6", HIGH, when=ago(1), status=status))) == []


def test_a_reading_outside_the_window_is_none_and_one_that_may_be_inside_is_uncertain() -> None:
    assert texts(read(panel(150, 90, when=ago(31)))) == []
    assert [reading.certain for reading in read(panel(150, 90, when=span("2026-10"))).readings] == [False]
    assert [reading.certain for reading in read(panel(150, 90, when=ago(30))).readings] == [True]


@pytest.mark.parametrize(
    ("systolic", "when", "expected"),
    [
        (150, span("2026-10"), UNKNOWN),
        (130, span("2026-10"), NOT_MET),
        (150, span("2026-09"), NOT_MET),
        (None, span("2026-10"), NOT_MET),
    ],
)
def test_a_vague_reading_that_may_be_later_and_higher_leaves_not_met_open(
    systolic: int | None, when: Span, expected: object
) -> None:
    high = quantity(systolic, "mm[Hg]") if systolic else None
    vague = Pressure(Record("Observation", "vague"), when, high, quantity(80, "mm[Hg]"), False)
    readings = (vague, pressure(120, 80, 9))
    assert pressure_above(readings, "systolic", Decimal(140), strict=True)[0] is expected
    sure = (vague, pressure(150, 80, 9))
    assert pressure_above(sure, "systolic", Decimal(140), strict=True)[0] is MET


def test_a_reading_is_cited_by_the_code_of_the_value_that_was_read() -> None:
    single = observation("loinc|8462-4", LOW, 2, ago(9))
    unusable = panel(quantity(150, "bar"), quantity(80, "bar"), 3, ago(20))
    codes = {match.record.id: match.code for match in read(panel(150, 90), single, unusable).matches}
    assert codes == {"o1": "loinc|8480-6", "o2": "loinc|8462-4", "o3": ""}
