"""One reader per kind of fact: from a definition of a rule and a chart to what was found.

Readers are compiled once per rule (codes selected, bounds fixed) and run once per request.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from cds_service.decision.chart import Chart, Reading, list_gaps
from cds_service.decision.codes import Codes, Entry, ValueSet, first_match, select_all
from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf, Span, within_days
from cds_service.decision.evidence import Found, Match, found_values, quantity_number
from cds_service.decision.facts import (
    CodedValue,
    Condition,
    DateValue,
    FlagValue,
    Observation,
    Quantity,
    TextValue,
    Value,
)
from cds_service.decision.needs import OBSERVATION_KEYS, QUESTIONNAIRES, SCREEN_KEYS
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome, all_of, between, negate
from cds_service.decision.rule import (
    AnswerLine,
    ConditionLine,
    ConditionsFact,
    Line,
    ProceduresFact,
    ScoreFact,
    SetRef,
    TimelineFact,
)

Reader = Callable[[Chart], Found]
LineReader = Callable[[Chart], list[Match]]
Sets = Mapping[str, ValueSet]

CURRENT = ("active", "recurrence", "relapse")
FINAL = ("final", "amended", "corrected")
# A screen may be kept as an observation or as the answers to a questionnaire.
SCREEN_TYPES = ("Observation", "QuestionnaireResponse")
OBSERVATION_KEY_NAMES = frozenset({*OBSERVATION_KEYS.values(), QUESTIONNAIRES})
PROVISIONAL = ("unconfirmed", "provisional", "differential")


def status_matches(condition: Condition, wanted: str) -> bool:
    """Whether the recorded clinical status is one that `wanted` takes; see `ConditionsFact`."""
    status = condition.clinical
    if wanted == "any":
        return True
    if wanted == "current":
        return status in CURRENT or (status is None and not condition.abated)
    if wanted == "unresolved":
        return status != "resolved" and not (status is None and condition.abated)
    return status in ("remission", "resolved", "inactive") or (status is None and condition.abated)


def in_window(when: Span | None, as_of: AsOf, from_days: int, within: int | None) -> Outcome:
    """Whether a date is between `from_days` and `within` days old; no bound at all is met whatever the date."""
    if within is None and from_days == 0:
        return MET
    young_enough = within_days(when, as_of, within) if within is not None else MET
    if from_days == 0:
        return young_enough
    return all_of([young_enough, negate(within_days(when, as_of, from_days - 1))])


def condition_status(condition: Condition) -> str:
    """The recorded statuses in words."""
    clinical = condition.clinical or ("abated" if condition.abated else "status not recorded")
    if condition.verification in PROVISIONAL:
        return f"{clinical}, recorded as {condition.verification}"
    return clinical


def read_conditions(spec: ConditionsFact | ConditionLine, codes: Codes) -> LineReader:
    """Conditions with a code, status and age that `spec` takes; a date too vague to tell leaves the match open."""

    def read(chart: Chart) -> list[Match]:
        matches = []
        for condition in chart.conditions_in(codes):
            if not status_matches(condition, spec.clinical):
                continue
            inside = in_window(condition.when, chart.as_of, spec.from_days, spec.within_days)
            if inside is NOT_MET:
                continue
            matches.append(_condition_match(condition, codes, inside))
        return matches

    return read


def _condition_match(condition: Condition, codes: Codes, inside: Outcome) -> Match:
    entry = _entry(condition.codes, codes)
    return Match(
        record=condition.record,
        display=entry.display,
        code="|".join(entry.key),
        when=condition.when,
        certain=inside is MET,
        status=condition_status(condition),
        note=None if inside is MET else "date not exact enough to decide",
        provisional=condition.verification in PROVISIONAL,
        verified=entry.verified,
    )


def _entry(codings: Iterable[Coding], codes: Codes) -> Entry:
    entry = first_match(codings, codes)
    assert entry is not None, "the chart's index returned a record without a matching code"
    return entry


def conditions_reader(spec: ConditionsFact, sets: Sets) -> Reader:
    """Compile a `conditions` fact."""
    codes = select_all(spec.codes, sets)
    read = read_conditions(spec, codes)

    def reader(chart: Chart) -> Found:
        matches = tuple(read(chart))
        gaps = condition_gaps(chart, codes, empty_matters=True)
        return Found(matches, gaps, found_values(matches, chart.as_of))

    return reader


def procedures_reader(spec: ProceduresFact, sets: Sets) -> Reader:
    """Compile a `procedures` fact. They are seldom recorded completely, so an empty list is no evidence."""
    codes = select_all(spec.codes, sets)

    def reader(chart: Chart) -> Found:
        matches = tuple(
            Match(
                record=procedure.record,
                display=entry.display,
                code="|".join(entry.key),
                when=procedure.when,
                status=procedure.status or "status not recorded",
                verified=entry.verified,
            )
            for procedure in chart.facts.procedures.items
            if (entry := first_match(procedure.codes, codes)) and procedure.status not in ("preparation", "not-done")
        )
        aside = tuple(f"{item.record.reference} could not be read" for item in chart.quarantined(("Procedure",), codes))
        gaps = list_gaps(chart.facts.procedures, empty_matters=False, name="procedures") + aside
        return Found(matches, gaps, found_values(matches, chart.as_of))

    return reader


def condition_gaps(chart: Chart, codes: Codes, *, empty_matters: bool) -> tuple[str, ...]:
    """Why the absence of a condition would prove nothing."""
    aside = [f"{item.record.reference} could not be read" for item in chart.quarantined(("Condition",), codes)]
    return list_gaps(chart.facts.conditions, empty_matters, "conditions") + tuple(aside)


def observation_gaps(chart: Chart, codes: Codes, key: str) -> tuple[str, ...]:
    """Why the absence of an observation would prove nothing: its query failed, or one of its subject was set aside.

    `codes` are those of the whole subject: of a panel that could not be read, its own code may be all that is known.
    """
    others = OBSERVATION_KEY_NAMES - {key} - ({QUESTIONNAIRES} if key in SCREEN_KEYS else frozenset())
    gaps = tuple(f"{gap.key}: {gap.cause}" for gap in chart.facts.observations.gaps if gap.key not in others)
    aside = [f"{item.record.reference} could not be read" for item in chart.quarantined(SCREEN_TYPES, codes)]
    return gaps + tuple(aside)


def whole_sets(refs: Iterable[SetRef], sets: Sets) -> Codes:
    """All codes of the value sets that `refs` select from."""
    return {key: entry for ref in refs for key, entry in sets[ref.set].codes.items()}


def value_text(value: Value | None, answers: Codes | None = None) -> str | None:
    """A recorded value for people; a coded answer by our own display, else its code. Never record text."""
    if isinstance(value, Quantity):
        return f"{quantity_number(value)} {value.unit}" if value.unit else quantity_number(value)
    if isinstance(value, CodedValue):
        entry = first_match(value.codes, answers) if answers else None
        return entry.display if entry else next((coding.code for coding in value.codes), None)
    if isinstance(value, FlagValue):
        return "yes" if value.flag else "no"
    if isinstance(value, DateValue):
        return value.when.date
    return None


def compare(quantity: Quantity, bound: Decimal, *, strict: bool) -> Outcome:
    """`quantity > bound` (strict) or `>= bound`; a comparator makes the value an interval."""
    value = quantity.value
    above = value > bound if strict else value >= bound
    match quantity.comparator:
        case None:
            return MET if above else NOT_MET
        case ">":
            return MET if value >= bound else UNKNOWN
        case ">=":
            return MET if above else UNKNOWN
        case "<":
            return NOT_MET if value <= bound else UNKNOWN
        case _:
            return NOT_MET if not above else UNKNOWN


def number_of(value: Value | None) -> Quantity | None:
    """A number that a value states: a quantity, or digits written as text (a score sent as a string)."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, TextValue):
        text = value.text.strip()
        digits = text.removeprefix("-").replace(".", "", 1)
        return Quantity(Decimal(text)) if digits.isascii() and digits.isdigit() and len(text) <= 12 else None
    return None


