"""`cds-service demo`: the service beside its sandbox EHR, called for the whole cast, and the cards it shows."""

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import typer
import uvicorn
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax

from cds_service.cli.render import show_cards
from cds_service.cli.serve import configure_logging, server
from cds_service.errors import CommandRefused
from cds_service.hooks.messages import CardsResponse
from cds_service.settings import Settings, load_settings

AS_OF = "2026-11-01"
IN_FULL = ("two-adequate-trials-and-still-depressed", "one-antidepressant-and-no-problem-on-record")
START_SECONDS = 20.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    once: bool = typer.Option(False, "--once", help="Exit after showing the cards instead of serving on."),
    full: bool = typer.Option(False, "--full", help="Show every card with its details."),
) -> None:
    """Start the service with its sandbox EHR, call it for the cast, and show the cards."""
    settings = demo_settings(load_settings())
    configure_logging("WARNING")
    console = Console()
    cast = sorted((settings.fixtures_dir / "cast").glob("*.json"))
    if not cast:
        raise CommandRefused("There is no cast in the fixtures folder: run the command from the project's folder.")
    with running(settings):
        _show_cast(console, settings, cast, full=full)
        _show_next_steps(console, settings, cast[0].stem)
        if not once:
            console.print("Serving. Stop with Ctrl-C.", style="bold")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()


def demo_settings(settings: Settings) -> Settings:
    """The settings of the environment with what a demonstration needs: sandbox, draft content, the cast's date."""
    return settings.model_copy(
        update={"sandbox": True, "serve_draft": True, "as_of": settings.as_of or AS_OF, "log_level": "WARNING"}
    )


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[None]:
    """The service in a thread of its own, for as long as the block runs. Raises CommandRefused when it cannot start."""
    _refuse_taken_port(settings)
    web = server(settings)
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    _wait(web, thread)
    try:
        yield
    finally:
        web.should_exit = True
        thread.join(timeout=START_SECONDS)


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CommandRefused(
                f"Port {settings.port} is taken: stop what uses it, or set CDS_PORT to another."
            ) from error


def _wait(web: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not web.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise CommandRefused("The service did not start: see the lines above, or run cds-service serve.")
        time.sleep(0.05)


def _show_cast(console: Console, settings: Settings, cast: list[Path], *, full: bool) -> None:
    order = json.loads((settings.fixtures_dir / "orders" / "esketamine-nasal.json").read_bytes())
    with httpx.Client(base_url=settings.public_url, trust_env=False, timeout=10) as client:
        for path in cast:
            patient = path.stem
            console.print(Rule(patient.replace("-", " "), align="left"))
            details = full or patient in IN_FULL
            for service, request in _requests(settings, patient, order):
                began = time.perf_counter()
                reply = client.post(f"/cds-services/{service}", json=request)
                took = (time.perf_counter() - began) * 1000
                console.print(f"{request['hook']}: HTTP {reply.status_code}, {took:.0f} ms", style="bold")
                _show_reply(console, reply, details=details)


def _show_reply(console: Console, reply: httpx.Response, *, details: bool) -> None:
    if reply.is_success:
        show_cards(console, msgspec.json.decode(reply.content, type=CardsResponse).cards, details=details)
        return
    for issue in reply.json()["issue"]:
        console.print(f"  refused: {issue['details']['text']}", style="red")


def _requests(settings: Settings, patient: str, order: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A patient view, and an order of esketamine nasal spray being drafted; the data are fetched from the sandbox."""
    context = {"userId": "Practitioner/demo", "patientId": patient}
    yield "ketamine-candidacy", _request(settings, "patient-view", context)
    draft = {**order, "subject": {"reference": f"Patient/{patient}"}}
    orders = {
        "selections": [f"MedicationRequest/{draft['id']}"],
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft}]},
    }
    yield "ketamine-order-select", _request(settings, "order-select", {**context, **orders})


def _request(settings: Settings, hook: str, context: dict[str, Any]) -> dict[str, Any]:
    instance = uuid.uuid5(uuid.NAMESPACE_URL, f"demo/{hook}/{context['patientId']}")
    return {"hook": hook, "hookInstance": str(instance), "fhirServer": settings.sandbox_url, "context": context}


def _show_next_steps(console: Console, settings: Settings, patient: str) -> None:
    base = settings.public_url
    body = json.dumps(_request(settings, "patient-view", {"userId": "Practitioner/me", "patientId": patient}))
    lines = f"""\
curl -s {base}/cds-services
curl -s {base}/health/ready
curl -s {base}/sandbox/fhir/Patient/{patient}
curl -s '{base}/sandbox/fhir/Condition?patient={patient}'
curl -s {base}/cds-services/ketamine-candidacy -H 'Content-Type: application/json' -d '{body}'
# in a browser: {base}/rules and the page of each rule"""
    console.print(Rule("Try next", align="left"))
    console.print(Syntax(lines, "bash", word_wrap=True, background_color="default"))
