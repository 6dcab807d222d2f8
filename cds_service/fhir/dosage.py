"""Dosage instructions: how much is taken, how often and for how long, as far as they say."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from cds_service.decision.dates import DAY_MS
from cds_service.decision.facts import DoseStep
from cds_service.fhir import resources as r4
from cds_service.fhir.values import (
    NotUnderstood,
    amount,
    codes,
    days_of,
    exact,
    refuse_modifier,
    span,
    text_of,
    tidy,
    unit_of,
)

# A step or supply longer than a century is a typing error that would count as an exposure.
LONGEST_DAYS = 36_500

# Units of a timing's period: how many there are in a day, or how many days one has. A month is 30 days, a year 365.
# Kept as whole numbers both ways, so that every eight hours is three times a day and not almost three.
_PER_DAY = {"s": Decimal(86400), "min": Decimal(1440), "h": Decimal(24), "d": Decimal(1)}
_DAYS = {"wk": Decimal(7), "mo": Decimal(30), "a": Decimal(365)}

# Intakes per day of the abbreviations of HL7's GTSAbbreviation and of those in daily use.
_CODED_FREQUENCY = {
    "QD": Decimal(1),
    "AM": Decimal(1),
    "PM": Decimal(1),
    "QHS": Decimal(1),
    "BED": Decimal(1),
    "BID": Decimal(2),
    "TID": Decimal(3),
    "QID": Decimal(4),
    "QOD": Decimal(1) / 2,
    "Q1H": Decimal(24),
    "Q2H": Decimal(12),
    "Q3H": Decimal(8),
    "Q4H": Decimal(6),
    "Q6H": Decimal(4),
    "Q8H": Decimal(3),
    "Q12H": Decimal(2),
    "WK": Decimal(1) / 7,
    "MO": Decimal(1) / 30,
}

Bounds = tuple[Decimal | None, Decimal | None]
_UNSAID: Bounds = (None, None)


def dose_steps(instructions: tuple[r4.Dosage, ...], element: str) -> tuple[DoseStep, ...]:
    """One step per instruction, in the record's order."""
    try:
        return tuple([_step(one) for one in instructions])
    except NotUnderstood as fault:
        raise NotUnderstood(f"{element}.{fault}") from None


# Most instructions are one of a few ("one tablet daily"), and hold no text. Equal ones must give one result, so the
# amounts in it are written in one way however the record writes them.
@lru_cache(maxsize=8192)
def _step(dosage: r4.Dosage) -> DoseStep:
    refuse_modifier(dosage.modifier_extension, "dosage")
    timing = dosage.timing or r4.Timing()
    refuse_modifier(timing.modifier_extension, "timing")
    low, high, unit = _amount(dosage.dose_and_rate)
    least, most = _frequency(timing)
    return DoseStep(
        amount_low=low,
        amount_high=high,
        unit=unit,
        per_day_low=least,
        per_day_high=most,
        sequence=int(exact(dosage.sequence, "sequence")) if dosage.sequence is not None else None,
        days=_days(timing.repeat) if timing.repeat else None,
        as_needed=bool(dosage.as_needed_boolean) or dosage.as_needed_codeable_concept is not None,
        route=codes(dosage.route),
        route_text=text_of(dosage.route),
    )


def _amount(doses: Iterable[r4.DoseAndRate]) -> tuple[Decimal | None, Decimal | None, str | None]:
    """The first amount given; the later ones repeat it in another form (ordered, calculated)."""
    for dose in doses:
        if dose.dose_quantity is not None:
            value = amount(dose.dose_quantity, "doseAndRate.doseQuantity")
            return (*_compared(value, dose.dose_quantity.comparator), unit_of(dose.dose_quantity))
        if dose.dose_range is not None:
            return _range(dose.dose_range)
    return None, None, None


def _compared(value: Decimal | None, comparator: str | None) -> Bounds:
    """An amount "at least" has no upper bound, one "at most" no lower one."""
    if comparator is None:
        return value, value
    return (None, value) if comparator in ("<", "<=") else (value, None)


def _range(bounds: r4.Range) -> tuple[Decimal | None, Decimal | None, str | None]:
    units = {unit_of(bound) for bound in (bounds.low, bounds.high) if bound is not None}
    if len(units) > 1:
        return None, None, None
    low = amount(bounds.low, "doseAndRate.doseRange.low")
    return low, amount(bounds.high, "doseAndRate.doseRange.high"), next(iter(units), None)


def _frequency(timing: r4.Timing) -> Bounds:
    """Least and most intakes per day; unsaid when given on some days of the week only, or in words."""
    repeat = timing.repeat or r4.Repeat()
    if repeat.day_of_week:
        return _UNSAID
    unit = repeat.period_unit
    if repeat.period is not None and unit is not None and (unit in _PER_DAY or unit in _DAYS):
        return _repeated(repeat, _PER_DAY.get(unit, Decimal(1)), _DAYS.get(unit, Decimal(1)))
    if repeat.time_of_day or repeat.when:
        return _times_listed(repeat), _times_listed(repeat)
    return _coded(timing.code)


def _times_listed(repeat: r4.Repeat) -> Decimal:
    return Decimal(len(repeat.time_of_day) or len(repeat.when) or 1)


def _repeated(repeat: r4.Repeat, per_day: Decimal, days: Decimal) -> Bounds:
    element = "timing.repeat"
    shortest = exact(repeat.period or 0.0, element)
    longest = shortest if repeat.period_max is None else exact(repeat.period_max, element)
    least = _times_listed(repeat) if repeat.frequency is None else exact(repeat.frequency, element)
    most = least if repeat.frequency_max is None else exact(repeat.frequency_max, element)
    if shortest <= 0 or longest < shortest or least < 0 or most < least:
        return _UNSAID
    return tidy(least * per_day / (longest * days)), tidy(most * per_day / (shortest * days))


def _coded(concept: r4.CodeableConcept | None) -> Bounds:
    for coding in concept.coding if concept else ():
        times = _CODED_FREQUENCY.get((coding.code or "").upper())
        if times is not None:
            return times, times
    return _UNSAID


def _days(repeat: r4.Repeat) -> int | None:
    """How long the step lasts, in whole days; None when open or given only roughly."""
    if repeat.bounds_duration is not None:
        days = days_of(repeat.bounds_duration, "timing.repeat.boundsDuration")
        return int(days) if days is not None and 0 <= days <= LONGEST_DAYS else None
    period = repeat.bounds_period or r4.Period()
    start = span(period.start, "timing.repeat.boundsPeriod.start")
    end = span(period.end, "timing.repeat.boundsPeriod.end")
    if start is None or end is None or len(start.text) < 10 or len(end.text) < 10 or end.end < start.start:
        return None
    # A day written as the end belongs to the period; a moment ends it.
    return (end.end - start.start + 1) // DAY_MS
