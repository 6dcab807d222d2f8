"""Patient, conditions, observations, procedures and allergies as facts.

A reader returns None for what is no fact: entered in error, of a status that carries no result, or dated wholly after
the instant the assessment is made for. It raises NotUnderstood for what has to be set aside.
"""

from decimal import Decimal

import msgspec

from cds_service.decision.dates import AsOf, Span
from cds_service.decision.facts import Allergy, Component, Condition, Observation, Patient, Procedure, Quantity, Value
from cds_service.fhir import resources as r4
from cds_service.fhir.decode import record_of
from cds_service.fhir.values import (
    NotUnderstood,
    all_codes,
    codes,
    decoded,
    listed,
    part,
    period_span,
    read_value,
    refuse_modifier,
    span,
    status_of,
    text_of,
    unit_of,
)

_NO_PROCEDURE = frozenset({"not-done", "entered-in-error"})
_OBSERVATION_STATUSES = frozenset({"final", "amended", "corrected", "preliminary"})
# In order of caution: see `status_of`.
_CLINICAL = ("active", "recurrence", "relapse", "inactive", "remission", "resolved", "unknown")
_VERIFICATION = ("entered-in-error", "refuted", "unconfirmed", "provisional", "differential", "confirmed")
_ALLERGY_VERIFICATION = ("entered-in-error", "refuted", "presumed", "unconfirmed", "confirmed")
_Concepts = tuple[r4.CodeableConcept, ...] | r4.CodeableConcept
_CONCEPTS: msgspec.json.Decoder[_Concepts | None] = msgspec.json.Decoder(_Concepts | None)

_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_US_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex"
_CLINICAL_SEX = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
# The codes of the three extensions, each as FHIR's administrative gender writes it; any other stays as it is.
_SEXES = {
    "F": "female",
    "M": "male",
    "female-typical": "female",
    "male-typical": "male",
    "248152002": "female",
    "248153007": "male",
}


def read_patient(resource: r4.Patient, as_of: AsOf) -> Patient:
    """The person. Who died after the instant of the assessment is alive in it."""
    died = span(resource.deceased_date_time, "deceasedDateTime")
    dead = died is not None or resource.deceased_date_time_ext is not None
    return Patient(
        record=record_of(resource),
        birth=span(resource.birth_date, "birthDate"),
        gender=resource.gender,
        birth_sex=_sex(resource.extension, _BIRTH_SEX),
        clinical_sex=_sex(resource.extension, _CLINICAL_SEX) or _sex(resource.extension, _US_SEX),
        deceased=bool(resource.deceased_boolean) or (dead and not is_future(died, as_of)),
    )


def is_future(when: Span | None, as_of: AsOf) -> bool:
    """Whether a date lies wholly after the instant; an unknown one does not."""
    return when is not None and when.start > as_of.instant


def _sex(extensions: tuple[r4.Extension, ...], url: str) -> str | None:
    extension = next((one for one in extensions if one.url == url), None)
    if extension is None:
        return None
    # The parameter for clinical use is a group of extensions; its code stands in the one named "value".
    extension = next((one for one in extension.extension if one.url == "value"), extension)
    concept = extension.value_codeable_concept
    coding = extension.value_coding or (concept.coding[0] if concept and concept.coding else None)
    code = extension.value_code or (coding.code if coding else None)
    return _SEXES.get(code, code) if code else None


def read_condition(resource: r4.Condition, as_of: AsOf) -> Condition | None:
    """A condition, refuted ones included; an abatement that is still to come is not read."""
    verification = status_of(resource.verification_status, _VERIFICATION, "verificationStatus")
    if verification == "entered-in-error":
        return None
    onset = span(resource.onset_date_time, "onsetDateTime") or _onset(resource.onset_period)
    recorded = span(resource.recorded_date, "recordedDate")
    if is_future(onset or recorded, as_of):
        return None
    clinical = status_of(resource.clinical_status, _CLINICAL, "clinicalStatus")
    abated, abatement = _abatement(resource, as_of)
    categories = part(resource.category, _CONCEPTS, "category")
    return Condition(
        record=record_of(resource),
        codes=codes(resource.code),
        text=text_of(resource.code),
        clinical=None if clinical == "unknown" else clinical,
        verification=verification,
        categories=tuple([code.code for code in all_codes(listed(categories))]) if categories else (),
        onset=onset,
        recorded=recorded,
        abatement=abatement,
        abated=abated,
    )


