"""`cds-service demo`: the requests it makes, its settings, and its refusals; the service itself is played by a fake."""

import contextlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from cds_service.cli import demo, main
from cds_service.errors import CommandRefused
from cds_service.hooks.messages import parse_request
from cds_service.settings import Settings

FIXTURES = Path(__file__).parents[3] / "fhir_fixtures"
ORDER = json.loads((FIXTURES / "orders" / "esketamine-nasal.json").read_bytes())
SETTINGS = Settings(_env_file=None, port=9009)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CDS_PORT", "CDS_AS_OF", "CDS_SANDBOX", "CDS_FIXTURES_DIR"):
        monkeypatch.delenv(name, raising=False)
    # The cards of many people on a narrow terminal would be broken in the middle of a word.
    monkeypatch.setenv("COLUMNS", "200")


def requests_for(patient: str) -> dict[str, dict[str, Any]]:
    return dict(demo._requests(SETTINGS, patient, ORDER))


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_each_patient_is_viewed_and_gets_an_order_drafted() -> None:
    assert {name: one["hook"] for name, one in requests_for("ann").items()} == {
        "ketamine-candidacy": "patient-view",
        "ketamine-order-select": "order-select",
    }


def test_the_requests_are_valid_and_about_the_patient_named() -> None:
    for one in requests_for("ann").values():
        parsed = parse_request(json.dumps(one).encode(), service_hook=one["hook"])
        assert parsed.patient_id == "ann"
        assert parsed.fhir_server == "http://127.0.0.1:9009/sandbox/fhir"
        assert parsed.prefetch == {}


def test_the_draft_is_selected_and_is_the_patients_own() -> None:
    context = requests_for("ann")["ketamine-order-select"]["context"]
    (entry,) = context["draftOrders"]["entry"]
    assert entry["resource"]["subject"] == {"reference": "Patient/ann"}
    assert context["selections"] == [f"MedicationRequest/{entry['resource']['id']}"]
    assert ORDER["subject"] == {"reference": "Patient/example"}, "the order of the fixtures is left as it is"


def test_the_same_demonstration_makes_the_same_requests() -> None:
    assert requests_for("ann") == requests_for("ann")
    instances = {one["hookInstance"] for who in ("ann", "ben") for one in requests_for(who).values()}
    assert len(instances) == 4


def test_a_demonstration_has_what_it_needs_whatever_the_environment_says() -> None:
    found = demo.demo_settings(SETTINGS)
    assert (found.sandbox, found.serve_draft, found.as_of, found.log_level) == (True, True, "2026-11-01", "WARNING")
    assert found.port == 9009
    assert demo.demo_settings(Settings(_env_file=None, as_of="2026-12-24")).as_of == "2026-12-24"


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(CommandRefused, match=rf"Port {port} is taken.*CDS_PORT"),
            demo.running(Settings(_env_file=None, port=port)),
        ):
            pytest.fail("it started")


def test_a_service_that_ends_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        started = False
        should_exit = False

        def run(self) -> None:
            return

    monkeypatch.setattr(demo, "server", lambda settings: Ended())
    monkeypatch.setattr(demo, "_refuse_taken_port", lambda settings: None)
    with pytest.raises(CommandRefused, match="did not start"), demo.running(SETTINGS):
        pytest.fail("it started")


def test_without_a_cast_the_command_says_where_to_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main.app(["demo", "--once"])
    assert left.value.code == 2
    assert "There is no cast" in capsys.readouterr().err


# --- Showing ----------------------------------------------------------------------------------------------------------

CARD = {"summary": "A finding.", "detail": "More on it.", "indicator": "info", "source": {"label": "US label"}}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[httpx.Request]:
    """A cast of two, and a service that has one card for a view and refuses an order; what it was asked."""
    (tmp_path / "fhir_fixtures" / "cast").mkdir(parents=True)
    shutil.copytree(FIXTURES / "orders", tmp_path / "fhir_fixtures" / "orders")
    for name in ("ann-is-well", demo.IN_FULL[0]):
        (tmp_path / "fhir_fixtures" / "cast" / f"{name}.json").write_text("{}", encoding="utf-8")
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path.endswith("candidacy"):
            return httpx.Response(200, json={"cards": [CARD]})
        return httpx.Response(412, json={"issue": [{"details": {"text": "Data are missing."}}]})

    real = httpx.Client

    def client(**more: Any) -> httpx.Client:
        return real(transport=httpx.MockTransport(answer), **more)

    monkeypatch.setattr(httpx, "Client", client)
    monkeypatch.setattr(demo, "running", lambda settings: contextlib.nullcontext())
    return asked


def run_demo(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main.app(["demo", "--once", *arguments])
    assert left.value.code == 0
    return capsys.readouterr().out


def test_the_whole_cast_is_shown_with_what_to_try_next(
    played: list[httpx.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_demo(capsys)
    assert [request.url.path for request in played] == [
        "/cds-services/ketamine-candidacy",
        "/cds-services/ketamine-order-select",
    ] * 2
    assert "ann is well" in out
    assert "patient-view: HTTP 200" in out
    assert "A finding." in out
    assert "curl -s http://127.0.0.1:8000/cds-services" in out
    assert "Serving." not in out


def test_a_refusal_is_shown_with_its_sentence_and_never_as_no_cards(
    played: list[httpx.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_demo(capsys)
    assert "order-select: HTTP 412" in out
    assert "refused: Data are missing." in out
    assert "no cards" not in out


def test_details_are_shown_for_a_few_and_for_all_when_asked(
    played: list[httpx.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_demo(capsys).count("More on it.") == 1
    assert run_demo(capsys, "--full").count("More on it.") == 2


def test_the_lines_to_try_next_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    demo._show_next_steps(Console(width=400), SETTINGS, "ann")
    line = next(line for line in capsys.readouterr().out.splitlines() if "-d '" in line)
    body = line.partition("-d '")[2].rpartition("'")[0]
    assert parse_request(body.encode(), service_hook="patient-view").patient_id == "ann"
