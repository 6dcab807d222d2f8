"""An application around a fake advisor, and the check every refusal must pass."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
from fastapi import FastAPI

from cds_service.app import create_app
from cds_service.hooks.discovery import Service
from cds_service.hooks.messages import CardsResponse, HookRequest, encode_response
from cds_service.settings import Settings

NOW = dt.datetime(2026, 11, 1, 12, 0, tzinfo=dt.UTC)
# FHIR R4 IssueType codes that this service may send.
ISSUE_CODES = {
    *("structure", "required", "value", "invalid", "conflict", "not-found", "not-supported", "processing"),
    *("too-long", "no-store", "transient", "exception"),
}
SERVICES = (
    Service(
        id="ketamine-candidacy",
        hook="patient-view",
        title="Candidacy",
        description="Says what the chart shows.",
        usage_requirements="FHIR R4.",
        prefetch={"patient": "Patient/{{context.patientId}}"},
        rules=("pregnancy",),
    ),
    Service(
        id="ketamine-order-sign",
        hook="order-sign",
        title="Orders",
        description="Says what the chart shows.",
        usage_requirements="FHIR R4.",
        rules=("pregnancy", "blood-pressure"),
    ),
)


async def silent(request: HookRequest, service_id: str, as_of: dt.datetime) -> bytes:
    """An advisor with nothing to say."""
    return encode_response(CardsResponse(()))


def application(advisor: Any = silent, settings: Settings | None = None, **more: Any) -> FastAPI:
    """The application with fixed clock and correlation id."""
    return create_app(
        settings or Settings(),
        clock=lambda: NOW,
        advisor=advisor,
        services=SERVICES,
        rule_pages=lambda rule, version: "<h1>Rule</h1>" if (rule, version) == ("pregnancy", "1.0.0") else None,
        new_id=lambda: "correlation-1",
        **more,
    )


def send(app: FastAPI, method: str, path: str, **more: Any) -> httpx.Response:
    """One request to the application; an exception that leaves it fails the test."""

    async def exchange() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, **more)

    return asyncio.run(exchange())


def request_body(**changes: Any) -> dict[str, Any]:
    """A valid patient-view request with top-level members changed; None removes one."""
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {
            "access_token": "token",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read user/[x]",
            "subject": "cds-service",
        },
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def call(app: FastAPI, body: object = None, service: str = "ketamine-candidacy", **headers: str) -> httpx.Response:
    """POST a request to a service; `body` is bytes or a JSON value."""
    content = body if isinstance(body, bytes) else json.dumps(request_body() if body is None else body).encode()
    all_headers = {"content-type": "application/json", **headers}
    return send(app, "POST", f"/cds-services/{service}", content=content, headers=all_headers)


def check_outcome(response: httpx.Response, status: int, issue: str) -> list[dict[str, Any]]:
    """The issues of a refusal, after checking everything that all refusals have in common."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-correlation-id"] == "correlation-1"
    outcome = response.json()
    assert set(outcome) == {"resourceType", "issue"}
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for member in outcome["issue"]:
        assert {"severity", "code", "details"} <= set(member) <= {*member, "expression", "diagnostics"}
        assert member["severity"] == "error"
        assert member["code"] in ISSUE_CODES
        assert member["details"]["text"]
        assert all(member.values())
    assert {member["code"] for member in outcome["issue"]} == {issue}
    return list(outcome["issue"])


AdvisorLike = Callable[[HookRequest, str, dt.datetime], Awaitable[bytes]]


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """A body sent in pieces, without a Content-Length."""
    for part in parts:
        yield part
