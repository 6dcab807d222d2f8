"""Antidepressant courses: from prescriptions, statements and dispenses to courses by ingredient, counted.

The algorithm is that of the clinical reference, section 2.1, with bounds instead of guesses: each course has the
covered days that are certain and those that are possible. A prescription alone never shows intake to this day, a
stopped course without an end has an unknown duration, and neither is ever counted as if it were known.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from cds_service.decision.chart import Chart, list_gaps
from cds_service.decision.codes import Codes, Entry, ValueSet, first_match, select_all
from cds_service.decision.coding import ATC, NDC, RXNORM, SNOMED, CodeKey
from cds_service.decision.dates import AsOf, Span, day_date
from cds_service.decision.evidence import Course, Found, Match, plain_number
from cds_service.decision.facts import DoseStep, MedicationEvent, Observation
from cds_service.decision.medicines import MEDICATION_TYPES
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome, all_of, any_of, between
from cds_service.decision.reading import FINAL, Reader, number_of, status_matches
from cds_service.decision.rule import CoursesFact

DRUG_SYSTEMS = (RXNORM, ATC, NDC, SNOMED)
NEVER = -10_000_000
FOREVER = 10_000_000


class Drug(msgspec.Struct, frozen=True):
    """What an event's medication is: an ingredient of the table, its minimum dose and one unit's strength (mg)."""

    ingredient: str
    drug_class: str
    minimum: Decimal | None
    strength: Decimal | None
    classified: bool
    verified: bool


class Exposure(msgspec.Struct, frozen=True):
    """One event as days: it certainly covers `from_certain`..`to_certain`, possibly `from_possible`..`to_possible`."""

    event: MedicationEvent
    drug: Drug
    from_possible: int
    from_certain: int
    to_certain: int
    to_possible: int
    dose_low: Decimal | None
    dose_high: Decimal | None


class Episode(msgspec.Struct, frozen=True):
    """The current episode began on a day between `earliest` and `latest`."""

    earliest: int
    latest: int


class Tables(msgspec.Struct, frozen=True):
    """The value sets of a courses fact, selected once."""

    drugs: Mapping[CodeKey, tuple[int, Entry]]
    alternative: Codes
    stop_reasons: Codes
    routes: Codes
    episode: Codes
    remission: Codes
    score: Codes
    by_name: Mapping[str, Entry]
    names: frozenset[str]


def courses_reader(spec: CoursesFact, sets: Mapping[str, ValueSet], key: str) -> Reader:
    """Compile an `antidepressant courses` fact."""
    tables = _tables(spec, sets)

    def reader(chart: Chart) -> Found:
        exposures, unidentified = _exposures(spec, tables, chart)
        episode = _episode(tables, chart)
        scores = _scores(tables, chart)
        courses = tuple(
            _course(spec, tables, group, episode, scores, chart.as_of) for group in _groups(spec, exposures)
        )
        gaps = _gaps(tables, chart, unidentified)
        matches = tuple(_match(course, exposures) for course in courses)
        return Found(matches, gaps, _values(courses), courses)

    return reader


def count_courses(found: Found, at_least: int) -> Outcome:
    """Whether at least so many ingredients have a course that counts; undecidable ones leave it open."""
    by_ingredient: dict[str, list[Outcome]] = {}
    for course in found.courses:
        by_ingredient.setdefault(course.ingredient, []).append(course.counts)
    outcomes = [any_of(counts) for counts in by_ingredient.values()]
    certain = outcomes.count(MET)
    possible = certain + outcomes.count(UNKNOWN)
    return between(certain >= at_least, possible >= at_least or bool(found.gaps))


def _tables(spec: CoursesFact, sets: Mapping[str, ValueSet]) -> Tables:
    ingredients = sets[spec.ingredients.set].select(spec.ingredients)
    by_name = {entry.columns["ingredient"]: entry for entry in ingredients.values()}
    # RxNorm rows carry the dose and the remark; ATC rows of the same ingredient may lack them.
    by_name |= {entry.columns["ingredient"]: entry for key, entry in ingredients.items() if key[0] == "rxnorm"}
    return Tables(
        drugs=_drug_table(spec, ingredients, sets),
        alternative=sets[spec.other_indications.set].select(spec.other_indications),
        stop_reasons=sets[spec.stop_reasons.set].select(spec.stop_reasons),
        routes=sets[spec.routes.set].select(spec.routes),
        episode=select_all(spec.episode, sets),
        remission=select_all(spec.remission, sets),
        score=sets[spec.depression_score.set].select(spec.depression_score),
        by_name=by_name,
        names=frozenset(name for name, entry in by_name.items() if entry.columns.get("counts_as_trial") == "yes"),
    )


PRODUCT, INGREDIENT, OTHER = range(3)


def _drug_table(
    spec: CoursesFact, ingredients: Codes, sets: Mapping[str, ValueSet]
) -> dict[CodeKey, tuple[int, Entry]]:
    """Every drug code we know with its kind; a product says more than its ingredient, and both more than "other"."""
    others = select_all([*spec.other_products, spec.augmentation], sets)
    table = {key: (OTHER, entry) for key, entry in others.items()}
    table |= {key: (INGREDIENT, entry) for key, entry in ingredients.items()}
    table |= {key: (PRODUCT, entry) for key, entry in sets[spec.products.set].select(spec.products).items()}
    return table


def _exposures(spec: CoursesFact, tables: Tables, chart: Chart) -> tuple[list[Exposure], list[str]]:
    """The events that may be a depression trial, and the medications that could not be identified at all."""
    exposures, unidentified = [], []
    for event in chart.facts.medications.items:
        known, drug = _drug(event, tables, chart)
        if drug is None and known:
            continue
        if not _taken(event) or _other_purpose(event, tables):
            continue
        if drug is None:
            unidentified.append(event.record.reference)
        elif drug.ingredient not in spec.not_by_mouth or "oral" not in _route_groups(event, tables):
            exposures.append(_exposure(event, drug, chart.as_of))
    return _without_covered_requests(spec, exposures), unidentified


def _taken(event: MedicationEvent) -> bool:
    """Whether the event speaks of a drug that was, or may have been, taken."""
    if event.do_not_perform or event.intent in ("proposal", "plan", "option"):
        return False
    if event.kind == "request":
        return event.status not in ("draft", "cancelled")
    if event.kind == "statement":
        return event.status not in ("not-taken", "intended")
    return event.status in ("completed", "stopped", "unknown", None)


def _other_purpose(event: MedicationEvent, tables: Tables) -> bool:
    """As needed, a nasal route, or prescribed for another indication only: not a depression trial."""
    if event.doses and all(step.as_needed for step in event.doses):
        return True
    if "nasal" in _route_groups(event, tables):
        return True
    return bool(event.reasons) and all(first_match(reason, tables.alternative) for reason in event.reasons)


def _route_groups(event: MedicationEvent, tables: Tables) -> set[str]:
    matches = (first_match(step.route, tables.routes) for step in event.doses)
    return {entry.columns.get("group", "") for entry in matches if entry}


def _drug(event: MedicationEvent, tables: Tables, chart: Chart) -> tuple[bool, Drug | None]:
    """Whether the medication is known, and the antidepressant that it is, if it counts as a trial.

    Product first, then ingredient; else a name in the text, which is neither dropped nor counted. Free text alone, a
    local code, or a code without any name might be an antidepressant: then it is not known, and that is said.
    """
    known = [tables.drugs[coding.key] for coding in event.codes if coding.key in tables.drugs]
    if known:
        kind, entry = min(known, key=lambda pair: pair[0])
        counts = kind != OTHER and entry.columns.get("counts_as_trial") == "yes"
        return True, _of_table(tables.by_name.get(entry.columns["ingredient"]), entry, event) if counts else None
    words = chart.words(event)
    named = words & tables.names
    if named and "naltrexone" not in words:
        return True, _of_table(tables.by_name[min(named)], None, event)
    return bool(words) and any(coding.system in DRUG_SYSTEMS for coding in event.codes), None


def _of_table(entry: Entry | None, source: Entry | None, event: MedicationEvent) -> Drug | None:
    """The ingredient's row; one that is in the product table alone has no dose and stays undecidable."""
    columns = entry.columns if entry else (source.columns if source else {})
    minimum = columns.get("min_adequate_mg_per_day")
    strength = event.strength_mg or (Decimal(text) if source and (text := source.columns.get("strength_mg")) else None)
    return Drug(
        ingredient=columns.get("ingredient", ""),
        drug_class=columns.get("drug_class", ""),
        minimum=Decimal(minimum) if minimum else None,
        strength=strength,
        classified=source is not None,
        verified=source.verified if source else False,
    )


