"""Bytes to resources, each isolated: one bad resource is set aside with a reason, and the rest stay usable.

The fast path is one typed decode of everything. Only when that fails is each entry decoded by itself; what still
fails is read leniently, for its identity, its codes and whose data it is.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from cds_service.decision.coding import Coding, code_key
from cds_service.decision.facts import Codes, Quarantined, Record
from cds_service.errors import UnreadableFhir
from cds_service.fhir import resources as r4

_RESOURCE = msgspec.json.Decoder(r4.AnyResource)
_ENTRY = msgspec.json.Decoder(r4.BundleEntry)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_META: msgspec.json.Decoder[r4.Meta | None] = msgspec.json.Decoder(r4.Meta | None)
_TEXT = msgspec.json.Decoder(str)
_LINKS = msgspec.json.Decoder(tuple[r4.Link, ...])
_TOTAL = msgspec.json.Decoder(Decimal)

_NO_META = r4.Meta()
_UNREADABLE_META = r4.Meta(security=(r4.Coding(code="unreadable"),))

# The decoder's message ends with the place; what stands before it may quote a value and is not repeated.
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(\w+)`")

_FRAMES = frozenset({r4.Bundle, r4.OperationOutcome})

# What a server says when the same read may succeed a moment later.
_PASSING = frozenset({"transient", "timeout"})


class Unread(msgspec.Struct, frozen=True):
    """A resource set aside: why, and the references to the patient that could still be read, for the gate."""

    index: int
    quarantined: Quarantined
    subjects: tuple[tuple[str, str], ...] = ()


class Decoded(msgspec.Struct, frozen=True):
    """What one body holds. `entries` keep their places; an entry set aside stands there without its resource.

    `failed`: the client or server reports an error instead of (all of) the list; `passing`: it may pass if tried again.
    """

    entries: tuple[r4.BundleEntry, ...] = ()
    unread: tuple[Unread, ...] = ()
    is_bundle: bool = False
    total: int | None = None
    next_url: str | None = None
    failed: bool = False
    passing: bool = False

    def resources(self) -> Iterator[r4.AnyResource]:
        """The resources that could be decoded, OperationOutcomes included."""
        return (entry.resource for entry in self.entries if entry.resource is not None)


def decode_resources(data: bytes | msgspec.Raw) -> Decoded:
    """Decode a Bundle of any type, or a single resource.

    Raises UnreadableFhir when the whole is not FHIR JSON: not JSON, not UTF-8, nested too deep, not an object, no
    `resourceType`, a Bundle whose `entry` is not a list, or a Bundle under implicit rules.
    """
    # JSON has no byte order mark, but files saved on some systems begin with one.
    body = bytes(data).removeprefix(codecs.BOM_UTF8)
    _require_utf8(body)
    try:
        return _decode_whole(body)
    except RecursionError:
        raise UnreadableFhir(why="It is nested too deep.") from None


def _decode_whole(body: bytes) -> Decoded:
    try:
        resource = _RESOURCE.decode(body)
    except ValueError as error:
        return _decode_apart(body, error)
    if isinstance(resource, r4.Bundle):
        return _from_bundle(resource)
    return _examined((r4.BundleEntry(resource=resource),), (), Decoded())


def _require_utf8(body: bytes) -> None:
    # The decoder does not look into the text it skips.
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError:
        raise UnreadableFhir(why="It is not UTF-8.") from None


def _from_bundle(bundle: r4.Bundle) -> Decoded:
    if bundle.implicit_rules:
        raise UnreadableFhir(why="The Bundle follows implicit rules unknown to us.")
    frame = Decoded(is_bundle=True, total=_count(bundle.total), next_url=_next_url(bundle.link))
    return _examined(bundle.entry, (), frame)


def _next_url(links: Iterable[r4.Link]) -> str | None:
    return next((link.url for link in links if link.relation == "next" and link.url), None)


def _count(total: Decimal | None) -> int | None:
    """A total as a number; one that is none says nothing."""
    return int(total) if total is not None and total.is_finite() and 0 <= total < 10**9 else None


def _examined(entries: tuple[r4.BundleEntry, ...], unread: tuple[Unread, ...], frame: Decoded) -> Decoded:
    """Set aside what follows rules we do not know, open nested Bundles, and see whether the list is a failed one."""
    if not unread and not any(_needs_a_look(entries)):
        return Decoded(entries, (), frame.is_bundle, frame.total, frame.next_url)
    kept = list(entries)
    aside = list(unread)
    issues: list[r4.Issue] = []
    # The list grows while it is walked: the entries of a nested Bundle are put at its end.
    for position, entry in enumerate(kept):
        resource = entry.resource
        if isinstance(resource, r4.Bundle):
            kept[position] = r4.BundleEntry()
            kept.extend(resource.entry)
        elif isinstance(resource, r4.OperationOutcome):
            issues.extend(_failures(resource, alone=not frame.is_bundle))
        elif resource is not None and not isinstance(resource, r4.OtherResource):
            reason = unknown_rules(resource)
            if reason:
                aside.append(Unread(position, quarantined(resource, reason), _subjects_of(resource)))
                kept[position] = r4.BundleEntry(entry.full_url)
    # A failure report that cannot be read is still one.
    issues.extend(r4.Issue() for one in unread if one.quarantined.record.type == "OperationOutcome")
    return Decoded(
        tuple(kept),
        tuple(aside),
        frame.is_bundle,
        frame.total,
        frame.next_url,
        failed=bool(issues),
        passing=bool(issues) and all(issue.code in _PASSING for issue in issues),
    )


def _needs_a_look(entries: tuple[r4.BundleEntry, ...]) -> list[bool]:
    """Of each resource, whether it may be set aside or opened; nearly always none, so this is all that is done."""
    return [
        bool(resource.modifier_extension or resource.implicit_rules) or type(resource) in _FRAMES
        for entry in entries
        if (resource := entry.resource) is not None
    ]


def _failures(outcome: r4.OperationOutcome, *, alone: bool) -> Iterable[r4.Issue]:
    """The issues that mean failure: errors, and whatever stands instead of the data asked for."""
    if alone:
        return outcome.issue or (r4.Issue(),)
    return [issue for issue in outcome.issue if issue.severity not in ("information", "warning")]


def unknown_rules(resource: r4.Resource) -> str | None:
    """The reason to set a resource aside because it says that it means something else than it seems to."""
    if resource.implicit_rules:
        return "implicitRules: follows rules unknown to us"
    if resource.modifier_extension:
        return "modifierExtension: a modifier unknown to us"
    return None


def record_of(resource: r4.Resource) -> Record:
    """Where a fact comes from."""
    name = type(resource).__name__
    if resource.meta is r4.ABSENT:
        return Record(name, resource.id or "")
    meta = meta_of(resource)
    labels = tuple([label.code for label in meta.security if label.code]) if meta.security else ()
    return Record(name, resource.id or "", meta.version_id, meta.last_updated, labels)


def meta_of(resource: r4.Resource) -> r4.Meta:
    """Version and labels. Labels that cannot be read are one label of their own: to be on the safe side, restricted."""
    if resource.meta is r4.ABSENT:
        return _NO_META
    try:
        return _META.decode(resource.meta) or _NO_META
    except ValueError:
        return _UNREADABLE_META


def quarantined(resource: r4.Resource, reason: str) -> Quarantined:
    """A decoded resource set aside, with the codes that are known of it."""
    return Quarantined(record_of(resource), reason, _codes_of(resource))


def _codes_of(resource: r4.Resource) -> Codes:
    concepts: list[r4.CodeableConcept | r4.Codings | None] = []
    if isinstance(resource, r4.Condition | r4.Procedure | r4.Medication | r4.AllergyIntolerance):
        concepts.append(resource.code)
    elif isinstance(resource, r4.Observation):
        concepts.extend([resource.code, *(component.code for component in resource.component)])
    elif isinstance(resource, r4.MedicationRequest | r4.MedicationStatement | r4.MedicationDispense):
        concepts.append(resource.medication_codeable_concept)
    codings = (coding for concept in concepts if concept for coding in concept.coding)
    return tuple(Coding(*code_key(c.system, c.code), c.display) for c in codings if c.code)


def _subjects_of(resource: r4.Resource) -> tuple[tuple[str, str], ...]:
    members = ("subject", "patient", "beneficiary")
    values = [(name, getattr(resource, name, None)) for name in members]
    listed = [(name, one) for name, value in values for one in (value if isinstance(value, tuple) else (value,))]
    return tuple((name, one.reference) for name, one in listed if one is not None and one.reference)


# ------------------------------------------------------------ entry by entry


def _decode_apart(body: bytes, error: ValueError) -> Decoded:
    """The slow path: the Bundle's own members and each entry are read independently of one another."""
    members = _members(body)
    kind = _text(members, "resourceType")
    if not kind:
        raise UnreadableFhir(why="It has no resourceType.")
    if kind != "Bundle":
        return _examined((r4.BundleEntry(),), (_unread(0, body, error),), Decoded())
    if _text(members, "implicitRules"):
        raise UnreadableFhir(why="The Bundle follows implicit rules unknown to us.")
    entries, unread = _apart(_list(members))
    frame = Decoded(is_bundle=True, total=_total_of(members), next_url=_next_of(members))
    return _examined(entries, unread, frame)


