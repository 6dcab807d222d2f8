"""A sandbox EHR's FHIR endpoint: read-only R4 over a folder of Bundles, as strict as a real server is at its best.

It exists for demonstrations and tests. An unknown parameter is refused, because a server that ignores one hides a
fault of the caller. Numbers keep the digits they were written with.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Request, Response

from cds_service.errors import Issue, SettingsRefused, operation_outcome

Resource = dict[str, Any]
PREFIX = "/sandbox/fhir"
MEDIA_TYPE = "application/fhir+json"
PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_DIRECT = ("_id", "_count", "_sort", "_page")
# Where a token parameter looks, by resource type; "*" for every type.
_TOKENS: Mapping[str, Mapping[str, str]] = {
    "*": {"code": "code", "category": "category", "status": "status"},
    "Condition": {
        "code": "code",
        "category": "category",
        "clinical-status": "clinicalStatus",
        "verification-status": "verificationStatus",
    },
    "AllergyIntolerance": {"code": "code", "clinical-status": "clinicalStatus"},
    "MedicationRequest": {"code": "medicationCodeableConcept", "status": "status", "intent": "intent"},
    "MedicationStatement": {"code": "medicationCodeableConcept", "category": "category", "status": "status"},
    "MedicationDispense": {"code": "medicationCodeableConcept", "status": "status"},
    "Patient": {},
}
# The sort parameters, with the elements in which a date is looked for.
_SORTS: Mapping[str, tuple[str, ...]] = {
    "_id": ("id",),
    "date": ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "date"),
    "recorded-date": ("recordedDate",),
    "authoredon": ("authoredOn",),
    "effective": ("effectiveDateTime", "effectivePeriod"),
    "whenhandedover": ("whenHandedOver",),
}


class SearchRefused(Exception):
    """The sandbox's own refusal: a status, a FHIR issue code and a sentence that repeats no value."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


