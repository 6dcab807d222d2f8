"""FHIR dates as closed intervals of time: a date is as exact as it was written, never more.

`2026-02` is all of February 2026. A comparison holds only when every moment the interval may mean satisfies it.
Times are integer milliseconds since the Unix epoch in UTC; days are UTC calendar days.
"""

import datetime as dt
from functools import lru_cache

import msgspec

from cds_service.decision.outcome import Outcome, between

DAY_MS = 86_400_000
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Span(msgspec.Struct, frozen=True, gc=False):
    """A moment known only to lie between `start` and `end` (both included), with the text it was read from."""

    start: int
    end: int
    text: str

    @property
    def first_day(self) -> int:
        """The earliest UTC day it may be, in days since the epoch."""
        return self.start // DAY_MS

    @property
    def last_day(self) -> int:
        """The latest UTC day it may be, in days since the epoch."""
        return self.end // DAY_MS

    @property
    def date(self) -> str:
        """The date for people, as precise as recorded: `2026-02-03`, `2026-02` or `2026`."""
        return self.text[:10] if self.text[:1].isdigit() else self.text


def day_number(day: dt.date) -> int:
    """Days since the epoch."""
    return day.toordinal() - _EPOCH_ORDINAL


def day_date(number: int) -> dt.date:
    """The calendar date of a day number."""
    return dt.date.fromordinal(number + _EPOCH_ORDINAL)


def instant_ms(moment: dt.datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // dt.timedelta(milliseconds=1)


@lru_cache(maxsize=16384)
def parse_span(text: str) -> Span | None:
    """A FHIR date, dateTime or instant as an interval; None when the text is not one.

    A dateTime without a zone is not FHIR but occurs: it is read as the whole of that day and the neighbouring
    half days it may mean, so that no comparison depends on a guess of the zone.
    """
    try:
        if len(text) == 10:
            day = day_number(dt.date.fromisoformat(text))
            return Span(day * DAY_MS, day * DAY_MS + DAY_MS - 1, text)
        if len(text) == 7:
            first = dt.date(int(text[:4]), int(text[5:]), 1)
            following = dt.date(first.year + first.month // 12, first.month % 12 + 1, 1)
            return Span(day_number(first) * DAY_MS, day_number(following) * DAY_MS - 1, text)
        if len(text) == 4:
            year = int(text)
            first, following = dt.date(year, 1, 1), dt.date(year + 1, 1, 1)
            return Span(day_number(first) * DAY_MS, day_number(following) * DAY_MS - 1, text)
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        guess = instant_ms(moment.replace(tzinfo=dt.UTC))
        return Span(guess - 14 * 3_600_000, guess + 12 * 3_600_000, text)
    instant = instant_ms(moment)
    return Span(instant, instant, text)


class AsOf(msgspec.Struct, frozen=True, gc=False):
    """The instant an assessment is made for, handed in; the only clock rules know."""

    instant: int

    @property
    def day(self) -> int:
        """The UTC day, in days since the epoch."""
        return self.instant // DAY_MS

    @property
    def text(self) -> str:
        """ISO 8601 in UTC, to the second."""
        moment = _EPOCH + dt.timedelta(milliseconds=self.instant)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    @classmethod
    def of(cls, moment: dt.datetime | dt.date) -> "AsOf":
        """An instant as it is; a date alone means the end of that day in UTC."""
        if isinstance(moment, dt.datetime):
            return cls(instant_ms(moment))
        return cls((day_number(moment) + 1) * DAY_MS - 1)

    def after(self, span: Span) -> bool:
        """Whether `span` lies wholly after this instant: such data is not read."""
        return span.start > self.instant


def within_days(span: Span | None, as_of: AsOf, days: int) -> Outcome:
    """Whether `span` lies at most `days` UTC calendar days before `as_of` (end points included)."""
    if span is None:
        return Outcome.UNKNOWN
    limit = as_of.day - days
    return between(span.first_day >= limit, span.last_day >= limit)


def is_later(one: Span | None, other: Span | None) -> Outcome:
    """Whether `one` is strictly later than `other`; the same moment is not later."""
    if one is None or other is None:
        return Outcome.UNKNOWN
    return between(one.start > other.end, one.end > other.start)


def age_text(span: Span, as_of: AsOf) -> str:
    """How long ago, for people: `today`, `2 d ago`, or `date 2026-02` when the day is not known."""
    if span.first_day != span.last_day and len(span.text) < 10:
        return f"date {span.date}"
    days = max(0, as_of.day - span.last_day)
    return "today" if days == 0 else f"{days} d ago"


def years_between(birth: Span, as_of: AsOf) -> tuple[int, int]:
    """Least and greatest age in completed years, given what is known of the birth date."""
    today = day_date(as_of.day)

    def completed(birth_day: int) -> int:
        born = day_date(birth_day)
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

    return completed(birth.last_day), completed(birth.first_day)
