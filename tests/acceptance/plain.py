"""The cards of the cast, decided without a server; and their plain text, as an EHR that shows no Markdown has it.

`python -m tests.acceptance.plain` writes the texts of `snapshots/` anew. Read the difference before keeping it.
"""

import datetime as dt
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cds_service.advise import Asked, Decision, Desk, decide, desks
from cds_service.cli.evaluate import OrderForm, with_order
from cds_service.decision.coding import CodeKey
from cds_service.decision.dates import AsOf
from cds_service.decision.facts import PatientFacts
from cds_service.decision.rule import Jurisdiction
from cds_service.fhir.read_facts import facts_from_bundle
from cds_service.hooks.messages import Card
from cds_service.rulebook.load import Rulebook, load_rulebook
from tests.acceptance.world import CANDIDACY, CAST, FORMS, INSTANCE, RULES, SELECT, SIGN

AS_OF = AsOf.of(dt.datetime(2026, 11, 1, 23, 59, 59, tzinfo=dt.UTC))
SNAPSHOTS = Path(__file__).parent / "snapshots"
WIDTH = 100


class Case(NamedTuple):
    """A service called for a person of the cast: with a form at the order services, under a jurisdiction."""

    service: str
    person: str
    form: str | None = None
    jurisdiction: Jurisdiction = "US"

    @property
    def name(self) -> str:
        return "--".join(filter(None, [self.service, self.person, self.form, self.jurisdiction]))


# Each shows something that the others do not.
TELLING = (
    # Pregnancy, blood pressure and substance use merged; recorded ideation; undecidable courses.
    Case(CANDIDACY, "stopped-but-nobody-wrote-when"),
    # A crisis on record, a screen with intent, a trial that was stopped for side effects.
    Case(CANDIDACY, "stopped-for-side-effects-is-not-failure"),
    # The gap card alone.
    Case(CANDIDACY, "one-prescription-could-not-be-read"),
    # The labelled product, two exposures.
    Case(SIGN, "two-adequate-trials-and-still-depressed", "esketamine-nasal"),
    # A recent weight, epilepsy beside an order of racemic ketamine.
    Case(SIGN, "theophylline-and-epilepsy", "ketamine-iv"),
    # Off-label, a warning at signature, empty lists.
    Case(SIGN, "one-antidepressant-and-no-problem-on-record", "ketamine-iv"),
    # Pregnancy possible.
    Case(SELECT, "a-third-better-is-not-yet-an-answer", "ketamine-nasal-compounded"),
    # The same infarction is critical in the EU.
    Case(SIGN, "a-tablet-now-and-then-is-not-a-trial", "esketamine-nasal", "EU"),
)
# Every person at every service, as a US client sees it; at signature, which says the most, with every form.
SEEN: dict[str, tuple[str | None, ...]] = {CANDIDACY: (None,), SELECT: FORMS[:2], SIGN: FORMS}
EVERY = tuple(Case(service, path.stem, form) for path in CAST for service, forms in SEEN.items() for form in forms)


@cache
def rulebook() -> Rulebook:
    """The rules as committed."""
    return load_rulebook(RULES)


@cache
def served() -> dict[str, Desk]:
    return desks(rulebook(), base_url="https://cds.example", serve_draft=True)


@cache
def chart(person: str, codes: frozenset[CodeKey]) -> PatientFacts:
    """A person's facts as a service reads them: the order services read observations that the patient view does not."""
    path = next(path for path in CAST if path.stem == person)
    return facts_from_bundle(path.read_bytes(), as_of=AS_OF, observation_codes=codes)


@cache
def decided(case: Case) -> Decision:
    """What is decided for a case."""
    desk = served()[case.service]
    facts = with_order(chart(case.person, desk.codes), OrderForm(case.form) if case.form else None)
    asked = Asked(INSTANCE, "Practitioner/example", case.jurisdiction, AS_OF)
    return decide(desk, facts, asked)


def plain_text(card: Card) -> str:
    """A card without its ids: what is read, in the order in which it is read."""
    options = "; ".join(suggestion.label for suggestion in card.suggestions)
    reasons = "; ".join(reason.display or "" for reason in card.override_reasons)
    topic = card.source.topic.code if card.source.topic else ""
    lines = [
        f"{card.indicator.upper()}: {card.summary}",
        "",
        card.detail or "",
        "",
        f"Source: {card.source.label}, {card.source.url} ({topic})",
        *(f"Link: {link.label}, {link.url}" for link in card.links),
        *([f"Suggestions: {options}"] if options else []),
        *([f"Reasons for not following: {reasons}"] if reasons else []),
    ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))


def snapshot(case: Case) -> str:
    """The plain text of all cards of a case."""
    return f"\n\n{'=' * WIDTH}\n\n".join(plain_text(card) for card in decided(case).cards) + "\n"


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    for old in SNAPSHOTS.glob("*.txt"):
        old.unlink()
    for one in TELLING:
        (SNAPSHOTS / f"{one.name}.txt").write_text(snapshot(one), encoding="utf-8")
