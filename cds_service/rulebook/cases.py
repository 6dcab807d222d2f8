"""Cases beside each rule: small charts in a clinician's words, and what the rule has to find in each of them.

`rules/<rule>/<version>/cases.yaml` holds `cases` and, where a rule's structure rules an outcome out, `cannot` with the
reason. The vocabulary stands in rules/README.md; an unknown key is an error with file, line and key.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from cds_service.decision.assess import Assessment
from cds_service.decision.chart import Chart
from cds_service.decision.coding import SYSTEMS, Coding
from cds_service.decision.dates import AsOf, Span, day_date, parse_span
from cds_service.decision.facts import (
    Allergy,
    CodedValue,
    Codes,
    Component,
    Condition,
    DateValue,
    DoseStep,
    DraftOrder,
    FlagValue,
    Gap,
    Listing,
    MedicationEvent,
    Observation,
    Patient,
    PatientFacts,
    Procedure,
    Quantity,
    Quarantined,
    Record,
    TextValue,
    Value,
)
from cds_service.decision.needs import MEDICATION_KEYS, OBSERVATION_KEYS
from cds_service.decision.rule import Finding, Indicator, Jurisdiction, Model, Name, Rule, Sentence
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import as_model, name_of, read_yaml
from cds_service.rulebook.load import Rulebook, RuleVersion

Cause = Literal[
    "not sent", "refused", "timeout", "unreachable", "client error", "too large", "further pages not read", "unreadable"
]
Kind = Literal["request", "statement", "dispense"]
ListName = Literal["Condition", "Medication", "Observation", "AllergyIntolerance", "Procedure"]
NONE_RECEIVED = "none received"
BUNDLE = "bundle"
SHORT_SYSTEMS = frozenset(SYSTEMS.values()) | {"local"}
AWAY = re.compile(r"(\d{1,5}) d (ago|ahead)")
NUMBER = re.compile(r"(<=|>=|<|>)?\s*(-?\d+(?:\.\d+)?)(?:\s+(\S.*))?")
AMOUNT = re.compile(r"(?P<low>\d+(?:\.\d+)?)(?:-(?P<high>\d+(?:\.\d+)?))?(?: (?P<unit>[^\s]+))?(?: (?P<often>.+))?")
INTAKES = re.compile(r"(?P<low>\d+)(?:-(?P<high>\d+))? times daily")
OFTEN = {"daily": Decimal(1), "twice daily": Decimal(2), "every other day": Decimal(1) / 2, "weekly": Decimal(1) / 7}
T = TypeVar("T")
# What cases show: a criterion with its outcome, or a grade that was the finding.
Sight = tuple[str, str | None]


# ------------------------------------------------------------ the small words of a chart


def read_when(text: str, today: int) -> Span:
    """A FHIR date as recorded, or `30 d ago` and `30 d ahead`, counted from the as-of day. Raises ValueError."""
    away = AWAY.fullmatch(text)
    if away:
        days = int(away[1]) * (-1 if away[2] == "ago" else 1)
        text = day_date(today + days).isoformat()
    span = parse_span(text)
    if span is None:
        raise ValueError(f"'{text}' is neither a date nor a number of days such as '30 d ago'")
    return span


def read_code(text: str) -> Coding:
    """`snomed|38341003`, with the record's own words after a blank where they matter. Raises ValueError."""
    system, bar, rest = text.partition("|")
    code, _, display = rest.partition(" ")
    if not bar or not code or (system not in SHORT_SYSTEMS and ":" not in system):
        raise ValueError(f"'{text}' is not a code such as 'snomed|38341003'")
    return Coding(system, code, display or None)


def read_value(given: object, today: int) -> Value:
    """`150 mm[Hg]`, `<140 mm[Hg]`, a bare number, true, `loinc|LA33-6`, `text ...` or `date ...`. Raises ValueError."""
    if isinstance(given, bool):
        return FlagValue(given)
    text = str(given)
    if text.startswith("text "):
        return TextValue(text.removeprefix("text "))
    if text.startswith("date "):
        return DateValue(read_when(text.removeprefix("date "), today))
    number = NUMBER.fullmatch(text)
    if number:
        return Quantity(Decimal(number[2]), number[3], number[1])  # type: ignore[arg-type]
    return CodedValue((read_code(text),))