SCORE_UNITS = ("", "1", "(score)", "{score}", "{Score}", "score", "points", "{points}")


def score_reader(spec: ScoreFact, sets: Sets, key: str) -> Reader:
    """Compile a `score` fact: the latest usable value, and the readings that could not be used."""
    codes = select_all(spec.codes, sets)
    subject = whole_sets(spec.codes, sets)
    units = (*spec.units, *SCORE_UNITS) if "{score}" in spec.units else tuple(spec.units)

    def reader(chart: Chart) -> Found:
        read = (_score_match(one, codes, units, chart.as_of, spec.within_days) for one in chart.readings_in(codes))
        matches = _remarked(spec, [match for match in read if match])
        values = found_values(matches, chart.as_of)
        if matches and matches[-1].value and matches[-1].note:
            # A card that shows the number says beside it that it was set aside, or it would read as usable.
            values["value"] = f"{matches[-1].value} ({matches[-1].note})"
        return Found(matches, observation_gaps(chart, subject, key), values)

    return reader


def _score_match(
    reading: Reading, codes: Codes, units: tuple[str, ...], as_of: AsOf, within: int | None
) -> Match | None:
    observation, component = reading
    source = component or observation
    inside = in_window(observation.when, as_of, 0, within)
    if source.value is None or observation.status not in FINAL or inside is NOT_MET:
        return None
    number = number_of(source.value)
    usable = number is not None and (number.unit or "") in units
    entry = _entry(source.codes, codes)
    return Match(
        record=observation.record,
        display=entry.columns.get("label") or entry.display,
        code="|".join(entry.key),
        when=observation.when,
        certain=usable and inside is MET,
        value=value_text(number),
        number=number if usable else None,
        note=None if usable else "value or unit not understood",
        verified=entry.verified,
        upper_limit=None if component else observation.upper_limit,
    )


