"""The straight line of a request: parsed, completed, read, assessed, written as cards, recorded, answered.

Everything that could differ between two runs is handed in: the rulebook, the clock's instant, the ids, the fetches. A
failure is raised as a CdsError and never becomes an empty list of cards, since to a clinician silence means "no
concern".
"""

import contextlib
import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from msgspec import Raw

from cds_service.decision.assess import Assessment, CompiledRule, assess, encode_assessments
from cds_service.decision.chart import Chart
from cds_service.decision.codes import Codes
from cds_service.decision.coding import SYSTEMS, CodeKey
from cds_service.decision.dates import AsOf, Span
from cds_service.decision.facts import Codes as CodeList
from cds_service.decision.facts import PatientFacts, Record, encode_facts
from cds_service.decision.needs import observation_codes, prefetch_templates
from cds_service.decision.orders import (
    KetamineOrder,
    current_treatment,
    ketamine_orders,
    quarantined_orders,
    unread_orders,
)
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.decision.rule import Jurisdiction
from cds_service.errors import RequiredDataMissing
from cds_service.fhir.client import BearerToken, FetchLimits, FhirClient
from cds_service.fhir.prefetch import Completed, complete
from cds_service.fhir.read_facts import read_facts
from cds_service.hooks.cards import (
    CANDIDACY,
    SAFETY,
    CardRule,
    Draft,
    Situation,
    SourceLine,
    audience_card,
    cards_for,
    gap_only,
)
from cds_service.hooks.discovery import Service
from cds_service.hooks.messages import Card, CardsResponse, HookRequest, OverrideReason, encode_response
from cds_service.journal.port import DecisionEntry, Journal
from cds_service.journal.port import RuleVersion as JournalledRule
from cds_service.rulebook.load import Rulebook, RuleVersion
from cds_service.rulebook.registers import ServiceEntry
from cds_service.trust.clients import Client, fhir_server_allowed


@dataclass(frozen=True)
class Desk:
    """One CDS service ready to answer: what it publishes, what it runs and the words of its cards."""

    entry: ServiceEntry
    service: Service
    rules: list[CompiledRule]
    card_rules: Mapping[str, CardRule]
    codes: frozenset[CodeKey]
    ketamine: Codes
    routes: Codes
    index_url: str
    evidence_url: str


