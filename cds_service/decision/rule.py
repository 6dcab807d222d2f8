"""The typed rule: what a rule file may say, and nothing else.

A rule is data. `facts` name what is read from the chart, `criteria` are questions about those facts that are met,
not met or unknown, and `grades` are the findings in order of precedence: the first grade met is the finding. The
models here are strict and closed (an unknown key is an error); `rulebook/load.py` holds the laws that need more than
one key. The vocabulary is documented for clinicians in rules/README.md.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Finding = Literal["met", "not met", "unknown"]
Indicator = Literal["info", "warning", "critical"]
Jurisdiction = Literal["US", "EU", "UK"]
Form = Literal["esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-oral", "ketamine-nasal-compounded"]
Status = Literal["confirmed", "secondary", "unverified", "design choice"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
Sentence = Annotated[str, StringConstraints(min_length=3, max_length=600, strip_whitespace=True)]
Pair = Annotated[list[int], Field(min_length=2, max_length=2)]
Days = Annotated[int, Field(ge=0, le=36500)]


class Model(BaseModel):
    """Strict and closed: nothing is coerced, no unknown key passes, nothing changes after loading."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)


class SetRef(Model):
    """Codes of a value set: all, or the rows whose columns have one of the given values, or single codes."""

    set: Name
    where: dict[Name, list[str]] = {}
    codes: list[str] = []


class ConditionsFact(Model):
    """Problem-list items and encounter diagnoses in a value set. Refuted and entered-in-error ones never count.

    `clinical`: `current` takes active, recurrence, relapse, or no status without an abatement; `unresolved` takes
    all but resolved; `ended` takes remission, resolved, inactive, or an abatement; `any` takes every status.
    `from_days`/`within_days` bound its age in days on the as-of day (onset, else recorded date), both included.
    """

    kind: Literal["conditions"]
    codes: list[SetRef]
    clinical: Literal["current", "unresolved", "ended", "any"]
    within_days: Days | None = None
    from_days: Days = 0


class BloodPressureFact(Model):
    """The last valid blood pressure: systolic and diastolic of one reading. Units mmHg; kPa is converted and said.

    Single observations at most `pair_minutes` apart are one reading. Outside `plausible` (lowest and highest) a
    value is set aside as implausible. Components count only inside one of `panels`: a mean or an ambulatory panel has
    the same components and is not a reading.
    """

    kind: Literal["blood pressure"]
    codes: SetRef
    panels: SetRef
    systolic: str
    diastolic: str
    within_days: Days
    pair_minutes: Annotated[int, Field(ge=0, le=60)]
    plausible_systolic: Pair
    plausible_diastolic: Pair


class ScoreFact(Model):
    """The latest recorded value of a score or test, in one of the given UCUM units ("" is a value without unit).

    A value outside `plausible`, or more than `change_percent` away from the one before, is shown with that remark and
    decides nothing.
    """

    kind: Literal["score"]
    codes: list[SetRef]
    units: list[str]
    within_days: Days | None = None
    plausible: Pair | None = None
    change_percent: Annotated[int, Field(ge=1, le=100)] | None = None


class ConditionLine(Model):
    """Evidence from a condition; see `ConditionsFact`."""

    codes: list[SetRef]
    clinical: Literal["current", "unresolved", "ended", "any"]
    within_days: Days | None = None
    from_days: Days = 0


class AnswerLine(Model):
    """Evidence from an observation: its answer lies in `answers`, or its number or date within the bounds.

    `together`: every code of `codes` must carry such an answer on the same day (a whole screen answered no).
    `date_ahead_days`: the value is a date that lies at most so many days in the past (0: not before the as-of day).
    `date_past_days`: the value is a date that lies between the two numbers of days in the past.
    """

    codes: list[SetRef]
    answers: list[SetRef] = []
    flag: bool | None = None
    at_least: float | None = None
    less_than: float | None = None
    units: list[str] = []
    date_ahead_days: Days | None = None
    date_past_days: Pair | None = None
    within_days: Days | None = None
    from_days: Days = 0
    together: bool = False


class Line(Model):
    """One kind of evidence and what it says, as one or more words of the timeline's own vocabulary."""

    id: Name
    says: list[Name]
    condition: ConditionLine | None = None
    observation: AnswerLine | None = None


