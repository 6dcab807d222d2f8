"""The journal in memory."""

import asyncio
import datetime as dt

from cds_service.journal.port import DecisionEntry, InMemoryJournal, Journal, RuleVersion

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def entry(number: int) -> DecisionEntry:
    return DecisionEntry(
        decision_id=f"d{number}",
        recorded=NOW,
        as_of=NOW,
        client="development",
        tenant="development",
        service="ketamine-candidacy",
        hook="patient-view",
        hook_instance="d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        rules=(RuleVersion("pregnancy", "1.0.0", "digest"),),
        facts=b"facts of the patient",
        assessment=b"{}",
        cards_digest="digest",
    )


def test_it_keeps_the_last_entries_and_says_that_it_is_not_durable() -> None:
    memory = InMemoryJournal(keep=2)
    journal: Journal = memory

    async def record() -> None:
        for number in range(3):
            await journal.record(entry(number))

    asyncio.run(record())
    assert [kept.decision_id for kept in memory.entries] == ["d1", "d2"]
    assert not journal.durable


def test_the_repr_of_an_entry_shows_no_facts() -> None:
    assert repr(entry(1)) == "DecisionEntry(d1)"
