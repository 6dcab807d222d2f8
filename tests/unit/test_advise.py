"""The straight line: which orders were selected, why a patient view speaks, what was read, which server is opened."""

import datetime as dt
from typing import Any

import pytest

from cds_service.advise import Asked, Desk, data_read, may_be_ours, reason_to_speak, selected, server_opener
from cds_service.decision.assess import Assessment, Clause
from cds_service.decision.codes import Entry
from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf, parse_span
from cds_service.decision.facts import (
    Condition,
    DraftOrder,
    Gap,
    Listing,
    MedicationEvent,
    Patient,
    PatientFacts,
    Quarantined,
    Record,
)
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.fhir.client import FetchLimits
from cds_service.hooks.cards import CANDIDACY, SAFETY
from cds_service.hooks.discovery import Service
from cds_service.hooks.messages import Authorization, HookRequest
from cds_service.rulebook.registers import ServiceEntry
from cds_service.trust.clients import development_client

AS_OF = AsOf.of(dt.datetime(2026, 11, 1, 23, 59, 59, tzinfo=dt.UTC))
KETAMINE = Coding("rxnorm", "6130")


def facts(**more: Any) -> PatientFacts:
    return PatientFacts(Patient(Record("Patient", "p1")), **more)


# --- Selected orders --------------------------------------------------------------------------------------------------


def drafts(*ids: str, broken: str = "", **more: Any) -> PatientFacts:
    orders = tuple(DraftOrder(Record("MedicationRequest", one), "draft", (), **more) for one in ids)
    aside = tuple(Quarantined(Record("MedicationRequest", one), "draft order: dosage") for one in broken)
    return facts(orders=orders, quarantined=aside)


@pytest.mark.parametrize(
    ("selections", "expected"),
    [
        ((), "ab"),
        (("MedicationRequest/a",), "a"),
        (("a",), "a"),
        (("https://ehr.example.org/fhir/MedicationRequest/b",), "b"),
        (("MedicationRequest/a", "MedicationRequest/b"), "ab"),
        # One of ours is not selected, and neither is the other: the selection is of another order.
        (("MedicationRequest/c",), ""),
        # What matches no draft at all is no selection, and silence would be a guess.
        (("MedicationRequest/x",), "ab"),
    ],
)
def test_the_selected_orders_are_spoken_of(selections: tuple[str, ...], expected: str) -> None:
    assert selected(["a", "b"], selections, drafts("a", "b", "c")) == set(expected)


def test_an_order_that_could_not_be_read_can_be_selected() -> None:
    chart = drafts("a", broken="b")
    assert selected(["b"], ("MedicationRequest/a", "MedicationRequest/b"), chart) == {"b"}
    assert selected(["b"], ("MedicationRequest/a",), chart) == frozenset()


@pytest.mark.parametrize(
    ("chart", "selections", "speaks"),
    [
        (drafts("a", unread=True), (), True),
        (drafts("a", unread=True), ("MedicationRequest/a",), True),
        (drafts("a", broken="b"), (), True),
        # The prescriber selected another order, and what it orders is known to be none of ours.
        (drafts("a", broken="b"), ("MedicationRequest/a",), False),
        (drafts("a"), (), False),
    ],
)
def test_a_selected_order_whose_drug_could_not_be_read_may_be_ours(
    chart: PatientFacts, selections: tuple[str, ...], speaks: bool
) -> None:
    assert may_be_ours(chart, Asked("i", "Practitioner/1", "US", AS_OF, selections)) is speaks


# --- Reasons to speak -------------------------------------------------------------------------------------------------


def desk() -> Desk:
    """A desk of which the question needs the ketamine codes alone."""
    entry = ServiceEntry.model_construct(
        id="s",
        hook="patient-view",
        title="t",
        description="d",
        usage_requirements="u",
        shows="candidacy",
        required=[],
        rules=[],
    )
    service = Service(id="s", hook="patient-view", title="t", description="d", usage_requirements="u")
    codes = {KETAMINE.key: Entry(KETAMINE.key, "ketamine", True, {})}
    base = "https://cds.example"
    return Desk(entry, service, [], {}, frozenset(), codes, {}, f"{base}/rules", f"{base}/evidence")


