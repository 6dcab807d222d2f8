"""Writes the synthetic cast: one FHIR R4 Bundle per patient into `cast/`, and the tables of `README.md`.

Run `python -m fhir_fixtures.make_cast` after adding or changing a patient. The output depends on nothing but this
file and `expected.yaml`: no clock, no randomness. What the rules are expected to find stands in `expected.yaml`,
which is written by hand; a patient is never built from what the code answers.
"""

import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
Code = tuple[str, str, str]  # system, code, display
When = int | str | None  # days before AS_OF, or a FHIR date as it stands, or not recorded

HERE = Path(__file__).parent
AS_OF = dt.date(2026, 11, 1)
BASE = "https://ehr.example.org/fhir"
# In the order in which the services list them.
RULES = (
    "prior-antidepressant-failures",
    "acute-suicidality",
    "depression-diagnosis",
    "aneurysmal-vascular-disease",
    "intracerebral-haemorrhage",
    "hypersensitivity",
    "age",
    "pregnancy",
    "lactation",
    "blood-pressure",
    "heart-disease",
    "cerebrovascular-disease",
    "intracranial-pressure",
    "substance-use",
    "psychosis",
    "bipolar",
    "cognition",
    "bladder",
    "liver",
    "hyperthyroidism",
    "cns-depressants",
    "blood-pressure-raising-drugs",
    "theophylline",
    "order-form",
)

SNOMED = "http://snomed.info/sct"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_OID = "urn:oid:2.16.840.1.113883.6.90"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"

# Depression
MDD_RECURRENT = (ICD, "F33.2", "Major depressive disorder, recurrent severe without psychotic features")
MDD_MODERATE = (ICD, "F33.1", "Major depressive disorder, recurrent, moderate")
MDD_SINGLE = (ICD, "F32.2", "Major depressive disorder, single episode, severe without psychotic features")
MDD_SINGLE_MODERATE = (ICD, "F32.1", "Major depressive disorder, single episode, moderate")
MDD_UNSPECIFIED = (ICD, "F32.9", "Major depressive disorder, single episode, unspecified")
MDD_SNOMED = (SNOMED, "370143000", "Major depressive disorder (disorder)")
MDD_REMISSION = (ICD, "F32.5", "Major depressive disorder, single episode, in full remission")
DEPRESSION_UNSPECIFIED = (ICD, "F32.A", "Depression, unspecified")
MDD_WITHOUT_PSYCHOSIS = (
    SNOMED,
    "36474008",
    "Severe recurrent major depression without psychotic features (disorder)",
)
MDD_PSYCHOTIC = (ICD, "F32.3", "Major depressive disorder, single episode, severe with psychotic features")
POSTPARTUM_DEPRESSION = (ICD, "F53.0", "Postpartum depression")
RESISTANT = (SNOMED, "1153570009", "Treatment resistant depression (disorder)")
BIPOLAR_DEPRESSED = (ICD, "F31.32", "Bipolar disorder, current episode depressed, moderate")
BIPOLAR_II = (SNOMED, "83225003", "Bipolar II disorder (disorder)")
ANXIETY = (ICD, "F41.1", "Generalized anxiety disorder")
MIGRAINE = (SNOMED, "37796009", "Migraine")
INSOMNIA = (SNOMED, "193462001", "Insomnia (disorder)")
CHRONIC_PAIN = (ICD, "G89.4", "Chronic pain syndrome")
SLEEP_APNEA = (ICD, "G47.33", "Obstructive sleep apnea (adult) (pediatric)")

# Antidepressants and others
SERTRALINE_50 = (RXNORM, "312941", "sertraline 50 MG Oral Tablet")
SERTRALINE_100 = (RXNORM, "312938", "sertraline 100 MG Oral Tablet")
ESCITALOPRAM_10 = (RXNORM, "349332", "escitalopram 10 MG Oral Tablet")
ESCITALOPRAM_20 = (RXNORM, "351250", "escitalopram 20 MG Oral Tablet")
FLUOXETINE_20 = (RXNORM, "310385", "fluoxetine 20 MG Oral Capsule")
FLUOXETINE_40 = (RXNORM, "313989", "fluoxetine 40 MG Oral Capsule")
PAROXETINE_20 = (RXNORM, "1738495", "paroxetine hydrochloride 20 MG Oral Tablet")
VENLAFAXINE_75 = (RXNORM, "313585", "24 HR venlafaxine 75 MG Extended Release Oral Capsule")
VENLAFAXINE_150 = (RXNORM, "313581", "24 HR venlafaxine 150 MG Extended Release Oral Capsule")
DULOXETINE_60 = (RXNORM, "596934", "duloxetine 60 MG Delayed Release Oral Capsule")
MIRTAZAPINE_30 = (RXNORM, "314111", "mirtazapine 30 MG Oral Tablet")
BUPROPION_300 = (RXNORM, "993557", "24 HR bupropion hydrochloride 300 MG Extended Release Oral Tablet")
TRAZODONE_50 = (RXNORM, "856377", "trazodone hydrochloride 50 MG Oral Tablet")
OLANZAPINE_FLUOXETINE = (RXNORM, "403972", "fluoxetine 50 MG / olanzapine 6 MG Oral Capsule")
DEXTROMETHORPHAN_BUPROPION = (
    RXNORM,
    "2611260",
    "bupropion hydrochloride 105 MG / dextromethorphan hydrobromide 45 MG Extended Release Oral Tablet",
)
ZOLOFT = (ATC, "N06AB06", "Zoloft 100 mg")
LITHIUM = (RXNORM, "6448", "Lithium")
ARIPIPRAZOLE = (RXNORM, "89013", "aripiprazole")
ESKETAMINE_KIT = (RXNORM, "2119390", "{2 (0.2 ML) (esketamine 140 MG/ML Nasal Spray) } Pack")
OXYCODONE_5 = (RXNORM, "1049621", "oxycodone hydrochloride 5 MG Oral Tablet")
METHOCARBAMOL = (RXNORM, "6845", "Methocarbamol")
TRANYLCYPROMINE_10 = (RXNORM, "313447", "tranylcypromine 10 MG Oral Tablet")
METHYLPHENIDATE_10 = (RXNORM, "1091150", "methylphenidate hydrochloride 10 MG Oral Tablet")
LINEZOLID = (RXNORM, "190376", "linezolid")
MAO_B_INHIBITORS = (ATC, "N04BD", "Monoamine oxidase B inhibitors")
ALPRAZOLAM_1 = (RXNORM, "197321", "alprazolam 1 MG Oral Tablet")
ZOLPIDEM_10 = (RXNORM, "854873", "zolpidem tartrate 10 MG Oral Tablet")
GABAPENTIN = (RXNORM, "25480", "gabapentin")
NALTREXONE = (RXNORM, "7243", "naltrexone")
CODEINE_COUGH_SYRUP = (RXNORM, "1114026", "codeine phosphate 1.6 MG/ML / guaifenesin 40 MG/ML Oral Solution")
THEOPHYLLINE = (RXNORM, "10438", "Theophylline")
LEVOTHYROXINE = (RXNORM, "10582", "levothyroxine")
KETAMINE = (RXNORM, "6130", "Ketamine")
NO_RESPONSE = (SNOMED, "266721009", "Absent response to treatment (situation)")
ADVERSE_REACTION = (SNOMED, "62014003", "Adverse reaction caused by drug (disorder)")
INTOLERANCE = (f"{HL7}/medicationrequest-status-reason", "sintol", "Suspected intolerance")

# Suicidality
IDEATION = (ICD, "R45.851", "Suicidal ideations")
SUICIDAL_THOUGHTS = (SNOMED, "6471006", "Suicidal thoughts (finding)")
PLANNING_SUICIDE = (SNOMED, "247650009", "Planning suicide (finding)")
ATTEMPT = (ICD, "T14.91XA", "Suicide attempt, initial encounter")
ATTEMPT_LATER_VISIT = (ICD, "T14.91XD", "Suicide attempt, subsequent encounter")
ATTEMPT_HISTORY = (ICD, "Z91.51", "Personal history of suicidal behavior")
CSSRS = {
    1: (LOINC, "93246-7", "Wish to be dead"),
    2: (LOINC, "93247-5", "Non-specific active suicidal thoughts"),
    3: (LOINC, "93248-3", "Active ideation with any methods (not plan) without intent"),
    4: (LOINC, "93249-1", "Active ideation with some intent, without specific plan"),
    5: (LOINC, "93250-9", "Active ideation with specific plan and intent"),
}
CSSRS_SCREENER = (LOINC, "93373-9", "C-SSRS screener - recent")
WORST_MONTH = (LOINC, "93293-9", "Most severe suicidal ideation 1 month")
WORST_LIFETIME = (LOINC, "93294-7", "Most severe suicidal ideation lifetime")
PLAN_AND_INTENT = (LOINC, "LA30374-5", "5 specific plan and intent")
PHQ9_PANEL = (LOINC, "44249-1", "PHQ-9 quick depression assessment panel [Reported.PHQ]")
PHQ9_TOTAL = (LOINC, "44261-6", "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]")
PHQ9_ITEM_9 = (
    LOINC,
    "44260-8",
    "Thoughts that you would be better off dead, or of hurting yourself in some way in last 2 weeks [Reported.PHQ]",
)
SEVERAL_DAYS = (LOINC, "LA6569-3", "Several days")
# Three ways of answering yes and no that are found in practice: LOINC answers, HL7's table 0136, a boolean.
YES_LOINC, NO_LOINC = (LOINC, "LA33-6", "Yes"), (LOINC, "LA32-8", "No")
YES_HL7, NO_HL7 = (f"{HL7}/v2-0136", "Y", "Yes"), (f"{HL7}/v2-0136", "N", "No")

