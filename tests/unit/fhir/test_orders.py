"""Draft orders, as order entry screens send them."""

import pytest

from cds_service.decision.coding import Coding
from cds_service.decision.facts import PatientFacts
from cds_service.fhir.decode import decode_resources
from cds_service.fhir.keys import KeyData
from cds_service.fhir.read_facts import read_facts
from tests.unit.fhir.make import (
    AS_OF,
    PATIENT_ID,
    WANTED,
    Json,
    bundle,
    concept,
    data,
    drug,
    medication,
    patient,
    request,
    subject,
)


def read(*orders: Json, type_: str | None = None) -> PatientFacts:
    return read_facts(
        {"patient": KeyData.of("Patient", decode_resources(data(patient())))},
        patient_id=PATIENT_ID,
        draft_orders=decode_resources(data(bundle(*orders, type_=type_))),
        as_of=AS_OF,
        observation_codes=WANTED,
    )


def draft(**more: object) -> Json:
    return request("order1", status="draft", category={"coding": [{"code": "community"}]}, **more)


def test_a_draft_in_a_bundle_without_type_with_category_as_an_object_is_read() -> None:
    (found,) = read(draft()).orders
    assert (found.record.reference, found.status) == ("MedicationRequest/order1", "draft")
    assert found.codes == (Coding("rxnorm", "312941"),)


def test_every_draft_and_every_coding_is_read_in_the_order_of_the_request() -> None:
    several = {"coding": [*concept("387085005")["coding"], *drug("6130")["coding"]], "text": "ketamine"}
    found = read(draft(), request("order0", medicationCodeableConcept=several)).orders
    assert [one.record.id for one in found] == ["order1", "order0"]
    assert [code.code for code in found[1].codes] == ["387085005", "6130"]
    assert found[1].text == "ketamine"


def test_contained_and_sibling_medications_are_resolved() -> None:
    inner = medication("x", form={"coding": [{"code": "spray", "display": "Nasal spray"}]})
    contained = draft(medicationReference={"reference": "#x"}, contained=[inner])
    sibling = request("order2", medicationReference={"reference": "Medication/med1"})
    first, second = read(contained, sibling, medication()).orders
    assert (first.codes, first.dose_form) == ((Coding("rxnorm", "312941"),), "Nasal spray")
    assert second.codes == (Coding("rxnorm", "312941"),)


def test_a_draft_without_a_medication_yet_is_an_order_without_codes() -> None:
    bare = {
        "resourceType": "MedicationRequest",
        "id": "new",
        "status": "draft",
        "intent": "order",
        "subject": subject(),
    }
    (found,) = read(bare).orders
    assert (found.codes, found.text) == ((), None)


def test_routes_of_all_instructions_are_read_once_each() -> None:
    nasal = {"route": concept("46713006", text="nasal")}
    (found,) = read(draft(dosageInstruction=[{"text": "x"}, nasal, nasal])).orders
    assert (found.routes, found.route_text) == ((Coding("snomed", "46713006"),), "nasal")


def test_an_order_not_to_give_is_no_order() -> None:
    assert read(draft(doNotPerform=True)).orders == ()


def test_drafts_are_not_medications_of_the_chart() -> None:
    found = read(draft())
    assert (found.medications.items, found.medications.received) == ((), 0)


@pytest.mark.parametrize(
    "member", [{"status": "banana"}, {"modifierExtension": [{"url": "https://x"}]}, {"subject": {}}]
)
def test_a_draft_that_cannot_be_understood_is_set_aside_with_its_codes(member: Json) -> None:
    found = read(request("order1", **member))
    assert found.orders == ()
    (aside,) = found.quarantined
    assert aside.reason.startswith("draft order: ")
    assert aside.codes == (Coding("rxnorm", "312941"),)
