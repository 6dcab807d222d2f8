"""Tokens go to the EHR's server alone; neither they nor patients' ids come into logs, errors or addresses."""

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cds_service.errors import JournalUnavailable
from tests.acceptance.world import (
    CANDIDACY,
    SIGN,
    Ehr,
    Service,
    draft,
    listening,
    request,
)

DEPRESSED = "two-adequate-trials-and-still-depressed"
OTHER = "nothing-relevant-at-all"
TOKEN = "canary-token-5f1c9e"


class Catcher(logging.Handler):
    """Every record of every logger, fully formatted, with its arguments and traceback."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args!r}")


@contextlib.contextmanager
def catching() -> Iterator[list[str]]:
    """What is logged meanwhile, at the finest level that is not switched off for a logger."""
    catcher, root = Catcher(), logging.getLogger()
    before = root.level
    root.addHandler(catcher)
    root.setLevel(logging.DEBUG)
    try:
        yield catcher.lines
    finally:
        root.removeHandler(catcher)
        root.setLevel(before)


def test_the_token_goes_with_every_read_to_the_servers_of_the_request(service: Service, ehr: Ehr) -> None:
    ehr.forget()
    service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN))
    assert len(ehr.authorizations) >= len(service.templates[CANDIDACY])
    assert set(ehr.authorizations) == {f"Bearer {TOKEN}"}
    assert not any(TOKEN in path for path in ehr.paths)


def test_only_the_published_queries_are_asked_for_and_each_once(service: Service, ehr: Ehr) -> None:
    ehr.forget()
    service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base))
    asked = [path.removeprefix("/sandbox/fhir/").rstrip("?") for path in ehr.paths]
    published = [one.replace("{{context.patientId}}", DEPRESSED) for one in service.templates[CANDIDACY].values()]
    assert sorted(asked) == sorted(published)


def test_a_token_is_not_used_for_the_next_request(service: Service, ehr: Ehr) -> None:
    service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN))
    ehr.forget()
    service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base))
    assert set(ehr.authorizations) == {""}


def test_a_server_on_no_list_is_never_called(service: Service, ehr: Ehr) -> None:
    with listening() as canary:
        body = request(CANDIDACY, DEPRESSED, server=canary.base, token=TOKEN)
        assert service.call(CANDIDACY, body, sound=False).status_code == 412
        assert not canary.was_called()


@pytest.mark.parametrize(
    "disguise",
    [
        "{base}/../../other",
        "http://127.0.0.1:{port}@{canary}/sandbox/fhir",
        "http://{canary}/fhir#@127.0.0.1:{port}/sandbox/fhir",
        "http://{canary}\\@127.0.0.1:{port}/sandbox/fhir",
        "file:///etc/hostname",
        "http://169.254.169.254/latest",
    ],
)
def test_an_address_in_disguise_is_never_called(service: Service, ehr: Ehr, disguise: str) -> None:
    ehr.forget()
    with listening() as canary:
        port = ehr.base.split(":")[2].split("/")[0]
        server = disguise.format(base=ehr.base, port=port, canary=canary.base.removeprefix("http://").split("/")[0])
        body = request(CANDIDACY, DEPRESSED, server=server, token=TOKEN)
        assert service.call(CANDIDACY, body, sound=False).status_code == 412
        assert not canary.was_called()
        assert not ehr.paths


def test_a_next_link_to_another_host_is_not_followed(service: Service, ehr: Ehr) -> None:
    with listening() as canary:
        prefetch = service.complete_prefetch(CANDIDACY, DEPRESSED)
        prefetch["medicationStatements"]["link"] = [{"relation": "next", "url": f"{canary.base}/page2"}]
        body = request(CANDIDACY, DEPRESSED, prefetch=prefetch, server=ehr.base, token=TOKEN)
        gaps = service.cards(CANDIDACY, body)[-1]
        assert not canary.was_called()
        assert "further pages not read" in gaps["detail"]


def test_a_medication_referred_to_on_another_host_is_not_fetched(service: Service, ehr: Ehr) -> None:
    with listening() as canary:
        elsewhere = {"reference": f"{canary.base}/Medication/1"}
        orders = [draft("ketamine-iv", DEPRESSED, medicationCodeableConcept=None, medicationReference=elsewhere)]
        service.call(SIGN, request(SIGN, DEPRESSED, orders=orders, server=ehr.base, token=TOKEN))
        assert not canary.was_called()


def calls(service: Service, ehr: Ehr) -> Iterator[tuple[dict[str, Any] | bytes, int]]:
    """Requests of every fate, each full of what must not be repeated, with the status expected."""
    good = request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN)
    prefetch = {"patient": {"resourceType": "Patient", "id": OTHER, "name": [{"family": OTHER}]}}
    yield good, 200
    yield {**good, "fhirServer": "https://elsewhere.example/fhir"}, 412
    yield {**good, "prefetch": prefetch}, 400
    yield {**good, "hook": DEPRESSED}, 400
    yield {**good, "hookInstance": TOKEN}, 400
    yield {**good, "prefetch": {"patient": f"Patient/{DEPRESSED}"}}, 400
    yield {**good, "context": {"userId": DEPRESSED, "patientId": f"{DEPRESSED}/{TOKEN}"}}, 400
    yield json.dumps(good).encode()[:-9], 400
    yield json.dumps(good).encode() + b"\xff", 400


def test_no_error_and_no_log_record_holds_a_token_or_a_patients_id(service: Service, ehr: Ehr) -> None:
    with catching() as lines:
        for body, status in calls(service, ehr):
            response = service.call(CANDIDACY, body, sound=False)
            assert response.status_code == status
            if status != 200:
                assert not leaked(response.text), response.text
            assert not leaked(str(response.headers))
    assert lines, "the log is read where it is written"
    assert not [line for line in lines if leaked(line)]


def test_a_fault_of_ours_tells_the_log_its_type_and_place_alone(
    service: Service, ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError(f"Patient/{DEPRESSED} {TOKEN}")

    monkeypatch.setattr("cds_service.advise.decide", broken)
    with catching() as lines:
        response = service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN), sound=False)
    assert response.status_code == 500
    assert not leaked(response.text)
    faults = [line for line in lines if "cds_service.http ERROR" in line and "ValueError" in line]
    assert len(faults) == 1
    assert response.headers["x-correlation-id"] in faults[0]
    assert not [line for line in lines if leaked(line)]


def test_a_server_that_fails_brings_no_address_into_the_log(service: Service) -> None:
    """A failed read is where HTTP libraries like to log what they asked for."""
    with catching() as lines:
        body = request(CANDIDACY, DEPRESSED, server=service.unreachable, token=TOKEN)
        assert service.call(CANDIDACY, body, sound=False).status_code == 412
    assert not [line for line in lines if leaked(line)]


def test_the_journal_holds_no_token(service: Service, ehr: Ehr) -> None:
    service.call(CANDIDACY, request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN))
    entry = service.journal.entries[-1]
    assert TOKEN.encode() not in entry.facts + entry.assessment
    assert TOKEN not in f"{entry!r} {entry.client} {entry.tenant} {entry.hook_instance}"
    assert DEPRESSED not in repr(entry)


def test_a_journal_that_fails_says_so_without_the_patient(service: Service, ehr: Ehr) -> None:
    service.journal.fault = JournalUnavailable()
    try:
        with catching() as lines:
            body = request(CANDIDACY, DEPRESSED, server=ehr.base, token=TOKEN)
            assert not leaked(service.call(CANDIDACY, body, sound=False).text)
    finally:
        service.journal.fault = None
    assert not [line for line in lines if leaked(line)]


def leaked(text: str) -> bool:
    return any(secret in text for secret in (TOKEN, DEPRESSED, OTHER))