def read_dose(text: str) -> DoseStep:
    """`100 mg daily`, `1-2 tablets twice daily`, `20 mg` (how often is not said), `not said`. Raises ValueError."""
    if text == "not said":
        return DoseStep()
    dose = AMOUNT.fullmatch(text)
    if dose is None:
        raise ValueError(f"'{text}' is not a dose such as '100 mg daily'")
    least, most = _intakes(dose["often"])
    low, high = Decimal(dose["low"]), Decimal(dose["high"] or dose["low"])
    return DoseStep(amount_low=low, amount_high=high, unit=dose["unit"], per_day_low=least, per_day_high=most)


def _intakes(often: str | None) -> tuple[Decimal | None, Decimal | None]:
    if often is None:
        return None, None
    times = INTAKES.fullmatch(often)
    if times:
        return Decimal(times["low"]), Decimal(times["high"] or times["low"])
    if often not in OFTEN:
        raise ValueError(f"'{often}' does not say how often, such as 'daily' or '3 times daily'")
    return OFTEN[often], OFTEN[often]


def _when_text(text: str) -> str:
    read_when(text, 0)
    return text


def _code_text(text: str) -> str:
    read_code(text)
    return text


def _value_text(given: Any) -> Any:
    read_value(given, 0)
    return given


def _instant_text(text: str) -> str:
    read_instant(text)
    return text


def _dose_text(text: str) -> str:
    read_dose(text)
    return text


def _known_key(key: str) -> str:
    if key not in GAP_KEYS:
        raise ValueError(f"'{key}' is not a prefetch key")
    return key


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


def _listed_unless_none(given: Any) -> Any:
    return [] if given == NONE_RECEIVED else given


def _steps(given: Any) -> Any:
    return [{"take": step} if isinstance(step, str) else step for step in _listed(given)]


def read_instant(text: str) -> AsOf:
    """An as-of instant: a date, meaning its end in UTC, or a dateTime with its zone. Raises ValueError."""
    if len(text) == 10:
        return AsOf.of(dt.date.fromisoformat(text))
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' names no time zone")
    return AsOf.of(moment)


When = Annotated[str, AfterValidator(_when_text)]
OneCode = Annotated[str, AfterValidator(_code_text)]
CodeTexts = Annotated[list[OneCode], BeforeValidator(_listed)]
ValueText = Annotated[str | int | float | bool, AfterValidator(_value_text)]
Listed = Annotated[list[T], BeforeValidator(_listed_unless_none)]
LIST_KEYS: dict[ListName, frozenset[str]] = {
    "Condition": frozenset({"conditions"}),
    "Medication": frozenset(MEDICATION_KEYS),
    "Observation": frozenset({"observations", "questionnaireResponses", *OBSERVATION_KEYS.values()}),
    "AllergyIntolerance": frozenset({"allergies"}),
    "Procedure": frozenset({"procedures"}),
}
GAP_KEYS = frozenset({BUNDLE}).union(*LIST_KEYS.values())


# ------------------------------------------------------------ what a chart may say


class GivenPatient(Model):
    """The person; what is not named is not recorded."""

    gender: str | None = None
    birth: When | None = None
    birth_sex: str | None = None
    clinical_sex: str | None = None
    deceased: bool = False


class GivenCondition(Model):
    """A condition. Statuses that are not named are not recorded; `abated` is a date, or true without one."""

    code: CodeTexts = Field(default_factory=list)
    text: str | None = None
    clinical: Literal["active", "recurrence", "relapse", "inactive", "remission", "resolved"] | None = None
    verification: Literal["refuted", "unconfirmed", "provisional", "differential", "confirmed"] | None = None
    onset: When | None = None
    recorded: When | None = None
    abated: When | bool = False


class GivenPart(Model):
    """One component of a panel."""

    code: CodeTexts
    value: ValueText | None = None
    absent: str | None = None


