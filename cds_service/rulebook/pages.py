"""The page of a rule version for people, as Markdown and as HTML, and the index of all rules.

Everything on a page is computed from the rule, its value sets, the registers and the ledger, so that it cannot say
another thing than what runs. Texts of rule files are escaped on their way in; the words for facts and criteria are
total over the rule language.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cds_service.decision.codes import Entry, ValueSet
from cds_service.decision.needs import OBSERVATION_KEYS, observation_refs
from cds_service.decision.rule import (
    AgeCriterion,
    AllergiesFact,
    AllOf,
    AnswerLine,
    AnyOf,
    BloodPressureFact,
    CapacityCriterion,
    CardText,
    Citation,
    ConditionLine,
    ConditionsFact,
    CountCriterion,
    CoursesFact,
    Criterion,
    Fact,
    FollowsCriterion,
    Form,
    FoundCriterion,
    Grade,
    Indicator,
    Jurisdiction,
    Line,
    MedicationsFact,
    NotOf,
    OrdersFact,
    PatientFact,
    ProceduresFact,
    ReadCriterion,
    Rule,
    ScoreFact,
    SetRef,
    StandsCriterion,
    Status,
    TimelineFact,
    ValueCriterion,
    When,
    condition_names,
    fact_name,
)
from cds_service.rulebook.load import Rulebook, RuleVersion
from cds_service.rulebook.registers import Source

ANY_AGE_DAYS = 36500
# So many codes are named one by one; more are counted.
FEW = 4

STATUS_WORDS = {
    "draft": "Draft: not clinically approved by any organisation. Draft content is served only where a setting says so "
    "by name, and every card says that it is a draft.",
    "active": "Active: in force; the version history below says since when.",
    "retired": "Retired: no longer served. The page is kept so that earlier decisions can be read.",
}
CLAIM_WORDS: dict[Status, str] = {
    "confirmed": "confirmed",
    "secondary": "SECONDARY: seen only as quoted by another source",
    "unverified": "UNVERIFIED: a clinical reviewer has not yet confirmed it",
    "design choice": "DESIGN CHOICE of this project, not a claim of a source",
}
FORM_WORDS: dict[Form, str] = {
    "esketamine-nasal": "esketamine nasal spray",
    "ketamine-iv": "ketamine intravenous",
    "ketamine-im": "ketamine intramuscular",
    "ketamine-oral": "ketamine oral",
    "ketamine-nasal-compounded": "compounded ketamine nasal spray",
}
CLINICAL_WORDS = {
    "current": "active, recurrence or relapse; or no status and no recorded end",
    "unresolved": "any but resolved, or no status and no recorded end",
    "ended": "remission, resolved or inactive; or no status and a recorded end",
    "any": "any, or none",
}
SYSTEM_WORDS = {
    "snomed": "SNOMED CT",
    "icd10cm": "ICD-10-CM",
    "loinc": "LOINC",
    "rxnorm": "RxNorm",
    "atc": "ATC",
    "ndc": "NDC",
}
LEVELS: dict[Indicator, str] = {"info": "information", "warning": "warning", "critical": "critical"}
QUESTIONNAIRES = frozenset({"depressionScreens", "suicideScreens", "substanceScreens"})


class Md(str):
    """Text that is Markdown already; every other text is escaped when a page takes it in."""

    __slots__ = ()


# ------------------------------------------------------------ Markdown


def escape(text: str) -> Md:
    """Plain text as Markdown that reads as that text, also in a table cell."""
    line = " ".join(text.split())
    line = re.sub(r"[\\`*_\[\]<>|~&]", r"\\\g<0>", line)
    line = re.sub(r"^([#+-])", r"\\\1", line)
    return Md(re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line))


def code(text: str) -> Md:
    """A name, code or unit set as code; one that a code span cannot hold is set as text."""
    return escape(text) if not text or set(text) & set("`|\n") else Md(f"`{text}`")


def listed(words: Iterable[str], link: str = "and") -> Md:
    """`a, b and c`. The words are Markdown already."""
    *first, last = list(words)
    return Md(f"{', '.join(first)} {link} {last}" if first else last)


def human(name: str) -> str:
    """An id as a heading: `crisis-reading` is `Crisis reading`."""
    text = name.replace("-", " ")
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """A bound without a decimal point that says nothing."""
    return f"{value:g}"


# ------------------------------------------------------------ value sets and codes in words


def set_words(ref: SetRef, sets: dict[str, ValueSet]) -> Md:
    """A selection of codes: of which value set, how many, and which, where they are few."""
    total, chosen = len(sets[ref.set].codes), sets[ref.set].select(ref)
    names = listed((_code_words(entry) for entry in chosen.values()), "or")
    if ref.codes:
        return Md(f"{names} of {code(ref.set)}")
    few = f": {names}" if len(chosen) <= FEW else ""
    if not ref.where:
        return Md(f"{'all ' if total > 1 else ''}{total} code{'s' if total > 1 else ''} of {code(ref.set)}{few}")
    picked = listed(_where_words(column, values) for column, values in ref.where.items())
    return Md(f"the {len(chosen)} of {total} codes of {code(ref.set)} whose {picked}{few}")


def _where_words(column: str, values: list[str]) -> Md:
    named = [escape(value) if value else Md("empty") for value in values]
    return Md(f"{escape(column)} is {listed(named, 'or')}")


def _code_words(entry: Entry) -> Md:
    return Md(f"{code(entry.key[1])} ({escape(entry.columns.get('label') or entry.display)})")


def _sets_words(refs: Sequence[SetRef], sets: dict[str, ValueSet]) -> Md:
    return listed((set_words(ref, sets) for ref in refs), "or")


def window_words(from_days: int, within_days: int | None) -> Md:
    """How old a record may be on the as-of day, both ends included. A limit, however wide, needs a date."""
    if within_days is None:
        return Md(f"{from_days} days old or older" if from_days else "of any age, also without a date")
    if within_days >= ANY_AGE_DAYS and not from_days:
        return Md("of any age")
    return Md(f"{from_days} to {within_days} days old" if from_days else f"at most {within_days} days old")


def unit_words(units: Sequence[str]) -> Md:
    """The units a number may have; `{score}` stands for a plain number of points."""
    named = [Md("points, or none") if unit == "{score}" else code(unit) for unit in units]
    return listed(named, "or") if named else Md("no unit")


# ------------------------------------------------------------ facts in words


@dataclass(frozen=True)
class LineView:
    """One kind of evidence of a timeline: what it says, and from which records, answers or statuses, and ages."""

    id: Md
    says: Md
    records: Md
    taken: Md
    age: Md


@dataclass(frozen=True)
class Reading:
    """A fact for people: its kind, and what is read how; `lines` where it is a timeline."""

    name: str
    kind: str
    points: tuple[Md, ...]
    lines: tuple[LineView, ...] = ()


def reading(name: str, fact: Fact, sets: dict[str, ValueSet]) -> Reading:
    """What a fact reads, in words."""
    match fact:
        case ConditionsFact():
            return Reading(name, "Recorded conditions", _conditions_points(fact, sets))
        case BloodPressureFact():
            return Reading(name, "Blood pressure", _pressure_points(fact, sets))
        case ScoreFact():
            return Reading(name, "Score or measured value", _score_points(fact, sets))
        case TimelineFact():
            lines = tuple(_line_view(line, sets) for line in fact.lines)
            return Reading(name, "Evidence in order of time", _timeline_points(fact), lines)
        case CoursesFact():
            return Reading(name, "Antidepressant courses", _courses_points(fact, sets))
        case MedicationsFact():
            return Reading(name, "Medications taken now", _medications_points(fact, sets))
        case AllergiesFact():
            return Reading(name, "Allergies and intolerances", _allergies_points(fact, sets))
        case ProceduresFact():
            return Reading(name, "Procedures", _procedures_points(fact, sets))
        case OrdersFact():
            return Reading(name, "Draft orders of ketamine or esketamine", _orders_points(fact, sets))
        case PatientFact():
            return Reading(name, "The person", _patient_points())
        case _:
            assert_never(fact)


EMPTY_WORDS = {"unknown": "leaves what it may hold unknown", "no evidence": "holds no evidence"}
CONDITIONS_MISSING = Md(
    "When none is found: answered no only if the list of conditions arrived complete, readable and not empty; "
    "otherwise unknown."
)
OBSERVATION_STATUS = Md("Status: final, amended or corrected.")


def _conditions_points(fact: ConditionsFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    return (
        Md("From problem-list items and encounter diagnoses; refuted ones and those entered in error never count."),
        Md(f"Codes: {_sets_words(fact.codes, sets)}."),
        Md(f"Clinical status: {CLINICAL_WORDS[fact.clinical]}."),
        Md(f"Age, by onset or else by recorded date: {window_words(fact.from_days, fact.within_days)}."),
        CONDITIONS_MISSING,
    )


def _pressure_points(fact: BloodPressureFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    low, high = fact.plausible_systolic
    least, most = fact.plausible_diastolic
    return (
        Md(f"Codes: systolic {code(fact.systolic)}, diastolic {code(fact.diastolic)}, of {code(fact.codes.set)}."),
        Md(f"Parts of a panel count only inside {set_words(fact.panels, sets)}."),
        OBSERVATION_STATUS,
        Md(f"Age: {window_words(0, fact.within_days)}; a reading without a date is not used."),
        Md("Unit: mmHg; kPa is converted and said. Another unit, or none, is not understood and stays unknown."),
        Md(f"Single values at most {fact.pair_minutes} minutes apart are one reading."),
        Md(
            f"Set aside as implausible: systolic outside {low} to {high}, diastolic outside {least} to {most}, and a "
            "pair whose systolic lies below its diastolic."
        ),
        Md(
            "Which one decides: the last complete pair. A later single value above a bound is enough by itself; a "
            "later single value at or below it decides nothing, since its other half is missing."
        ),
        Md("When none is found: whether a value is above a bound is unknown."),
    )


def _score_points(fact: ScoreFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    remarks = _score_remarks(fact)
    return (
        Md(f"Codes: {_sets_words(fact.codes, sets)}."),
        OBSERVATION_STATUS,
        Md(f"Unit: {unit_words(fact.units)}. Digits written as text are read as a number; another unit is unknown."),
        Md(f"Age: {window_words(0, fact.within_days)}. The latest value decides."),
        *((Md(f"Shown, and decides nothing: {listed(remarks, 'or')}."),) if remarks else ()),
        Md("When none is found: answered no if the query was answered, since a screen is an extra; otherwise unknown."),
    )


def _score_remarks(fact: ScoreFact) -> list[Md]:
    """The values that are shown with a remark only."""
    remarks = []
    if fact.plausible:
        remarks.append(Md(f"a value outside {fact.plausible[0]} to {fact.plausible[1]}, as implausible"))
    if fact.change_percent:
        remarks.append(Md(f"a value more than {fact.change_percent} % away from the one before, in the same unit"))
    return remarks


def _timeline_points(fact: TimelineFact) -> tuple[Md, ...]:
    points = [
        Md("Every row below is one kind of evidence and what it says. Later evidence can outweigh earlier evidence.")
    ]
    if any(line.condition for line in fact.lines):
        points.append(Md("Conditions count unless refuted or entered in error."))
        points.append(Md(f"A list of conditions that arrived empty {EMPTY_WORDS[fact.empty_list]}."))
    if any(line.observation for line in fact.lines):
        points.append(Md("Observations count when final, amended or corrected."))
        points.append(
            Md("A result written as one word, or as a laboratory's interpretation code, is read like the answer.")
        )
    points.append(Md("A list that did not arrive, not completely or not readable leaves what it may hold unknown."))
    return tuple(points)


def _line_view(line: Line, sets: dict[str, ValueSet]) -> LineView:
    """The loader's laws say that a line reads either a condition or an observation."""
    read = line.condition or line.observation
    assert read is not None
    return LineView(
        id=code(line.id),
        says=listed(code(word) for word in line.says),
        records=Md(f"{'condition' if line.condition else 'observation'}: {_sets_words(read.codes, sets)}"),
        taken=_taken(read, sets),
        age=window_words(read.from_days, read.within_days),
    )


