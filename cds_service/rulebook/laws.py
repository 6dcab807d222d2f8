"""The laws that a rule file holds beyond its shape. Each says what is wrong, in which key, and why it matters."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import get_args

from cds_service.decision.codes import ValueSet
from cds_service.decision.needs import OBSERVATION_KEYS, observation_refs
from cds_service.decision.rule import (
    AgeCriterion,
    AllergiesFact,
    BloodPressureFact,
    CapacityCriterion,
    CardText,
    ConditionsFact,
    CountCriterion,
    CoursesFact,
    Fact,
    FollowsCriterion,
    Form,
    FoundCriterion,
    Grade,
    Jurisdiction,
    Line,
    MedicationsFact,
    OrdersFact,
    PatientFact,
    ProceduresFact,
    ReadCriterion,
    Rule,
    ScoreFact,
    SetRef,
    StandsCriterion,
    TimelineFact,
    ValueCriterion,
    condition_names,
    fact_name,
)
from cds_service.rulebook.registers import OverrideReason, Source, Suggestion

Fault = tuple[str, str]
SUMMARY_LIMIT = 139
# The longest text a placeholder can get: a value set's display is shortened to this on a summary.
LONGEST = {"name": 40, "date": 12, "age": 12, "value": 18, "count": 2, "open": 2, "state": 23}
PLACEHOLDER = re.compile(r"\{([a-z0-9-]+)\.([a-z]+)\}")
DIRECTIVE = re.compile(
    r"\b(must|should|do not|candidate|eligible|suitable|safe to|no contraindications|no history of|recommended dose)\b",
    re.IGNORECASE,
)
IMPERATIVE = re.compile(
    r"^(avoid|stop|start|give|prescribe|treat|cancel|order|measure|check|monitor|assess|consider|refer)\b",
    re.IGNORECASE,
)


class Registers:
    """What a rule may point into."""

    def __init__(
        self,
        sets: Mapping[str, ValueSet],
        sources: Mapping[str, Source],
        overrides: Mapping[str, OverrideReason],
        suggestions: Mapping[str, Suggestion],
        rules: frozenset[str],
    ) -> None:
        self.sets = sets
        self.sources = sources
        self.overrides = overrides
        self.suggestions = suggestions
        self.rules = rules


def faults(rule: Rule, registers: Registers) -> Iterator[Fault]:
    """Every law the rule breaks, as (key, what is wrong)."""
    for law in LAWS:
        yield from law(rule, registers)


def set_refs(rule: Rule) -> list[tuple[str, SetRef]]:
    """Every selection of codes with the key of the fact that makes it."""
    return [(f"facts.{name}", ref) for name, fact in rule.facts.items() for ref in _fact_refs(fact)]


def _fact_refs(fact: Fact) -> list[SetRef]:
    match fact:
        case PatientFact():
            return []
        case ConditionsFact() | ScoreFact() | AllergiesFact() | ProceduresFact():
            return fact.codes
        case MedicationsFact():
            return [*fact.codes, *fact.known]
        case OrdersFact():
            return [fact.codes, fact.routes]
        case BloodPressureFact():
            return [fact.codes, fact.panels]
        case TimelineFact():
            return [ref for line in fact.lines for ref in _line_refs(line)]
        case _:
            single = [
                fact.ingredients,
                fact.products,
                fact.augmentation,
                fact.other_indications,
                fact.stop_reasons,
                fact.routes,
                fact.depression_score,
            ]
            return [*single, *fact.other_products, *fact.episode, *fact.remission]


def _line_refs(line: Line) -> list[SetRef]:
    if line.condition:
        return line.condition.codes
    return [*line.observation.codes, *line.observation.answers] if line.observation else []


def _value_sets(rule: Rule, registers: Registers) -> Iterator[Fault]:
    used = set()
    for key, ref in set_refs(rule):
        used.add(ref.set)
        if ref.set not in rule.value_sets:
            yield key, f"reads value set {ref.set}, which value_sets does not pin"
        elif not registers.sets[ref.set].select(ref):
            yield key, f"selects no code of {ref.set}"
    for name in rule.value_sets:
        if name not in used:
            yield f"value_sets.{name}", "is pinned and not used"
        elif registers.sets[name].sha256 != rule.value_sets[name].sha256:
            yield f"value_sets.{name}", "has another content hash than the file on disk"
    for ref in observation_refs(rule):
        if ref.set not in OBSERVATION_KEYS:
            yield "facts", f"reads observations of {ref.set}, for which no prefetch key exists"


def _lines(rule: Rule, registers: Registers) -> Iterator[Fault]:
    del registers
    for name, fact in rule.facts.items():
        for line in fact.lines if isinstance(fact, TimelineFact) else []:
            if (line.condition is None) == (line.observation is None):
                yield f"facts.{name}.lines", f"line {line.id} reads either a condition or an observation"


KINDS = {
    FoundCriterion: (
        ConditionsFact,
        BloodPressureFact,
        ScoreFact,
        TimelineFact,
        MedicationsFact,
        AllergiesFact,
        ProceduresFact,
        OrdersFact,
    ),
    ValueCriterion: (BloodPressureFact, ScoreFact),
    StandsCriterion: (TimelineFact,),
    FollowsCriterion: (TimelineFact,),
    CountCriterion: (CoursesFact,),
    AgeCriterion: (PatientFact,),
    CapacityCriterion: (PatientFact,),
}


def _criteria(rule: Rule, registers: Registers) -> Iterator[Fault]:
    """Every definition used, every criterion typed, every word of a timeline spoken by one of its lines."""
    del registers
    asked = set()
    for name, criterion in rule.criteria.items():
        fact = fact_name(criterion)
        if isinstance(criterion, ReadCriterion) or fact is None:
            continue
        asked.add(fact)
        if not isinstance(rule.facts.get(fact), KINDS[type(criterion)]):
            yield f"criteria.{name}", f"asks of {fact} what that kind of fact cannot answer"
            continue
        for word in sorted(_words(criterion) - _spoken(rule.facts[fact])):
            yield f"criteria.{name}", f"names {word}, which no line of {fact} says"
        if isinstance(criterion, ValueCriterion):
            yield from _value_criterion(name, criterion, rule.facts[fact])
    for name in rule.facts:
        if name not in asked:
            yield f"facts.{name}", "is defined and not asked about"


def _value_criterion(name: str, criterion: ValueCriterion, fact: Fact) -> Iterator[Fault]:
    bounds = (criterion.more_than, criterion.at_least, criterion.less_than, criterion.more_than_upper_limits)
    if sum(bound is not None for bound in bounds) != 1:
        yield f"criteria.{name}", "needs one bound: more_than, at_least, less_than or more_than_upper_limits"
    if isinstance(fact, BloodPressureFact) != (criterion.part is not None):
        yield f"criteria.{name}", "part belongs to a blood pressure, and to nothing else"


def _words(criterion: object) -> set[str]:
    match criterion:
        case FoundCriterion():
            return set(criterion.says)
        case StandsCriterion():
            return {criterion.says, *criterion.unless_later}
        case FollowsCriterion():
            return {criterion.says, criterion.after}
        case _:
            return set()


def _spoken(fact: Fact) -> set[str]:
    """The words that the records of a fact can say."""
    if isinstance(fact, OrdersFact):
        return {"esketamine", "ketamine", "form-unknown", *get_args(Form)}
    return {word for line in fact.lines for word in line.says} if isinstance(fact, TimelineFact) else set()


def _grades(rule: Rule, registers: Registers) -> Iterator[Fault]:
    """Grades name criteria that exist, each criterion is used, and none stands behind one that is always met."""
    del registers
    used = {name for grade in rule.grades for name in condition_names(grade.when)}
    used |= {grade.card.at_sign.when for grade in rule.grades if grade.card and grade.card.at_sign}
    for name in sorted(used - rule.criteria.keys()):
        yield "grades", f"name the criterion {name}, which is not defined"
    for name in sorted(rule.criteria.keys() - used):
        yield f"criteria.{name}", "is defined and not used by a grade"
    if len({grade.id for grade in rule.grades}) != len(rule.grades):
        yield "grades", "two grades have the same id"
    for index, grade in enumerate(rule.grades):
        if grade.when == "otherwise" and index != len(rule.grades) - 1:
            yield f"grades.{grade.id}", "is met always, so that no later grade can be reached"
        for name in grade.evidence:
            if name not in rule.facts:
                yield f"grades.{grade.id}", f"lists the evidence of {name}, which is not defined"


def _unknown_texts(rule: Rule, registers: Registers) -> Iterator[Fault]:
    del registers
    askable = {name for name, criterion in rule.criteria.items() if not isinstance(criterion, ReadCriterion)}
    for name in sorted(askable - rule.when_unknown.keys()):
        yield "when_unknown", f"says nothing of {name}, which can be unknown"
    for name in sorted(rule.when_unknown.keys() - askable):
        yield f"when_unknown.{name}", "speaks of a criterion that is not defined"


def _citations(rule: Rule, registers: Registers) -> Iterator[Fault]:
    """Every grade cites, every citation is used, every source is in the register."""
    known = {citation.id for citation in rule.citations}
    cited = {name for grade in rule.grades for name in grade.cites}
    cited |= {grade.card.topic_source for grade in rule.grades if grade.card}
    for name in sorted(cited - known):
        yield "grades", f"cite {name}, which is not a citation"
    for name in sorted(known - cited):
        yield f"citations.{name}", "is not used by a grade"
    for citation in rule.citations:
        source = registers.sources.get(citation.source)
        if source is None:
            yield f"citations.{citation.id}", f"names the source {citation.source}, which the register lacks"
        elif source.never_on_cards:
            yield f"citations.{citation.id}", f"names the source {citation.source}, which no card may cite"


def _cards(rule: Rule, registers: Registers) -> Iterator[Fault]:
    for grade in rule.grades:
        if grade.card:
            yield from _card(rule, grade, grade.card, registers)


def _card(rule: Rule, grade: Grade, card: CardText, registers: Registers) -> Iterator[Fault]:
    key = f"grades.{grade.id}.card"
    for text in (card.summary, *card.points):
        for fact, field in PLACEHOLDER.findall(text):
            if fact not in rule.facts or field not in LONGEST:
                yield key, f"has the placeholder {{{fact}.{field}}}, which cannot be filled"
    longest = PLACEHOLDER.sub(lambda found: "x" * LONGEST.get(found.group(2), 0), card.summary)
    if len(longest) > SUMMARY_LIMIT:
        yield f"{key}.summary", f"can reach {len(longest)} characters; the limit is {SUMMARY_LIMIT}"
    if isinstance(card.indicator, dict) and set(card.indicator) != set(get_args(Jurisdiction)):
        yield f"{key}.indicator", "names some jurisdictions and not others"
    yield from _wording(key, card)
    named = [registers.sources.get(one.source) for one in rule.citations if one.id == card.topic_source]
    if any(source and not source.url for source in named):
        yield f"{key}.topic_source", "names a source without an address"
    for code in card.overrides:
        if code not in registers.overrides:
            yield f"{key}.overrides", f"names {code}, which the register lacks"
    codings = [str(registers.overrides[code].coding) for code in card.overrides if code in registers.overrides]
    if len({coding.split("'display'")[0] for coding in codings}) != len(codings):
        yield f"{key}.overrides", "offers two reasons that feedback cannot tell apart"
    for name in card.suggest:
        if name not in registers.suggestions:
            yield f"{key}.suggest", f"names {name}, which the register lacks"
    if card.at_sign and not set(card.at_sign.unless_met) <= registers.rules:
        yield f"{key}.at_sign", "names a rule that does not exist"


def _wording(key: str, card: CardText) -> Iterator[Fault]:
    """No verdict, no directive; what a label says is said of the label."""
    for text in (card.summary, card.limits, *card.points, *card.options):
        if found := DIRECTIVE.search(text):
            yield key, f"uses the word '{found.group(0)}'"
    for text in card.options:
        if found := IMPERATIVE.match(text):
            yield f"{key}.options", f"begins with the directive '{found.group(0)}': options are noun phrases"


LAWS: tuple[Callable[[Rule, Registers], Iterator[Fault]], ...] = (
    _value_sets,
    _lines,
    _criteria,
    _grades,
    _unknown_texts,
    _citations,
    _cards,
)
