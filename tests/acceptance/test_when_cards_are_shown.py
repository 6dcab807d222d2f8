"""When the services speak and when they are silent, and what stays the same between two calls."""

import asyncio
import datetime as dt
import json
import re
from typing import Any

import pytest

from cds_service.advise import Advisor
from cds_service.hooks.messages import parse_request
from cds_service.journal.port import InMemoryJournal
from cds_service.trust.clients import Client, development_client
from tests.acceptance.plain import served
from tests.acceptance.world import (
    CANDIDACY,
    FORMS,
    HOOKS,
    SELECT,
    SIGN,
    SPRAVATO,
    Ehr,
    Service,
    draft,
    new_instance,
    request,
    store,
)

DEPRESSED = "two-adequate-trials-and-still-depressed"
SUICIDAL = "trazodone-fifty-at-night-is-for-sleep"
RESISTANT = "resistance-coded-by-her-psychiatrist"
TREATED = "already-on-esketamine"
INCOMPLETE = "one-prescription-could-not-be-read"
QUIET = "nothing-relevant-at-all"
DEAD = "died-last-spring"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def topics(cards: list[dict[str, Any]]) -> list[str]:
    return [card["source"]["topic"]["code"] for card in cards]


def view(service: Service, patient: str, user: str = "Practitioner/example") -> list[dict[str, Any]]:
    body = request(CANDIDACY, patient, server=service.sandbox)
    body["context"]["userId"] = user
    return service.cards(CANDIDACY, body)


def order(
    service: Service, *orders: dict[str, Any], name: str = SIGN, patient: str = DEPRESSED
) -> list[dict[str, Any]]:
    return service.cards(name, request(name, patient, orders=orders, server=service.sandbox))


# --- The patient view -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patient", "topic"),
    [
        (DEPRESSED, "priorantidepressantfailures"),
        (RESISTANT, "priorantidepressantfailures"),
        (SUICIDAL, "acutesuicidality"),
        (TREATED, "datagaps"),
    ],
)
def test_a_patient_view_speaks_when_the_chart_gives_a_reason(service: Service, patient: str, topic: str) -> None:
    shown = topics(view(service, patient))
    assert topic in shown
    assert shown[-1] == "datagaps"


@pytest.mark.parametrize(
    "patient",
    [
        QUIET,
        # Cautions alone are no reason to speak: nobody has ordered anything.
        "a-pregnant-man-is-believed",
        "bupropion-with-dextromethorphan-is-one-trial",
        # Depression in remission, or none that is major.
        "in-full-remission-by-its-code",
        "depression-unspecified-is-not-major-depression",
        # A current depression with one trial, and every list read.
        "half-better-on-mirtazapine",
    ],
)
def test_a_patient_view_is_silent_without_a_reason(service: Service, patient: str) -> None:
    assert view(service, patient) == []


def test_a_current_depression_with_an_unread_list_shows_the_gap_card_alone(service: Service) -> None:
    (card,) = view(service, INCOMPLETE)
    assert card["source"]["topic"]["code"] == "datagaps"
    assert "Could not be read" in card["detail"]


def test_several_cautions_are_one_card_in_the_patient_view_and_safety_is_none_of_them(service: Service) -> None:
    shown = topics(view(service, "stopped-but-nobody-wrote-when"))
    assert shown == ["cautions", "acutesuicidality", "priorantidepressantfailures", "datagaps"]


def test_the_same_cautions_are_a_card_each_at_an_order(service: Service) -> None:
    patient = "stopped-but-nobody-wrote-when"
    cards = order(service, draft("esketamine-nasal", patient), patient=patient)
    cautions = ["pregnancy", "bloodpressure", "substanceuse"]
    shown = [topic for topic in topics(cards) if topic != "orderform"]
    assert shown == [*cautions, "acutesuicidality", "priorantidepressantfailures", "datagaps"]


# --- Who asks, and about whom -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [f"Patient/{DEPRESSED}", "RelatedPerson/a-sister"])
def test_a_reader_who_is_no_professional_gets_one_neutral_card(service: Service, user: str) -> None:
    (card,) = view(service, DEPRESSED, user)
    assert card["indicator"] == "info"
    assert "suggestions" not in card
    assert "overrideReasons" not in card
    told = json.dumps(card).lower()
    assert not any(word in told for word in ("antidepressant", "depress", "sertraline", "exposure", "option"))
    assert view(service, QUIET, user) == []


