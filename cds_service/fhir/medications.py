"""Prescriptions, statements and dispenses as medication events, and draft orders; products resolved."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from cds_service.decision.facts import Codes, DraftOrder, MedicationEvent
from cds_service.fhir import resources as r4
from cds_service.fhir.decode import record_of, unknown_rules
from cds_service.fhir.dosage import LONGEST_DAYS, dose_steps
from cds_service.fhir.references import Directory, split_reference
from cds_service.fhir.values import (
    NotUnderstood,
    all_codes,
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

_PERSONS = frozenset({"Patient", "RelatedPerson"})
_MG = {
    "mg": Decimal(1),
    "g": Decimal(1000),
    "ug": Decimal("0.001"),
    "mcg": Decimal("0.001"),
    "µg": Decimal("0.001"),
}


class Product(NamedTuple):
    """What a use of a medication refers to: codes, text, strength and form, as far as they are known."""

    codes: Codes
    text: str | None
    strength_mg: Decimal | None = None
    form: str | None = None


def product_of(use: r4.MedicationUse, directory: Directory) -> Product:
    """The product used: by its own codes, else as the Medication referred to; unresolved, only the text is known."""
    concept = use.medication_codeable_concept
    if concept is not None:
        own = codes(concept)
        if own or use.medication_reference is None:
            return Product(own, concept.text)
    if use.medication_reference is None:
        return Product((), None)
    return _resolved(use, use.medication_reference, text_of(concept), directory)


def _resolved(use: r4.MedicationUse, reference: r4.Reference, text: str | None, directory: Directory) -> Product:
    medication = directory.find(r4.Medication, reference.reference, use)
    if medication is None:
        return Product((), text or reference.display)
    reason = unknown_rules(medication)
    if reason:
        raise NotUnderstood(f"medicationReference: a Medication with {reason}")
    return Product(
        codes(medication.code),
        text or text_of(medication.code) or reference.display,
        _strength(medication.ingredient),
        _form(medication.form),
    )


def _form(form: r4.CodeableConcept | None) -> str | None:
    if form is None:
        return None
    return form.text or next((coding.display or coding.code for coding in form.coding), None)


def _strength(ingredients: tuple[r4.Ingredient, ...]) -> Decimal | None:
    """Milligrams in one unit of a product with one ingredient; None for a combination."""
    for index, one in enumerate(ingredients):
        refuse_modifier(one.modifier_extension, f"Medication.ingredient[{index}]")
    active = [one for one in ingredients if one.is_active is not False]
    ratio = active[0].strength if len(active) == 1 else None
    if ratio is None or ratio.numerator is None:
        return None
    strength = amount(ratio.numerator, "Medication.ingredient.strength.numerator")
    factor = _MG.get((unit_of(ratio.numerator) or "").strip().lower())
    per = amount(ratio.denominator, "Medication.ingredient.strength.denominator") if ratio.denominator else Decimal(1)
    return tidy(strength * factor / per) if strength is not None and factor is not None and per else None


def _reasons(owner: r4.MedicationRequest | r4.MedicationStatement, directory: Directory) -> tuple[Codes, ...]:
    """The codes of each indication, those of the conditions referred to included."""
    found = [codes(concept) for concept in owner.reason_code or ()]
    for reference in owner.reason_reference:
        condition = directory.find(r4.Condition, reference.reference, owner)
        found.append(codes(condition.code) if condition is not None else ())
    return tuple(found)


# Supplies of 30 days with two repeats are met over and over; a supply holds no text but its unit.
@lru_cache(maxsize=4096)
def _supply_days(quantity: r4.Amount, element: str, repeats: float | None = None) -> int | None:
    """Whole days that a supply lasts, with its repeats. In an element named "days" an amount without a unit is days."""
    days = days_of(quantity, element, "d" if element == "daysSupply" else None)
    if days is None:
        return None
    total = days * (1 + (exact(repeats, "dispenseRequest.numberOfRepeatsAllowed") if repeats is not None else 0))
    if not 0 <= days <= total <= LONGEST_DAYS:
        raise NotUnderstood(f"{element}: no supply lasts that long")
    return int(total)


def _ordered_days(supply: r4.DispenseRequest) -> int | None:
    if supply.expected_supply_duration is None:
        return None
    element = "dispenseRequest.expectedSupplyDuration"
    return _supply_days(supply.expected_supply_duration, element, supply.number_of_repeats_allowed)


_NO_SUPPLY = r4.DispenseRequest()


def _prohibits(request: r4.MedicationRequest) -> bool:
    """Whether the order is not to give the medication. Raises NotUnderstood when that is withheld."""
    if request.do_not_perform is None and request.do_not_perform_ext is not None:
        raise NotUnderstood("doNotPerform: its value is withheld")
    return bool(request.do_not_perform)


def read_request(request: r4.MedicationRequest, directory: Directory) -> MedicationEvent:
    """A prescription: from the day it was written to the end of its validity, or as long as its supplies last."""
    product = product_of(request, directory)
    supply = request.dispense_request or _NO_SUPPLY
    refuse_modifier(supply.modifier_extension, "dispenseRequest")
    validity = supply.validity_period
    return MedicationEvent(
        record=record_of(request),
        kind="request",
        status=request.status,
        codes=product.codes,
        text=product.text,
        intent=request.intent,
        do_not_perform=_prohibits(request),
        start=span(request.authored_on, "authoredOn"),
        end=span(validity.end, "dispenseRequest.validityPeriod.end") if validity else None,
        supply_days=_ordered_days(supply),
        quantity=amount(supply.quantity, "dispenseRequest.quantity"),
        quantity_unit=unit_of(supply.quantity) if supply.quantity else None,
        doses=dose_steps(request.dosage_instruction, "dosageInstruction"),
        strength_mg=product.strength_mg,
        dose_form=product.form,
        reasons=_reasons(request, directory),
        status_reasons=codes(request.status_reason),
        patient_reported=bool(request.reported_boolean) or request.reported_reference is not None,
    )


def read_statement(statement: r4.MedicationStatement, directory: Directory) -> MedicationEvent:
    """A statement: a period that it states; a single date is a start whose end is not known."""
    product = product_of(statement, directory)
    period = statement.effective_period or r4.Period(statement.effective_date_time)
    return MedicationEvent(
        record=record_of(statement),
        kind="statement",
        status=statement.status,
        codes=product.codes,
        text=product.text,
        start=span(period.start, "effectivePeriod.start" if statement.effective_period else "effectiveDateTime"),
        end=span(period.end, "effectivePeriod.end"),
        asserted=span(statement.date_asserted, "dateAsserted"),
        doses=dose_steps(statement.dosage, "dosage"),
        strength_mg=product.strength_mg,
        dose_form=product.form,
        reasons=_reasons(statement, directory),
        status_reasons=all_codes(statement.status_reason),
        patient_reported=_is_lay(statement.information_source),
    )


def _is_lay(source: r4.Reference | None) -> bool:
    """Whether the patient or somebody close to them is the source."""
    if source is None:
        return False
    literal = split_reference(source.reference or "")
    return (source.type or (literal[1] if literal else "")) in _PERSONS


def read_dispense(dispense: r4.MedicationDispense, directory: Directory) -> MedicationEvent:
    """A dispense: from the day it was handed over, as long as the supply lasts."""
    product = product_of(dispense, directory)
    return MedicationEvent(
        record=record_of(dispense),
        kind="dispense",
        status=dispense.status,
        codes=product.codes,
        text=product.text,
        start=span(dispense.when_handed_over, "whenHandedOver"),
        supply_days=_supply_days(dispense.days_supply, "daysSupply") if dispense.days_supply else None,
        quantity=amount(dispense.quantity, "quantity"),
        quantity_unit=unit_of(dispense.quantity) if dispense.quantity else None,
        doses=dose_steps(dispense.dosage_instruction, "dosageInstruction"),
        strength_mg=product.strength_mg,
        dose_form=product.form,
        status_reasons=codes(dispense.status_reason_codeable_concept),
    )


def read_order(request: r4.MedicationRequest, directory: Directory) -> DraftOrder | None:
    """A draft order; None for an order not to give something."""
    if _prohibits(request):
        return None
    product = product_of(request, directory)
    routes = [dosage.route for dosage in request.dosage_instruction if dosage.route is not None]
    return DraftOrder(
        record=record_of(request),
        status=request.status,
        codes=product.codes,
        text=product.text,
        routes=_each(routes),
        route_text=next((route.text for route in routes if route.text), None),
        dose_form=product.form,
        unread=request.medication_reference is not None and not product.codes,
    )


def _each(concepts: Iterable[r4.CodeableConcept]) -> Codes:
    """Every code once, in the order of its first mention."""
    return tuple(dict.fromkeys(all_codes(concepts)))
