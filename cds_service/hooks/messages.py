"""CDS Hooks messages: a request read from bytes, a response written to bytes.

Target: CDS Hooks 2.0.1; the shapes of 1.0 and 1.1 requests are accepted too. Prefetch values and draft orders stay
raw bytes, because they are large and the FHIR layer reads them. Unknown members are ignored at every level.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from cds_service.errors import MalformedRequest, OtherPatient

PRACTITIONERS = frozenset({"Practitioner", "PractitionerRole"})
USER_TYPES: Mapping[str, frozenset[str]] = {
    "patient-view": PRACTITIONERS | {"Patient", "RelatedPerson"},
    "order-select": PRACTITIONERS,
    "order-sign": PRACTITIONERS,
}
HOOKS = frozenset(USER_TYPES)

Members = dict[str, msgspec.Raw]

# FHIR allows 64 characters of [A-Za-z0-9-.] in an id; records in the field have longer ones and underscores.
# An id does not start with a dot: ".." would change the path of the query it is put into.
_ID = r"[A-Za-z0-9_\-][A-Za-z0-9._\-]{0,127}"

Text = Annotated[StrictStr, Field(min_length=1)]
Id = Annotated[StrictStr, Field(pattern=f"^{_ID}$")]
UserId = Annotated[StrictStr, Field(pattern=f"^[A-Za-z]+/{_ID}$")]
Uuid = Annotated[StrictStr, Field(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
# Visible ASCII, so that a token cannot break out of the header it is sent in.
Token = Annotated[StrictStr, Field(pattern=r"^[!-~]+$")]


class _Members(BaseModel):
    """Members under their wire names. Types are not coerced, and what is not listed is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Envelope(_Members):
    hook: Text
    hookInstance: Uuid
    fhirServer: Text | None = None


class _Authorization(_Members):
    access_token: Token
    token_type: Literal["Bearer"]
    expires_in: Annotated[StrictInt, Field(ge=0)]
    # Opaque to us: SMART v1, v2 and vendors' own names, with blanks and brackets.
    scope: Text
    subject: Text
    patient: Text | None = None


class _Context(_Members):
    userId: UserId
    patientId: Id
    encounterId: Id | None = None


