"""Cards: what the EHR shows of an assessment. Every text is the rule's own, or a typed value formatted by us.

Which card a service shows, in which order, and what every card carries (found, unknown, label status, limits, options,
source, foot) follow the clinical reference, sections 5.1 to 5.5. Summaries hold no record text and no verdict.
"""

import copy
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from cds_service.decision.assess import Assessment
from cds_service.decision.evidence import Course, Evidence, plain_number
from cds_service.decision.orders import FORM_NAMES, KetamineOrder
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.decision.rule import CardText, Grade, Jurisdiction, Rule
from cds_service.hooks.markdown import LIMIT as WORDS_LIMIT
from cds_service.hooks.markdown import block, bullets, inert, own, table
from cds_service.hooks.messages import SUMMARY_LIMIT, Action, Card, Coding, Link, OverrideReason, Source, Suggestion

NAMESPACE = uuid.UUID("6f0b9d0e-5b0d-5a5e-9a55-6b6574616d69")
TOPIC_SYSTEM = "urn:ketamine-cds:rule"
NO_CHANGE = "no change, with the reason recorded"
UNVERIFIED = "Part of what decides this card is a project default or an unverified code: not clinically reviewed."
NOT_RECORDED = "not recorded"
NAME_LIMIT = 40
MOST_EVIDENCE = 12
FEW = 3
VALUE_LIMIT = 120
REASON_LIMIT = 400
SHORT_REASON = 120
MOST_OPEN = 4
DETAIL_LIMIT = 4000
SHORTENED = "(shortened: see the chart and the rule's page)"
ORDER = {"critical": 0, "warning": 1, "info": 2}
STUDIED_MG_PER_KG = Decimal("0.5")
KILOGRAMS = re.compile(r"(\d+(?:\.\d+)?) kg")
PLACEHOLDER = re.compile(r"\{([a-z0-9-]+\.[a-z]+)\}")

Indicator = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class SourceLine:
    """A source as cards cite it."""

    label: str
    url: str | None
    date: str | None


@dataclass(frozen=True)
class CardRule:
    """A rule version with what its cards need: its address and the registers it points into."""

    rule: Rule
    digest: str
    page_url: str
    status: str
    sources: Mapping[str, SourceLine]
    overrides: Mapping[str, OverrideReason]
    suggestions: Mapping[str, "Draft"]

    def grade(self, grade_id: str | None) -> Grade | None:
        """The grade with this id."""
        return next((grade for grade in self.rule.grades if grade.id == grade_id), None)


@dataclass(frozen=True)
class Draft:
    """A draft resource that a card offers to create; the patient is filled in here."""

    label: str
    description: str
    resource: Mapping[str, Any]


@dataclass(frozen=True)
class Situation:
    """What the cards of one response are about."""

    service: str
    hook: str
    shows: Literal["candidacy", "orders"]
    hook_instance: str
    patient_id: str
    jurisdiction: Jurisdiction
    as_of: str
    data_read: str
    index_url: str
    evidence_url: str
    dose_arithmetic: bool = False
    orders: tuple[KetamineOrder, ...] = ()
    in_labelled_population: Outcome = UNKNOWN
    gaps: tuple[str, ...] = ()
    unclassified: tuple[tuple[str, str], ...] = ()
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """An assessment with its rule, its grade and that grade's card."""

    assessment: Assessment
    card_rule: CardRule
    grade: Grade | None
    indicator: Indicator | None

    @property
    def text(self) -> CardText | None:
        """The card's words, where the grade has a card."""
        return self.grade.card if self.grade else None


def cards_for(
    assessments: Iterable[Assessment], rules: Mapping[str, CardRule], situation: Situation
) -> tuple[Card, ...]:
    """The cards of one response, most urgent first."""
    findings = _findings(tuple(assessments), rules, situation)
    if situation.shows == "candidacy":
        own_cards = _candidacy_cards(findings, situation)
    else:
        own_cards = _order_cards(findings, situation)
    return (*own_cards, _gap_card(findings, situation))


