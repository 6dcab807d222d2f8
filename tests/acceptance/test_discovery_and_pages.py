"""Discovery, the templates a client resolves, and the pages that cards link to."""

from typing import Any

import pytest

from tests.acceptance.checker import blanks
from tests.acceptance.world import CANDIDACY, HOOKS, RULES, SIGN, Service, draft, request

DEPRESSED = "two-adequate-trials-and-still-depressed"
KEYS = {
    *("patient", "conditions", "medicationRequests", "medicationStatements", "medicationDispenses"),
    *("bloodPressure", "pregnancyObservations", "pregnancyTests", "depressionScreens", "suicideScreens"),
    "substanceScreens",
}


def listed(service: Service) -> list[dict[str, Any]]:
    response = service.client.get("/cds-services")
    assert response.status_code == 200
    found: list[dict[str, Any]] = response.json()["services"]
    return found


def test_discovery_lists_three_services_each_on_its_hook(service: Service) -> None:
    assert {one["id"]: one["hook"] for one in listed(service)} == HOOKS
    assert not blanks({"services": listed(service)})
    for one in listed(service):
        assert one["title"]
        assert one["description"]
        assert "R4" in one["usageRequirements"]


def test_the_keys_that_hospitals_type_in_are_the_published_ones(service: Service) -> None:
    for templates in service.templates.values():
        assert set(templates) >= KEYS, "a key that was published once stays"


@pytest.mark.parametrize("key", sorted(KEYS))
def test_each_template_resolves_against_a_server_as_a_read_or_a_search(service: Service, key: str) -> None:
    template = service.templates[CANDIDACY][key]
    found = service.resolve(template, DEPRESSED)
    kind = template.partition("?")[0].partition("/")[0]
    if key == "patient":
        assert (found["resourceType"], found["id"]) == ("Patient", DEPRESSED)
        return
    assert found["type"] == "searchset"
    assert all(entry["resource"]["resourceType"] == kind for entry in found.get("entry", []))


@pytest.mark.parametrize("key", sorted(KEYS - {"patient"}))
def test_a_template_repeats_no_parameter_and_uses_plain_search_syntax(service: Service, key: str) -> None:
    query = service.templates[CANDIDACY][key].partition("?")[2]
    names = [part.partition("=")[0] for part in query.split("&")]
    assert len(names) == len(set(names))
    assert set(names) <= {"patient", "code", "_sort", "_count"}


def test_each_service_answers_at_its_own_address_and_not_for_anothers_hook(service: Service) -> None:
    orders = [draft("ketamine-iv", DEPRESSED)]
    for name in HOOKS:
        for asked in HOOKS:
            body = request(asked, DEPRESSED, orders=orders, server=service.sandbox)
            answered = service.call(name, body, sound=False).status_code
            assert answered == (200 if asked == name else 400)


def test_every_link_of_every_card_leads_to_a_page_for_people(service: Service) -> None:
    links = set()
    for patient in (
        *("stopped-but-nobody-wrote-when", "trazodone-fifty-at-night-is-for-sleep"),
        *("a-long-history-in-one-chart", "died-last-spring"),
    ):
        links |= links_of(service, patient)
    assert {link.partition("/rules")[2] for link in links} >= {
        "",
        "/prior-antidepressant-failures/1.0.0",
        "/acute-suicidality/1.0.0",
        "/pregnancy/1.0.0",
        "/blood-pressure/1.0.0",
        "/heart-disease/1.0.0",
        "/substance-use/1.0.0",
    }
    for link in links:
        page = service.client.get(link)
        assert page.status_code == 200, link
        assert page.headers["content-type"].startswith("text/html")
        assert "<h1" in page.text


def links_of(service: Service, patient: str) -> set[str]:
    body = request(SIGN, patient, orders=[draft("ketamine-iv", patient)], server=service.sandbox)
    return {link["url"] for card in service.cards(SIGN, body) for link in card.get("links", [])}


def test_health_says_that_decisions_are_not_durable_and_content_is_draft(service: Service) -> None:
    assert service.client.get("/health/live").json() == {"status": "live"}
    ready = service.client.get("/health/ready").json()
    assert (ready["mode"], ready["rules"]) == ("development", len(list(RULES.glob("*/releases.yaml"))))
    assert (ready["contentStatus"], ready["decisionsDurable"]) == ("draft", False)
