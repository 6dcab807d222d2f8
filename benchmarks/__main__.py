"""`make bench`: the decision against parsing its JSON, and the CPU of an HTTP request, in one interleaved run.

The yardstick is `orjson.loads` of the same body in the same process: a target is a ratio, never a time. Each round
measures every size with both, one after the other; the median of the rounds is printed.
"""

import argparse
import asyncio
import datetime as dt
import gc
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.requests import order_select
from cds_service.advise import Advisor, Desk, desks, server_opener
from cds_service.app import create_app
from cds_service.fhir.client import FetchLimits
from cds_service.hooks.messages import parse_request
from cds_service.journal.port import InMemoryJournal
from cds_service.rulebook.load import load_rulebook
from cds_service.settings import Settings
from cds_service.trust.clients import development_client

# Resources of each kind: Condition, MedicationRequest, Observation.
SIZES = {"2.6 KiB": (0, 0, 1), "160 KiB": (17, 26, 84), "400 KiB": (42, 63, 214), "4 MB": (440, 660, 2200)}
AS_OF = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
SERVICE = "ketamine-order-select"
TARGET = 0.6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    served = desks(load_rulebook(Path("rules")), base_url="https://cds.example.org", serve_draft=True)
    advisor = _advisor(served)
    bodies = {name: order_select(*counts) for name, counts in SIZES.items()}
    # As the service does after start: what is loaded stays, and collecting it again and again costs nothing.
    gc.collect()
    gc.freeze()
    console = Console()
    with asyncio.Runner() as runner:
        _print_decision(console, _decision_times(runner, advisor, bodies, rounds))
        _print_http(console, runner.run(_http_cpu(advisor, served, bodies, rounds)))


def _advisor(served: dict[str, Desk]) -> Advisor:
    client = development_client()
    return Advisor(
        desks=served,
        client=client,
        journal=InMemoryJournal(keep=1),
        open_server=server_opener(client, FetchLimits()),
        now=lambda: AS_OF,
        new_id=lambda: str(uuid.uuid4()),
    )


def _decision_times(
    runner: asyncio.Runner, advisor: Advisor, bodies: dict[str, bytes], rounds: int
) -> dict[str, tuple[int, float, float]]:
    """Size in bytes, median seconds of parsing, and of the whole decision, by name."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            repeats = max(1, 400_000 // len(body))
            times[name][0].append(_timed(lambda body=body: orjson.loads(body), repeats))
            times[name][1].append(runner.run(_decision_time(advisor, body, repeats)))
    return {
        name: (len(bodies[name]), statistics.median(parse), statistics.median(whole))
        for name, (parse, whole) in times.items()
    }


async def _decision_time(advisor: Advisor, body: bytes, repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        await _decide(advisor, body)
    return (time.process_time() - began) / repeats


async def _decide(advisor: Advisor, body: bytes) -> bytes:
    """From the request's bytes to the response's: decode, facts, all rules, cards, journal in memory."""
    return await advisor(parse_request(body, service_hook="order-select"), SERVICE, AS_OF)


def _timed(work: Callable[[], object], repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - began) / repeats


async def _http_cpu(
    advisor: Advisor, served: dict[str, Desk], bodies: dict[str, bytes], rounds: int
) -> dict[str, float]:
    """CPU seconds of one request through the whole application, without the socket."""
    settings = Settings(serve_draft=True)
    services = [desk.service for desk in served.values()]
    app = create_app(settings, clock=lambda: AS_OF, advisor=advisor, services=services, rule_pages=lambda *_: None)
    transport = httpx.ASGITransport(app=app)
    headers = {"content-type": "application/json"}
    cpu: dict[str, list[float]] = {name: [] for name in bodies}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        for _ in range(rounds):
            for name, body in bodies.items():
                began = time.process_time()
                reply = await client.post(f"/cds-services/{SERVICE}", content=body, headers=headers)
                cpu[name].append(time.process_time() - began)
                reply.raise_for_status()
    return {name: statistics.median(values) for name, values in cpu.items()}


def _print_decision(console: Console, times: dict[str, tuple[int, float, float]]) -> None:
    table = Table(title="Decode + facts + all rules + cards + record, against orjson.loads of the same body")
    for column in ("body", "KiB", "orjson.loads, ms", "decision, ms", "ratio", f"target at 400 KiB: {TARGET}"):
        table.add_column(column, justify="right")
    for name, (size, parse, whole) in times.items():
        verdict = ("met" if whole / parse <= TARGET else "not met") if name == "400 KiB" else ""
        table.add_row(
            name, f"{size / 1024:.1f}", f"{parse * 1e3:.3f}", f"{whole * 1e3:.3f}", f"{whole / parse:.2f}", verdict
        )
    console.print(table)


def _print_http(console: Console, cpu: dict[str, float]) -> None:
    table = Table(title="CPU of one HTTP request (application with its client in process, no socket)")
    table.add_column("body", justify="right")
    table.add_column("CPU, ms", justify="right")
    for name, seconds in cpu.items():
        table.add_row(name, f"{seconds * 1e3:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