class GivenObservation(Model):
    """A measurement, screen or recorded status."""

    code: CodeTexts
    on: When | None = None
    status: Literal["final", "amended", "corrected", "preliminary"] = "final"
    value: ValueText | None = None
    absent: str | None = None
    interpretation: CodeTexts = Field(default_factory=list)
    upper_limit: int | float | None = None
    parts: list[GivenPart] = Field(default_factory=list)


class GivenDose(Model):
    """One dosage instruction; a plain text such as `100 mg daily` is one too."""

    take: Annotated[str, AfterValidator(_dose_text)] = "not said"
    sequence: int | None = None
    days: int | None = None
    as_needed: bool = False
    route: CodeTexts = Field(default_factory=list)


class GivenMedication(Model):
    """A prescription (`start` is when it was written), a statement, or a dispense (`start` is when it was handed over).

    `supply_days` of a prescription is its expected supply, repeats included.
    """

    code: CodeTexts = Field(default_factory=list)
    text: str | None = None
    status: str | None
    intent: str | None = None
    do_not_perform: bool = False
    start: When | None = None
    end: When | None = None
    supply_days: int | None = None
    quantity: int | float | None = None
    strength_mg: int | float | None = None
    dose: Annotated[list[GivenDose], BeforeValidator(_steps)] = Field(default_factory=list)
    reasons: CodeTexts = Field(default_factory=list)
    status_reasons: CodeTexts = Field(default_factory=list)


class GivenAllergy(Model):
    """An allergy or intolerance; `code` holds the codes of the substance and of its reactions' substances."""

    code: CodeTexts = Field(default_factory=list)
    text: str | None = None
    clinical: Literal["active", "inactive", "resolved"] | None = None
    verification: Literal["unconfirmed", "presumed", "confirmed", "refuted", "entered-in-error"] | None = None
    type: Literal["allergy", "intolerance"] | None = None
    manifestations: CodeTexts = Field(default_factory=list)
    recorded: When | None = None


class GivenProcedure(Model):
    """Something done to the patient, `on` its date."""

    code: CodeTexts = Field(default_factory=list)
    text: str | None = None
    status: str = "completed"
    on: When | None = None


class GivenOrder(Model):
    """An order that is being written or signed: its drug by code or text, its route by code or in words."""

    code: CodeTexts = Field(default_factory=list)
    text: str | None = None
    route: CodeTexts = Field(default_factory=list)
    route_text: str | None = None
    status: str | None = "draft"


class GivenQuarantined(Model):
    """A resource that could not be understood; `code` are the codes that could be read all the same.

    `reason` begins with `draft order: ` where it is one of the request's orders and not of the chart.
    """

    type: Literal[
        "Condition",
        "Observation",
        "Medication",
        "MedicationRequest",
        "MedicationStatement",
        "MedicationDispense",
        "AllergyIntolerance",
        "Procedure",
    ]
    reason: str
    code: CodeTexts = Field(default_factory=list)


class Given(Model):
    """A chart in few words. A list that is not named, is empty or says `none received` arrived empty."""

    patient: GivenPatient = GivenPatient()
    conditions: Listed[GivenCondition] = Field(default_factory=list)
    observations: Listed[GivenObservation] = Field(default_factory=list)
    requests: Listed[GivenMedication] = Field(default_factory=list)
    statements: Listed[GivenMedication] = Field(default_factory=list)
    dispenses: Listed[GivenMedication] = Field(default_factory=list)
    allergies: Listed[GivenAllergy] = Field(default_factory=list)
    procedures: Listed[GivenProcedure] = Field(default_factory=list)
    orders: list[GivenOrder] = Field(default_factory=list)
    quarantined: list[GivenQuarantined] = Field(default_factory=list)
    gaps: dict[Annotated[str, AfterValidator(_known_key)], Cause] = Field(default_factory=dict)


class Expected(Model):
    """What the rule has to find. A grade that is not named is none; of the other parts, what is named is compared.

    `values` are a card's placeholders, `courses` says of each ingredient why its course counts or does not.
    """

    outcome: Finding
    grade: Name | None = None
    indicator: Indicator | None = None
    criteria: dict[Name, Finding] = Field(default_factory=dict)
    values: dict[str, str] = Field(default_factory=dict)
    courses: dict[str, str] = Field(default_factory=dict)


