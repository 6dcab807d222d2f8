"""A rulebook loads whole or not at all, and knows which version it serves."""

import pytest

from cds_service.errors import RulebookInvalid
from tests.unit.rulebook.support import RULE, Book

LEDGER = "heart/releases.yaml"


def test_a_sound_rulebook_loads(book: Book) -> None:
    found = book.load()
    version = found.version("heart", "1.0.0")
    assert version is not None
    assert version is found.version("heart")
    assert version.folder == book.folder / "heart" / "1.0.0"
    assert version.compiled.digest == version.release.digest
    assert list(found.services) == ["candidacy"]
    assert list(found.triggers) == ["heart"]
    assert found.version("lungs") is None
    assert found.version("heart", "9.9.9") is None


def test_a_rule_that_was_edited_has_another_digest_and_is_refused(book: Book) -> None:
    book.edit(RULE, "title: Heart disease", "title: Heart diseases")
    fault = book.refused()
    assert fault.file == "rules/heart/1.0.0/rule.yaml"
    assert "a version is never edited, a change is a new version" in fault.problem


def test_a_source_that_was_edited_changes_the_digest_of_the_rules_that_cite_it(book: Book) -> None:
    book.edit("sources.yaml", 'version: "18"', 'version: "19"')
    assert "has the digest" in book.refused().problem


def test_a_source_that_no_rule_cites_changes_no_digest(book: Book) -> None:
    book.edit("sources.yaml", "title: A quoted source", "title: Another quoted source")
    assert book.load().sources["hidden"].title == "Another quoted source"


@pytest.mark.parametrize(
    ("old", "new"), [("rule: heart\nver", "rule: lungs\nver"), ('version: "1.0.0"\n', 'version: "1.0.1"\n')]
)
def test_a_rule_in_another_rules_folder_is_refused(book: Book, old: str, new: str) -> None:
    book.edit(RULE, old, new)
    fault = book.refused()
    assert (fault.problem, fault.line) == ("names another rule or version than its folder", 1)


def test_a_version_of_the_ledger_without_a_file_is_refused(book: Book) -> None:
    (book.folder / RULE).unlink()
    assert book.refused().problem == "cannot be read: No such file or directory"


def test_a_service_that_runs_an_unknown_rule_is_refused(book: Book) -> None:
    book.edit("services.yaml", "rules: [heart]", "rules: [heart, lungs]")
    fault = book.refused()
    assert (fault.file, fault.problem) == (
        "rules/services.yaml",
        "service candidacy runs the rule lungs, which does not exist",
    )


def test_a_draft_is_served_only_when_the_setting_says_so(book: Book) -> None:
    found = book.load()
    assert [version.rule.rule for version in found.in_force("candidacy", serve_draft=True)] == ["heart"]
    with pytest.raises(RulebookInvalid, match="has no version that may be served"):
        found.in_force("candidacy", serve_draft=False)


def test_the_newest_version_that_may_be_served_is_in_force(book: Book) -> None:
    book.edit(LEDGER, "status: draft", "status: active")
    second = book.read(RULE).replace('version: "1.0.0"\n', 'version: "1.10.0"\n')
    book.write("heart/1.10.0/rule.yaml", second)
    first = book.read(LEDGER)
    entry = first[first.index("  - version") :].replace("1.0.0", "1.10.0").replace("active", "draft")
    book.write(LEDGER, first + entry)
    digest = book.refused().problem.split("digest ")[1].split(",")[0]
    book.write(LEDGER, first + entry.replace(entry.split("digest: ")[1].split("\n")[0], digest))
    found = book.load()
    newest = found.version("heart")
    assert newest is not None
    assert newest.rule.version == "1.10.0"
    served = {draft: found.in_force("candidacy", serve_draft=draft)[0].rule.version for draft in (True, False)}
    assert served == {True: "1.10.0", False: "1.0.0"}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("rule: heart", "rule: lungs", "is not the ledger of this rule in ascending versions"),
        ("status: draft", "status: tested", "Input should be 'draft', 'active' or 'retired'"),
        ('version: "1.0.0"', "version: 1.0", "Input should be a valid string"),
    ],
)
def test_a_ledger_that_is_wrong_is_refused(book: Book, old: str, new: str, problem: str) -> None:
    book.edit(LEDGER, old, new)
    fault = book.refused()
    assert (fault.file, fault.problem) == ("rules/heart/releases.yaml", problem)


def test_a_ledger_whose_versions_do_not_ascend_is_refused(book: Book) -> None:
    text = book.read(LEDGER)
    book.write(LEDGER, text + text[text.index("  - version") :])
    assert book.refused().problem == "is not the ledger of this rule in ascending versions"


def test_a_ledger_without_a_version_is_refused(book: Book) -> None:
    book.write(LEDGER, "rule: heart\nreleases: []\n")
    assert book.refused().problem == "is not the ledger of this rule in ascending versions"