@pytest.mark.parametrize("name", HOOKS)
def test_a_deceased_patient_gets_no_card(service: Service, name: str) -> None:
    orders = [] if name == CANDIDACY else [draft("esketamine-nasal", DEAD)]
    assert service.cards(name, request(name, DEAD, orders=orders, server=service.sandbox)) == []


# --- Orders -----------------------------------------------------------------------------------------------------------

SERTRALINE = {"coding": [{"system": RXNORM, "code": "36437", "display": "sertraline"}]}


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_without_a_medication_yet_gets_no_card(service: Service, name: str) -> None:
    empty = draft("esketamine-nasal", DEPRESSED, medicationCodeableConcept=None)
    assert order(service, empty, name=name) == []


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_of_another_drug_gets_no_card(service: Service, name: str) -> None:
    assert order(service, draft("esketamine-nasal", DEPRESSED, medicationCodeableConcept=SERTRALINE), name=name) == []


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_no_order_at_all_gets_no_card(service: Service, name: str) -> None:
    assert order(service, name=name) == []


def test_an_order_for_a_patient_with_nothing_on_record_still_says_what_was_checked(service: Service) -> None:
    *form, card = order(service, draft("esketamine-nasal", QUIET), patient=QUIET)
    assert set(topics(form)) <= {"orderform"}
    assert card["source"]["topic"]["code"] == "datagaps"
    (not_met,) = re.findall(r"\*\*Not met in the data read\*\*\n\n((?:- .*\n)+)", card["detail"])
    assert "Heart disease; " in not_met


@pytest.mark.parametrize("form", FORMS)
def test_the_label_status_is_that_of_the_form_ordered(service: Service, form: str) -> None:
    for card in order(service, draft(form, DEPRESSED)):
        labelled = "Esketamine nasal spray: labelled product" in card["detail"]
        off_label = "Ketamine: off-label use" in card["detail"]
        assert (labelled, off_label) == ((True, False) if form == "esketamine-nasal" else (False, True))


@pytest.mark.parametrize(
    "dosage",
    [
        None,
        [{"text": "as directed"}],
        [{"route": {"coding": [{"system": "https://ehr.example.org/routes", "code": "N1"}]}}],
        [{"route": {"text": "via pump"}}],
    ],
    ids=["no dosage", "no route", "a route of a house catalogue", "a route in unknown words"],
)
def test_without_a_known_route_the_label_status_cannot_be_determined(
    service: Service, dosage: list[dict[str, Any]] | None
) -> None:
    for card in order(service, draft("ketamine-iv", DEPRESSED, dosageInstruction=dosage)):
        assert "Label status cannot be determined: form or route not recorded." in card["detail"]
        assert "Ketamine: off-label use" not in card["detail"]


def test_esketamine_is_outside_the_labelled_population_in_a_child_and_without_a_current_depression(
    service: Service,
) -> None:
    for patient in ("eleven-years-old-and-depressed", "depression-unspecified-is-not-major-depression"):
        for card in order(service, draft("esketamine-nasal", patient), patient=patient):
            assert "Outside the labelled population as far as the data read show." in card["detail"]


def test_two_orders_get_a_label_status_each_and_the_patients_cards_once(service: Service) -> None:
    cards = order(service, draft("esketamine-nasal", DEPRESSED), draft("ketamine-oral", DEPRESSED))
    shown = [card for card in cards if card["source"]["topic"]["code"] != "orderform"]
    assert len(topics(shown)) == len(set(topics(shown)))
    for card in shown:
        assert "labelled product" in card["detail"]
        assert "Ketamine: off-label use" in card["detail"]


def test_only_the_selected_order_is_spoken_of(service: Service) -> None:
    orders = [
        draft("ketamine-iv", DEPRESSED),
        draft("esketamine-nasal", DEPRESSED, medicationCodeableConcept=SERTRALINE),
    ]

    def selecting(*selections: str) -> list[dict[str, Any]]:
        body = request(SELECT, DEPRESSED, orders=orders, selections=selections, server=service.sandbox)
        return service.cards(SELECT, body)

    assert selecting("MedicationRequest/esketamine-nasal") == []
    assert selecting("MedicationRequest/ketamine-iv")
    assert selecting("MedicationRequest/no-such-order"), "a selection that matches nothing is no selection"