def _exposure(event: MedicationEvent, drug: Drug, as_of: AsOf) -> Exposure:
    low, high = _daily_dose(event, drug)
    start = event.start
    if start is None:
        return Exposure(event, drug, NEVER, FOREVER, NEVER, as_of.day, low, high)
    end_certain, end_possible = _end(event, start, as_of)
    return Exposure(
        event,
        drug,
        from_possible=start.first_day,
        from_certain=start.last_day,
        to_certain=min(end_certain, as_of.day),
        to_possible=min(end_possible, as_of.day),
        dose_low=low,
        dose_high=high,
    )


def _end(event: MedicationEvent, start: Span, as_of: AsOf) -> tuple[int, int]:
    """The last day certainly and possibly covered. A recorded end or supply decides, unless it was stopped before."""
    ends = [event.end] if event.end else []
    low = [end.first_day for end in ends]
    high = [end.last_day for end in ends]
    if event.supply_days is not None:
        low.append(start.first_day + event.supply_days - 1)
        high.append(start.last_day + event.supply_days - 1)
    known = bool(low)
    stopped_early = event.kind == "request" and event.status in ("stopped", "on-hold", "unknown")
    doubtful = event.status == "unknown" or (event.kind == "dispense" and event.status == "stopped")
    if known and not stopped_early and not doubtful:
        return min(low), min(high)
    if not known and event.kind == "statement" and event.status == "active":
        return as_of.day, as_of.day
    return start.last_day, min(high) if known else as_of.day


