"""One small function per kind of criterion: a question about what was found, met, not met or unknown."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from cds_service.decision.chart import Chart, list_gaps
from cds_service.decision.courses import count_courses
from cds_service.decision.dates import is_later, years_between
from cds_service.decision.evidence import Evidence, Found, Match
from cds_service.decision.facts import Patient, Quantity
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome, between, negate
from cds_service.decision.pressure import pressure_above
from cds_service.decision.reading import compare
from cds_service.decision.rule import (
    AgeCriterion,
    CapacityCriterion,
    CountCriterion,
    Criterion,
    FollowsCriterion,
    FoundCriterion,
    ReadCriterion,
    StandsCriterion,
    ValueCriterion,
)

FoundFacts = Mapping[str, Found]


class Answer(msgspec.Struct, frozen=True):
    """A criterion's outcome, the matches that made it, and why it is unknown (empty unless it is)."""

    outcome: Outcome
    matches: tuple[Match, ...] = ()
    reasons: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


Question = Callable[[Chart, FoundFacts], Answer]


def compile_criterion(criterion: Criterion) -> Question:
    """The function that answers a criterion."""
    match criterion:
        case FoundCriterion():
            return _found(criterion)
        case ValueCriterion():
            return _value(criterion)
        case StandsCriterion():
            return _stands(criterion)
        case FollowsCriterion():
            return _follows(criterion)
        case CountCriterion():
            return _count(criterion)
        case AgeCriterion():
            return _age(criterion)
        case CapacityCriterion():
            return _capacity
        case _:
            return _read(criterion)


def _saying(found: Found, words: list[str]) -> tuple[Match, ...]:
    if not words or not found.matches:
        return found.matches
    return tuple(match for match in found.matches if not set(words).isdisjoint(match.says))


def _reasons(matches: tuple[Match, ...], gaps: tuple[str, ...]) -> tuple[str, ...]:
    open_ones = tuple(f"{match.record.reference}: {match.note}" for match in matches if not match.certain)
    return open_ones + gaps


def _found(criterion: FoundCriterion) -> Question:
    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del chart
        found = facts[criterion.found]
        matches = _saying(found, criterion.says)
        certain = tuple(match for match in matches if match.certain)
        if certain:
            return Answer(MET, certain)
        if matches or found.gaps:
            return Answer(UNKNOWN, matches, _reasons(matches, found.gaps))
        return Answer(NOT_MET)

    return answer


def _value(criterion: ValueCriterion) -> Question:
    above, times, below = criterion.more_than, criterion.more_than_upper_limits, criterion.less_than
    stated = next(bound for bound in (above, times, below, criterion.at_least) if bound is not None)
    bound, strict = Decimal(str(stated)), above is not None or times is not None

    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        found = facts[criterion.value]
        if criterion.part:
            return _pressure_answer(found, criterion.part, bound, strict=strict)
        if times is not None:
            found = _in_upper_limits(found)
        return _score_answer(chart, found, criterion, bound, strict=strict, below=below is not None)

    return answer


def _in_upper_limits(found: Found) -> Found:
    """Values as multiples of the laboratory's own upper limit; one without is left out, and is a gap if it is last."""
    judged = [match for match in found.matches if match.number is None or match.upper_limit]
    last_is_open = found.matches[-1:] != tuple(judged[-1:])
    gaps = found.gaps + (("the last value comes without the laboratory's upper limit",) if last_is_open else ())
    return Found(tuple(_in_upper_limit(match) for match in judged), gaps, found.values)


def _in_upper_limit(match: Match) -> Match:
    if match.number is None or match.upper_limit is None:
        return match
    multiple = Quantity(match.number.value / match.upper_limit, None, match.number.comparator)
    return msgspec.structs.replace(match, number=multiple)


