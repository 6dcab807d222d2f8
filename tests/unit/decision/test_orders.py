"""Orders and current treatments with ketamine or esketamine are recognised; a form is never guessed."""

from typing import Any

import pytest

from cds_service.decision.chart import Chart
from cds_service.decision.evidence import Found
from cds_service.decision.facts import DraftOrder, PatientFacts, Quarantined, Record
from cds_service.decision.orders import current_treatment, drug_of, ketamine_orders, orders_reader, unread_orders
from cds_service.decision.rule import OrdersFact
from tests.unit.decision.support import AS_OF, coding, event, facts, value_set

DRUG_SET = value_set(
    "drugs",
    {
        "rxnorm|2119365": {"display": "esketamine"},
        "rxnorm|2119390": {"display": "{2 (0.2 ML) (esketamine 140 MG/ML Nasal Spray) } Pack"},
        "rxnorm|6130": {"display": "Ketamine"},
    },
)
ROUTE_SET = value_set("routes", {"snomed|iv": {"group": "intravenous"}, "snomed|nasal": {"group": "nasal"}})
DRUGS, ROUTES = DRUG_SET.codes, ROUTE_SET.codes


def order(code: str | None = None, text: str | None = None, **more: Any) -> DraftOrder:
    """A draft order."""
    more.setdefault("status", "draft")
    return DraftOrder(Record("MedicationRequest", "o1"), codes=(coding(code),) if code else (), text=text, **more)


def recognised(*orders: DraftOrder) -> list[tuple[str, str | None, str | None]]:
    """Drug, form and what is missing of each order that concerns us."""
    patient = PatientFacts(patient=facts().patient, orders=orders)
    return [(one.drug, one.form, one.missing) for one in ketamine_orders(patient, DRUGS, ROUTES)]


@pytest.mark.parametrize(
    ("draft", "drug", "form"),
    [
        (order("rxnorm|2119365", routes=(coding("snomed|nasal"),)), "esketamine", "esketamine-nasal"),
        (order("rxnorm|2119390"), "esketamine", "esketamine-nasal"),
        (order("ndc|50458-028-00"), "esketamine", "esketamine-nasal"),
        (order("ndc|50458-0028-03"), "esketamine", "esketamine-nasal"),
        (order("ndc|50458002803"), "esketamine", "esketamine-nasal"),
        (order(text="Spravato 84 mg", route_text="intranasal"), "esketamine", "esketamine-nasal"),
        (order("rxnorm|6130", routes=(coding("snomed|iv"),)), "ketamine", "ketamine-iv"),
        (order("rxnorm|6130", route_text="IM"), "ketamine", "ketamine-im"),
        (order(text="ketamine troche", route_text="Sublingual route"), "ketamine", "ketamine-oral"),
        (order(text="Ketamine capsules", route_text="by mouth"), "ketamine", "ketamine-oral"),
        (order(text="compounded ketamine spray", route_text="nasal"), "ketamine", "ketamine-nasal-compounded"),
    ],
)
def test_drug_and_form_are_read_from_product_and_route(draft: DraftOrder, drug: str, form: str) -> None:
    assert recognised(draft) == [(drug, form, None)]


def test_a_route_that_is_not_recorded_is_asked_for() -> None:
    assert recognised(order("rxnorm|6130")) == [("ketamine", None, "route not recorded")]


def test_a_route_that_makes_no_known_form_is_said() -> None:
    draft = order("rxnorm|2119365", routes=(coding("snomed|iv"),))
    assert recognised(draft) == [("esketamine", None, "esketamine by the intravenous route is no known form")]


@pytest.mark.parametrize(
    "draft", [order("rxnorm|1"), order(text="sertraline 50 mg"), order(), order(text="esketaminelike")]
)
def test_other_orders_and_orders_without_a_medication_do_not_concern_us(draft: DraftOrder) -> None:
    assert recognised(draft) == []


@pytest.mark.parametrize("status", ["cancelled", "stopped", "completed", "entered-in-error"])
def test_an_order_that_has_ended_does_not_concern_us(status: str) -> None:
    assert recognised(order("rxnorm|6130", status=status)) == []


def test_an_order_that_could_not_be_read_concerns_us_when_its_code_does() -> None:
    def unread(code: str, reason: str) -> Quarantined:
        return Quarantined(Record("MedicationRequest", code), reason, (coding(code),))

    aside = (
        unread("rxnorm|6130", "draft order: status: missing"),
        unread("rxnorm|1", "draft order: status: missing"),
        unread("rxnorm|6130", "status: missing"),
    )
    patient = PatientFacts(patient=facts().patient, quarantined=aside)
    (found,) = ketamine_orders(patient, DRUGS, ROUTES)
    assert (found.drug, found.form, found.missing) == ("ketamine", None, "order could not be read")


