"""A small courses fact with its tables, for tests of how antidepressant courses are counted."""

from typing import Any

from cds_service.decision.chart import Chart
from cds_service.decision.courses import courses_reader
from cds_service.decision.dates import AsOf
from cds_service.decision.evidence import Course, Found
from cds_service.decision.facts import Condition, MedicationEvent, PatientFacts
from cds_service.decision.rule import CoursesFact
from tests.unit.decision.support import AS_OF, condition, facts, span, value_set

SERTRALINE, ESCITALOPRAM, MIRTAZAPINE = "rxnorm|1", "rxnorm|2", "rxnorm|3"
TABLET = "rxnorm|11"  # sertraline 50 mg
INGREDIENT = {"counts_as_trial": "yes", "drug_class": "SSRI"}
SETS = {
    one.id: one
    for one in (
        value_set(
            "ingredients",
            {
                SERTRALINE: INGREDIENT | {"ingredient": "sertraline", "min_adequate_mg_per_day": "50"},
                ESCITALOPRAM: INGREDIENT | {"ingredient": "escitalopram", "min_adequate_mg_per_day": "10"},
                MIRTAZAPINE: INGREDIENT | {"ingredient": "mirtazapine", "min_adequate_mg_per_day": "15"},
                "rxnorm|4": INGREDIENT | {"ingredient": "selegiline"},
                "rxnorm|5": INGREDIENT | {"ingredient": "esketamine", "counts_as_trial": "no"},
                "atc|N06AB06": INGREDIENT | {"ingredient": "sertraline"},
            },
        ),
        value_set(
            "products",
            {
                TABLET: INGREDIENT | {"ingredient": "sertraline", "strength_mg": "50"},
                "rxnorm|12": INGREDIENT | {"ingredient": "gepirone"},
                "rxnorm|13": INGREDIENT | {"ingredient": "sertraline", "counts_as_trial": "no"},
            },
        ),
        value_set("others", {"rxnorm|20": {}}),
        value_set("augmentation", {"rxnorm|21": {"ingredient": "lithium"}}),
        value_set("indications", {"icd10cm|F41.1": {}}),
        value_set(
            "stops", {"snomed|none": {"meaning": "non-response: counts"}, "snomed|adr": {"meaning": "intolerance"}}
        ),
        value_set("routes", {"snomed|oral": {"group": "oral"}, "snomed|nasal": {"group": "nasal"}}),
        value_set("mdd", {"icd10cm|F33.2": {}, "snomed|mdd": {}}),
        value_set("remission", {"icd10cm|F33.42": {}}),
        value_set("phq9", {"loinc|44261-6": {}}),
    )
}
SPEC = {
    "kind": "antidepressant courses",
    "ingredients": {"set": "ingredients"},
    "products": {"set": "products"},
    "other_products": [{"set": "others"}],
    "augmentation": {"set": "augmentation"},
    "other_indications": {"set": "indications"},
    "stop_reasons": {"set": "stops"},
    "routes": {"set": "routes"},
    "not_by_mouth": ["selegiline"],
    "episode": [{"set": "mdd"}],
    "remission": [{"set": "remission"}],
    "adequate_days": 42,
    "borderline_days": 28,
    "gap_days": 30,
    "previous_episode_days": 60,
    "depression_score": {"set": "phq9"},
    "score_recent_days": 90,
    "score_start_days": 14,
    "score_after_days": 28,
    "ongoing_score_at_least": 10,
    "nonresponse_change_below_percent": 25,
    "response_change_from_percent": 50,
}
EPISODE = condition("icd10cm|F33.2", onset=span("2020-01-01"))


def read(patient: PatientFacts, as_of: AsOf = AS_OF, **more: Any) -> Found:
    """What the fact finds in facts."""
    return courses_reader(CoursesFact.model_validate(SPEC | more), SETS, "depressionScreens")(Chart(patient, as_of))


def courses(
    *events: MedicationEvent, conditions: tuple[Condition, ...] = (EPISODE,), **more: Any
) -> tuple[Course, ...]:
    """The courses that events make, in a depression that began in 2020."""
    return read(facts(conditions, medications=events, **more)).courses