# Pregnancy
NORMAL_PREGNANCY = (SNOMED, "72892002", "Normal pregnancy (finding)")
SUPERVISION = (ICD, "Z34.90", "Encounter for supervision of normal pregnancy, unspecified, unspecified trimester")
DELIVERY_OUTCOME = (ICD, "Z37.0", "Single live birth")
PREGNANCY_STATUS = (LOINC, "82810-3", "Pregnancy status")
PREGNANT = (SNOMED, "77386006", "Pregnancy (finding)")
NOT_PREGNANT = (LOINC, "LA26683-5", "Not pregnant")
DELIVERY_DATE = (LOINC, "11778-8", "Delivery date estimated")
LAST_PERIOD = (LOINC, "8665-2", "Last menstrual period start date")
HCG_URINE = (LOINC, "2106-3", "Choriogonadotropin (pregnancy test) [Presence] in Urine")
HCG_SERUM = (LOINC, "19080-1", "Choriogonadotropin [Units/volume] in Serum or Plasma")
LACTATING = (SNOMED, "169750002", "Mother currently breast-feeding")
HYSTERECTOMY = (SNOMED, "116140006", "Total hysterectomy (procedure)")
POSITIVE = (f"{HL7}/v3-ObservationInterpretation", "POS", "Positive")
NEGATIVE = (f"{HL7}/v3-ObservationInterpretation", "NEG", "Negative")

# Blood pressure and heart
BP_PANEL = (LOINC, "85354-9", "Blood pressure panel with all children optional")
BP_MEAN_PANEL = (LOINC, "96607-7", "Blood pressure panel mean systolic and mean diastolic")
SYSTOLIC = (LOINC, "8480-6", "Systolic blood pressure")
DIASTOLIC = (LOINC, "8462-4", "Diastolic blood pressure")
HYPERTENSION = (SNOMED, "59621000", "Essential hypertension (disorder)")
HYPERTENSION_ICD = (ICD, "I10", "Essential (primary) hypertension")
HYPERTENSIVE_URGENCY = (ICD, "I16.0", "Hypertensive urgency")
HIGH_READING = (ICD, "R03.0", "Elevated blood-pressure reading, without diagnosis of hypertension")
OCULAR_HYPERTENSION = (SNOMED, "4210003", "Ocular hypertension (disorder)")
HYPERTENSIVE_HEART = (ICD, "I11.0", "Hypertensive heart disease with heart failure")
HEART_FAILURE = (SNOMED, "84114007", "Heart failure (disorder)")
HEART_FAILURE_SYSTOLIC = (ICD, "I50.22", "Chronic systolic (congestive) heart failure")
INFARCTION = (ICD, "I21.4", "Non-ST elevation (NSTEMI) myocardial infarction")
OLD_INFARCTION = (ICD, "I25.2", "Old myocardial infarction")
CORONARY_DISEASE = (
    ICD_OID,
    "I25.10",
    "Atherosclerotic heart disease of native coronary artery without angina pectoris",
)
ATRIAL_FIBRILLATION = (SNOMED, "49436004", "Atrial fibrillation (disorder)")
BUNDLE_BRANCH_BLOCK = (ICD, "I45.10", "Unspecified right bundle-branch block")
MITRAL_PROLAPSE = (ICD, "I34.1", "Nonrheumatic mitral (valve) prolapse")
STROKE = (ICD, "I63.9", "Cerebral infarction, unspecified")

# Vessels and brain
AORTIC_ANEURYSM = (ICD, "I71.40", "Abdominal aortic aneurysm, without rupture, unspecified")
AORTIC_STENT = (SNOMED, "444588006", "Endovascular repair of abdominal aortic aneurysm")
DIALYSIS_FISTULA = (ICD, "I77.0", "Arteriovenous fistula, acquired")
BRAIN_HAEMORRHAGE = (ICD, "I61.9", "Nontraumatic intracerebral hemorrhage, unspecified")
SUBDURAL_HAEMORRHAGE = (ICD, "I62.03", "Nontraumatic chronic subdural hemorrhage")
HYPERTENSIVE_ENCEPHALOPATHY = (ICD, "I67.4", "Hypertensive encephalopathy")
INTRACRANIAL_HYPERTENSION = (ICD, "G93.2", "Benign intracranial hypertension")
HYDROCEPHALUS = (ICD, "G91.2", "(Idiopathic) normal pressure hydrocephalus")
MENINGIOMA = (ICD, "D32.0", "Benign neoplasm of cerebral meninges")
CONCUSSION = (ICD, "S06.0X0A", "Concussion without loss of consciousness, initial encounter")
EPILEPSY = (ICD, "G40.909", "Epilepsy, unspecified, not intractable, without status epilepticus")

# Allergies
NO_KNOWN_ALLERGY = (SNOMED, "716186003", "No known allergy (situation)")
HIVES = (SNOMED, "126485001", "Urticaria")

# Mind
DISSOCIATIVE_IDENTITY = (ICD, "F44.81", "Dissociative identity disorder")
SCHIZOTYPAL = (ICD, "F21", "Schizotypal disorder")
DELIRIUM = (ICD, "F05", "Delirium due to known physiological condition")
CANNABIS_PSYCHOSIS = (ICD, "F12.259", "Cannabis dependence with psychotic disorder, unspecified")
STIMULANT_PSYCHOSIS = (
    ICD,
    "F15.259",
    "Other stimulant dependence with stimulant-induced psychotic disorder, unspecified",
)
ALZHEIMER = (ICD, "G30.9", "Alzheimer's disease, unspecified")
DEMENTIA = (
    ICD,
    "F03.90",
    "Unspecified dementia, unspecified severity, without behavioral disturbance, psychotic disturbance, mood "
    "disturbance, and anxiety",
)
MILD_IMPAIRMENT = (ICD, "G31.84", "Mild cognitive impairment of uncertain or unknown etiology")
MOCA = (LOINC, "72172-0", "Total score [MoCA]")

# Bladder, liver and thyroid
INTERSTITIAL_CYSTITIS = (SNOMED, "197834003", "Chronic interstitial cystitis (disorder)")
CHRONIC_CYSTITIS = (ICD, "N30.20", "Other chronic cystitis without hematuria")
IRRADIATION_CYSTITIS = (ICD, "N30.40", "Irradiation cystitis without hematuria")
BACTERIAL_CYSTITIS = (ICD, "N30.00", "Acute cystitis without hematuria")
DYSURIA = (ICD, "R30.0", "Dysuria")
URGE_INCONTINENCE = (ICD, "N39.41", "Urge incontinence")
CHRONIC_HEPATIC_FAILURE = (ICD, "K72.10", "Chronic hepatic failure without coma")
ACUTE_HEPATIC_FAILURE = (ICD, "K72.00", "Acute and subacute hepatic failure without coma")
CIRRHOSIS = (ICD, "K74.60", "Unspecified cirrhosis of liver")
CIRRHOSIS_SNOMED = (SNOMED, "19943007", "Cirrhosis of liver (disorder)")
BILIRUBIN = (LOINC, "1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma")
ALBUMIN = (LOINC, "1751-7", "Albumin [Mass/volume] in Serum or Plasma")
INR = (LOINC, "6301-6", "INR in Platelet poor plasma by Coagulation assay")
ALT = (LOINC, "1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma")
GRAVES_DISEASE = (ICD, "E05.00", "Thyrotoxicosis with diffuse goiter without thyrotoxic crisis or storm")
OVERACTIVE_THYROID = (ICD, "E05.90", "Thyrotoxicosis, unspecified without thyrotoxic crisis or storm")
TSH = (LOINC, "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma")

# Substance use
ALCOHOL_DEPENDENCE = (ICD, "F10.20", "Alcohol dependence, uncomplicated")
ALCOHOL_DEPENDENCE_SNOMED = (SNOMED, "66590003", "Alcohol dependence (disorder)")
ALCOHOL_REMISSION = (ICD, "F10.21", "Alcohol dependence, in remission")
ALCOHOL_USE = (ICD, "F10.90", "Alcohol use, unspecified, uncomplicated")
ALCOHOL_INTOXICATION = (SNOMED, "25702006", "Alcohol intoxication")
KETAMINE_DEPENDENCE = (SNOMED, "724715004", "Ketamine dependence (disorder)")
HALLUCINOGEN_DEPENDENCE = (SNOMED, "38247002", "Hallucinogen dependence (disorder)")
NICOTINE = (ICD, "F17.210", "Nicotine dependence, cigarettes, uncomplicated")
FAMILY_ALCOHOL = (ICD, "Z81.1", "Family history of alcohol abuse and dependence")
AUDIT_C = (LOINC, "75626-2", "Total score [AUDIT-C]")
WEIGHT = (LOINC, "29463-7", "Body weight")
HEART_RATE = (LOINC, "8867-4", "Heart rate")


def day(ago: int) -> str:
    """The date that many days before the as-of day."""
    return (AS_OF - dt.timedelta(days=ago)).isoformat()


def date_text(when: When) -> str | None:
    """A FHIR date: days before the as-of day are counted, text stands as it is."""
    return day(when) if isinstance(when, int) else when


