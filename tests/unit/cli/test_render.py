"""Cards in the terminal: what a prescriber sees before and after opening one."""

import io

import pytest
from rich.console import Console

from cds_service.cli.render import show_cards
from cds_service.hooks.messages import Action, Card, Coding, Link, OverrideReason, Source, Suggestion

CARD = Card(
    uuid="7b0c4a8e-2c2b-4b0e-9a43-3f1f1e9a0001",
    summary="Heart disease on record (Atrial fibrillation): label caution, benefit against risk.",
    detail="**Found**\n\n- Atrial fibrillation (\\<40 %)\n\n| Drug | Dose |\n| --- | --- |\n| sertraline | 100 mg/d |",
    indicator="warning",
    source=Source("US label", "https://label.example", Coding("heartdisease", "urn:x")),
    suggestions=(Suggestion("ECG: draft order", actions=(Action("create", "An ECG", {"resourceType": "Task"}),)),),
    selection_behavior="any",
    override_reasons=(OverrideReason("OR-WRONG", "urn:x", "Record is wrong"),),
    links=(Link("Rule heart-disease 1.0.0", "https://cds.example/rules/heart-disease/1.0.0", "absolute"),),
)


def shown(*cards: Card, details: bool = True, width: int = 160) -> str:
    out = io.StringIO()
    show_cards(Console(file=out, width=width, color_system=None), cards, details=details)
    return out.getvalue()


def test_a_card_is_shown_whole() -> None:
    text = shown(CARD)
    for part in (
        f"WARNING  {CARD.summary}",
        "Atrial fibrillation (<40 %)",
        "sertraline",
        "Source: US label [heartdisease]",
        "Link: Rule heart-disease 1.0.0: https://cds.example/rules/heart-disease/1.0.0",
        "Suggestions: ECG: draft order",
        "Override reasons: Record is wrong",
    ):
        assert part in text
    assert "**" not in text, "the details are read as Markdown"


def test_without_details_only_what_stands_on_a_closed_card_is_shown() -> None:
    text = shown(CARD, details=False)
    assert CARD.summary in text
    assert "Source: US label" in text
    assert "sertraline" not in text


def test_a_card_without_anything_optional_is_shown() -> None:
    text = shown(Card(summary="A finding.", indicator="info", source=Source("US label")))
    assert "INFO  A finding." in text
    assert not any(word in text for word in ("Link", "Suggestions", "Override", "None"))


@pytest.mark.parametrize("indicator", ["info", "warning", "critical"])
def test_each_indicator_is_named_in_words_and_not_by_colour_alone(indicator: str) -> None:
    card = Card(summary="A finding.", indicator=indicator, source=Source("US label"))  # type: ignore[arg-type]
    assert indicator.upper() in shown(card)


def test_text_in_square_brackets_is_text() -> None:
    card = Card(summary="A [bold red]finding[/].", indicator="info", source=Source("A [link=x]label[/link]"))
    assert "A [bold red]finding[/]." in shown(card)
    assert "A [link=x]label[/link]" in shown(card)


def test_no_card_is_said_in_words() -> None:
    assert shown() == "  no cards: there is nothing to say to this request\n"
