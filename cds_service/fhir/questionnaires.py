"""Answers to questionnaires as observations: a rule reads a screen the same way, however it was recorded.

A question is known by a LOINC code: the end of its linkId or definition, or the code in an extension. An item that
cannot be read is set aside by itself, so that one bad answer does not hide the others.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from cds_service.decision.coding import LOINC, CodeKey, Coding, code_key
from cds_service.decision.dates import AsOf, Span
from cds_service.decision.facts import (
    Codes,
    DateValue,
    FlagValue,
    Observation,
    Quantity,
    Quarantined,
    TextValue,
    Value,
)
from cds_service.fhir import resources as r4
from cds_service.fhir.clinical import is_future
from cds_service.fhir.decode import quarantined, record_of
from cds_service.fhir.values import (
    NotUnderstood,
    checked,
    coded_value,
    decoded,
    part,
    quantity_value,
    refuse_modifier,
    span,
)

# What a finished response is called as an observation. One that is not finished is no result.
_STATUSES = {"completed": "final", "amended": "amended"}
_LOINC_AT_END = re.compile(r"(?<![0-9])[0-9]{1,7}-[0-9]\Z")

_Answer = Mapping[str, msgspec.Raw]
_ITEMS: msgspec.json.Decoder[tuple[r4.QuestionnaireItem, ...] | None] = msgspec.json.Decoder(
    tuple[r4.QuestionnaireItem, ...] | None
)
_MODIFIERS: msgspec.json.Decoder[tuple[r4.Extension, ...] | None] = msgspec.json.Decoder(
    tuple[r4.Extension, ...] | None
)
_BOOLEAN = msgspec.json.Decoder(bool)
_NUMBER = msgspec.json.Decoder(Decimal)
_TEXT = msgspec.json.Decoder(str)
_CODING = msgspec.json.Decoder(r4.Coding)
_QUANTITY = msgspec.json.Decoder(r4.Quantity)


class Answers(NamedTuple):
    """What a response says: one fact for each answer to a question that rules read, and what had to be set aside.

    `concerns_us`: a question that rules read was answered, or the response cannot be read, so that it may have been.
    """

    facts: tuple[Observation, ...] = ()
    aside: tuple[Quarantined, ...] = ()
    concerns_us: bool = True


class _Question(NamedTuple):
    """An answered question that rules read; `code` is the one they read it by."""

    code: str
    codes: Codes
    answers: tuple[_Answer, ...]


def read_response(response: r4.QuestionnaireResponse, wanted: frozenset[CodeKey], as_of: AsOf) -> Answers:
    """The answers to the questions in `wanted`. A response that is not finished, or of the future, has no facts."""
    try:
        questions = _questions(response, wanted)
        if not questions:
            return Answers(concerns_us=False)
        status, when = _status(response), span(response.authored, "authored")
    except NotUnderstood as fault:
        return Answers(aside=(quarantined(response, str(fault)),))
    if status is None or is_future(when, as_of):
        return Answers()
    return _read(response, questions, status, when)


def _status(response: r4.QuestionnaireResponse) -> str | None:
    if response.status is None:
        raise NotUnderstood("status: missing")
    return _STATUSES.get(response.status)


def _read(
    response: r4.QuestionnaireResponse, questions: Iterable[_Question], status: str, when: Span | None
) -> Answers:
    record = record_of(response)
    facts: list[Observation] = []
    aside: list[Quarantined] = []
    for question in questions:
        try:
            values = _values(question)
        except NotUnderstood as fault:
            aside.append(Quarantined(record, str(fault), question.codes))
        else:
            facts.extend(Observation(record, status, question.codes, when, value) for value in values)
    return Answers(tuple(facts), tuple(aside))


# ------------------------------------------------------------ questions


def _questions(response: r4.QuestionnaireResponse, wanted: frozenset[CodeKey]) -> list[_Question]:
    found = []
    for item in _all_items(response):
        codes = _codes(item) if item.answer else ()
        code = next((coding.code for coding in codes if coding.key in wanted), None)
        if code is not None:
            found.append(_Question(code, codes, item.answer))
    return found


def _all_items(response: r4.QuestionnaireResponse) -> list[r4.QuestionnaireItem]:
    """The items at every depth, those below an answer included. A modifier may concern all that stands below it."""
    items = list(_items(response.item))
    # The list grows while it is walked.
    for item in items:
        refuse_modifier(item.modifier_extension, "item")
        items.extend(item.item)
        for answer in item.answer:
            modifiers = part(answer.get("modifierExtension", r4.ABSENT), _MODIFIERS, "item.answer.modifierExtension")
            refuse_modifier(modifiers or (), "item.answer")
            items.extend(_items(answer.get("item", r4.ABSENT)))
    return items


def _items(raw: msgspec.Raw) -> tuple[r4.QuestionnaireItem, ...]:
    return part(raw, _ITEMS, "item") or ()


def _codes(item: r4.QuestionnaireItem) -> Codes:
    """Every code of a question, each once."""
    ends = (_LOINC_AT_END.search(name) for name in (item.link_id, item.definition) if name)
    named = [Coding(LOINC, end.group()) for end in ends if end]
    coded = [
        Coding(*code_key(coding.system, coding.code))
        for extension in item.extension
        for coding in (extension.value_coding, *_codings(extension.value_codeable_concept))
        if coding and coding.code
    ]
    return tuple(dict.fromkeys([*named, *coded]))


def _codings(concept: r4.CodeableConcept | None) -> tuple[r4.Coding, ...]:
    return concept.coding if concept is not None else ()


# ------------------------------------------------------------ answers


def _values(question: _Question) -> list[Value]:
    values = (_value(answer, f"item[{question.code}].answer[{n}].") for n, answer in enumerate(question.answers))
    return [value for value in values if value is not None]


def _value(answer: _Answer, element: str) -> Value | None:
    """The value of an answer; None for one that is empty, withheld, or a reason for absence."""
    given = [name for name, raw in answer.items() if name.startswith("value") and r4.is_given(raw)]
    if not given:
        return None
    name = given[0]
    if len(given) > 1 or name not in _READERS:
        raise NotUnderstood(f"{element}value: a kind of value that is not read")
    return _READERS[name](answer[name], f"{element}{name}")


def _boolean(raw: msgspec.Raw, element: str) -> Value:
    return FlagValue(decoded(raw, _BOOLEAN, element))


def _number(raw: msgspec.Raw, element: str) -> Value:
    return Quantity(checked(decoded(raw, _NUMBER, element), element))


def _text(raw: msgspec.Raw, element: str) -> Value:
    return TextValue(decoded(raw, _TEXT, element))


def _date(raw: msgspec.Raw, element: str) -> Value | None:
    when = span(decoded(raw, _TEXT, element), element)
    return DateValue(when) if when else None


def _coding(raw: msgspec.Raw, element: str) -> Value | None:
    coding = decoded(raw, _CODING, element)
    # A coding has no text of its own; without a code, its display is all that was said.
    return coded_value(r4.CodeableConcept((coding,), None if coding.code else coding.display))[0]


def _quantity(raw: msgspec.Raw, element: str) -> Value | None:
    return quantity_value(decoded(raw, _QUANTITY, element), element)[0]


_READERS: Mapping[str, Callable[[msgspec.Raw, str], Value | None]] = {
    "valueBoolean": _boolean,
    "valueInteger": _number,
    "valueDecimal": _number,
    "valueString": _text,
    "valueDate": _date,
    "valueDateTime": _date,
    "valueCoding": _coding,
    "valueQuantity": _quantity,
}
