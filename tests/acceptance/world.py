"""The service and an EHR's FHIR server on loopback ports, called the way an EHR calls them."""

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import cds_service.app
from cds_service.cli.demo import running
from cds_service.console.sandbox_fhir import Store, load_store, sandbox_router
from cds_service.journal.port import DecisionEntry, InMemoryJournal
from cds_service.settings import Settings
from tests.acceptance.checker import check_response

FIXTURES = Path(__file__).parents[2] / "fhir_fixtures"
RULES = Path(__file__).parents[2] / "rules"
AS_OF = "2026-11-01"
CANDIDACY, SELECT, SIGN = "ketamine-candidacy", "ketamine-order-select", "ketamine-order-sign"
HOOKS = {CANDIDACY: "patient-view", SELECT: "order-select", SIGN: "order-sign"}
FORMS = ("esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-oral", "ketamine-nasal-compounded")
INSTANCE = "b3a2b8f6-6a2b-4e0a-8f38-6e1c1c1d2f00"
# Generous, so that a busy machine does not change an answer; the tests of deadlines have a service of their own.
UNHURRIED = {"request_seconds": 25, "outbound_seconds": 20, "call_seconds": 15, "connect_seconds": 5}

CAST = sorted((FIXTURES / "cast").glob("*.json"))
PUBLIC = sorted(path for path in (FIXTURES / "public").glob("*.json") if path.name != "manifest.json")
BUNDLES = [*CAST, *PUBLIC]


class Ledger(InMemoryJournal):
    """The journal in memory; `fault` is raised instead of recording while it is set."""

    def __init__(self) -> None:
        super().__init__(keep=20)
        self.fault: Exception | None = None

    async def record(self, entry: DecisionEntry) -> None:
        if self.fault:
            raise self.fault
        await super().record(entry)


@dataclass
class Service:
    """A running service. Every answer to `call` passes the common check."""

    base: str
    journal: Ledger
    client: httpx.Client
    sandbox: str
    unreachable: str
    templates: dict[str, dict[str, str]] = field(default_factory=dict)

    def call(self, service: str, body: dict[str, Any] | bytes, *, sound: bool = True) -> httpx.Response:
        """POST a request. `sound`: the answer is expected to be a success."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        response = self.client.post(f"/cds-services/{service}", content=content, headers=headers)
        check_response(response, patient_in(body))
        if sound:
            assert response.status_code == 200, response.text
        return response

    def cards(self, service: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The cards of an answer."""
        found: list[dict[str, Any]] = self.call(service, body).json()["cards"]
        return found

    def complete_prefetch(self, service: str, patient: str, *, post: bool = False) -> dict[str, Any]:
        """Every published key, resolved against the sandbox as a client does it."""
        templates = self.templates[service]
        return {key: self.resolve(template, patient, post=post) for key, template in templates.items()}

    def resolve(self, template: str, patient: str, *, post: bool = False) -> dict[str, Any]:
        """One template as a client resolves it: the token filled in, then a read or a search by GET or POST."""
        query = template.replace("{{context.patientId}}", patient)
        assert "{{" not in query, "the only token used is the patient's id"
        path, _, parameters = query.partition("?")
        if post and parameters:
            form = {"content-type": "application/x-www-form-urlencoded"}
            found = self.client.post(f"{self.sandbox}/{path}/_search", content=parameters, headers=form)
        else:
            found = self.client.get(f"{self.sandbox}/{query}")
        assert found.status_code == 200, (template, found.text)
        return dict(found.json())


def patient_in(body: dict[str, Any] | bytes) -> str:
    context = body.get("context") if isinstance(body, dict) else None
    return str(context.get("patientId", "")) if isinstance(context, dict) else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_for(port: int, **changes: Any) -> Settings:
    """The service with its sandbox, on the cast's day; nothing is read from the environment."""
    values: dict[str, Any] = {
        "port": port,
        "sandbox": True,
        "serve_draft": True,
        "as_of": AS_OF,
        "fixtures_dir": FIXTURES,
        "rules_dir": RULES,
        **changes,
    }
    return Settings(_env_file=None, **values)


@contextlib.contextmanager
def started(*fhir_servers: str, **changes: Any) -> Iterator[Service]:
    """The real service on a free port, with a journal that the test can look into.

    It may call `fhir_servers`, its own sandbox, and a server at an address where nobody listens.
    """
    ledger = Ledger()
    unreachable = f"http://127.0.0.1:{free_port()}/fhir"
    settings = settings_for(free_port(), fhir_servers=(*fhir_servers, unreachable), **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cds_service.app, "InMemoryJournal", lambda: ledger)
        with running(settings), httpx.Client(base_url=settings.public_url, timeout=60, trust_env=False) as client:
            service = Service(settings.public_url, ledger, client, settings.sandbox_url, unreachable)
            listed = client.get("/cds-services").json()["services"]
            service.templates = {one["id"]: one["prefetch"] for one in listed}
            yield service


# --- The EHR's server -------------------------------------------------------------------------------------------------

# A Medication that only the EHR's server has.
SPRAVATO = {
    "resourceType": "Medication",
    "id": "spravato",
    "code": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "2119365"}]},
}


