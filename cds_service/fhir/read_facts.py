"""Resources to facts: the one place where FHIR becomes the model that rules read.

The order in which resources arrive, pages, and keys that overlap never change the result: resources are taken once
by type and id, and facts are sorted by date and id. What cannot be understood is set aside, never left out.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from operator import itemgetter
from typing import TypeVar

import msgspec

from cds_service.decision.coding import CodeKey, code_key
from cds_service.decision.dates import AsOf, Span
from cds_service.decision.facts import (
    Allergy,
    Codes,
    Condition,
    DraftOrder,
    Gap,
    Listing,
    MedicationEvent,
    Observation,
    Patient,
    PatientFacts,
    Procedure,
    Quarantined,
    Record,
)
from cds_service.errors import OtherPatient, UnreadableFhir
from cds_service.fhir import resources as r4
from cds_service.fhir.clinical import (
    is_future,
    read_allergy,
    read_condition,
    read_observation,
    read_patient,
    read_procedure,
)
from cds_service.fhir.decode import Decoded, decode_resources, meta_of, quarantined, uuid_of
from cds_service.fhir.gate import Admitted, PatientGate
from cds_service.fhir.keys import NOT_OFFERED, KeyData
from cds_service.fhir.medications import read_dispense, read_order, read_request, read_statement
from cds_service.fhir.questionnaires import read_response
from cds_service.fhir.references import Directory
from cds_service.fhir.values import NotUnderstood

ORDERS = "context.draftOrders"
BUNDLE = "Bundle"

_MEDICATION_TYPES = ("MedicationRequest", "MedicationStatement", "MedicationDispense")
_OBSERVATION_TYPES = ("Observation", "QuestionnaireResponse")
# What a server need not offer when it has brought one of the others: the same facts come in another type. A response
# to a questionnaire repeats what servers have as observations; there is no such way round.
_INSTEAD = {one: frozenset(_MEDICATION_TYPES) - {one} for one in _MEDICATION_TYPES} | {
    "QuestionnaireResponse": frozenset({"Observation"})
}
_LONG_AGO = -(2**63)

R = TypeVar("R", bound=r4.Resource)
F = TypeVar("F")
Dated = TypeVar("Dated", Condition, MedicationEvent, Observation, Procedure, Allergy)


def facts_from_bundle(data: bytes, *, as_of: AsOf, observation_codes: frozenset[CodeKey]) -> PatientFacts:
    """The facts of one Bundle that holds one patient's whole chart.

    Raises UnreadableFhir when it is not FHIR JSON, reports a failure, or holds no Patient; OtherPatient when it holds
    two patients or another's data.
    """
    decoded = decode_resources(data)
    if decoded.failed:
        raise UnreadableFhir(BUNDLE, why="It reports an error instead of the data.")
    patient_id = _only_patient(decoded)
    gaps = (Gap("bundle", "further pages not read"),) if decoded.next_url else ()
    keys = {BUNDLE: KeyData.of("", decoded, gaps=gaps)}
    return read_facts(keys, patient_id=patient_id, draft_orders=None, as_of=as_of, observation_codes=observation_codes)


def _only_patient(decoded: Decoded) -> str:
    ids = {
        entry.resource.id or uuid_of(entry.full_url)
        for entry in decoded.entries
        if isinstance(entry.resource, r4.Patient)
    }
    ids |= {unread.quarantined.record.id for unread in decoded.unread if unread.quarantined.record.type == "Patient"}
    if len(ids) > 1:
        raise OtherPatient(BUNDLE, why="The Bundle holds two patients.")
    patient_id = next(iter(ids), None)
    if not patient_id:
        raise UnreadableFhir(BUNDLE, why="It holds no Patient with an id, so whose data it is cannot be told.")
    return patient_id


def read_facts(
    keys: Mapping[str, KeyData],
    *,
    patient_id: str,
    draft_orders: Decoded | None,
    as_of: AsOf,
    observation_codes: frozenset[CodeKey],
    base_url: str | None = None,
) -> PatientFacts:
    """The facts about the patient, from what came for each key and from the draft orders.

    `observation_codes`: the codes that the rules read; other observations are neither made facts nor counted, for a
    server asked by code does not send them. `base_url`: the server the data come from, where known, for absolute
    references. Raises OtherPatient.
    """
    drafts = {ORDERS: KeyData.of("", draft_orders)} if draft_orders is not None else {}
    gate = PatientGate(patient_id, [*keys.values(), *drafts.values()], base_url)
    chart, orders = gate.admit(keys), gate.admit(drafts)
    directory = Directory([*chart.addresses, *orders.addresses], base_url)
    reader = _Reader(chart, as_of, directory)
    draft_reader = _Reader(orders, as_of, directory)
    gaps = _missing(keys.values())
    return PatientFacts(
        patient=reader.patient(patient_id),
        conditions=Listing(*reader.conditions(), _gaps(gaps, "Condition")),
        medications=Listing(*reader.medications(), _gaps(gaps, *_MEDICATION_TYPES)),
        observations=Listing(*reader.observations(observation_codes), _gaps(gaps, *_OBSERVATION_TYPES)),
        allergies=Listing(*reader.allergies(), _gaps(gaps, "AllergyIntolerance")),
        procedures=Listing(*reader.procedures(), _gaps(gaps, "Procedure")),
        orders=draft_reader.orders(),
        quarantined=_sorted_aside([*reader.aside, *map(_of_draft, draft_reader.aside)]),
    )


def _missing(keys: Collection[KeyData]) -> list[tuple[str, Gap]]:
    """The gaps, each with the type that is missing, without those of types that the server need not offer."""
    read = {data.type for data in keys if data.source in ("given", "fetched")}
    return [
        (data.type, gap)
        for data in keys
        for gap in data.gaps
        if gap.cause != NOT_OFFERED or not _INSTEAD.get(data.type, frozenset()) & read
    ]


def _gaps(gaps: Iterable[tuple[str, Gap]], *types: str) -> tuple[Gap, ...]:
    """The gaps of the lists of some types; a whole Bundle's gaps concern every list."""
    found = {gap for kind, gap in gaps if kind in types or kind == ""}
    return tuple(sorted(found, key=lambda gap: (gap.key, gap.cause)))