def _daily_dose(event: MedicationEvent, drug: Drug) -> tuple[Decimal | None, Decimal | None]:
    """Least and greatest daily dose in mg; None is not known."""
    steps = [step for step in event.doses if not step.as_needed]
    doses = [_step_dose(step, drug) for step in steps]
    known = [dose for dose in doses if dose]
    if known and len(known) == len(doses):
        sequences = {step.sequence for step in steps}
        if len(steps) == 1 or len(sequences) == 1:
            return sum((low for low, _ in known), Decimal(0)), sum((high for _, high in known), Decimal(0))
        return min(low for low, _ in known), max(high for _, high in known)
    if drug.strength and event.kind == "dispense" and event.quantity and event.supply_days and not steps:
        dose = drug.strength * event.quantity / event.supply_days
        return dose, dose
    return None, None


UNITS_OF_ONE = (
    "tablet",
    "tab",
    "{tbl}",
    "capsule",
    "cap",
    "{capsule}",
    "{tablet}",
    "tablets",
    "capsules",
    "[tbl]",
    "1",
)


def _step_dose(step: DoseStep, drug: Drug) -> tuple[Decimal, Decimal] | None:
    if step.amount_low is None or step.amount_high is None or step.per_day_low is None or step.per_day_high is None:
        return None
    unit = (step.unit or "").strip().lower()
    if unit == "mg":
        factor = Decimal(1)
    elif unit == "g":
        factor = Decimal(1000)
    elif unit in UNITS_OF_ONE and drug.strength:
        factor = drug.strength
    else:
        return None
    return step.amount_low * step.per_day_low * factor, step.amount_high * step.per_day_high * factor


def _without_covered_requests(spec: CoursesFact, exposures: list[Exposure]) -> list[Exposure]:
    """Where dispenses are on record, they say what was handed out: requests beside them only lend their dose."""
    kept = []
    for exposure in exposures:
        dispenses = [
            other
            for other in exposures
            if other.event.kind == "dispense"
            and other.drug.ingredient == exposure.drug.ingredient
            and other.event.start is not None
        ]
        if exposure.event.kind == "request" and _beside(spec, exposure, dispenses):
            continue
        if exposure.event.kind == "dispense" and exposure.dose_low is None:
            exposure = _with_prescribed_dose(exposure, exposures)
        kept.append(exposure)
    return kept


