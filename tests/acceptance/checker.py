"""The one check that every answer of the service passes: what CDS Hooks 2.0.1 and our own pages ask of a response.

Numbers in messages are those of the project's CDS Hooks requirements (68 to 99).
"""

import json
import re
import uuid
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from fhir.resources.R4B import get_fhir_model_class

from tests.acceptance.gfm import render

STATUSES = {200, 400, 404, 405, 412, 413, 415, 422, 500, 503}
CARD_MEMBERS = {
    *("uuid", "summary", "detail", "indicator", "source"),
    *("suggestions", "selectionBehavior", "overrideReasons", "links"),
}
# What our own layout of a detail makes: no link, no image, no code, no raw HTML.
DETAIL_ELEMENTS = set("p strong ul li h3 hr br table thead tbody tr th td".split())
DETAIL_LIMIT = 4000
DRAFTS = {"ServiceRequest", "Task"}


def check_response(response: httpx.Response, patient: str = "") -> list[dict[str, Any]]:
    """The cards of an answer, after checking it; [] for a refusal. `patient` must not stand in an address."""
    assert response.status_code in STATUSES
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    uuid.UUID(response.headers["x-correlation-id"])
    body = response.json()
    assert not blanks(body), f"3, 4: {blanks(body)}"
    if response.status_code != 200:
        check_refusal(body)
        return []
    assert set(body) == {"cards"}, "68, 70: an object with cards, and no systemActions"
    cards: list[dict[str, Any]] = body["cards"]
    for card in cards:
        check_card(card, patient)
    uuids = [card["uuid"] for card in cards]
    assert len(uuids) == len(set(uuids)), "71: one uuid for each card"
    return cards


def blanks(node: Any, place: str = "$") -> list[str]:
    """Where a null, an empty text, list or object stands; `cards` alone may be empty."""
    if node is None or node in ("", [], {}):
        return [] if place == "$.cards" else [place]
    if isinstance(node, dict):
        return [hit for name, value in node.items() for hit in blanks(value, f"{place}.{name}")]
    if isinstance(node, list):
        return [hit for index, value in enumerate(node) for hit in blanks(value, f"{place}[{index}]")]
    return []


def check_refusal(body: dict[str, Any]) -> None:
    """109: a failure is an OperationOutcome, never an empty list of cards."""
    assert body["resourceType"] == "OperationOutcome"
    assert "cards" not in body
    validate(json.dumps(body, sort_keys=True))
    for issue in body["issue"]:
        assert issue["severity"] == "error"
        assert issue["details"]["text"]


@cache
def validate(text: str) -> None:
    """Raises when the resource is not valid FHIR R4; each distinct resource is checked once."""
    content = json.loads(text)
    get_fhir_model_class(content["resourceType"]).model_validate(content)


def check_card(card: dict[str, Any], patient: str) -> None:
    assert {"uuid", "summary", "indicator", "source"} <= set(card) <= CARD_MEMBERS
    assert str(uuid.UUID(card["uuid"])) == card["uuid"], "71"
    assert len(card["summary"]) < 140, "72"
    assert card["summary"].splitlines() == [card["summary"]], "72: one line"
    assert card["indicator"] in ("info", "warning", "critical"), "74"
    _check_detail(card["detail"])
    _check_source(card["source"], patient)
    _check_suggestions(card)
    _check_overrides(card.get("overrideReasons", []))
    _check_links(card.get("links", []), patient)


def _check_detail(detail: str) -> None:
    rendered = render(detail)
    assert set(rendered.elements) <= DETAIL_ELEMENTS, f"73: {set(rendered.elements) - DETAIL_ELEMENTS}"
    assert not rendered.attributes, "73"
    assert len(detail) <= DETAIL_LIMIT


def _check_source(source: dict[str, Any], patient: str) -> None:
    assert set(source) <= {"label", "url", "topic"}, "75, 83: no icon"
    assert source["label"].strip(), "81"
    if "url" in source:
        _check_address(source["url"], patient)
    assert re.fullmatch(r"[A-Za-z0-9]{1,100}", source["topic"]["code"]), "84"
    assert source["topic"]["system"], "101"


def _check_suggestions(card: dict[str, Any]) -> None:
    suggestions = card.get("suggestions", [])
    assert bool(suggestions) == ("selectionBehavior" in card), "77"
    assert card.get("selectionBehavior", "any") in ("at-most-one", "any"), "78"
    for suggestion in suggestions:
        # 87: nothing is recommended, since one recommended action reads as a directive.
        assert set(suggestion) == {"label", "uuid", "actions"}
        assert suggestion["label"].strip(), "85"
        assert str(uuid.UUID(suggestion["uuid"])) == suggestion["uuid"], "86"
        for action in suggestion["actions"]:
            _check_action(action)


def _check_action(action: dict[str, Any]) -> None:
    assert set(action) == {"type", "description", "resource"}, "94: create only"
    assert action["type"] == "create", "90"
    assert action["description"].strip(), "91"
    resource = action["resource"]
    assert resource["resourceType"] in DRAFTS, "92"
    assert resource["status"] == "draft"
    assert resource["intent"] in ("proposal", "order")
    assert "id" not in resource, "92: a new resource"
    owner = "for" if resource["resourceType"] == "Task" else "subject"
    assert re.fullmatch(r"Patient/\S+", resource[owner]["reference"])
    validate(json.dumps({**resource, owner: {"reference": "Patient/x"}}, sort_keys=True))


def _check_overrides(reasons: list[dict[str, Any]]) -> None:
    for reason in reasons:
        assert set(reason) == {"code", "system", "display"}, "80"
    codings = [(reason["system"], reason["code"]) for reason in reasons]
    assert len(codings) == len(set(codings)), "feedback gives back system and code only"


def _check_links(links: list[dict[str, Any]], patient: str) -> None:
    for link in links:
        assert set(link) == {"label", "url", "type"}, "98, 99: neither appContext nor autolaunchable"
        assert link["label"].strip(), "95"
        assert link["type"] == "absolute", "96"
        _check_address(link["url"], patient)


def _check_address(url: str, patient: str) -> None:
    """82, 97: absolute, and the same for every patient."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost"), "82"
    assert not patient or patient not in url, "97"
