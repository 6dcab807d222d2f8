"""The port through which each decision is recorded before its answer leaves, and a journal in memory."""

import datetime as dt
from collections import deque
from typing import Protocol

import msgspec


class RuleVersion(msgspec.Struct, frozen=True):
    """A rule version that took part, with the digest of its content."""

    rule: str
    version: str
    digest: str


class DecisionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to prove and to repeat a decision. `facts` and `assessment` are their canonical bytes.

    `recorded` is when, `as_of` the instant the rules were evaluated for; both have an offset. `labels` are the
    security labels of everything that influenced the outcome. No token and no part of the request's envelope.
    """

    decision_id: str
    recorded: dt.datetime
    as_of: dt.datetime
    client: str
    tenant: str
    service: str
    hook: str
    hook_instance: str
    rules: tuple[RuleVersion, ...]
    facts: bytes
    assessment: bytes
    cards_digest: str
    labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # The facts are patient data, and a repr ends up in logs.
        return f"DecisionEntry({self.decision_id})"


class Journal(Protocol):
    """Where decisions are recorded. `durable` says whether they outlive the process; health reports it."""

    @property
    def durable(self) -> bool: ...

    async def record(self, entry: DecisionEntry) -> None:
        """Record, or raise JournalUnavailable: without a record there is no advice."""
        ...


class InMemoryJournal:
    """Keeps the last `keep` entries and forgets them with the process."""

    durable = False

    def __init__(self, keep: int = 1000) -> None:
        self._entries: deque[DecisionEntry] = deque(maxlen=keep)

    async def record(self, entry: DecisionEntry) -> None:
        self._entries.append(entry)

    @property
    def entries(self) -> tuple[DecisionEntry, ...]:
        """The entries kept, oldest first."""
        return tuple(self._entries)