def _of_draft(aside: Quarantined) -> Quarantined:
    return msgspec.structs.replace(aside, reason=f"draft order: {aside.reason}")


def _sorted_aside(aside: Iterable[Quarantined]) -> tuple[Quarantined, ...]:
    """Each once. Resources without an id are told apart by their codes: every one may matter to another rule."""
    unique = {(one.record.type, one.record.id, one.reason, _keys(one.codes)): one for one in aside}
    return tuple(unique[key] for key in sorted(unique))


def _keys(codes: Codes) -> tuple[CodeKey, ...]:
    return tuple([code.key for code in codes])


class _Reader:
    """Reads what passed the gate, each resource once, and keeps what it has to set aside.

    The readers of lists give the facts and how many resources came, before anything was set aside.
    """

    def __init__(self, admitted: Admitted, as_of: AsOf, directory: Directory) -> None:
        self._admitted = admitted
        self._as_of = as_of
        self._directory = directory
        self._undecoded = tuple(admitted.aside)
        self.aside: list[Quarantined] = admitted.aside

    def patient(self, patient_id: str) -> Patient:
        """The patient; one that cannot be read is known by id alone."""
        found = self._read(self._once(r4.Patient), partial(read_patient, as_of=self._as_of))
        return found[0] if found else Patient(Record("Patient", patient_id))

    def conditions(self) -> tuple[tuple[Condition, ...], int]:
        """Every condition that was not entered in error, refuted ones included."""
        resources = self._once(r4.Condition)
        facts = self._read(resources, partial(read_condition, as_of=self._as_of))
        return _sorted(facts, [fact.onset or fact.recorded for fact in facts]), self._received(resources, "Condition")

    def medications(self) -> tuple[tuple[MedicationEvent, ...], int]:
        """Requests, statements and dispenses in one list."""
        requests = self._once(r4.MedicationRequest)
        statements = self._once(r4.MedicationStatement)
        dispenses = self._once(r4.MedicationDispense)
        events = self._read(requests, partial(read_request, directory=self._directory))
        events += self._read(statements, partial(read_statement, directory=self._directory))
        events += self._read(dispenses, partial(read_dispense, directory=self._directory))
        facts = [one for one in events if one.status != "entered-in-error" and not is_future(one.start, self._as_of)]
        received = (
            self._received(requests, "MedicationRequest")
            + self._received(statements, "MedicationStatement")
            + self._received(dispenses, "MedicationDispense")
        )
        return _sorted(facts, [fact.start for fact in facts]), received

    def observations(self, wanted: frozenset[CodeKey]) -> tuple[tuple[Observation, ...], int]:
        """The results that rules read, answers to questionnaires among them."""
        resources = _wanted(self._once(r4.Observation), wanted)
        facts = self._read(resources, partial(read_observation, as_of=self._as_of))
        answers, responses = self._answers(wanted)
        facts += answers
        received = self._received(resources, "Observation", wanted) + responses
        return _sorted(facts, [fact.when for fact in facts]), received

    def _answers(self, wanted: frozenset[CodeKey]) -> tuple[list[Observation], int]:
        facts: list[Observation] = []
        ours: list[r4.QuestionnaireResponse] = []
        for response in self._once(r4.QuestionnaireResponse):
            answers = read_response(response, wanted, self._as_of)
            facts.extend(answers.facts)
            self.aside.extend(answers.aside)
            if answers.concerns_us:
                ours.append(response)
        return facts, self._received(ours, "QuestionnaireResponse", wanted)

    def procedures(self) -> tuple[tuple[Procedure, ...], int]:
        """Interventions that were not entered in error, whatever came of them."""
        resources = self._once(r4.Procedure)
        facts = self._read(resources, partial(read_procedure, as_of=self._as_of))
        return _sorted(facts, [fact.when for fact in facts]), self._received(resources, "Procedure")

    def allergies(self) -> tuple[tuple[Allergy, ...], int]:
        """Allergies and intolerances that were not entered in error."""
        resources = self._once(r4.AllergyIntolerance)
        facts = self._read(resources, partial(read_allergy, as_of=self._as_of))
        return _sorted(facts, [fact.recorded for fact in facts]), self._received(resources, "AllergyIntolerance")

    def orders(self) -> tuple[DraftOrder, ...]:
        """The orders, in the order of the request."""
        return tuple(self._read(self._once(r4.MedicationRequest), partial(read_order, directory=self._directory)))

    def _read(self, resources: Iterable[R], read: Callable[[R], F | None]) -> list[F]:
        facts: list[F] = []
        for resource in resources:
            try:
                fact = read(resource)
            except NotUnderstood as fault:
                self.aside.append(quarantined(resource, str(fault)))
            else:
                if fact is not None:
                    facts.append(fact)
        return facts

    def _once(self, kind: type[R]) -> list[R]:
        """Each resource once by id. Of copies that differ the latest version counts, whichever came first."""
        unique: dict[str, R] = {}
        nameless: list[R] = []
        for resource in self._admitted.of(kind):
            if not resource.id:
                nameless.append(resource)
            elif resource.id not in unique:
                unique[resource.id] = resource
            else:
                unique[resource.id] = max(unique[resource.id], resource, key=_version)
        return [*unique.values(), *nameless]

    def _received(self, resources: list[R], kind: str, wanted: frozenset[CodeKey] | None = None) -> int:
        """How many came: those at hand, and those that could not be decoded and may matter."""
        aside = [one for one in self._undecoded if one.record.type == kind and _may_matter(one, wanted)]
        if not aside:
            return len(resources)
        named = {one.record.id for one in aside if one.record.id} - {resource.id for resource in resources}
        return len(resources) + len(named) + sum(1 for one in aside if not one.record.id)