def concept(*codes: Code, text: str | None = None) -> Json:
    """A CodeableConcept."""
    found: Json = {"coding": [{"system": system, "code": code, "display": name} for system, code, name in codes]}
    return found | ({"text": text} if text else {})


def quantity(value: float, unit: str, ucum: str | None = None) -> Json:
    """A Quantity in UCUM; `ucum` is the code where it differs from the printed unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": ucum or unit}


def dosage(
    mg: float | None, per_day: int = 1, text: str | None = None, prn: bool = False, bedtime: bool = False
) -> Json:
    """A dosage instruction; without `mg` it says only its text."""
    found: Json = {"text": text} if text else {}
    if mg is not None:
        repeat: Json = {"frequency": per_day, "period": 1, "periodUnit": "d"}
        found["timing"] = {"repeat": repeat | ({"when": ["HS"]} if bedtime else {})}
        found["doseAndRate"] = [{"doseQuantity": quantity(mg, "mg")}]
    if prn:
        found["asNeededBoolean"] = True
    return found


def without_none(resource: Json) -> Json:
    """The resource without the elements that are not recorded."""
    return {name: value for name, value in resource.items() if value is not None and value != []}


class Chart:
    """One patient's Bundle while it is being written. Ids come from the file name and a running number."""

    def __init__(self, stem: str, name: str, gender: str | None, birth: str | None) -> None:
        self.stem = stem
        self.patient_id = stem[:64].rstrip("-.")
        self.mark = hashlib.sha256(stem.encode()).hexdigest()[:6]
        self.bundle_type = "collection"
        self.urn = False
        self.entries: list[Json] = []
        self.numbers: dict[str, int] = {}
        given, family = name.rsplit(" ", 1)
        self.patient: Json = without_none(
            {
                "resourceType": "Patient",
                "id": self.patient_id,
                "name": [{"use": "official", "text": name, "family": family, "given": given.split(" ")}],
                "gender": gender,
                "birthDate": birth,
            }
        )

    def full_url(self, kind: str, identity: str) -> str:
        """Where the entry stands: a urn:uuid or an address of the imagined EHR."""
        address = f"{BASE}/{kind}/{identity}"
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, address)}" if self.urn else address

    def reference(self, kind: str, identity: str) -> Json:
        """A Reference in the Bundle's own manner."""
        return {"reference": self.full_url(kind, identity) if self.urn else f"{kind}/{identity}"}

    @property
    def subject(self) -> Json:
        """The reference to the patient."""
        return self.reference("Patient", self.patient_id)

    def add(self, kind: str, content: Json) -> Json:
        """Adds a resource and returns a Reference to it; `content` may replace any element."""
        self.numbers[kind] = self.numbers.get(kind, 0) + 1
        identity = f"{self.mark}-{kind.lower()}-{self.numbers[kind]}"
        self.entries.append({"resourceType": kind, "id": identity} | without_none(content))
        return self.reference(kind, identity)

    def bundle(self) -> Json:
        """The finished Bundle."""
        entries = [self.entry(resource) for resource in [self.patient, *self.entries]]
        found: Json = {"resourceType": "Bundle", "id": f"{self.mark}-bundle", "type": self.bundle_type}
        if self.bundle_type == "searchset":
            link = f"{BASE}/Patient/{self.patient_id}/$everything"
            found |= {"total": len(entries), "link": [{"relation": "self", "url": link}]}
        return found | {"entry": entries}

    def entry(self, resource: Json) -> Json:
        """One entry, with what the Bundle's type asks for."""
        kind, identity = resource["resourceType"], resource["id"]
        found: Json = {"fullUrl": self.full_url(kind, identity), "resource": resource}
        if self.bundle_type in ("transaction", "batch"):
            found["request"] = {"method": "PUT", "url": f"{kind}/{identity}"}
        if self.bundle_type == "searchset":
            found["search"] = {"mode": "match"}
        return found

    def condition(
        self,
        *codes: Code,
        onset: When = None,
        recorded: When = None,
        clinical: str | None = "active",
        verification: str | None = "confirmed",
        abatement: When = None,
        category: str = "problem-list-item",
    ) -> Json:
        """A Condition; its recorded date is its onset unless given."""
        status = {
            "clinicalStatus": ("condition-clinical", clinical),
            "verificationStatus": ("condition-ver-status", verification),
        }
        statuses = {
            name: {"coding": [{"system": f"{HL7}/{system}", "code": code}]}
            for name, (system, code) in status.items()
            if code
        }
        content = statuses | {
            "category": [{"coding": [{"system": f"{HL7}/condition-category", "code": category}]}],
            "code": concept(*codes),
            "subject": self.subject,
            "onsetDateTime": date_text(onset),
            "abatementDateTime": date_text(abatement),
            "recordedDate": date_text(recorded if recorded is not None else onset),
        }
        return self.add("Condition", content)

    def statement(
        self,
        drug: Code | str,
        start: When,
        end: When = None,
        mg: float | None = None,
        *,
        per_day: int = 1,
        status: str = "completed",
        sig: str | None = None,
        prn: bool = False,
        reasons: tuple[Code, ...] = (),
        stopped_for: Code | None = None,
        steps: list[Json] | None = None,
        **more: Any,
    ) -> None:
        """A MedicationStatement taken from `start` to `end`, `mg` per intake. A drug given as text has no code."""
        period = without_none({"start": date_text(start), "end": date_text(end)})
        simple = dosage(mg, per_day, sig, prn)
        content: Json = {
            "status": status,
            "statusReason": [concept(stopped_for)] if stopped_for else None,
            "medicationCodeableConcept": {"text": drug} if isinstance(drug, str) else concept(drug),
            "subject": self.subject,
            "effectivePeriod": period or None,
            "dateAsserted": date_text(start),
            "reasonCode": [concept(code) for code in reasons],
            "dosage": steps or ([simple] if simple else None),
        }
        self.add("MedicationStatement", content | more)

    def request(
        self,
        drug: Code,
        authored: When,
        mg: float | None = None,
        *,
        status: str = "completed",
        per_day: int = 1,
        supply: Json | None = None,
        reasons: tuple[Code, ...] = (),
        stopped_for: Code | None = None,
        **more: Any,
    ) -> None:
        """A MedicationRequest; `supply` is its dispenseRequest."""
        content: Json = {
            "status": status,
            "statusReason": concept(stopped_for) if stopped_for else None,
            "intent": "order",
            "medicationCodeableConcept": concept(drug),
            "subject": self.subject,
            "authoredOn": date_text(authored),
            "reasonCode": [concept(code) for code in reasons],
            "dosageInstruction": [dosage(mg, per_day)] if mg is not None else None,
            "dispenseRequest": supply,
        }
        self.add("MedicationRequest", content | more)

    def dispense(self, drug: Code | Json, handed_over: int, days: int, pieces: int) -> None:
        """A MedicationDispense of so many tablets for so many days; a reference stands in place of a code."""
        medication = (
            {"medicationCodeableConcept": concept(drug)} if isinstance(drug, tuple) else {"medicationReference": drug}
        )
        content = {
            "status": "completed",
            "subject": self.subject,
            "quantity": {"value": pieces, "unit": "tablet"},
            "daysSupply": quantity(days, "d"),
            "whenHandedOver": f"{day(handed_over)}T15:30:00Z",
        }
        self.add("MedicationDispense", medication | content)

    def observe(self, code: Code, ago: When, value: Json, category: str, time: str = "09:00:00", **more: Any) -> Json:
        """A final Observation; `value` holds the `value[x]` or the components."""
        moment = f"{date_text(ago)}T{time}Z"
        content = {
            "status": "final",
            "category": [{"coding": [{"system": f"{HL7}/observation-category", "code": category}]}],
            "code": concept(code),
            "subject": self.subject,
            "effectiveDateTime": moment,
        }
        return self.add("Observation", content | value | more)

    def pressure(
        self, systolic: float, diastolic: float, ago: int, panel: Code = BP_PANEL, unit: Json | None = None
    ) -> None:
        """A blood-pressure panel in mm[Hg], or in the unit given as the members of a Quantity."""
        measured = quantity(0, "mm[Hg]") if unit is None else unit
        parts = [(SYSTOLIC, systolic), (DIASTOLIC, diastolic)]
        components = [{"code": concept(code), "valueQuantity": measured | {"value": value}} for code, value in parts]
        self.observe(panel, ago, {"component": components}, "vital-signs")

    def lone_pressure(self, code: Code, value: float, ago: int, time: str = "09:00:00") -> None:
        """A systolic or a diastolic value as an Observation of its own."""
        self.observe(code, ago, {"valueQuantity": quantity(value, "mm[Hg]")}, "vital-signs", time)

    def phq9(self, total: int, ago: int) -> None:
        """A PHQ-9 total as a quantity."""
        self.observe(PHQ9_TOTAL, ago, {"valueQuantity": quantity(total, "{score}")}, "survey")

    def item_9(self, value: int, ago: int) -> None:
        """The ninth item of a PHQ-9, as an integer."""
        self.observe(PHQ9_ITEM_9, ago, {"valueInteger": value}, "survey")

    def screen(self, ago: int, yes: Code | None = YES_LOINC, no: Code | None = NO_LOINC, **items: bool) -> None:
        """C-SSRS screener answers as Observations, `q1=True` and so on; `yes=None` writes booleans."""
        for name, answer in items.items():
            coded = yes if answer else no
            value = {"valueCodeableConcept": concept(coded)} if coded else {"valueBoolean": answer}
            self.observe(CSSRS[int(name[1:])], ago, value, "survey")

    def screener_panel(self, ago: int, **items: bool) -> None:
        """The C-SSRS screener as one panel with an answer per component."""
        components = [
            {"code": concept(CSSRS[int(name[1:])]), "valueCodeableConcept": concept(YES_HL7 if answer else NO_HL7)}
            for name, answer in items.items()
        ]
        self.observe(CSSRS_SCREENER, ago, {"component": components}, "survey")

    def negative_screen(self, ago: int) -> None:
        """The first two C-SSRS items answered no, on one day."""
        self.screen(ago, q1=False, q2=False)

    def audit_c(self, score: int, ago: int) -> None:
        """An AUDIT-C total."""
        self.observe(AUDIT_C, ago, {"valueQuantity": quantity(score, "{score}")}, "survey")

    def pregnancy_status(self, answer: Code, ago: int) -> None:
        """A recorded pregnancy status."""
        self.observe(PREGNANCY_STATUS, ago, {"valueCodeableConcept": concept(answer)}, "social-history")

    def urine_test(self, result: Code, ago: int) -> None:
        """A qualitative hCG test."""
        value = {"valueCodeableConcept": concept(result), "interpretation": [concept(result)]}
        self.observe(HCG_URINE, ago, value, "laboratory")

    def hcg(self, value: float, unit: str, ago: int) -> None:
        """A quantitative hCG."""
        self.observe(HCG_SERUM, ago, {"valueQuantity": quantity(value, unit)}, "laboratory")

    def weight(self, kilograms: float, ago: int) -> None:
        """A measured body weight."""
        self.observe(WEIGHT, ago, {"valueQuantity": quantity(kilograms, "kg")}, "vital-signs")

    def lab(self, code: Code, value: float, unit: str, ago: int, high: float | None = None) -> None:
        """A laboratory value; `high` is the upper end of the laboratory's reference range."""
        limits: Json = {"referenceRange": [{"high": quantity(high, unit)}]} if high is not None else {}
        self.observe(code, ago, {"valueQuantity": quantity(value, unit)}, "laboratory", **limits)

    def allergy(self, code: Code, kind: str | None = "allergy", reaction: Code | None = None, **more: Any) -> None:
        """An active, confirmed AllergyIntolerance, recorded 1000 days ago; `kind` is its type."""
        statuses = {"clinicalStatus": ("clinical", "active"), "verificationStatus": ("verification", "confirmed")}
        content: Json = {
            name: {"coding": [{"system": f"{HL7}/allergyintolerance-{system}", "code": status}]}
            for name, (system, status) in statuses.items()
        }
        content |= {
            "type": kind,
            "code": concept(code),
            "patient": self.subject,
            "recordedDate": day(1000),
            "reaction": [{"manifestation": [concept(reaction)]}] if reaction else [],
        }
        self.add("AllergyIntolerance", content | more)

    def procedure(self, code: Code, performed: When) -> None:
        """A completed Procedure."""
        content = {
            "status": "completed",
            "code": concept(code),
            "subject": self.subject,
            "performedDateTime": date_text(performed),
        }
        self.add("Procedure", content)

    def answered(self, ago: int, answers: list[tuple[Code, Json]]) -> None:
        """A completed QuestionnaireResponse; a question's linkId ends in its LOINC code, as US servers write it."""
        items = [{"linkId": f"/{code[1]}", "text": code[2], "answer": [answer]} for code, answer in answers]
        content = {
            "status": "completed",
            "subject": self.subject,
            "authored": f"{day(ago)}T10:15:00Z",
            "item": items,
        }
        self.add("QuestionnaireResponse", content)

    def depressed(self, code: Code = MDD_MODERATE) -> None:
        """The plain chart: a current major depression, one adequate trial and a normal recent blood pressure."""
        self.condition(code, onset=320)
        self.one_adequate_trial()
        self.pressure(118, 76, 5)

    def one_adequate_trial(self) -> None:
        """Sertraline 100 mg for 113 days, ended 180 days ago."""
        self.statement(SERTRALINE_100, 292, 180, 100)

    def two_adequate_trials(self) -> None:
        """Sertraline 100 mg for 113 days, then venlafaxine 150 mg for 101 days, ended 70 days ago."""
        self.one_adequate_trial()
        self.statement(VENLAFAXINE_150, 170, 70, 150)


