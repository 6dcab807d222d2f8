"""What came for one prefetch key: its resources, what was set aside, what is missing and why."""

from typing import Literal

import msgspec

from cds_service.decision.facts import Gap
from cds_service.fhir.decode import Decoded, Unread
from cds_service.fhir.resources import BundleEntry

Source = Literal["given", "fetched", "unobtainable", "ignored"]


class KeyData(msgspec.Struct, frozen=True):
    """One key. `type` is the resource type its template asks for, "" for a whole Bundle of everything.

    `source` is "ignored" for a key we did not publish: it passes the patient gate, and no fact is read from it.
    `cause` says why an unobtainable key is so; `gaps` why the list may be incomplete.
    """

    type: str
    entries: tuple[BundleEntry, ...] = ()
    unread: tuple[Unread, ...] = ()
    source: Source = "given"
    cause: str | None = None
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, type_: str, decoded: Decoded, *, source: Source = "given", gaps: tuple[Gap, ...] = ()) -> "KeyData":
        """A key satisfied by one decoded body."""
        return cls(type_, decoded.entries, decoded.unread, source, None, gaps)


FailureKind = Literal[
    "refused", "timeout", "unreachable", "not found", "server error", "too large", "unreadable", "limit reached"
]

NOT_OFFERED = "not offered"

# What a failure is called where it leaves a gap; the causes of `decision.facts.Gap`.
_CAUSES: dict[FailureKind, str] = {
    "not found": "unreachable",
    "server error": "unreachable",
    "limit reached": "further pages not read",
}


class Failure(msgspec.Struct, frozen=True):
    """A read that brought nothing: its kind, and no word of the server's."""

    kind: FailureKind

    @property
    def cause(self) -> str:
        """The cause of the gap that it leaves."""
        return _CAUSES.get(self.kind, self.kind)
