"""Synthetic order-select requests of a given size, written as a certified US EHR writes them.

Each resource carries meta, narrative, several codings and displays; the same arguments give the same bytes.
"""

import json
from typing import Any

HOOK_INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
PATIENT = "bench-1"
EMPTY = (
    "allergies",
    "bodyWeight",
    "cognitionAndThyroid",
    "depressionScreens",
    "liverLabs",
    "pregnancyObservations",
    "pregnancyTests",
    "procedures",
    "questionnaireResponses",
    "substanceScreens",
    "suicideScreens",
)
"""Keys of the service whose searches found nothing."""
_SNOMED = "http://snomed.info/sct"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_LOINC = "http://loinc.org"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_CONDITIONS = [
    ("370143000", "F33.2", "Major depressive disorder"),
    ("59621000", "I10", "Essential hypertension"),
    ("44054006", "E11.9", "Type 2 diabetes mellitus"),
    ("195967001", "J45.909", "Asthma"),
    ("396275006", "M19.90", "Osteoarthritis"),
    ("55822004", "E78.5", "Hyperlipidemia"),
    ("40930008", "E03.9", "Hypothyroidism"),
    ("235595009", "K21.9", "Gastro-oesophageal reflux disease"),
]
_DRUGS = [
    ("312938", "sertraline 100 MG Oral Tablet", 100),
    ("314200", "pantoprazole 40 MG Oral Tablet", 40),
    ("617311", "atorvastatin 40 MG Oral Tablet", 40),
    ("860975", "metformin hydrochloride 500 MG Oral Tablet", 500),
    ("314076", "lisinopril 10 MG Oral Tablet", 10),
    ("966222", "levothyroxine sodium 0.05 MG Oral Tablet", 0),
]
_LABS = [
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 98.5),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 13.2),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0.93),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 6.1),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 187.0),
]


def order_select(conditions: int, medications: int, observations: int) -> bytes:
    """A request whose prefetch holds so many resources; a tenth of the observations are blood pressures."""
    prefetch: dict[str, Any] = {
        "patient": _patient(),
        "conditions": _searchset("Condition", [_condition(number) for number in range(conditions)]),
        "medicationRequests": _searchset("MedicationRequest", [_request(number) for number in range(medications)]),
        "medicationStatements": _searchset("MedicationStatement", []),
        "medicationDispenses": _searchset("MedicationDispense", []),
        "bloodPressure": _searchset("Observation", [_observation(number) for number in range(observations)]),
    }
    for key in EMPTY:
        prefetch[key] = _searchset(key, [])
    request = {
        "hook": "order-select",
        "hookInstance": HOOK_INSTANCE,
        "context": {
            "userId": "Practitioner/bench",
            "patientId": PATIENT,
            "selections": ["MedicationRequest/draft-1"],
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _draft()}]},
        },
        "prefetch": prefetch,
    }
    return json.dumps(request, separators=(",", ":")).encode()


def _searchset(kind: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [
        {"fullUrl": f"https://ehr.example.org/r4/{kind}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def _base(kind: str, number: int, text: str) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": f"{kind.lower()}-{number}",
        "meta": {
            "versionId": "3",
            "lastUpdated": "2026-09-17T08:15:30.123Z",
            "profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{kind.lower()}"],
        },
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{text}</b></p><p>Recorded in clinic.</p></div>',
        },
    }


def _subject() -> dict[str, str]:
    return {"reference": f"Patient/{PATIENT}", "display": "Bench, Patient"}


def _patient() -> dict[str, Any]:
    return {**_base("Patient", 1, "Patient"), "id": PATIENT, "gender": "female", "birthDate": "1961-05-04"}


def _condition(number: int) -> dict[str, Any]:
    snomed, icd, text = _CONDITIONS[number % len(_CONDITIONS)]
    return {
        **_base("Condition", number, text),
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "verificationStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                        "code": "problem-list-item",
                        "display": "Problem List Item",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {"system": _SNOMED, "code": snomed, "display": text},
                {"system": _ICD, "code": icd, "display": text},
            ],
            "text": text,
        },
        "subject": _subject(),
        "onsetDateTime": f"{2010 + number % 16}-03-04",
        "recordedDate": f"{2010 + number % 16}-03-05T10:00:00Z",
    }


def _request(number: int) -> dict[str, Any]:
    code, text, dose = _DRUGS[number % len(_DRUGS)]
    return {
        **_base("MedicationRequest", number, text),
        "status": "completed",
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [
                {"system": _RXNORM, "code": code, "display": text},
                {"system": "urn:oid:1.2.3.4.5", "code": f"LOCAL-{code}", "display": text},
            ],
            "text": text,
        },
        "subject": _subject(),
        "authoredOn": f"{2015 + number % 11}-02-{1 + number % 28:02d}T09:30:00Z",
        "requester": {"reference": "Practitioner/7", "display": "Dr Example"},
        "dosageInstruction": [
            {
                "text": "one tablet daily",
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "route": {"coding": [{"system": _SNOMED, "code": "26643006", "display": "Oral route"}]},
                "doseAndRate": [
                    {
                        "doseQuantity": {
                            "value": dose,
                            "unit": "mg",
                            "system": "http://unitsofmeasure.org",
                            "code": "mg",
                        }
                    }
                ],
            }
        ],
        "dispenseRequest": {
            "numberOfRepeatsAllowed": 2,
            "expectedSupplyDuration": {
                "value": 30,
                "unit": "d",
                "system": "http://unitsofmeasure.org",
                "code": "d",
            },
        },
    }


def _observation(number: int) -> dict[str, Any]:
    when = f"{2018 + number % 9}-{1 + number % 12:02d}-{1 + number % 28:02d}T08:00:00Z"
    if number % 10 == 0:
        return {
            **_base("Observation", number, "Blood pressure"),
            "status": "final",
            "category": [_category("vital-signs")],
            "code": {"coding": [{"system": _LOINC, "code": "85354-9", "display": "Blood pressure panel"}]},
            "subject": _subject(),
            "effectiveDateTime": when,
            "component": [_part("8480-6", "Systolic", 128), _part("8462-4", "Diastolic", 78)],
        }
    code, text, unit, value = _LABS[number % len(_LABS)]
    return {
        **_base("Observation", number, text),
        "status": "final",
        "category": [_category("laboratory")],
        "code": {
            "coding": [
                {"system": _LOINC, "code": code, "display": text},
                {"system": "urn:oid:1.2.3.4.6", "code": f"LAB{number % 97}", "display": text},
            ],
            "text": text,
        },
        "subject": _subject(),
        "effectiveDateTime": when,
        "issued": when,
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        "referenceRange": [{"low": {"value": 1, "unit": unit}, "high": {"value": 300, "unit": unit}}],
    }


def _category(code: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"coding": [{"system": system, "code": code, "display": code}]}


def _part(code: str, text: str, value: int) -> dict[str, Any]:
    unit = {"unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    return {
        "code": {"coding": [{"system": _LOINC, "code": code, "display": text}]},
        "valueQuantity": {"value": value, **unit},
    }


def _draft() -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"coding": [{"system": _RXNORM, "code": "2119365", "display": "esketamine"}]},
        "subject": {"reference": f"Patient/{PATIENT}"},
        "dosageInstruction": [{"route": {"coding": [{"system": _SNOMED, "code": "46713006"}]}}],
    }