@dataclass
class Ehr:
    """A FHIR server of the EHR: what it was asked, and the headers with which."""

    base: str
    paths: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def forget(self) -> None:
        self.paths.clear()
        self.authorizations.clear()


class Recording:
    """Keeps path, query and Authorization of each request before it is answered."""

    def __init__(self, app: ASGIApp, ehr: Ehr) -> None:
        self.app, self.ehr = app, ehr

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.ehr.paths.append(f"{scope['path']}?{scope['query_string'].decode()}")
            headers = dict(scope["headers"])
            self.ehr.authorizations.append(headers.get(b"authorization", b"").decode())
        await self.app(scope, receive, send)


@contextlib.contextmanager
def ehr_running() -> Iterator[Ehr]:
    """A FHIR server over the fixtures, with a Medication of its own and the second page that one request points to."""
    port = free_port()
    ehr = Ehr(f"http://127.0.0.1:{port}/sandbox/fhir")
    app = FastAPI()

    @app.middleware("http")
    async def second_page(request: Any, call_next: Any) -> Any:
        if request.url.path.endswith("/Medication/spravato"):
            return Response(json.dumps(SPRAVATO), media_type="application/fhir+json")
        if request.query_params.get("page") == "2":
            page = (FIXTURES / "hooks" / "pages" / "medication-statements-page-2.json").read_text(encoding="utf-8")
            return Response(at(page, ehr), media_type="application/fhir+json")
        return await call_next(request)

    app.include_router(sandbox_router(store(), ehr.base))
    config = uvicorn.Config(Recording(app, ehr), port=port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the EHR's server did not start"
        time.sleep(0.02)
    try:
        yield ehr
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def at(text: str, ehr: Ehr) -> str:
    """A request or page of the fixtures with the EHR's address in place of the one that does not exist."""
    return text.replace("https://ehr.example.org/fhir", ehr.base)


@contextlib.contextmanager
def listening() -> Iterator["Canary"]:
    """A socket that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield Canary(listener)


@dataclass
class Canary:
    """A listening socket; it is silent, and tells whether somebody called."""

    listener: socket.socket

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/fhir"

    def was_called(self) -> bool:
        self.listener.settimeout(0.05)
        try:
            caller, _ = self.listener.accept()
        except TimeoutError:
            return False
        caller.close()
        return True


# --- Requests ---------------------------------------------------------------------------------------------------------


@cache
def store() -> Store:
    """The fixtures as the sandbox holds them."""
    return load_store(FIXTURES)


@cache
def patient_of(path: Path) -> str:
    """The patient's id under which the sandbox knows a Bundle: where two Bundles use one id, the later is renamed."""
    bundle = json.loads(path.read_bytes())
    own = next(e["resource"]["id"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    clash = f"{path.parent.name}/{path.name}: Patient/{own} clashes and is Patient/"
    return next((note.removeprefix(clash).split()[0] for note in store().notes if note.startswith(clash)), own)


@cache
def chart_of(path: Path) -> bytes:
    """The Bundle as published, except where the sandbox had to rename something in it: then as it holds it."""
    name = f"{path.parent.name}/{path.name}:"
    if not any(note.startswith(name) for note in store().notes):
        return path.read_bytes()
    patient = patient_of(path)
    mine = [one for (_, owner), found in store().by_patient.items() if owner == patient for one in found]
    medications = list(store().by_type["Medication"].values())
    entries = [{"resource": one} for one in [*mine, *medications]]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}, default=float).encode()


@cache
def order_text(form: str) -> str:
    return (FIXTURES / "orders" / f"{form}.json").read_text(encoding="utf-8")


def draft(form: str, patient: str, **changes: Any) -> dict[str, Any]:
    """A draft order of a form for a patient; a change to None removes the member."""
    order = {**json.loads(order_text(form)), "subject": {"reference": f"Patient/{patient}"}, **changes}
    return {name: value for name, value in order.items() if value is not None}


def request(
    service: str,
    patient: str,
    *,
    orders: Iterable[dict[str, Any]] = (),
    selections: Iterable[str] | None = None,
    prefetch: dict[str, Any] | None = None,
    server: str | None = None,
    token: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A CDS Hooks request; further arguments are top-level members, None removes one."""
    context: dict[str, Any] = {"userId": "Practitioner/example", "patientId": patient}
    drafts = list(orders)
    if service != CANDIDACY:
        context["draftOrders"] = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": one} for one in drafts],
        }
    if service == SELECT:
        every = [f"MedicationRequest/{one['id']}" for one in drafts]
        context["selections"] = every if selections is None else list(selections)
    authorization = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/*.read",
        "subject": "cds-service",
    }
    body: dict[str, Any] = {
        "hook": HOOKS[service],
        "hookInstance": INSTANCE,
        "fhirServer": server,
        "fhirAuthorization": authorization if token else None,
        "context": context,
        "prefetch": prefetch,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def new_instance() -> str:
    """Another invocation; its value decides nothing but the cards' uuids."""
    return str(uuid.uuid4())
