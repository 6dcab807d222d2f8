"""Blood pressure: readings put together from panels and single observations, and which of them is the last."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from cds_service.decision.chart import Chart
from cds_service.decision.codes import Codes, ValueSet, first_match
from cds_service.decision.dates import DAY_MS, AsOf, Span, age_text
from cds_service.decision.evidence import Found, Match, Pressure, plain_number
from cds_service.decision.facts import Quantity, Record
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.decision.reading import FINAL, Reader, compare, in_window, observation_gaps, whole_sets
from cds_service.decision.rule import BloodPressureFact

UNDATED = "date unknown"
MMHG = ("mm[Hg]", "mmHg", "mm Hg")
KPA_IN_MMHG = Decimal("7.50062")

Side = dict[int, tuple[Record, Span, Quantity]]
"""One half of the readings, by the observation that holds it (records may lack an id)."""


def pressure_reader(spec: BloodPressureFact, sets: Mapping[str, ValueSet], key: str) -> Reader:
    """Compile a `blood pressure` fact: readings inside the window, oldest first."""
    codes = sets[spec.codes.set].select(spec.codes)
    panels = sets[spec.panels.set].select(spec.panels)
    subject = whole_sets([spec.codes], sets)
    # Facts that differ in their window alone share the readings of a chart.
    shared = spec.model_copy(update={"within_days": 0}).model_dump_json()

    def reader(chart: Chart) -> Found:
        every = chart.once(shared, lambda: _readings(spec, codes, panels, chart))
        readings = [
            reading if inside is MET else msgspec.structs.replace(reading, certain=False)
            for reading in every
            if (inside := in_window(reading.when, chart.as_of, 0, spec.within_days)) is not NOT_MET
        ]
        matches = tuple(_as_match(spec, reading) for reading in readings)
        gaps = observation_gaps(chart, subject, key)
        return Found(matches, gaps, _values(readings, chart.as_of), readings=tuple(readings))

    return reader


def _as_match(spec: BloodPressureFact, reading: Pressure) -> Match:
    return Match(
        record=reading.record,
        display="blood pressure",
        code=_code(spec, reading),
        when=reading.when,
        certain=reading.certain,
        value=reading.text,
        note=reading.note,
    )


def _code(spec: BloodPressureFact, reading: Pressure) -> str:
    """The code of the value that was read, the systolic one first; the code of a panel around it varies."""
    if reading.systolic:
        return f"loinc|{spec.systolic}"
    return f"loinc|{spec.diastolic}" if reading.diastolic else ""


def _values(readings: list[Pressure], as_of: AsOf) -> dict[str, str]:
    last = decisive(readings)
    if last is None:
        return {}
    return {"value": last.text, "age": age_text(last.when, as_of), "date": last.when.date, "name": "blood pressure"}


def decisive(readings: list[Pressure]) -> Pressure | None:
    """The last complete pair, else the last single value."""
    pairs = [reading for reading in readings if reading.complete]
    return pairs[-1] if pairs else (readings[-1] if readings else None)


def _readings(spec: BloodPressureFact, codes: Codes, panels: Codes, chart: Chart) -> list[Pressure]:
    """Every plausible reading, in order of time."""
    highs: Side = {}
    lows: Side = {}
    for observation, component in chart.readings_in(codes):
        if component and first_match(observation.codes, panels) is None:
            continue
        source = component or observation
        side = _side(spec, [coding.code for coding in source.codes if coding.key in codes])
        if side is None or observation.status not in FINAL or not isinstance(source.value, Quantity):
            continue
        when = observation.when or _undated(chart.as_of)
        (highs if side == "high" else lows)[id(observation)] = (observation.record, when, source.value)
    return sorted(_pair_up(spec, highs, lows), key=lambda reading: (reading.when.start, reading.record.id))


def _undated(as_of: AsOf) -> Span:
    """A reading without a date may be of any day in a hundred years: on record, perhaps recent, never today's."""
    return Span(as_of.instant - 36_500 * DAY_MS, as_of.instant, UNDATED)


def _side(spec: BloodPressureFact, codes: list[str]) -> str | None:
    if spec.systolic in codes:
        return "high"
    return "low" if spec.diastolic in codes else None


