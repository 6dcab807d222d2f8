"""Dates are intervals: as exact as they were written, compared only where every moment of them agrees."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.dates import (
    DAY_MS,
    AsOf,
    Span,
    age_text,
    day_date,
    day_number,
    instant_ms,
    is_later,
    parse_span,
    within_days,
    years_between,
)
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from tests.unit.decision.support import AS_OF, ago, span

DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
INSTANTS = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), MOMENTS, OFFSETS)
TEXTS = st.one_of(
    DAYS.map(dt.date.isoformat),
    DAYS.map(lambda day: day.strftime("%Y-%m")),
    DAYS.map(lambda day: day.strftime("%Y")),
    INSTANTS.map(dt.datetime.isoformat),
    MOMENTS.map(dt.datetime.isoformat).filter(lambda text: len(text) > 10),
)
SPANS = TEXTS.map(span)


def test_a_month_is_all_of_its_days() -> None:
    february = span("2026-02")
    assert (day_date(february.first_day), day_date(february.last_day)) == (dt.date(2026, 2, 1), dt.date(2026, 2, 28))
    assert day_date(span("2025-12").last_day) == dt.date(2025, 12, 31)


def test_a_year_is_all_of_its_days() -> None:
    year = span("2024")
    assert (year.last_day - year.first_day + 1, year.date) == (366, "2024")


def test_a_day_ends_a_millisecond_before_the_next() -> None:
    assert span("2026-03-01").end + 1 == span("2026-03-02").start


@given(INSTANTS)
def test_an_instant_is_one_moment_in_utc_whatever_its_zone(moment: dt.datetime) -> None:
    found = span(moment.isoformat())
    assert found.start == found.end == instant_ms(moment.astimezone(dt.UTC))
    assert day_date(found.first_day) == moment.astimezone(dt.UTC).date()


def test_a_datetime_without_a_zone_may_mean_any_zone_there_is() -> None:
    found = span("2026-10-30T12:00:00")
    assert found.end - found.start == 26 * 3_600_000
    for zone in ("-12:00", "+00:00", "+14:00"):
        exact = span(f"2026-10-30T12:00:00{zone}")
        assert found.start <= exact.start <= found.end


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13", "2026-02-30", "2026-1", "20261101T99", "abcd", "abcd-ef", "2026-11-01T25:00:00Z"],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_span(text) is None


@given(DAYS)
def test_day_numbers_and_dates_are_inverse(day: dt.date) -> None:
    assert day_date(day_number(day)) == day
    assert span(day.isoformat()).first_day == day_number(day)


def test_an_as_of_date_means_its_end_in_utc_and_an_instant_itself() -> None:
    assert AsOf.of(dt.date(2026, 11, 1)).instant == span("2026-11-01").end
    assert AsOf.of(dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)).text == "2026-11-01T12:00:00Z"
    assert AS_OF.text == "2026-11-01T23:59:59Z"


def test_only_what_lies_wholly_after_the_instant_is_after_it() -> None:
    assert AS_OF.after(span("2026-11-02"))
    assert not AS_OF.after(span("2026-11-01"))
    assert not AS_OF.after(span("2026-11"))


@given(DAYS, st.integers(0, 400), st.integers(-500, 500))
def test_within_days_is_the_arithmetic_of_calendar_days(day: dt.date, days: int, back: int) -> None:
    as_of = AsOf.of(day)
    recorded = day - dt.timedelta(days=back)
    expected = MET if day - recorded <= dt.timedelta(days=days) else NOT_MET
    assert within_days(span(recorded.isoformat()), as_of, days) is expected


@given(SPANS, DAYS, st.integers(0, 400))
def test_within_days_is_decided_only_when_every_day_of_the_interval_agrees(when: Span, day: dt.date, days: int) -> None:
    as_of = AsOf.of(day)
    limit = as_of.day - days
    answers = {number >= limit for number in (when.first_day, when.last_day)}
    expected = UNKNOWN if len(answers) == 2 else (MET if answers == {True} else NOT_MET)
    assert within_days(when, as_of, days) is expected


def test_without_a_date_nothing_is_within() -> None:
    assert within_days(None, AS_OF, 30) is UNKNOWN


@given(SPANS, SPANS)
def test_later_is_antisymmetric(one: Span, other: Span) -> None:
    if is_later(one, other) is MET:
        assert is_later(other, one) is NOT_MET
    assert is_later(one, one) is not MET


@given(SPANS, SPANS, SPANS)
def test_later_is_transitive(one: Span, other: Span, third: Span) -> None:
    if is_later(one, other) is MET and is_later(other, third) is MET:
        assert is_later(one, third) is MET


@given(SPANS, SPANS)
def test_later_agrees_with_every_pair_of_moments(one: Span, other: Span) -> None:
    pairs = [mine > theirs for mine in (one.start, one.end) for theirs in (other.start, other.end)]
    expected = MET if all(pairs) else (UNKNOWN if any(pairs) else NOT_MET)
    assert is_later(one, other) is expected


def test_without_a_date_nothing_is_later() -> None:
    assert is_later(None, ago(1)) is UNKNOWN
    assert is_later(ago(1), None) is UNKNOWN


def test_an_age_for_people() -> None:
    assert age_text(ago(0), AS_OF) == "today"
    assert age_text(ago(4), AS_OF) == "4 d ago"
    assert age_text(span("2026-08"), AS_OF) == "date 2026-08"
    assert age_text(span("2026-11-01T23:00:00"), AS_OF) == "today"


@given(DAYS, DAYS)
def test_years_are_completed_on_the_birthday(birth: dt.date, today: dt.date) -> None:
    expected = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
    assert years_between(span(birth.isoformat()), AsOf.of(today)) == (expected, expected)


@given(DAYS, DAYS)
def test_a_vague_birth_date_bounds_the_age(birth: dt.date, today: dt.date) -> None:
    least, greatest = years_between(span(birth.strftime("%Y")), AsOf.of(today))
    exact, _ = years_between(span(birth.isoformat()), AsOf.of(today))
    assert least <= exact <= greatest
    assert greatest - least <= 1


def test_a_day_has_its_milliseconds() -> None:
    assert span("2026-11-01").end - span("2026-11-01").start + 1 == DAY_MS
