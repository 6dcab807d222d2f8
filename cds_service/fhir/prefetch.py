"""The prefetch completed: what was given is used, what is missing is fetched, what cannot be had is said.

Implements the decision table of CDS Hooks 2.0.1 prefetch as the conformance reference lays it down (section 4). A key
that failed is never an empty one. Keys are fetched in parallel; the fetcher keeps deadlines and limits.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from cds_service.decision.facts import Gap
from cds_service.errors import RequiredDataMissing, UnreadableFhir
from cds_service.fhir import resources as r4
from cds_service.fhir.decode import Decoded, Unread, decode_resources
from cds_service.fhir.gate import PatientGate
from cds_service.fhir.keys import NOT_OFFERED, Failure, KeyData, Source
from cds_service.fhir.references import FHIR_ID, Directory, Target, base_key, split_reference

ORDERS = "context.draftOrders"
MEDICATIONS = "medications"
PARTIAL = "further pages not read"

Given = bytes | msgspec.Raw | None

_TOKEN = re.compile(r"\{\{context\.([A-Za-z]+)\}\}")
# A body of this length is looked at for being null; a long one is not copied to find out.
_SHORT = 64
_USES = frozenset({r4.MedicationRequest, r4.MedicationStatement, r4.MedicationDispense})


class Fetcher(Protocol):
    """Reads from the FHIR server of the request. Keeps its own limits, and never raises for what the server does."""

    async def get(self, key: str, url: str) -> bytes | Failure:
        """The body at `url`: relative to the server's base, or the absolute address of a further page."""
        ...


class Completed(msgspec.Struct, frozen=True):
    """Every key, ours and ignored ones, and the draft orders if the hook brings any."""

    keys: dict[str, KeyData]
    orders: Decoded | None = None


async def complete(
    given: Mapping[str, Given],
    templates: Mapping[str, str],
    context: Mapping[str, str],
    fetcher: Fetcher | None,
    required: frozenset[str],
    *,
    draft_orders: bytes | msgspec.Raw | None = None,
    base_url: str | None = None,
) -> Completed:
    """The data of every key in `templates`, from `given` (None: the client sent null) or from `fetcher`.

    `context` holds the values for `{{context.name}}`, `patientId` among them. No call leaves, and no data are called
    missing, before what was given has passed the patient gate; `read_facts` runs it over everything. Raises
    OtherPatient, UnreadableFhir for draft orders or a token that is no id, and RequiredDataMissing when a key of
    `required` is neither given nor obtainable.
    """
    orders = _orders(draft_orders)
    first = {key: _given(key, resource_type(templates[key]), given) for key in templates}
    ignored = {key: _ignored(value) for key, value in given.items() if key not in templates and value is not None}
    keys = {key: _at_hand(key, resource_type(templates[key]), one) for key, one in first.items() if _is_whole(one)}
    open_keys = [key for key in templates if key not in keys]
    if open_keys:
        _gate(context["patientId"], templates, first, ignored, orders, base_url)
    done = await asyncio.gather(*[_completed(key, templates[key], context, first[key], fetcher) for key in open_keys])
    found = keys | dict(zip(open_keys, done, strict=True))
    keys = _offered({key: found[key] for key in templates})
    _require(keys, required)
    medications = _missing(keys.values(), orders, base_url)
    if medications and fetcher is not None:
        if not open_keys:
            _gate(context["patientId"], templates, first, ignored, orders, base_url)
        keys[MEDICATIONS] = await _medications(medications, fetcher)
    return Completed(keys | ignored, orders)


def expand(template: str, context: Mapping[str, str]) -> str | None:
    """A template with its tokens replaced, as a relative URL; None when the context lacks one.

    Raises UnreadableFhir when a value is neither an id nor `Type/id`: it would change the query.
    """
    names = set(_TOKEN.findall(template))
    if not names <= context.keys():
        return None
    for name in names:
        if not FHIR_ID.match(context[name]) and split_reference(context[name]) is None:
            raise UnreadableFhir("context", why="A value that the prefetch templates use is not a FHIR id.")
    return _TOKEN.sub(lambda found: quote(context[found.group(1)], safe=""), template)


@lru_cache(maxsize=256)
def resource_type(template: str) -> str:
    """The resource type that a template asks for."""
    return re.split(r"[/?]", template, maxsplit=1)[0]


# ------------------------------------------------------------ what was given


class _First(msgspec.Struct, frozen=True):
    """What was given for a key: its data, or why there are none and whether another try is worth it."""

    decoded: Decoded | None = None
    cause: str | None = None
    again: bool = True


