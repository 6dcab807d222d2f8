"""assess(rule, facts, as_of) -> Assessment: every criterion's outcome with its evidence, and the finding.

A rule is compiled once to closures (`compile_rule`); an assessment is pure and cannot fail on missing data, since
missing data is an outcome. The same facts, rule and instant give the same assessment, byte for byte.
"""

from collections.abc import Callable, Mapping

import msgspec

from cds_service.decision.chart import Chart
from cds_service.decision.codes import ValueSet
from cds_service.decision.courses import courses_reader
from cds_service.decision.criteria import Answer, Question, compile_criterion
from cds_service.decision.dates import AsOf
from cds_service.decision.evidence import Course, Evidence, Found, found_values
from cds_service.decision.medicines import allergies_reader, medications_reader
from cds_service.decision.needs import OBSERVATION_KEYS
from cds_service.decision.orders import orders_reader
from cds_service.decision.outcome import MET, NOT_MET, OUTCOMES, UNKNOWN, Outcome, all_of, any_of, negate
from cds_service.decision.pressure import pressure_reader
from cds_service.decision.reading import Reader, conditions_reader, procedures_reader, score_reader, timeline_reader
from cds_service.decision.rule import (
    AllergiesFact,
    AllOf,
    AnyOf,
    BloodPressureFact,
    ConditionsFact,
    CoursesFact,
    Fact,
    Grade,
    Jurisdiction,
    MedicationsFact,
    NotOf,
    PatientFact,
    ProceduresFact,
    Rule,
    ScoreFact,
    TimelineFact,
    When,
    condition_names,
    fact_name,
)

Sets = Mapping[str, ValueSet]
Answers = Mapping[str, Answer]
Condition = Callable[[Answers], Outcome]


class Clause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One criterion of a rule as it came out, with the records that bear on it and why it is unknown."""

    id: str
    outcome: Outcome
    evidence: tuple[Evidence, ...] = ()
    reason: str | None = None


class Assessment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule's finding for one patient at one instant.

    `values` are the placeholders of the grade's card (`fact.name`), `evidence` what was found, `unknowns` what could
    not be decided and why, `labels` the union of the security labels of the records that bear on it.
    """

    rule: str
    version: str
    digest: str
    outcome: Outcome
    clauses: tuple[Clause, ...]
    grade: str | None = None
    indicator: str | None = None
    evidence: tuple[Evidence, ...] = ()
    unknowns: tuple[str, ...] = ()
    values: dict[str, str] = {}
    courses: tuple[Course, ...] = ()
    unverified: bool = False
    labels: tuple[str, ...] = ()


class CompiledRule:
    """A rule version ready to run: its facts' readers, its criteria and its grades as closures."""

    def __init__(self, rule: Rule, sets: Sets, digest: str) -> None:
        self.rule = rule
        self.digest = digest
        self._readers = {name: _reader(fact, sets) for name, fact in rule.facts.items()}
        self._questions: dict[str, Question] = {
            name: compile_criterion(criterion) for name, criterion in rule.criteria.items()
        }
        self._grades = [(grade, _condition(grade)) for grade in rule.grades]

    def assess(self, chart: Chart, jurisdiction: Jurisdiction) -> Assessment:
        """The rule's finding on a chart."""
        found = {name: read(chart) for name, read in self._readers.items()}
        answers = {name: ask(chart, found) for name, ask in self._questions.items()}
        grade, outcome = self._finding(answers)
        return _assessment(self, found, answers, grade, outcome, jurisdiction, chart.as_of)

    def _finding(self, answers: Answers) -> tuple[Grade | None, Outcome]:
        """The first grade met is the finding.

        A finding "not met" does not hold while an earlier grade with another finding is undecided: then the rule is
        unknown, since that grade would have come first.
        """
        undecided: set[str] = set()
        for grade, condition in self._grades:
            outcome = condition(answers)
            if outcome is MET:
                if grade.finding == "not met" and undecided - {"not met"}:
                    return None, UNKNOWN
                return grade, OUTCOMES[grade.finding]
            if outcome is UNKNOWN:
                undecided.add(grade.finding)
        if undecided - {self.rule.otherwise.finding}:
            return None, UNKNOWN
        return None, OUTCOMES[self.rule.otherwise.finding]


def _reader(fact: Fact, sets: Sets) -> Reader:
    match fact:
        case PatientFact():
            return lambda chart: Found()
        case ConditionsFact():
            return conditions_reader(fact, sets)
        case BloodPressureFact():
            return pressure_reader(fact, sets, OBSERVATION_KEYS[fact.codes.set])
        case ScoreFact():
            return score_reader(fact, sets, OBSERVATION_KEYS[fact.codes[0].set])
        case TimelineFact():
            return timeline_reader(fact, sets, OBSERVATION_KEYS)
        case CoursesFact():
            return courses_reader(fact, sets, OBSERVATION_KEYS[fact.depression_score.set])
        case MedicationsFact():
            return medications_reader(fact, sets)
        case AllergiesFact():
            return allergies_reader(fact, sets)
        case ProceduresFact():
            return procedures_reader(fact, sets)
        case _:
            return orders_reader(fact, sets)


def _condition(grade: Grade) -> Condition:
    if grade.when == "otherwise":
        return lambda answers: MET
    return _when(grade.when)