class Case(Model):
    """One chart, the instant it is read at, and what the rule has to find in it; `case` says what it proves."""

    case: Sentence
    as_of: Annotated[str, AfterValidator(_instant_text)] = "2026-11-01"
    jurisdiction: Jurisdiction = "US"
    given: Given
    expect: Expected


class Cannot(Model):
    """What the structure of the rule rules out: an outcome of a criterion, or a grade (`otherwise` is one too)."""

    criterion: Name | None = None
    outcome: Finding | None = None
    grade: Name | None = None
    because: Sentence

    @property
    def what(self) -> str:
        """In words: `criterion medications-read unknown`, `grade otherwise`."""
        return _name(self.sight)

    @property
    def sight(self) -> Sight:
        """What would be seen if it were possible after all."""
        return (self.grade, None) if self.grade else (self.criterion or "", self.outcome)


class CaseFile(Model):
    """cases.yaml."""

    cannot: list[Cannot] = Field(default_factory=list)
    cases: Annotated[list[Case], Field(min_length=1)]


# ------------------------------------------------------------ from a case to facts


def facts_of(given: Given, as_of: AsOf) -> PatientFacts:
    """The facts that a chart in few words means. Ids are the kind and the place in its list: `condition-1`."""
    today = as_of.day
    aside = tuple(
        Quarantined(Record(one.type, f"unread-{place}"), one.reason, _codes(one.code))
        for place, one in enumerate(given.quarantined, start=1)
    )
    conditions = tuple(_condition(one, place, today) for place, one in enumerate(given.conditions, start=1))
    observations = tuple(_observation(one, place, today) for place, one in enumerate(given.observations, start=1))
    medications = _medications(given, today)
    allergies = tuple(_allergy(one, place, today) for place, one in enumerate(given.allergies, start=1))
    procedures = tuple(_procedure(one, place, today) for place, one in enumerate(given.procedures, start=1))
    return PatientFacts(
        patient=_patient(given.patient, today),
        conditions=Listing(conditions, *_received(given, aside, len(conditions), "Condition")),
        medications=Listing(medications, *_received(given, aside, len(medications), "Medication")),
        observations=Listing(observations, *_received(given, aside, len(observations), "Observation")),
        allergies=Listing(allergies, *_received(given, aside, len(allergies), "AllergyIntolerance")),
        procedures=Listing(procedures, *_received(given, aside, len(procedures), "Procedure")),
        orders=tuple(_order(one, place) for place, one in enumerate(given.orders, start=1)),
        quarantined=aside,
    )


def _received(given: Given, aside: tuple[Quarantined, ...], read: int, kind: ListName) -> tuple[int, tuple[Gap, ...]]:
    """How many resources came, those set aside included, and why more may be missing."""
    unread = sum(1 for one in aside if _of_list(one, kind))
    wanted = LIST_KEYS[kind] | {BUNDLE}
    return read + unread, tuple(Gap(key, cause) for key, cause in sorted(given.gaps.items()) if key in wanted)


def _of_list(one: Quarantined, kind: ListName) -> bool:
    """Whether a resource set aside came with a list of the chart: a Medication alone did not, nor did a draft order."""
    drafted = one.reason.startswith("draft order: ")
    return one.record.type.startswith(kind) and one.record.type != "Medication" and not drafted


def _patient(given: GivenPatient, today: int) -> Patient:
    return Patient(
        record=Record("Patient", "patient-1"),
        birth=_when(given.birth, today),
        gender=given.gender,
        birth_sex=given.birth_sex,
        clinical_sex=given.clinical_sex,
        deceased=given.deceased,
    )


def _condition(given: GivenCondition, place: int, today: int) -> Condition:
    return Condition(
        record=Record("Condition", f"condition-{place}"),
        codes=_codes(given.code),
        text=given.text,
        clinical=given.clinical,
        verification=given.verification,
        onset=_when(given.onset, today),
        recorded=_when(given.recorded, today),
        abatement=_when(given.abated, today) if isinstance(given.abated, str) else None,
        abated=bool(given.abated),
    )