def _beside(spec: CoursesFact, request: Exposure, dispenses: list[Exposure]) -> bool:
    if not dispenses or request.event.start is None:
        return False
    first = min(dispense.from_possible for dispense in dispenses) - spec.gap_days
    last = max(dispense.to_certain for dispense in dispenses) + spec.gap_days
    return first <= request.from_possible and request.from_certain <= last


def _with_prescribed_dose(dispense: Exposure, exposures: list[Exposure]) -> Exposure:
    prescribed = [
        other
        for other in exposures
        if other.event.kind == "request"
        and other.drug.ingredient == dispense.drug.ingredient
        and other.from_certain <= dispense.from_possible
        and other.event.start is not None
    ]
    if not prescribed:
        return dispense
    last = max(prescribed, key=lambda other: (other.from_certain, other.event.record.id))
    return msgspec.structs.replace(dispense, dose_low=last.dose_low, dose_high=last.dose_high)


def _groups(spec: CoursesFact, exposures: Iterable[Exposure]) -> list[list[Exposure]]:
    """Exposures of one ingredient with gaps of at most `gap_days`, in the order of their first day."""
    groups: list[list[Exposure]] = []
    ordered = sorted(
        exposures, key=lambda one: (one.drug.ingredient, one.from_possible, one.to_possible, one.event.record.id)
    )
    for exposure in ordered:
        last = groups[-1] if groups else None
        if last and last[0].drug.ingredient == exposure.drug.ingredient:
            reach = max(one.to_possible for one in last)
            if exposure.from_possible - reach - 1 <= spec.gap_days:
                last.append(exposure)
                continue
        groups.append([exposure])
    return sorted(groups, key=lambda group: (group[0].from_possible, group[0].drug.ingredient))


def covered_days(intervals: Iterable[tuple[int, int]]) -> int:
    """Days in the union of closed intervals of days, each counted once."""
    total, reach = 0, NEVER - 1
    for first, last in sorted(intervals):
        if last > reach and last >= first:
            total += last - max(first, reach + 1) + 1
            reach = last
    return total


def _course(
    spec: CoursesFact,
    tables: Tables,
    group: list[Exposure],
    episode: Episode,
    scores: list[tuple[Observation, Decimal]],
    as_of: AsOf,
) -> Course:
    drug = group[0].drug
    stretches = _stretches(spec, group)
    certain, possible = max((days for days, _ in stretches), default=0), _possible_days(group)
    adequate = between(certain >= spec.adequate_days, possible >= spec.adequate_days)
    inside = _in_episode(spec, group, stretches, episode)
    ongoing = max(one.to_certain for one in group) >= as_of.day
    stopped = _stop_reason(group, tables)
    response = _response(spec, group, scores, ongoing, stopped, as_of)
    counts = all_of([adequate, inside, _response_counts(response)])
    return Course(
        ingredient=drug.ingredient,
        drug_class=drug.drug_class,
        start=_day_text(group[0].event.start),
        end="ongoing" if ongoing else _end_text(group, as_of),
        dose=_dose_text(group),
        minimum_mg=plain_number(drug.minimum) if drug.minimum else "not set",
        days_certain=certain,
        days_possible=possible,
        adequate=adequate,
        in_episode=inside,
        counts=counts,
        response=response,
        why=_why(spec, drug, certain, possible, adequate, inside, response),
        ongoing=ongoing,
        records=tuple(one.event.record.reference for one in group),
    )


def _stretches(spec: CoursesFact, group: list[Exposure]) -> list[tuple[int, int]]:
    """Certain days at or above the minimum dose, in stretches with gaps of at most `gap_days`: (days, last day).

    An order without an end, or without a beginning, may join what it stands between, but never for certain.
    """
    intervals = sorted(
        (one.from_certain, one.to_certain)
        for one in group
        if one.from_certain <= one.to_certain and _dose_is_adequate(one) is MET
    )
    runs: list[list[tuple[int, int]]] = []
    for interval in intervals:
        if runs and interval[0] - max(last for _, last in runs[-1]) - 1 <= spec.gap_days:
            runs[-1].append(interval)
        else:
            runs.append([interval])
    return [(covered_days(run), max(last for _, last in run)) for run in runs]