@dataclass(frozen=True)
class Decision:
    """What was decided for one request: every rule's assessment, and the cards the EHR is shown."""

    assessments: tuple[Assessment, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Asked:
    """Who asks, for which hook, and from when: the part of a request that a decision depends on besides the facts."""

    hook_instance: str
    user_id: str
    jurisdiction: Jurisdiction
    as_of: AsOf
    selections: tuple[str, ...] = ()
    dose_arithmetic: bool = False


def desks(rulebook: Rulebook, *, base_url: str, serve_draft: bool) -> dict[str, Desk]:
    """Every service of the rulebook, ready to answer. `base_url` is where the rules' pages are found."""
    return {name: _desk(rulebook, entry, base_url, serve_draft) for name, entry in rulebook.services.items()}


def _desk(rulebook: Rulebook, entry: ServiceEntry, base_url: str, serve_draft: bool) -> Desk:
    versions = rulebook.in_force(entry.id, serve_draft=serve_draft)
    rules = [version.rule for version in versions]
    sets = {name: value_set for version in versions for name, value_set in version.sets.items()}
    return Desk(
        entry=entry,
        service=Service(
            id=entry.id,
            hook=entry.hook,
            title=entry.title,
            description=entry.description.strip(),
            usage_requirements=entry.usage_requirements.strip(),
            prefetch=prefetch_templates(rules, sets),
            rules=tuple(entry.rules),
        ),
        rules=[version.compiled for version in versions],
        card_rules={version.rule.rule: _card_rule(version, rulebook, base_url) for version in versions},
        codes=observation_codes(rules, sets),
        ketamine=rulebook.triggers["esketamine-ketamine"].codes,
        routes=rulebook.triggers["route-codes"].codes,
        index_url=f"{base_url}/rules",
        evidence_url=f"{base_url}/evidence",
    )


def _card_rule(version: RuleVersion, rulebook: Rulebook, base_url: str) -> CardRule:
    rule = version.rule
    cards = [grade.card for grade in rule.grades if grade.card]
    return CardRule(
        rule=rule,
        digest=version.compiled.digest,
        page_url=f"{base_url}/rules/{rule.rule}/{rule.version}",
        status=version.release.status,
        sources={one.source: _source_line(rulebook, one.source) for one in rule.citations},
        overrides={
            code: OverrideReason(**rulebook.overrides[code].coding) for card in cards for code in card.overrides
        },
        suggestions={name: _draft(rulebook, name) for card in cards for name in card.suggest},
    )


def _source_line(rulebook: Rulebook, name: str) -> SourceLine:
    source = rulebook.sources[name]
    return SourceLine(source.label, source.url, source.date_shown)


def _draft(rulebook: Rulebook, name: str) -> Draft:
    suggestion = rulebook.suggestions[name]
    return Draft(suggestion.label, suggestion.description, suggestion.resource)


def decide(desk: Desk, facts: PatientFacts, asked: Asked) -> Decision:
    """Every rule assessed on the facts, and the cards that the service shows of it."""
    orders = our_orders(desk, facts, asked)
    assessments = assess(desk.rules, Chart(facts, asked.as_of), asked.jurisdiction)
    situation = _situation(desk, facts, asked, orders, assessments)
    return Decision(assessments, _cards(desk, facts, asked, situation, assessments))


def our_orders(desk: Desk, facts: PatientFacts, asked: Asked) -> tuple[KetamineOrder, ...]:
    """The selected draft orders of ketamine or esketamine."""
    orders = ketamine_orders(facts, desk.ketamine, desk.routes)
    chosen = selected([order.id for order in orders], asked.selections, facts)
    return tuple(order for order in orders if order.id in chosen)


def may_be_ours(facts: PatientFacts, asked: Asked) -> bool:
    """Whether the drug of a selected draft order could not be read."""
    return bool(selected([record.id for record in unread_orders(facts)], asked.selections, facts))


def selected(orders: Iterable[str], selections: tuple[str, ...], facts: PatientFacts) -> frozenset[str]:
    """Which of these orders the prescriber selected; a selection that matches no draft order at all is no selection."""
    drafts = {order.record.id for order in facts.orders} | {one.record.id for one in quarantined_orders(facts)}
    chosen = {selection.rpartition("/")[2] for selection in selections} & drafts
    return frozenset(orders) & chosen if chosen else frozenset(orders)


def _cards(
    desk: Desk, facts: PatientFacts, asked: Asked, situation: Situation, assessments: tuple[Assessment, ...]
) -> tuple[Card, ...]:
    if facts.patient.deceased:
        return ()
    if desk.entry.shows == "orders":
        if situation.orders:
            return cards_for(assessments, desk.card_rules, situation)
        return gap_only(assessments, desk.card_rules, situation) if may_be_ours(facts, asked) else ()
    reason = reason_to_speak(desk, facts, assessments)
    if asked.user_id.startswith(("Patient/", "RelatedPerson/")):
        return (audience_card(situation),) if reason else ()
    if reason == "incomplete":
        return gap_only(assessments, desk.card_rules, situation)
    return cards_for(assessments, desk.card_rules, situation) if reason else ()


def reason_to_speak(desk: Desk, facts: PatientFacts, assessments: tuple[Assessment, ...]) -> str | None:
    """Why a patient view shows cards; None is silence. `incomplete`: depression is current and a list has gaps."""
    by_rule = {one.rule: one for one in assessments}
    if by_rule[CANDIDACY].outcome is MET:
        return "candidacy"
    if by_rule[SAFETY].outcome is MET:
        return "safety"
    if current_treatment(facts, desk.ketamine):
        return "treatment"
    depressed = _current_depression(by_rule[CANDIDACY]) is MET
    return "incomplete" if depressed and _incomplete(facts) else None


def _current_depression(candidacy: Assessment) -> Outcome:
    """What the candidacy rule found of a current major depression."""
    return next(clause.outcome for clause in candidacy.clauses if clause.id == "current-major-depression")


def _incomplete(facts: PatientFacts) -> bool:
    return bool(facts.quarantined or facts.conditions.gaps or facts.medications.gaps or not facts.medications.received)


def _situation(
    desk: Desk,
    facts: PatientFacts,
    asked: Asked,
    orders: tuple[KetamineOrder, ...],
    assessments: tuple[Assessment, ...],
) -> Situation:
    return Situation(
        service=desk.entry.id,
        hook=desk.entry.hook,
        shows=desk.entry.shows,
        hook_instance=asked.hook_instance,
        patient_id=facts.patient.record.id,
        jurisdiction=asked.jurisdiction,
        as_of=asked.as_of.text,
        data_read=data_read(facts, asked.as_of),
        index_url=desk.index_url,
        evidence_url=desk.evidence_url,
        dose_arithmetic=asked.dose_arithmetic,
        orders=orders,
        in_labelled_population=_labelled(assessments),
        gaps=_gaps(facts),
        unclassified=_unclassified(facts),
        quarantined=_not_read(facts),
    )


def _labelled(assessments: tuple[Assessment, ...]) -> Outcome:
    """Whether the labelled population of esketamine may hold the patient, as far as the rules that ask for it tell."""
    outcomes = {one.rule: one.outcome for one in assessments}
    outside = MET in (outcomes.get("age"), outcomes.get("bipolar"))
    return NOT_MET if outside else outcomes.get("depression-diagnosis", UNKNOWN)


def _not_read(facts: PatientFacts) -> tuple[str, ...]:
    """What was set aside, and the orders whose medication could not be read."""
    aside = [(one.record, one.reason) for one in facts.quarantined]
    aside += [(order.record, "its medication could not be read") for order in facts.orders if order.unread]
    return tuple(f"{record.reference if record.id else 'a resource'}: {reason}" for record, reason in aside)


def _gaps(facts: PatientFacts) -> tuple[str, ...]:
    """Every list that did not come whole, also where a rule could decide without the rest: it would change with it."""
    lists = (facts.conditions, facts.medications, facts.observations, facts.allergies, facts.procedures)
    gaps = (f"{gap.key}: {gap.cause}" for listing in lists for gap in listing.gaps)
    return tuple(dict.fromkeys(gaps))


def _unclassified(facts: PatientFacts) -> tuple[tuple[str, str], ...]:
    """Conditions and medications with words but without a code of a system we know."""
    known = set(SYSTEMS.values())
    items: list[tuple[Record, str | None, CodeList]] = [
        *((one.record, one.text, one.codes) for one in facts.conditions.items),
        *((one.record, one.text, one.codes) for one in facts.medications.items),
        *((one.record, one.text, one.substances) for one in facts.allergies.items),
    ]
    return tuple(
        (record.reference, text)
        for record, text, codes in items
        if text and not any(coding.system in known for coding in codes)
    )


def data_read(facts: PatientFacts, as_of: AsOf) -> str:
    """One sentence on what was read and how new it is."""
    lists: tuple[tuple[str, int, list[Span | None]], ...] = (
        ("conditions", facts.conditions.received, [one.when for one in facts.conditions.items]),
        ("medications", facts.medications.received, [one.start for one in facts.medications.items]),
        ("allergies", facts.allergies.received, [one.recorded for one in facts.allergies.items]),
        ("procedures", facts.procedures.received, [one.when for one in facts.procedures.items]),
        ("observations", len(facts.observations.items), [one.when for one in facts.observations.items]),
    )
    parts = []
    for name, count, dates in lists:
        newest = max((date for date in dates if date), key=lambda date: (date.end, date.text), default=None)
        parts.append(f"{name} {count}" + (f" (newest {newest.date})" if newest else ""))
    return f"Data read: {', '.join(parts)}; as of {as_of.text}."


MEDICATION_KEYS = ("medicationRequests", "medicationStatements", "medicationDispenses")
Opener = Callable[[HookRequest], FhirClient | None]
"""The client for a request's FHIR server; None when there is none that may be called."""


@dataclass(frozen=True)
class Advisor:
    """Answers requests: everything that could differ between two runs is a field or an argument."""

    desks: Mapping[str, Desk]
    client: Client
    journal: Journal
    open_server: Opener
    now: Callable[[], dt.datetime]
    new_id: Callable[[], str]

    async def __call__(self, request: HookRequest, service_id: str, as_of: dt.datetime) -> bytes:
        """The bytes of the CDS Hooks response. Raises a CdsError; never answers a failure with silence."""
        desk = self.desks[service_id]
        asked = Asked(
            hook_instance=request.hook_instance,
            user_id=request.user_id,
            jurisdiction=self.client.jurisdiction,
            as_of=AsOf.of(as_of),
            selections=request.selections,
            dose_arithmetic=self.client.dose_arithmetic,
        )
        facts = await self._facts(desk, request, asked)
        decision = decide(desk, facts, asked)
        reply = encode_response(CardsResponse(decision.cards))
        await self.journal.record(self._entry(desk, request, as_of, facts, decision, reply))
        return reply

    async def _facts(self, desk: Desk, request: HookRequest, asked: Asked) -> PatientFacts:
        """The patient's facts. For orders that do not concern us the chart is not fetched, and of what was given only
        that it is this patient's is checked."""
        server = self.open_server(request)
        async with server or contextlib.nullcontext():
            if desk.entry.shows == "orders":
                orders = await self._read(desk, request, asked, server, {}, {})
                if not our_orders(desk, orders, asked) and not may_be_ours(orders, asked):
                    await self._read(desk, request, asked, None, request.prefetch, {})
                    return orders
            return await self._read(desk, request, asked, server, request.prefetch, desk.service.prefetch)

    async def _read(
        self,
        desk: Desk,
        request: HookRequest,
        asked: Asked,
        server: FhirClient | None,
        given: Mapping[str, Raw | None],
        templates: Mapping[str, str],
    ) -> PatientFacts:
        """The facts of what was given and of what `templates` ask for beyond it; always with the draft orders."""
        required = frozenset(desk.entry.required) & templates.keys()
        completed = await complete(
            given,
            templates,
            {"patientId": request.patient_id},
            server,
            required,
            draft_orders=request.draft_orders,
            base_url=request.fhir_server,
        )
        if templates and "medications" in desk.entry.required:
            _require_one_kind_of_medication(completed)
        return read_facts(
            completed.keys,
            patient_id=request.patient_id,
            draft_orders=completed.orders,
            as_of=asked.as_of,
            observation_codes=desk.codes,
            base_url=request.fhir_server,
        )

    def _entry(
        self,
        desk: Desk,
        request: HookRequest,
        as_of: dt.datetime,
        facts: PatientFacts,
        decision: Decision,
        reply: bytes,
    ) -> DecisionEntry:
        labels = {label for one in decision.assessments for label in one.labels}
        return DecisionEntry(
            decision_id=self.new_id(),
            recorded=self.now(),
            as_of=as_of,
            client=self.client.id,
            tenant=self.client.tenant,
            service=desk.entry.id,
            hook=request.hook,
            hook_instance=request.hook_instance,
            rules=tuple(JournalledRule(one.rule, one.version, one.digest) for one in decision.assessments),
            facts=encode_facts(facts),
            assessment=encode_assessments(decision.assessments),
            cards_digest=hashlib.sha256(reply).hexdigest(),
            labels=tuple(sorted(labels)),
        )


def _require_one_kind_of_medication(completed: Completed) -> None:
    """One kind of medication is enough, since servers differ in which they offer; without any there is no answer."""
    missing = [
        (key, completed.keys[key].cause or "not sent")
        for key in MEDICATION_KEYS
        if completed.keys[key].source == "unobtainable"
    ]
    if len(missing) == len(MEDICATION_KEYS):
        raise RequiredDataMissing(missing)


def server_opener(client: Client, limits: FetchLimits) -> Opener:
    """Opens a request's FHIR server when it is one of the client's; any other is never called."""

    def open_server(request: HookRequest) -> FhirClient | None:
        if request.fhir_server is None or not fhir_server_allowed(request.fhir_server, client.fhir_servers):
            return None
        token = BearerToken(request.authorization.token) if request.authorization else None
        return FhirClient(request.fhir_server, token, limits)

    return open_server