def _observation(given: GivenObservation, place: int, today: int) -> Observation:
    return Observation(
        record=Record("Observation", f"observation-{place}"),
        status=given.status,
        codes=_codes(given.code),
        when=_when(given.on, today),
        value=_value(given.value, today),
        absent=given.absent,
        interpretation=_codes(given.interpretation),
        upper_limit=_decimal(given.upper_limit),
        components=tuple(Component(_codes(part.code), _value(part.value, today), part.absent) for part in given.parts),
    )


def _medications(given: Given, today: int) -> tuple[MedicationEvent, ...]:
    lists: tuple[tuple[Kind, list[GivenMedication]], ...] = (
        ("request", given.requests),
        ("statement", given.statements),
        ("dispense", given.dispenses),
    )
    return tuple(
        _medication(kind, one, place, today) for kind, listed in lists for place, one in enumerate(listed, start=1)
    )


def _medication(kind: Kind, given: GivenMedication, place: int, today: int) -> MedicationEvent:
    return MedicationEvent(
        record=Record(f"Medication{kind.title()}", f"{kind}-{place}"),
        kind=kind,
        status=given.status,
        codes=_codes(given.code),
        text=given.text,
        intent=given.intent,
        do_not_perform=given.do_not_perform,
        start=_when(given.start, today),
        end=_when(given.end, today),
        supply_days=given.supply_days,
        quantity=_decimal(given.quantity),
        doses=tuple(_dose(step) for step in given.dose),
        strength_mg=_decimal(given.strength_mg),
        reasons=tuple((code,) for code in _codes(given.reasons)),
        status_reasons=_codes(given.status_reasons),
    )


def _allergy(given: GivenAllergy, place: int, today: int) -> Allergy:
    return Allergy(
        record=Record("AllergyIntolerance", f"allergy-{place}"),
        substances=_codes(given.code),
        text=given.text,
        clinical=given.clinical,
        verification=given.verification,
        type=given.type,
        manifestations=_codes(given.manifestations),
        recorded=_when(given.recorded, today),
    )


def _procedure(given: GivenProcedure, place: int, today: int) -> Procedure:
    return Procedure(
        record=Record("Procedure", f"procedure-{place}"),
        codes=_codes(given.code),
        status=given.status,
        text=given.text,
        when=_when(given.on, today),
    )


def _order(given: GivenOrder, place: int) -> DraftOrder:
    return DraftOrder(
        record=Record("MedicationRequest", f"order-{place}"),
        status=given.status,
        codes=_codes(given.code),
        text=given.text,
        routes=_codes(given.route),
        route_text=given.route_text,
    )


def _dose(given: GivenDose) -> DoseStep:
    step = read_dose(given.take)
    return DoseStep(
        step.amount_low,
        step.amount_high,
        step.unit,
        step.per_day_low,
        step.per_day_high,
        given.sequence,
        given.days,
        given.as_needed,
        _codes(given.route),
    )


def _when(text: str | None, today: int) -> Span | None:
    return read_when(text, today) if text is not None else None


def _value(given: str | float | None, today: int) -> Value | None:
    return read_value(given, today) if given is not None else None


def _decimal(number: float | None) -> Decimal | None:
    return Decimal(str(number)) if number is not None else None


def _codes(texts: list[str]) -> Codes:
    return tuple(read_code(text) for text in texts)


# ------------------------------------------------------------ running them


@dataclass(frozen=True)
class CaseResult:
    """A case as it came out; `faults` say where that is not what it expects."""

    case: Case
    assessment: Assessment
    faults: tuple[str, ...]


def read_cases(version: RuleVersion) -> CaseFile:
    """The cases beside a rule version. Raises RulebookInvalid."""
    path = version.folder / "cases.yaml"
    data, lines = read_yaml(path)
    cases = as_model(path, data, lines, CaseFile)
    for where, key, problem in _misnamed(cases, version.rule):
        raise RulebookInvalid(problem, file=name_of(path), line=lines.get(where), key=key)
    return cases


