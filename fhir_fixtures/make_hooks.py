"""Writes the CDS Hooks requests of `hooks/`, the draft orders of `orders/` and the table of `hooks/README.md`.

Run `python -m fhir_fixtures.make_hooks` after a change here, in the cast or in `hooks/expected.yaml`, which says by
hand which status and cards each request gets. The requests are about people of the cast; nothing here is random.
"""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import yaml

from fhir_fixtures.make_cast import (
    BASE,
    HL7,
    KETAMINE,
    LOINC,
    RXNORM,
    SNOMED,
    Chart,
    Json,
    between_marks,
    charts,
    concept,
)

HERE = Path(__file__).parent
DEPRESSED = "two-adequate-trials-and-still-depressed"
QUIET = "nothing-relevant-at-all"
ALLERGIC = "twenty-on-methylphenidate-and-allergic-to-ketamine"
ANSWERED = "questionnaires-answered-on-a-tablet"
STENTED = "a-stent-in-the-aorta-and-a-bladder-after-radiotherapy"
WEIGHED = "theophylline-and-epilepsy"
# Whose complete prefetch the requests hold.
COMPLETE = (DEPRESSED, QUIET, ALLERGIC, ANSWERED, STENTED, WEIGHED)
TYPES = {
    "conditions": "Condition",
    "medicationRequests": "MedicationRequest",
    "medicationStatements": "MedicationStatement",
    "medicationDispenses": "MedicationDispense",
    "allergies": "AllergyIntolerance",
    "procedures": "Procedure",
    "questionnaireResponses": "QuestionnaireResponse",
}
# The LOINC codes that occur in the people used here, by prefetch key.
OBSERVATIONS = {
    "bloodPressure": {"85354-9", "8480-6", "8462-4"},
    "pregnancyObservations": {"82810-3", "11778-8", "8665-2"},
    "pregnancyTests": {"2106-3", "19080-1"},
    "depressionScreens": {"44261-6", "44260-8", "44249-1"},
    "suicideScreens": {"93373-9", "93246-7", "93247-5", "93248-3", "93249-1", "93250-9"},
    "substanceScreens": {"75626-2"},
    "bodyWeight": {"29463-7"},
    "cognitionAndThyroid": {"72172-0", "3016-3"},
    "liverLabs": {"1742-6", "1751-7", "1975-2", "6301-6"},
}
# Published by the order services alone.
ABOUT_AN_ORDER = ("bodyWeight",)
ESKETAMINE = (RXNORM, "2119365", "esketamine")
NASAL = (SNOMED, "46713006", "Nasal route")
INTRAVENOUS = (SNOMED, "47625008", "Intravenous route")
INTRAMUSCULAR = (SNOMED, "78421000", "Intramuscular route")
ORAL = (SNOMED, "26643006", "Oral route")
CATEGORY = {"coding": [{"system": f"{HL7}/medicationrequest-category", "code": "outpatient"}]}

PEOPLE: dict[str, Chart] = {chart.stem: chart for _, chart in charts()}


# --- Prefetch ---------------------------------------------------------------------------------------------------


def searchset(resources: list[Json]) -> Json:
    """A search result as a server returns it."""
    entries = [
        {"fullUrl": f"{BASE}/{r['resourceType']}/{r['id']}", "resource": r, "search": {"mode": "match"}}
        for r in resources
    ]
    found: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return found | ({"entry": entries} if entries else {})


def loinc_codes(resource: Json) -> set[str]:
    """The LOINC codes by which a search would find an observation."""
    return {c["code"] for c in resource["code"].get("coding", []) if c["system"] == LOINC}


def complete_prefetch(stem: str = DEPRESSED, *, hook: str = "patient-view") -> Json:
    """Every key that the hook's service publishes, answered from the chart as a server would."""
    chart = PEOPLE[stem]
    found: Json = {"patient": chart.patient}
    for key, kind in TYPES.items():
        found[key] = searchset([r for r in chart.entries if r["resourceType"] == kind])
    observations = [r for r in chart.entries if r["resourceType"] == "Observation"]
    for key, codes in OBSERVATIONS.items():
        if hook == "patient-view" and key in ABOUT_AN_ORDER:
            continue
        found[key] = searchset([r for r in observations if loinc_codes(r) & codes])
    return found


