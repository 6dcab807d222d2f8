"""The HTTP interface around a fake advisor: every status, headers, bodies, and that nothing of a request leaks."""

import asyncio
import datetime as dt
import logging
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response

from cds_service.app import Readiness
from cds_service.errors import CdsError, JournalUnavailable, OtherPatient, RequiredDataMissing, UnsupportedFhirVersion
from cds_service.hooks.messages import HookRequest
from cds_service.settings import Settings
from tests.unit.http.support import NOW, SERVICES, application, call, check_outcome, pieces, request_body, send

SENTINEL = "sentinel-7f3a"


def raising(error: Exception) -> Any:
    async def advisor(request: HookRequest, service_id: str, as_of: dt.datetime) -> bytes:
        raise error

    return advisor


# --- Discovery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/"])
def test_discovery_answers_with_and_without_a_trailing_slash(path: str) -> None:
    response = send(application(), "GET", path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert [service["id"] for service in response.json()["services"]] == [service.id for service in SERVICES]
    assert send(application(), "HEAD", path).headers["etag"] == response.headers["etag"]


def test_discovery_is_cacheable() -> None:
    first = send(application(), "GET", "/cds-services")
    assert "max-age" in first.headers["cache-control"]
    tag = first.headers["etag"]
    for asked in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = send(application(), "GET", "/cds-services", headers={"if-none-match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert send(application(), "GET", "/cds-services", headers={"if-none-match": '"x"'}).status_code == 200


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/cds-services", "GET, HEAD, OPTIONS"),
        ("/cds-services/", "GET, HEAD, OPTIONS"),
        ("/cds-services/ketamine-candidacy", "OPTIONS, POST"),
    ],
)
def test_options_tells_the_methods(path: str, allow: str) -> None:
    response = send(application(), "OPTIONS", path)
    assert (response.status_code, response.headers["allow"]) == (204, allow)


# --- A call that succeeds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/fhir+json",
    ],
)
def test_a_call_reaches_the_advisor_and_its_bytes_are_the_answer(content_type: str) -> None:
    seen: list[tuple[str, str, dt.datetime]] = []

    async def advisor(request: HookRequest, service_id: str, as_of: dt.datetime) -> bytes:
        seen.append((request.patient_id, service_id, as_of))
        return b'{"cards":[]}'

    response = call(application(advisor), **{"content-type": content_type})
    assert (response.status_code, response.content) == (200, b'{"cards":[]}')
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-correlation-id"] == "correlation-1"
    assert seen == [("p1", "ketamine-candidacy", NOW)]


def test_a_call_is_not_cached_across_services() -> None:
    body = request_body(
        hook="order-sign",
        context={"userId": "Practitioner/1", "patientId": "p1", "draftOrders": {"resourceType": "Bundle"}},
    )
    assert call(application(), body, "ketamine-order-sign").status_code == 200
    check_outcome(call(application(), body), 400, "value")


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nothing", "/rules/pregnancy/9.9.9", "/rules/none/1.0.0", "/sandbox/fhir/X"])
def test_nothing_at_the_path_is_404(path: str) -> None:
    check_outcome(send(application(), "GET", path), 404, "not-found")


def test_an_unknown_service_is_404() -> None:
    (issue,) = check_outcome(call(application(), service=SENTINEL), 404, "not-found")
    assert "GET /cds-services" in issue["details"]["text"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/cds-services/ketamine-candidacy", "OPTIONS, POST"),
        ("PUT", "/cds-services/ketamine-candidacy", "OPTIONS, POST"),
        ("POST", "/cds-services", "GET, HEAD, OPTIONS"),
        ("POST", "/cds-services/", "GET, HEAD, OPTIONS"),
        ("DELETE", "/health/live", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_tells_the_right_one(method: str, path: str, allowed: str) -> None:
    response = send(application(), method, path)
    check_outcome(response, 405, "not-supported")
    assert allowed == response.headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/xml"},
        {"content-type": ""},
        {"content-type": "application/json; charset=latin-1"},
        {"content-encoding": "gzip"},
    ],
)
def test_another_media_type_or_encoding_is_415(headers: dict[str, str]) -> None:
    check_outcome(call(application(), **headers), 415, "not-supported")


def test_a_body_above_the_limit_is_413_however_it_is_announced() -> None:
    app = application(settings=Settings(body_bytes=1024))
    check_outcome(call(app, b" " * 1025), 413, "too-long")
    streamed = send(
        app,
        "POST",
        "/cds-services/ketamine-candidacy",
        content=pieces(b" " * 1000, b" " * 25),
        headers={"content-type": "application/json"},
    )
    check_outcome(streamed, 413, "too-long")
    check_outcome(call(app, b" " * 1024), 400, "structure")


def test_a_malformed_request_is_400_with_its_place() -> None:
    (issue,) = check_outcome(call(application(), request_body(context={"userId": "Practitioner/1"})), 400, "required")
    assert issue["expression"] == ["context.patientId"]