def _pair_up(spec: BloodPressureFact, highs: Side, lows: Side) -> list[Pressure]:
    """Values of one observation are one reading; so are single ones at most `pair_minutes` apart."""
    readings = []
    free_lows = {key: low for key, low in lows.items() if key not in highs}
    for key, (record, when, high) in highs.items():
        low = lows.get(key)
        if low is None:
            partner = _nearest(when, free_lows, spec.pair_minutes * 60_000)
            low = free_lows.pop(partner) if partner is not None else None
        readings.append(_reading(spec, record, when, high, low[2] if low else None))
    for record, when, low_value in free_lows.values():
        readings.append(_reading(spec, record, when, None, low_value))
    return [reading for reading in readings if reading is not None]


def _nearest(when: Span, lows: Side, limit: int) -> int | None:
    """The single value nearest in time, when it lies within `limit` milliseconds; undated ones are near to nothing."""
    distances = sorted(
        (max(abs(low.start - when.start), abs(low.end - when.end)), record.id, key)
        for key, (record, low, _) in lows.items()
        if UNDATED not in (low.text, when.text)
    )
    return distances[0][2] if distances and distances[0][0] <= limit else None


def _reading(
    spec: BloodPressureFact, record: Record, when: Span, high: Quantity | None, low: Quantity | None
) -> Pressure | None:
    """A reading in mmHg; None when a value lies outside the plausible range or the two are swapped."""
    systolic, note = _in_mmhg(high)
    diastolic, low_note = _in_mmhg(low)
    if not _plausible(systolic, spec.plausible_systolic) or not _plausible(diastolic, spec.plausible_diastolic):
        return None
    if systolic and diastolic and systolic.value < diastolic.value:
        return None
    return Pressure(record, when, systolic, diastolic, True, note or low_note)


def _in_mmhg(quantity: Quantity | None) -> tuple[Quantity | None, str | None]:
    if quantity is None:
        return None, None
    if quantity.unit in MMHG:
        return quantity, None
    if quantity.unit == "kPa":
        value = (quantity.value * KPA_IN_MMHG).quantize(Decimal(1))
        return Quantity(value, "mm[Hg]", quantity.comparator), f"recorded as {plain_number(quantity.value)} kPa"
    return None, "unit not understood" if quantity.unit else "no unit recorded"


def _plausible(quantity: Quantity | None, limits: list[int]) -> bool:
    return quantity is None or limits[0] <= quantity.value <= limits[1]


def pressure_above(
    readings: tuple[Pressure, ...], part: str, bound: Decimal, *, strict: bool
) -> tuple[Outcome, Pressure | None]:
    """Whether the last reading's `part` lies above `bound`, and the reading that decides.

    The last complete pair decides. A later single value above the bound is enough; a later single value at or below
    it decides nothing, since its other half is missing.
    """
    pair = decisive(list(readings))
    if pair is None:
        return UNKNOWN, None
    last = pair if pair.complete else None
    singles = [
        reading
        for reading in readings
        if reading is not last
        and reading.certain
        and _part(reading, part) is not None
        and (last is None or reading.when.start >= last.when.start)
    ]
    if singles and _above(singles[-1], part, bound, strict=strict) is MET:
        return MET, singles[-1]
    if last is None or not last.certain:
        return UNKNOWN, None
    outcome = _above(last, part, bound, strict=strict)
    if outcome is NOT_MET and any(_may_be_higher(one, last, part, bound, strict=strict) for one in readings):
        return UNKNOWN, None
    return outcome, last


def _may_be_higher(reading: Pressure, last: Pressure, part: str, bound: Decimal, *, strict: bool) -> bool:
    """Whether a reading whose date is vague may be later than the last one, and above the bound."""
    vague = reading is not last and reading.when.start < last.when.start <= reading.when.end
    return vague and _part(reading, part) is not None and _above(reading, part, bound, strict=strict) is not NOT_MET


def _above(reading: Pressure, part: str, bound: Decimal, *, strict: bool) -> Outcome:
    value = _part(reading, part)
    assert value is not None, "only a reading with this part is asked"
    return compare(value, bound, strict=strict)


def _part(reading: Pressure, part: str) -> Quantity | None:
    return reading.systolic if part == "systolic" else reading.diastolic
