"""Which orders concern us, in which form they are, and what counts as a current treatment."""

from typing import Any

import pytest

from cds_service.decision.codes import Entry
from cds_service.decision.coding import Coding
from cds_service.decision.facts import DraftOrder, Listing, MedicationEvent, Patient, PatientFacts, Quarantined, Record
from cds_service.decision.orders import current_treatment, drug_of, ketamine_orders, unread_orders

DRUGS = {
    ("rxnorm", "2119365"): Entry(("rxnorm", "2119365"), "esketamine", True, {}),
    ("rxnorm", "6130"): Entry(("rxnorm", "6130"), "ketamine", True, {}),
    ("atc", "N06AX27"): Entry(("atc", "N06AX27"), "Esketamine", True, {}),
}
ROUTES = {
    ("snomed", code): Entry(("snomed", code), group, True, {"group": group})
    for code, group in {"1": "nasal", "2": "intravenous", "3": "intramuscular", "4": "oral", "5": "sublingual"}.items()
}
ESKETAMINE, KETAMINE = Coding("rxnorm", "2119365"), Coding("rxnorm", "6130")


def draft(*codes: Coding, routes: tuple[str, ...] = ("1",), status: str | None = "draft", **more: Any) -> DraftOrder:
    return DraftOrder(
        record=Record("MedicationRequest", "o1"),
        status=status,
        codes=codes,
        routes=tuple(Coding("snomed", code) for code in routes),
        **more,
    )


def facts(*orders: DraftOrder, **more: Any) -> PatientFacts:
    return PatientFacts(Patient(Record("Patient", "p1")), orders=orders, **more)


def form_of(order: DraftOrder) -> tuple[str, str | None] | None:
    found = ketamine_orders(facts(order), DRUGS, ROUTES)
    return (found[0].drug, found[0].form) if found else None


# --- The drug ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "text", "drug"),
    [
        ((ESKETAMINE,), None, "esketamine"),
        ((KETAMINE,), None, "ketamine"),
        ((Coding("atc", "N06AX27"),), None, "esketamine"),
        ((Coding("https://ehr.example.org", "1"), KETAMINE), None, "ketamine"),
        ((Coding("ndc", "50458-028-02"),), None, "esketamine"),
        ((Coding("ndc", "50458-0028-02"),), None, "esketamine"),
        ((Coding("ndc", "50458002802"),), None, "esketamine"),
        ((), "Spravato 84 mg", "esketamine"),
        ((), "KETALAR 50 mg/ml", "ketamine"),
        ((), "esketamine or ketamine", "esketamine"),
        ((Coding("https://ehr.example.org", "1", "Ketamine lozenge"),), None, "ketamine"),
        # Another drug, a lookalike word, nothing at all.
        ((Coding("rxnorm", "36437", "sertraline"),), "sertraline", None),
        ((), "norketamine assay", None),
        ((Coding("ndc", "50458-0560-01"),), None, None),
        ((), None, None),
    ],
)
def test_a_drug_is_known_by_any_code_and_else_by_its_name(
    codes: tuple[Coding, ...], text: str | None, drug: str | None
) -> None:
    assert drug_of(codes, text, DRUGS) == drug


def test_a_code_outweighs_the_words_beside_it() -> None:
    assert drug_of((KETAMINE,), "ordered instead of esketamine", DRUGS) == "ketamine"


# --- The form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "route", "form"),
    [
        (ESKETAMINE, "1", "esketamine-nasal"),
        (KETAMINE, "1", "ketamine-nasal-compounded"),
        (KETAMINE, "2", "ketamine-iv"),
        (KETAMINE, "3", "ketamine-im"),
        (KETAMINE, "4", "ketamine-oral"),
        (KETAMINE, "5", "ketamine-oral"),
        # There is no such product: it is asked for, not guessed.
        (ESKETAMINE, "2", None),
        (KETAMINE, "99", None),
    ],
)
def test_the_form_is_read_from_drug_and_route(code: Coding, route: str, form: str | None) -> None:
    found = form_of(draft(code, routes=(route,)))
    assert found is not None
    assert found[1] == form


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("Intravenous route", "ketamine-iv"),
        ("IV", "ketamine-iv"),
        (" im ", "ketamine-im"),
        ("by mouth", "ketamine-oral"),
        ("PO", "ketamine-oral"),
        ("sublingual", "ketamine-oral"),
        ("intranasal", "ketamine-nasal-compounded"),
        ("via pump", None),
        (None, None),
    ],
)
def test_a_route_in_plain_words_is_read_too(words: str | None, form: str | None) -> None:
    assert form_of(draft(KETAMINE, routes=(), route_text=words)) == ("ketamine", form)