class TimelineFact(Model):
    """Evidence of several kinds, ordered by date, so that later evidence can outweigh earlier.

    `empty_list`: whether a list that arrived empty is unknown, or simply holds no evidence.
    """

    kind: Literal["timeline"]
    empty_list: Literal["unknown", "no evidence"]
    lines: list[Line]


class CoursesFact(Model):
    """Antidepressant courses of the current episode, counted as rules/README.md describes.

    Days are covered days, counted inclusively. `adequate_days` at or above the ingredient's minimum daily dose make
    a course adequate; from `borderline_days` up it is borderline and shown; below it never counts.
    """

    kind: Literal["antidepressant courses"]
    ingredients: SetRef
    products: SetRef
    other_products: list[SetRef] = []
    augmentation: SetRef
    other_indications: SetRef
    stop_reasons: SetRef
    routes: SetRef
    not_by_mouth: list[str] = []
    episode: list[SetRef]
    remission: list[SetRef]
    adequate_days: Days
    borderline_days: Days
    gap_days: Days
    previous_episode_days: Days
    depression_score: SetRef
    score_recent_days: Days
    score_start_days: Days
    score_after_days: Days
    ongoing_score_at_least: int
    nonresponse_change_below_percent: int
    response_change_from_percent: int


class MedicationsFact(Model):
    """Drugs taken now: active statements and requests, and dispenses whose supply reaches the as-of day.

    `known` are tables whose codes mean another drug, so that their names are not searched for in words.
    """

    kind: Literal["medications"]
    codes: list[SetRef]
    known: list[SetRef] = []


class AllergiesFact(Model):
    """Active, unrefuted allergies or intolerances to a substance; `recorded_as` tells the two apart."""

    kind: Literal["allergies"]
    codes: list[SetRef]
    recorded_as: Literal["allergy", "intolerance", "any"]


class ProceduresFact(Model):
    """Procedures done at any time (completed, in progress, or without a status that says otherwise)."""

    kind: Literal["procedures"]
    codes: list[SetRef]


class OrdersFact(Model):
    """The draft orders of ketamine or esketamine; each says its drug, its form, or `form-unknown`."""

    kind: Literal["orders"]
    codes: SetRef
    routes: SetRef


class PatientFact(Model):
    """The person's age and recorded sex."""

    kind: Literal["patient"]


Fact = Annotated[
    ConditionsFact
    | BloodPressureFact
    | ScoreFact
    | TimelineFact
    | CoursesFact
    | MedicationsFact
    | AllergiesFact
    | ProceduresFact
    | OrdersFact
    | PatientFact,
    Field(discriminator="kind"),
]


class FoundCriterion(Model):
    """Whether the fact holds any record (of a timeline: any that says one of `says`)."""

    found: Name
    says: list[Name] = []


class ValueCriterion(Model):
    """Whether the fact's value is above or below a bound. `part` picks systolic or diastolic.

    `more_than_upper_limits` is so many times the laboratory's own upper limit; a value without one is not above it,
    since it is an extra.
    """

    value: Name
    part: Literal["systolic", "diastolic"] | None = None
    more_than: float | None = None
    at_least: float | None = None
    less_than: float | None = None
    more_than_upper_limits: float | None = None
    for_sex: Literal["male", "female"] | None = None


class StandsCriterion(Model):
    """Whether evidence that says `says` stands: none that says one of `unless_later` is later."""

    stands: Name
    says: Name
    unless_later: list[Name] = []


class FollowsCriterion(Model):
    """Whether evidence that says `says` lies at or after evidence that says `after`."""

    follows: Name
    says: Name
    after: Name


class CountCriterion(Model):
    """Whether at least so many courses are adequate. Certain and undecidable courses bound the count."""

    count: Name
    at_least: Annotated[int, Field(ge=1)]


class AgeCriterion(Model):
    """Whether the age in completed years on the as-of day lies within the bounds (both included)."""

    age: Name
    at_least: int | None = None
    at_most: int | None = None


class CapacityCriterion(Model):
    """Whether the recorded sex says that the person can be pregnant; extensions outweigh administrative gender."""

    capacity_for_pregnancy: Name