def test_an_order_is_recognised_however_its_drug_is_written(service: Service) -> None:
    contained = draft(
        "esketamine-nasal",
        DEPRESSED,
        medicationCodeableConcept=None,
        medicationReference={"reference": "#drug"},
        contained=[
            {
                "resourceType": "Medication",
                "id": "drug",
                "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "N06AX27"}]},
            }
        ],
    )
    ways: list[dict[str, Any]] = [
        {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "50458-028-02"}]},
        {"coding": [{"system": "http://www.whocc.no/atc", "code": "N01AX14"}]},
        {"coding": [{"system": RXNORM, "code": "2119390", "display": "SPRAVATO 56 MG Dose Kit"}]},
        {"coding": [{"system": "https://ehr.example.org/formulary", "code": "1"}, {"system": RXNORM, "code": "6130"}]},
        {"text": "ketamine 10 mg/ml, compounded"},
    ]
    written = [draft("esketamine-nasal", DEPRESSED, medicationCodeableConcept=way) for way in ways]
    for one in (contained, *written):
        assert order(service, one), one


def by_reference(reference: str) -> dict[str, Any]:
    return draft(
        "esketamine-nasal", DEPRESSED, medicationCodeableConcept=None, medicationReference={"reference": reference}
    )


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_may_refer_to_a_medication_beside_it(service: Service, name: str) -> None:
    body = request(name, DEPRESSED, orders=[by_reference("Medication/spravato")], server=service.sandbox)
    body["context"]["draftOrders"]["entry"].append({"resource": SPRAVATO})
    assert service.cards(name, body)


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_may_refer_to_a_medication_on_the_server(service: Service, ehr: Ehr, name: str) -> None:
    for reference in ("Medication/spravato", f"{ehr.base}/Medication/spravato"):
        assert service.cards(name, request(name, DEPRESSED, orders=[by_reference(reference)], server=ehr.base))


def test_an_order_that_refers_to_another_drug_costs_one_read_and_gets_no_card(service: Service, ehr: Ehr) -> None:
    ehr.forget()
    other = next(iter(store().by_type["Medication"]))
    assert (
        service.cards(SIGN, request(SIGN, DEPRESSED, orders=[by_reference(f"Medication/{other}")], server=ehr.base))
        == []
    )
    assert ehr.paths == [f"/sandbox/fhir/Medication/{other}?"]


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_of_another_drug_asks_the_server_for_nothing(service: Service, ehr: Ehr, name: str) -> None:
    ehr.forget()
    sertraline = draft("esketamine-nasal", DEPRESSED, medicationCodeableConcept=SERTRALINE)
    assert service.cards(name, request(name, DEPRESSED, orders=[sertraline], server=ehr.base)) == []
    assert ehr.paths == []


@pytest.mark.parametrize("where", ["nowhere", "on a server that lacks it", "on a server that does not answer"])
def test_an_order_whose_medication_cannot_be_read_is_not_met_with_silence(service: Service, where: str) -> None:
    servers = {"nowhere": None, "on a server that lacks it": service.sandbox}
    server = servers.get(where, service.unreachable)
    body = request(SIGN, DEPRESSED, orders=[by_reference("Medication/none")], server=server)
    response = service.call(SIGN, body, sound=False)
    if server is not service.sandbox:
        # The chart cannot be read from there either, and without the patient nothing can be said.
        assert response.status_code == 412
        return
    (card,) = response.json()["cards"]
    assert card["source"]["topic"]["code"] == "datagaps"
    assert "- MedicationRequest/esketamine-nasal: its medication could not be read" in card["detail"]


@pytest.mark.parametrize("name", [SELECT, SIGN])
def test_an_order_that_cannot_be_read_and_names_no_known_code_is_not_met_with_silence(
    service: Service, name: str
) -> None:
    house = {"coding": [{"system": "https://ehr.example.org/formulary", "code": "1"}]}
    for drug in (None, house):
        broken = draft(
            "esketamine-nasal", DEPRESSED, medicationCodeableConcept=drug, dosageInstruction={"route": "nasal"}
        )
        (card,) = order(service, broken, name=name)
        assert card["source"]["topic"]["code"] == "datagaps"
        assert "- MedicationRequest/esketamine-nasal: draft order: dosageInstruction" in card["detail"]
    sertraline = draft(
        "esketamine-nasal", DEPRESSED, medicationCodeableConcept=SERTRALINE, dosageInstruction={"route": "nasal"}
    )
    assert order(service, sertraline, name=name) == []


def test_an_order_that_cannot_be_read_is_silent_where_another_was_selected(service: Service) -> None:
    sertraline = draft("ketamine-iv", DEPRESSED, medicationCodeableConcept=SERTRALINE)
    orders = [sertraline, by_reference("Medication/none")]

    def selecting(name: str) -> list[dict[str, Any]]:
        selections = [f"MedicationRequest/{name}"]
        body = request(SELECT, DEPRESSED, orders=orders, selections=selections, server=service.sandbox)
        return service.cards(SELECT, body)

    assert selecting("ketamine-iv") == []
    assert topics(selecting("esketamine-nasal")) == ["datagaps"]