def _remarked(spec: ScoreFact, matches: list[Match]) -> tuple[Match, ...]:
    """The matches with a remark on each value that is implausible, or far from the one before."""
    remarked: list[Match] = []
    for match in matches:
        before = next((one.number for one in reversed(remarked) if one.number), None)
        note = _remark(spec, match.number, before)
        remarked.append(msgspec.structs.replace(match, certain=False, note=note) if note else match)
    return tuple(remarked)


def _remark(spec: ScoreFact, number: Quantity | None, before: Quantity | None) -> str | None:
    if number is None:
        return None
    if spec.plausible and not spec.plausible[0] <= number.value <= spec.plausible[1]:
        return "implausible value"
    if spec.change_percent and before and before.unit == number.unit and before.value > 0:
        change = abs(number.value - before.value) * 100 / before.value
        if change > spec.change_percent:
            return f"more than {spec.change_percent} % from the value before"
    return None


def timeline_reader(spec: TimelineFact, sets: Sets, keys: Mapping[str, str]) -> Reader:
    """Compile a `timeline` fact: all lines' evidence, oldest first, undated first of all."""
    lines = [_line_reader(line, sets) for line in spec.lines]
    condition_codes = select_all([ref for line in spec.lines if line.condition for ref in line.condition.codes], sets)
    observed = [line.observation for line in spec.lines if line.observation]
    subjects = {
        key: whole_sets([ref for line in observed for ref in line.codes if keys[ref.set] == key], sets)
        for key in sorted({keys[ref.set] for line in observed for ref in line.codes})
    }
    empty_matters = spec.empty_list == "unknown"

    def reader(chart: Chart) -> Found:
        matches = tuple(sorted((match for read in lines for match in read(chart)), key=_match_order))
        gaps = condition_gaps(chart, condition_codes, empty_matters=empty_matters) if condition_codes else ()
        for key, codes in subjects.items():
            gaps += observation_gaps(chart, codes, key)
        return Found(matches, gaps, found_values(matches, chart.as_of))

    return reader


def _match_order(match: Match) -> tuple[int, str, str]:
    return (match.when.start if match.when else -1, match.record.id, match.line or "")


def _line_reader(line: Line, sets: Sets) -> LineReader:
    if line.condition:
        read = read_conditions(line.condition, select_all(line.condition.codes, sets))
    else:
        assert line.observation is not None
        read = read_answers(line.observation, sets)
    says = tuple(line.says)

    def reader(chart: Chart) -> list[Match]:
        return [_said(match, says, line.id) for match in read(chart)]

    return reader


def _said(match: Match, says: tuple[str, ...], line: str) -> Match:
    return Match(
        match.record,
        match.display,
        match.code,
        match.when,
        match.certain,
        says,
        match.value,
        match.number,
        match.status,
        match.note,
        match.provisional,
        match.verified,
        line,
    )


def read_answers(spec: AnswerLine, sets: Sets) -> LineReader:
    """Observations whose answer, number or date is the one that `spec` describes."""
    codes = select_all(spec.codes, sets)
    answers = select_all(spec.answers, sets)
    known = {key: entry for ref in spec.answers for key, entry in sets[ref.set].codes.items()}
    judge = _judge(spec, answers, known)

    def read(chart: Chart) -> list[Match]:
        matches = []
        for observation, component in chart.readings_in(codes):
            match = _answer_match(spec, codes, known, judge, (observation, component), chart.as_of)
            if match:
                matches.append(match)
        return _whole_screens(matches, codes) if spec.together else matches

    return read


Judge = Callable[[Observation, Value | None, AsOf], Outcome]


