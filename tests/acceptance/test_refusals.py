"""What the service refuses, with the key and the cause; and what it does when the EHR's server does not answer."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.checker import check_response
from tests.acceptance.world import (
    CANDIDACY,
    HOOKS,
    SELECT,
    SIGN,
    Service,
    draft,
    listening,
    request,
    started,
)

DEPRESSED = "two-adequate-trials-and-still-depressed"
OTHER = "nothing-relevant-at-all"
MEDICATIONS = ("medicationRequests", "medicationStatements", "medicationDispenses")
# The service's own limit of 2 s, and what a busy machine needs to carry the answer.
ANSWERED_WITHIN = 3.0

Body = dict[str, Any]


@pytest.fixture(scope="module")
def prefetch(service: Service) -> Body:
    return service.complete_prefetch(CANDIDACY, DEPRESSED)


def issues(response: httpx.Response, status: int) -> list[dict[str, Any]]:
    assert response.status_code == status, response.text
    assert check_response(response) == []
    return list(response.json()["issue"])


def without(prefetch: Body, *keys: str) -> Body:
    return {key: value for key, value in prefetch.items() if key not in keys}


def error(code: str = "forbidden") -> Body:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


# --- Required data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["patient", "conditions"])
def test_a_required_key_that_was_not_sent_is_412_and_named_with_the_cause(
    service: Service, prefetch: Body, key: str
) -> None:
    body = request(CANDIDACY, DEPRESSED, prefetch=without(prefetch, key))
    (issue,) = issues(service.call(CANDIDACY, body, sound=False), 412)
    assert issue["diagnostics"] == f"{key}: not-sent"
    assert issue["expression"] == [f"prefetch.{key}"]


@pytest.mark.parametrize("key", ["patient", "conditions"])
def test_a_required_key_that_the_client_failed_to_read_is_412_and_named_with_the_cause(
    service: Service, prefetch: Body, key: str
) -> None:
    body = request(CANDIDACY, DEPRESSED, prefetch={**prefetch, key: error()})
    (issue,) = issues(service.call(CANDIDACY, body, sound=False), 412)
    assert issue["diagnostics"] == f"{key}: client-error"


def test_nothing_sent_names_every_required_key(service: Service) -> None:
    named = [
        issue["diagnostics"] for issue in issues(service.call(CANDIDACY, request(CANDIDACY, OTHER), sound=False), 412)
    ]
    assert named[:2] == ["patient: not-sent", "conditions: not-sent"]


@pytest.mark.parametrize("kept", MEDICATIONS)
def test_one_kind_of_medication_suffices(service: Service, prefetch: Body, kept: str) -> None:
    dropped = [key for key in MEDICATIONS if key != kept]
    body = request(CANDIDACY, DEPRESSED, prefetch=without(prefetch, *dropped))
    service.call(CANDIDACY, body)


def test_without_any_kind_of_medication_the_answer_is_412_and_names_them_all(service: Service, prefetch: Body) -> None:
    body = request(CANDIDACY, DEPRESSED, prefetch=without(prefetch, *MEDICATIONS))
    named = [issue["diagnostics"] for issue in issues(service.call(CANDIDACY, body, sound=False), 412)]
    assert named == [f"{key}: not-sent" for key in MEDICATIONS]


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_service_needs_the_patient_alone(service: Service, prefetch: Body, name: str) -> None:
    orders = [draft("ketamine-iv", DEPRESSED)]
    alone = request(name, DEPRESSED, orders=orders, prefetch={"patient": prefetch["patient"]})
    gaps = service.cards(name, alone)[-1]
    assert gaps["source"]["topic"]["code"] == "datagaps"
    assert "no conditions received" in gaps["detail"] or "not sent" in gaps["detail"]
    nobody = request(name, DEPRESSED, orders=orders, prefetch=without(prefetch, "patient"))
    (issue,) = issues(service.call(name, nobody, sound=False), 412)
    assert issue["diagnostics"] == "patient: not-sent"


def test_a_list_that_came_empty_is_an_answer_and_no_412(service: Service, prefetch: Body) -> None:
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    body = request(CANDIDACY, DEPRESSED, prefetch={**prefetch, "conditions": empty})
    service.call(CANDIDACY, body)


def test_an_optional_key_that_failed_is_a_stated_gap(service: Service, prefetch: Body) -> None:
    body = request(CANDIDACY, DEPRESSED, prefetch={**prefetch, "bloodPressure": error()})
    gaps = service.cards(CANDIDACY, body)[-1]
    assert (
        "- Blood pressure: Whether the last systolic value is in the crisis range (bloodPressure: client error; "
        in gaps["detail"]
    )
    assert "**Not received, or not completely**\n\n- bloodPressure: client error" in gaps["detail"]


# --- Another patient --------------------------------------------------------------------------------------------------


def foreign(kind: str) -> Body:
    return {"resourceType": kind, "id": "x", "status": "active", "subject": {"reference": f"Patient/{OTHER}"}}


def bundle(*resources: Body) -> Body:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def other_patient(body: Body) -> None:
    body["prefetch"]["patient"] = {"resourceType": "Patient", "id": OTHER}


def other_condition(body: Body) -> None:
    body["prefetch"]["conditions"]["entry"].append({"resource": foreign("Condition")})


def other_medication(body: Body) -> None:
    body["prefetch"]["medicationRequests"] = bundle(foreign("MedicationRequest"))


def other_observation_by_url(body: Body) -> None:
    one = {**foreign("Observation"), "subject": {"reference": f"https://other.example/fhir/Patient/{OTHER}"}}
    body["prefetch"]["bloodPressure"] = bundle(one)


def other_in_a_key_of_the_clients_own(body: Body) -> None:
    body["prefetch"]["ehrOwnKey"] = bundle(foreign("Procedure"))


def other_contained(body: Body) -> None:
    entry = body["prefetch"]["conditions"]["entry"][0]["resource"]
    entry["contained"] = [foreign("Observation")]


def other_unreadable(body: Body) -> None:
    body["prefetch"]["conditions"]["entry"].append({"resource": {**foreign("Condition"), "code": "broken"}})


def other_authorization(body: Body) -> None:
    body["fhirServer"] = "https://ehr.example.org/fhir"
    body["fhirAuthorization"] = {
        "access_token": "t",
        "token_type": "Bearer",
        "expires_in": 1,
        "scope": "patient/*.read",
        "subject": "x",
        "patient": OTHER,
    }


def other_draft_order(body: Body) -> None:
    body["context"]["draftOrders"]["entry"].append({"resource": foreign("MedicationRequest")})


@pytest.mark.parametrize(
    ("put", "place"),
    [
        (other_patient, "prefetch.patient.entry[0].id"),
        (other_condition, "prefetch.conditions.entry[1].subject"),
        (other_medication, "prefetch.medicationRequests.entry[0].subject"),
        (other_observation_by_url, "prefetch.bloodPressure.entry[0].subject"),
        (other_in_a_key_of_the_clients_own, "prefetch.entry[0].subject"),
        (other_contained, "prefetch.conditions.entry[0].contained.subject"),
        (other_unreadable, "prefetch.conditions.entry[1].subject"),
        (other_authorization, "fhirAuthorization.patient"),
        (other_draft_order, "context.draftOrders.entry[1].subject"),
    ],
)
def test_data_of_another_patient_anywhere_is_400_with_the_place(
    service: Service, prefetch: Body, put: Callable[[Body], None], place: str
) -> None:
    for name in HOOKS if put is not other_draft_order else (SELECT, SIGN):
        orders = [] if name == CANDIDACY else [draft("ketamine-iv", DEPRESSED)]
        body = json.loads(json.dumps(request(name, DEPRESSED, orders=orders, prefetch=prefetch)))
        put(body)
        (issue,) = issues(service.call(name, body, sound=False), 400)
        assert issue["code"] == "conflict"
        assert issue["expression"] == [place]
        assert OTHER not in json.dumps(issue)


def test_an_order_for_another_patient_is_refused_even_when_its_drug_is_none_of_ours(service: Service) -> None:
    sertraline = {"text": "sertraline 50 mg"}
    orders = [draft("ketamine-iv", OTHER, medicationCodeableConcept=sertraline)]
    issues(service.call(SIGN, request(SIGN, DEPRESSED, orders=orders), sound=False), 400)


# --- A server that does not answer ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def black_hole() -> Iterator[str]:
    with listening() as canary:
        yield canary.base


@pytest.fixture(scope="module")
def hurried(black_hole: str) -> Iterator[Service]:
    """A service with the limits it is delivered with."""
    with started(black_hole) as service:
        yield service


@pytest.mark.parametrize("where", ["refuses the connection", "never answers"])
def test_a_server_that_does_not_answer_is_412_within_the_deadline(
    hurried: Service, black_hole: str, where: str
) -> None:
    server = black_hole if where == "never answers" else hurried.unreachable
    began = time.monotonic()
    response = hurried.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=server), sound=False)
    assert time.monotonic() - began < ANSWERED_WITHIN
    named = [issue["diagnostics"] for issue in issues(response, 412)]
    # On a busy machine a refused connection may be told late.
    causes = ("timeout",) if where == "never answers" else ("unreachable", "timeout")
    assert {issue.partition(": ")[0] for issue in named} == {"patient", "conditions"}
    assert {issue.partition(": ")[2] for issue in named} <= set(causes)


@pytest.mark.parametrize("where", ["refuses the connection", "never answers"])
def test_with_the_required_data_sent_the_cards_say_what_could_not_be_fetched(
    hurried: Service, prefetch: Body, black_hole: str, where: str
) -> None:
    server = black_hole if where == "never answers" else hurried.unreachable
    sent = {key: prefetch[key] for key in ("patient", "conditions", "medicationStatements")}
    began = time.monotonic()
    cards = hurried.cards(CANDIDACY, request(CANDIDACY, DEPRESSED, prefetch=sent, server=server))
    assert time.monotonic() - began < ANSWERED_WITHIN
    assert cards[-1]["source"]["topic"]["code"] == "datagaps"
    assert "timeout" in cards[-1]["detail"] or "unreachable" in cards[-1]["detail"]


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_of_ketamine_with_a_server_that_never_answers_is_answered_within_the_deadline(
    hurried: Service, prefetch: Body, black_hole: str, name: str
) -> None:
    orders = [draft("ketamine-iv", DEPRESSED)]
    began = time.monotonic()
    body = request(name, DEPRESSED, orders=orders, prefetch={"patient": prefetch["patient"]}, server=black_hole)
    cards = hurried.cards(name, body)
    assert time.monotonic() - began < ANSWERED_WITHIN
    assert cards[-1]["source"]["topic"]["code"] == "datagaps"


def test_after_all_that_the_next_request_is_answered(hurried: Service, prefetch: Body) -> None:
    assert hurried.cards(CANDIDACY, request(CANDIDACY, DEPRESSED, prefetch=prefetch))