def _pressure_answer(found: Found, part: str, bound: Decimal, *, strict: bool) -> Answer:
    outcome, decided = pressure_above(found.readings, part, bound, strict=strict)
    if outcome is UNKNOWN:
        notes = tuple(f"{one.record.reference}: {one.note}" for one in found.readings if one.note)
        missing = f"no usable {part} value of the last reading"
        return Answer(outcome, found.matches[-1:], found.gaps + (notes or (missing,)))
    matches = tuple(match for match, one in zip(found.matches, found.readings, strict=True) if one is decided)
    if outcome is NOT_MET and found.gaps:
        return Answer(UNKNOWN, matches, found.gaps)
    return Answer(outcome, matches)


def _score_answer(
    chart: Chart, found: Found, criterion: ValueCriterion, bound: Decimal, *, strict: bool, below: bool
) -> Answer:
    """The latest value decides. No value at all is "not met" only where the list could be read: a screen is extra."""
    sex = recorded_sex(chart.facts.patient)
    if criterion.for_sex and sex and sex[1] != criterion.for_sex:
        return Answer(NOT_MET)
    if not found.matches:
        return Answer(UNKNOWN, (), found.gaps) if found.gaps else Answer(NOT_MET)
    last = found.matches[-1]
    if not last.certain or last.number is None:
        return Answer(UNKNOWN, (last,), _reasons((last,), found.gaps))
    outcome = _beyond(last, bound, strict=strict, below=below)
    if outcome is NOT_MET and any(_may_be_later(one, last, bound, strict, below) for one in found.matches):
        return Answer(UNKNOWN, (last,), ("an earlier value is dated too vaguely to be placed",))
    if outcome is MET and criterion.for_sex and sex is None:
        return Answer(UNKNOWN, (last,), ("the cut point differs by sex, which is not recorded",))
    if outcome is NOT_MET and found.gaps:
        return Answer(UNKNOWN, (last,), found.gaps)
    return Answer(outcome, (last,), ("value given as a range",) if outcome is UNKNOWN else ())


def _beyond(match: Match, bound: Decimal, *, strict: bool, below: bool) -> Outcome:
    if match.number is None:
        return UNKNOWN
    outcome = compare(match.number, bound, strict=strict)
    return negate(outcome) if below else outcome


def _may_be_later(match: Match, last: Match, bound: Decimal, strict: bool, below: bool) -> bool:
    """Whether a value whose date is vague or missing may be later than the last one, and beyond the bound."""
    if match is last or (match.when and last.when and match.when.end < last.when.start):
        return False
    return _beyond(match, bound, strict=strict, below=below) is not NOT_MET


def _stands(criterion: StandsCriterion) -> Question:
    """Evidence stands unless other evidence is later; the same moment is not, and a vague date decides nothing."""

    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del chart
        found = facts[criterion.stands]
        claims = _saying(found, [criterion.says])
        others = tuple(match for match in _saying(found, criterion.unless_later) if criterion.unless_later)
        standing = tuple(claim for claim in claims if claim.certain and not _may_be_outweighed(claim, others))
        if standing:
            return Answer(MET, standing)
        open_claims = tuple(claim for claim in claims if not _is_outweighed(claim, others))
        if open_claims:
            reasons = _reasons(open_claims, found.gaps) or ("the dates do not settle which evidence is later",)
            return Answer(UNKNOWN, open_claims, reasons)
        if found.gaps:
            return Answer(UNKNOWN, (), found.gaps)
        return Answer(NOT_MET, claims)

    return answer


def _may_be_outweighed(claim: Match, others: tuple[Match, ...]) -> bool:
    return any(is_later(other.when, claim.when) is not NOT_MET for other in others)


def _is_outweighed(claim: Match, others: tuple[Match, ...]) -> bool:
    return any(other.certain and is_later(other.when, claim.when) is MET for other in others)