def _may_matter(aside: Quarantined, wanted: frozenset[CodeKey] | None) -> bool:
    return wanted is None or not aside.codes or any(code.key in wanted for code in aside.codes)


def _wanted(observations: Iterable[r4.Observation], wanted: frozenset[CodeKey]) -> list[r4.Observation]:
    """The observations which have a code that is wanted, themselves or in a component."""
    plain = _plain_codes(wanted)
    return [
        one
        for one in observations
        if _has_wanted(one.code, plain, wanted)
        or (one.component and any(_has_wanted(part.code, plain, wanted) for part in one.component))
    ]


def _has_wanted(concept: r4.Codings | None, plain: frozenset[str], wanted: frozenset[CodeKey]) -> bool:
    # By the code alone first: most observations are of no interest, and two lookups are dearer than one. The hottest
    # loop of all; a generator would take twice as long.
    if concept is not None:
        for coding in concept.coding:
            if coding.code in plain and code_key(coding.system, coding.code) in wanted:
                return True
    return False


@lru_cache(maxsize=16)
def _plain_codes(wanted: frozenset[CodeKey]) -> frozenset[str]:
    return frozenset(code for _, code in wanted)


def _version(resource: r4.Resource) -> tuple[str, str, bytes]:
    meta = meta_of(resource)
    return meta.last_updated or "", meta.version_id or "", msgspec.json.encode(resource)


def _sorted(facts: list[Dated], dates: list[Span | None]) -> tuple[Dated, ...]:
    """By date and id, those without a date first; those without an id by their content."""
    places = [
        (
            date.start if date is not None else _LONG_AGO,
            fact.record.type,
            fact.record.id,
            b"" if fact.record.id else msgspec.json.encode(fact, order="deterministic"),
            fact,
        )
        for fact, date in zip(facts, dates, strict=True)
    ]
    places.sort(key=itemgetter(0, 1, 2, 3))
    return tuple([place[4] for place in places])