def audience_card(situation: Situation) -> Card:
    """The one neutral card for a request that a patient or a related person made: no finding, no recommendation."""
    return Card(
        uuid=_uuid(situation, "audience"),
        summary="This service informs health-care professionals; its content is not shown to other readers.",
        detail="Questions about ketamine or esketamine are for a conversation with the treating clinician.",
        indicator="info",
        source=Source(
            label="Rule index of this service",
            url=situation.index_url,
            topic=Coding(code="audience", system=TOPIC_SYSTEM),
        ),
    )


def gap_only(
    assessments: Iterable[Assessment], rules: Mapping[str, CardRule], situation: Situation
) -> tuple[Card, ...]:
    """The data-gap card alone: there may be a reason to speak, but the lists that would say so are incomplete."""
    return (_gap_card(_findings(tuple(assessments), rules, situation), situation),)


def _findings(
    assessments: tuple[Assessment, ...], rules: Mapping[str, CardRule], situation: Situation
) -> list[Finding]:
    met = {one.rule for one in assessments if one.outcome is MET}
    findings = []
    for assessment in assessments:
        card_rule = rules[assessment.rule]
        grade = card_rule.grade(assessment.grade)
        findings.append(Finding(assessment, card_rule, grade, _indicator(assessment, grade, met, situation)))
    return findings


def _indicator(assessment: Assessment, grade: Grade | None, met: set[str], situation: Situation) -> Indicator | None:
    if grade is None or grade.card is None:
        return None
    raised = grade.card.at_sign
    holds = {clause.id for clause in assessment.clauses if clause.outcome is MET}
    if raised and situation.hook == "order-sign" and raised.when in holds and not met & set(raised.unless_met):
        return raised.indicator
    return _as_indicator(assessment.indicator)


def _as_indicator(text: str | None) -> Indicator:
    if text == "critical":
        return "critical"
    return "warning" if text == "warning" else "info"


# --- Which cards ------------------------------------------------------------------------------------------------------

CANDIDACY = "prior-antidepressant-failures"
SAFETY = "acute-suicidality"
FORM = "order-form"
FORM_UNKNOWN = "form-unknown"


def _urgency(finding: Finding) -> tuple[int, int, int]:
    """Contraindications first, then by indicator; among equals, safety first and candidacy last."""
    contraindication = finding.grade is not None and finding.grade.grade == "contraindication (label)"
    place = {SAFETY: 0, CANDIDACY: 2}.get(finding.assessment.rule, 1)
    return (0 if contraindication else 1, ORDER[finding.indicator or "info"], place)


def _order_cards(findings: list[Finding], situation: Situation) -> list[Card]:
    """Contraindications first, then one card per rule that warns; safety and candidacy whatever their indicator.

    Last the forms: one card per order.
    """
    shown = [finding for finding in findings if _stands_alone(finding)]
    forms = [one for one in findings if one.assessment.rule == FORM]
    return [_card(finding, situation) for finding in sorted(shown, key=_urgency)] + [
        _form_card(form, order, findings, situation) for form in forms for order in situation.orders
    ]


def _form_card(form: Finding, order: KetamineOrder, findings: list[Finding], situation: Situation) -> Card:
    """The card of one order's form: the grade that bears the form's name, whatever other orders stand beside it."""
    grade = form.card_rule.grade(order.form or FORM_UNKNOWN)
    assert grade is not None, "the form rule has a grade for every form, and one for none"
    about = Finding(form.assessment, form.card_rule, grade, _as_indicator(None))
    lines = [summary_of(one) for one in findings if one.text and FORM in one.text.line_on and not _stands_alone(one)]
    also = block("Also on record", bullets([own(line) for line in lines]))
    also += block("Studied dose times weight", bullets(_dose_lines(form.assessment, order, situation)))
    return _card(about, replace(situation, orders=(order,)), order=order.id, also=also)