def test_an_order_of_ketamine_that_cannot_be_read_is_not_met_with_silence(service: Service) -> None:
    """Silence would say that there is no concern; here the order itself could not be understood."""
    broken = draft("esketamine-nasal", DEPRESSED, dosageInstruction={"route": "nasal"})
    cards = order(service, broken)
    assert cards
    assert all("Label status cannot be determined" in card["detail"] for card in cards)
    assert "Could not be read" in cards[-1]["detail"]


# --- The product in milligrams ----------------------------------------------------------------------------------------


def form_card(person: str, *, client: Client, form: str = "ketamine-iv") -> str:
    """The detail of the order's card, as the service answers a client."""
    server = Advisor(
        desks=served(),
        client=client,
        journal=InMemoryJournal(),
        open_server=lambda request: None,
        now=lambda: dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        new_id=new_instance,
    )
    chart = store().by_patient
    kinds = {key: template.partition("?") for key, template in served()[SIGN].service.prefetch.items()}
    prefetch: dict[str, Any] = {"patient": store().by_type["Patient"][person]}
    for key, (kind, _, _) in kinds.items():
        if key != "patient":
            found = [{"resource": one} for one in chart.get((kind, person), [])]
            prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "entry": found}
    body = json.dumps(request(SIGN, person, orders=[draft(form, person)], prefetch=prefetch), default=float).encode()
    asked = parse_request(body, service_hook=HOOKS[SIGN])
    answer = json.loads(asyncio.run(server(asked, SIGN, dt.datetime(2026, 11, 1, 23, 59, 59, tzinfo=dt.UTC))))
    return next(card["detail"] for card in answer["cards"] if card["source"]["topic"]["code"] == "orderform")


def test_the_product_in_milligrams_is_shown_to_a_client_whose_configuration_asks_for_it() -> None:
    person = "theophylline-and-epilepsy"
    asking = development_client(dose_arithmetic=True)
    assert "- 0.5 mg/kg x 68 kg (weight of 2026-10-20) = 34 mg" in form_card(person, client=asking)
    assert "= 34 mg" not in form_card(person, client=development_client())
    assert "= 34 mg" not in form_card(person, client=asking, form="ketamine-im")


@pytest.mark.parametrize(
    "person",
    ["alprazolam-zolpidem-and-a-weight-of-700-kilograms", "theophylline-for-asthma-and-a-weight-of-last-spring"],
)
def test_there_is_no_product_of_a_weight_that_is_implausible_or_old(person: str) -> None:
    detail = form_card(person, client=development_client(dose_arithmetic=True))
    assert "no product shown: no usable weight in kg of the last 90 days is on record" in detail


# --- The same call twice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOOKS)
def test_the_same_request_twice_gets_the_same_bytes(service: Service, name: str) -> None:
    orders = [] if name == CANDIDACY else [draft("ketamine-im", DEPRESSED)]
    body = request(name, DEPRESSED, orders=orders, server=service.sandbox)
    assert service.call(name, body).content == service.call(name, body).content


def test_another_invocation_changes_the_uuids_and_nothing_else(service: Service) -> None:
    body = request(CANDIDACY, RESISTANT, server=service.sandbox)
    first = service.call(CANDIDACY, body).content
    second = service.call(CANDIDACY, {**body, "hookInstance": new_instance()}).content
    assert not ids(json.loads(first)) & ids(json.loads(second))
    assert without_ids(json.loads(first)) == without_ids(json.loads(second))


def test_the_three_services_give_their_cards_different_uuids(service: Service) -> None:
    patient = RESISTANT
    found = [ids({"cards": view(service, patient)})]
    found += [
        ids({"cards": order(service, draft("esketamine-nasal", patient), name=name, patient=patient)})
        for name in (SELECT, SIGN)
    ]
    assert len(set.union(*found)) == sum(map(len, found))


def ids(node: Any) -> set[str]:
    if isinstance(node, dict):
        here = {node["uuid"]} if "uuid" in node else set()
        return here.union(*(ids(value) for value in node.values()))
    return set().union(*(ids(item) for item in node)) if isinstance(node, list) else set()


def without_ids(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: without_ids(value) for name, value in node.items() if name != "uuid"}
    return [without_ids(item) for item in node] if isinstance(node, list) else node
