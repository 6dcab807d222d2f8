"""The same chart gives the same facts, however it comes: shuffled, paged, by key or as one Bundle."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.facts import PatientFacts, encode_facts
from cds_service.fhir.decode import decode_resources
from cds_service.fhir.keys import KeyData
from cds_service.fhir.read_facts import facts_from_bundle, read_facts
from tests.unit.fhir.make import (
    AS_OF,
    PATIENT_ID,
    PHQ9,
    SYSTOLIC,
    WANTED,
    Json,
    allergy,
    bundle,
    condition,
    data,
    dispense,
    entry,
    item,
    medication,
    observation,
    patient,
    procedure,
    quantity,
    request,
    response,
    statement,
    status,
)

KEYS = {
    "patient": ("Patient",),
    "conditions": ("Condition",),
    "medicationRequests": ("MedicationRequest", "Medication"),
    "medicationStatements": ("MedicationStatement",),
    "medicationDispenses": ("MedicationDispense",),
    "bloodPressure": ("Observation",),
    "depressionScreens": ("Observation",),
    "questionnaireResponses": ("QuestionnaireResponse",),
    "procedures": ("Procedure",),
    "allergies": ("AllergyIntolerance",),
}
DATES = st.sampled_from(["2026-01-05", "2026-01", "2025", "2026-12-01", "2026-01-05T10:00:00Z", "not a date"])
IDS = st.sampled_from(["a", "b", "c", "d"])

RESOURCES = st.one_of(
    st.builds(
        lambda id_, date, word: condition(id_, onsetDateTime=date, verificationStatus=status(word)),
        IDS,
        DATES,
        st.sampled_from(["confirmed", "refuted", "entered-in-error", "maybe"]),
    ),
    st.builds(lambda id_, date: request(id_, authoredOn=date), IDS, DATES),
    st.builds(lambda id_: request(id_, medicationReference={"reference": "Medication/med1"}), IDS),
    st.builds(lambda id_: request(id_, reasonReference=[{"reference": "Condition/a"}]), IDS),
    st.builds(lambda id_, date: statement(id_, effectivePeriod={"start": date}), IDS, DATES),
    st.builds(lambda id_, date: dispense(id_, whenHandedOver=date), IDS, DATES),
    st.builds(
        lambda id_, code, value: observation(id_, code, valueQuantity=quantity(value)),
        IDS,
        st.sampled_from([PHQ9, SYSTOLIC]),
        st.sampled_from([1, 2.5, "x"]),
    ),
    st.builds(lambda id_: observation(id_, subject={}), IDS),
    st.builds(lambda id_, date: allergy(id_, recordedDate=date), IDS, DATES),
    st.builds(lambda id_, date: procedure(id_, performedDateTime=date), IDS, DATES),
    st.builds(
        lambda id_, date, codes, value: response(
            *[item(code, {"valueInteger": value}) for code in codes], id_=id_, authored=date
        ),
        IDS,
        DATES,
        st.lists(st.sampled_from([PHQ9, SYSTOLIC, "other"]), max_size=3),
        st.sampled_from([1, 2.5, "x"]),
    ),
    st.just(medication()),
)
CHARTS = st.lists(RESOURCES, max_size=14)


def by_bundle(resources: list[Json], **more: Any) -> PatientFacts:
    body = data(bundle(*resources, type_="transaction", **more))
    return facts_from_bundle(body, as_of=AS_OF, observation_codes=WANTED)


def by_keys(resources: list[Json]) -> PatientFacts:
    keys = {}
    for key, types in KEYS.items():
        listed = [one for one in resources if one["resourceType"] in types]
        body: Json = listed[0] if key == "patient" else bundle(*listed)
        keys[key] = KeyData.of(types[0], decode_resources(data(body)))
    return read_facts(keys, patient_id=PATIENT_ID, draft_orders=None, as_of=AS_OF, observation_codes=WANTED)


@given(CHARTS)
def test_one_bundle_and_separate_keys_give_equal_facts(chart: list[Json]) -> None:
    resources = [patient(), *chart]
    assert encode_facts(by_bundle(resources)) == encode_facts(by_keys(resources))


@given(CHARTS, st.randoms(use_true_random=False))
def test_the_order_of_entries_never_changes_the_facts(chart: list[Json], order: random.Random) -> None:
    resources = [patient(), *chart]
    shuffled = resources.copy()
    order.shuffle(shuffled)
    assert encode_facts(by_bundle(resources)) == encode_facts(by_bundle(shuffled))


@given(CHARTS)
def test_resources_without_an_id_have_a_fixed_order_too(chart: list[Json]) -> None:
    nameless = [{name: value for name, value in one.items() if name != "id"} for one in chart]
    assert encode_facts(by_bundle([patient(), *nameless])) == encode_facts(by_bundle([*reversed(nameless), patient()]))


def test_a_resource_under_two_keys_is_taken_once() -> None:
    found = by_keys([patient(), observation(code=PHQ9, valueQuantity=quantity(3))])
    assert (len(found.observations.items), found.observations.received) == (1, 1)


def test_of_two_versions_the_later_counts_whichever_came_first() -> None:
    old = condition(meta={"lastUpdated": "2026-01-01T00:00:00Z"}, verificationStatus=status("provisional"))
    new = condition(meta={"lastUpdated": "2026-02-01T00:00:00Z"}, verificationStatus=status("confirmed"))
    for resources in ([old, new], [new, old]):
        (found,) = by_bundle([patient(), *resources]).conditions.items
        assert found.verification == "confirmed"


def test_a_bad_resource_does_not_change_what_is_read_of_the_others() -> None:
    """The slow path reads what the fast path reads, number for number."""
    good = [
        patient(),
        condition(),
        request(dispenseRequest={"expectedSupplyDuration": {"value": 30.50, "code": "d"}}),
        observation(valueQuantity=quantity("120.10")),
    ]
    bad = entry(condition("bad", onsetDateTime=5))
    body = json.dumps(bundle(*good)).replace('"120.10"', "120.10").encode()
    spoilt = json.dumps(bundle(*good, bad)).replace('"120.10"', "120.10").encode()
    fast = facts_from_bundle(body, as_of=AS_OF, observation_codes=WANTED)
    slow = facts_from_bundle(spoilt, as_of=AS_OF, observation_codes=WANTED)
    assert fast.medications == slow.medications
    assert fast.observations == slow.observations
    assert fast.conditions.items == slow.conditions.items
    assert str(fast.observations.items[0].value).count("120.10") == 1