def _taken(read: ConditionLine | AnswerLine, sets: dict[str, ValueSet]) -> Md:
    if isinstance(read, ConditionLine):
        return Md(f"status {CLINICAL_WORDS[read.clinical]}")
    together = "; each of these codes answered so on the same day" if read.together else ""
    return Md(f"answer: {listed(_accepted(read, sets), 'or')}{together}")


def _accepted(line: AnswerLine, sets: dict[str, ValueSet]) -> Iterator[Md]:
    if line.answers:
        yield _sets_words(line.answers, sets)
    if line.flag is not None:
        yield Md("the value yes (true)" if line.flag else "the value no (false)")
    bounds = [f"{number(line.at_least)} or more"] if line.at_least is not None else []
    bounds += [f"less than {number(line.less_than)}"] if line.less_than is not None else []
    if bounds:
        yield Md(f"a number of {' and '.join(bounds)} (unit: {unit_words(line.units)})")
    if line.date_ahead_days is not None:
        yield Md(f"a date that lies ahead, or at most {line.date_ahead_days} days in the past")
    if line.date_past_days is not None:
        first, last = line.date_past_days
        yield Md(f"a date that lies {first} to {last} days in the past")


def _courses_points(fact: CoursesFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    return (
        Md(
            f"Drugs: products of {_short(fact.products, sets)}, else ingredients of {_short(fact.ingredients, sets)}. "
            "A drug named in text only is neither dropped nor counted: it leaves the count open."
        ),
        _no_trial(fact, sets),
        Md(
            "Days: a recorded end or supply decides, the earlier of the two. An active statement without an end "
            "counts to the as-of day. An order without either, or one that was stopped or is on hold, has an open "
            "end. Where dispenses are on record, orders beside them only lend their dose."
        ),
        Md(
            f"Course: records of one ingredient with gaps of at most {fact.gap_days} days. Covered days are counted, "
            "each once; days in a gap are not exposure."
        ),
        Md(
            f"Adequate: {fact.adequate_days} covered days or more at or above the ingredient's minimum daily dose; "
            f"from {fact.borderline_days} days it is borderline, shown and not counted."
        ),
        Md(
            f"Episode: it begins with the onset of a current diagnosis of {_shorts(fact.episode, sets)}; a recorded "
            "date alone is its latest possible beginning, and a later remission "
            f"({_shorts(fact.remission, sets)}) moves it. A course that ended more than {fact.previous_episode_days} "
            "days before belongs to a previous episode."
        ),
        Md(
            f"Stopped: a reason of {_short(fact.stop_reasons, sets)} other than non-response keeps the course out of "
            "the count; an ambiguous one, or none, leaves the outcome not recorded, and the exposure counts."
        ),
        _still_taken(fact, sets),
        Md(
            "When none is found: unknown if the medication lists did not arrive complete, were empty, or hold a record "
            "that cannot be read or whose drug is not identified."
        ),
    )


def _no_trial(fact: CoursesFact, sets: dict[str, ValueSet]) -> Md:
    by_mouth = f"{listed(map(escape, fact.not_by_mouth))} by mouth, " if fact.not_by_mouth else ""
    return Md(
        "Not a depression trial: what these tables mark so, drugs of "
        f"{_shorts([*fact.other_products, fact.augmentation], sets)}, {by_mouth}as-needed use, a nasal route by "
        f"{_short(fact.routes, sets)}, and a drug given only for reasons of {_short(fact.other_indications, sets)}."
    )


def _still_taken(fact: CoursesFact, sets: dict[str, ValueSet]) -> Md:
    return Md(
        f"Still taken: decided by the latest {_short(fact.depression_score, sets)}, at most {fact.score_recent_days} "
        f"days old and at least {fact.score_after_days} days after the beginning; without one it is open. With a "
        f"score within {fact.score_start_days} days of the beginning, an improvement below "
        f"{fact.nonresponse_change_below_percent} % counts, {fact.response_change_from_percent} % or more does not, "
        f"and between is open; without that, {fact.ongoing_score_at_least} points or more count and less is open."
    )


def _short(ref: SetRef, sets: dict[str, ValueSet]) -> Md:
    return set_words(ref, sets) if ref.where or ref.codes else code(ref.set)


def _shorts(refs: Sequence[SetRef], sets: dict[str, ValueSet]) -> Md:
    return listed((_short(ref, sets) for ref in refs), "or")


def _medications_points(fact: MedicationsFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    known = f"; a drug with a code of {_shorts(fact.known, sets)} is not searched for by name" if fact.known else ""
    return (
        Md("From prescriptions, statements and dispenses; not those marked as not taken, planned or proposed only."),
        Md(f"Codes: {_sets_words(fact.codes, sets)}; of ATC groups also every code below."),
        Md(f"A drug whose ingredient is named in words only leaves the answer open{known}."),
        Md(
            "Taken now: a prescription or statement that is active and has no recorded end in the past; a dispense "
            "whose days of supply reach the as-of day. On hold, of unknown status, or dispensed in the last 90 days "
            "without days of supply: open."
        ),
        Md(
            "When none is found: answered no only if the medication lists arrived complete, readable and not empty, "
            "and each medication is identified; otherwise unknown."
        ),
    )


RECORDED_AS_WORDS = {
    "allergy": "as an allergy, or without saying which",
    "intolerance": "as an intolerance",
    "any": "as an allergy or as an intolerance",
}


def _allergies_points(fact: AllergiesFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    return (
        Md("Active ones and those without a status; refuted ones and those entered in error never count."),
        Md(f"Substances: {_sets_words(fact.codes, sets)}, of the allergy itself or of one of its reactions."),
        Md(f"Recorded {RECORDED_AS_WORDS[fact.recorded_as]}."),
        Md(
            "When none is found: answered no only if the list of allergies arrived complete, readable and not empty; a "
            "recorded absence of allergies is such an entry. Otherwise unknown."
        ),
    )


def _procedures_points(fact: ProceduresFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    return (
        Md("Of any age, also without a date; not those in preparation or not done."),
        Md(f"Codes: {_sets_words(fact.codes, sets)}."),
        Md("When none is found: answered no if the list was answered, also when it is empty; otherwise unknown."),
    )


def _orders_points(fact: OrdersFact, sets: dict[str, ValueSet]) -> tuple[Md, ...]:
    return (
        Md(
            f"Codes: {_sets_words([fact.codes], sets)}; without such a code the name of the drug in words. Orders that "
            "are cancelled, stopped, completed or entered in error are left out."
        ),
        Md(
            f"Form: by a product that exists in one form only, else by the route ({_short(fact.routes, sets)}, or its "
            "name in words). A route that is not recorded, or that is none of a known form, is asked for and never "
            "guessed: the order then says `form-unknown`."
        ),
        Md("When none is found: answered no, since the orders come with the request."),
    )


def _patient_points() -> tuple[Md, ...]:
    return (
        Md("Date of birth, as age in completed years on the as-of day; a birth year alone is a range of two ages."),
        Md("Recorded sex: sex for clinical use before sex at birth before administrative gender."),
    )


# ------------------------------------------------------------ criteria in words


def question_words(criterion: Criterion, rule: Rule) -> Md:
    """The question that a criterion asks."""
    match criterion:
        case FoundCriterion():
            return _found_words(criterion, rule.facts[criterion.found])
        case ValueCriterion():
            return _value_words(criterion)
        case StandsCriterion():
            return _stands_words(criterion)
        case FollowsCriterion():
            return Md(
                f"Does {code(criterion.follows)} hold evidence that says {code(criterion.says)}, dated on or after "
                f"the day of evidence that says {code(criterion.after)}, with none of the latter coming later again?"
            )
        case CountCriterion():
            return Md(
                f"Do {criterion.at_least} or more different antidepressants have a course in {code(criterion.count)} "
                "that counts?"
            )
        case AgeCriterion():
            return Md(f"Is the age {_age_words(criterion)}?")
        case CapacityCriterion():
            return Md(
                "Does the recorded sex say that the person can be pregnant (female: yes; male: no; else unknown)?"
            )
        case ReadCriterion():
            return Md(f"Was the list of {criterion.read} read completely, and is it not empty?")
        case _:
            assert_never(criterion)


FOUND_WORDS: dict[type, str] = {
    ConditionsFact: "a condition",
    BloodPressureFact: "a reading",
    ScoreFact: "a value",
    MedicationsFact: "a medication taken now",
    AllergiesFact: "an allergy or intolerance",
    ProceduresFact: "a procedure",
    OrdersFact: "an order",
}


def _found_words(criterion: FoundCriterion, fact: Fact) -> Md:
    thing = FOUND_WORDS.get(type(fact), "evidence")
    says = f" that says {listed((code(word) for word in criterion.says), 'or')}" if criterion.says else ""
    return Md(f"Is there {thing} in {code(criterion.found)}{says}?")


def _value_words(criterion: ValueCriterion) -> Md:
    what = f"the {criterion.part} value of" if criterion.part else "the latest value of"
    unit = " mmHg" if criterion.part else ""
    if criterion.more_than is not None:
        bound = f"above {number(criterion.more_than)}{unit}"
    elif criterion.more_than_upper_limits is not None:
        bound = f"above {number(criterion.more_than_upper_limits)} times the laboratory's own upper limit"
    elif criterion.less_than is not None:
        bound = f"below {number(criterion.less_than)}{unit}"
    else:
        bound = f"{number(criterion.at_least or 0)}{unit} or more"
    sex = f" (asked where the administrative gender is {criterion.for_sex})" if criterion.for_sex else ""
    return Md(f"Is {what} {code(criterion.value)} {bound}{sex}?")


def _stands_words(criterion: StandsCriterion) -> Md:
    later = listed((code(word) for word in criterion.unless_later), "or") if criterion.unless_later else ""
    unless = f", with no later evidence that says {later}" if later else ""
    return Md(f"Does {code(criterion.stands)} hold evidence that says {code(criterion.says)}{unless}?")


def _age_words(criterion: AgeCriterion) -> str:
    low, high = criterion.at_least, criterion.at_most
    if low is not None and high is not None:
        return f"{low} to {high} years"
    return f"{low} years or more" if low is not None else f"{high} years or less"


def settle_words(criterion: Criterion, rule: Rule) -> Md:
    """What in the record would turn an unknown answer into a yes or a no."""
    if isinstance(criterion, ReadCriterion):
        return Md("Never unknown: a list that is not there or not complete is answered no.")
    if isinstance(criterion, CapacityCriterion):
        return Md("A recorded sex of female or male.")
    return _settled_by(rule.facts[fact_name(criterion) or ""])


def _settled_by(fact: Fact) -> Md:
    match fact:
        case ConditionsFact():
            dated = ", and a date exact enough for the age limit" if fact.from_days or fact.within_days else ""
            return Md(f"A list of conditions that is complete, readable and not empty{dated}.")
        case BloodPressureFact():
            return Md("A dated pair of systolic and diastolic values in mmHg, inside the age limit.")
        case ScoreFact():
            return Md("A final, dated number without a comparator that crosses the bound, in a unit named above.")
        case TimelineFact():
            return Md(
                "The lists named above, complete and readable; answers that the value sets know; and dates exact "
                "enough to say which evidence is later."
            )
        case CoursesFact():
            return Md(
                "For each open course: drug code, start, end or supply, dose and how often; for the episode: its "
                "onset; for a drug still taken: a recent depression score; and medication lists that are complete."
            )
        case MedicationsFact():
            return Md(
                "Medication lists that are complete, readable and not empty; for each drug a code, and whether it is "
                "still taken."
            )
        case AllergiesFact():
            return Md("A list of allergies that is complete and readable; the absence of allergies is an entry of it.")
        case ProceduresFact():
            return Md("A list of procedures that is complete and readable.")
        case OrdersFact():
            return Md("Never unknown: the orders come with the request.")
        case PatientFact():
            return Md("A date of birth, as exact as the age limits need.")
        case _:
            assert_never(fact)


def when_words(when: When) -> Md:
    """A condition in words. Joined parts stand in brackets where they are joined again."""
    match when:
        case str():
            return Md(f"{code(when)} is met")
        case AllOf():
            return listed(_inner(part) for part in when.all)
        case AnyOf():
            return listed((_inner(part) for part in when.any), "or")
        case NotOf():
            return _not_words(when.not_)
        case _:
            assert_never(when)


def _not_words(inner: When) -> Md:
    return Md(f"{code(inner)} is not met" if isinstance(inner, str) else f"not ({when_words(inner)})")


def _inner(part: When) -> Md:
    joined = isinstance(part, AllOf | AnyOf)
    return Md(f"({when_words(part)})") if joined else when_words(part)


# ------------------------------------------------------------ grades and cards in words


@dataclass(frozen=True)
class CardView:
    """What a card says."""

    indicator: Md
    card: CardText
    overrides: tuple[str, ...]
    suggestions: tuple[str, ...]
    source: Md
    notes: tuple[Md, ...]


@dataclass(frozen=True)
class GradeView:
    """One grade for people; `link` leads to its section of the page."""

    place: int
    title: str
    link: Md
    grade: Grade
    when: Md
    level: Md
    cites: Md
    card: CardView | None


def grade_view(place: int, grade: Grade, rule: Rule, rulebook: Rulebook) -> GradeView:
    """A grade with its card, registers looked up."""
    when = Md("none of the grades above is met") if grade.when == "otherwise" else when_words(grade.when)
    cited = [citation for citation in rule.citations if citation.id in grade.cites]
    return GradeView(
        place=place,
        title=human(grade.id),
        link=Md(f"[{human(grade.id)}](#{grade.id})"),
        grade=grade,
        when=when,
        level=indicator_words(grade.card.indicator) if grade.card else Md("no card"),
        cites=Md("; ".join(_cite_words(citation, rulebook.sources) for citation in cited)),
        card=_card_view(grade, grade.card, rule, rulebook) if grade.card else None,
    )


def indicator_words(indicator: Indicator | dict[Jurisdiction, Indicator]) -> Md:
    """`warning`, or by jurisdiction: `warning (US); critical (EU, UK)`."""
    if isinstance(indicator, str):
        return Md(LEVELS[indicator])
    levels = dict.fromkeys(indicator.values())
    places = {level: [where for where, found in indicator.items() if found == level] for level in levels}
    return Md("; ".join(f"{LEVELS[level]} ({', '.join(where)})" for level, where in places.items()))


def _cite_words(citation: Citation, sources: dict[str, Source]) -> Md:
    mark = "" if citation.status == "confirmed" else f", {citation.status}"
    return Md(f"{escape(sources[citation.source].label)} ({escape(citation.section)}{mark})")


def _card_view(grade: Grade, card: CardText, rule: Rule, rulebook: Rulebook) -> CardView:
    topic = next(citation for citation in rule.citations if citation.id == card.topic_source)
    return CardView(
        indicator=indicator_words(card.indicator),
        card=card,
        overrides=tuple(rulebook.overrides[name].display for name in card.overrides),
        suggestions=tuple(rulebook.suggestions[name].label for name in card.suggest),
        source=source_link(rulebook.sources[topic.source]),
        notes=tuple(_card_notes(grade, card, rule)),
    )


def _card_notes(grade: Grade, card: CardText, rule: Rule) -> Iterator[Md]:
    if card.provisional_lowers and card.indicator != "info" and _rests_on_conditions(grade, rule):
        yield Md("Shown one level lower when everything it rests on is recorded as provisional or unconfirmed.")
    if card.line_on:
        rules = listed((code(name) for name in card.line_on), "and")
        yield Md(f"Where it stands as information, its summary is also a line on the card of {rules}.")
    if card.at_sign:
        unless = listed((code(name) for name in card.at_sign.unless_met), "or")
        level = LEVELS[card.at_sign.indicator]
        yield Md(
            f"When the order is signed: {level} if {code(card.at_sign.when)} is met, unless the rule {unless} is met."
        )


def _rests_on_conditions(grade: Grade, rule: Rule) -> bool:
    """Whether a diagnosis can decide the grade; only diagnoses are recorded as provisional."""
    names = condition_names(grade.when)
    facts = [rule.facts[fact] for name in names if (fact := fact_name(rule.criteria[name]))]
    timelines = [line for fact in facts if isinstance(fact, TimelineFact) for line in fact.lines]
    return any(isinstance(fact, ConditionsFact) for fact in facts) or any(line.condition for line in timelines)


def source_link(source: Source) -> Md:
    """A source by its label, linked where the register has an address."""
    label = escape(source.label)
    return Md(f"[{label}](<{source.url}>)") if source.url else label


# ------------------------------------------------------------ data about the person


def demographics(rule: Rule) -> tuple[tuple[str, Md], ...]:
    """Which data about the person the rule reads, computed from its criteria and facts."""
    asked = rule.criteria.items()
    age = [code(name) for name, one in asked if isinstance(one, AgeCriterion)]
    capacity = [code(name) for name, one in asked if isinstance(one, CapacityCriterion)]
    by_sex = [code(name) for name, one in asked if isinstance(one, ValueCriterion) and one.for_sex]
    screens = dict.fromkeys(ref.set for ref in observation_refs(rule) if OBSERVATION_KEYS[ref.set] in QUESTIONNAIRES)
    unread = Md("not read: no rule can read it")
    return (
        ("Age (date of birth)", _use(age)),
        ("Recorded sex", _use([*capacity, *by_sex])),
        (
            "Answers and scores of questionnaires",
            Md(f"read: {listed(map(code, screens))}") if screens else Md("not read"),
        ),
        ("Race and ethnicity", unread),
        ("Language", unread),
        ("Sexual orientation and gender identity", unread),
        ("Social circumstances", unread),
    )


def _use(criteria: list[Md]) -> Md:
    return Md(f"read, for {listed(criteria)}") if criteria else Md("not read")


# ------------------------------------------------------------ value sets


@dataclass(frozen=True)
class UnverifiedCode:
    """A code that was not yet found in a public source."""

    set: Md
    system: str
    code: Md
    display: str


def unverified_codes(sets: Iterable[ValueSet]) -> list[UnverifiedCode]:
    """Every code of the sets that is marked as not verified."""
    return [
        UnverifiedCode(code(one.id), SYSTEM_WORDS.get(entry.key[0], entry.key[0]), code(entry.key[1]), entry.display)
        for one in sets
        for entry in one.codes.values()
        if not entry.verified
    ]


def _unverified_count(one: ValueSet) -> int:
    return sum(1 for entry in one.codes.values() if not entry.verified)


# ------------------------------------------------------------ pages


def _finalize(value: object) -> object:
    return value if isinstance(value, Md) else escape(str(value))


# Not HTML but Markdown: `finalize` escapes, for Markdown, every expression that is not Markdown already.
_MARKDOWN = Environment(
    loader=PackageLoader("cds_service.rulebook"),
    autoescape=False,  # noqa: S701 see above; the HTML environment below escapes
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_HTML = Environment(
    loader=PackageLoader("cds_service.rulebook"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def rule_page_markdown(version: RuleVersion, rulebook: Rulebook) -> str:
    """The page of a rule version as Markdown, one line per paragraph, ending in a newline."""
    rule, sets = version.rule, version.sets
    history = [one.release for one in rulebook.versions[rule.rule].values()]
    text = _MARKDOWN.get_template("rule.md").render(
        rule=rule,
        status=STATUS_WORDS[version.release.status],
        newest=history[-1].version,
        forms=listed(escape(FORM_WORDS[form]) for form in rule.concerns),
        statements=listed(map(escape, rule.implements)) if rule.implements else Md("none"),
        readings=[reading(name, fact, sets) for name, fact in rule.facts.items()],
        questions=[(code(name), question_words(one, rule)) for name, one in rule.criteria.items()],
        grades=[grade_view(place, grade, rule, rulebook) for place, grade in enumerate(rule.grades, start=1)],
        unknowns=[(code(name), _gap_text(name, rule), settle_words(one, rule)) for name, one in rule.criteria.items()],
        demographics=demographics(rule),
        citations=[_citation_row(citation, rulebook.sources) for citation in rule.citations],
        sets=[(one, code(one.id), code(one.sha256), _unverified_count(one)) for one in sets.values()],
        unverified=unverified_codes(sets.values()),
        history=[(release, code(release.digest)) for release in reversed(history)],
        digest=code(version.release.digest),
        rule_code=code(rule.rule),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def _gap_text(name: str, rule: Rule) -> str:
    return rule.when_unknown.get(name, "-")


def _citation_row(citation: Citation, sources: dict[str, Source]) -> tuple[Md, str, str, str, Md]:
    source = sources[citation.source]
    status = CLAIM_WORDS[citation.status]
    mark = escape(status) if citation.status == "confirmed" else Md(f"**{escape(status)}**")
    return source_link(source), citation.text or source.date_shown or "no date", citation.section, citation.says, mark


def rule_page_html(version: RuleVersion, rulebook: Rulebook) -> str:
    """The page of a rule version as one HTML document, without script and without anything to load."""
    rule = version.rule
    title = f"{rule.title}, version {rule.version} ({version.release.status})"
    return _html_page(title, rule_page_markdown(version, rulebook), index="../../rules")


def rule_index_html(rulebook: Rulebook) -> str:
    """All rules and versions, as one HTML document. Its links are relative to the address `/rules`."""
    rows = [
        (_version_link(one), one.rule.purpose, one.release)
        for versions in rulebook.versions.values()
        for one in reversed(versions.values())
    ]
    drafts = any(release.status == "draft" for _, _, release in rows)
    markdown = _MARKDOWN.get_template("index.md").render(rows=rows, drafts=drafts, status=STATUS_WORDS["draft"])
    return _html_page("Rules on ketamine and esketamine in depression", markdown, index="")


def _version_link(version: RuleVersion) -> Md:
    rule = version.rule
    return Md(f"[{escape(rule.title)}](rules/{rule.rule}/{rule.version})")


# ------------------------------------------------------------ HTML


@dataclass(frozen=True)
class Heading:
    """A section of a page, for its table of contents."""

    anchor: str
    text: str


def _html_page(title: str, markdown: str, index: str) -> str:
    body, sections = to_html(markdown)
    return _HTML.get_template("page.html").render(title=title, body=body, sections=sections, index=index)


def to_html(markdown: str) -> tuple[str, list[Heading]]:
    """Markdown as HTML with anchors, table headers that have a scope and tables that can be scrolled; its sections."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _open_table)
    parser.add_render_rule("table_close", _close_table)
    tokens = parser.parse(markdown)
    sections = list(_anchored(tokens))
    return parser.renderer.render(tokens, parser.options, {}), sections


def _anchored(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give each heading its anchor and each table its name; the sections are the headings of the second level."""
    text, taken = "", Counter[str]()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            text = _plain(following)
            anchor = _free(slug(text), taken)
            token.attrSet("id", anchor)
            if token.tag == "h2":
                yield Heading(anchor, text)
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "table_open":
            token.meta["name"] = text


def _free(anchor: str, taken: Counter[str]) -> str:
    """The anchor, numbered from its second use on, as code hosts do: a grade may be called like its rule."""
    taken[anchor] += 1
    return anchor if taken[anchor] == 1 else f"{anchor}-{taken[anchor] - 1}"


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or ())


def slug(text: str) -> str:
    """The anchor of a heading, as code hosts make it: lower case, blanks as hyphens, nothing but words."""
    return re.sub(r"[^\w-]", "", text.lower().replace(" ", "-"))


def _open_table(self: object, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
    name = html.escape(tokens[place].meta["name"])
    return f'<div class="wide" role="region" aria-label="Table: {name}" tabindex="0">\n<table>\n'


def _close_table(self: object, tokens: Sequence[Token], place: int, options: object, env: object) -> str:
    return "</table>\n</div>\n"


def evidence_html(rulebook: Rulebook) -> str:
    """The evidence page as one HTML document. Its links are relative to the address `/rules`."""
    markdown = _MARKDOWN.get_template("evidence.md").render(
        topics=rulebook.evidence, sources=rulebook.sources, link=source_link, statements=rulebook.statements
    )
    return _html_page("Evidence on benefits and mechanism", markdown, index="rules")
