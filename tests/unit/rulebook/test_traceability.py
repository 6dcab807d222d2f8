"""docs/traceability.md: current, and every statement of the founding document leads to a rule or the evidence page."""

import functools

import pytest

from cds_service.rulebook.traceability import traceability, untraced
from tests.unit.rulebook.support import RULE, RULES, Book, real_rulebook

STATEMENTS = "founding_statements.yaml"


@functools.cache
def page() -> str:
    """The page of the project's own rules, made once."""
    return traceability(real_rulebook())


# ------------------------------------------------------------ the committed page


@pytest.mark.slow
def test_the_committed_page_is_current() -> None:
    text = (RULES.parent / "docs" / "traceability.md").read_text(encoding="utf-8")
    assert text == page(), "stale: cds-service rules traceability renews it"


def test_no_statement_of_the_founding_document_is_untraced() -> None:
    assert untraced(real_rulebook()) == []


def test_rules_and_topics_name_statements_that_the_founding_document_has() -> None:
    named = {number for topic in real_rulebook().evidence for number in topic.statements}
    for versions in real_rulebook().versions.values():
        named |= {number for version in versions.values() for number in version.rule.implements}
    assert sorted(named - real_rulebook().statements.keys()) == []


@pytest.mark.slow
def test_every_rule_and_topic_leads_back_to_a_statement_or_says_that_none_mentions_it() -> None:
    for name in real_rulebook().versions:
        version = real_rulebook().version(name)
        assert version is not None
        section = page().split(f"\n## {version.rule.title}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
        assert f"Origin: {', '.join(version.rule.implements) or 'not mentioned in the founding document'}." in section


# ------------------------------------------------------------ what a page says


def page_of(book: Book) -> list[str]:
    """The lines of a small rulebook's page."""
    return traceability(book.load()).splitlines()


@pytest.mark.parametrize(
    ("statements", "left"),
    [
        ('D5: "mechanism"\n', []),
        ('D5: "mechanism"\nD53: "heart disease"\n', []),
        ('D5: "mechanism"\nD6: "another thing"\nD53: "heart disease"\n', ["D6"]),
        ('D50: "another number that begins alike"\n', ["D50"]),
    ],
)
def test_a_statement_without_a_rule_or_a_topic_is_untraced(book: Book, statements: str, left: list[str]) -> None:
    book.write(STATEMENTS, statements)
    assert untraced(book.load()) == left


def test_a_statement_leads_to_the_rules_and_topics_that_take_it_up(book: Book) -> None:
    book.write(STATEMENTS, 'D5: "mechanism"\nD6: "nothing"\nD53: "heart disease"\n')
    lines = page_of(book)
    assert "| D5 | mechanism | - | Mechanism |" in lines
    assert "| D6 | nothing | - | - |" in lines
    assert "| D53 | heart disease | [heart](../rules/heart/1.0.0/page.md) | - |" in lines


def test_a_rule_shows_its_grades_with_card_cases_and_sources(book: Book) -> None:
    lines = page_of(book)
    assert "Rule [heart](../rules/heart/1.0.0/page.md) 1.0.0, 4 cases. Origin: D53." in lines
    assert (
        "| disease | met | `Heart disease on record ({disease.name}).` (warning) | 1 | label 5.7 (confirmed) |" in lines
    )
    assert "| minor | met | - | 1 | label 5.7 (confirmed) |" in lines


def test_a_rule_that_the_founding_document_does_not_mention_says_so(book: Book) -> None:
    book.edit(RULE, "implements: [D53]", "implements: []")
    book.seal()
    assert any("Origin: not mentioned in the founding document." in line for line in page_of(book))


def test_an_indicator_that_differs_by_jurisdiction_is_shown_for_each(book: Book) -> None:
    book.edit(RULE, "indicator: warning", "indicator: {US: warning, EU: info, UK: critical}")
    book.seal()
    assert any("(US warning, EU info, UK critical)" in line for line in page_of(book))


def test_a_topic_of_the_evidence_page_shows_its_sources_or_that_it_has_none(book: Book) -> None:
    assert "| Mechanism | D5 | label 12.1 (confirmed) |" in page_of(book)
    book.write("evidence.yaml", "- {topic: Open, statements: [], says: It is., not_established: All., cites: []}\n")
    assert "| Open |  | none |" in page_of(book)