def test_orders_stay_in_the_order_of_the_request() -> None:
    first, second = order("rxnorm|2119390"), order("rxnorm|6130", route_text="iv")
    assert [drug for drug, _, _ in recognised(first, order("rxnorm|1"), second)] == ["esketamine", "ketamine"]


def test_the_code_comes_before_the_name() -> None:
    assert drug_of((coding("rxnorm|6130"),), "esketamine", DRUGS) == "ketamine"
    assert drug_of((coding("local|1", "Ketalar 50 mg/mL"),), None, DRUGS) == "ketamine"


@pytest.mark.parametrize(
    ("more", "current"),
    [
        ({"status": "active"}, True),
        ({"status": "completed"}, False),
        ({"status": "active", "do_not_perform": True}, False),
        ({"status": "active", "intent": "plan"}, False),
        ({"status": "active", "code": "rxnorm|1"}, False),
        ({"status": "active", "kind": "dispense"}, False),
    ],
)
def test_a_current_treatment_is_an_active_prescription_or_statement(more: dict, current: bool) -> None:
    treatment = event(**({"kind": "request", "code": "rxnorm|6130"} | more))
    assert current_treatment(facts(medications=[treatment]), DRUGS) == ((treatment,) if current else ())


def found(*orders: DraftOrder, quarantined: tuple[Quarantined, ...] = ()) -> Found:
    """What an orders fact finds."""
    spec = {"kind": "orders", "codes": {"set": "drugs"}, "routes": {"set": "routes"}}
    read = orders_reader(OrdersFact.model_validate(spec), {"drugs": DRUG_SET, "routes": ROUTE_SET})
    return read(Chart(PatientFacts(facts().patient, orders=orders, quarantined=quarantined), AS_OF))


def test_an_order_says_its_drug_and_its_form() -> None:
    (match,) = found(order("rxnorm|6130", route_text="iv")).matches
    assert (match.says, match.display, match.note) == (("ketamine", "ketamine-iv"), "ketamine-iv", None)
    assert (match.certain, match.when, match.record.reference) == (True, None, "MedicationRequest/o1")


def test_an_order_is_being_written_and_is_shown_without_a_date() -> None:
    (match,) = found(order("rxnorm|6130", route_text="iv")).matches
    assert (match.evidence().status, match.evidence().date) == ("draft order", None)


def test_an_order_whose_form_cannot_be_told_says_so_and_why() -> None:
    (match,) = found(order("rxnorm|6130")).matches
    assert (match.says, match.display) == (("ketamine", "form-unknown"), "ketamine")
    assert match.note == "route not recorded"


def test_an_order_that_could_not_be_read_is_found_with_its_own_record() -> None:
    record = Record("MedicationRequest", "unread", version_id="7")
    aside = Quarantined(record, "draft order: status: missing", (coding("rxnorm|6130"),))
    (match,) = found(quarantined=(aside,)).matches
    assert (match.record, match.says) == (record, ("ketamine", "form-unknown"))


def test_no_order_is_an_answer_since_orders_come_with_the_request() -> None:
    assert found() == found(order(text="sertraline")) == Found((), (), {})


def test_an_order_whose_drug_could_not_be_read_may_be_ours() -> None:
    referring = order(unread=True)
    aside = (
        Quarantined(Record("MedicationRequest", "uncoded"), "draft order: medication: missing"),
        Quarantined(Record("MedicationRequest", "local"), "draft order: status: missing", (coding("local|x"),)),
        Quarantined(Record("MedicationRequest", "coded"), "draft order: status: missing", (coding("rxnorm|1"),)),
        Quarantined(Record("Medication", "drug"), "draft order: code: missing"),
        Quarantined(Record("MedicationRequest", "no-draft"), "medication: missing"),
    )
    drafts = (referring, order(unread=True, status="stopped"), order())
    patient = PatientFacts(facts().patient, orders=drafts, quarantined=aside)
    assert [one.id for one in unread_orders(patient)] == ["o1", "uncoded", "local"]


def test_a_resource_set_aside_with_the_id_of_an_order_is_not_shown_as_the_order() -> None:
    aside = Quarantined(Record("Condition", "o1"), "clinicalStatus: not a status")
    (match,) = found(order("rxnorm|6130", route_text="iv"), quarantined=(aside,)).matches
    assert match.record.reference == "MedicationRequest/o1"