class ReadCriterion(Model):
    """Whether a list of the chart was read completely and is not empty."""

    read: Literal["conditions", "medications", "allergies"]


Criterion = (
    FoundCriterion
    | ValueCriterion
    | StandsCriterion
    | FollowsCriterion
    | CountCriterion
    | AgeCriterion
    | CapacityCriterion
    | ReadCriterion
)


class AllOf(Model):
    """Kleene conjunction."""

    all: "list[When]"


class AnyOf(Model):
    """Kleene disjunction."""

    any: "list[When]"


class NotOf(Model):
    """Kleene negation: unknown stays unknown."""

    not_: "When" = Field(alias="not")


When = Name | AllOf | AnyOf | NotOf


class Citation(Model):
    """What a source says, where, and how far that was checked; `source` is an id of rules/sources.yaml.

    `text` names the version of the text in which the statement was checked, where that is not the source's own date.
    """

    id: Name
    source: Name
    section: str
    text: str | None = None
    says: Sentence
    status: Status


class RaisedIndicator(Model):
    """At order-sign the card is raised to `indicator` when the criterion is met and none of the rules is met."""

    indicator: Indicator
    when: Name
    unless_met: list[Name]


class CardText(Model):
    """The words of a card. Placeholders are `{fact.name}`, `{fact.date}`, `{fact.age}`, `{fact.value}`, `{fact.count}`.

    `indicator` may differ by jurisdiction. `line_on` names rules on whose card an information-level finding is a line.
    """

    indicator: Indicator | dict[Jurisdiction, Indicator]
    summary: Sentence
    points: list[Sentence] = []
    options: Annotated[list[Sentence], Field(min_length=2)]
    limits: Sentence
    overrides: list[str] = []
    suggest: list[Name] = []
    topic_source: Name
    at_sign: RaisedIndicator | None = None
    provisional_lowers: bool = True
    line_on: list[Name] = []


class Grade(Model):
    """One finding of a rule. `evidence` names the facts whose records the card lists under what was found."""

    id: Name
    finding: Finding
    when: When | Literal["otherwise"]
    grade: Literal["contraindication (label)", "caution", "candidacy", "information"]
    says: Sentence
    cites: Annotated[list[Name], Field(min_length=1)]
    evidence: list[Name] = []
    card: CardText | None = None


class Otherwise(Model):
    """The outcome when no grade is met and none is unknown."""

    finding: Literal["not met", "unknown"]
    says: Sentence


class PinnedSet(Model):
    """The exact value set: version and SHA-256 of its CSV bytes."""

    version: str
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Rule(Model):
    """One rule version: one factor of the founding document, one finding, at most one card."""

    rule: Name
    version: Version
    title: Sentence
    purpose: Sentence
    population: Sentence
    implements: list[Annotated[str, StringConstraints(pattern=r"^D\d{1,2}$")]]
    factor: Sentence
    concerns: list[Form]
    citations: list[Citation]
    value_sets: dict[Name, PinnedSet]
    facts: dict[Name, Fact]
    criteria: dict[Name, Criterion]
    grades: Annotated[list[Grade], Field(min_length=1)]
    otherwise: Otherwise
    when_unknown: dict[Name, Sentence]
    limits: list[Sentence]
    not_this: list[Sentence] = []


def condition_names(when: When | Literal["otherwise"]) -> tuple[str, ...]:
    """The criteria that a condition names, in the order written."""
    if isinstance(when, AllOf):
        return tuple(name for part in when.all for name in condition_names(part))
    if isinstance(when, AnyOf):
        return tuple(name for part in when.any for name in condition_names(part))
    if isinstance(when, NotOf):
        return condition_names(when.not_)
    return () if when == "otherwise" else (when,)


def fact_name(criterion: Criterion) -> str | None:
    """The fact that a criterion asks about; None for one that asks about a whole list of the chart."""
    match criterion:
        case FoundCriterion():
            return criterion.found
        case ValueCriterion():
            return criterion.value
        case StandsCriterion():
            return criterion.stands
        case FollowsCriterion():
            return criterion.follows
        case CountCriterion():
            return criterion.count
        case AgeCriterion():
            return criterion.age
        case ReadCriterion():
            return None
        case _:
            return criterion.capacity_for_pregnancy
