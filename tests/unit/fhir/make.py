"""FHIR resources for the tests of the FHIR layer: the least that is valid, with what a test changes."""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from cds_service.decision.coding import CodeKey
from cds_service.decision.dates import AsOf
from cds_service.decision.facts import PatientFacts
from cds_service.fhir.read_facts import facts_from_bundle

PATIENT_ID = "pat-1"
AS_OF = AsOf.of(dt.date(2026, 11, 1))
SYSTOLIC, DIASTOLIC, PANEL, PHQ9 = "8480-6", "8462-4", "85354-9", "44261-6"
WANTED: frozenset[CodeKey] = frozenset(("loinc", code) for code in (SYSTOLIC, DIASTOLIC, PANEL, PHQ9))

Json = dict[str, Any]


def concept(code: str, system: str = "http://snomed.info/sct", **more: Any) -> Json:
    return {"coding": [{"system": system, "code": code}], **more}


def status(code: str) -> Json:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/any", "code": code}]}


def subject(patient_id: str = PATIENT_ID) -> Json:
    return {"reference": f"Patient/{patient_id}"}


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", "id": PATIENT_ID, "birthDate": "1980-02-03", "gender": "female", **more}


def condition(id_: str = "c1", code: str = "370143000", **more: Any) -> Json:
    return {
        "resourceType": "Condition",
        "id": id_,
        "clinicalStatus": status("active"),
        "verificationStatus": status("confirmed"),
        "code": concept(code),
        "subject": subject(),
        "onsetDateTime": "2026-01-05",
        **more,
    }


def drug(code: str = "312941") -> Json:
    return concept(code, "http://www.nlm.nih.gov/research/umls/rxnorm")


def request(id_: str = "m1", **more: Any) -> Json:
    medication = {} if "medicationReference" in more else {"medicationCodeableConcept": drug()}
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "subject": subject(),
        "authoredOn": "2026-05-01",
        **medication,
        **more,
    }


def statement(id_: str = "s1", **more: Any) -> Json:
    medication = {} if "medicationReference" in more else {"medicationCodeableConcept": drug()}
    return {
        "resourceType": "MedicationStatement",
        "id": id_,
        "status": "active",
        "subject": subject(),
        **medication,
        **more,
    }


def dispense(id_: str = "d1", **more: Any) -> Json:
    medication = {} if "medicationReference" in more else {"medicationCodeableConcept": drug()}
    return {
        "resourceType": "MedicationDispense",
        "id": id_,
        "status": "completed",
        "subject": subject(),
        **medication,
        **more,
    }


def medication(id_: str = "med1", code: str = "312941", **more: Any) -> Json:
    return {"resourceType": "Medication", "id": id_, "code": drug(code), **more}


def observation(id_: str = "o1", code: str = PHQ9, **more: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": concept(code, "http://loinc.org"),
        "subject": subject(),
        "effectiveDateTime": "2026-10-20T09:30:00Z",
        **more,
    }


def quantity(value: Any, code: str = "mm[Hg]") -> Json:
    return {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": code}


def allergy(id_: str = "a1", **more: Any) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "id": id_,
        "clinicalStatus": status("active"),
        "code": drug("6130"),
        "patient": subject(),
        **more,
    }


def procedure(id_: str = "p1", **more: Any) -> Json:
    return {
        "resourceType": "Procedure",
        "id": id_,
        "status": "completed",
        "code": concept("236886002", text="Hysterectomy"),
        "subject": subject(),
        "performedDateTime": "2019-04-02",
        **more,
    }


def response(*items: Json, id_: str = "q1", **more: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "status": "completed",
        "subject": subject(),
        "authored": "2026-10-20T09:30:00Z",
        "item": list(items),
        **more,
    }


def item(link_id: str | None, *answers: Json, **more: Any) -> Json:
    named = {} if link_id is None else {"linkId": link_id}
    return {**named, "answer": list(answers), **more}


def outcome(severity: str, code: str = "processing") -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def entry(resource: Json, **more: Any) -> Json:
    return {"resource": resource, **more}


def bundle(*resources: Json, type_: str | None = "searchset", **more: Any) -> Json:
    head = {"resourceType": "Bundle"} if type_ is None else {"resourceType": "Bundle", "type": type_}
    return {**head, **more, "entry": [one if "resource" in one else entry(one) for one in resources]}


def data(resource: Any) -> bytes:
    return json.dumps(resource).encode()


def facts(*resources: Json, as_of: AsOf = AS_OF, wanted: frozenset[CodeKey] = WANTED) -> PatientFacts:
    """The facts of a Bundle of the patient and these resources."""
    listed: Iterable[Json] = resources
    if not any((one.get("resource") or one).get("resourceType") == "Patient" for one in resources):
        listed = [patient(), *resources]
    return facts_from_bundle(data(bundle(*listed, type_="collection")), as_of=as_of, observation_codes=wanted)
