"""Charts written to deceive or to overwhelm: each text in turn is hostile, and lists without end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cds_service.advise import Asked, decide
from cds_service.cli.evaluate import OrderForm, with_order
from cds_service.errors import OtherPatient
from cds_service.fhir.read_facts import facts_from_bundle
from cds_service.hooks.messages import Card
from tests.acceptance.checker import DETAIL_ELEMENTS
from tests.acceptance.gfm import render
from tests.acceptance.plain import AS_OF, served
from tests.acceptance.world import CANDIDACY, CAST, INSTANCE, SIGN

# An address, markup, a table's bar, a new block, a direction change, a mention: what a record must not bring out.
HOSTILE = (
    "www.evil.example <img src=x> [a](http://evil.example) |x|\n\n# h\n\n1. x http://evil.example \u202e a@evil.example"
)
# Between them: every kind of resource, contained and referred Medications, screens as answers, texts without codes.
PEOPLE = (
    *("two-prescriptions-with-repeats-and-no-other-record", "two-trials-seen-only-in-pharmacy-dispenses"),
    *("stopped-for-side-effects-is-not-failure", "an-antidepressant-written-only-in-words"),
    *("resistance-coded-by-her-psychiatrist", "thirty-milli-units-per-millilitre"),
)

Place = tuple[str | int, ...]


def chart(person: str) -> dict[str, Any]:
    path = next(path for path in CAST if path.stem == person)
    return dict(json.loads(path.read_bytes()))


def texts(node: Any, place: Place = ()) -> Iterator[Place]:
    """The place of every text in a Bundle, except what says of which type a resource is."""
    if isinstance(node, str):
        yield place
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in members:
        if name != "resourceType":
            yield from texts(value, (*place, name))


def put(bundle: dict[str, Any], place: Place, text: Any) -> Any:
    """Write `text` at the place; what stood there."""
    owner: Any = bundle
    for step in place[:-1]:
        owner = owner[step]
    before, owner[place[-1]] = owner[place[-1]], text
    return before


def cards(bundle: dict[str, Any], service: str = SIGN) -> tuple[Card, ...]:
    desk = served()[service]
    facts = facts_from_bundle(json.dumps(bundle).encode(), as_of=AS_OF, observation_codes=desk.codes)
    facts = with_order(facts, OrderForm.KETAMINE_IV) if service == SIGN else facts
    return decide(desk, facts, Asked(INSTANCE, "Practitioner/x", "US", AS_OF)).cards


def assert_harmless(card: Card) -> None:
    rendered = render(card.detail or "")
    assert set(rendered.elements) <= DETAIL_ELEMENTS
    assert not rendered.attributes
    assert "\u202e" not in (card.detail or "")
    assert "evil" not in card.summary
    assert_whole(card)


def assert_whole(card: Card) -> None:
    """What belongs on every card is there, however long or odd the chart."""
    detail = card.detail or ""
    assert len(detail) <= 4000
    assert len(card.summary) < 140
    assert "**Label status**" in detail
    assert "Content status draft" in detail
    assert detail.rstrip().endswith("Not found is not the same as absent.")


def few_of_each_kind(bundle: dict[str, Any], most: int = 2) -> list[Place]:
    """The place of every text; of those that one reader reads, at most the first few."""
    kinds: dict[Place, list[Place]] = {}
    for place in texts(bundle):
        kind = bundle["entry"][place[1]]["resource"]["resourceType"] if place[0] == "entry" else ""
        kinds.setdefault((kind, *(step for step in place if isinstance(step, str))), []).append(place)
    return [place for places in kinds.values() for place in places[:most]]


@pytest.mark.parametrize("person", PEOPLE)
def test_no_text_of_a_chart_becomes_markup_or_stops_the_service(person: str) -> None:
    bundle = chart(person)
    read = 0
    for place in few_of_each_kind(bundle):
        before = put(bundle, place, HOSTILE)
        try:
            for card in cards(bundle):
                assert_harmless(card)
                read += 1
        except OtherPatient:
            # The patient's id and references to the patient are no longer the patient's.
            assert place[-1] in ("id", "reference", "fullUrl"), place
        put(bundle, place, before)
    assert read > 100


def test_all_texts_of_a_chart_at_once_are_harmless() -> None:
    bundle = chart("an-antidepressant-written-only-in-words")
    for place in texts(bundle):
        if place[-1] in ("text", "display", "unit", "note"):
            put(bundle, place, HOSTILE)
    for card in cards(bundle):
        assert_harmless(card)


@pytest.mark.parametrize("service", [CANDIDACY, SIGN])
def test_a_chart_without_end_leaves_every_card_whole(service: str) -> None:
    bundle = chart("a-long-history-in-one-chart")
    for copy in range(60):
        for entry in chart("a-long-history-in-one-chart")["entry"]:
            if entry["resource"]["resourceType"] != "Patient":
                entry["resource"]["id"] = f"{entry['resource']['id']}-{copy}"
                bundle["entry"].append({"resource": entry["resource"]})
    shown = cards(bundle, service)
    assert shown
    for card in shown:
        assert_whole(card)


def test_every_caution_at_once_leaves_the_merged_card_whole() -> None:
    bundle = chart("stopped-but-nobody-wrote-when")
    (patient,) = [
        entry["resource"]["id"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient"
    ]
    for entry in chart("three-weeks-are-not-a-trial")["entry"]:
        if entry["resource"]["resourceType"] == "Condition":
            bundle["entry"].append({"resource": {**entry["resource"], "subject": {"reference": f"Patient/{patient}"}}})
    merged = cards(bundle, CANDIDACY)[0]
    count = int(merged.summary.split()[0])
    assert count >= 4
    assert_whole(merged)
    assert (merged.detail or "").count("**Options to consider**") == count
    assert (merged.detail or "").count("**Sources**") == count
