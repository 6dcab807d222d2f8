"""The data types of FHIR as the types of the facts: codes, dates, numbers, values; and what is absent, and why.

A function here raises NotUnderstood, naming the element and never its value, when something is there but cannot be
read: the resource is then set aside, because to leave the element out would change what the resource says.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

import msgspec

from cds_service.decision.coding import Coding, code_key
from cds_service.decision.dates import Span, parse_span
from cds_service.decision.facts import CodedValue, Codes, DateValue, FlagValue, Quantity, TextValue, Value
from cds_service.fhir import resources as r4
from cds_service.fhir.decode import reason_of

DATA_ABSENT_EXTENSION = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_DATA_ABSENT_SYSTEMS = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "http://hl7.org/fhir/data-absent-reason",
    }
)
_UCUM = frozenset({"http://unitsofmeasure.org", "urn:oid:2.16.840.1.113883.6.8"})
_QUANTITY: msgspec.json.Decoder[r4.Quantity | None] = msgspec.json.Decoder(r4.Quantity | None)
# A larger power of ten than this is no measurement, and would be dear to write out.
_MOST_DIGITS = 32

UNITS_IN_DAYS: dict[str, Decimal] = {
    name: Decimal(days)
    for days, names in {
        1: ("d", "day", "days"),
        7: ("wk", "week", "weeks"),
        30: ("mo", "month", "months"),
        365: ("a", "year", "years"),
    }.items()
    for name in names
}


P = TypeVar("P")


class NotUnderstood(Exception):
    """A resource holds something that cannot be read. The message is `element: why`."""


def refuse_modifier(extension: tuple[r4.Extension, ...], element: str) -> None:
    """Set the resource aside when one of its parts carries a modifier extension."""
    if extension:
        raise NotUnderstood(f"{element}.modifierExtension: a modifier unknown to us")


def part(raw: msgspec.Raw, decoder: msgspec.json.Decoder[P], element: str) -> P | None:
    """A member that was left as written, decoded now; None when it is not there, or written as null."""
    return None if raw is r4.ABSENT else decoded(raw, decoder, element)


def decoded(raw: msgspec.Raw, decoder: msgspec.json.Decoder[P], element: str) -> P:
    """A member that was left as written, decoded now."""
    try:
        return decoder.decode(raw)
    except ValueError as error:
        raise NotUnderstood(reason_of(error, element)) from None
    except RecursionError:
        raise NotUnderstood(f"{element}: nested too deep") from None


# ------------------------------------------------------------ codes


def codes(concept: r4.CodeableConcept | r4.Codings | None) -> Codes:
    """Every code of a concept, in its order, systems canonical; "absent" is no code."""
    return _codes(concept.coding) if concept is not None else ()


# The same few concepts make up most of a chart, and of all charts. Codes and their displays, no patient's text.
@lru_cache(maxsize=16384)
def _codes(codings: tuple[r4.Coding, ...]) -> Codes:
    return tuple(
        Coding(*code_key(coding.system, coding.code), coding.display)
        for coding in codings
        if coding.code and coding.system not in _DATA_ABSENT_SYSTEMS
    )


def all_codes(concepts: Iterable[r4.CodeableConcept]) -> Codes:
    """Every code of several concepts."""
    return tuple(code for concept in concepts for code in codes(concept))


def text_of(concept: r4.CodeableConcept | None) -> str | None:
    """The text of a concept."""
    return concept.text if concept is not None else None


def listed(concepts: tuple[r4.CodeableConcept, ...] | r4.CodeableConcept) -> tuple[r4.CodeableConcept, ...]:
    """A list of concepts, also where the record writes the one concept without a list."""
    return concepts if isinstance(concepts, tuple) else (concepts,)


def status_of(status: r4.Status, known: tuple[str, ...], element: str) -> str | None:
    """The code of a status, by code alone, whatever its system; None when not recorded.

    `known` stands in order of caution: of two codings that disagree, the first in it counts. A status that says
    something else is not understood, for a status decides whether the rest is true.
    """
    if status is None:
        return None
    return _known_status(status, known, element)


@lru_cache(maxsize=256)
def _known_status(status: r4.StatusConcept | str, known: tuple[str, ...], element: str) -> str | None:
    if isinstance(status, str):
        said = [status]
    else:
        said = [one.code for one in status.coding if one.code and one.system not in _DATA_ABSENT_SYSTEMS]
        said = said or ([status.text] if status.text else [])
    if not said:
        return None
    written = {code.strip().lower() for code in said}
    for code in known:
        if code in written:
            return code
    raise NotUnderstood(f"{element}: no code that FHIR defines")


# ------------------------------------------------------------ absence


def absent_reason(extensions: Iterable[r4.Extension]) -> str | None:
    """Why a value is absent, from the extension of an element."""
    for extension in extensions:
        if extension.url == DATA_ABSENT_EXTENSION:
            return extension.value_code or "unknown"
    return None


def absent_concept(concept: r4.CodeableConcept) -> str:
    """Why a value is absent, from `dataAbsentReason`: its code, else its text, else `unknown`."""
    return next((coding.code for coding in concept.coding if coding.code), None) or concept.text or "unknown"


def _coded_absence(concept: r4.CodeableConcept) -> str | None:
    """Why a coded value is absent, when the record says so by a coding or an extension in its place."""
    by_code = (coding.code for coding in concept.coding if coding.system in _DATA_ABSENT_SYSTEMS)
    return next(by_code, None) or absent_reason(concept.extension)


# ------------------------------------------------------------ dates and numbers


def span(text: str | None, element: str) -> Span | None:
    """A date as an interval. Raises NotUnderstood when something is written that is no date."""
    if text is None:
        return None
    found = parse_span(text)
    if found is None:
        raise NotUnderstood(f"{element}: not a date")
    return found


def period_span(period: r4.Period | None, element: str) -> Span | None:
    """A moment known to lie within a period. An open period counts from its start: what lasts, began then."""
    if period is None:
        return None
    start = span(period.start, f"{element}.start")
    end = span(period.end, f"{element}.end")
    if start is None or end is None:
        return start
    return Span(start.start, max(start.end, end.end), start.text)


def checked(value: Decimal, element: str) -> Decimal:
    """The value, if it is finite and of a size that something measured can have."""
    if not value.is_finite() or not -_MOST_DIGITS <= value.adjusted() <= _MOST_DIGITS:
        raise NotUnderstood(f"{element}: not a number of a size we read")
    return value


def amount(quantity: r4.Amount | None, element: str) -> Decimal | None:
    """The value of an amount."""
    return None if quantity is None or quantity.value is None else exact(quantity.value, element)


@lru_cache(maxsize=4096)
def exact(value: float, element: str) -> Decimal:
    """A decoded number as the decimal that was written, in the one shortest way: equal doses give equal bytes."""
    return tidy(checked(Decimal(repr(value)), element))


def tidy(value: Decimal) -> Decimal:
    """The number without superfluous zeros."""
    whole = value.to_integral_value()
    return whole if value == whole else value.normalize()


def unit_of(quantity: r4.Quantity | r4.Amount) -> str | None:
    """The UCUM code where there is one, else the printed unit, else the code of another system."""
    if quantity.code and quantity.system in _UCUM:
        return quantity.code
    return quantity.unit or quantity.code


def days_of(quantity: r4.Amount | None, element: str, default_unit: str | None = None) -> Decimal | None:
    """A duration in days (a month is 30); None when the unit is not one of days or longer, or the amount is vague."""
    if quantity is None or quantity.comparator is not None:
        return None
    unit = quantity.code or quantity.unit or default_unit
    factor = UNITS_IN_DAYS.get(unit.strip().lower()) if unit else None
    value = amount(quantity, element)
    return None if value is None or factor is None else value * factor


# ------------------------------------------------------------ values


def read_value(valued: r4.Observation | r4.Component, element: str) -> tuple[Value | None, str | None]:
    """The value of an observation or component, or why it has none: (value, absent reason).

    Where the record gives a reason for absence, a value beside it is not read. Raises NotUnderstood for the kinds of
    value that no fact can hold.
    """
    if valued.data_absent_reason is not None:
        return None, absent_concept(valued.data_absent_reason)
    if valued.value_quantity is not r4.ABSENT:
        quantity = part(valued.value_quantity, _QUANTITY, f"{element}valueQuantity")
        if quantity is not None:
            return quantity_value(quantity, f"{element}valueQuantity")
    if valued.value_codeable_concept is not None:
        return coded_value(valued.value_codeable_concept)
    if valued.value_string is not None:
        return TextValue(valued.value_string), None
    if valued.value_integer is not None:
        return Quantity(checked(valued.value_integer, f"{element}valueInteger")), None
    if valued.value_boolean is not None:
        return FlagValue(valued.value_boolean), None
    if valued.value_date_time is not None:
        when = span(valued.value_date_time, f"{element}valueDateTime")
        return (DateValue(when) if when else None), None
    _refuse_other_kinds(valued, element)
    return None, _primitive_absence(valued)


def quantity_value(quantity: r4.Quantity, element: str) -> tuple[Value | None, str | None]:
    """A measured amount as a value, or why there is none."""
    if quantity.value is None:
        return None, absent_reason(quantity.extension)
    return Quantity(checked(quantity.value, element), unit_of(quantity), quantity.comparator), None


def coded_value(concept: r4.CodeableConcept) -> tuple[Value | None, str | None]:
    """A coded answer as a value, or why there is none."""
    found = codes(concept)
    if found or concept.text:
        return CodedValue(found, concept.text), None
    return None, _coded_absence(concept)


def _refuse_other_kinds(valued: r4.Observation | r4.Component, element: str) -> None:
    kinds = (
        ("valueRange", valued.value_range),
        ("valueRatio", valued.value_ratio),
        ("valuePeriod", valued.value_period),
        ("valueTime", valued.value_time),
        ("valueSampledData", valued.value_sampled_data),
    )
    for name, raw in kinds:
        if r4.is_given(raw):
            raise NotUnderstood(f"{element}{name}: a kind of value that is not read")


def _primitive_absence(valued: r4.Observation | r4.Component) -> str | None:
    elements = (valued.value_string_ext, valued.value_boolean_ext, valued.value_integer_ext, valued.value_date_time_ext)
    reasons = (absent_reason(element.extension) for element in elements if element is not None)
    return next((reason for reason in reasons if reason), None)
