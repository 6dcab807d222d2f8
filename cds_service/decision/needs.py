"""What a set of rules reads, as FHIR queries: prefetch keys, their templates, and which of them are required.

Key names are permanent: hospitals type them in. Observations are asked for by code, not by category, since the
category is often wrong or absent; a key's text changes only when its value set gains a code.
"""

from collections.abc import Iterable, Mapping

from cds_service.decision.codes import ValueSet
from cds_service.decision.coding import LOINC, CodeKey
from cds_service.decision.rule import (
    AllergiesFact,
    BloodPressureFact,
    ConditionsFact,
    CoursesFact,
    ProceduresFact,
    Rule,
    ScoreFact,
    SetRef,
    TimelineFact,
)

# The subject of each value set of observation codes: one prefetch key per subject.
OBSERVATION_KEYS: Mapping[str, str] = {
    "bp": "bloodPressure",
    "pregnancy-status": "pregnancyObservations",
    "hcg-tests": "pregnancyTests",
    "phq9": "depressionScreens",
    "cssrs": "suicideScreens",
    "substance-screens": "substanceScreens",
    "weight-height": "bodyWeight",
    "cognition-thyroid": "cognitionAndThyroid",
    "hepatic-renal-labs": "liverLabs",
    "heart-rate-spo2-rr": "vitalSigns",
}
QUESTIONNAIRES = "questionnaireResponses"
SCREEN_KEYS = frozenset({"depressionScreens", "suicideScreens"})
"""Subjects that some servers keep as the answers to a questionnaire only."""
PATIENT = "?patient={{context.patientId}}"
PAGE = "&_count=200"
MEDICATION_KEYS: Mapping[str, str] = {
    "medicationRequests": f"MedicationRequest{PATIENT}{PAGE}",
    "medicationStatements": f"MedicationStatement{PATIENT}{PAGE}",
    "medicationDispenses": f"MedicationDispense{PATIENT}{PAGE}",
}


def observation_refs(rule: Rule) -> list[SetRef]:
    """The selections of observation codes that a rule reads."""
    refs: list[SetRef] = []
    for fact in rule.facts.values():
        if isinstance(fact, BloodPressureFact):
            refs.append(fact.codes)
        elif isinstance(fact, ScoreFact):
            refs.extend(fact.codes)
        elif isinstance(fact, TimelineFact):
            refs.extend(ref for line in fact.lines if line.observation for ref in line.observation.codes)
        elif isinstance(fact, CoursesFact):
            refs.append(fact.depression_score)
    return refs


def observation_codes(rules: Iterable[Rule], sets: Mapping[str, ValueSet]) -> frozenset[CodeKey]:
    """Every observation code that any of the rules reads."""
    refs = [ref for rule in rules for ref in observation_refs(rule)]
    return frozenset(key for ref in refs for key in sets[ref.set].select(ref))


def _reads_conditions(rule: Rule) -> bool:
    return any(
        isinstance(fact, ConditionsFact | CoursesFact)
        or (isinstance(fact, TimelineFact) and any(line.condition for line in fact.lines))
        for fact in rule.facts.values()
    )


def _reads_screens(rule: Rule) -> bool:
    """Whether a rule reads a screen that some servers keep as the answers to a questionnaire only."""
    return any(OBSERVATION_KEYS[ref.set] in SCREEN_KEYS for ref in observation_refs(rule))


def prefetch_templates(rules: Iterable[Rule], sets: Mapping[str, ValueSet]) -> dict[str, str]:
    """Prefetch keys and templates of everything that the rules read, in a fixed order.

    Medications are always asked for: a current ketamine or esketamine treatment is a reason to speak.
    """
    rules = list(rules)
    templates = {"patient": "Patient/{{context.patientId}}"}
    if any(_reads_conditions(rule) for rule in rules):
        templates["conditions"] = f"Condition{PATIENT}{PAGE}"
    templates |= MEDICATION_KEYS
    facts = [fact for rule in rules for fact in rule.facts.values()]
    if any(isinstance(fact, AllergiesFact) for fact in facts):
        templates["allergies"] = f"AllergyIntolerance{PATIENT}{PAGE}"
    if any(isinstance(fact, ProceduresFact) for fact in facts):
        templates["procedures"] = f"Procedure{PATIENT}{PAGE}"
    if any(_reads_screens(rule) for rule in rules):
        templates[QUESTIONNAIRES] = f"QuestionnaireResponse{PATIENT}{PAGE}"
    by_key: dict[str, set[str]] = {}
    for ref in (ref for rule in rules for ref in observation_refs(rule)):
        # The whole set is asked for, not the rows a rule picks: values may sit in the components of a panel, and the
        # query of a subject stays the same when a rule comes to read one more of its codes.
        codes = (code for system, code in sets[ref.set].codes if system == LOINC)
        by_key.setdefault(OBSERVATION_KEYS[ref.set], set()).update(codes)
    for key in sorted(by_key):
        templates[key] = f"Observation{PATIENT}&code={','.join(sorted(by_key[key]))}&_sort=-date{PAGE}"
    return templates