def _possible_days(group: list[Exposure]) -> int:
    """The most days that may have been covered at or above the minimum dose."""
    intervals = [(one.from_possible, one.to_possible) for one in group if _dose_is_adequate(one) is not NOT_MET]
    return min(covered_days(intervals), FOREVER)


def _dose_is_adequate(one: Exposure) -> Outcome:
    minimum = one.drug.minimum
    if minimum is None:
        return UNKNOWN
    enough = one.dose_low is not None and one.dose_low >= minimum
    return between(enough and one.drug.classified, one.dose_high is None or one.dose_high >= minimum)


def _in_episode(
    spec: CoursesFact, group: list[Exposure], stretches: list[tuple[int, int]], episode: Episode
) -> Outcome:
    """Whether the course ended at most `previous_episode_days` before the episode began, or within it.

    Only a stretch that is adequate by itself can do so for certain.
    """
    slack = spec.previous_episode_days
    ends = [last for days, last in stretches if days >= spec.adequate_days]
    end_possible = max(one.to_possible for one in group)
    return between(bool(ends) and max(ends) >= episode.latest - slack, end_possible >= episode.earliest - slack)


def _episode(tables: Tables, chart: Chart) -> Episode:
    """When the current episode began: onset; a recorded date alone bounds it from above; else nothing is known.

    The same diagnosis recorded at many encounters began with the first; different diagnoses leave the beginning
    between them. A remission recorded in between moves it to after the remission.
    """
    starts: dict[str, tuple[int, int]] = {}
    for condition in chart.conditions_in(tables.episode):
        if not status_matches(condition, "current"):
            continue
        entry = first_match(condition.codes, tables.episode)
        assert entry is not None
        bounds = (NEVER, FOREVER)
        if condition.onset:
            bounds = (condition.onset.first_day, condition.onset.last_day)
        elif condition.recorded:
            bounds = (NEVER, condition.recorded.last_day)
        known = starts.get(entry.key[1])
        starts[entry.key[1]] = min(known, bounds, key=lambda pair: pair[1]) if known else bounds
    if not starts:
        return Episode(NEVER, FOREVER)
    earliest, latest = min(low for low, _ in starts.values()), max(high for _, high in starts.values())
    for remission in chart.conditions_in(tables.remission):
        parted = remission.when
        earliest = max(earliest, parted.first_day) if parted else earliest
        latest = max(latest, parted.last_day) if parted else FOREVER
    return Episode(earliest, latest)


def _scores(tables: Tables, chart: Chart) -> list[tuple[Observation, Decimal]]:
    """Dated depression totals, oldest first."""
    scores = []
    for observation, component in chart.readings_in(tables.score):
        number = number_of((component or observation).value)
        if number and not number.comparator and observation.status in FINAL and observation.when:
            scores.append((observation, number.value))
    return scores


def _stop_reason(group: list[Exposure], tables: Tables) -> str | None:
    """The meaning of the reason recorded with the last stop, from our own table."""
    for one in reversed(group):
        entry = first_match(one.event.status_reasons, tables.stop_reasons)
        if entry:
            return entry.columns.get("meaning")
    return None


DOCUMENTED = "non-response documented"
ENDED_OTHERWISE = "stopped for a reason that is not non-response"
NOT_RECORDED = "not recorded"
ONGOING_INADEQUATE = "ongoing, inadequate so far"
ONGOING_BETTER = "ongoing, responding"
ONGOING_OPEN = "ongoing, response not recorded"


def _response(
    spec: CoursesFact,
    group: list[Exposure],
    scores: list[tuple[Observation, Decimal]],
    ongoing: bool,
    stopped: str | None,
    as_of: AsOf,
) -> str:
    if stopped and stopped.startswith("non-response"):
        return DOCUMENTED
    if stopped and stopped != "ambiguous":
        return ENDED_OTHERWISE
    if ongoing:
        return _ongoing_response(spec, group, scores, as_of)
    return NOT_RECORDED


