"""Cards in the terminal, as a prescriber would read them in the EHR."""

from collections.abc import Iterable

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from cds_service.hooks.messages import Card

COLOURS = {"critical": "bold white on red", "warning": "bold black on yellow", "info": "bold white on blue"}
BORDERS = {"critical": "red", "warning": "yellow", "info": "blue"}


def show_cards(console: Console, cards: Iterable[Card], *, details: bool = True) -> None:
    """Print cards; without details only what an EHR shows before a card is opened."""
    cards = tuple(cards)
    if not cards:
        console.print("  no cards: there is nothing to say to this request", style="dim")
    for card in cards:
        console.print(Padding(_panel(card, details), (0, 0, 0, 2)))


def _panel(card: Card, details: bool) -> Panel:
    head = Text.assemble((f" {card.indicator.upper()} ", COLOURS[card.indicator]), " ", (card.summary, "bold"))
    parts: list[Text | Markdown | Padding] = [head]
    if details and card.detail:
        parts.append(Padding(Markdown(card.detail), (1, 0, 0, 0)))
    topic = f" [{card.source.topic.code}]" if card.source.topic else ""
    parts.append(Text(f"Source: {card.source.label}{topic}", style="dim"))
    for link in card.links:
        parts.append(Text(f"Link: {link.label}: {link.url}", style="dim"))
    if card.suggestions:
        parts.append(Text("Suggestions: " + "; ".join(one.label for one in card.suggestions), style="dim"))
    if card.override_reasons:
        reasons = "; ".join(one.display or one.code for one in card.override_reasons)
        parts.append(Text(f"Override reasons: {reasons}", style="dim"))
    return Panel(Group(*parts), border_style=BORDERS[card.indicator])
