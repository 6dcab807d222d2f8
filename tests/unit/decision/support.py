"""Small charts, value sets and rules for tests of the decision, written in code: no rule file is read."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from cds_service.decision.assess import Assessment, CompiledRule
from cds_service.decision.chart import Chart
from cds_service.decision.codes import Entry, ValueSet
from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf, Span, day_date, parse_span
from cds_service.decision.facts import (
    Component,
    Condition,
    DoseStep,
    Gap,
    Listing,
    MedicationEvent,
    Observation,
    Patient,
    PatientFacts,
    Quantity,
    Quarantined,
    Record,
    Value,
)
from cds_service.decision.rule import Rule

AS_OF = AsOf.of(dt.date(2026, 11, 1))


def span(text: str) -> Span:
    """A date that is one."""
    found = parse_span(text)
    assert found is not None, text
    return found


def ago(days: int) -> Span:
    """A date so many days before the as-of day."""
    return span(day_date(AS_OF.day - days).isoformat())


def coding(text: str, display: str | None = None) -> Coding:
    """`loinc|8480-6` as a Coding."""
    system, code = text.split("|")
    return Coding(system, code, display)


def value_set(name: str, rows: Mapping[str, Mapping[str, str]], verified: bool = True) -> ValueSet:
    """A value set from codes and their columns; the display is the code."""
    entries = [
        Entry(coding(text).key, columns.get("display", text.split("|")[1]), verified, dict(columns))
        for text, columns in rows.items()
    ]
    return ValueSet(name, "1", name, "0" * 64, {entry.key: entry for entry in entries})


def condition(code: str = "snomed|heart", number: int = 1, **more: Any) -> Condition:
    """An active condition, unless said otherwise."""
    more.setdefault("clinical", "active")
    return Condition(Record("Condition", f"c{number}"), (coding(code),), **more)


def observation(
    code: str, value: Value | None = None, number: int = 1, when: Span | None = None, **more: Any
) -> Observation:
    """A final observation, unless said otherwise."""
    more.setdefault("status", "final")
    return Observation(Record("Observation", f"o{number}"), codes=(coding(code),), value=value, when=when, **more)


def part(code: str, value: Value | None = None) -> Component:
    """One component of a panel."""
    return Component((coding(code),), value)


def quantity(value: float | str, unit: str | None = None, comparator: Any = None) -> Quantity:
    """A measured value."""
    return Quantity(Decimal(str(value)), unit, comparator)


def daily(mg: float | str) -> tuple[DoseStep, ...]:
    """So many milligrams once a day."""
    amount, once = Decimal(str(mg)), Decimal(1)
    return (DoseStep(amount, amount, "mg", once, once),)


def event(kind: Any = "statement", code: str = "rxnorm|1", number: int = 1, **more: Any) -> MedicationEvent:
    """A completed medication event, unless said otherwise."""
    given = {"status": "completed", "codes": (coding(code),)} | more
    return MedicationEvent(Record(f"Medication{kind.title()}", f"m{number}"), kind, **given)


def facts(
    conditions: Iterable[Condition] = (),
    observations: Iterable[Observation] = (),
    medications: Iterable[MedicationEvent] = (),
    patient: Patient | None = None,
    quarantined: Iterable[Quarantined] = (),
    gaps: Mapping[str, tuple[Gap, ...]] | None = None,
) -> PatientFacts:
    """Facts whose lists were received as long as they are."""
    gaps = gaps or {}
    conditions, observations, medications = tuple(conditions), tuple(observations), tuple(medications)
    return PatientFacts(
        patient=patient or Patient(Record("Patient", "p")),
        conditions=Listing(conditions, len(conditions), gaps.get("conditions", ())),
        observations=Listing(observations, len(observations), gaps.get("observations", ())),
        medications=Listing(medications, len(medications), gaps.get("medications", ())),
        quarantined=tuple(quarantined),
    )


def chart(*args: Any, **more: Any) -> Chart:
    """A chart of `facts`, read at the as-of instant."""
    return Chart(facts(*args, **more), AS_OF)


HEART = value_set(
    "heart", {"snomed|heart": {"tier": "core", "display": "Heart disease"}, "snomed|minor": {"tier": "minor"}}
)
CARD = {
    "indicator": "warning",
    "summary": "Found.",
    "options": ["one thing", "another thing"],
    "limits": "All forms.",
    "topic_source": "label",
}


def rule(**more: Any) -> Rule:
    """A small rule on heart disease; members may be replaced."""
    base: dict[str, Any] = {
        "rule": "heart",
        "version": "1.0.0",
        "title": "Heart",
        "purpose": "Say whether heart disease is on record.",
        "population": "Adults.",
        "implements": ["D1"],
        "factor": "heart disease",
        "concerns": ["ketamine-iv"],
        "citations": [
            {"id": "label", "source": "label", "section": "1", "says": "The label says so.", "status": "confirmed"}
        ],
        "value_sets": {"heart": {"version": "1", "sha256": "0" * 64}},
        "facts": {
            "disease": {
                "kind": "conditions",
                "codes": [{"set": "heart", "where": {"tier": ["core"]}}],
                "clinical": "current",
            }
        },
        "criteria": {"disease-recorded": {"found": "disease"}},
        "grades": [grade("disease", "met", "disease-recorded", card=CARD)],
        "otherwise": {"finding": "not met", "says": "No heart disease found."},
        "when_unknown": {"disease-recorded": "Whether heart disease is on record"},
        "limits": ["None."],
    }
    return Rule.model_validate(base | more)


def grade(name: str, finding: str, when: Any, **more: Any) -> dict[str, Any]:
    """A grade of a small rule."""
    return {
        "id": name,
        "finding": finding,
        "when": when,
        "grade": "caution",
        "says": "It is so.",
        "cites": ["label"],
    } | more


def assessed(spec: Rule, patient_facts: PatientFacts, sets: Iterable[ValueSet] = (HEART,)) -> Assessment:
    """A rule's finding on facts."""
    compiled = CompiledRule(spec, {one.id: one for one in sets}, "digest")
    return compiled.assess(Chart(patient_facts, AS_OF), "US")
