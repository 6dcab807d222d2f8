"""The rules' pages are rendered once, on first reading, and kept; a version that does not exist has none."""

import pytest

from cds_service.console import rule_pages
from cds_service.console.rule_pages import RulePages
from cds_service.rulebook.load import Rulebook, RuleVersion
from tests.unit.rulebook.support import real_rulebook


def test_a_page_is_that_of_its_rule_and_version() -> None:
    pages = RulePages(real_rulebook())
    for name, versions in real_rulebook().versions.items():
        for number, version in versions.items():
            page = pages.page(name, number)
            assert page is not None
            assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
            assert version.release.digest in page


@pytest.mark.parametrize(
    ("rule", "version"),
    [("astrology", "1.0.0"), ("blood-pressure", "9.9.9"), ("blood-pressure", ""), ("", ""), ("../rules", "1.0.0")],
)
def test_a_version_that_does_not_exist_has_no_page(rule: str, version: str) -> None:
    assert RulePages(real_rulebook()).page(rule, version) is None


def test_a_page_is_rendered_once_and_only_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def render(version: RuleVersion, book: Rulebook) -> str:
        rendered.append(version.rule.rule)
        return version.rule.rule

    monkeypatch.setattr(rule_pages, "rule_page_html", render)
    pages = RulePages(real_rulebook())
    assert rendered == []
    assert [pages.page("age", "1.0.0"), pages.page("age", "1.0.0")] == ["age", "age"]
    assert pages.page("pregnancy", "1.0.0") == "pregnancy"
    assert rendered == ["age", "pregnancy"]


def test_the_index_leads_to_every_rule_and_to_the_evidence_page() -> None:
    index = RulePages(real_rulebook()).index
    for name, versions in real_rulebook().versions.items():
        for number in versions:
            assert f'href="rules/{name}/{number}"' in index
    assert 'href="evidence"' in index


def test_the_evidence_page_shows_every_topic_and_what_is_not_established() -> None:
    evidence = RulePages(real_rulebook()).evidence
    assert len(real_rulebook().evidence) > 3
    for topic in real_rulebook().evidence:
        assert topic.topic.split(" ")[0] in evidence
    assert evidence.count("established") >= len(real_rulebook().evidence)