def _dose_lines(form: Assessment, order: KetamineOrder, situation: Situation) -> list[str]:
    """The studied dose times the latest weight, where the client's configuration asks for it: arithmetic, no order."""
    if not situation.dose_arithmetic or order.form != "ketamine-iv":
        return []
    weight = next((one for one in form.clauses if one.id == "recent-weight" and one.outcome is MET), None)
    last = weight.evidence[-1] if weight and weight.evidence else None
    kilograms = KILOGRAMS.fullmatch((last and last.value) or "")
    if last is None or kilograms is None:
        return [own("no product shown: no usable weight in kg of the last 90 days is on record")]
    product = (STUDIED_MG_PER_KG * Decimal(kilograms[1])).quantize(Decimal("0.1"), ROUND_HALF_UP)
    factors = f"{STUDIED_MG_PER_KG} mg/kg x {last.value} (weight of {last.date})"
    said = "arithmetic on the published dose, shown on this client's request; it is no order"
    return [own(f"{factors} = {plain_number(product)} mg, rounded to 0.1 mg: {said}")]


def _stands_alone(finding: Finding) -> bool:
    if finding.text is None:
        return False
    return finding.assessment.rule in (CANDIDACY, SAFETY) or finding.indicator in ("critical", "warning")


def _candidacy_cards(findings: list[Finding], situation: Situation) -> list[Card]:
    """Safety by itself, the cautions as one card, candidacy with its table."""
    apart = [one for one in findings if one.text and one.assessment.rule in (CANDIDACY, SAFETY)]
    cautions = [one for one in findings if _stands_alone(one) and one not in apart]
    cards = [(_urgency(one), _card(one, situation)) for one in apart]
    if len(cautions) == 1:
        cards.append((_urgency(cautions[0]), _card(cautions[0], situation)))
    elif cautions:
        cautions.sort(key=_urgency)
        cards.append((_urgency(cautions[0]), _merged_card(cautions, situation)))
    return [card for _, card in sorted(cards, key=lambda pair: pair[0])]


# --- One card ---------------------------------------------------------------------------------------------------------


def _card(finding: Finding, situation: Situation, *, order: str = "", also: Iterable[str] = ()) -> Card:
    """The card of one finding; `also` are blocks that are read with it."""
    text = finding.text
    assert text is not None, "only findings with a card get one"
    rule = finding.card_rule.rule
    card_id = _uuid(situation, rule.rule, order)
    suggestions = _suggestions([finding], card_id, situation)
    return Card(
        uuid=card_id,
        summary=summary_of(finding),
        detail=_detail([finding], situation, also),
        indicator=finding.indicator or "info",
        source=_source(finding.card_rule, text.topic_source, rule.rule),
        suggestions=suggestions,
        selection_behavior="any" if suggestions else None,
        override_reasons=_overrides([finding]),
        links=(_page_link(finding.card_rule), *(_evidence_link(situation) if rule.rule == CANDIDACY else ())),
    )


def _evidence_link(situation: Situation) -> tuple[Link, ...]:
    label = "Evidence on benefits and mechanism, and what is not established"
    return (Link(label=label, url=situation.evidence_url, type="absolute"),)


def _merged_card(findings: list[Finding], situation: Situation) -> Card:
    """The cautions of a patient view as one card: each with its own found, unknown and options."""
    card_id = _uuid(situation, "cautions")
    lead = findings[0]
    assert lead.text is not None, "only findings with a card get one"
    titles = ", ".join(_title(finding).lower() for finding in findings)
    suggestions = _suggestions(findings, card_id, situation)
    return Card(
        uuid=card_id,
        summary=_shorten(f"{len(findings)} cautions found in the data read: {titles}.", SUMMARY_LIMIT),
        detail=_detail(findings, situation),
        indicator=lead.indicator or "info",
        source=_source(lead.card_rule, lead.text.topic_source, "cautions"),
        suggestions=suggestions,
        selection_behavior="any" if suggestions else None,
        override_reasons=_overrides(findings),
        links=tuple(_page_link(finding.card_rule) for finding in findings),
    )


