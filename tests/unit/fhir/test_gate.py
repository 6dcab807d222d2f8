"""The patient gate: one mismatch anywhere refuses everything; whose it is must be said."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.facts import PatientFacts
from cds_service.errors import OtherPatient
from cds_service.fhir.decode import decode_resources
from cds_service.fhir.keys import KeyData
from cds_service.fhir.read_facts import read_facts
from tests.unit.fhir.make import (
    AS_OF,
    PATIENT_ID,
    WANTED,
    Json,
    allergy,
    bundle,
    condition,
    data,
    dispense,
    entry,
    observation,
    patient,
    request,
    statement,
    subject,
)

BASE = "https://ehr.example.org/fhir"
OTHER = {"reference": "Patient/somebody-else"}
OWNED: list[Callable[..., Json]] = [condition, request, statement, dispense, observation]


def read(
    *resources: Json, orders: Json | None = None, base_url: str | None = None, source: Any = "given"
) -> PatientFacts:
    keys = {
        "patient": KeyData.of(
            "Patient", decode_resources(data(patient(identifier=[{"system": "urn:x", "value": "7"}])))
        ),
        "conditions": KeyData.of("Condition", decode_resources(data(bundle(*resources))), source=source),
    }
    drafts = decode_resources(data(orders)) if orders is not None else None
    return read_facts(
        keys, patient_id=PATIENT_ID, draft_orders=drafts, as_of=AS_OF, observation_codes=WANTED, base_url=base_url
    )


def place(*resources: Json, **options: Any) -> str | None:
    with pytest.raises(OtherPatient) as caught:
        read(*resources, **options)
    assert "somebody-else" not in str(caught.value)
    assert PATIENT_ID not in str(caught.value)
    return caught.value.expression


@pytest.mark.parametrize("make", OWNED)
def test_another_patients_resource_of_each_type_refuses_the_request(make: Callable[..., Json]) -> None:
    assert place(make(), make(subject=OTHER)) == "prefetch.conditions.entry[1].subject"


def test_another_patients_allergy_refuses_the_request() -> None:
    assert place(allergy(patient=OTHER)) == "prefetch.conditions.entry[0].patient"


@pytest.mark.parametrize(
    "other",
    [
        {"resourceType": "Encounter", "subject": OTHER},
        {"resourceType": "Claim", "patient": OTHER},
        {"resourceType": "Coverage", "beneficiary": OTHER},
        {"resourceType": "Account", "subject": [subject(), OTHER]},
    ],
)
def test_another_patients_resource_that_no_rule_reads_refuses_the_request(other: Json) -> None:
    place(other)


def test_another_patient_in_a_contained_resource_refuses_the_request() -> None:
    inner = {"resourceType": "Observation", "status": "final", "subject": OTHER}
    assert place(condition(contained=[inner])) == "prefetch.conditions.entry[0].contained[0].subject"
    place(condition(contained=[{"resourceType": "Encounter", "contained": [inner]}]))
    place(condition(contained=[{"resourceType": "Account", "subject": [OTHER]}]))


def test_another_patients_draft_order_refuses_the_request() -> None:
    found = place(orders=bundle(request(subject=OTHER)))
    assert found == "context.draftOrders.entry[0].subject"


def test_another_patient_on_a_fetched_page_refuses_the_request() -> None:
    assert place(condition(subject=OTHER), source="fetched") == "fhirServer conditions.entry[0].subject"


def test_another_patient_under_a_key_that_is_not_ours_refuses_the_request_without_naming_the_key() -> None:
    assert place(condition(subject=OTHER), source="ignored") == "prefetch.entry[0].subject"


def test_a_key_that_is_not_ours_brings_no_facts() -> None:
    assert read(condition(), condition("bad", subject=5), source="ignored").conditions.received == 0


def test_another_patient_in_a_resource_that_cannot_be_read_refuses_the_request() -> None:
    place(condition(subject=OTHER, onsetDateTime=5))
    place(condition(contained=[{"resourceType": "Observation", "subject": OTHER}], onsetDateTime=5))
    place(condition(subject=OTHER, modifierExtension=[{"url": "https://x"}]))


def test_another_patient_resource_refuses_the_request() -> None:
    assert place(patient(id="somebody-else")) == "prefetch.conditions.entry[0].id"
    place(patient(id="somebody-else", gender=5))


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/pat-1",
        "Patient/pat-1/_history/2",
        f"{BASE}/Patient/pat-1",
        "HTTPS://EHR.example.org/fhir/Patient/pat-1/_history/2",
        "urn:uuid:pat-1",
        "Patient?identifier=urn:x|7",
        "Patient?identifier=urn%3Ax%7C7",
        "Patient?identifier=7",
    ],
)
def test_each_form_of_reference_to_the_patient_passes(reference: str) -> None:
    found = read(condition(subject={"reference": reference}), base_url=BASE)
    assert len(found.conditions.items) == 1
    assert found.quarantined == ()


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/pat-2",
        "Patient/PAT-1",
        f"{BASE}/Patient/pat-2",
        "https://other.example.org/fhir/Patient/pat-1",
        f"{BASE}/sub/Patient/pat-1",
        "urn:uuid:somebody-else",
        "urn:oid:1.2.3",
        "Patient?identifier=urn:x|8",
        "Patient?identifier=urn:y|7",
    ],
)
def test_each_form_of_reference_to_another_patient_is_refused(reference: str) -> None:
    place(condition(subject={"reference": reference}), base_url=BASE)


@pytest.mark.parametrize(
    "owner",
    [
        {},
        {"display": "Anna"},
        {"identifier": {"system": "urn:x", "value": "7"}},
        {"reference": "#p"},
        {"reference": "Group/g"},
        {"reference": "not a reference"},
        {"reference": "Patient?name=Anna"},
        {"reference": ""},
    ],
)
def test_a_resource_that_does_not_say_whose_it_is_is_set_aside(owner: Json) -> None:
    found = read(condition(subject=owner))
    assert found.conditions.items == ()
    assert found.conditions.received == 1
    assert [one.reason.split(":")[0] for one in found.quarantined] == ["subject"]


def test_a_resource_without_a_subject_is_set_aside() -> None:
    lost = {name: value for name, value in observation().items() if name != "subject"}
    assert [one.reason for one in read(lost).quarantined] == ["subject: names no patient by reference"]


def test_a_resource_about_a_group_in_the_bundle_is_set_aside_and_a_lost_urn_is_another_patient() -> None:
    group = entry({"resourceType": "Group", "id": "g"}, fullUrl="urn:uuid:g")
    found = read(group, condition(subject={"reference": "urn:uuid:g"}))
    assert [one.reason for one in found.quarantined] == ["subject: refers to no patient we can tell"]
    place(condition(subject={"reference": "urn:uuid:g"}))


def test_a_conditional_reference_cannot_be_told_without_the_patient_resource() -> None:
    keys = {
        "conditions": KeyData.of(
            "Condition", decode_resources(data(bundle(condition(subject={"reference": "Patient?identifier=urn:x|7"}))))
        )
    }
    found = read_facts(keys, patient_id=PATIENT_ID, draft_orders=None, as_of=AS_OF, observation_codes=WANTED)
    assert [one.reason for one in found.quarantined] == ["subject: refers to no patient we can tell"]


def test_resources_that_no_rule_reads_may_be_about_anything_else() -> None:
    about = [{"reference": "Group/g"}, {"display": "everybody"}]
    assert read({"resourceType": "Account", "subject": about}).quarantined == ()


def test_patient_by_urn_uuid_and_identifier_as_transactions_write_them() -> None:
    person = entry(patient(identifier=[{"system": "urn:x", "value": "7"}]), fullUrl="urn:uuid:5c5c")
    drafted = entry(request(subject={"reference": "Patient?identifier=urn:x|7"}))
    found = read(person, condition(subject={"reference": "urn:uuid:5c5c"}), drafted)
    assert len(found.conditions.items) == len(found.medications.items) == 1


def test_patient_that_cannot_be_read_is_still_known_by_its_address() -> None:
    person = entry(patient(gender=5), fullUrl="urn:uuid:5c5c")
    assert len(read(person, condition(subject={"reference": "urn:uuid:5c5c"})).conditions.items) == 1


def test_without_a_known_server_one_base_is_taken_for_it_and_two_are_refused() -> None:
    ours = condition("c1", subject={"reference": f"{BASE}/Patient/pat-1"})
    theirs = condition("c2", subject={"reference": "https://other.example.org/fhir/Patient/pat-1"})
    assert len(read(ours).conditions.items) == 1
    place(ours, theirs)


def test_without_a_known_server_the_patients_own_address_tells_the_base() -> None:
    person = entry(patient(), fullUrl=f"{BASE}/Patient/pat-1")
    place(person, condition(subject={"reference": "https://other.example.org/fhir/Patient/pat-1"}))


def test_patient_link_is_not_followed() -> None:
    assert read(patient(link=[{"other": OTHER, "type": "seealso"}])).quarantined == ()


@given(st.sampled_from(OWNED), st.sampled_from(["Patient/x", "urn:uuid:x", f"{BASE}/Patient/x"]), st.integers(0, 4))
def test_what_passes_the_gate_never_names_another_patient(make: Callable[..., Json], owner: str, at: int) -> None:
    resources = [condition("c1"), request("m1"), statement("s1"), observation("o1")]
    resources.insert(at, make("foreign", subject={"reference": owner}))
    with pytest.raises(OtherPatient):
        read(*resources, base_url=BASE)