def outcome(severity: str, code: str, text: str) -> Json:
    """An OperationOutcome."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text}],
    }


def null_keys() -> Json:
    """The client looked and found nothing: null is an answer."""
    kept = ("patient", "conditions", "medicationStatements")
    return {key: value if key in kept else None for key, value in complete_prefetch().items()}


def warning_entry() -> Json:
    """An empty search that says so in a warning, as one widespread server always does."""
    warning = outcome("warning", "informational", "Resource request returns no results.")
    empty = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "entry": [{"resource": warning, "search": {"mode": "outcome"}}],
    }
    return complete_prefetch() | {"medicationDispenses": empty}


def error_entry() -> Json:
    """A search result that carries an error: the client tried and failed."""
    failed = searchset([]) | {
        "entry": [{"resource": outcome("error", "exception", "Search failed."), "search": {"mode": "outcome"}}]
    }
    return complete_prefetch() | {"conditions": failed}


def statement_pages() -> tuple[Json, Json]:
    """The medication statements in two pages of one."""
    first, second = complete_prefetch()["medicationStatements"]["entry"]
    address = f"{BASE}/MedicationStatement?patient={DEPRESSED}&_count=1"
    start: Json = {"resourceType": "Bundle", "type": "searchset", "total": 2}
    following = {"link": [{"relation": "self", "url": address}, {"relation": "next", "url": f"{address}&page=2"}]}
    last = {"link": [{"relation": "self", "url": f"{address}&page=2"}]}
    return start | following | {"entry": [first]}, start | last | {"entry": [second]}


def wrong_types() -> Json:
    """Bundles without a type, an entry without a resource, and resources that the key did not ask for."""
    full = complete_prefetch()
    conditions = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": f"{BASE}/Condition/gone"}, *full["conditions"]["entry"]],
    }
    mixed = {"resourceType": "Bundle", "type": "collection", "entry": full["depressionScreens"]["entry"]}
    return full | {"conditions": conditions, "substanceScreens": mixed}


def another_persons_condition() -> Json:
    """One condition of somebody else among the patient's own."""
    full = complete_prefetch()
    stranger = complete_prefetch(QUIET)["conditions"]["entry"][0]
    mixed = full["conditions"] | {"total": 2, "entry": [*full["conditions"]["entry"], stranger]}
    return full | {"conditions": mixed}


# --- Orders -----------------------------------------------------------------------------------------------------


def order(drug: Json, route: tuple[str, str, str] | None, identity: str, patient: str, text: str | None = None) -> Json:
    """A draft MedicationRequest without a dose: none is ours to invent."""
    instruction = ({"route": concept(route)} if route else {}) | ({"text": text} if text else {})
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "category": [CATEGORY],
        "medicationCodeableConcept": drug,
        "subject": {"reference": f"Patient/{patient}"},
        "dosageInstruction": [instruction],
    }


def order_files() -> dict[str, Json]:
    """The five forms, and one order without a route, for `Patient/example`: whoever uses one puts its patient there."""
    compounded = "Compounded ketamine nasal spray"
    return {
        "esketamine-nasal.json": order(concept(ESKETAMINE), NASAL, "esketamine-nasal", "example"),
        "ketamine-iv.json": order(concept(KETAMINE), INTRAVENOUS, "ketamine-iv", "example"),
        "ketamine-im.json": order(concept(KETAMINE), INTRAMUSCULAR, "ketamine-im", "example"),
        "ketamine-oral.json": order(concept(KETAMINE), ORAL, "ketamine-oral", "example"),
        "ketamine-nasal-compounded.json": order(
            concept(KETAMINE, text=compounded), NASAL, "ketamine-nasal-compounded", "example", compounded
        ),
        "ketamine-without-a-route.json": order(
            concept(KETAMINE), None, "ketamine-without-a-route", "example", "as discussed"
        ),
    }


def esketamine_order(stem: str = DEPRESSED) -> Json:
    """An esketamine order, for the depressed patient unless another is named."""
    return order(concept(ESKETAMINE), NASAL, "draft-esketamine", stem)


