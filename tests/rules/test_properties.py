"""What holds for every rule on every chart: charts are made by putting the rules' own cases together.

Two cases give one chart, so that evidence of several kinds and dates meets in ways that nobody wrote down.
"""

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cds_service.decision.assess import Assessment, assess, encode_assessments
from cds_service.decision.chart import Chart
from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf, Span, parse_span
from cds_service.decision.facts import (
    Condition,
    Gap,
    Listing,
    MedicationEvent,
    Observation,
    Patient,
    PatientFacts,
    Quarantined,
    Record,
    decode_facts,
    encode_facts,
)
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from cds_service.decision.rule import OrdersFact, PatientFact
from cds_service.rulebook.cases import facts_of, read_cases, read_instant
from cds_service.rulebook.load import RuleVersion
from tests.unit.rulebook.support import real_rulebook

VERSIONS = [version for versions in real_rulebook().versions.values() for version in versions.values()]
COMPILED = [version.compiled for version in VERSIONS]
AS_OF_DATE = dt.date(2026, 11, 1)
AS_OF = read_instant(AS_OF_DATE.isoformat())
CHARTS = [
    facts_of(case.given, AS_OF)
    for version in VERSIONS
    if (version.folder / "cases.yaml").exists()
    for case in read_cases(version).cases
    if case.as_of == "2026-11-01"
]
LISTS = ("conditions", "observations", "medications", "allergies", "procedures")
ASTHMA = Condition(Record("Condition", "asthma"), (Coding("icd10cm", "J45.909"),), clinical="active")


def merged(one: PatientFacts, other: PatientFacts) -> PatientFacts:
    """One chart of two: the first one's person, everybody's records."""
    parts: dict[str, Any] = {"patient": one.patient, "quarantined": one.quarantined + renamed(other.quarantined)}
    parts["orders"] = one.orders + renamed(other.orders)
    for name in LISTS:
        first, second = getattr(one, name), getattr(other, name)
        items = first.items + renamed(second.items)
        gaps = tuple(sorted(set(first.gaps + second.gaps), key=lambda gap: (gap.key, gap.cause)))
        parts[name] = Listing(items, first.received + second.received, gaps)
    return PatientFacts(**parts)


