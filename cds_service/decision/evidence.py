"""What a criterion found: matches with their record, value and date, and why something is not known."""

from decimal import Decimal

import msgspec

from cds_service.decision.dates import AsOf, Span, age_text
from cds_service.decision.facts import Quantity, Record
from cds_service.decision.outcome import Outcome


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record that bears on a clause. Texts are our own displays and typed values, never free record text."""

    resource: str
    what: str
    version_id: str | None = None
    code: str | None = None
    value: str | None = None
    date: str | None = None
    status: str | None = None
    note: str | None = None
    labels: tuple[str, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """One record that matches a fact's definition; `certain` is False when its date or value leaves it open.

    `dated` is False for what has no date of its own, such as an order being written.
    """

    record: Record
    display: str
    code: str
    when: Span | None
    certain: bool = True
    says: tuple[str, ...] = ()
    value: str | None = None
    number: Quantity | None = None
    status: str | None = None
    note: str | None = None
    provisional: bool = False
    verified: bool = True
    line: str | None = None
    upper_limit: Decimal | None = None
    dated: bool = True

    def evidence(self) -> Evidence:
        """The match as shown to people."""
        return Evidence(
            resource=self.record.reference,
            what=self.display,
            version_id=self.record.version_id,
            code=self.code,
            value=self.value,
            date=self._date() if self.dated else None,
            status=self.status,
            note=self.note,
            labels=self.record.labels,
        )

    def _date(self) -> str:
        return self.when.date if self.when else "date unknown"


class Course(msgspec.Struct, frozen=True):
    """One antidepressant course as counted: covered days at an adequate dose, and whether it counts, with the reason.

    `days_certain` and `days_possible` bound the covered days at or above `minimum_mg` a day.
    """

    ingredient: str
    drug_class: str
    start: str
    end: str
    dose: str
    minimum_mg: str
    days_certain: int
    days_possible: int
    adequate: Outcome
    in_episode: Outcome
    counts: Outcome
    response: str
    why: str
    ongoing: bool
    records: tuple[str, ...]


class Found(msgspec.Struct, frozen=True):
    """What a fact's definition found. `gaps` say why finding nothing would not mean that there is nothing.

    `values` are a card's placeholders. `courses` and `readings` belong to the two kinds of fact that need more than
    matches; `readings` stand in the order of `matches`.
    """

    matches: tuple[Match, ...] = ()
    gaps: tuple[str, ...] = ()
    values: dict[str, str] = {}
    courses: tuple[Course, ...] = ()
    readings: "tuple[Pressure, ...]" = ()


class Pressure(msgspec.Struct, frozen=True):
    """A blood pressure reading in mmHg; a value that was not recorded or not usable is None."""

    record: Record
    when: Span
    systolic: Quantity | None
    diastolic: Quantity | None
    certain: bool
    note: str | None = None

    @property
    def complete(self) -> bool:
        """Whether both values of the pair are there."""
        return self.systolic is not None and self.diastolic is not None

    @property
    def text(self) -> str:
        """`158/96 mmHg`; a value that is not there shows as `?`."""
        high = quantity_number(self.systolic) if self.systolic else "?"
        low = quantity_number(self.diastolic) if self.diastolic else "?"
        return f"{high}/{low} mmHg"


def plain_number(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = format(value.normalize(), "f")
    return "0" if text == "-0" else text


def quantity_number(quantity: Quantity) -> str:
    """The number with its comparator, where there is one."""
    return f"{quantity.comparator or ''}{plain_number(quantity.value)}"


def found_values(matches: tuple[Match, ...], as_of: AsOf) -> dict[str, str]:
    """Placeholders of a card's summary: the decisive match's name, date, age and value."""
    if not matches:
        return {}
    last = matches[-1]
    return {
        "name": last.display,
        "date": last.when.date if last.when else "date unknown",
        "age": age_text(last.when, as_of) if last.when else "date unknown",
        "value": last.value or "value not recorded",
    }