@pytest.mark.parametrize(
    ("error", "status", "issue"),
    [
        (OtherPatient("prefetch.conditions"), 400, "conflict"),
        (RequiredDataMissing([("patient", "not sent"), ("conditions", "timeout")]), 412, "processing"),
        (UnsupportedFhirVersion(), 422, "not-supported"),
        (JournalUnavailable(), 503, "no-store"),
        (RuntimeError(SENTINEL), 500, "exception"),
        (TimeoutError(SENTINEL), 500, "exception"),
        (ExceptionGroup(SENTINEL, [ValueError(SENTINEL)]), 500, "exception"),
    ],
)
def test_what_the_advisor_raises_is_never_an_empty_card_list(error: Exception, status: int, issue: str) -> None:
    response = call(application(raising(error)))
    issues = check_outcome(response, status, issue)
    assert ("retry-after" in response.headers) == (status == 503)
    if isinstance(error, CdsError):
        assert len(issues) == len(error.issues())


def test_an_answer_that_takes_too_long_is_503() -> None:
    async def slow(request: HookRequest, service_id: str, as_of: dt.datetime) -> bytes:
        await asyncio.sleep(5)
        return b""

    app = application(
        slow, Settings(request_seconds=0.05, outbound_seconds=0.04, call_seconds=0.03, connect_seconds=0.02)
    )
    check_outcome(call(app), 503, "transient")


def test_a_body_that_trickles_is_cut_off_by_the_same_limit() -> None:
    async def trickle() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    app = application(
        settings=Settings(request_seconds=0.05, outbound_seconds=0.04, call_seconds=0.03, connect_seconds=0.02)
    )
    headers = {"content-type": "application/json"}
    response = send(app, "POST", "/cds-services/ketamine-candidacy", content=trickle(), headers=headers)
    check_outcome(response, 503, "transient")


def test_the_service_goes_on_after_a_fault() -> None:
    app = application(raising(RuntimeError("x")))
    check_outcome(call(app), 500, "exception")
    assert send(app, "GET", "/cds-services").status_code == 200


def test_a_fault_of_a_page_is_an_outcome_too() -> None:
    router = APIRouter()

    @router.get("/number/{n}")
    async def number(n: int) -> int:
        return 1 // n

    app = application(sandbox=router)
    check_outcome(send(app, "GET", f"/number/{SENTINEL}"), 400, "value")
    check_outcome(send(app, "GET", "/number/0"), 500, "exception")


def exchange(
    app: Any, method: str, path: str, *received: dict[str, Any], length: int | None = None
) -> list[dict[str, Any]]:
    """The raw messages that the application sends; reading more than `received` fails the test."""
    sent: list[dict[str, Any]] = []
    waiting = list(received)
    headers = [(b"content-type", b"application/json")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b"", "root_path": ""}

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def answer(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, answer))
    return sent


def test_a_body_announced_as_too_large_is_not_read() -> None:
    app = application(settings=Settings(body_bytes=1024))
    sent = exchange(app, "POST", "/cds-services/ketamine-candidacy", length=1025)
    assert sent[0]["status"] == 413


def test_a_client_that_leaves_gets_nothing_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cds_service")
    assert exchange(application(), "POST", "/cds-services/ketamine-candidacy", {"type": "http.disconnect"}) == []
    assert [record.getMessage() for record in caplog.records] == ["client left correlation=correlation-1"]