def renamed(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Records of a second chart, told apart from the first one's."""
    return tuple(msgspec.structs.replace(one, record=Record(one.record.type, f"{one.record.id}-b")) for one in items)


TWO = st.builds(merged, st.sampled_from(CHARTS), st.sampled_from(CHARTS))


def found(patient: PatientFacts, as_of: AsOf = AS_OF) -> tuple[Assessment, ...]:
    """Every rule's finding."""
    return assess(COMPILED, Chart(patient, as_of), "US")


def outcomes(patient: PatientFacts) -> dict[str, Any]:
    """Every rule's outcome."""
    return {one.rule: one.outcome for one in found(patient)}


def with_list(patient: PatientFacts, name: str, items: Any, **more: Any) -> PatientFacts:
    """The chart with another list."""
    listing = msgspec.structs.replace(getattr(patient, name), items=tuple(items), **more)
    return msgspec.structs.replace(patient, **{name: listing})


@settings(max_examples=60)
@given(TWO, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(patient: PatientFacts, chance: Any) -> None:
    mixed = patient
    for name in LISTS:
        items = list(getattr(patient, name).items)
        chance.shuffle(items)
        mixed = with_list(mixed, name, items)
    assert [(one.rule, one.outcome, one.grade, one.indicator, one.courses) for one in found(mixed)] == [
        (one.rule, one.outcome, one.grade, one.indicator, one.courses) for one in found(patient)
    ]


@settings(max_examples=60)
@given(TWO)
def test_facts_that_were_written_and_read_again_give_the_same_bytes(patient: PatientFacts) -> None:
    again = decode_facts(encode_facts(patient))
    assert encode_assessments(found(again)) == encode_assessments(found(patient))


@settings(max_examples=60)
@given(TWO)
def test_an_unrelated_condition_changes_no_finding(patient: PatientFacts) -> None:
    assume(patient.conditions.received)
    more = with_list(
        patient, "conditions", (*patient.conditions.items, ASTHMA), received=patient.conditions.received + 1
    )
    assert encode_assessments(found(more)) == encode_assessments(found(patient))


@settings(max_examples=80)
@given(TWO, st.sampled_from(LISTS))
def test_a_list_that_could_not_be_read_never_makes_a_rule_not_met(patient: PatientFacts, name: str) -> None:
    unread = with_list(patient, name, (), received=0, gaps=(Gap(name, "refused"),))
    before, after = outcomes(patient), outcomes(unread)
    assert not [rule for rule, outcome in after.items() if outcome is NOT_MET and before[rule] is not NOT_MET]


@settings(max_examples=80)
@given(TWO, st.data())
def test_a_record_that_could_not_be_read_never_makes_a_rule_not_met(patient: PatientFacts, data: Any) -> None:
    names = [one for one in LISTS if getattr(patient, one).items]
    assume(names)
    name = data.draw(st.sampled_from(names))
    items = getattr(patient, name).items
    place = data.draw(st.integers(0, len(items) - 1))
    rest = items[:place] + items[place + 1 :]
    aside = (*patient.quarantined, Quarantined(items[place].record, "not understood"))
    unread = msgspec.structs.replace(with_list(patient, name, rest), quarantined=aside)
    before, after = outcomes(patient), outcomes(unread)
    assert not [rule for rule, outcome in after.items() if outcome is NOT_MET and before[rule] is not NOT_MET]


def vaguer(record: Any, length: int) -> Any:
    """A record whose dates are known to the month (7) or the year (4) only."""
    changes = {}
    for name in ("onset", "recorded", "when", "start", "end"):
        date = getattr(record, name, None) if name in record.__struct_fields__ else None
        if isinstance(date, Span) and len(date.text) >= 10:
            vague = parse_span(date.text[:length])
            assert vague is not None
            changes[name] = Span(vague.start, min(vague.end, AS_OF.instant), vague.text)
    return msgspec.structs.replace(record, **changes)


@settings(max_examples=120)
@given(TWO, st.sampled_from([4, 7]), st.data())
def test_what_is_decided_on_a_vague_date_is_so_on_the_exact_one(patient: PatientFacts, length: int, data: Any) -> None:
    names = [one for one in LISTS if getattr(patient, one).items]
    assume(names)
    name = data.draw(st.sampled_from(names))
    items = list(getattr(patient, name).items)
    place = data.draw(st.integers(0, len(items) - 1))
    items[place] = vaguer(items[place], length)
    exact, vague = outcomes(patient), outcomes(with_list(patient, name, items))
    assert not [rule for rule, outcome in vague.items() if outcome not in (UNKNOWN, exact[rule])]


@pytest.mark.parametrize("kind", [Condition, Observation, MedicationEvent])
def test_every_kind_of_record_occurs_in_the_charts(kind: type) -> None:
    assert any(isinstance(item, kind) for patient in CHARTS for name in LISTS for item in getattr(patient, name).items)


# ------------------------------------------------------------ charts without records

EMPTY = PatientFacts(Patient(Record("Patient", "p")))
UNREAD: Listing[Any] = Listing((), 0, (Gap("bundle", "unreadable"),))
DAYS = st.dates(dt.date(1920, 1, 1), AS_OF_DATE).map(lambda day: parse_span(day.isoformat()))
SEXES = st.sampled_from([None, "male", "female", "other"])
PEOPLE = st.builds(Patient, st.just(EMPTY.patient.record), birth=st.none() | DAYS, gender=SEXES, birth_sex=SEXES)
SET_ASIDE = st.lists(
    st.builds(
        Quarantined,
        st.sampled_from(["Condition", "Observation", "MedicationRequest", "AllergyIntolerance", "Procedure"]).map(
            lambda kind: Record(kind, "unread")
        ),
        st.just("code: missing"),
    ),
    max_size=3,
).map(tuple)


def reads(version: RuleVersion, *kinds: type) -> bool:
    """Whether a rule reads a fact of one of these kinds."""
    return any(isinstance(fact, kinds) for fact in version.rule.facts.values())


@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: f"{one.rule.rule}@{one.rule.version}")
@pytest.mark.parametrize("jurisdiction", ["US", "EU", "UK"])
def test_an_empty_chart_is_unknown_unless_nothing_was_ordered(version: RuleVersion, jurisdiction: Any) -> None:
    finding = version.compiled.assess(Chart(EMPTY, AS_OF), jurisdiction)
    if finding.outcome is UNKNOWN:
        assert finding.unknowns or finding.grade
    else:
        assert (finding.outcome.value, finding.grade) == (version.rule.otherwise.finding, None)
        assert finding.outcome is NOT_MET
        assert reads(version, OrdersFact)


@settings(max_examples=60)
@given(PEOPLE, st.sets(st.sampled_from(LISTS)), SET_ASIDE)
def test_a_chart_without_records_meets_nothing_but_what_the_person_alone_can_meet(
    person: Patient, unread: set[str], aside: tuple[Quarantined, ...]
) -> None:
    lists = dict.fromkeys(unread, UNREAD)
    patient = msgspec.structs.replace(EMPTY, patient=person, quarantined=aside, **lists)
    met = {one.rule for one in found(patient) if one.outcome is MET}
    assert met <= {version.rule.rule for version in VERSIONS if reads(version, PatientFact)}


@settings(max_examples=60)
@given(PEOPLE)
def test_where_nothing_could_be_read_only_the_person_or_the_order_rules_anything_out(person: Patient) -> None:
    patient = msgspec.structs.replace(EMPTY, patient=person, **dict.fromkeys(LISTS, UNREAD))
    ruled_out = {one.rule for one in found(patient) if one.outcome is NOT_MET}
    assert ruled_out <= {version.rule.rule for version in VERSIONS if reads(version, PatientFact, OrdersFact)}