def _onset(period: r4.Period | None) -> Span | None:
    """When a condition began; its period says how long it lasted."""
    return span(period.start, "onsetPeriod.start") if period else None


def _abatement(resource: r4.Condition, as_of: AsOf) -> tuple[bool, Span | None]:
    """Whether the record says, in any of the ways it can, that the condition is over; and since when."""
    when = span(resource.abatement_date_time, "abatementDateTime")
    when = when or period_span(resource.abatement_period, "abatementPeriod")
    if is_future(when, as_of):
        return False, None
    undated = (
        resource.abatement_period is not None
        or resource.abatement_string is not None
        or resource.abatement_date_time_ext is not None
        or resource.abatement_string_ext is not None
        or r4.is_given(resource.abatement_age)
        or r4.is_given(resource.abatement_range)
    )
    return when is not None or undated, when


def read_observation(resource: r4.Observation, as_of: AsOf) -> Observation | None:
    """A result with its components; the status travels with it."""
    if resource.status not in _OBSERVATION_STATUSES:
        if resource.status is None:
            raise NotUnderstood("status: missing")
        return None
    when = _observed(resource)
    if is_future(when, as_of):
        return None
    if resource.focus:
        raise NotUnderstood("focus: the observation is about another than the patient")
    value, absent = read_value(resource, "")
    return Observation(
        record=record_of(resource),
        status=resource.status,
        codes=codes(resource.code),
        when=when,
        value=value,
        absent=absent,
        interpretation=all_codes(listed(resource.interpretation)) if resource.interpretation else (),
        upper_limit=_upper_limit(resource, value),
        components=tuple([_component(one, index) for index, one in enumerate(resource.component)]),
    )


_RANGES = msgspec.json.Decoder(tuple[r4.ReferenceRange, ...])


def _upper_limit(resource: r4.Observation, value: Value | None) -> Decimal | None:
    """The upper end of the laboratory's one range, in the unit of the value; None where it is not that simple."""
    if resource.reference_range == r4.ABSENT or not isinstance(value, Quantity):
        return None
    ranges = decoded(resource.reference_range, _RANGES, "referenceRange")
    if len(ranges) != 1 or ranges[0].applies_to or ranges[0].age != r4.ABSENT or ranges[0].high is None:
        return None
    high = ranges[0].high
    return high.value if unit_of(high) in (value.unit, None) else None


def _observed(resource: r4.Observation) -> Span | None:
    if resource.effective_date_time is not None:
        return span(resource.effective_date_time, "effectiveDateTime")
    if resource.effective_instant is not None:
        return span(resource.effective_instant, "effectiveInstant")
    return period_span(resource.effective_period, "effectivePeriod")


def _component(component: r4.Component, index: int) -> Component:
    refuse_modifier(component.modifier_extension, f"component[{index}]")
    value, absent = read_value(component, f"component[{index}].")
    return Component(codes(component.code), value, absent)


def read_procedure(resource: r4.Procedure, as_of: AsOf) -> Procedure | None:
    """An intervention with its status: a planned or abandoned one is for the rule to judge."""
    when = span(resource.performed_date_time, "performedDateTime") or _begun(resource.performed_period)
    if resource.status in _NO_PROCEDURE or is_future(when, as_of):
        return None
    return Procedure(
        record=record_of(resource),
        codes=codes(resource.code),
        status=resource.status,
        text=text_of(resource.code),
        when=when,
    )


def _begun(period: r4.Period | None) -> Span | None:
    return span(period.start, "performedPeriod.start") if period else None


def read_allergy(resource: r4.AllergyIntolerance, as_of: AsOf) -> Allergy | None:
    """An allergy or intolerance, refuted ones included."""
    verification = status_of(resource.verification_status, _ALLERGY_VERIFICATION, "verificationStatus")
    recorded = span(resource.recorded_date, "recordedDate")
    if verification == "entered-in-error" or is_future(recorded, as_of):
        return None
    for index, reaction in enumerate(resource.reaction):
        refuse_modifier(reaction.modifier_extension, f"reaction[{index}]")
    clinical = status_of(resource.clinical_status, _CLINICAL, "clinicalStatus")
    substances = [codes(reaction.substance) for reaction in resource.reaction]
    return Allergy(
        record=record_of(resource),
        substances=codes(resource.code) + tuple(code for found in substances for code in found),
        text=text_of(resource.code),
        clinical=None if clinical == "unknown" else clinical,
        verification=verification,
        type=resource.type,
        manifestations=tuple(code for one in resource.reaction for code in all_codes(one.manifestation)),
        recorded=recorded,
    )