def _uuid(situation: Situation, rule: str, order: str = "") -> str:
    """The same invocation, rule and order (where a card is about one) give the same card, for feedback and replay."""
    return str(uuid.uuid5(NAMESPACE, f"{situation.service}|{situation.hook_instance}|{rule}|{order}"))


def summary_of(finding: Finding) -> str:
    """The rule's summary with its placeholders filled, under 140 characters."""
    assert finding.text is not None, "only findings with a card have a summary"
    values = finding.assessment.values

    def fill(found: re.Match[str]) -> str:
        text = values.get(found[1], NOT_RECORDED)
        return _shorten(text, NAME_LIMIT) if found[1].endswith(".name") else text

    return _shorten(PLACEHOLDER.sub(fill, finding.text.summary), SUMMARY_LIMIT)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


def _source(card_rule: CardRule, citation_id: str, topic: str) -> Source:
    citation = next(one for one in card_rule.rule.citations if one.id == citation_id)
    line = card_rule.sources[citation.source]
    return Source(label=line.label, url=line.url, topic=Coding(code=topic.replace("-", ""), system=TOPIC_SYSTEM))


def _page_link(card_rule: CardRule) -> Link:
    rule = card_rule.rule
    return Link(
        label=f"Rule {rule.rule} {rule.version}: logic, sources, limits", url=card_rule.page_url, type="absolute"
    )


def _overrides(findings: list[Finding]) -> tuple[OverrideReason, ...]:
    """The reasons of all findings, each coding once: feedback gives back system and code only."""
    reasons: dict[tuple[str, str], OverrideReason] = {}
    for finding in findings:
        for code in finding.text.overrides if finding.text else []:
            reason = finding.card_rule.overrides[code]
            reasons.setdefault((reason.system, reason.code), reason)
    return tuple(reasons.values())


def _suggestions(findings: list[Finding], card_id: str, situation: Situation) -> tuple[Suggestion, ...]:
    names = dict.fromkeys(name for finding in findings for name in (finding.text.suggest if finding.text else []))
    drafts = {name: draft for finding in findings for name, draft in finding.card_rule.suggestions.items()}
    return tuple(_suggestion(name, drafts[name], card_id, situation) for name in names)


def _suggestion(name: str, draft: Draft, card_id: str, situation: Situation) -> Suggestion:
    resource = copy.deepcopy(dict(draft.resource))
    subject = "for" if resource["resourceType"] == "Task" else "subject"
    resource[subject] = {"reference": f"Patient/{situation.patient_id}"}
    action = Action(type="create", description=draft.description, resource=resource)
    return Suggestion(label=draft.label, uuid=str(uuid.uuid5(uuid.UUID(card_id), name)), actions=(action,))


# --- Detail -----------------------------------------------------------------------------------------------------------


def _detail(findings: list[Finding], situation: Situation, also: Iterable[str] = ()) -> str:
    """One section per finding, then what holds for all. Where that is too long, each section says less."""
    tail = [*also, *_status_block(situation), *_foot(findings, situation)]
    cut = [SHORTENED, "", *tail]
    titled = len(findings) > 1
    forms = [(_sections(findings, titled=titled), tail), (_sections(findings, titled=titled, brief=True), cut)]
    if titled:
        forms.append(([line for finding in findings for line in _terse_section(finding)], cut))
        forms.append((_summaries(findings), cut))
    return _fit(*_first_that_fits(forms))


