"""Every request of `fhir_fixtures/hooks` gets the status and the cards that its hand-written table says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.checker import check_response
from tests.acceptance.world import FIXTURES, HOOKS, Ehr, Service, at

HERE = FIXTURES / "hooks"
REQUESTS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
SERVED = sorted(name for name, said in REQUESTS.items() if said.get("server"))


def body_of(name: str, ehr: Ehr | None) -> bytes:
    text = (HERE / name).read_text(encoding="utf-8")
    return (at(text, ehr) if ehr else text).encode()


def test_the_table_lists_every_request() -> None:
    assert set(REQUESTS) == {path.name for path in HERE.glob("*.json")}


@pytest.mark.parametrize("name", REQUESTS, ids=lambda name: Path(name).stem)
def test_a_request_gets_the_answer_that_the_table_says(service: Service, ehr: Ehr, name: str) -> None:
    said = REQUESTS[name]
    response = service.call(said["service"], body_of(name, ehr), sound=False)
    assert response.status_code == said["status"], response.text
    if said["cards"] != "-":
        assert bool(response.json()["cards"]) is (said["cards"] == "some")
    assert HOOKS[said["service"]] == json.loads(body_of(name, None))["hook"]


def test_the_second_page_is_followed_with_the_token_and_completes_the_list(service: Service, ehr: Ehr) -> None:
    ehr.forget()
    followed = service.call("ketamine-candidacy", body_of("patient-view-next-link.json", ehr))
    assert [path for path in ehr.paths if "page=2" in path] == [
        "/sandbox/fhir/MedicationStatement?patient=two-adequate-trials-and-still-depressed&_count=1&page=2"
    ]
    complete = json.loads(body_of("patient-view-complete.json", ehr))
    whole = service.call("ketamine-candidacy", {**complete, "fhirServer": ehr.base})
    assert unsigned(followed.json()) == unsigned(whole.json())


def test_a_transient_failure_is_fetched_once(service: Service, ehr: Ehr) -> None:
    ehr.forget()
    service.call("ketamine-candidacy", body_of("patient-view-transient-failure.json", ehr))
    assert len([path for path in ehr.paths if "/Condition?" in path]) == 1


@pytest.mark.parametrize("name", SERVED, ids=lambda name: Path(name).stem)
def test_where_the_server_is_none_of_ours_the_answer_is_the_readmes(service: Service, name: str) -> None:
    """Their address exists nowhere and is on no list: it is not called, not even looked up."""
    response = service.call("ketamine-candidacy", body_of(name, None), sound=False)
    cards = check_response(response)
    if name == "patient-view-next-link.json":
        assert response.status_code == 200
        assert any("further pages not read" in card["detail"] for card in cards)
    else:
        assert response.status_code == 412


def test_of_selections_and_drafts_each_order_that_concerns_us_is_seen(service: Service, ehr: Ehr) -> None:
    for name in ("order-select-second-order-is-ketamine.json", "order-select-drug-in-second-coding.json"):
        cards = service.call("ketamine-order-select", body_of(name, ehr)).json()["cards"]
        assert any("Ketamine: off-label use" in card["detail"] for card in cards), name


def unsigned(answer: dict[str, Any]) -> str:
    """An answer without the cards' uuids, which belong to the invocation."""
    return re.sub(r'"uuid": "[^"]*"', "", json.dumps(answer))