def _when(when: When) -> Condition:
    match when:
        case AllOf():
            parts = [_when(part) for part in when.all]
            return lambda answers: all_of(part(answers) for part in parts)
        case AnyOf():
            parts = [_when(part) for part in when.any]
            return lambda answers: any_of(part(answers) for part in parts)
        case NotOf():
            inner = _when(when.not_)
            return lambda answers: negate(inner(answers))
        case _:
            name = when
            return lambda answers: answers[name].outcome


def _clause(name: str, answer: Answer) -> Clause:
    evidence = answer.evidence + tuple(match.evidence() for match in answer.matches)
    reason = "; ".join(answer.reasons) if answer.reasons else None
    return Clause(name, answer.outcome, evidence, reason)


def _assessment(
    compiled: CompiledRule,
    found: Mapping[str, Found],
    answers: Answers,
    grade: Grade | None,
    outcome: Outcome,
    jurisdiction: Jurisdiction,
    as_of: AsOf,
) -> Assessment:
    rule = compiled.rule
    clauses = tuple(_clause(name, answer) for name, answer in answers.items())
    shown = _shown(grade, found, answers)
    labels = sorted({label for clause in clauses for item in clause.evidence for label in item.labels})
    return Assessment(
        rule=rule.rule,
        version=rule.version,
        digest=compiled.digest,
        outcome=outcome,
        clauses=clauses,
        grade=grade.id if grade else None,
        indicator=indicator_of(grade, found, answers, jurisdiction) if grade else None,
        evidence=shown,
        unknowns=_unknowns(rule, clauses, outcome),
        values=_values(rule, grade, found, answers, as_of),
        courses=tuple(course for one in found.values() for course in one.courses),
        unverified=_rests_on_unverified(rule, grade, answers),
        labels=tuple(labels),
    )


def _values(
    rule: Rule, grade: Grade | None, found: Mapping[str, Found], answers: Answers, as_of: AsOf
) -> dict[str, str]:
    """A card's placeholders: of each fact its newest record, or the one that decided the grade's first criterion."""
    values = {f"{name}.{key}": value for name, one in found.items() for key, value in one.values.items()}
    for criterion in reversed(condition_names(grade.when)) if grade else ():
        fact = fact_name(rule.criteria[criterion])
        if fact and answers[criterion].outcome is MET and not isinstance(rule.facts[fact], CoursesFact):
            decided = found_values(answers[criterion].matches, as_of)
            values |= {f"{fact}.{key}": value for key, value in decided.items()}
    return values


def _shown(grade: Grade | None, found: Mapping[str, Found], answers: Answers) -> tuple[Evidence, ...]:
    """What a card lists as found: the records of the facts that the grade names, else of its met criteria."""
    if grade is None:
        return ()
    names = [name for name in condition_names(grade.when) if answers[name].outcome is not NOT_MET]
    matches = [match for name in names for match in answers[name].matches]
    matches += [match for name in grade.evidence for match in found[name].matches]
    items = [item for name in names for item in answers[name].evidence] + [match.evidence() for match in matches]
    return tuple(dict.fromkeys(items))


def _unknowns(rule: Rule, clauses: tuple[Clause, ...], outcome: Outcome) -> tuple[str, ...]:
    """In words: what could not be decided and why, one line for each reason; also the outcome's own, if it is open."""
    by_reason: dict[str | None, str] = {}
    for clause in clauses:
        if clause.outcome is UNKNOWN and clause.id in rule.when_unknown:
            by_reason.setdefault(clause.reason, rule.when_unknown[clause.id])
    texts = [f"{text} ({reason})" if reason else text for reason, text in by_reason.items()]
    if outcome is UNKNOWN and not texts:
        texts.append(rule.otherwise.says)
    return tuple(texts)


LOWER = {"critical": "warning", "warning": "info", "info": "info"}


def indicator_of(grade: Grade, found: Mapping[str, Found], answers: Answers, jurisdiction: Jurisdiction) -> str | None:
    """The card's indicator under a jurisdiction; one lower when all it rests on is recorded as provisional."""
    if grade.card is None:
        return None
    stated = grade.card.indicator
    indicator = stated if isinstance(stated, str) else stated[jurisdiction]
    names = [name for name in condition_names(grade.when) if answers[name].outcome is MET]
    # An order is no finding: only what is recorded of the patient can be provisional.
    matches = [match for name in names for match in answers[name].matches if match.dated]
    if grade.card.provisional_lowers and matches and all(match.provisional for match in matches):
        return LOWER[indicator]
    return indicator


def _rests_on_unverified(rule: Rule, grade: Grade | None, answers: Answers) -> bool:
    """Whether an unverified claim or code decides the grade, so that the card has to say so."""
    if grade is None:
        return False
    status = {citation.id: citation.status for citation in rule.citations}
    cited = any(status[cite] in ("unverified", "design choice") for cite in grade.cites)
    names = [name for name in condition_names(grade.when) if answers[name].outcome is MET]
    coded = any(not match.verified for name in names for match in answers[name].matches)
    return cited or coded


def assess(rules: list[CompiledRule], chart: Chart, jurisdiction: Jurisdiction) -> tuple[Assessment, ...]:
    """Every rule's finding, in the order given."""
    return tuple(rule.assess(chart, jurisdiction) for rule in rules)


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(tuple[Assessment, ...])


def encode_assessments(assessments: tuple[Assessment, ...]) -> bytes:
    """Canonical bytes of assessments."""
    return _ENCODER.encode(assessments)


def decode_assessments(data: bytes) -> tuple[Assessment, ...]:
    """The assessments that `encode_assessments` wrote."""
    return _DECODER.decode(data)