def _given(key: str, kind: str, given: Mapping[str, Given]) -> _First:
    if key not in given:
        return _First(cause="not sent")
    value = given[key]
    body = b"null" if value is None else bytes(value)
    if len(body) < _SHORT and body.strip() == b"null":
        # The client looked and found nothing. That is an answer to a search, but not to the read of a patient.
        return _First(cause="not sent") if kind == "Patient" else _First(Decoded(is_bundle=True))
    try:
        return _judged(decode_resources(body), kind)
    except UnreadableFhir:
        return _First(cause="unreadable")


def _judged(decoded: Decoded, kind: str) -> _First:
    if decoded.failed:
        # The client tried and failed: its answer stands, unless it says itself that the failure may pass.
        return _First(decoded, "client error", again=decoded.passing)
    if not decoded.is_bundle and not _is_of(decoded, kind):
        return _First(cause="unreadable")
    if kind == "Patient" and not _is_of(decoded, kind):
        return _First(cause="not sent")
    return _First(decoded)


def _is_of(decoded: Decoded, kind: str) -> bool:
    read = any(type(resource).__name__ == kind for resource in decoded.resources())
    return read or any(unread.quarantined.record.type == kind for unread in decoded.unread)


def _ignored(value: bytes | msgspec.Raw) -> KeyData:
    """A key that is not ours: no fact is read from it, but it must not be another patient's."""
    try:
        return KeyData.of("", decode_resources(value), source="ignored")
    except UnreadableFhir:
        return KeyData("", source="ignored")


def _orders(draft_orders: bytes | msgspec.Raw | None) -> Decoded | None:
    if draft_orders is None:
        return None
    try:
        decoded = decode_resources(draft_orders)
    except UnreadableFhir as fault:
        raise UnreadableFhir(ORDERS, why=fault.why) from None
    if decoded.failed:
        raise UnreadableFhir(ORDERS, why="It reports an error instead of the orders.")
    return decoded


def _gate(
    patient_id: str,
    templates: Mapping[str, str],
    first: Mapping[str, _First],
    ignored: Mapping[str, KeyData],
    orders: Decoded | None,
    base_url: str | None,
) -> None:
    sections = {
        key: KeyData.of(resource_type(templates[key]), one.decoded) for key, one in first.items() if one.decoded
    }
    sections |= ignored
    if orders is not None:
        sections[ORDERS] = KeyData.of("", orders)
    PatientGate(patient_id, sections.values(), base_url).admit(sections)


# ------------------------------------------------------------ what is fetched


def _is_whole(first: _First) -> bool:
    """Whether what was given needs no server: it came, without failure and without a further page."""
    return first.decoded is not None and first.cause is None and first.decoded.next_url is None


def _at_hand(key: str, kind: str, first: _First) -> KeyData:
    assert first.decoded is not None, "a whole answer has been decoded"
    return KeyData(kind, first.decoded.entries, first.decoded.unread, "given", None, _short(key, kind, [first.decoded]))


async def _completed(
    key: str, template: str, context: Mapping[str, str], first: _First, fetcher: Fetcher | None
) -> KeyData:
    kind, query = resource_type(template), expand(template, context)
    if first.decoded is not None and first.cause is None:
        return await _paged(key, kind, first.decoded, fetcher, "given")
    if fetcher is None or query is None or not first.again:
        return _unobtainable(key, kind, first)
    body = await fetcher.get(key, query)
    if isinstance(body, Failure):
        # Where the client has reported its own failure, that is the cause; ours only repeated it.
        return _unobtainable(key, kind, first if first.decoded else _First(cause=_cause(body, query)))
    try:
        fetched = _judged(decode_resources(body), kind)
    except UnreadableFhir:
        fetched = _First(cause="unreadable")
    if fetched.decoded is None or fetched.cause is not None:
        return _unobtainable(key, kind, fetched)
    return await _paged(key, kind, fetched.decoded, fetcher, "fetched")


def _cause(failure: Failure, query: str) -> str:
    """Why a read failed. A search that is not found is one of a type the server does not know: see `_offered`."""
    return NOT_OFFERED if failure.kind == "not found" and "?" in query else failure.cause


def _offered(keys: Mapping[str, KeyData]) -> dict[str, KeyData]:
    """Only a server that answers other reads, and this type under no other key, can be said not to offer the type."""
    answered = {data.type for data in keys.values() if data.source == "fetched"}
    return {
        key: _unreached(key, data) if data.cause == NOT_OFFERED and (not answered or data.type in answered) else data
        for key, data in keys.items()
    }


def _unreached(key: str, data: KeyData) -> KeyData:
    return msgspec.structs.replace(data, cause="unreachable", gaps=(Gap(key, "unreachable"),))


