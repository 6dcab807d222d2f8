"""What rules read becomes FHIR queries with permanent keys."""

from cds_service.decision.needs import observation_codes, observation_refs, prefetch_templates
from cds_service.decision.rule import Rule
from tests.unit.decision.courses_support import SPEC
from tests.unit.decision.support import HEART, rule, value_set

PATIENT = "?patient={{context.patientId}}"
BP = value_set("bp", {"loinc|8480-6": {"group": "systolic"}, "loinc|85354-9": {"group": "panel"}})
PHQ9 = value_set("phq9", {"loinc|44261-6": {}, "loinc|44260-8": {}, "snomed|1": {}})
CSSRS = value_set("cssrs", {"loinc|93246-7": {}})
SETS = {one.id: one for one in (HEART, BP, PHQ9, CSSRS)}
PRESSURE = {
    "kind": "blood pressure",
    "codes": {"set": "bp", "where": {"group": ["systolic"]}},
    "panels": {"set": "bp", "where": {"group": ["panel"]}},
    "systolic": "8480-6",
    "diastolic": "8462-4",
    "within_days": 30,
    "pair_minutes": 5,
    "plausible_systolic": [60, 300],
    "plausible_diastolic": [30, 200],
}
SCORE = {"kind": "score", "codes": [{"set": "phq9", "codes": ["44261-6"]}], "units": []}
ANSWER = {"id": "line", "says": ["yes"], "observation": {"codes": [{"set": "cssrs"}]}}
RECORD = {"id": "record", "says": ["yes"], "condition": {"codes": [{"set": "heart"}], "clinical": "any"}}


def reading(**facts: object) -> Rule:
    """A rule that reads these facts."""
    return rule(facts=facts)


def timeline(*lines: object) -> dict:
    """A timeline of these lines."""
    return {"kind": "timeline", "empty_list": "no evidence", "lines": list(lines)}


def test_medications_are_always_asked_for_and_conditions_where_a_rule_reads_them() -> None:
    always = {
        "patient": "Patient/{{context.patientId}}",
        "medicationRequests": f"MedicationRequest{PATIENT}&_count=200",
        "medicationStatements": f"MedicationStatement{PATIENT}&_count=200",
        "medicationDispenses": f"MedicationDispense{PATIENT}&_count=200",
    }
    assert prefetch_templates([reading(person={"kind": "patient"})], SETS) == always
    conditions = {"conditions": f"Condition{PATIENT}&_count=200"}
    assert prefetch_templates([rule()], SETS) == always | conditions
    assert prefetch_templates([reading(t=timeline(RECORD))], SETS) == always | conditions
    assert "conditions" not in prefetch_templates([reading(t=timeline(ANSWER))], SETS)


def test_each_subject_is_one_query_for_all_codes_of_its_sets() -> None:
    templates = prefetch_templates([reading(bp=PRESSURE, score=SCORE), reading(t=timeline(ANSWER))], SETS)
    assert list(templates)[-3:] == ["bloodPressure", "depressionScreens", "suicideScreens"]
    assert templates["bloodPressure"] == f"Observation{PATIENT}&code=8480-6,85354-9&_sort=-date&_count=200"
    assert templates["depressionScreens"] == f"Observation{PATIENT}&code=44260-8,44261-6&_sort=-date&_count=200"


def test_the_codes_read_are_those_that_the_rules_pick() -> None:
    rules = [reading(bp=PRESSURE, score=SCORE, person={"kind": "patient"}), reading(t=timeline(ANSWER, RECORD))]
    assert observation_codes(rules, SETS) == {("loinc", "8480-6"), ("loinc", "44261-6"), ("loinc", "93246-7")}


def test_courses_read_the_depression_score() -> None:
    assert [ref.set for ref in observation_refs(reading(courses=SPEC))] == ["phq9"]


def test_allergies_and_procedures_are_asked_for_only_where_a_rule_reads_them() -> None:
    codes = [{"set": "heart"}]
    allergies = {"kind": "allergies", "codes": codes, "recorded_as": "any"}
    always = prefetch_templates([reading(person={"kind": "patient"})], SETS)
    assert prefetch_templates([reading(a=allergies)], SETS).items() - always.items() == {
        ("allergies", f"AllergyIntolerance{PATIENT}&_count=200")
    }
    assert prefetch_templates([reading(p={"kind": "procedures", "codes": codes})], SETS).items() - always.items() == {
        ("procedures", f"Procedure{PATIENT}&_count=200")
    }


def test_screens_are_asked_for_as_questionnaires_too_and_measurements_are_not() -> None:
    screens = prefetch_templates([reading(t=timeline(ANSWER))], SETS)
    assert screens["questionnaireResponses"] == f"QuestionnaireResponse{PATIENT}&_count=200"
    assert "questionnaireResponses" not in prefetch_templates([reading(bp=PRESSURE)], SETS)