def _apart(raws: list[msgspec.Raw]) -> tuple[tuple[r4.BundleEntry, ...], tuple[Unread, ...]]:
    entries: list[r4.BundleEntry] = []
    unread: list[Unread] = []
    for index, raw in enumerate(raws):
        try:
            entries.append(_ENTRY.decode(raw))
        except ValueError:
            entry, fault = _entry_apart(index, raw)
            entries.append(entry)
            unread.extend(fault)
    return tuple(entries), tuple(unread)


def _entry_apart(index: int, raw: msgspec.Raw) -> tuple[r4.BundleEntry, tuple[Unread, ...]]:
    """An entry whose frame may be at fault while its resource is sound."""
    try:
        members = _MEMBERS.decode(raw)
    except ValueError:
        return r4.BundleEntry(), (Unread(index, Quarantined(Record("", ""), "entry: not an object")),)
    resource = members.get("resource", r4.ABSENT)
    if bytes(resource) in (b"", b"null"):
        return r4.BundleEntry(), ()
    full_url = _text(members, "fullUrl")
    try:
        return r4.BundleEntry(full_url, _RESOURCE.decode(resource)), ()
    except ValueError as error:
        return r4.BundleEntry(full_url), (_unread(index, resource, error, full_url),)


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(body)
    except msgspec.ValidationError:
        raise UnreadableFhir(why="It is not a JSON object.") from None
    except ValueError:
        raise UnreadableFhir(why="It is not JSON.") from None