def _answer_match(
    spec: AnswerLine, codes: Codes, known: Codes, judge: Judge, reading: Reading, as_of: AsOf
) -> Match | None:
    observation, component = reading
    source = component or observation
    if observation.status not in FINAL or (source.value is None and not observation.interpretation):
        return None
    inside = in_window(observation.when, as_of, spec.from_days, spec.within_days)
    if inside is NOT_MET:
        return None
    outcome = judge(observation, source.value, as_of)
    if outcome is NOT_MET:
        return None
    entry = _entry(source.codes, codes)
    return Match(
        record=observation.record,
        display=entry.columns.get("label") or entry.display,
        code="|".join(entry.key),
        when=observation.when,
        certain=outcome is MET and inside is MET,
        value=value_text(source.value, known),
        note=None if outcome is MET else "answer not understood",
        verified=entry.verified,
    )


def _judge(spec: AnswerLine, answers: Codes, known: Codes) -> Judge:
    """How a value is judged; an answer in a shape that the line does not know leaves the match open."""
    units = (*spec.units, *SCORE_UNITS) if "{score}" in spec.units else tuple(spec.units)
    numeric = spec.at_least is not None or spec.less_than is not None

    def judge(observation: Observation, value: Value | None, as_of: AsOf) -> Outcome:
        if isinstance(value, DateValue):
            return _judge_date(spec, value.when, as_of)
        if isinstance(value, FlagValue):
            return UNKNOWN if spec.flag is None else between(value.flag is spec.flag, possible=False)
        number = number_of(value)
        if number is not None and numeric:
            return _judge_number(spec, number, units)
        if isinstance(value, CodedValue) and spec.answers:
            return _judge_codes(value.codes, answers, known)
        return _judge_words(observation, value, answers, known)

    return judge


def _judge_number(spec: AnswerLine, number: Quantity, units: tuple[str, ...]) -> Outcome:
    if (number.unit or "") not in units:
        return UNKNOWN
    low = MET if spec.at_least is None else compare(number, Decimal(str(spec.at_least)), strict=False)
    high = MET if spec.less_than is None else negate(compare(number, Decimal(str(spec.less_than)), strict=False))
    return all_of([low, high])


def _judge_codes(codings: Iterable[Coding], answers: Codes, known: Codes) -> Outcome:
    codings = tuple(codings)
    if first_match(codings, answers):
        return MET
    return NOT_MET if first_match(codings, known) else UNKNOWN


def _judge_date(spec: AnswerLine, when: Span, as_of: AsOf) -> Outcome:
    """Whether the date lies in the bounds; `first` and `last` are the least and most days in the past it may be."""
    first, last = as_of.day - when.last_day, as_of.day - when.first_day
    if spec.date_ahead_days is not None:
        limit = spec.date_ahead_days
        return between(last <= limit, first <= limit)
    if spec.date_past_days is None:
        return UNKNOWN
    low, high = spec.date_past_days
    return between(low <= first and last <= high, last >= low and first <= high)


WORDS = {"positive": "positive", "negative": "negative", "pos": "positive", "neg": "negative", "yes": "yes", "no": "no"}


def _judge_words(observation: Observation, value: Value | None, answers: Codes, known: Codes) -> Outcome:
    """A result written as one plain word, else the laboratory's interpretation code."""
    by_interpretation = _judge_codes(observation.interpretation, answers, known)
    if by_interpretation is not UNKNOWN:
        return by_interpretation
    word = WORDS.get(value.text.strip().lower()) if isinstance(value, TextValue) else None
    if word is None:
        return UNKNOWN
    meanings = {entry.columns.get("meaning") for entry in answers.values()}
    others = {entry.columns.get("meaning") for entry in known.values()}
    if word in meanings:
        return MET
    return NOT_MET if word in others else UNKNOWN


def _whole_screens(matches: list[Match], codes: Codes) -> list[Match]:
    """One match for each day on which every code was answered so.

    Certain only when each answer is, and all are of one day; answers that may be of one day may be one screen.
    """
    days: dict[tuple[int, int], list[Match]] = {}
    for match in matches:
        if match.when:
            span = (match.when.first_day, match.when.last_day)
            days[span] = [one for one in matches if one.when and _may_share_a_day(one.when, match.when)]
    wanted = {"|".join(key) for key in codes}
    screens = [_screen(group) for _, group in sorted(days.items()) if wanted <= {match.code for match in group}]
    return list(dict.fromkeys(screens))


def _may_share_a_day(one: Span, other: Span) -> bool:
    return one.first_day <= other.last_day and other.first_day <= one.last_day


def _screen(group: list[Match]) -> Match:
    """A whole screen stands at its earliest answer, so that no positive of that day counts as superseded by it."""
    first = min(group, key=_match_order)
    open_ones = [match for match in group if not match.certain]
    if open_ones:
        return open_ones[0]
    one_day = len({(match.when.first_day, match.when.last_day) for match in group if match.when}) == 1
    return first if one_day else msgspec.structs.replace(first, certain=False, note="answers may be of different days")
