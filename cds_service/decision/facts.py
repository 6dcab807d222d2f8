"""The patient's facts: a small immutable model that everything before fills and everything after reads.

It holds what the chart says and what could not be read, and why; no interpretation. It round-trips through
canonical bytes (`encode_facts`, `decode_facts`), so that a decision can be assessed again in six years.
"""

from decimal import Decimal
from typing import Generic, Literal, TypeVar

import msgspec

from cds_service.decision.coding import Coding
from cds_service.decision.dates import Span

T = TypeVar("T")
Codes = tuple[Coding, ...]


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a fact comes from: the FHIR resource, its version and its security labels."""

    type: str
    id: str
    version_id: str | None = None
    last_updated: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """`Type/id`, as shown in evidence."""
        return f"{self.type}/{self.id}"


class Quarantined(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A resource that could not be understood, so that its absence from the facts is not read as a negative.

    `reason` names the element, never its value. `codes` are the codes that could still be read: when they are
    known and lie in none of a rule's value sets, the resource cannot have mattered to that rule.
    """

    record: Record
    reason: str
    codes: Codes = ()


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Why a list may be incomplete: the prefetch key that brought it, and one cause.

    Causes: `not sent`, `refused`, `timeout`, `unreachable`, `client error` (the client's own failure report),
    `too large`, `further pages not read`, `unreadable`, `not offered` (the server answers other reads, but does not
    know this resource type: no gap of a list whose facts came in another type, such as medications in requests).
    """

    key: str
    cause: str


class Listing(msgspec.Struct, Generic[T], frozen=True, omit_defaults=True):
    """One list of the chart. `received` counts resources as they came, before anything was set aside.

    A list with gaps, or one that arrived empty, never supports "not met".
    """

    items: tuple[T, ...] = ()
    received: int = 0
    gaps: tuple[Gap, ...] = ()


class Quantity(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="quantity"):
    """A measured value; `unit` is the UCUM code where the record gives one, else the printed unit, else None."""

    value: Decimal
    unit: str | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None


class CodedValue(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="coded"):
    """A value chosen from a list of answers."""

    codes: Codes
    text: str | None = None


class TextValue(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """A value written as text."""

    text: str


class FlagValue(msgspec.Struct, frozen=True, gc=False, tag="flag"):
    """A yes or a no."""

    flag: bool


class DateValue(msgspec.Struct, frozen=True, gc=False, tag="date"):
    """A value that is a date, such as an estimated delivery date."""

    when: Span


Value = Quantity | CodedValue | TextValue | FlagValue | DateValue


class Patient(msgspec.Struct, frozen=True, omit_defaults=True):
    """The person. Administrative gender and the recorded-sex extensions are kept apart: they answer other questions."""

    record: Record
    birth: Span | None = None
    gender: str | None = None
    birth_sex: str | None = None
    clinical_sex: str | None = None
    deceased: bool = False


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem-list item or encounter diagnosis. Statuses are FHIR codes; None means not recorded."""

    record: Record
    codes: Codes
    text: str | None = None
    clinical: str | None = None
    verification: str | None = None
    categories: tuple[str, ...] = ()
    onset: Span | None = None
    recorded: Span | None = None
    abatement: Span | None = None
    abated: bool = False

    @property
    def when(self) -> Span | None:
        """Its date for rules: onset before recorded date; None is "date unknown", never today."""
        return self.onset or self.recorded


class Component(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a panel observation; `absent` is the reason when it carries no value."""

    codes: Codes
    value: Value | None = None
    absent: str | None = None


class Observation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A measurement, screen or recorded status, with its components.

    `upper_limit` is the upper end of the laboratory's own reference range, in the unit of the value.
    """

    record: Record
    status: str
    codes: Codes
    when: Span | None = None
    value: Value | None = None
    absent: str | None = None
    interpretation: Codes = ()
    components: tuple[Component, ...] = ()
    upper_limit: Decimal | None = None


class Allergy(msgspec.Struct, frozen=True, omit_defaults=True):
    """An allergy or intolerance; `substances` are the codes of the allergy and of its reactions' substances."""

    record: Record
    substances: Codes
    text: str | None = None
    clinical: str | None = None
    verification: str | None = None
    type: str | None = None
    manifestations: Codes = ()
    recorded: Span | None = None


class Procedure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something done to the patient, at any time; `when` is its date or the start of its period."""

    record: Record
    codes: Codes
    status: str | None = None
    text: str | None = None
    when: Span | None = None


class DoseStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One dosage instruction. `amount` is per intake; intakes per day lie between `per_day_low` and `per_day_high`.

    A missing `amount` or frequency means that the instruction does not say (free text only). Steps with the same
    `sequence` are taken together; different sequences follow one another (a titration). `days` is the step's length.
    """

    amount_low: Decimal | None = None
    amount_high: Decimal | None = None
    unit: str | None = None
    per_day_low: Decimal | None = None
    per_day_high: Decimal | None = None
    sequence: int | None = None
    days: int | None = None
    as_needed: bool = False
    route: Codes = ()
    route_text: str | None = None


class MedicationEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prescription, statement or dispense as recorded; courses are made of these in `courses.py`.

    `start`..`end` is a period that the record states. `supply_days` is how long the supplied or ordered amount lasts
    (a request's expected supply times one plus repeats). `strength_mg` comes from a referenced Medication. `reasons`
    holds the codes of each indication; one that has none (text only, or a reference that leads nowhere) is empty.
    """

    record: Record
    kind: Literal["request", "statement", "dispense"]
    status: str | None
    codes: Codes
    text: str | None = None
    intent: str | None = None
    do_not_perform: bool = False
    start: Span | None = None
    end: Span | None = None
    asserted: Span | None = None
    supply_days: int | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None
    doses: tuple[DoseStep, ...] = ()
    strength_mg: Decimal | None = None
    dose_form: str | None = None
    reasons: tuple[Codes, ...] = ()
    status_reasons: Codes = ()
    patient_reported: bool = False


class DraftOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order of the request that is being written or signed.

    `unread`: it refers to a medication that could not be read, which is another thing than no medication yet.
    """

    record: Record
    status: str | None
    codes: Codes
    text: str | None = None
    routes: Codes = ()
    route_text: str | None = None
    dose_form: str | None = None
    unread: bool = False


class PatientFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything the rules may read about one patient, and everything that could not be read."""

    patient: Patient
    conditions: Listing[Condition] = Listing()
    medications: Listing[MedicationEvent] = Listing()
    observations: Listing[Observation] = Listing()
    allergies: Listing[Allergy] = Listing()
    procedures: Listing[Procedure] = Listing()
    orders: tuple[DraftOrder, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


_ENCODER = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_DECODER = msgspec.json.Decoder(PatientFacts)


def encode_facts(facts: PatientFacts) -> bytes:
    """Canonical bytes: sorted members, decimals as text, no defaults."""
    return _ENCODER.encode(facts)


def decode_facts(data: bytes) -> PatientFacts:
    """The facts that `encode_facts` wrote. Raises `msgspec.ValidationError` when they are not facts."""
    return _DECODER.decode(data)
