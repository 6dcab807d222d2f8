"""Reading a CDS Hooks request: what is accepted, and that every fault names its place and repeats nothing."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.errors import CdsError, MalformedRequest, OtherPatient
from cds_service.hooks.messages import HookRequest, parse_request
from tests.unit.http.support import request_body

ORDERS: dict[str, Any] = {
    "userId": "PractitionerRole/1",
    "patientId": "p1",
    "draftOrders": {"resourceType": "Bundle", "entry": []},
}
SENTINEL = "sentinel-7f3a"


def parsed(hook: str = "patient-view", **changes: Any) -> HookRequest:
    return parse_request(json.dumps(request_body(hook=hook, **changes)).encode(), service_hook=hook)


def refused(body: bytes | dict[str, Any], hook: str = "patient-view") -> CdsError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(CdsError) as caught:
        parse_request(content, service_hook=hook)
    assert caught.value.status == 400
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def place(error: CdsError) -> tuple[str, str | None]:
    return error.issue, error.expression


# --- What is accepted -------------------------------------------------------------------------------------------------


def test_a_whole_request_is_read() -> None:
    request = parsed()
    assert (request.hook, request.patient_id, request.user_id) == ("patient-view", "p1", "Practitioner/1")
    assert request.hook_instance == "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    assert request.fhir_server == "https://ehr.example/fhir"
    assert request.authorization is not None
    assert request.authorization.token == "token"
    assert request.authorization.scope == "patient/*.read user/[x]"
    assert request.encounter_id is None
    assert request.draft_orders is None
    assert request.selections == ()


def test_neither_prefetch_nor_server_is_needed() -> None:
    request = parsed(prefetch=None, fhirServer=None, fhirAuthorization=None)
    assert (request.prefetch, request.fhir_server, request.authorization) == ({}, None, None)


def test_prefetch_values_stay_the_bytes_they_were() -> None:
    body = b'{"prefetch": {"a": {"x" : 1.10}, "b": null}, ' + json.dumps(request_body(prefetch=None)).encode()[1:]
    prefetch = parse_request(body, service_hook="patient-view").prefetch
    assert {key: raw and bytes(raw) for key, raw in prefetch.items()} == {"a": b'{"x" : 1.10}', "b": None}


def test_the_hook_instance_may_be_in_upper_case_and_is_kept_in_lower_case() -> None:
    assert parsed(hookInstance="D1577C69-DFBE-44AD-BA6D-3E05E953B2EA").hook_instance.startswith("d1577c69")


def test_a_null_of_an_optional_member_counts_as_absent() -> None:
    body = {**request_body(), "fhirServer": None, "fhirAuthorization": None, "prefetch": None}
    body["context"] = {**body["context"], "encounterId": None}
    request = parse_request(json.dumps(body).encode(), service_hook="patient-view")
    assert (request.fhir_server, request.authorization, request.prefetch) == (None, None, {})


@pytest.mark.parametrize("user", ["Practitioner/1", "PractitionerRole/1", "Patient/p1", "RelatedPerson/r.1-A_b"])
def test_patient_view_allows_these_users(user: str) -> None:
    assert parsed(context={"userId": user, "patientId": "p1", "encounterId": "e1"}).user_id == user


def test_order_hooks_carry_their_draft_orders_as_bytes() -> None:
    request = parsed("order-sign", context=ORDERS)
    assert request.draft_orders is not None
    assert json.loads(bytes(request.draft_orders)) == ORDERS["draftOrders"]
    assert parsed("order-select", context={**ORDERS, "selections": ["MedicationRequest/1"]}).selections == (
        "MedicationRequest/1",
    )


def test_unknown_members_and_extensions_are_ignored_at_every_level() -> None:
    odd = {"extension": {"com.example": {"a": [1, None]}}, "unknown": [[]], "": ""}
    body = {**odd, **request_body()}
    body["context"] = {**odd, **body["context"]}
    body["fhirAuthorization"] = {**odd, **body["fhirAuthorization"], "patient": "p1"}
    assert parse_request(json.dumps(body, indent=1).encode(), service_hook="patient-view").patient_id == "p1"


@pytest.mark.parametrize("patient", ["p1", "Patient/p1"])
def test_the_token_may_name_the_same_patient(patient: str) -> None:
    request = parsed(fhirAuthorization={**request_body()["fhirAuthorization"], "patient": patient})
    assert request.authorization is not None
    assert request.authorization.patient == patient


def test_the_repr_shows_neither_token_nor_patient() -> None:
    request = parsed(context={"userId": "Practitioner/1", "patientId": SENTINEL}, prefetch=None)
    shown = f"{request!r} {request} {request.authorization!r} {request.authorization}"
    assert SENTINEL not in shown
    assert "token" not in shown


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hook", "hookInstance", "context"])
@pytest.mark.parametrize("value", [None, 1, True, [], "", ["x"]])
def test_a_required_member_that_is_missing_or_of_a_wrong_type(name: str, value: object) -> None:
    body = request_body(prefetch=None)
    body[name] = value
    assert place(refused(body)) == ("required" if value is None else "value", name)
    del body[name]
    assert place(refused(body)) == ("required", name)


@pytest.mark.parametrize("value", ["abc", "urn:uuid:d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "{}", "d1577c69" * 4])
def test_a_hook_instance_that_is_no_uuid(value: str) -> None:
    assert place(refused(request_body(hookInstance=value))) == ("value", "hookInstance")


def test_a_hook_that_the_service_does_not_serve() -> None:
    assert place(refused(request_body(hook="order-sign"))) == ("value", "hook")


@pytest.mark.parametrize("value", [1, "", [], {}])
def test_a_wrong_fhir_server(value: object) -> None:
    assert place(refused(request_body(fhirServer=value))) == ("value", "fhirServer")


def test_an_authorization_without_a_server() -> None:
    assert place(refused(request_body(fhirServer=None))) == ("required", "fhirServer")


@pytest.mark.parametrize("name", ["access_token", "token_type", "expires_in", "scope", "subject"])
def test_each_member_of_the_authorization_is_required(name: str) -> None:
    given = {key: value for key, value in request_body()["fhirAuthorization"].items() if key != name}
    assert place(refused(request_body(fhirAuthorization=given))) == ("required", f"fhirAuthorization.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access_token", 1),
        ("access_token", ""),
        ("access_token", "a\r\nHost: x"),
        ("access_token", "a b"),
        ("token_type", "MAC"),
        ("token_type", "bearer"),
        ("expires_in", "300"),
        ("expires_in", 1.5),
        ("expires_in", True),
        ("expires_in", -1),
        ("scope", 1),
        ("scope", ["a"]),
        ("subject", ""),
        ("patient", 1),
    ],
)
def test_each_member_of_the_authorization_has_its_type(name: str, value: object) -> None:
    given = {**request_body()["fhirAuthorization"], name: value}
    assert place(refused(request_body(fhirAuthorization=given))) == ("value", f"fhirAuthorization.{name}")


@pytest.mark.parametrize("value", [1, "x", [], True])
@pytest.mark.parametrize("name", ["fhirAuthorization", "prefetch"])
def test_an_object_member_that_is_none(name: str, value: object) -> None:
    assert place(refused(request_body(**{name: value}))) == ("value", name)


@pytest.mark.parametrize("value", [1, "x", [], True, ""])
def test_a_prefetch_value_is_a_resource_or_null_and_its_key_is_not_repeated(value: object) -> None:
    error = refused(request_body(prefetch={SENTINEL: value}))
    assert place(error) == ("value", "prefetch")
    assert SENTINEL not in str(error)


@pytest.mark.parametrize("name", ["userId", "patientId"])
def test_context_members_are_required(name: str) -> None:
    context = {key: value for key, value in request_body()["context"].items() if key != name}
    assert place(refused(request_body(context=context))) == ("required", f"context.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("userId", "123"),
        ("userId", "Practitioner/"),
        ("userId", "Organization/1"),
        ("userId", "https://ehr.example/Practitioner/1"),
        ("userId", 1),
        ("patientId", ""),
        ("patientId", 1),
        ("patientId", "Patient/p1"),
        ("patientId", ".."),
        ("patientId", "p1?x=1"),
        ("patientId", "p1\n"),
        ("patientId", "p" * 129),
        ("encounterId", "e 1"),
        ("encounterId", 1),
    ],
)
def test_context_members_have_their_type(name: str, value: object) -> None:
    context = {**request_body()["context"], name: value}
    assert place(refused(request_body(context=context))) == ("value", f"context.{name}")


@pytest.mark.parametrize("user", ["Patient/p1", "RelatedPerson/1"])
def test_orders_are_written_by_practitioners(user: str) -> None:
    body = request_body(hook="order-sign", context={**ORDERS, "userId": user})
    assert place(refused(body, "order-sign")) == ("value", "context.userId")


@pytest.mark.parametrize("value", [1, "x", [], True])
def test_draft_orders_are_an_object(value: object) -> None:
    body = request_body(hook="order-sign", context={**ORDERS, "draftOrders": value})
    assert place(refused(body, "order-sign")) == ("value", "context.draftOrders")


@pytest.mark.parametrize("hook", ["order-sign", "order-select"])
def test_draft_orders_are_required(hook: str) -> None:
    for value in ({}, {"draftOrders": None}):
        context = {"userId": "Practitioner/1", "patientId": "p1", "selections": ["X/1"], **value}
        assert place(refused(request_body(hook=hook, context=context), hook)) == ("required", "context.draftOrders")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, ("required", "context.selections")),
        ("X/1", ("value", "context.selections")),
        (["X/1", 2], ("value", "context.selections[1]")),
        ([""], ("value", "context.selections[0]")),
    ],
)
def test_order_select_needs_selections(value: object, fault: tuple[str, str]) -> None:
    body = request_body(hook="order-select", context={**ORDERS, "selections": value})
    assert place(refused(body, "order-select")) == fault


def test_a_token_for_another_patient_is_a_conflict() -> None:
    given = {**request_body()["fhirAuthorization"], "patient": SENTINEL}
    error = refused(request_body(fhirAuthorization=given))
    assert isinstance(error, OtherPatient)
    assert place(error) == ("conflict", "fhirAuthorization.patient")
    assert SENTINEL not in str(error)


VALID = json.dumps(request_body()).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"<xml/>",
        VALID + b"}",
        VALID[:-1],
        VALID[:-1] + b",}",
        b"\xef\xbb\xbf" + VALID,
        VALID.decode().encode("utf-16"),
        VALID.replace(b"300", b"NaN"),
        VALID.replace(b"300", b"Infinity"),
        VALID.replace(b"300", b"030"),
        VALID.replace(b'"Patient"', b'"Pati\xffent"'),
        VALID.replace(b'"Patient"', b'"\\ud800"'),
        VALID.replace(b'"Patient"', b'"a\nb"'),
        VALID.replace(b'"Patient"', b"[" * 100_000 + b"]" * 100_000),
        VALID.replace(b'"Patient"', b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_json_that_cannot_be_read(body: bytes) -> None:
    assert refused(body).issue == "structure"


@pytest.mark.parametrize(
    ("text", "fault_place"),
    [
        (b'{"hook": "order-sign", ' + VALID[1:], None),
        (VALID[:-1] + b', "hook": "patient-view"}', None),
        (VALID[:-1] + b', "h\\u006fok": "patient-view"}', None),
        (VALID[:-1] + b', "prefetch": {}}', "prefetch"),
        (b'{"prefetch": {}, ' + VALID[1:], None),
        (b'{"prefetch": null, ' + VALID[1:], None),
        (VALID[:-1] + b', "prefetch": null}', None),
        (VALID[:-1] + b', "x": 1, "x": 2}', None),
        (b'{"x": {"x": "}"}, "x": [], ' + VALID[1:], None),
        (VALID.replace(b'"patientId"', b'"patientId": "p2", "patientId"'), "context"),
        (VALID.replace(b'"patientId"', b'"patientId": "p1", "patientId"'), "context"),
        (VALID.replace(b'"subject"', b'"subject": "x", "subject"'), "fhirAuthorization"),
        (VALID.replace(b'"prefetch": {', b'"prefetch": {"patient": null, '), "prefetch"),
        (VALID.replace(b'"context"', b'"context": {"a": 1}, "context"'), "context"),
        (VALID.replace(b'"context"', b'"context": {}, "context"'), None),
    ],
)
def test_a_repeated_member_is_refused_because_readers_differ_on_which_counts(
    text: bytes, fault_place: str | None
) -> None:
    assert place(refused(text)) == ("structure", fault_place)


def test_an_unreadable_small_value_names_its_place() -> None:
    body = VALID.replace(b'"d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"', b"9" * 5000)
    assert place(refused(body)) == ("value", "hookInstance")


# --- Properties -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    *((name,) for name in request_body()),
    *(("context", name) for name in (*ORDERS, "selections", "encounterId")),
    *(("fhirAuthorization", name) for name in (*request_body()["fhirAuthorization"], "patient")),
    ("prefetch", "patient"),
]


@given(st.binary())
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(body, service_hook="patient-view")


@given(JSON)
def test_no_json_value_does_more_than_be_refused(value: object) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(json.dumps(value).encode(), service_hook="patient-view")


@settings(max_examples=300)
@given(st.sampled_from(PATHS), JSON, st.sampled_from([None, 2]))
def test_a_request_with_any_member_replaced_is_read_or_refused(
    path: tuple[str, ...], value: object, indent: int | None
) -> None:
    body = json.loads(json.dumps(request_body(hook="order-select", context={**ORDERS, "selections": []})))
    target = body if len(path) == 1 else body[path[0]]
    target[path[-1]] = value
    try:
        request = parse_request(json.dumps(body, indent=indent).encode(), service_hook="order-select")
    except (MalformedRequest, OtherPatient):
        return
    assert isinstance(request, HookRequest)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.sampled_from([None, 1]))
def test_members_are_found_whatever_they_hold(extra: dict[str, Any], indent: int | None) -> None:
    # json.dumps writes NaN where JSON has none.
    text = json.dumps({**extra, **request_body()}, indent=indent)
    body = text.replace("-Infinity", "0").replace("Infinity", "0").replace("NaN", "0").encode()
    assert parse_request(body, service_hook="patient-view").patient_id == "p1"