def _follows(criterion: FollowsCriterion) -> Question:
    """Days decide, so that two records of one day count as following; later evidence of the first kind undoes it."""

    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del chart
        found = facts[criterion.follows]
        firsts = _saying(found, [criterion.after])
        seconds = _saying(found, [criterion.says])
        seconds = tuple(two for two in seconds if not _is_outweighed(two, firsts))
        pairs = [(one, two) for one in firsts for two in seconds if _at_or_after(two, one) is not NOT_MET]
        certain = [
            pair for pair in pairs if _at_or_after(pair[1], pair[0]) is MET and pair[0].certain and pair[1].certain
        ]
        if certain:
            return Answer(MET, tuple(dict.fromkeys(match for pair in certain for match in pair)))
        if pairs:
            matches = tuple(dict.fromkeys(match for pair in pairs for match in pair))
            return Answer(UNKNOWN, matches, _reasons(matches, ()) or ("the dates do not settle the order",))
        return Answer(UNKNOWN, (), found.gaps) if found.gaps else Answer(NOT_MET)

    return answer


def _at_or_after(second: Match, first: Match) -> Outcome:
    if second.when is None or first.when is None:
        return UNKNOWN
    return between(
        second.when.first_day >= first.when.last_day,
        second.when.last_day >= first.when.first_day,
    )


def _count(criterion: CountCriterion) -> Question:
    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del chart
        found = facts[criterion.count]
        outcome = count_courses(found, criterion.at_least)
        if outcome is not UNKNOWN:
            return Answer(outcome, found.matches)
        open_ones = tuple(f"{course.ingredient}: {course.why}" for course in found.courses if course.counts is UNKNOWN)
        return Answer(UNKNOWN, found.matches, open_ones + found.gaps)

    return answer


def _age(criterion: AgeCriterion) -> Question:
    low, high = criterion.at_least or 0, criterion.at_most if criterion.at_most is not None else 200

    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del facts
        patient = chart.facts.patient
        if patient.birth is None:
            return Answer(UNKNOWN, (), ("birth date not recorded",))
        youngest, oldest = years_between(patient.birth, chart.as_of)
        outcome = between(low <= youngest and oldest <= high, oldest >= low and youngest <= high)
        shown = str(youngest) if youngest == oldest else f"{youngest} to {oldest}"
        evidence = Evidence(
            resource=patient.record.reference, what="age", value=f"{shown} years", date=chart.as_of.text[:10]
        )
        reasons = ("birth date not exact enough",) if outcome is UNKNOWN else ()
        return Answer(outcome, (), reasons, (evidence,))

    return answer


def recorded_sex(patient: Patient) -> tuple[str, str] | None:
    """Where a sex is recorded, and which: for clinical use before at birth before administrative gender.

    None when none of them says male or female.
    """
    recorded = (
        ("sex for clinical use", patient.clinical_sex),
        ("recorded sex at birth", patient.birth_sex),
        ("administrative gender", patient.gender),
    )
    return next(((name, value) for name, value in recorded if value in ("male", "female")), None)


def _capacity(chart: Chart, facts: FoundFacts) -> Answer:
    del facts
    sex = recorded_sex(chart.facts.patient)
    if sex is None:
        return Answer(UNKNOWN, (), ("sex not recorded as male or female",))
    evidence = Evidence(resource=chart.facts.patient.record.reference, what=sex[0], value=sex[1])
    return Answer(MET if sex[1] == "female" else NOT_MET, (), (), (evidence,))


LIST_TYPES: Mapping[str, tuple[str, ...]] = {
    "conditions": ("Condition",),
    "medications": ("MedicationRequest", "MedicationStatement", "MedicationDispense"),
    "allergies": ("AllergyIntolerance",),
}


def _list_read(name: str, chart: Chart) -> tuple[str, ...]:
    if name == "conditions":
        return list_gaps(chart.facts.conditions, empty_matters=True, name=name)
    if name == "medications":
        return list_gaps(chart.facts.medications, empty_matters=True, name=name)
    return list_gaps(chart.facts.allergies, empty_matters=True, name=name)


def _read(criterion: ReadCriterion) -> Question:
    def answer(chart: Chart, facts: FoundFacts) -> Answer:
        del facts
        gaps = _list_read(criterion.read, chart)
        aside = chart.quarantined(LIST_TYPES[criterion.read], None)
        reasons = gaps + tuple(f"{item.record.reference} could not be read" for item in aside)
        return Answer(NOT_MET if reasons else MET, (), reasons)

    return answer