def _list(members: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    raw = members.get("entry")
    if raw is None or bytes(raw) == b"null":
        return []
    try:
        return _LIST.decode(raw)
    except ValueError:
        raise UnreadableFhir(why="The entry member of the Bundle is not a list.") from None


def _text(members: dict[str, msgspec.Raw], name: str) -> str | None:
    try:
        return _TEXT.decode(members[name]) if name in members else None
    except ValueError:
        return None


def _total_of(members: dict[str, msgspec.Raw]) -> int | None:
    try:
        return _count(_TOTAL.decode(members["total"])) if "total" in members else None
    except ValueError:
        return None


def _next_of(members: dict[str, msgspec.Raw]) -> str | None:
    try:
        return _next_url(_LINKS.decode(members["link"])) if "link" in members else None
    except ValueError:
        return None


# ------------------------------------------------------------ what can still be read of a bad resource


def _unread(index: int, raw: bytes | msgspec.Raw, error: ValueError, full_url: str | None = None) -> Unread:
    reason = reason_of(error)
    try:
        members = _MEMBERS.decode(raw)
    except ValueError:
        return Unread(index, Quarantined(Record("", ""), reason))
    tree = {name: _loosely(members[name]) for name in _TELLING if name in members}
    name = tree.get("resourceType")
    known = name if isinstance(name, str) and name in _NAMES else ""
    record = Record(known, _str(tree.get("id")) or uuid_of(full_url) or "")
    return Unread(index, Quarantined(record, reason, tuple(_loose_codes(tree))), tuple(_loose_subjects(tree)))


def _loosely(raw: msgspec.Raw) -> Any:
    """A member as plain JSON; None where a number in it is out of all bounds."""
    try:
        return msgspec.json.decode(raw)
    except ValueError:
        return None


# The members that tell what a resource is, what it is about and whose it is.
_TELLING = (
    "resourceType",
    "id",
    "code",
    "medicationCodeableConcept",
    "component",
    "subject",
    "patient",
    "beneficiary",
    "contained",
)
_NAMES = frozenset(
    """
    Patient Condition MedicationRequest MedicationStatement MedicationDispense Medication Observation
    QuestionnaireResponse Procedure AllergyIntolerance OperationOutcome Bundle
    """.split()
).union(r4.OTHER_TYPES)


def reason_of(error: ValueError, element: str = "") -> str:
    """A decoder's complaint as `element: complaint`, without the value it quotes."""
    message = str(error)
    found = _PLACE.search(message)
    missing = _MISSING.match(message)
    place = ".".join(filter(None, (element, found and found.group(1), missing and missing.group(1)))) or "resource"
    place = place.replace(".[", "[")
    if missing:
        return f"{place}: missing"
    if message.startswith("Expected `"):
        return f"{place}: {message.split(' - at ')[0].lower()}"
    return f"{place}: not an allowed value"


def uuid_of(full_url: str | None) -> str | None:
    """The id of a resource that has none but stands under `urn:uuid:`."""
    return full_url[9:] if full_url and full_url.startswith("urn:uuid:") else None


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _loose_codes(tree: dict[str, Any]) -> Iterator[Coding]:
    components = tree.get("component")
    parts = [tree, *(components if isinstance(components, list) else [])]
    for part in parts:
        for member in ("code", "medicationCodeableConcept"):
            concept = part.get(member) if isinstance(part, dict) else None
            codings = concept.get("coding") if isinstance(concept, dict) else None
            for coding in codings if isinstance(codings, list) else []:
                if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                    key = code_key(_str(coding.get("system")), coding["code"])
                    yield Coding(*key, _str(coding.get("display")))


def _loose_subjects(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for member in ("subject", "patient", "beneficiary"):
        value = tree.get(member)
        for one in value if isinstance(value, list) else [value]:
            reference = one.get("reference") if isinstance(one, dict) else None
            if isinstance(reference, str):
                yield member, reference
    contained = tree.get("contained")
    for inner in contained if isinstance(contained, list) else []:
        if isinstance(inner, dict):
            yield from ((f"contained.{member}", reference) for member, reference in _loose_subjects(inner))