def _misnamed(cases: CaseFile, rule: Rule) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """What the cases name and the rule does not have, as (place, key, what is wrong)."""
    grades = {grade.id for grade in rule.grades} | {"otherwise"}
    for place, entry in enumerate(cases.cannot):
        if (entry.grade is None) == (entry.criterion is None or entry.outcome is None):
            yield ("cannot", place), "cannot", "names either a criterion with its outcome, or a grade"
        elif entry.criterion not in {None, *rule.criteria} or entry.grade not in {None, *grades}:
            yield ("cannot", place), "cannot", "names what the rule does not have"
    sentences = set()
    for place, case in enumerate(cases.cases):
        if case.case in sentences:
            yield ("cases", place, "case"), "case", "stands twice"
        sentences.add(case.case)
        if case.expect.grade not in {None, *grades - {"otherwise"}}:
            yield ("cases", place, "expect", "grade"), "grade", f"{case.expect.grade} is no grade of the rule"
        for name in sorted(case.expect.criteria.keys() - rule.criteria.keys()):
            yield ("cases", place, "expect", "criteria", name), name, "is no criterion of the rule"


def run_case(version: RuleVersion, case: Case) -> CaseResult:
    """A rule version's finding on one case's chart."""
    assessment = version.compiled.assess(chart_of(case), case.jurisdiction)
    return CaseResult(case, assessment, tuple(differences(case.expect, assessment)))


def chart_of(case: Case) -> Chart:
    """A case's chart, ready to be assessed by any number of rules."""
    as_of = read_instant(case.as_of)
    return Chart(facts_of(case.given, as_of), as_of)


def run_cases(rulebook: Rulebook, rule: str, version: str | None = None) -> list[CaseResult]:
    """Every case of a rule, of its newest version unless one is named. Raises RulebookInvalid when it has none."""
    found = rulebook.version(rule, version)
    if found is None:
        raise RulebookInvalid("has no such version", file=f"rules/{rule}/{version or ''}".rstrip("/"))
    return [run_case(found, case) for case in read_cases(found).cases]


def differences(expected: Expected, found: Assessment) -> Iterator[str]:
    """Where a finding is not what a case expects, one sentence each."""
    compared: list[tuple[str, str | None, str | None]] = [
        ("outcome", expected.outcome, found.outcome.value),
        ("grade", expected.grade, found.grade),
    ]
    if expected.indicator:
        compared.append(("indicator", expected.indicator, found.indicator))
    outcomes = {clause.id: clause.outcome.value for clause in found.clauses}
    compared += [(f"criterion {name}", wanted, outcomes[name]) for name, wanted in expected.criteria.items()]
    compared += [(f"value {name}", wanted, found.values.get(name)) for name, wanted in expected.values.items()]
    courses = {course.ingredient: course.why for course in found.courses}
    compared += [(f"course of {name}", wanted, courses.get(name)) for name, wanted in expected.courses.items()]
    for what, wanted, got in compared:
        if wanted != got:
            yield f"{what}: expected {wanted}, found {got}"


def unseen(rule: Rule, cannot: list[Cannot], results: list[CaseResult]) -> list[str]:
    """What the cases of a rule never showed, and what they showed although it is said to be impossible."""
    wanted: set[Sight] = {(name, outcome) for name in rule.criteria for outcome in ("met", "not met", "unknown")}
    wanted |= {(name, None) for name in (*(grade.id for grade in rule.grades), "otherwise")}
    seen: set[Sight] = {(clause.id, clause.outcome.value) for one in results for clause in one.assessment.clauses}
    seen |= {(found, None) for one in results if (found := _found_grade(rule, one.assessment))}
    excused = {entry.sight for entry in cannot}
    never = sorted(_never(sight) for sight in wanted - seen - excused)
    return never + sorted(f"said to be impossible, but seen: {_name(sight)}" for sight in excused & seen)


def _found_grade(rule: Rule, found: Assessment) -> str | None:
    if found.grade is None and found.outcome.value == rule.otherwise.finding:
        return "otherwise"
    return found.grade


def _name(sight: Sight) -> str:
    name, outcome = sight
    return f"criterion {name} {outcome}" if outcome else f"grade {name}"


def _never(sight: Sight) -> str:
    name, outcome = sight
    return f"criterion {name} was never {outcome}" if outcome else f"grade {name} was never the finding"