def ketamine_order(route: tuple[str, str, str] | None, stem: str) -> Json:
    """An order of racemic ketamine by that route, or with a text in its place."""
    return order(concept(KETAMINE), route, "draft-ketamine", stem, None if route else "as discussed")


def other_order() -> Json:
    """An order that is none of our business."""
    drug = concept((RXNORM, "312938", "sertraline 100 MG Oral Tablet"))
    return order(drug, ORAL, "draft-sertraline", DEPRESSED)


def order_without_drug() -> Json:
    """The prescribing screen has just opened: no medication yet."""
    return {k: v for k, v in esketamine_order().items() if k not in ("medicationCodeableConcept", "dosageInstruction")}


def second_coding_order() -> Json:
    """Ketamine behind a hospital's own code."""
    local = ("https://ehr.example.org/formulary", "KET-500", "ketamine vial")
    return order(concept(local, KETAMINE), INTRAVENOUS, "draft-ketamine", DEPRESSED)


def reference_client_order() -> Json:
    """As the public CDS Hooks sandbox sends it: `category` is an object, one coding and a text."""
    drug = concept(ESKETAMINE, text="esketamine")
    return esketamine_order() | {"category": CATEGORY, "medicationCodeableConcept": drug}


def drafts(*orders: Json) -> Json:
    """The draftOrders Bundle."""
    entries = [{"fullUrl": f"{BASE}/MedicationRequest/{o['id']}", "resource": o} for o in orders]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


# --- Requests ---------------------------------------------------------------------------------------------------


def request(hook: str, prefetch: Json | None, stem: str = DEPRESSED, server: bool = False, **context: object) -> Json:
    """A CDS Hooks request; `server` offers the FHIR server and a token for it."""
    found: Json = {
        "hook": hook,
        "context": {"userId": "Practitioner/example", "patientId": stem, "encounterId": "visit-1"} | context,
    }
    if server:
        token = {"access_token": "synthetic-token", "token_type": "Bearer", "expires_in": 300}
        scope = {"scope": "patient/Patient.read patient/*.read", "subject": "cds-service"}
        found |= {"fhirServer": BASE, "fhirAuthorization": token | scope}
    return found if prefetch is None else found | {"prefetch": prefetch}


def view(prefetch: Json | None, stem: str = DEPRESSED, server: bool = False) -> Json:
    """A patient-view request."""
    return request("patient-view", prefetch, stem, server)


def select(bundle: Json, selections: list[str]) -> Json:
    """An order-select request with a complete prefetch."""
    prefetch = complete_prefetch(hook="order-select")
    return request("order-select", prefetch, selections=selections, draftOrders=bundle)


def sign(bundle: Json, stem: str = DEPRESSED) -> Json:
    """An order-sign request with a complete prefetch."""
    return request("order-sign", complete_prefetch(stem, hook="order-sign"), stem=stem, draftOrders=bundle)


def partial(*keys: str) -> Json:
    """Only these keys of the complete prefetch."""
    return {key: value for key, value in complete_prefetch().items() if key in keys}


ESKETAMINE_SELECTED = ["MedicationRequest/draft-esketamine"]