@dataclass(slots=True)
class Store:
    """The resources by type and id, and by the patient they belong to. `notes` tell what was left out or renamed."""

    by_type: dict[str, dict[str, Resource]] = field(default_factory=dict)
    by_patient: dict[tuple[str, str], list[Resource]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def find(self, kind: str, patient: str | None) -> Iterable[Resource]:
        """The resources of a type, of one patient or of all, in the order they were loaded."""
        if patient is None:
            return self.by_type.get(kind, {}).values()
        return self.by_patient.get((kind, patient), ())

    def add(self, resource: Resource) -> None:
        kind, own_id = resource["resourceType"], resource["id"]
        if self.by_type.setdefault(kind, {}).setdefault(own_id, resource) is resource:
            patient = own_id if kind == "Patient" else _patient_of(resource)
            if patient:
                self.by_patient.setdefault((kind, patient), []).append(resource)


# --- Loading ----------------------------------------------------------------------------------------------------------


def load_store(folder: Path) -> Store:
    """The Bundles under `folder` (any type, `*.json`, other JSON files ignored). SettingsRefused if one is unreadable.

    References to another entry (urn:uuid or its fullUrl) become `Type/id`. An id that another bundle already uses for
    different content gets a prefix made from the file's name, and the store's notes say so.
    """
    if not folder.is_dir():
        raise SettingsRefused("the folder of fixtures does not exist.", setting="CDS_FIXTURES_DIR")
    store = Store()
    for path in sorted(folder.rglob("*.json")):
        content = _read_json(path)
        if isinstance(content, dict) and content.get("resourceType") == "Bundle":
            _add_bundle(store, content, path.relative_to(folder).as_posix())
    return store


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes(), parse_float=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsRefused(f"{path.name} cannot be read as JSON.", setting="CDS_FIXTURES_DIR") from error


def _add_bundle(store: Store, bundle: Resource, name: str) -> None:
    prefix = hashlib.sha256(name.encode()).hexdigest()[:8]
    moved: dict[str, str] = {}
    placed: list[Resource] = []
    for number, entry in enumerate(bundle.get("entry", ())):
        resource = entry.get("resource")
        if not isinstance(resource, dict) or resource.get("resourceType") in (None, "OperationOutcome"):
            store.notes.append(f"{name}: entry {number} holds no resource and was left out")
            continue
        kind, old_id, full_url = resource["resourceType"], resource.get("id"), entry.get("fullUrl")
        own_id = old_id or _id_from(full_url or "", f"{prefix}-{number}")
        if _taken(store, placed, {**resource, "id": own_id}):
            own_id = f"{prefix}-{number}-{own_id}"[:64]
            store.notes.append(f"{name}: {kind}/{old_id} clashes and is {kind}/{own_id} here")
        for old in (full_url, f"{kind}/{old_id}"):
            moved.setdefault(old, f"{kind}/{own_id}")
        placed.append({**resource, "id": own_id})
    for resource in placed:
        store.add(cast("Resource", _rewritten(resource, moved)))


def _taken(store: Store, placed: list[Resource], resource: Resource) -> bool:
    """Whether another bundle, or this one, already has other content under this type and id."""
    kind, own_id = resource["resourceType"], resource["id"]
    here = [other for other in placed if other["resourceType"] == kind and other["id"] == own_id]
    elsewhere = store.by_type.get(kind, {}).get(own_id)
    return any(other != resource for other in (*here, *([elsewhere] if elsewhere else [])))


def _id_from(full_url: str, otherwise: str) -> str:
    last = re.split(r"[:/]", full_url)[-1]
    return last if _ID.fullmatch(last) else otherwise


def _rewritten(value: object, moved: Mapping[str, str]) -> object:
    """`value` with each reference to a moved entry rewritten; a version suffix of the reference is dropped."""
    if isinstance(value, list):
        return [_rewritten(item, moved) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {name: _rewritten(member, moved) for name, member in value.items()}
    reference = copy.get("reference")
    if isinstance(reference, str):
        copy["reference"] = moved.get(reference.partition("/_history/")[0], reference)
    return copy


def _patient_of(resource: Resource) -> str | None:
    subject = resource.get("subject") or resource.get("patient") or resource.get("beneficiary") or {}
    kind, _, own_id = str(subject.get("reference", "")).rpartition("/")
    return own_id if kind.rpartition("/")[2] == "Patient" else None


# --- Searching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Search:
    """A checked search of one type. `tokens` are all to be met; within each, one of its alternatives."""

    kind: str
    patient: str | None
    ids: frozenset[str] | None
    tokens: tuple[tuple[str, tuple[str, ...]], ...]
    sort: tuple[str, ...]
    count: int
    page: int


def read_search(kind: str, parameters: Iterable[tuple[str, str]]) -> Search:
    """The search that `parameters` ask for. SearchRefused for an unknown parameter or an unreadable value."""
    elements = _TOKENS.get(kind, _TOKENS["*"])
    single: dict[str, str] = {}
    tokens = []
    for name, value in parameters:
        if name in elements:
            tokens.append((elements[name], tuple(value.split(","))))
        elif name in (*_DIRECT, "patient", "subject") and name not in single:
            single[name] = value
        else:
            raise SearchRefused(400, "not-supported", "A search parameter is not supported, or repeated.")
    patients = {single[name].removeprefix("Patient/") for name in ("patient", "subject") if name in single}
    if len(patients) > 1:
        raise SearchRefused(400, "value", "patient and subject name two patients.")
    sort = tuple(single["_sort"].split(",")) if "_sort" in single else ()
    if not all(key.removeprefix("-") in _SORTS for key in sort):
        raise SearchRefused(400, "not-supported", "A sort parameter is not supported.")
    return Search(
        kind=kind,
        patient=patients.pop() if patients else None,
        ids=frozenset(single["_id"].split(",")) if "_id" in single else None,
        tokens=tuple(tokens),
        sort=sort,
        count=min(_number(single, "_count", PAGE_SIZE, least=0), MAX_PAGE_SIZE),
        page=_number(single, "_page", 1, least=1),
    )


def _number(parameters: Mapping[str, str], name: str, otherwise: int, *, least: int) -> int:
    text = parameters.get(name, str(otherwise))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise SearchRefused(400, "value", "_count or _page is not a number in range.")
    return int(text)


def find(store: Store, search: Search) -> list[Resource]:
    """All resources that match, in the order asked for."""
    found = [
        resource
        for resource in store.find(search.kind, search.patient)
        if (search.ids is None or resource["id"] in search.ids)
        and all(_has_token(resource.get(element), wanted) for element, wanted in search.tokens)
    ]
    # Python's sort is stable, so sorting by the last key first gives the order of all keys.
    for key in reversed(search.sort):
        elements, downwards = _SORTS[key.removeprefix("-")], key.startswith("-")
        dated = [(resource, _sort_text(resource, elements)) for resource in found]
        with_date = sorted((pair for pair in dated if pair[1]), key=lambda pair: pair[1], reverse=downwards)
        found = [resource for resource, _ in (*with_date, *(pair for pair in dated if not pair[1]))]
    return found


def _sort_text(resource: Resource, elements: tuple[str, ...]) -> str:
    values = (resource.get(element) for element in elements)
    value = next((value for value in values if value), "")
    return str(value.get("start") or value.get("end") or "") if isinstance(value, dict) else str(value)


def _has_token(element: object, wanted: tuple[str, ...]) -> bool:
    return any(_matches(system, code, token) for system, code in _codings(element) for token in wanted)


def _codings(element: object) -> Iterator[tuple[str, str]]:
    """(system, code) of every coding in a code, Coding, CodeableConcept, or a list of them."""
    if isinstance(element, str):
        yield "", element
    elif isinstance(element, list):
        for item in element:
            yield from _codings(item)
    elif isinstance(element, dict):
        if "code" in element:
            yield element.get("system", ""), str(element["code"])
        yield from _codings(element.get("coding", ()) or [])


def _matches(system: str, code: str, token: str) -> bool:
    wanted_system, bar, wanted_code = token.rpartition("|")
    return (not wanted_code or code == wanted_code) and (not bar or system == wanted_system)


# --- Answering --------------------------------------------------------------------------------------------------------


def searchset(store: Store, search: Search, parameters: Iterable[tuple[str, str]], base: str) -> Resource:
    """One page of the answer, with the total and the links to itself and to the next page."""
    found = find(store, search)
    start = (search.page - 1) * search.count
    plain = [(name, value) for name, value in parameters if name != "_page"]
    links = [_link("self", base, search, plain, search.page)]
    if search.count and start + search.count < len(found):
        links.append(_link("next", base, search, plain, search.page + 1))
    bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links}
    entries = [_entry(resource, base) for resource in found[start : start + search.count]]
    return {**bundle, "entry": entries} if entries else bundle


def _link(relation: str, base: str, search: Search, parameters: list[tuple[str, str]], page: int) -> dict[str, str]:
    pages = [("_page", str(page))] if page > 1 else []
    query = urlencode([*parameters, *pages], safe="|,/:")
    return {"relation": relation, "url": f"{base}/{search.kind}" + (f"?{query}" if query else "")}


def _entry(resource: Resource, base: str) -> Resource:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": "match"}}


def capability_statement(store: Store) -> Resource:
    """What the sandbox can do."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "kind": "instance",
        "implementation": {"description": "Sandbox EHR over synthetic patients, read-only"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [_capability(kind) for kind in sorted(store.by_type)]}],
    }


def _capability(kind: str) -> Resource:
    names = ["_id", *([] if kind == "Patient" else ["patient"]), *_TOKENS.get(kind, _TOKENS["*"])]
    parameters = [{"name": name, "type": "reference" if name == "patient" else "token"} for name in names]
    interactions = [{"code": "read"}, {"code": "search-type"}]
    return {"type": kind, "interaction": interactions, "searchParam": parameters}


def sandbox_router(store: Store, base_url: str) -> APIRouter:
    """The endpoint under `/sandbox/fhir`. `base_url` is its public base URL, for fullUrl and page links."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    def search(kind: str, parameters: list[tuple[str, str]]) -> Response:
        return _answer(lambda: searchset(store, read_search(_known(store, kind), parameters), parameters, base_url))

    @router.get("/metadata")
    async def metadata() -> Response:
        return _answer(lambda: capability_statement(store))

    @router.get("/{kind}")
    async def search_by_get(kind: str, request: Request) -> Response:
        return search(kind, request.query_params.multi_items())

    @router.post("/{kind}/_search")
    async def search_by_post(kind: str, request: Request) -> Response:
        body = (await request.body()).decode("latin-1")
        return search(kind, [*request.query_params.multi_items(), *parse_qsl(body, keep_blank_values=True)])

    @router.get("/{kind}/{own_id}")
    async def read(kind: str, own_id: str) -> Response:
        return _answer(lambda: _read(store, kind, own_id))

    return router


def _known(store: Store, kind: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Za-z]{1,63}", kind):
        raise SearchRefused(404, "not-found", "No such resource type.")
    return kind


def _read(store: Store, kind: str, own_id: str) -> Resource:
    resource = store.by_type.get(kind, {}).get(own_id)
    if resource is None:
        raise SearchRefused(404, "not-found", "No such resource.")
    return resource


def _answer(make: Callable[[], Resource]) -> Response:
    try:
        return Response(_ENCODER.encode(make()), media_type=MEDIA_TYPE)
    except SearchRefused as refused:
        outcome = operation_outcome([Issue(refused.code, refused.text)])
        return Response(_ENCODER.encode(outcome), refused.status, media_type=MEDIA_TYPE)