@pytest.mark.parametrize("product", [Coding("rxnorm", "2119390"), Coding("ndc", "50458-028-03")])
def test_a_product_that_exists_as_nasal_spray_only_needs_no_route(product: Coding) -> None:
    known = {**DRUGS, ("rxnorm", "2119390"): Entry(("rxnorm", "2119390"), "esketamine 56 mg kit", True, {})}
    (order,) = ketamine_orders(facts(draft(product, routes=())), known, ROUTES)
    assert order.form == "esketamine-nasal"


def test_what_is_missing_is_said() -> None:
    (no_route,) = ketamine_orders(facts(draft(KETAMINE, routes=())), DRUGS, ROUTES)
    assert no_route.missing == "route not recorded"
    (no_product,) = ketamine_orders(facts(draft(ESKETAMINE, routes=("2",))), DRUGS, ROUTES)
    assert no_product.missing == "esketamine by the intravenous route is no known form"


# --- Which orders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "concerns"),
    [
        *((status, True) for status in ("draft", "active", "on-hold", "unknown", None)),
        *((status, False) for status in ("cancelled", "stopped", "completed", "entered-in-error")),
    ],
)
def test_an_order_that_has_ended_does_not_concern_us(status: str | None, concerns: bool) -> None:
    assert bool(ketamine_orders(facts(draft(KETAMINE, status=status)), DRUGS, ROUTES)) is concerns


def test_every_order_is_examined_and_they_stay_in_their_order() -> None:
    other = draft(Coding("rxnorm", "36437"))
    found = ketamine_orders(facts(other, draft(KETAMINE), draft(ESKETAMINE)), DRUGS, ROUTES)
    assert [order.drug for order in found] == ["ketamine", "esketamine"]


def aside(reason: str, *codes: Coding) -> Quarantined:
    return Quarantined(Record("MedicationRequest", "broken"), reason, codes)


def test_a_draft_that_cannot_be_read_concerns_us_when_its_drug_is_known() -> None:
    (order,) = ketamine_orders(facts(quarantined=(aside("draft order: dosage", KETAMINE),)), DRUGS, ROUTES)
    assert (order.id, order.drug, order.form, order.missing) == ("broken", "ketamine", None, "order could not be read")


@pytest.mark.parametrize(
    "one", [aside("dosage", KETAMINE), aside("draft order: dosage", Coding("rxnorm", "36437")), aside("draft order: x")]
)
def test_a_chart_record_or_another_drug_that_cannot_be_read_is_no_order(one: Quarantined) -> None:
    assert ketamine_orders(facts(quarantined=(one,)), DRUGS, ROUTES) == ()


SERTRALINE = Coding("rxnorm", "36437")
HOUSE_CODE = Coding("https://ehr.example.org/formulary", "1")


@pytest.mark.parametrize(
    ("one", "unread"),
    [
        (aside("draft order: dosage"), True),
        (aside("draft order: dosage", HOUSE_CODE), True),
        (aside("draft order: dosage", HOUSE_CODE, SERTRALINE), False),
        # A record of the chart is no order, and a Medication beside an order is told of by the order.
        (aside("dosage"), False),
        (Quarantined(Record("Medication", "m"), "draft order: code"), False),
    ],
)
def test_a_draft_that_cannot_be_read_may_be_ours_unless_its_codes_are_known(one: Quarantined, unread: bool) -> None:
    assert bool(unread_orders(facts(quarantined=(one,)))) is unread


@pytest.mark.parametrize(
    ("changes", "unread"),
    [({"unread": True}, True), ({"unread": True, "status": "cancelled"}, False), ({}, False)],
)
def test_a_draft_whose_medication_cannot_be_read_may_be_ours(changes: dict[str, Any], unread: bool) -> None:
    assert [one.id for one in unread_orders(facts(draft(**changes)))] == (["o1"] if unread else [])


# --- Current treatment ------------------------------------------------------------------------------------------------


def event(**changes: Any) -> MedicationEvent:
    given: dict[str, Any] = {"kind": "request", "status": "active", "codes": (ESKETAMINE,), **changes}
    return MedicationEvent(record=Record("MedicationRequest", "m1"), **given)


@pytest.mark.parametrize(
    ("changes", "current"),
    [
        ({}, True),
        ({"kind": "statement"}, True),
        ({"codes": (), "text": "Spravato"}, True),
        ({"intent": "order"}, True),
        ({"kind": "dispense"}, False),
        ({"status": "completed"}, False),
        ({"status": None}, False),
        ({"do_not_perform": True}, False),
        ({"intent": "plan"}, False),
        ({"intent": "proposal"}, False),
        ({"codes": (Coding("rxnorm", "36437"),)}, False),
    ],
)
def test_a_current_treatment_is_an_active_order_or_statement(changes: dict[str, Any], current: bool) -> None:
    listed = Listing((event(**changes),), 1)
    assert bool(current_treatment(facts(medications=listed), DRUGS)) is current