REQUESTS: dict[str, Callable[[], Json]] = {
    "patient-view-complete": lambda: view(complete_prefetch()),
    "patient-view-nothing-to-say": lambda: view(complete_prefetch(QUIET), stem=QUIET),
    "patient-view-partial": lambda: view(partial("patient", "conditions", "medicationStatements")),
    "patient-view-none-but-a-server": lambda: view(None, server=True),
    "patient-view-none-and-no-server": lambda: view(None),
    "patient-view-null-keys": lambda: view(null_keys()),
    "patient-view-null-patient": lambda: view(complete_prefetch() | {"patient": None}),
    "patient-view-empty-searches": lambda: view(
        {key: value if key == "patient" else searchset([]) for key, value in complete_prefetch().items()}
    ),
    "patient-view-failed-required-key": lambda: view(
        complete_prefetch() | {"conditions": outcome("error", "forbidden", "Not authorized.")}
    ),
    "patient-view-failed-optional-key": lambda: view(
        complete_prefetch() | {"bloodPressure": outcome("error", "forbidden", "Not authorized.")}
    ),
    "patient-view-transient-failure": lambda: view(
        complete_prefetch() | {"conditions": outcome("error", "transient", "Try again.")}, server=True
    ),
    "patient-view-warning-entry": lambda: view(warning_entry()),
    "patient-view-error-entry": lambda: view(error_entry()),
    "patient-view-next-link": lambda: view(
        complete_prefetch() | {"medicationStatements": statement_pages()[0]}, server=True
    ),
    "patient-view-wrong-types": lambda: view(wrong_types()),
    "patient-view-other-patient": lambda: view(complete_prefetch() | {"patient": PEOPLE[QUIET].patient}),
    "patient-view-another-persons-condition": lambda: view(another_persons_condition()),
    "patient-view-unknown-key": lambda: view(complete_prefetch() | {"recentLabs": searchset([])}),
    "patient-view-questionnaires": lambda: view(complete_prefetch(ANSWERED), stem=ANSWERED),
    "order-select-no-drug-yet": lambda: select(drafts(order_without_drug()), ESKETAMINE_SELECTED),
    "order-select-esketamine-nasal": lambda: select(drafts(esketamine_order()), ESKETAMINE_SELECTED),
    "order-select-other-drug": lambda: select(drafts(other_order()), ["MedicationRequest/draft-sertraline"]),
    "order-select-second-order-is-ketamine": lambda: select(
        drafts(other_order(), order(concept(KETAMINE), INTRAVENOUS, "draft-ketamine", DEPRESSED)),
        ["MedicationRequest/draft-sertraline", "MedicationRequest/draft-ketamine"],
    ),
    "order-select-drug-in-second-coding": lambda: select(
        drafts(second_coding_order()), ["MedicationRequest/draft-ketamine"]
    ),
    "order-select-selections-match-nothing": lambda: select(drafts(esketamine_order()), ["MedicationRequest/gone"]),
    "order-select-from-the-reference-client": lambda: select(
        {"resourceType": "Bundle", "entry": [{"resource": reference_client_order()}]}, ESKETAMINE_SELECTED
    ),
    "order-sign-esketamine-nasal": lambda: sign(drafts(esketamine_order())),
    "order-sign-active-order-signed-again": lambda: sign(drafts(esketamine_order() | {"status": "active"})),
    "order-sign-cancelled-order": lambda: sign(drafts(esketamine_order() | {"status": "cancelled"})),
    "order-sign-ketamine-without-a-route": lambda: sign(drafts(ketamine_order(None, DEPRESSED))),
    "order-sign-ketamine-allergy": lambda: sign(drafts(esketamine_order(ALLERGIC)), ALLERGIC),
    "order-sign-aneurysm-repair": lambda: sign(drafts(esketamine_order(STENTED)), STENTED),
    "order-sign-ketamine-intravenous": lambda: sign(drafts(ketamine_order(INTRAVENOUS, WEIGHED)), WEIGHED),
}


# --- Writing ----------------------------------------------------------------------------------------------------


def as_text(content: Json) -> str:
    """The file's text."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Path below this folder and text of every file written here."""
    found = {f"orders/{name}": as_text(content) for name, content in order_files().items()}
    found["hooks/pages/medication-statements-page-2.json"] = as_text(statement_pages()[1])
    for name, make in REQUESTS.items():
        instance = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{BASE}/hooks/{name}"))
        found[f"hooks/{name}.json"] = as_text({"hookInstance": instance} | make())
    return found


def expected() -> dict[str, Json]:
    """What `hooks/expected.yaml` says."""
    found: dict[str, Json] = yaml.safe_load((HERE / "hooks" / "expected.yaml").read_text(encoding="utf-8"))
    return found


def readme_with_table(text: str) -> str:
    """The README of `hooks/` with the table between its two marks replaced."""
    rows = ["| File | Service | Status | Cards | Why |", "|---|---|---|---|---|"]
    for name, answer in expected().items():
        cells = [f"[{name[:-5]}]({name})", f"`{answer['service']}`", answer["status"], answer["cards"], answer["why"]]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return between_marks(text, "requests", "\n".join(rows))


def main() -> None:
    """Writes every file and the table."""
    for name, text in files().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    readme = HERE / "hooks" / "README.md"
    readme.write_text(readme_with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