def found(candidacy: Outcome, safety: Outcome, depression: Outcome) -> tuple[Assessment, ...]:
    clauses = (Clause("current-major-depression", depression),)
    return (
        Assessment(CANDIDACY, "1.0.0", "d", candidacy, clauses),
        Assessment(SAFETY, "1.0.0", "d", safety, ()),
    )


TREATED = facts(
    medications=Listing(
        (MedicationEvent(Record("MedicationRequest", "m"), kind="request", status="active", codes=(KETAMINE,)),), 1
    )
)
READ = facts(medications=Listing((), 1))


@pytest.mark.parametrize(
    ("chart", "assessments", "reason"),
    [
        (READ, found(MET, UNKNOWN, MET), "candidacy"),
        (READ, found(NOT_MET, MET, NOT_MET), "safety"),
        (TREATED, found(NOT_MET, NOT_MET, NOT_MET), "treatment"),
        (READ, found(NOT_MET, NOT_MET, MET), None),
        (READ, found(UNKNOWN, UNKNOWN, UNKNOWN), None),
        # A current depression whose lists leave open what would be said.
        (facts(), found(UNKNOWN, NOT_MET, MET), "incomplete"),
        (
            facts(medications=Listing((), 1, (Gap("medicationRequests", "timeout"),))),
            found(UNKNOWN, NOT_MET, MET),
            "incomplete",
        ),
        (
            facts(medications=Listing((), 1), conditions=Listing((), 1, (Gap("conditions", "timeout"),))),
            found(UNKNOWN, NOT_MET, MET),
            "incomplete",
        ),
        (
            facts(medications=Listing((), 1), quarantined=(Quarantined(Record("Condition", "c"), "code"),)),
            found(UNKNOWN, NOT_MET, MET),
            "incomplete",
        ),
        # Without a current depression a gap is no reason.
        (facts(), found(UNKNOWN, NOT_MET, NOT_MET), None),
    ],
)
def test_a_patient_view_has_its_reasons(
    chart: PatientFacts, assessments: tuple[Assessment, ...], reason: str | None
) -> None:
    assert reason_to_speak(desk(), chart, assessments) == reason


# --- What was read ----------------------------------------------------------------------------------------------------


def condition(own_id: str, date: str | None) -> Condition:
    return Condition(Record("Condition", own_id), (), onset=parse_span(date) if date else None)


def test_what_was_read_is_counted_with_its_newest_date() -> None:
    listed = Listing((condition("a", "2026-01-02"), condition("b", None), condition("c", "2025-11-30")), 4)
    assert data_read(facts(conditions=listed), AS_OF) == (
        "Data read: conditions 4 (newest 2026-01-02), medications 0, allergies 0, procedures 0, observations 0; "
        "as of 2026-11-01T23:59:59Z."
    )


# --- The server -------------------------------------------------------------------------------------------------------

ALLOWED = "https://ehr.example.org/fhir"


def request(server: str | None) -> HookRequest:
    lent = Authorization("token", 300, "patient/*.read", "cds-service")
    return HookRequest("patient-view", "i", "p1", "Practitioner/1", fhir_server=server, authorization=lent)


@pytest.mark.parametrize(
    ("server", "opened"),
    [
        (ALLOWED, True),
        (f"{ALLOWED}/", True),
        ("HTTPS://EHR.example.org:443/fhir", True),
        (None, False),
        ("https://elsewhere.example/fhir", False),
        ("https://ehr.example.org/fhir2", False),
        ("https://ehr.example.org@elsewhere.example/fhir", False),
        ("http://ehr.example.org/fhir", False),
    ],
)
def test_only_a_server_of_the_clients_own_list_is_opened(server: str | None, opened: bool) -> None:
    client = development_client(fhir_servers=(ALLOWED,))
    assert (server_opener(client, FetchLimits())(request(server)) is not None) is opened