class Broken(Response):
    """An answer that fails after its headers."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SENTINEL)


def test_an_answer_that_has_begun_is_broken_off_and_not_followed_by_another() -> None:
    router = APIRouter()
    router.add_api_route("/broken", lambda: Broken(), response_model=None)
    sent = exchange(application(sandbox=router), "GET", "/broken", {"type": "http.request", "body": b""})
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_start_and_stop_of_the_server_pass_through_the_frame() -> None:
    sent: list[str] = []
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def answer(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(application()({"type": "lifespan", "app": None}, receive, answer))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- Nothing leaks ----------------------------------------------------------------------------------------------------


def leaking_requests() -> list[Any]:
    token = {**request_body()["fhirAuthorization"], "access_token": SENTINEL}
    context = {"userId": f"Practitioner/{SENTINEL}", "patientId": SENTINEL, "encounterId": SENTINEL}
    full = request_body(
        fhirServer=f"https://{SENTINEL}.example",
        fhirAuthorization=token,
        context=context,
        prefetch={SENTINEL: {"resourceType": "Patient", "id": SENTINEL}},
    )
    return [
        full,
        {**full, "hook": SENTINEL},
        {**full, "hookInstance": SENTINEL},
        {**full, "fhirServer": [SENTINEL]},
        {**full, "context": SENTINEL},
        {**full, "context": {**context, "userId": SENTINEL}},
        {**full, "context": {**context, "patientId": f"{SENTINEL}/"}},
        {**full, "fhirAuthorization": {**token, "expires_in": SENTINEL}},
        {**full, "fhirAuthorization": {**token, "patient": f"{SENTINEL}2"}},
        {**full, "prefetch": {SENTINEL: SENTINEL}},
        f'{{"{SENTINEL}": 1, "{SENTINEL}": 2}}'.encode(),
        f'{{"hook": {SENTINEL}'.encode(),
    ]


@pytest.mark.parametrize("advisor", [None, RuntimeError(SENTINEL), KeyError(SENTINEL), OtherPatient("prefetch")])
@pytest.mark.parametrize("body", leaking_requests(), ids=range(len(leaking_requests())))
def test_no_answer_and_no_log_repeats_anything_of_a_request(
    body: Any, advisor: Exception | None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    app = application(raising(advisor)) if advisor else application()
    response = call(app, body, **{"x-request-id": SENTINEL, "authorization": f"Bearer {SENTINEL}"})
    written = "".join((*capfd.readouterr(), caplog.text, *(str(vars(record)) for record in caplog.records)))
    assert SENTINEL not in response.text + str(response.headers)
    assert SENTINEL not in written


def test_a_fault_is_logged_with_its_type_and_place_under_the_correlation_id(caplog: pytest.LogCaptureFixture) -> None:
    call(application(raising(RuntimeError(SENTINEL))))
    fault = caplog.records[0].getMessage()
    assert "type=RuntimeError" in fault
    assert "at=tests.unit.http.test_app:" in fault
    assert "correlation=correlation-1" in fault
    assert caplog.records[0].exc_info is None


def test_a_query_string_never_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    application()
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(name).info("GET /Condition?patient=%s", SENTINEL)
    send(application(), "GET", f"/{SENTINEL}?patient={SENTINEL}")
    assert SENTINEL not in caplog.text


# --- CORS -------------------------------------------------------------------------------------------------------------

LISTED = "https://ehr.example"
BROWSER = Settings(cors_origins=(LISTED,))
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/ketamine-candidacy"])
def test_a_listed_origin_may_ask(path: str) -> None:
    response = send(application(settings=BROWSER), "OPTIONS", path, headers={"origin": LISTED, **PREFLIGHT})
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == LISTED
    assert response.headers["access-control-allow-methods"] == "GET, POST"
    assert response.headers["access-control-allow-headers"] == "authorization, content-type"
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("error", [None, OtherPatient("prefetch"), RuntimeError("x"), JournalUnavailable()])
def test_answers_carry_the_header_at_every_status(error: Exception | None) -> None:
    app = application(raising(error), BROWSER) if error else application(settings=BROWSER)
    assert call(app, origin=LISTED).headers["access-control-allow-origin"] == LISTED
    assert call(app, service="none", origin=LISTED).headers["access-control-allow-origin"] == LISTED


@pytest.mark.parametrize(
    "origin", ["https://ehr.example.evil.example", "http://ehr.example", "https://EHR.example", "null", "*", ""]
)
def test_no_other_origin_gets_a_header(origin: str) -> None:
    for response in (
        call(application(settings=BROWSER), origin=origin),
        send(application(settings=BROWSER), "OPTIONS", "/cds-services", headers={"origin": origin, **PREFLIGHT}),
    ):
        assert not any(name.startswith("access-control") for name in response.headers)
        assert response.headers["vary"] == "Origin"


def test_cors_is_off_by_default_and_never_on_pages() -> None:
    assert "access-control-allow-origin" not in call(application(), origin=LISTED).headers
    page = send(application(settings=BROWSER), "GET", "/rules/pregnancy/1.0.0", headers={"origin": LISTED})
    assert "access-control-allow-origin" not in page.headers


# --- Pages ------------------------------------------------------------------------------------------------------------


def test_health_says_how_much_weight_the_answers_bear() -> None:
    assert send(application(), "GET", "/health/live").json() == {"status": "live"}
    ready = send(application(), "GET", "/health/ready").json()
    assert ready["mode"] == "development"
    assert (ready["rules"], ready["contentStatus"], ready["decisionsDurable"]) == (2, "draft", False)
    app = application(readiness=Readiness(rules=6, content_status="approved", decisions_durable=True))
    assert send(app, "GET", "/health/ready").json()["decisionsDurable"] is True


@pytest.mark.parametrize("path", ["/", "/rules/pregnancy/1.0.0"])
def test_pages_run_no_scripts(path: str) -> None:
    page = send(application(), "GET", path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_landing_page_lists_the_services() -> None:
    assert "/cds-services/ketamine-order-sign" in send(application(), "GET", "/").text


def test_the_list_of_rules_is_a_page() -> None:
    page = send(application(rule_index="<h1>Rules</h1>"), "GET", "/rules")
    assert (page.status_code, page.text) == (200, "<h1>Rules</h1>")


def test_the_interface_is_described() -> None:
    paths = send(application(), "GET", "/openapi.json").json()["paths"]
    assert {"/cds-services", "/cds-services/{service_id}", "/health/ready", "/rules/{rule}/{version}"} <= set(paths)


def test_the_transport_of_these_tests_lets_exceptions_through() -> None:
    """Otherwise no test here could see an exception that leaves the application."""
    assert httpx.ASGITransport(application()).raise_app_exceptions
