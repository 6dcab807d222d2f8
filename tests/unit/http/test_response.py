"""Writing a CDS Hooks response: its invariants, and that nothing blank is sent."""

import json
from typing import Any

import msgspec
import pytest

from cds_service.hooks.messages import (
    Action,
    Card,
    CardsResponse,
    Coding,
    Link,
    OverrideReason,
    Source,
    Suggestion,
    encode_response,
)

SOURCE = Source(
    label="Label of the drug", url="https://example.org/label", topic=Coding("pregnancy", "https://x.example")
)


def card(**changes: Any) -> Card:
    return Card(**{"summary": "One sentence.", "indicator": "info", "source": SOURCE, **changes})


def test_nothing_to_say_is_an_empty_list() -> None:
    assert encode_response(CardsResponse(())) == b'{"cards":[]}'


def test_a_minimal_card_has_no_blank_member() -> None:
    (sent,) = json.loads(encode_response(CardsResponse((card(source=Source(label="Label")),))))["cards"]
    assert sent == {"summary": "One sentence.", "indicator": "info", "source": {"label": "Label"}}


def test_a_full_card_has_the_names_of_the_standard() -> None:
    full = card(
        uuid="4e0a3a1e-92fa-4e92-b25e-e0f0d5e8a8f3",
        detail="**Found**",
        suggestions=(
            Suggestion(
                label="Order a test",
                uuid="u",
                is_recommended=True,
                actions=(Action(type="create", description="A test", resource={"resourceType": "ServiceRequest"}),),
            ),
        ),
        selection_behavior="any",
        override_reasons=(OverrideReason("code", "https://x.example", "Reason"),),
        links=(Link("Rule", "https://cds.example/rules/pregnancy/1.0.0", "absolute"),),
    )
    (sent,) = json.loads(encode_response(CardsResponse((full,))))["cards"]
    assert list(sent) == [
        *("uuid", "summary", "detail", "indicator", "source"),
        *("suggestions", "selectionBehavior", "overrideReasons", "links"),
    ]
    assert sent["source"]["topic"] == {"code": "pregnancy", "system": "https://x.example"}
    assert sent["suggestions"][0]["isRecommended"] is True
    assert sent["suggestions"][0]["actions"][0] == {
        "type": "create",
        "description": "A test",
        "resource": {"resourceType": "ServiceRequest"},
    }
    assert sent["overrideReasons"] == [{"code": "code", "system": "https://x.example", "display": "Reason"}]
    assert sent["links"][0]["type"] == "absolute"


def test_the_same_response_gives_the_same_bytes() -> None:
    assert encode_response(CardsResponse((card(),))) == encode_response(CardsResponse((card(),)))


def test_a_summary_has_fewer_than_140_characters() -> None:
    assert len(card(summary="x" * 139).summary) == 139
    with pytest.raises(ValueError, match="139"):
        card(summary="x" * 140)


SUGGESTION = Suggestion(label="x")
RECOMMENDED = Suggestion(label="x", is_recommended=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"summary": ""},
        {"summary": "  "},
        {"summary": "a\nb"},
        {"summary": "a\u2028b"},
        {"detail": ""},
        {"uuid": ""},
        {"indicator": "hard-stop"},
        {"suggestions": (SUGGESTION,)},
        {"suggestions": (SUGGESTION,), "selection_behavior": "all"},
        {"suggestions": (RECOMMENDED, RECOMMENDED), "selection_behavior": "at-most-one"},
    ],
)
def test_a_card_that_breaks_the_standard_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"card|recommended"):
        card(**changes)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Source, {"label": ""}),
        (Source, {"label": "x", "url": "/rules"}),
        (Source, {"label": "x", "url": "data:text/html,x"}),
        (Source, {"label": "x", "topic": Coding("blood-pressure", "s")}),
        (Source, {"label": "x", "topic": Coding("a" * 101, "s")}),
        (Source, {"label": "x", "topic": Coding("é", "s")}),
        (Coding, {"code": "x", "system": ""}),
        (Coding, {"code": "x", "system": "s", "display": ""}),
        (OverrideReason, {"code": "x", "system": "s"}),
        (Link, {"label": "", "url": "https://x.example", "type": "absolute"}),
        (Link, {"label": "x", "url": "rules/x", "type": "absolute"}),
        (Link, {"label": "x", "url": "https://x.example/a b", "type": "absolute"}),
        (Link, {"label": "x", "url": "https://x.example", "type": "absolute", "app_context": "c"}),
        (Suggestion, {"label": ""}),
        (Suggestion, {"label": "x", "uuid": ""}),
        (Action, {"type": "create", "description": "x"}),
        (Action, {"type": "create", "description": "", "resource": {"resourceType": "X"}}),
        (Action, {"type": "create", "description": "x", "resource": {"id": "x"}}),
        (Action, {"type": "create", "description": "x", "resource": {"resourceType": "X", "a": None}}),
        (Action, {"type": "create", "description": "x", "resource": {"resourceType": "X", "a": [{"b": []}]}}),
        (Action, {"type": "create", "description": "x", "resource": {"resourceType": "X"}, "resource_id": "X/1"}),
        (Action, {"type": "delete", "description": "x", "resource": {"resourceType": "X"}}),
        (Action, {"type": "delete", "description": "x"}),
    ],
)
def test_a_part_that_breaks_the_standard_cannot_be_made(make: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"need|must be|holds|carries|only"):
        make(**arguments)


def test_a_deletion_names_what_it_deletes() -> None:
    action = Action(type="delete", description="x", resource_id="MedicationRequest/1")
    assert json.loads(msgspec.json.encode(action))["resourceId"] == "MedicationRequest/1"


def test_a_smart_link_may_carry_a_context() -> None:
    link = Link("App", "https://app.example", "smart", "context")
    assert json.loads(msgspec.json.encode(link))["appContext"] == "context"


def test_two_cards_with_one_uuid_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="same uuid"):
        CardsResponse((card(uuid="a"), card(uuid="a")))