Author = Callable[[Chart], None]
CAST: list[tuple[str, str, str | None, str | None, Author]] = []


def patient(name: str, gender: str | None, birth: str | None) -> Callable[[Author], Author]:
    """Adds a patient to the cast: the function's name is the sentence and the file's name, its body the chart."""

    def register(author: Author) -> Author:
        CAST.append((author.__name__.replace("_", "-"), name, gender, birth, author))
        return author

    return register


# --- How many antidepressants have been tried -------------------------------------------------------------------


@patient("Otto Exempel", "male", "1979-03-12")
def two_adequate_trials_and_still_depressed(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=426)
    c.statement(SERTRALINE_100, 412, 300, 100, reasons=(MDD_RECURRENT,))
    c.statement(VENLAFAXINE_150, 295, 120, 150, reasons=(MDD_RECURRENT,))
    c.observe(PHQ9_TOTAL, 4, {"valueInteger": 19}, "survey")
    c.pressure(128, 78, 5)


@patient("Ida Mockridge", "female", "1965-02-08")
def two_trials_seen_only_in_pharmacy_dispenses(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    for handed_over in (300, 270, 240):
        c.dispense(ESCITALOPRAM_10, handed_over, days=30, pieces=60)
    strength = {"numerator": quantity(30, "mg"), "denominator": {"value": 1, "unit": "tablet"}}
    ingredient = {"itemCodeableConcept": concept((RXNORM, "15996", "Mirtazapine")), "strength": strength}
    tablet = c.add("Medication", {"code": concept(MIRTAZAPINE_30), "ingredient": [ingredient]})
    for handed_over in (200, 170, 140):
        c.dispense(tablet, handed_over, days=30, pieces=30)
    c.negative_screen(3)
    c.pressure(152, 88, 2)


@patient("Levi Sampleton", "male", "1990-07-19")
def two_prescriptions_with_repeats_and_no_other_record(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=400)
    monthly = {"numberOfRepeatsAllowed": 2, "quantity": {"value": 30}, "expectedSupplyDuration": quantity(30, "d")}
    c.request(PAROXETINE_20, 380, 20, supply=monthly)
    contained = {"resourceType": "Medication", "id": "capsule", "code": concept(DULOXETINE_60)}
    c.request(
        DULOXETINE_60,
        280,
        60,
        supply={"validityPeriod": {"start": day(280), "end": day(190)}},
        contained=[contained],
        medicationReference={"reference": "#capsule"},
        medicationCodeableConcept=None,
    )
    c.pressure(140, 90, 1)
    c.audit_c(3, 20)


@patient("Noor Placeholder", "female", "1992-05-30")
def resistance_coded_by_her_psychiatrist(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=800)
    c.condition(RESISTANT, onset=90)
    c.statement(SERTRALINE_100, 600, None, status="active", sig="as directed by psychiatry")
    c.screen(5, q1=True, q2=True, q3=False)
    c.pregnancy_status(NOT_PREGNANT, 12)
    c.pressure(141, 80, 3)


@patient("Bruno Testerman", "male", "1984-11-02")
def six_weeks_to_the_day_twice(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=200)
    c.statement(FLUOXETINE_20, 190, 149, 20)
    c.statement(BUPROPION_300, 140, 99, 300)
    c.screener_panel(6, q1=True, q2=True, q3=True, q4=False, q5=False)
    c.pressure(130, 91, 4)


@patient("Clara Fixtura", "female", "1971-03-03")
def one_day_short_of_six_weeks(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=220)
    c.condition(ALCOHOL_DEPENDENCE, onset=2000)
    c.statement(SERTRALINE_100, 200, 159, 100)
    c.statement(MIRTAZAPINE_30, 150, 110, 30)
    c.phq9(12, 3)
    c.item_9(0, 3)


@patient("Dora Demo", "female", "1966-01-25")
def three_weeks_are_not_a_trial(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=260)
    c.condition(HEART_FAILURE_SYSTOLIC, onset=900)
    c.condition(ATTEMPT_HISTORY, recorded=3000)
    c.statement(SERTRALINE_100, 240, 181, 100)
    c.statement(ESCITALOPRAM_20, 120, 94, 20)
    c.pressure(126, 80, 31)


@patient("Emil Mustermann", "male", "1975-09-14")
def trazodone_fifty_at_night_is_for_sleep(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=300)
    c.condition(OLD_INFARCTION)
    c.condition(NICOTINE, onset=4000)
    c.statement(SERTRALINE_100, 250, 160, 100)
    c.statement(TRAZODONE_50, 280, 60, 50)
    c.item_9(1, 10)
    c.lone_pressure(SYSTOLIC, 128, 2, "09:00:00")
    c.lone_pressure(DIASTOLIC, 82, 2, "09:03:00")


@patient("Frida Exampleson", "female", "1996-06-06")
def months_of_tablets_at_a_dose_nobody_wrote(c: Chart) -> None:
    c.condition(MDD_UNSPECIFIED, onset=400)
    c.condition(MIGRAINE, onset=3000)
    c.statement(SERTRALINE_50, 380, 250, sig="take as directed")
    unitless = {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}
    c.statement(VENLAFAXINE_75, 240, 100, steps=[unitless | {"doseAndRate": [{"doseQuantity": {"value": 2}}]}])


@patient("Goran Synthman", "male", "1974-06-28")
def three_antidepressants_ordered_in_one_instant(c: Chart) -> None:
    c.bundle_type, c.urn = "transaction", True
    instant = "2025-06-12T13:07:33.140467+00:00"
    c.condition(MDD_SNOMED, onset=instant, category="encounter-diagnosis")
    c.condition(STROKE, onset=1500)
    c.condition(ALCOHOL_REMISSION, onset=2500)
    for drug, mg in ((FLUOXETINE_20, 20), (SERTRALINE_100, 100), (ESCITALOPRAM_20, 20)):
        c.request(drug, instant, mg, status="active")
    c.item_9(2, 40)
    c.lone_pressure(SYSTOLIC, 128, 2, "09:00:00")
    c.lone_pressure(DIASTOLIC, 82, 2, "09:10:00")


@patient("Hanna Sampleton", "female", "1999-02-17")
def stopped_but_nobody_wrote_when(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=400)
    c.condition(IDEATION, onset=12)
    c.condition(ALCOHOL_DEPENDENCE_SNOMED, onset=1500, clinical="remission")
    c.statement(FLUOXETINE_20, 380, None, 20, status="stopped")
    c.statement(VENLAFAXINE_150, 200, None, 150, status="stopped")
    c.pregnancy_status(PREGNANT, 10)
    c.pressure(185, 100, 1)


@patient("Ivo Mockridge", "male", "1981-12-01")
def stopped_for_side_effects_is_not_failure(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=500)
    c.condition(HYPERTENSIVE_URGENCY, onset=1)
    c.condition(ATRIAL_FIBRILLATION, onset="2019-04", clinical="resolved", abatement="2020-01")
    c.statement(SERTRALINE_100, 480, 380, 100)
    c.statement(VENLAFAXINE_150, 370, 290, 150, status="stopped", stopped_for=ADVERSE_REACTION)
    supply = {"validityPeriod": {"start": day(280), "end": day(190)}}
    c.request(FLUOXETINE_20, 280, 20, status="stopped", stopped_for=INTOLERANCE, supply=supply)
    c.screen(2, q1=True, q2=True, q3=True, q4=True, q5=True)
    c.pressure(178, 112, 1)
    c.audit_c(6, 15)


@patient("Jana Testova", "female", "1988-08-21")
def no_response_written_as_the_reason_for_stopping(c: Chart) -> None:
    c.condition(MDD_RECURRENT, recorded=300)
    c.condition(HYPERTENSION, onset=1200)
    c.condition(HEART_FAILURE, onset=40, verification="refuted", clinical=None)
    c.statement(SERTRALINE_100, 290, 200, 150, status="stopped", stopped_for=NO_RESPONSE)
    c.statement(VENLAFAXINE_150, 195, 90, 225, status="stopped", stopped_for=NO_RESPONSE)
    c.observe(WORST_MONTH, 4, {"valueCodeableConcept": concept(PLAN_AND_INTENT)}, "survey")
    c.urine_test(POSITIVE, 3)


@patient("Karl Exempel", "male", "1969-10-10")
def a_tablet_now_and_then_is_not_a_trial(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=350)
    c.condition(ATTEMPT, onset=60, category="encounter-diagnosis")
    c.condition(HYPERTENSION_ICD, onset=2000)
    c.condition(INFARCTION, onset=30)
    c.condition(ALCOHOL_USE, onset=100)
    c.statement(SERTRALINE_100, 340, 140, 100, prn=True)
    c.statement(ESCITALOPRAM_20, 130, 40, 20)
    c.negative_screen(3)
    c.pressure(128, 76, 7)


@patient("Lea Placeholder", "female", "1993-04-04")
def escitalopram_for_anxiety_alone(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=450)
    c.condition(HYPERTENSION_ICD, onset=20, verification="provisional")
    c.condition(BUNDLE_BRANCH_BLOCK, onset=700)
    c.condition(FAMILY_ALCOHOL, recorded=900)
    c.statement(ESCITALOPRAM_20, 440, 320, 20, reasons=(ANXIETY,))
    c.statement(VENLAFAXINE_150, 300, 200, 150, reasons=(MDD_MODERATE, ANXIETY))
    c.screen(20, q1=True, q2=False)
    c.negative_screen(4)
    c.urine_test(POSITIVE, 8)
    c.pressure(122, 78, 3)


@patient("Milo Demo", "male", "1958-05-05")
def lithium_and_aripiprazole_do_not_count(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=500)
    c.condition(IDEATION, recorded=730)
    c.condition(HEART_FAILURE, onset=300, verification="entered-in-error", clinical=None)
    c.condition(CHRONIC_PAIN, onset=1500)
    c.statement(SERTRALINE_100, 480, 300, 150)
    c.statement(LITHIUM, 470, 300, 900)
    c.statement(ARIPIPRAZOLE, 290, 100, 5)
    c.request(OXYCODONE_5, 20, 5, status="active", per_day=2, reasons=(CHRONIC_PAIN,))
    under = quantity(0, "mm[Hg]") | {"comparator": "<"}
    c.pressure(150, 85, 3, unit=under)


@patient("Nina Fixtura", "female", "1985-01-31")
def olanzapine_with_fluoxetine_is_one_trial(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=420)
    c.condition(HALLUCINOGEN_DEPENDENCE, onset=3000)
    c.statement(OLANZAPINE_FLUOXETINE, 400, 310, 50)
    c.statement(FLUOXETINE_40, 200, 120, 40)
    c.observe(WORST_LIFETIME, 5, {"valueCodeableConcept": concept(PLAN_AND_INTENT)}, "survey")
    c.hcg(1200, "[IU]/L", 2)
    c.pressure(19.5, 11.5, 2, unit=quantity(0, "kPa"))


@patient("Olof Testerman", "male", "1987-07-07")
def bupropion_with_dextromethorphan_is_one_trial(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=200)
    c.condition(KETAMINE_DEPENDENCE, onset=1000)
    c.statement(DEXTROMETHORPHAN_BUPROPION, 150, 81, 105, per_day=2)
    absent = {"coding": [{"system": f"{HL7}/data-absent-reason", "code": "unknown"}]}
    components = [
        {"code": concept(SYSTOLIC), "valueQuantity": quantity(128, "mm[Hg]")},
        {"code": concept(DIASTOLIC), "dataAbsentReason": absent},
    ]
    c.observe(BP_PANEL, 2, {"component": components}, "vital-signs")


@patient("Petra Sampleton", "female", "1968-03-29")
def brand_then_generic_is_one_drug(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=300)
    c.condition(ALCOHOL_INTOXICATION, onset=400, clinical="resolved", abatement=399, category="encounter-diagnosis")
    c.statement(ZOLOFT, 280, 236, 100)
    c.statement(SERTRALINE_100, 215, 171, 100)
    c.item_9(1, 14)
    c.pressure(20, 10, 2)


@patient("Quint Mockridge", "male", "1992-09-09")
def pauses_between_refills_are_not_exposure(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=320)
    c.dispense(SERTRALINE_100, 300, days=30, pieces=30)
    c.dispense(SERTRALINE_100, 250, days=11, pieces=11)
    for handed_over in (200, 170, 140):
        c.dispense(ESCITALOPRAM_20, handed_over, days=30, pieces=30)
    c.pressure(124, 80, 2, unit={})


# --- Which episode, which diagnosis -----------------------------------------------------------------------------


@patient("Rosa Exampleson", "female", "1978-05-16")
def failed_in_an_earlier_episode(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=100, clinical="recurrence")
    c.statement(SERTRALINE_100, 700, 600, 100)
    c.statement(VENLAFAXINE_150, 590, 400, 150)
    c.statement(FLUOXETINE_20, 300, 150, 20)
    c.pregnancy_status(NOT_PREGNANT, 5)
    c.pressure(151, 92, 2, panel=BP_MEAN_PANEL)


@patient("Sven Placeholder", "male", "1963-12-24")
def an_episode_dated_only_by_the_day_it_was_recorded(c: Chart) -> None:
    c.condition(MDD_RECURRENT, recorded=200)
    c.condition(HIGH_READING, onset=50, category="encounter-diagnosis")
    c.condition(SUICIDAL_THOUGHTS, recorded=20)
    c.statement(VENLAFAXINE_150, 700, 500, 150)
    c.statement(SERTRALINE_100, 190, 100, 100)


@patient("Tilda Demo", "female", "1950-02-02")
def nobody_knows_when_the_episode_began(c: Chart) -> None:
    c.condition(MDD_RECURRENT)
    c.condition(OCULAR_HYPERTENSION, onset=900)
    c.two_adequate_trials()
    c.screener_panel(9, q1=False, q2=False)
    c.pressure(132, 84, 9)


@patient("Urs Testerman", "male", "1977-11-11")
def in_full_remission_by_its_code(c: Chart) -> None:
    c.condition(MDD_REMISSION, onset=400)
    c.two_adequate_trials()
    c.lone_pressure(SYSTOLIC, 150, 3)


@patient("Vera Fixtura", "female", "1989-06-18")
def in_remission_by_its_status(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=500, clinical="remission")
    c.condition(NORMAL_PREGNANCY, onset=120)
    c.two_adequate_trials()
    c.negative_screen(45)
    c.lone_pressure(SYSTOLIC, 118, 3)


@patient("Mona Testova", "female", "1997-10-20")
def depression_unspecified_is_not_major_depression(c: Chart) -> None:
    c.condition(DEPRESSION_UNSPECIFIED, onset=400)
    c.two_adequate_trials()
    c.observe(DELIVERY_DATE, 30, {"valueDateTime": "2027-02-09"}, "social-history")


@patient("Nils Fixtura", "male", "1982-04-23")
def bipolar_depression_is_another_indication(c: Chart) -> None:
    c.condition(BIPOLAR_II, onset=1500)
    c.condition(MITRAL_PROLAPSE, onset=2500)
    c.two_adequate_trials()
    c.pressure(118, 72, 12)


# --- Treatments that are still going on ---------------------------------------------------------------------------


@patient("Wim Exempel", "male", "1980-08-08")
def ten_weeks_of_escitalopram_without_relief(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=320)
    c.statement(VENLAFAXINE_150, 300, 150, 150)
    c.statement(ESCITALOPRAM_20, 70, None, 20, status="active")
    c.phq9(20, 72)
    c.phq9(18, 5)
    c.pressure(168, 122, 1)


@patient("Xenia Sampleton", "female", "1994-01-15")
def ten_weeks_of_venlafaxine_and_nobody_asked(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=320)
    c.condition(HYPERTENSION, onset=700)
    c.one_adequate_trial()
    c.statement(VENLAFAXINE_150, 70, None, 150, status="active")
    c.hcg(12, "[IU]/L", 1)
    c.pressure(150, 95, 60)


@patient("Yann Mockridge", "male", "1986-03-07")
def half_better_on_mirtazapine(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.one_adequate_trial()
    c.statement(MIRTAZAPINE_30, 84, None, 30, status="active")
    c.phq9(20, 84)
    c.phq9(8, 6)
    c.pressure(126, 74, 6)


@patient("Zora Placeholder", "female", "1982-05-27")
def a_third_better_is_not_yet_an_answer(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.one_adequate_trial()
    c.statement(MIRTAZAPINE_30, 84, None, 30, status="active")
    c.phq9(21, 84)
    c.phq9(14, 6)
    c.observe(LAST_PERIOD, 6, {"valueDateTime": day(50)}, "social-history")
    c.pressure(116, 70, 6)


@patient("Adam Demo", "male", "1995-12-12")
def fourteen_points_and_no_score_from_the_start(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.one_adequate_trial()
    for handed_over in (80, 50, 20):
        c.dispense(DULOXETINE_60, handed_over, days=30, pieces=30)
    c.observe(PHQ9_TOTAL, 5, {"valueString": "14"}, "survey")


@patient("Henk Testerman", "male", "1970-01-19")
def already_on_esketamine(c: Chart) -> None:
    c.bundle_type = "batch"
    c.condition(MDD_RECURRENT, onset=320)
    c.one_adequate_trial()
    c.request(ESKETAMINE_KIT, 45, status="active", reasons=(MDD_RECURRENT,))
    c.dispense(ESKETAMINE_KIT, 6, days=7, pieces=1)
    c.pressure(134, 82, 0)


# --- What is missing or cannot be read ----------------------------------------------------------------------------


@patient("Berta Testova", "female", "1960-09-30")
def an_antidepressant_written_only_in_words(c: Chart) -> None:
    c.condition(MDD_MODERATE, onset=700)
    c.condition(HYPERTENSIVE_HEART, onset=1100)
    c.one_adequate_trial()
    c.statement("Effexor XR, one each morning, for about a year", None, None)


@patient("Cosmo Exampleson", "male", "2001-07-23")
def no_medication_on_record(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=90)
    c.screen(8, yes=YES_HL7, no=NO_HL7, q1=True, q2=True, q3=True, q4=True)
    c.pressure(120, 70, 8)


@patient("Dalia Sampleton", "female", "1962-11-13")
def no_problem_on_record(c: Chart) -> None:
    c.two_adequate_trials()
    c.pressure(124, 78, 5)


@patient("Egon Fixtura", "male", "1988-02-28")
def one_antidepressant_and_no_problem_on_record(c: Chart) -> None:
    c.one_adequate_trial()
    c.audit_c(8, 30)
    c.pressure(150, 95, 5)


@patient("Fabian Mockridge", "male", "1983-10-01")
def one_prescription_could_not_be_read(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=320)
    c.one_adequate_trial()
    c.request(VENLAFAXINE_150, 150, status="active", medicationCodeableConcept="venlafaxine 150 mg")
    c.negative_screen(2)
    c.pressure(118, 76, 2)


@patient("Gisela Demo", "female", "1991-01-08")
def one_diagnosis_could_not_be_read(c: Chart) -> None:
    c.condition(MDD_RECURRENT, onset=320)
    c.add("Condition", {"code": "see scanned letter", "subject": c.subject, "recordedDate": day(40)})
    c.two_adequate_trials()
    c.pressure(118, 76, 2)


@patient("Walter Demo", "male", "1979-09-17")
def orders_that_never_became_treatment(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    period = {"validityPeriod": {"start": day(300), "end": day(200)}}
    c.request(SERTRALINE_100, 300, 100, status="cancelled", supply=period)
    c.request(FLUOXETINE_20, 300, 20, status="draft", supply=period)
    c.request(DULOXETINE_60, 300, 60, status="active", supply=period, intent="proposal")
    c.request(MIRTAZAPINE_30, 300, 30, supply=period, doNotPerform=True)
    c.request(PAROXETINE_20, 300, 20, status="entered-in-error", supply=period)
    c.statement(VENLAFAXINE_150, 300, 200, 150, status="not-taken")
    c.statement(ESCITALOPRAM_20, 300, 200, 20, status="intended")
    c.lone_pressure(DIASTOLIC, 95, 3)


# --- Pregnancy --------------------------------------------------------------------------------------------------


@patient("Olga Demo", "female", "1990-03-14")
def delivered_three_weeks_ago(c: Chart) -> None:
    c.condition(POSTPARTUM_DEPRESSION, onset=10)
    c.condition(NORMAL_PREGNANCY, onset=280)
    c.condition(DELIVERY_OUTCOME, onset=20, category="encounter-diagnosis")
    c.pressure(128, 80, 20)


@patient("Pia Exampleson", "female", "1995-05-01")
def delivered_in_the_summer(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=320)
    c.condition(SUPERVISION, onset=290, category="encounter-diagnosis")
    c.condition(DELIVERY_OUTCOME, onset=100, category="encounter-diagnosis")
    c.one_adequate_trial()


@patient("Quentina Placeholder", "female", "1991-08-04")
def a_pregnancy_entry_that_nobody_closed(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.condition(NORMAL_PREGNANCY, onset=310)
    c.one_adequate_trial()
    c.pregnancy_status(PREGNANT, 45)
    c.screen(7, yes=None, no=None, q1=True, q2=False)


@patient("Rita Testerman", "female", "1998-12-30")
def a_negative_test_against_a_recorded_pregnancy(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=320)
    c.condition(NORMAL_PREGNANCY, onset=60)
    c.one_adequate_trial()
    c.urine_test(NEGATIVE, 2)
    c.pressure(108, 66, 2)


@patient("Samuel Sampleton", "male", "1994-04-11")
def a_pregnant_man_is_believed(c: Chart) -> None:
    c.patient["extension"] = [{"url": f"{US_CORE}/us-core-birthsex", "valueCode": "F"}]
    c.condition(MDD_SINGLE_MODERATE, onset=320)
    c.condition(NORMAL_PREGNANCY, onset=90)
    c.one_adequate_trial()
    c.pressure(110, 70, 15)


@patient("Toni Exempel", "female", None)
def no_birth_date_and_no_answer(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.two_adequate_trials()
    c.audit_c(3, 40)


@patient("Uli Mockridge", "other", "1990-10-10")
def gender_recorded_as_other(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.condition(ATTEMPT_LATER_VISIT, onset=20, category="encounter-diagnosis")
    c.one_adequate_trial()
    c.pressure(122, 80, 30)


@patient("Verena Fixtura", "female", "1993-02-05")
def thirty_milli_units_per_millilitre(c: Chart) -> None:
    c.condition(MDD_SINGLE, onset=320)
    c.two_adequate_trials()
    c.hcg(30, "m[IU]/mL", 7)
    c.pressure(139, 89, 7)


# --- Whole persons ------------------------------------------------------------------------------------------------


@patient("Imre Placeholder", "male", "1985-05-25")
def nothing_relevant_at_all(c: Chart) -> None:
    c.bundle_type = "searchset"
    c.condition(MIGRAINE, onset=4000)
    c.condition(INSOMNIA, onset=30)
    c.statement(METHOCARBAMOL, 40, 30, 750)
    c.negative_screen(10)
    c.pressure(118, 74, 10)


@patient("Jutta Exempel", "female", "1948-06-01")
def died_last_spring(c: Chart) -> None:
    c.patient["deceasedDateTime"] = "2026-04-02"
    c.condition(MDD_RECURRENT, onset=700)
    c.condition(HEART_FAILURE, onset=1500)
    c.statement(SERTRALINE_100, 690, 500, 100)
    c.statement(VENLAFAXINE_150, 490, 300, 150)
    c.pressure(134, 70, 216)


@patient("Kaja Sampleton", "female", "2015-08-16")
def eleven_years_old_and_depressed(c: Chart) -> None:
    c.condition(MDD_SINGLE_MODERATE, onset=200)
    c.statement(FLUOXETINE_20, 180, 60, 20)
    c.item_9(2, 3)
    c.pressure(104, 62, 3)


def titration() -> list[Json]:
    """Venlafaxine raised over two weeks: 75 mg, then 150 mg, then 225 mg."""
    week = {"repeat": {"boundsDuration": quantity(7, "d"), "frequency": 1, "period": 1, "periodUnit": "d"}}
    steps = [dosage(mg) | {"sequence": number} for number, mg in enumerate((75, 150, 225), start=1)]
    for step in steps[:2]:
        step["timing"] = week
    return steps


@patient("Luise Mustermann", "female", "1955-04-09")
def a_long_history_in_one_chart(c: Chart) -> None:
    c.bundle_type, c.urn = "transaction", True
    c.condition(MDD_RECURRENT, onset="2025-10", recorded="2025-10-20")
    c.condition(MDD_SINGLE_MODERATE, onset="2009", clinical="resolved", abatement="2010-06")
    c.condition(HYPERTENSION_ICD, HYPERTENSION, onset="2011")
    c.condition(CORONARY_DISEASE, onset="2016-03", clinical=None, verification=None)
    c.condition(ATRIAL_FIBRILLATION, onset="2017-09-02")
    c.condition(ALCOHOL_REMISSION, onset="1998")
    c.condition(MIGRAINE, onset="1980", clinical="inactive")
    c.condition(SLEEP_APNEA, onset="2018-11-30")
    c.condition(ATTEMPT_HISTORY, recorded="2010-07-01")
    c.statement(PAROXETINE_20, "2009-03-01", "2010-02-28", 20)
    for handed_over in range(360, 180, -30):
        c.dispense(SERTRALINE_100, handed_over, days=30, pieces=30)
    c.statement(VENLAFAXINE_75, 170, 75, steps=titration())
    for number in range(40):
        ago = 9 + 91 * number
        c.pressure(138 + number % 9, 80 + number % 7, ago)
        c.observe(WEIGHT, ago, {"valueQuantity": quantity(81.5 - number / 4, "kg")}, "vital-signs")
        c.observe(HEART_RATE, ago, {"valueQuantity": quantity(64 + number % 11, "/min")}, "vital-signs")
    for number in range(8):
        parts = [(PHQ9_TOTAL, 21 - number), (PHQ9_ITEM_9, 0)]
        components = [{"code": concept(code), "valueInteger": value} for code, value in parts]
        c.observe(PHQ9_PANEL, 8 + 45 * number, {"component": components}, "survey")
    c.screen(400, q1=True, q2=False)
    c.negative_screen(8)


# --- Label contraindications --------------------------------------------------------------------------------------


@patient("Anton Sampleton", "male", "1956-06-06")
def a_repaired_aneurysm_marked_resolved(c: Chart) -> None:
    c.depressed()
    c.condition(AORTIC_ANEURYSM, onset="2014-05-02", clinical="resolved", abatement="2014-09-10")


@patient("Bela Mockridge", "male", "1958-02-20")
def a_stent_in_the_aorta_and_a_bladder_after_radiotherapy(c: Chart) -> None:
    c.depressed()
    c.procedure(AORTIC_STENT, "2019-03-04")
    c.condition(IRRADIATION_CYSTITIS, onset=700)


@patient("Cilla Demo", "female", "1967-04-04")
def a_fistula_made_for_dialysis_and_an_old_meningioma(c: Chart) -> None:
    c.depressed()
    c.condition(DIALYSIS_FISTULA, onset=900)
    c.condition(MENINGIOMA, onset="2011", clinical="resolved", abatement="2012-02")


@patient("Dirk Exempel", "male", "1974-01-09")
def a_brain_haemorrhage_and_a_concussion_of_long_ago(c: Chart) -> None:
    c.depressed()
    c.condition(BRAIN_HAEMORRHAGE, onset="2004-10", clinical="resolved", abatement="2005")
    c.condition(CONCUSSION, onset="2011-06-12", clinical="resolved", abatement="2011-07-01")


@patient("Edda Testova", "female", "1963-07-07")
def a_subdural_haematoma_and_a_hypertensive_encephalopathy(c: Chart) -> None:
    c.depressed()
    c.condition(SUBDURAL_HAEMORRHAGE, onset="2021-08-30", clinical="resolved", abatement="2021-12-01")
    c.condition(HYPERTENSIVE_ENCEPHALOPATHY, onset="2021-03-15", clinical="resolved", abatement="2021-03-29")
    c.condition(HYPERTENSION_ICD, onset="2015")


@patient("Falk Placeholder", "male", "2006-05-15")
def twenty_on_methylphenidate_and_allergic_to_ketamine(c: Chart) -> None:
    c.depressed()
    c.allergy(KETAMINE, reaction=HIVES)
    c.request(METHYLPHENIDATE_10, 50, 10, status="active", per_day=2)


@patient("Greta Fixtura", "female", "1968-03-03")
def dissociation_under_ketamine_recorded_as_intolerance(c: Chart) -> None:
    c.depressed()
    c.allergy(KETAMINE, "intolerance", reaction=(SNOMED, "44376007", "Dissociative disorder (disorder)"))
    c.condition(DISSOCIATIVE_IDENTITY, onset=3000)


@patient("Hugo Demo", "male", "1981-07-14")
def no_known_allergy_and_a_cough_syrup_with_codeine(c: Chart) -> None:
    c.depressed()
    c.allergy(NO_KNOWN_ALLERGY, kind=None)
    c.statement(CODEINE_COUGH_SYRUP, 3, status="active", sig="10 ml at night for the cough")


# --- Ages of life -------------------------------------------------------------------------------------------------


@patient("Ilan Sampleton", "male", "2008-11-02")
def eighteen_tomorrow(c: Chart) -> None:
    c.depressed()


@patient("Jule Testerman", "female", "1993-01-20")
def breastfeeding_with_an_overactive_thyroid_and_one_cystitis(c: Chart) -> None:
    c.depressed()
    c.condition(LACTATING, onset=90)
    c.condition(OVERACTIVE_THYROID, onset=60)
    c.condition(BACTERIAL_CYSTITIS, onset=20, category="encounter-diagnosis")
    c.pregnancy_status(NOT_PREGNANT, 10)


@patient("Thea Mockridge", "female", "1985-03-21")
def interstitial_cystitis_and_a_womb_removed(c: Chart) -> None:
    c.depressed()
    c.condition(INTERSTITIAL_CYSTITIS, onset=1200)
    c.procedure(HYSTERECTOMY, "2022-02-14")


# --- Brain and mind -----------------------------------------------------------------------------------------------


@patient("Klaas Exempel", "male", "1964-12-12")
def a_stroke_three_weeks_ago_and_no_heart_disease(c: Chart) -> None:
    c.depressed()
    c.condition(STROKE, onset=21)


@patient("Xandra Fixtura", "female", "1998-08-08")
def raised_pressure_in_the_skull_and_an_overactive_thyroid(c: Chart) -> None:
    c.depressed()
    c.condition(INTRACRANIAL_HYPERTENSION, onset=200)
    c.condition(GRAVES_DISEASE, onset=100)
    c.lab(TSH, 0.05, "m[IU]/L", 10)


@patient("Leni Mockridge", "female", "1969-02-02")
def psychotic_features_of_an_episode_long_over(c: Chart) -> None:
    c.depressed()
    c.condition(MDD_PSYCHOTIC, onset="2010-06", clinical="resolved", abatement="2011-02-01")


@patient("Marek Placeholder", "male", "1987-05-19")
def without_psychotic_features_and_aripiprazole(c: Chart) -> None:
    c.depressed(MDD_WITHOUT_PSYCHOSIS)
    c.statement(ARIPIPRAZOLE, 60, None, 5, status="active")


@patient("Nora Demo", "female", "1960-02-11")
def confused_on_the_ward_with_a_failing_liver(c: Chart) -> None:
    c.depressed()
    c.condition(DELIRIUM, onset=4, category="encounter-diagnosis")
    c.condition(CHRONIC_HEPATIC_FAILURE, onset=30)


@patient("Ole Fixtura", "male", "1999-01-27")
def voices_while_smoking_cannabis(c: Chart) -> None:
    c.depressed()
    c.condition(CANNABIS_PSYCHOSIS, onset=40)


@patient("Pelle Exempel", "male", "1979-10-30")
def naltrexone_after_years_of_amphetamine(c: Chart) -> None:
    c.depressed()
    c.condition(STIMULANT_PSYCHOSIS, onset="2009-04", clinical="resolved", abatement="2012")
    c.statement(NALTREXONE, 400, None, 50, status="active")


@patient("Romy Sampleton", "female", "1977-04-18")
def bipolar_and_major_depression_both_coded(c: Chart) -> None:
    c.depressed()
    c.condition(BIPOLAR_DEPRESSED, onset=1500)


@patient("Rolf Testerman", "male", "1945-09-09")
def dementia_and_a_drug_coded_by_its_group(c: Chart) -> None:
    c.depressed()
    c.condition(ALZHEIMER, onset=800)
    c.statement(MAO_B_INHIBITORS, 500, None, 1, status="active")


@patient("Sina Placeholder", "female", "1962-05-05")
def twenty_two_points_on_the_moca_and_a_low_tsh(c: Chart) -> None:
    c.depressed()
    c.observe(MOCA, 20, {"valueQuantity": quantity(22, "{score}")}, "survey")
    c.lab(TSH, 0.04, "m[IU]/L", 30)
    c.statement(LEVOTHYROXINE, 2000, None, 0.1, status="active")


@patient("Bodo Testerman", "male", "1988-02-03")
def questionnaires_answered_on_a_tablet(c: Chart) -> None:
    c.depressed()
    c.statement(ESCITALOPRAM_20, 70, None, 20, status="active")
    c.answered(68, [(PHQ9_ITEM_9, {"valueInteger": 0}), (PHQ9_TOTAL, {"valueInteger": 20})])
    several_days = {"valueCoding": concept(SEVERAL_DAYS)["coding"][0]}
    c.answered(4, [(PHQ9_ITEM_9, several_days), (PHQ9_TOTAL, {"valueDecimal": 18})])
    yes, no = ({"valueCoding": concept(answer)["coding"][0]} for answer in (YES_LOINC, NO_LOINC))
    c.answered(4, [(CSSRS[1], yes), (CSSRS[2], yes), (CSSRS[3], no), (CSSRS[4], no), (CSSRS[5], no)])


@patient("Carlo Exempel", "male", "1995-06-25")
def coded_resistance_without_a_coded_depression(c: Chart) -> None:
    c.condition(RESISTANT, onset=100)
    c.condition(PLANNING_SUICIDE, recorded=3)
    c.one_adequate_trial()
    c.pressure(118, 76, 5)


# --- Drugs, organs and weights ------------------------------------------------------------------------------------


@patient("Udo Demo", "male", "1972-08-16")
def on_esketamine_with_cirrhosis_and_an_old_urge(c: Chart) -> None:
    c.depressed()
    c.request(ESKETAMINE_KIT, 60, status="active", reasons=(MDD_MODERATE,))
    c.condition(URGE_INCONTINENCE, onset=200)
    c.condition(CIRRHOSIS, onset=900)
    c.lab(BILIRUBIN, 1.8, "mg/dL", 20, high=1.2)
    c.lab(ALBUMIN, 3.1, "g/dL", 20)
    c.lab(INR, 1.5, "{INR}", 20)


@patient("Vito Exempel", "male", "1976-01-05")
def alprazolam_zolpidem_and_a_weight_of_700_kilograms(c: Chart) -> None:
    c.depressed()
    c.statement(ALPRAZOLAM_1, 300, None, 1, status="active")
    c.request(ZOLPIDEM_10, 40, 10, status="active")
    c.lab(ALT, 190, "U/L", 15)
    c.weight(82, 400)
    c.weight(700, 3)


@patient("Wanda Testova", "female", "1966-03-17")
def oxycodone_sleep_apnoea_and_an_inr_of_last_summer(c: Chart) -> None:
    c.depressed()
    c.request(OXYCODONE_5, 20, 5, status="active", per_day=2, reasons=(CHRONIC_PAIN,))
    c.condition(SLEEP_APNEA, onset=1500)
    c.condition(CIRRHOSIS_SNOMED, onset=700)
    c.lab(BILIRUBIN, 1.1, "mg/dL", 30)
    c.lab(ALBUMIN, 3.6, "g/dL", 30)
    c.lab(INR, 1.2, "{INR}", 120)


@patient("Yves Placeholder", "male", "1984-09-23")
def tranylcypromine_is_an_antidepressant_and_an_interaction(c: Chart) -> None:
    c.depressed()
    c.statement(TRANYLCYPROMINE_10, 100, None, 10, per_day=3, status="active")


@patient("Zeno Sampleton", "male", "1990-04-27")
def theophylline_for_asthma_and_a_weight_of_last_spring(c: Chart) -> None:
    c.depressed()
    c.statement(THEOPHYLLINE, 900, None, 300, per_day=2, status="active")
    c.weight(74, 200)


@patient("Ada Demo", "female", "1969-06-11")
def theophylline_and_epilepsy(c: Chart) -> None:
    c.depressed()
    c.statement(THEOPHYLLINE, 600, None, 200, per_day=2, status="active")
    c.condition(EPILEPSY, onset="1988")
    c.weight(68, 12)


@patient("Doris Sampleton", "female", "1964-10-02")
def seven_small_findings_and_no_warning(c: Chart) -> None:
    c.depressed()
    c.condition(SCHIZOTYPAL, onset="1990")
    c.condition(MILD_IMPAIRMENT, onset=400)
    c.condition(DYSURIA, onset=20, category="encounter-diagnosis")
    c.condition(CONCUSSION, onset=30, category="encounter-diagnosis")
    c.statement(GABAPENTIN, 200, None, 300, per_day=3, status="active")
    c.statement(LINEZOLID, 4, None, 600, per_day=2, status="active")
    c.lab(ALT, 150, "U/L", 9, high=40)


@patient("Emmo Mockridge", "male", "1967-02-26")
def five_old_problems_all_resolved(c: Chart) -> None:
    c.depressed()
    for code, began in (
        (DEMENTIA, "2022-01"),
        (CHRONIC_CYSTITIS, "2016"),
        (ACUTE_HEPATIC_FAILURE, "2018-01-01"),
        (HYDROCEPHALUS, "2020-05"),
        (GRAVES_DISEASE, "2012"),
    ):
        c.condition(code, onset=began, clinical="resolved", abatement="2023-06")


# --- Writing ------------------------------------------------------------------------------------------------------


def charts() -> Iterator[tuple[str, Chart]]:
    """Every patient's file name and finished chart, in the order of this file."""
    for stem, name, gender, birth, author in CAST:
        chart = Chart(stem, name, gender, birth)
        author(chart)
        yield f"{stem}.json", chart


def cast_files() -> dict[str, str]:
    """File name and text of every Bundle of the cast."""
    return {name: json.dumps(chart.bundle(), indent=2, ensure_ascii=False) + "\n" for name, chart in charts()}


def expected_as_written() -> dict[str, Json]:
    """What `expected.yaml` says: `plain`, `with_orders`, and file name to as-of date and what is not plain."""
    found: dict[str, Json] = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
    return found


def expected_findings() -> dict[str, Json]:
    """File name to as-of date and every rule: what is said of the patient, else what the plain chart has."""
    written = expected_as_written()
    plain = written["plain"]
    return {name: plain | said for name, said in written.items() if name.endswith(".json")}


def expected_with_orders() -> dict[tuple[str, str], Json]:
    """Patient's file and draft order's file to the rules that an order decides, in full."""
    written = expected_as_written()["with_orders"]
    return {(name, order): said for name, orders in written.items() for order, said in orders.items()}


def person(resource: Json) -> str:
    """Name, gender and age on the as-of day, as far as recorded."""
    about = [resource["name"][0]["text"], resource.get("gender", "gender not recorded")]
    if "birthDate" in resource:
        born = dt.date.fromisoformat(resource["birthDate"])
        about.append(str(AS_OF.year - born.year - ((AS_OF.month, AS_OF.day) < (born.month, born.day))))
    return ", ".join(about)


def readme_table() -> str:
    """The table of the cast: who, in which sentence, and where a rule finds another outcome than in the plain chart."""
    plain, expected = expected_as_written()["plain"], expected_findings()
    rows = ["| Sentence (file in `cast/`) | Who | Met | Unknown | Not met |", "|---|---|---|---|---|"]
    for name, chart in charts():
        found = {rule: expected[name][rule]["outcome"] for rule in RULES}
        unlike = [rule for rule in RULES if found[rule] != plain[rule]["outcome"]]
        cells = [
            ", ".join(rule for rule in unlike if found[rule] == outcome) or "-"
            for outcome in ("met", "unknown", "not met")
        ]
        sentence = f"[{chart.stem.replace('-', ' ')}](cast/{name})"
        rows.append("| " + " | ".join([sentence, person(chart.patient), *cells]) + " |")
    return "\n".join(rows)


def plain_table() -> str:
    """What each rule finds in the plain chart."""
    plain = expected_as_written()["plain"]
    rows = [f"| {rule} | {plain[rule]['outcome']} | {plain[rule]['why']} |" for rule in RULES]
    return "\n".join(["| Rule | Plain chart | Why |", "|---|---|---|", *rows])


def public_table() -> str:
    """The table of the public patients, from their manifest."""
    patients = json.loads((HERE / "public" / "manifest.json").read_text(encoding="utf-8"))["patients"]
    rows = [f"| [{p['file']}](public/{p['file']}) | {p['shows']} | {p['licence']} |" for p in patients]
    return "\n".join(["| File | What it shows | Licence |", "|---|---|---|", *rows])


def between_marks(text: str, mark: str, content: str) -> str:
    """The page with what stands between `<!-- mark -->` and `<!-- end of mark -->` replaced."""
    block = f"<!-- {mark} -->\n{content}\n<!-- end of {mark} -->"
    return re.sub(rf"<!-- {mark} -->.*<!-- end of {mark} -->", lambda _: block, text, flags=re.DOTALL)


def readme_with_tables(text: str) -> str:
    """The README with its tables renewed."""
    for mark, table in (("plain", plain_table()), ("cast", readme_table()), ("public", public_table())):
        text = between_marks(text, mark, table)
    return text


def main() -> None:
    """Writes the cast and the README's tables; a file that is no patient's any more is removed."""
    folder = HERE / "cast"
    folder.mkdir(exist_ok=True)
    files = cast_files()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.json"):
        if path.name not in files:
            path.unlink()
    readme = HERE / "README.md"
    readme.write_text(readme_with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