def _ongoing_response(
    spec: CoursesFact, group: list[Exposure], scores: list[tuple[Observation, Decimal]], as_of: AsOf
) -> str:
    """A drug still taken counts only when a recent score shows that it has not worked so far."""
    began = min(one.from_certain for one in group)
    recent = [
        value
        for observation, value in scores
        if observation.when
        and as_of.day - observation.when.first_day <= spec.score_recent_days
        and observation.when.first_day >= began + spec.score_after_days
    ]
    if not recent:
        return ONGOING_OPEN
    at_start = [
        value
        for observation, value in scores
        if observation.when and abs(observation.when.first_day - began) <= spec.score_start_days
    ]
    if not at_start or at_start[-1] <= 0:
        return ONGOING_INADEQUATE if recent[-1] >= spec.ongoing_score_at_least else ONGOING_OPEN
    change = (at_start[-1] - recent[-1]) * 100 / at_start[-1]
    if change < spec.nonresponse_change_below_percent:
        return ONGOING_INADEQUATE
    return ONGOING_BETTER if change >= spec.response_change_from_percent else ONGOING_OPEN


def _response_counts(response: str) -> Outcome:
    """Whether the recorded response lets a course count: exposures count unless the record says otherwise."""
    if response in (ENDED_OTHERWISE, ONGOING_BETTER):
        return NOT_MET
    return UNKNOWN if response == ONGOING_OPEN else MET


def _why(
    spec: CoursesFact, drug: Drug, certain: int, possible: int, adequate: Outcome, inside: Outcome, response: str
) -> str:
    """One phrase on why the course counts, does not, or cannot be decided."""
    weeks = spec.adequate_days // 7
    if inside is NOT_MET:
        return "previous episode"
    if _response_counts(response) is NOT_MET:
        return response
    if adequate is NOT_MET:
        borderline = certain >= spec.borderline_days
        return (
            f"borderline: 4 to under {weeks} weeks at an adequate dose" if borderline else "too short or dose too low"
        )
    if not drug.classified:
        return "product code not known: named in text only"
    if adequate is UNKNOWN:
        return "dose or duration not recorded" if possible > certain else "dose not recorded"
    if inside is UNKNOWN:
        return "episode start not recorded exactly"
    return response if response == ONGOING_OPEN else f"{weeks} weeks or more at an adequate dose"


def _day_text(span: Span | None) -> str:
    return span.date if span else "start unknown"


def _end_text(group: list[Exposure], as_of: AsOf) -> str:
    certain = max(one.to_certain for one in group)
    possible = max(one.to_possible for one in group)
    if certain == possible and certain > NEVER:
        return day_date(certain).isoformat()
    return "end unknown"


def _dose_text(group: list[Exposure]) -> str:
    lows = [one.dose_low for one in group if one.dose_low is not None]
    highs = [one.dose_high for one in group if one.dose_high is not None]
    if not lows or not highs:
        return "dose unknown"
    low, high = min(lows), max(highs)
    return f"{plain_number(low)} mg/d" if low == high else f"{plain_number(low)} to {plain_number(high)} mg/d"


def _gaps(tables: Tables, chart: Chart, unidentified: list[str]) -> tuple[str, ...]:
    aside = [f"{item.record.reference} could not be read" for item in chart.quarantined(MEDICATION_TYPES, tables.drugs)]
    unnamed = [f"{reference}: medication not identified" for reference in unidentified]
    return list_gaps(chart.facts.medications, empty_matters=True, name="medications") + tuple(aside + unnamed)


def _match(course: Course, exposures: list[Exposure]) -> Match:
    first = next(one for one in exposures if one.event.record.reference == course.records[0])
    return Match(
        record=first.event.record,
        display=course.ingredient,
        code="",
        when=first.event.start,
        certain=course.counts is MET,
        value=f"{course.dose}, {course.start} to {course.end}, {course.days_certain} d at an adequate dose",
        status=course.why,
        verified=False,
    )


def _values(courses: tuple[Course, ...]) -> dict[str, str]:
    counted = [course for course in courses if course.counts is MET]
    states = {course.response for course in counted}
    documented = DOCUMENTED in states
    state = DOCUMENTED if documented and len(states) == 1 else ("mixed" if documented else NOT_RECORDED)
    open_ones = {course.ingredient for course in courses if course.counts is UNKNOWN}
    certain = {course.ingredient for course in counted}
    return {"count": str(len(certain)), "open": str(len(open_ones - certain)), "state": state}