class _OrderSelectContext(_Context):
    selections: tuple[Text, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Authorization:
    """The access to `fhirServer` lent to us for this one request. Its repr hides the token from every log."""

    token: str
    expires_in: int
    scope: str
    subject: str
    patient: str | None = None

    def __repr__(self) -> str:
        return "Authorization(...)"


@dataclass(frozen=True, slots=True, repr=False)
class HookRequest:
    """A validated request. `hook_instance` is in lower case; `prefetch` maps to None where the client sent null.

    `draft_orders` is a JSON object for the order hooks and None otherwise. The repr hides the patient.
    """

    hook: str
    hook_instance: str
    patient_id: str
    user_id: str
    encounter_id: str | None = None
    fhir_server: str | None = None
    authorization: Authorization | None = None
    selections: tuple[str, ...] = ()
    draft_orders: msgspec.Raw | None = None
    prefetch: Mapping[str, msgspec.Raw | None] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "HookRequest(...)"


def parse_request(body: bytes, *, service_hook: str) -> HookRequest:
    """The request in `body`, which must be for `service_hook` (one of `HOOKS`).

    Raises MalformedRequest with the place of the first fault, and OtherPatient when `fhirAuthorization.patient` is
    not `context.patientId`. Neither repeats anything from the body.
    """
    _require_utf8(body)
    top = _read(body)
    envelope = _validated(_Envelope, _values(top, *_Envelope.model_fields))
    if envelope.hook != service_hook:
        raise MalformedRequest("value", "hook", why="The service at this path serves another hook.")
    context = _context(top.get("context"), service_hook)
    authorization = _authorization(top.get("fhirAuthorization"))
    if authorization and envelope.fhirServer is None:
        raise MalformedRequest("required", "fhirServer", why="fhirAuthorization is given, and needs it.")
    if authorization and authorization.patient not in (None, context.patientId, f"Patient/{context.patientId}"):
        raise OtherPatient("fhirAuthorization.patient")
    return HookRequest(
        hook=envelope.hook,
        hook_instance=envelope.hookInstance.lower(),
        patient_id=context.patientId,
        user_id=context.userId,
        encounter_id=context.encounterId,
        fhir_server=envelope.fhirServer,
        authorization=authorization,
        selections=context.selections if isinstance(context, _OrderSelectContext) else (),
        draft_orders=None if service_hook == "patient-view" else _draft_orders(top["context"] or {}),
        prefetch=_prefetch(top.get("prefetch")),
    )


def _context(members: Members | None, hook: str) -> _Context:
    if members is None:
        raise MalformedRequest("required", "context")
    model = _OrderSelectContext if hook == "order-select" else _Context
    context = _validated(model, _values(members, *model.model_fields, place="context"), "context")
    if context.userId.partition("/")[0] not in USER_TYPES[hook]:
        raise MalformedRequest("value", "context.userId", why="This hook does not allow a user of that type.")
    return context


def _authorization(members: Members | None) -> Authorization | None:
    if members is None:
        return None
    place = "fhirAuthorization"
    given = _validated(_Authorization, _values(members, *_Authorization.model_fields, place=place), place)
    return Authorization(given.access_token, given.expires_in, given.scope, given.subject, given.patient)


def _draft_orders(context: Members) -> msgspec.Raw:
    raw = context.get("draftOrders")
    if raw is None or _is_null(raw):
        raise MalformedRequest("required", "context.draftOrders")
    if not _is_object(raw):
        raise MalformedRequest("value", "context.draftOrders", why="It must be a FHIR Bundle.")
    return raw


def _prefetch(members: Members | None) -> dict[str, msgspec.Raw | None]:
    prefetch = {key: None if _is_null(raw) else raw for key, raw in (members or {}).items()}
    if not all(raw is None or _is_object(raw) for raw in prefetch.values()):
        # The key is not named: it is text of the request.
        raise MalformedRequest("value", "prefetch", why="Each of its members must be a FHIR resource or null.")
    return prefetch


# --- Reading the body in one pass, without copying or parsing its large members ---------------------------------------


class _Top(TypedDict, total=False):
    hook: msgspec.Raw
    hookInstance: msgspec.Raw
    fhirServer: msgspec.Raw
    extension: msgspec.Raw
    context: Members | None
    fhirAuthorization: Members | None
    prefetch: Members | None


_NESTED = ("context", "fhirAuthorization", "prefetch")
_TOP = msgspec.json.Decoder(_Top)
_EVERY = msgspec.json.Decoder(Members)
_UNREADABLE = (msgspec.DecodeError, RecursionError, ValueError)
# One member up to its value, with the separator before it. Linear: each part starts with a character of its own.
_MEMBER = re.compile(rb'[ \t\r\n]*[,{]?[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_Model = TypeVar("_Model", bound=_Members)


def _read(body: bytes) -> _Top:
    try:
        top = _TOP.decode(body)
        _refuse_repeats(body, top)
        return top
    except _UNREADABLE:
        raise MalformedRequest(*_fault(body)) from None


def _fault(body: bytes) -> tuple[Literal["structure", "value"], str | None]:
    """Why the body cannot be read: its JSON, or a member that should be an object and is something else."""
    try:
        members = _EVERY.decode(body)
    except _UNREADABLE:
        return "structure", None
    odd = [name for name in _NESTED if name in members and not (_is_object(raw := members[name]) or _is_null(raw))]
    return ("value", odd[0]) if odd else ("structure", None)


def _refuse_repeats(body: bytes, top: _Top) -> None:
    """Refuse a repeated member: JSON readers keep the last without a word, other readers the first."""
    known = cast("dict[str, msgspec.Raw | Members | None]", top)
    try:
        _walk(body, 0, known)
        return
    except KeyError:
        # A member we do not know, whose length only a second pass tells.
        every = {**_EVERY.decode(body), **known}
    _walk(body, 0, every)


def _walk(body: bytes, position: int, members: Mapping[str, msgspec.Raw | Members | None], place: str = "") -> int:
    """Step over the members of the object at `position`; the position after it.

    The decoder has validated the text, so the length of a value leads to the next member. Of a repeated member the
    decoder kept the last value: there the text is not the value that was kept, or the name comes a second time.
    """
    seen = set()
    while found := _MEMBER.match(body, position):
        name = msgspec.json.decode(found[1], type=str)
        if place and name not in members:
            raise MalformedRequest("structure", place, why="A member is repeated.")
        value = members[name]
        text = b"{" if isinstance(value, dict) else b"null" if value is None else memoryview(value)
        if name in seen or not body.startswith(text, found.end()):
            raise MalformedRequest("structure", place or None, why="A member is repeated.")
        seen.add(name)
        position = found.end() + len(text)
        if isinstance(value, dict):
            position = _walk(body, found.end(), value, name)
    return body.index(b"}", position) + 1


def _values(members: Mapping[str, object], *names: str, place: str = "") -> dict[str, object]:
    """The named members as Python values. A null counts as absent: older clients send it."""
    values = {name: _value(members[name], _path(place, (name,))) for name in names if name in members}
    return {name: value for name, value in values.items() if value is not None}


def _value(raw: object, path: str) -> object:
    try:
        return msgspec.json.decode(cast("msgspec.Raw", raw))
    except _UNREADABLE:
        raise MalformedRequest("value", path) from None


def _validated(model: type[_Model], values: dict[str, object], place: str = "") -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        kind: Literal["required", "value"] = "required" if first["type"] == "missing" else "value"
        raise MalformedRequest(kind, _path(place, first["loc"])) from None


def _path(place: str, location: Iterable[int | str]) -> str:
    path = place
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _require_utf8(body: bytes) -> None:
    # The decoder does not look into strings that it skips, so a fault there would surface much later.
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            raise MalformedRequest("structure", why="The body is not UTF-8.") from None


def _is_null(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == ord("n")


def _is_object(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == ord("{")


# --- The response -----------------------------------------------------------------------------------------------------

SUMMARY_LIMIT = 139
TOPIC_LIMIT = 100


class _Wire(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A part of the response: written in the order of its fields, members without a value left out.

    Each part checks its invariants when it is made and raises ValueError: a fault of ours, found before it is sent.
    """


class Coding(_Wire, frozen=True):
    """A coded reason or topic. `system` and `code` are required since CDS Hooks 2.0."""

    code: str
    system: str
    display: str | None = None

    def __post_init__(self) -> None:
        _require_text("coding", self.code, self.system)
        _require_text_if_given("coding.display", self.display)


class OverrideReason(Coding, frozen=True):
    """A reason a clinician may choose for not following a card; it needs a display."""

    def __post_init__(self) -> None:
        _require_text("overrideReason", self.code, self.system, self.display)


class Source(_Wire, frozen=True):
    """Where the guidance comes from. `url` is absolute and the same for every patient; so is `topic`."""

    label: str
    url: str | None = None
    topic: Coding | None = None

    def __post_init__(self) -> None:
        _require_text("source.label", self.label)
        if self.url is not None:
            _require_absolute("source.url", self.url)
        # A topic that is not alphanumeric makes a large EHR forget overrides.
        code = self.topic.code if self.topic else "x"
        if not (code.isascii() and code.isalnum() and len(code) <= TOPIC_LIMIT):
            raise ValueError(f"source.topic.code must be 1 to {TOPIC_LIMIT} ASCII letters and digits")


class Link(_Wire, frozen=True):
    """A link to a page (`absolute`) or a SMART app (`smart`)."""

    label: str
    url: str
    # Without a default, which would be left out of the message.
    type: Literal["absolute", "smart"]
    app_context: str | None = None

    def __post_init__(self) -> None:
        _require_text("link.label", self.label)
        _require_absolute("link.url", self.url)
        if self.app_context is not None and self.type == "absolute":
            raise ValueError("link.appContext is for SMART links only")
        _require_text_if_given("link.appContext", self.app_context)


class Action(_Wire, frozen=True):
    """One change a suggestion proposes. `create` and `update` carry a whole resource, `delete` a relative reference."""

    type: Literal["create", "update", "delete"]
    description: str
    resource: dict[str, Any] | None = None
    resource_id: str | None = None

    def __post_init__(self) -> None:
        _require_text("action.description", self.description)
        if (self.resource is None) != (self.type == "delete") or (self.resource_id is None) == (self.type == "delete"):
            raise ValueError("an action carries a resource, or for delete only a resourceId")
        if self.resource is not None and not self.resource.get("resourceType"):
            raise ValueError("action.resource needs a resourceType")
        if _holds_blank(self.resource):
            raise ValueError("action.resource holds a null, an empty text, list or object")


class Suggestion(_Wire, frozen=True):
    """Something the clinician may accept; its actions belong together."""

    label: str
    uuid: str | None = None
    is_recommended: bool | None = None
    actions: tuple[Action, ...] = ()

    def __post_init__(self) -> None:
        _require_text("suggestion.label", self.label)
        _require_text_if_given("suggestion.uuid", self.uuid)


class Card(_Wire, frozen=True, kw_only=True):
    """One piece of advice. `summary` is one line below 140 characters; `detail` is GitHub-flavoured Markdown."""

    uuid: str | None = None
    summary: str
    detail: str | None = None
    indicator: Literal["info", "warning", "critical"]
    source: Source
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: Literal["at-most-one", "any"] | None = None
    override_reasons: tuple[OverrideReason, ...] = ()
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        _require_text("card.summary", self.summary)
        if len(self.summary) > SUMMARY_LIMIT or self.summary.splitlines() != [self.summary]:
            raise ValueError(f"card.summary must be one line of at most {SUMMARY_LIMIT} characters")
        _require_text_if_given("card.detail", self.detail)
        _require_text_if_given("card.uuid", self.uuid)
        _require_one_of("card.indicator", self.indicator, ("info", "warning", "critical"))
        _require_one_of("card.selectionBehavior", self.selection_behavior, (None, "at-most-one", "any"))
        if self.suggestions and self.selection_behavior is None:
            raise ValueError("card.suggestions require a selectionBehavior")
        recommended = sum(suggestion.is_recommended is True for suggestion in self.suggestions)
        if recommended > 1 and self.selection_behavior != "any":
            raise ValueError("several recommended suggestions require the selectionBehavior any")


class CardsResponse(_Wire, frozen=True):
    """The answer to a hook. An empty `cards` says that there is nothing to say, never that something failed."""

    cards: tuple[Card, ...]

    def __post_init__(self) -> None:
        uuids = [card.uuid for card in self.cards if card.uuid is not None]
        if len(uuids) != len(set(uuids)):
            raise ValueError("two cards of a response have the same uuid")


_ENCODER = msgspec.json.Encoder()


def encode_response(response: CardsResponse) -> bytes:
    """The bytes of the answer; the same response gives the same bytes."""
    return _ENCODER.encode(response)


def _require_text(place: str, *texts: str | None) -> None:
    if not all(text and not text.isspace() for text in texts):
        raise ValueError(f"{place} needs a text")


def _require_text_if_given(place: str, text: str | None) -> None:
    if text is not None:
        _require_text(place, text)


def _require_one_of(place: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{place} must be one of {', '.join(str(word) for word in allowed)}")


def _require_absolute(place: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or any(char.isspace() for char in url):
        raise ValueError(f"{place} must be an absolute http or https URL")


def _holds_blank(value: object) -> bool:
    if isinstance(value, dict):
        return any(member in (None, "", [], {}, ()) or _holds_blank(member) for member in value.values())
    if isinstance(value, list | tuple):
        return any(item in (None, "", [], {}, ()) or _holds_blank(item) for item in value)
    return False
