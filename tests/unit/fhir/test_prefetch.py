"""The prefetch decision table: what each answer of the client means, and what is fetched in its place."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cds_service.decision.facts import PatientFacts, encode_facts
from cds_service.errors import OtherPatient, RequiredDataMissing, UnreadableFhir
from cds_service.fhir.keys import Failure, KeyData
from cds_service.fhir.prefetch import Completed, complete, expand
from cds_service.fhir.read_facts import read_facts
from tests.unit.fhir.make import (
    AS_OF,
    PATIENT_ID,
    WANTED,
    Json,
    bundle,
    condition,
    data,
    drug,
    entry,
    medication,
    observation,
    outcome,
    patient,
    quantity,
    request,
)

PATIENT_KEY = "Patient/{{context.patientId}}"
CONDITIONS = "Condition?patient={{context.patientId}}&_count=200"
STATEMENTS = "MedicationStatement?patient={{context.patientId}}&_count=200"
REQUESTS = "MedicationRequest?patient={{context.patientId}}&_count=200"
TEMPLATES = {"patient": PATIENT_KEY, "conditions": CONDITIONS}
CONTEXT = {"patientId": PATIENT_ID}
NEXT = [{"relation": "next", "url": "https://ehr.example.org/fhir?page=2"}]


class Server:
    """A FHIR server in memory: bodies by URL; anything else is not found."""

    def __init__(self, bodies: Mapping[str, Json | Failure | bytes] | None = None) -> None:
        self.bodies = dict(bodies or {})
        self.calls: list[tuple[str, str]] = []

    async def get(self, key: str, url: str) -> bytes | Failure:
        self.calls.append((key, url))
        body = self.bodies.get(url, Failure("not found"))
        return body if isinstance(body, bytes | Failure) else data(body)


def completed(
    given: Mapping[str, Any],
    server: Server | None = None,
    *,
    templates: Mapping[str, str] = TEMPLATES,
    required: frozenset[str] = frozenset(),
    **more: Any,
) -> Completed:
    raw = {key: value if value is None or isinstance(value, bytes) else data(value) for key, value in given.items()}
    return asyncio.run(complete(raw, templates, CONTEXT, server, required, **more))


def conditions(given: Any, server: Server | None = None, **more: Any) -> KeyData:
    return completed({"patient": patient(), "conditions": given}, server, **more).keys["conditions"]


def read(done: Completed) -> PatientFacts:
    return read_facts(done.keys, patient_id=PATIENT_ID, draft_orders=done.orders, as_of=AS_OF, observation_codes=WANTED)


FETCHED = Server({"Condition?patient=pat-1&_count=200": bundle(condition()), "Patient/pat-1": patient()}).bodies


def causes(data_: KeyData) -> list[str]:
    return [gap.cause for gap in data_.gaps]


# ------------------------------------------------------------ given


def test_what_is_given_is_used_and_nothing_is_fetched() -> None:
    server = Server(FETCHED)
    found = conditions(bundle(condition()), server)
    assert (found.source, len(found.entries), found.gaps) == ("given", 1, ())
    assert server.calls == []


@pytest.mark.parametrize("empty", [None, b"null", b" null ", bundle(), bundle(total=0)])
def test_null_and_an_empty_searchset_mean_that_nothing_is_there(empty: Any) -> None:
    server = Server(FETCHED)
    found = conditions(empty, server, required=frozenset({"conditions"}))
    assert (found.source, found.entries, found.gaps) == ("given", (), ())
    assert server.calls == []


def test_null_for_the_patient_read_is_missing() -> None:
    with pytest.raises(RequiredDataMissing) as caught:
        completed({"patient": None, "conditions": bundle()}, required=frozenset({"patient"}))
    assert caught.value.missing == (("patient", "not-sent"),)


def test_a_list_in_the_place_of_the_patient_is_used_if_it_holds_one() -> None:
    assert completed({"patient": bundle(patient()), "conditions": None}).keys["patient"].source == "given"
    assert completed({"patient": bundle(), "conditions": None}).keys["patient"].source == "unobtainable"


def test_a_bare_resource_of_the_type_asked_for_is_used() -> None:
    assert len(read(completed({"patient": patient(), "conditions": condition()})).conditions.items) == 1


def test_a_bare_resource_that_cannot_be_read_is_set_aside_and_is_no_gap() -> None:
    done = completed({"patient": patient(), "conditions": condition(onsetDateTime=5)})
    assert done.keys["conditions"].source == "given"
    assert read(done).conditions.received == 1


def test_a_bare_resource_of_another_type_is_no_answer() -> None:
    assert causes(conditions(patient())) == ["unreadable"]


@pytest.mark.parametrize("rubbish", [b"nonsense", b"[]", b"{}", b'"text"', b"5"])
def test_what_is_no_fhir_is_fetched_and_otherwise_a_gap(rubbish: bytes) -> None:
    assert causes(conditions(rubbish)) == ["unreadable"]
    assert conditions(rubbish, Server(FETCHED)).source == "fetched"


def test_a_warning_row_beside_an_empty_list_is_no_error() -> None:
    row = entry(outcome("warning"), search={"mode": "outcome"})
    assert conditions(bundle(row, total=0)).gaps == ()


@pytest.mark.parametrize("failed", [outcome("error"), bundle(outcome("fatal")), bundle(condition(), outcome("error"))])
def test_a_failure_of_the_client_is_never_an_empty_list_and_not_fetched_again(failed: Json) -> None:
    server = Server(FETCHED)
    found = conditions(failed, server)
    assert (found.source, found.cause, causes(found)) == ("unobtainable", "client error", ["client error"])
    assert server.calls == []


def test_a_failure_of_the_client_keeps_what_did_come() -> None:
    done = completed({"patient": patient(), "conditions": bundle(condition(), outcome("error"))})
    assert len(read(done).conditions.items) == 1


def test_a_failure_that_may_pass_is_tried_once_more() -> None:
    passing = outcome("error", "timeout")
    assert conditions(passing, Server(FETCHED)).source == "fetched"
    server = Server()
    assert causes(conditions(passing, server)) == ["client error"]
    assert len(server.calls) == 1


def test_another_resource_type_in_a_list_is_no_fault() -> None:
    done = completed({"patient": patient(), "conditions": bundle(condition(), {"resourceType": "Encounter"})})
    assert read(done).conditions.received == 1


# ------------------------------------------------------------ absent


def test_an_absent_key_is_fetched_by_exactly_its_template() -> None:
    server = Server(FETCHED)
    done = completed({"patient": patient()}, server)
    assert done.keys["conditions"].source == "fetched"
    assert server.calls == [("conditions", "Condition?patient=pat-1&_count=200")]


def test_without_a_server_an_absent_key_is_not_sent() -> None:
    done = completed({})
    assert {key: data_.cause for key, data_ in done.keys.items()} == {"patient": "not sent", "conditions": "not sent"}
    assert [gap.cause for gap in read(done).conditions.gaps] == ["not sent"]


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (Failure("refused"), "refused"),
        (Failure("timeout"), "timeout"),
        (Failure("unreachable"), "unreachable"),
        (Failure("not found"), "unreachable"),
        (Failure("server error"), "unreachable"),
        (Failure("too large"), "too large"),
        (Failure("unreadable"), "unreadable"),
        (Failure("limit reached"), "further pages not read"),
        (outcome("error"), "client error"),
        (b"<html>", "unreadable"),
        (patient(), "unreadable"),
    ],
)
def test_each_failure_of_a_fetch_is_recorded_and_never_an_empty_list(failure: Any, cause: str) -> None:
    server = Server({"Condition?patient=pat-1&_count=200": failure})
    found = completed({"patient": patient()}, server).keys["conditions"]
    assert (found.source, found.cause, causes(found)) == ("unobtainable", cause, [cause])
    with pytest.raises(RequiredDataMissing) as caught:
        completed({"patient": patient()}, server, required=frozenset({"conditions"}))
    assert caught.value.missing == (("conditions", cause.replace(" ", "-")),)


def test_every_missing_required_key_is_named() -> None:
    with pytest.raises(RequiredDataMissing) as caught:
        completed({}, required=frozenset(TEMPLATES))
    assert caught.value.missing == (("patient", "not-sent"), ("conditions", "not-sent"))


# ------------------------------------------------------------ pages

SECOND = {"https://ehr.example.org/fhir?page=2": bundle(condition("c2"))}


def test_further_pages_are_followed() -> None:
    found = conditions(bundle(condition("c1"), link=NEXT, total=2), Server(SECOND))
    assert [entry_.resource.id for entry_ in found.entries if entry_.resource] == ["c1", "c2"]
    assert found.gaps == ()


def test_pages_of_a_fetched_list_are_followed() -> None:
    server = Server({**SECOND, "Condition?patient=pat-1&_count=200": bundle(condition("c1"), link=NEXT)})
    found = completed({"patient": patient()}, server).keys["conditions"]
    assert len(found.entries) == 2
    assert [key for key, _ in server.calls] == ["conditions", "conditions"]


def test_without_a_server_a_next_link_is_a_gap() -> None:
    assert causes(conditions(bundle(condition(), link=NEXT))) == ["further pages not read"]


@pytest.mark.parametrize(
    "page", [Failure("timeout"), outcome("error"), b"nonsense", condition(), bundle(outcome("fatal"))]
)
def test_a_page_that_fails_is_a_gap_and_keeps_the_pages_before(page: Any) -> None:
    found = conditions(bundle(condition("c1"), link=NEXT), Server({NEXT[0]["url"]: page}))
    assert causes(found) == ["further pages not read"]
    assert len(found.entries) == 1


def test_pages_that_go_in_circles_are_a_gap() -> None:
    again = bundle(condition("c2"), link=NEXT)
    server = Server({NEXT[0]["url"]: again})
    assert causes(conditions(bundle(condition(), link=NEXT), server)) == ["further pages not read"]
    assert len(server.calls) == 1


def test_a_total_above_what_came_is_a_gap() -> None:
    included = entry(medication(), search={"mode": "include"})
    assert causes(conditions(bundle(condition(), included, total=2))) == ["further pages not read"]
    assert causes(conditions(bundle(condition(), total=1))) == []
    assert causes(conditions(bundle(condition(onsetDateTime=5), total=1))) == []


def test_places_of_what_was_set_aside_stay_right_over_pages() -> None:
    server = Server({NEXT[0]["url"]: bundle(condition("c2"), condition("bad", subject=5))})
    assert [one.index for one in conditions(bundle(condition("c1"), link=NEXT), server).unread] == [2]


# ------------------------------------------------------------ templates


def test_a_template_is_filled_from_the_context() -> None:
    assert expand(CONDITIONS, CONTEXT) == "Condition?patient=pat-1&_count=200"
    assert expand("Encounter/{{context.encounterId}}", CONTEXT) is None
    assert expand("{{context.userId}}", {"userId": "Practitioner/7"}) == "Practitioner%2F7"


@pytest.mark.parametrize("value", ["a&b", "../x", "..", "a b", "", "x" * 300, "?", "a/b/c", "Zoë"])
def test_a_value_that_is_no_id_never_gets_into_a_query(value: str) -> None:
    with pytest.raises(UnreadableFhir):
        expand(CONDITIONS, {"patientId": value})


def test_a_template_that_the_context_cannot_fill_is_not_fetched() -> None:
    server = Server()
    done = completed({}, server, templates={"encounter": "Encounter/{{context.encounterId}}"})
    assert (done.keys["encounter"].cause, server.calls) == ("not sent", [])


# ------------------------------------------------------------ the gate


def test_no_call_leaves_for_a_request_that_mixes_two_patients() -> None:
    server = Server(FETCHED)
    with pytest.raises(OtherPatient) as caught:
        completed({"patient": patient(id="pat-2")}, server)
    assert caught.value.expression == "prefetch.patient.entry[0].id"
    with pytest.raises(OtherPatient):
        medications(server, refer("Medication/med1"), condition(subject={"reference": "Patient/pat-2"}))
    assert server.calls == []


def test_two_patients_are_said_before_missing_data() -> None:
    with pytest.raises(OtherPatient):
        completed({"patient": patient(id="pat-2")}, required=frozenset({"conditions"}))


def test_a_key_that_is_not_ours_is_ignored_but_passes_the_gate() -> None:
    given = {"patient": patient(), "conditions": None, "extra": bundle(condition("x"))}
    assert read(completed(given)).conditions.received == 0
    assert read(completed({**given, "extra": b"nonsense"})).quarantined == ()
    assert read(completed({**given, "extra": None})).quarantined == ()
    with pytest.raises(OtherPatient):
        read(completed({**given, "extra": condition(subject={"reference": "Patient/pat-2"})}))


def test_draft_orders_pass_the_gate_and_must_be_readable() -> None:
    given = {"patient": patient(), "conditions": None}
    assert len(read(completed(given, draft_orders=data(bundle(request())))).orders) == 1
    with pytest.raises(OtherPatient):
        read(completed(given, draft_orders=data(bundle(request(subject={"reference": "Patient/pat-2"})))))
    for broken in (b"nonsense", data(outcome("error"))):
        with pytest.raises(UnreadableFhir) as caught:
            completed(given, draft_orders=broken)
        assert caught.value.expression == "context.draftOrders"


# ------------------------------------------------------------ types that a server does not offer

MEDICATIONS = {"patient": PATIENT_KEY, "medicationRequests": REQUESTS, "medicationStatements": STATEMENTS}
ASKED = {"Patient/pat-1": patient(), "MedicationRequest?patient=pat-1&_count=200": bundle(request())}
STATEMENT_QUERY = "MedicationStatement?patient=pat-1&_count=200"


def test_a_kind_of_medication_that_the_server_does_not_offer_is_no_gap_beside_another() -> None:
    done = completed({}, Server(ASKED), templates=MEDICATIONS)
    key = done.keys["medicationStatements"]
    assert (key.source, key.cause, causes(key)) == ("unobtainable", "not offered", ["not offered"])
    assert (read(done).medications.gaps, read(done).medications.received) == ((), 1)


def test_a_given_kind_of_medication_stands_for_the_one_not_offered() -> None:
    done = completed(
        {"medicationRequests": bundle(request())}, Server({"Patient/pat-1": patient()}), templates=MEDICATIONS
    )
    assert done.keys["medicationStatements"].cause == "not offered"
    assert read(done).medications.gaps == ()


def test_medications_of_which_no_kind_was_read_are_a_gap_whatever_the_server_offers() -> None:
    done = completed({}, Server({"Patient/pat-1": patient()}), templates=MEDICATIONS)
    assert [(gap.key, gap.cause) for gap in read(done).medications.gaps] == [
        ("medicationRequests", "not offered"),
        ("medicationStatements", "not offered"),
    ]


@pytest.mark.parametrize("failure", [Failure("refused"), Failure("server error"), Failure("timeout"), b"nonsense"])
def test_any_other_failure_of_one_kind_of_medication_is_a_gap(failure: Any) -> None:
    done = completed({}, Server({**ASKED, STATEMENT_QUERY: failure}), templates=MEDICATIONS)
    assert [gap.key for gap in read(done).medications.gaps] == ["medicationStatements"]


def test_a_server_that_answers_nothing_was_not_reached() -> None:
    done = completed({"patient": patient(), "medicationRequests": bundle()}, Server(), templates=MEDICATIONS)
    assert done.keys["medicationStatements"].cause == "unreachable"
    assert [gap.cause for gap in read(done).medications.gaps] == ["unreachable"]


def test_a_patient_who_is_not_found_is_not_a_type_that_is_not_offered() -> None:
    server = Server({"Condition?patient=pat-1&_count=200": bundle()})
    assert completed({}, server).keys["patient"].cause == "unreachable"


def test_a_type_that_the_server_does_not_offer_is_a_gap_where_nothing_stands_for_it() -> None:
    done = completed({}, Server({"Patient/pat-1": patient()}))
    assert [gap.cause for gap in read(done).conditions.gaps] == ["not offered"]


def test_a_required_type_that_is_not_offered_is_missing() -> None:
    with pytest.raises(RequiredDataMissing) as caught:
        completed({}, Server({"Patient/pat-1": patient()}), required=frozenset({"conditions"}))
    assert caught.value.missing == (("conditions", "not-offered"),)


SCREENS = {
    "patient": PATIENT_KEY,
    "depressionScreens": "Observation?patient={{context.patientId}}&code=44261-6",
    "bloodPressure": "Observation?patient={{context.patientId}}&code=8480-6",
    "questionnaireResponses": "QuestionnaireResponse?patient={{context.patientId}}&_count=200",
}


def test_questionnaires_that_are_not_offered_are_no_gap_beside_observations_but_not_the_other_way_round() -> None:
    patient_read = {"Patient/pat-1": patient()}
    responses = {"QuestionnaireResponse?patient=pat-1&_count=200": bundle()}
    observations = {f"Observation?patient=pat-1&code={code}": bundle() for code in ("44261-6", "8480-6")}
    first = read(completed({}, Server(patient_read | observations), templates=SCREENS)).observations
    second = read(completed({}, Server(patient_read | responses), templates=SCREENS)).observations
    assert first.gaps == ()
    assert [(gap.key, gap.cause) for gap in second.gaps] == [
        ("bloodPressure", "not offered"),
        ("depressionScreens", "not offered"),
    ]


def test_questionnaires_that_failed_are_a_gap_of_the_observations() -> None:
    given = {"patient": patient(), "depressionScreens": bundle(), "bloodPressure": bundle()}
    found = read(completed(given, templates=SCREENS)).observations
    assert [(gap.key, gap.cause) for gap in found.gaps] == [("questionnaireResponses", "not sent")]


def test_a_type_that_answers_under_another_key_is_offered() -> None:
    server = Server({"Patient/pat-1": patient(), "Observation?patient=pat-1&code=44261-6": bundle()})
    found = read(completed({}, server, templates=SCREENS)).observations
    assert [(gap.key, gap.cause) for gap in found.gaps] == [("bloodPressure", "unreachable")]


# ------------------------------------------------------------ medications referred to

MEDICATION_TEMPLATES = {"patient": PATIENT_KEY, "medicationRequests": REQUESTS}


def medications(server: Server | None, *requests: Json, **more: Any) -> Completed:
    given = {"patient": patient(), "medicationRequests": bundle(*requests)}
    return completed(given, server, templates=MEDICATION_TEMPLATES, **more)


def refer(reference: str, id_: str = "m1", **more: Any) -> Json:
    return request(id_, medicationReference={"reference": reference}, **more)


def test_a_medication_referred_to_is_read_once() -> None:
    server = Server({"Medication/med1": medication()})
    done = medications(server, refer("Medication/med1"), refer("Medication/med1/_history/2", "m2"))
    assert [[code.code for code in one.codes] for one in read(done).medications.items] == [["312941"], ["312941"]]
    assert server.calls == [("medications", "Medication/med1")]


def test_medications_are_read_beside_other_keys_that_had_to_be_fetched() -> None:
    listed = "MedicationRequest?patient=pat-1&_count=200"
    server = Server({**FETCHED, listed: bundle(refer("Medication/med1")), "Medication/med1": medication()})
    done = completed({}, server, templates=MEDICATION_TEMPLATES)
    assert [code.code for code in read(done).medications.items[0].codes] == ["312941"]


def test_medications_at_hand_coded_or_elsewhere_are_not_read() -> None:
    server = Server()
    medications(
        server,
        refer("Medication/med1"),
        medication(),
        refer("#in", "m2", contained=[medication("in")]),
        refer("Medication/gone", "m3", medicationCodeableConcept=drug()),
        refer("https://other.example.org/fhir/Medication/x", "m4"),
        refer("urn:uuid:gone", "m5"),
        base_url="https://ehr.example.org/fhir",
    )
    assert server.calls == []


def test_a_medication_under_the_servers_own_address_is_read() -> None:
    server = Server({"Medication/med1": medication()})
    referring = refer("https://ehr.example.org/fhir/Medication/med1")
    medications(server, referring, base_url="https://ehr.example.org/fhir")
    assert server.calls == [("medications", "Medication/med1")]


def test_the_medication_of_a_draft_order_is_read() -> None:
    server = Server({"Medication/med1": medication()})
    done = medications(server, draft_orders=data(bundle(refer("Medication/med1"))))
    assert [[code.code for code in one.codes] for one in read(done).orders] == [["312941"]]


@pytest.mark.parametrize("answer", [Failure("not found"), b"nonsense", patient(), outcome("error")])
def test_a_medication_that_cannot_be_read_leaves_its_use_without_codes(answer: Any) -> None:
    done = medications(Server({"Medication/med1": answer}), refer("Medication/med1"))
    found = read(done).medications
    assert found.items[0].codes == ()
    assert found.gaps == ()


# ------------------------------------------------------------ every path


def test_the_same_chart_given_fetched_or_paged_gives_equal_facts() -> None:
    templates = {**TEMPLATES, "bloodPressure": "Observation?patient={{context.patientId}}"}
    readings = [observation(f"o{index}", valueQuantity=quantity(120 + index)) for index in range(4)]
    given = {"patient": patient(), "conditions": bundle(condition()), "bloodPressure": bundle(*readings)}
    paged = {**given, "bloodPressure": bundle(*readings[:2], link=NEXT, total=4)}
    server = Server(
        {
            **FETCHED,
            "Observation?patient=pat-1": bundle(*reversed(readings)),
            NEXT[0]["url"]: bundle(*readings[2:]),
        }
    )
    whole = encode_facts(read(completed(given, templates=templates)))
    assert encode_facts(read(completed({}, server, templates=templates))) == whole
    assert encode_facts(read(completed(paged, server, templates=templates))) == whole