def _first_that_fits(forms: list[tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
    """Of the forms of a detail, body and tail, from the fullest to the barest, the first within the limit."""
    return next((form for form in forms if len("\n".join([*form[0], *form[1]])) <= DETAIL_LIMIT), forms[-1])


def _terse_section(finding: Finding) -> list[str]:
    """A finding among many: its summary, the first record, how much is unknown, options and sources in a line each."""
    text, assessment = finding.text, finding.assessment
    assert text is not None, "only findings with a card get a section"
    lines = [f"### {own(summary_of(finding))}", "", *_found_lines(assessment, 1)]
    if assessment.unknowns:
        lines.append(f"- unknown: {own(_shorten('; '.join(assessment.unknowns), SHORT_REASON))}")
    lines.append(f"- options to consider: {'; '.join(own(option) for option in (*text.options, NO_CHANGE))}")
    labels = dict.fromkeys(line.split(", section ")[0] for line in _source_lines(finding))
    return [*lines, f"- sources: {'; '.join(labels)}", ""]


def _summaries(findings: list[Finding]) -> list[str]:
    """Very many findings: each one's summary, so that none is lost; the rest stands on the pages that are linked."""
    offered = (option for finding in findings if finding.text for option in finding.text.options)
    options = list(dict.fromkeys(offered))
    few = [own(option) for option in (*options[:MOST_EVIDENCE], NO_CHANGE)]
    lines = block("Found", bullets([own(summary_of(finding)) for finding in findings]))
    return [*lines, *block("Options to consider", bullets(few))]


def _sections(findings: list[Finding], *, titled: bool, brief: bool = False) -> list[str]:
    return [line for finding in findings for line in _section(finding, titled=titled, brief=brief)]


def _section(finding: Finding, *, titled: bool, brief: bool) -> list[str]:
    """Found, unknown, what sources say, limits and options of one finding; in brief, the first few and no sayings."""
    text, assessment = finding.text, finding.assessment
    assert text is not None, "only findings with a card get a section"
    most = FEW if brief else MOST_EVIDENCE
    lines = [f"### {own(summary_of(finding))}", ""] if titled else []
    lines += block("Found", _found_lines(assessment, most))
    lines += block("Unknown", bullets(_capped(_reasons(assessment.unknowns), most)))
    if not brief:
        lines += block("What the sources say", bullets([own(_filled(point, assessment)) for point in text.points]))
    lines += block("Limits", [own(text.limits)])
    lines += block("Options to consider", bullets([own(option) for option in (*text.options, NO_CHANGE)]))
    lines += block("Sources", bullets(_source_lines(finding)))
    return lines


def _reasons(texts: Iterable[str]) -> list[str]:
    """Why something is unknown or could not be read; a reason may name many records and is cut, which shows."""
    return [own(_shorten(text, REASON_LIMIT)) for text in texts]


def _filled(text: str, assessment: Assessment) -> str:
    filled = PLACEHOLDER.sub(lambda found: assessment.values.get(found[1], NOT_RECORDED), text)
    # A value and its date are missing together, and that is said once.
    return filled.replace(f"{NOT_RECORDED}, {NOT_RECORDED}", NOT_RECORDED)


def _found_lines(assessment: Assessment, most: int) -> list[str]:
    if assessment.courses:
        others = [_evidence_line(item) for item in assessment.evidence if not item.resource.startswith("Medication")]
        return [*_course_table(assessment.courses, most), "", *bullets(_capped(others, most))]
    lines = _capped([_evidence_line(item) for item in assessment.evidence], most)
    return bullets(lines or ["nothing in the data read"])


def _evidence_line(item: Evidence) -> str:
    """Name, value, date, record and recorded status; names are our own displays."""
    value = f": {own(_shorten(item.value, VALUE_LIMIT))}" if item.value else ""
    parts = [own(FORM_NAMES.get(item.what, item.what)) + value]
    parts += [own(_shorten(text, VALUE_LIMIT)) for text in (item.date, item.status, item.note) if text]
    return ", ".join(parts) + f" ({own(_shorten(item.resource, VALUE_LIMIT))})"


def _course_table(courses: tuple[Course, ...], most: int) -> list[str]:
    head = ["Drug", "Dose", "From", "To", "Days at an adequate dose", "Response", "Counted"]
    rows = [
        [
            own(course.ingredient),
            own(course.dose),
            course.start,
            course.end,
            _days(course),
            own(course.response),
            own(f"{_counted(course)}: {course.why}"),
        ]
        for course in courses[:most]
    ]
    more = ["", f"and {len(courses) - most} more courses"] if len(courses) > most else []
    return table(head, rows) + more


def _days(course: Course) -> str:
    if course.days_certain == course.days_possible:
        return str(course.days_certain)
    most = str(course.days_possible) if course.days_possible < 100_000 else "unknown"
    return f"{course.days_certain} to {most}"


def _counted(course: Course) -> str:
    if course.counts is MET:
        return "yes"
    return "undecidable" if course.counts is UNKNOWN else "no"


def _source_lines(finding: Finding) -> list[str]:
    assert finding.grade is not None, "a section has a grade"
    cited = {one.id: one for one in finding.card_rule.rule.citations}
    lines = []
    for name in finding.grade.cites:
        citation = cited[name]
        line = finding.card_rule.sources[citation.source]
        date = citation.text or line.date
        lines.append(own(f"{line.label}, section {citation.section}, {date} ({citation.status})"))
    return lines


def _status_block(situation: Situation) -> list[str]:
    return block("Label status", bullets([own(line) for line in label_status(situation)]))


def label_status(situation: Situation) -> list[str]:
    """On-label or off-label, by the form ordered; one line per order, and in general where there is no order."""
    if not situation.orders:
        return [_ESKETAMINE[situation.jurisdiction], _OFF_LABEL[situation.jurisdiction]]
    lines = [_order_status(order, situation) for order in situation.orders]
    return list(dict.fromkeys(lines))


_ESKETAMINE: Mapping[Jurisdiction, str] = {
    "US": (
        "Esketamine nasal spray: labelled product: TRD in adults (alone or with an oral antidepressant); MDD with "
        "acute suicidal ideation or behavior (with an oral antidepressant). Whether this patient is in the labelled "
        "population is for the clinician."
    ),
    "EU": (
        "Esketamine nasal spray: labelled with an SSRI or SNRI after at least two different antidepressants in the "
        "current moderate to severe episode, or short-term in a psychiatric emergency with an oral antidepressant. "
        "Whether this patient is in the labelled population is for the clinician."
    ),
    "UK": (
        "Esketamine nasal spray: labelled with an SSRI or SNRI after at least two different antidepressants in the "
        "current moderate to severe episode, or short-term in a psychiatric emergency with an oral antidepressant. "
        "NICE TA854: not recommended for treatment-resistant depression in the NHS."
    ),
}
_OFF_LABEL: Mapping[Jurisdiction, str] = {
    "US": "Ketamine: off-label use; ketamine is not FDA-approved for any psychiatric disorder.",
    "EU": "Ketamine: off-label use for depression.",
    "UK": "Ketamine: off-label use for depression.",
}
_OUTSIDE = "Outside the labelled population as far as the data read show."
_UNCLEAR = "Label status cannot be determined: form or route not recorded."


def _order_status(order: KetamineOrder, situation: Situation) -> str:
    if order.form is None:
        return _UNCLEAR
    if order.form != "esketamine-nasal":
        return _OFF_LABEL[situation.jurisdiction]
    if situation.in_labelled_population is NOT_MET:
        return f"Esketamine nasal spray: {_OUTSIDE}"
    return _ESKETAMINE[situation.jurisdiction]


def _foot(findings: list[Finding], situation: Situation) -> list[str]:
    lines = [f"Rule version: {_versions(findings)}."]
    if any(finding.card_rule.status == "draft" for finding in findings):
        lines.append("Content status draft: not clinically approved by this organisation.")
    if any(finding.assessment.unverified for finding in findings):
        lines.append(UNVERIFIED)
    lines.append(f"Advisory only. {situation.data_read} Not found is not the same as absent.")
    return ["---", *[f"{own(line)}  " for line in lines]]


def _versions(findings: list[Finding]) -> str:
    """Each rule with its version; of many, the rules of each version."""
    rules = [one.card_rule.rule for one in findings]
    if len(rules) <= FEW:
        return ", ".join(f"{rule.rule} {rule.version}" for rule in rules)
    versions = dict.fromkeys(rule.version for rule in rules)
    return "; ".join(f"{one} of {', '.join(rule.rule for rule in rules if rule.version == one)}" for one in versions)


def _fit(body: list[str], tail: list[str]) -> str:
    """The detail as text. Only `body` is ever cut, at a line and said: label status and foot belong on every card."""
    text = "\n".join([*body, *tail]).strip()
    if len(text) <= DETAIL_LIMIT:
        return text
    end = "\n".join(["", SHORTENED, "", *[line for line in tail if line != SHORTENED]]).rstrip()
    kept = "\n".join(body)[: DETAIL_LIMIT - len(end)]
    return kept[: kept.rindex("\n") + 1] + end


# --- What was checked -------------------------------------------------------------------------------------------------


def _gap_card(findings: list[Finding], situation: Situation) -> Card:
    """Every factor with its outcome, everything unknown and why, and the findings that have no card of their own."""
    open_ones = [finding for finding in findings if finding.assessment.outcome is UNKNOWN]
    count = len(open_ones) + len(situation.gaps) + len(situation.quarantined) + len(situation.unclassified)
    summary = (
        f"Some checks could not be made: {count} data items missing or unreadable."
        if count
        else f"{len(findings)} checks were made on the data read: outcomes and dates in the details."
    )
    return Card(
        uuid=_uuid(situation, "data-gaps"),
        summary=summary,
        detail=_checked(findings, situation),
        indicator="info",
        source=Source(
            label="Rule index of this service",
            url=situation.index_url,
            topic=Coding(code="datagaps", system=TOPIC_SYSTEM),
        ),
        links=(Link(label="Rules of this service", url=situation.index_url, type="absolute"),),
    )


def _checked(findings: list[Finding], situation: Situation) -> str:
    """Every factor under its outcome, as fully as the length allows: with whole reasons, with short ones, by name."""
    options = ["orders for the missing items", "manual check of the source record", NO_CHANGE]
    tail = [*_status_block(situation), *block("Options to consider", bullets(options)), *_foot(findings, situation)]
    full = [*_outcomes(findings), *_left_out(situation, REASON_LIMIT, MOST_EVIDENCE)]
    brief = [*_outcomes(findings, brief=True), *_left_out(situation, SHORT_REASON, FEW)]
    bare = [*_names(findings), *_left_out(situation, SHORT_REASON, FEW)]
    return _fit(*_first_that_fits([(full, tail), (brief, tail), (bare, [SHORTENED, "", *tail])]))


def _outcomes(findings: list[Finding], *, brief: bool = False) -> list[str]:
    """Each factor under its outcome: met and unknown with what is known of it, not met in one line."""
    limit = SHORT_REASON if brief else REASON_LIMIT
    met, unknown, not_met = (_with_outcome(findings, outcome) for outcome in (MET, UNKNOWN, NOT_MET))
    told = [finding for finding in not_met if finding.text and not _stands_alone(finding)]
    plain = [finding for finding in not_met if finding not in told]
    lines = block("Met", bullets([_told(finding) for finding in met]))
    lines += block("Unknown", bullets(_open_lines(unknown, limit)))
    lines += block("Unknown beside a factor that is met", bullets(_open_lines(met, limit, grouped=brief)))
    lines += block("Not met in the data read", bullets([*map(_told, told), *_in_one_line(plain)]))
    return lines


def _names(findings: list[Finding]) -> list[str]:
    """Each factor under its outcome by its name alone."""
    titles = {MET: "Met", UNKNOWN: "Unknown", NOT_MET: "Not met in the data read"}
    groups = [(title, _with_outcome(findings, outcome)) for outcome, title in titles.items()]
    return [line for title, group in groups for line in block(title, bullets(_in_one_line(group)))]


def _with_outcome(findings: list[Finding], outcome: Outcome) -> list[Finding]:
    return [finding for finding in findings if finding.assessment.outcome is outcome]


def _in_one_line(findings: list[Finding]) -> list[str]:
    return [own("; ".join(_title(finding) for finding in findings))] if findings else []


def _title(finding: Finding) -> str:
    return finding.card_rule.rule.title.split(" before ")[0]


def _told(finding: Finding) -> str:
    """A factor with its finding: the summary where it has no card of its own, else what its grade says."""
    return own(f"{_title(finding)}: {_finding_text(finding)}")


def _finding_text(finding: Finding) -> str:
    if finding.text and not _stands_alone(finding) and finding.assessment.rule != FORM:
        return summary_of(finding)
    return finding.grade.says if finding.grade else finding.card_rule.rule.otherwise.says


def _open_lines(findings: list[Finding], limit: int, *, grouped: bool = True) -> list[str]:
    """What is open of each factor; grouped, a reason that several factors share stands once, with their names."""
    open_ones = [(_title(one), text, reason) for one in findings for text, reason in _open_texts(one)]
    sharing: dict[str, list[str]] = {}
    for title, _, reason in open_ones:
        if reason and title not in sharing.setdefault(reason, []):
            sharing[reason].append(title)
    lines = []
    for title, text, reason in open_ones:
        titles = sharing.get(reason or "", []) if grouped else []
        cut = f"{_shorten(reason or '', limit)}: {'; '.join(titles)}"
        lines.append(cut if len(titles) > 1 else f"{title}: {_shorten(text, limit)}")
    return [own(line) for line in dict.fromkeys(lines)]


def _open_texts(finding: Finding) -> list[tuple[str, str | None]]:
    """What is open of a factor, each with its reason; an unknown with a grade is told in that grade's words."""
    assessment, otherwise = finding.assessment, finding.card_rule.rule.otherwise.says
    graded = finding.grade is not None and assessment.outcome is UNKNOWN
    texts = [text for text in assessment.unknowns if not (graded and text == otherwise)]
    graded = graded and not (texts and _stands_alone(finding))
    shown = [(text, _reason_of(text, assessment)) for text in texts[:MOST_OPEN]]
    more = [(f"and {len(texts) - MOST_OPEN} more", None)] if len(texts) > MOST_OPEN else []
    return [*([(_finding_text(finding), None)] if graded else []), *shown, *more]


def _reason_of(text: str, assessment: Assessment) -> str | None:
    """The reason at the end of what is unknown."""
    reasons = (clause.reason for clause in assessment.clauses if clause.reason)
    return next((reason for reason in reasons if text.endswith(f" ({reason})")), None)


def _left_out(situation: Situation, limit: int, most: int) -> list[str]:
    """What did not come, could not be read, or has words alone."""
    aside = [own(_shorten(text, limit)) for text in situation.quarantined]
    words = [
        f"{own(_shorten(reference, VALUE_LIMIT))}: {inert(text, min(limit, WORDS_LIMIT))}"
        for reference, text in situation.unclassified
    ]
    lines = block("Not received, or not completely", bullets(_gap_lines(situation.gaps)))
    lines += block("Could not be read", bullets(_capped(aside, most)))
    return lines + block("Unclassified items (named in text only)", bullets(_capped(words, most)))


def _gap_lines(gaps: tuple[str, ...]) -> list[str]:
    """Lists that did not come, those with one cause together."""
    causes: dict[str, list[str]] = {}
    for gap in gaps:
        key, _, cause = gap.partition(": ")
        causes.setdefault(cause, []).append(key)
    return [own(f"{', '.join(keys)}: {cause}") for cause, keys in causes.items()]


def _capped(lines: list[str], most: int) -> list[str]:
    """The first few lines; that there are more is said."""
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most} more"]
