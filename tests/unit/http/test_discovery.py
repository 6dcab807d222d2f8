"""The discovery document, and what is refused before it is published."""

import json
from typing import Any

import pytest

from cds_service.errors import RulebookInvalid
from cds_service.hooks.discovery import discovery_document, template_problem
from tests.unit.http.support import SERVICES


def test_each_service_is_listed_with_everything_a_client_needs() -> None:
    services = json.loads(discovery_document(SERVICES))["services"]
    assert services[0] == {
        "hook": "patient-view",
        "title": "Candidacy",
        "description": "Says what the chart shows.",
        "id": "ketamine-candidacy",
        "usageRequirements": "FHIR R4.",
        "version": "2.0.1",
        "hookVersion": "1.0",
        "prefetch": {"patient": "Patient/{{context.patientId}}"},
    }
    assert "prefetch" not in services[1], "an empty prefetch is left out"


def test_no_services_is_an_empty_list() -> None:
    assert discovery_document(()) == b'{"services":[]}'


def test_the_same_services_give_the_same_bytes() -> None:
    assert discovery_document(SERVICES) == discovery_document(SERVICES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "Ketamine"}, "lower-case"),
        ({"id": "a/b"}, "lower-case"),
        ({"hook": "order-dispatch"}, "not a hook we serve"),
        ({"title": " "}, "empty"),
        ({"description": ""}, "empty"),
        ({"usage_requirements": ""}, "empty"),
        ({"prefetch": {"a b": "Patient/{{context.patientId}}"}}, "letters and digits"),
        ({"prefetch": {"patient": "Patient/{{context.draftOrders}}"}}, "prefetch.patient"),
    ],
)
def test_a_definition_that_breaks_the_standard_is_refused(changes: dict[str, Any], words: str) -> None:
    fields = {name: getattr(SERVICES[0], name) for name in SERVICES[0].__slots__}
    with pytest.raises(RulebookInvalid, match=words):
        discovery_document([type(SERVICES[0])(**{**fields, **changes})])


def test_two_services_with_one_id_are_refused() -> None:
    with pytest.raises(RulebookInvalid, match="same id"):
        discovery_document([SERVICES[0], SERVICES[0]])


@pytest.mark.parametrize(
    "template",
    [
        "Patient/{{context.patientId}}",
        "Condition?patient={{context.patientId}}&_count=200",
        "Observation?patient={{context.patientId}}&code=http://loinc.org|8480-6,http://loinc.org|8462-4&_sort=-date",
        "Observation?patient={{context.patientId}}&date=ge2026-01-01&code:in=http://example.org/vs",
    ],
)
def test_plain_reads_and_searches_are_published(template: str) -> None:
    assert template_problem(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "",
        "Patient",
        "Patient/1",
        "patient/{{context.patientId}}",
        "Patient/{{patientId}}",
        "Patient/{{context.patientId.x}}",
        "Patient/{{context.selections}}",
        "Patient/{{userPractitionerId}}",
        "Patient/{{context.patientId}",
        "Condition?",
        "Condition?patient={{context.patientId}}&patient=1",
        "Condition?patient={{context.patientId}}&code=",
        "Condition?patient={{context.patientId}}&_include=Condition:encounter",
        "Condition?patient={{context.patientId}}&_elements=code",
        "Condition?patient.name=x",
        "Condition?code:not=x",
        "Condition?onset-date=ge{{today()}}",
        "Condition?patient={{%patient.id}}",
        "Condition/$op?patient={{context.patientId}}",
        "Observation?_sort:desc=date",
        "Observation?_sort=date:desc",
        "Observation?_count=all",
        "Observation?code=a b",
    ],
)
def test_what_some_client_cannot_do_is_not(template: str) -> None:
    assert template_problem(template)