def _unobtainable(key: str, kind: str, first: _First) -> KeyData:
    """A key that could not be had; what a failed list does hold is kept, beside the gap."""
    cause = first.cause or "not sent"
    decoded = first.decoded or Decoded()
    return KeyData(kind, decoded.entries, decoded.unread, "unobtainable", cause, (Gap(key, cause),))


async def _paged(key: str, kind: str, first: Decoded, fetcher: Fetcher | None, source: Source) -> KeyData:
    """The first page and those that follow; what cannot be followed leaves a gap."""
    pages = [first]
    seen: set[str] = set()
    whole = True
    while (url := pages[-1].next_url) is not None:
        page = await _next_page(key, url, fetcher) if url not in seen else None
        if page is None:
            whole = False
            break
        seen.add(url)
        pages.append(page)
    entries, unread = _joined(pages)
    gaps = _short(key, kind, pages) if whole else (Gap(key, PARTIAL),)
    return KeyData(kind, entries, unread, source, None, gaps)


def _short(key: str, kind: str, pages: list[Decoded]) -> tuple[Gap, ...]:
    """A gap when the pages hold less than the total that the first of them states."""
    total = pages[0].total
    return (Gap(key, PARTIAL),) if total and total > _matches(kind, pages) else ()


async def _next_page(key: str, url: str, fetcher: Fetcher | None) -> Decoded | None:
    body = await fetcher.get(key, url) if fetcher is not None else Failure("refused")
    if isinstance(body, Failure):
        return None
    try:
        page = decode_resources(body)
    except UnreadableFhir:
        return None
    return page if page.is_bundle and not page.failed else None


def _joined(pages: Iterable[Decoded]) -> tuple[tuple[r4.BundleEntry, ...], tuple[Unread, ...]]:
    entries: list[r4.BundleEntry] = []
    unread: list[Unread] = []
    for page in pages:
        unread.extend(msgspec.structs.replace(one, index=one.index + len(entries)) for one in page.unread)
        entries.extend(page.entries)
    return tuple(entries), tuple(unread)


def _matches(kind: str, pages: Iterable[Decoded]) -> int:
    """How many of the resources asked for came; included ones and outcomes do not count to a total."""
    read = 0
    for page in pages:
        of_kind = [one.search for one in page.entries if type(one.resource).__name__ == kind]
        read += sum(1 for search in of_kind if search is None or search.mode != "include")
        read += sum(1 for one in page.unread if one.quarantined.record.type in (kind, ""))
    return read


def _require(keys: Mapping[str, KeyData], required: frozenset[str]) -> None:
    missing = [
        (key, data.cause or "not sent")
        for key, data in keys.items()
        if key in required and data.source == "unobtainable"
    ]
    if missing:
        raise RequiredDataMissing(missing)


# ------------------------------------------------------------ medications referred to


async def _medications(ids: Iterable[str], fetcher: Fetcher) -> KeyData:
    """The Medications of these ids. One that cannot be read leaves its use without codes, which rules see; it is no
    gap of a list."""
    bodies = await asyncio.gather(*[fetcher.get(MEDICATIONS, f"Medication/{id_}") for id_ in ids])
    decoded = [page for page in map(_medication, bodies) if page is not None]
    found, unread = _joined(decoded)
    return KeyData("Medication", found, unread, "fetched")


def _missing(keys: Iterable[KeyData], orders: Decoded | None, base_url: str | None) -> list[str]:
    """The ids of the Medications that uses refer to and that are not at hand, each once."""
    entries = [entry for data in keys for entry in data.entries]
    entries.extend(orders.entries if orders is not None else ())
    uses: list[Any] = [one for entry in entries if type(one := entry.resource) in _USES]
    referring = [(use, use.medication_reference) for use in uses if use.medication_reference is not None]
    if not referring:
        return []
    directory = Directory(_medications_at_hand(entries), base_url)
    ids: dict[str, None] = {}
    for use, reference in referring:
        if use.medication_codeable_concept and use.medication_codeable_concept.coding:
            continue
        if directory.find(r4.Medication, reference.reference, use) is None:
            literal = split_reference(reference.reference or "")
            if literal and literal[1] == "Medication" and _is_ours(literal[0], base_url):
                ids[literal[2]] = None
    return list(ids)


def _medications_at_hand(entries: Iterable[r4.BundleEntry]) -> list[tuple[str | None, Target]]:
    return [(entry.full_url, entry.resource) for entry in entries if isinstance(entry.resource, r4.Medication)]


def _is_ours(base: str, base_url: str | None) -> bool:
    return not base or (base_url is not None and base_key(base) == base_key(base_url))


def _medication(body: bytes | Failure) -> Decoded | None:
    if isinstance(body, Failure):
        return None
    try:
        decoded = decode_resources(body)
    except UnreadableFhir:
        return None
    return decoded if not decoded.failed and _is_of(decoded, "Medication") else None
