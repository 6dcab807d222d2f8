"""The pages of rules: current, complete in words, inert whatever a rule file says, and readable by everybody."""

import dataclasses
import functools
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cds_service.decision.codes import Entry, ValueSet
from cds_service.decision.rule import Criterion, Fact, Rule, SetRef, When
from cds_service.rulebook import pages
from cds_service.rulebook.load import Rulebook, RuleVersion
from tests.unit.rulebook.support import RULES
from tests.unit.rulebook.support import real_rulebook as rulebook

PAGES = sorted(path.parent / "page.md" for path in RULES.glob("*/*/rule.yaml"))
NAMES = sorted(path.parent.parent.name for path in PAGES)
VOID = {"meta", "link", "img", "br", "hr", "input"}
FACTS: TypeAdapter[Fact] = TypeAdapter(Fact)
CRITERIA: TypeAdapter[Criterion] = TypeAdapter(Criterion)
WHENS: TypeAdapter[When] = TypeAdapter(When)


def version(rule: str = "blood-pressure", **changes: Any) -> RuleVersion:
    """A version of a real rule, with some of its texts changed."""
    found = rulebook().version(rule)
    assert found is not None
    return dataclasses.replace(found, rule=found.rule.model_copy(update=changes))


def with_status(found: RuleVersion, status: str, number: str = "1.0.0") -> RuleVersion:
    release = found.release.model_copy(update={"status": status, "version": number})
    return dataclasses.replace(found, release=release, rule=found.rule.model_copy(update={"version": number}))


def book_of(*versions: RuleVersion) -> Rulebook:
    by_version = {one.rule.version: one for one in versions}
    return dataclasses.replace(rulebook(), versions={versions[0].rule.rule: by_version})


class Document(HTMLParser):
    """What a browser or a screen reader meets: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def text_of(markdown: str) -> str:
    html, _ = pages.to_html(markdown)
    return Document(html).text


# ------------------------------------------------------------ the committed pages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.parent.name)
def test_the_committed_page_is_current(path: Path) -> None:
    found = rulebook().version(path.parent.parent.name, path.parent.name)
    assert found is not None
    assert path.read_text(encoding="utf-8") == pages.rule_page_markdown(found, rulebook()), (
        "stale: cds-service rules pages renews it"
    )


@pytest.mark.parametrize("rule", NAMES)
def test_a_page_holds_everything_a_rule_says(rule: str) -> None:
    found = version(rule)
    text = Document(pages.rule_page_html(found, rulebook())).text
    for sentence in sentences_of(found.rule):
        assert " ".join(sentence.split()) in text
    for name in (*found.rule.facts, *found.rule.criteria, *found.rule.value_sets):
        assert name in text
    for pinned in found.rule.value_sets.values():
        assert pinned.sha256 in text
    assert found.release.digest in text
    assert found.release.change in text


def sentences_of(rule: Rule) -> list[str]:
    cards = [grade.card for grade in rule.grades if grade.card]
    return [
        rule.title,
        rule.purpose,
        rule.population,
        rule.factor,
        *rule.implements,
        *rule.limits,
        *rule.not_this,
        *(citation.says for citation in rule.citations),
        *(grade.says for grade in rule.grades),
        rule.otherwise.says,
        *rule.when_unknown.values(),
        *(text for card in cards for text in (card.summary, card.limits, *card.points, *card.options)),
        *(rulebook().overrides[code].display for card in cards for code in card.overrides),
        *(rulebook().suggestions[name].label for card in cards for name in card.suggest),
    ]


# ------------------------------------------------------------ for everybody


INDEX = "index"


@functools.cache
def document_of(name: str) -> Document:
    html = pages.rule_index_html(rulebook()) if name == INDEX else pages.rule_page_html(version(name), rulebook())
    return Document(html)


@pytest.fixture(params=[*NAMES, INDEX])
def document(request: pytest.FixtureRequest) -> Document:
    return document_of(request.param)


def test_a_page_names_its_language_title_and_width(document: Document) -> None:
    assert document.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in document.all("meta")
    assert not document.open


def test_a_page_loads_nothing_and_runs_nothing(document: Document) -> None:
    assert not document.all("script", "link", "img", "iframe", "object", "embed", "form", "base")
    for _, attributes in document.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "style")]


def test_headings_begin_with_one_and_skip_no_level(document: Document) -> None:
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_anchors_are_unique_and_links_inside_the_page_lead_somewhere(document: Document) -> None:
    anchors = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    targets = [link["href"] or "" for link in document.all("a")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(anchors)


def test_a_heading_that_stands_twice_has_an_anchor_of_its_own() -> None:
    found = version()
    grades = [found.rule.grades[0].model_copy(update={"card": None, "id": name}) for name in ("one", "two")]
    page = pages.rule_page_html(version(title="One", grades=grades), rulebook())
    assert [page.count(f'id="{anchor}"') for anchor in ("one", "one-1", "two", "two-1")] == [1, 1, 1, 0]


def test_table_headers_say_what_they_head(document: Document) -> None:
    headers = document.all("th")
    assert headers
    assert all(header.get("scope") == "col" for header in headers)
    assert len(document.all("table")) == len([one for one in document.all("div") if one.get("role") == "region"])


def luminance(colour: str) -> float:
    digits = colour * 2 if len(colour) == 3 else colour
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("ink", "paper"),
    [("1b1f24", "ffffff"), ("0a4f91", "ffffff"), ("0a4f91", "eef1f4"), ("1b1f24", "eef1f4"), ("4d2a00", "fff4e0")],
)
def test_text_stands_out_from_its_ground(ink: str, paper: str) -> None:
    template = Path(pages.__file__).with_name("templates") / "page.html"
    assert f"#{ink}" in template.read_text(encoding="utf-8")
    assert (luminance(paper) + 0.05) / (luminance(ink) + 0.05) >= 7


# ------------------------------------------------------------ texts of rule files are inert


ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(str.strip)


@given(ASCII)
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    assert text_of(pages.escape(text)) == " ".join(text.split())


@given(ASCII)
def test_escaped_text_stays_in_its_list_item_and_table_cell(text: str) -> None:
    html, _ = pages.to_html(f"- {pages.escape(text)}\n\n| a | b |\n|---|---|\n| {pages.escape(text)} | end |\n")
    document = Document(html)
    assert [tag for tag, _ in document.elements if tag in ("li", "td", "a")] == ["li", "td", "td"]


@given(ASCII)
def test_a_code_reads_as_it_was_written(text: str) -> None:
    line = " ".join(text.split())
    assert text_of(f"x {pages.code(line)} y") == f"x {line} y"


def test_markup_in_a_rule_is_shown_and_not_followed() -> None:
    hostile = "<script>alert(1)</script> [here](javascript:x) | **bold** `code`"
    found = version(purpose=hostile, limits=[hostile])
    document = Document(pages.rule_page_html(found, rulebook()))
    assert document.text.count(hostile) == 2
    assert not document.all("script")
    assert not [link for link in document.all("a") if "javascript" in (link["href"] or "")]


def test_a_title_is_escaped_in_the_head_too() -> None:
    document = Document(pages.rule_page_html(version(title="A <b>bold</b> rule"), rulebook()))
    assert not document.all("b")


# ------------------------------------------------------------ status and history


def test_a_draft_says_that_nobody_approved_it() -> None:
    assert "not clinically approved by any organisation" in pages.rule_page_markdown(version(), rulebook())


def test_an_active_and_a_retired_version_say_so() -> None:
    for status, words in (("active", "Active: in force"), ("retired", "Retired: no longer served")):
        found = with_status(version(), status)
        assert words in pages.rule_page_markdown(found, book_of(found))


def test_an_older_version_names_the_newest_and_the_history_begins_with_it() -> None:
    older, newer = with_status(version(), "retired"), with_status(version(), "active", "1.1.0")
    page = pages.rule_page_markdown(older, book_of(older, newer))
    assert "A newer version of this rule is in the ledger: 1.1.0." in page
    assert page.index("| 1.1.0 | active |") < page.index("| 1.0.0 | retired |")
    assert "newer version" not in pages.rule_page_markdown(newer, book_of(older, newer))


def test_the_index_links_every_version_with_its_purpose() -> None:
    older, newer = with_status(version(), "retired"), with_status(version(), "active", "1.1.0")
    document = Document(pages.rule_index_html(book_of(older, newer)))
    links = [link["href"] for link in document.all("a") if not (link["href"] or "").startswith("#")]
    assert links == ["evidence", "rules/blood-pressure/1.1.0", "rules/blood-pressure/1.0.0"]
    assert older.rule.purpose in document.text
    assert "not clinically approved" not in document.text


def test_the_index_says_that_drafts_are_not_approved() -> None:
    assert "not clinically approved" in Document(pages.rule_index_html(rulebook())).text


def test_a_rule_page_leads_to_the_index() -> None:
    document = Document(pages.rule_page_html(version(), rulebook()))
    assert document.all("a")[1]["href"] == "../../rules"


# ------------------------------------------------------------ claims and codes


def test_a_claim_that_is_not_confirmed_is_marked() -> None:
    page = pages.rule_page_markdown(version("heart-disease"), rulebook())
    assert "**SECONDARY: seen only as quoted by another source**" in page
    assert pages.CLAIM_WORDS["unverified"] in pages.rule_page_markdown(version(), rulebook())
    assert pages.CLAIM_WORDS["design choice"] in pages.rule_page_markdown(version(), rulebook())


def test_a_claim_shows_the_text_it_was_checked_in_before_the_date_of_its_source() -> None:
    first, *rest = version().rule.citations
    named = version(citations=[first.model_copy(update={"text": "text of 2019"}), *rest])
    assert "| text of 2019 |" in pages.rule_page_markdown(named, rulebook())


def test_a_source_without_an_address_is_named_without_a_link() -> None:
    source = next(iter(rulebook().sources.values()))
    assert pages.source_link(source.model_copy(update={"url": None, "label": "A book"})) == "A book"
    assert pages.source_link(source.model_copy(update={"url": "https://x.example", "label": "A"})).startswith("[A]")


def test_every_unverified_code_of_a_rule_is_listed() -> None:
    found = version("acute-suicidality")
    expected = [code for one in found.sets.values() for (_, code), entry in one.codes.items() if not entry.verified]
    section = pages.rule_page_markdown(found, rulebook()).split("### Codes not yet verified")[1]
    assert expected
    assert re.findall(r"^\| `[\w-]+` \| [^|]+ \| `([^`]+)`", section, re.MULTILINE) == expected


def test_a_rule_of_verified_codes_says_so() -> None:
    found = version()
    checked = {name: verified(one) for name, one in found.sets.items()}
    page = pages.rule_page_markdown(dataclasses.replace(found, sets=checked), rulebook())
    assert "Every code of these value sets was found in the public source" in page


def verified(one: ValueSet) -> ValueSet:
    codes = {key: Entry(entry.key, entry.display, True, entry.columns) for key, entry in one.codes.items()}
    return ValueSet(one.id, one.version, one.title, one.sha256, codes)


def test_a_code_system_without_a_short_name_is_given_in_full() -> None:
    one = ValueSet("s", "1", "S", "0", {("urn:x", "1"): Entry(("urn:x", "1"), "One", False, {})})
    assert pages.unverified_codes([one])[0].system == "urn:x"


def test_empty_sections_say_that_nothing_is_named() -> None:
    page = pages.rule_page_markdown(version(limits=[], not_this=[], implements=[]), rulebook())
    assert "- None named." in page
    assert "- Nothing named." in page
    assert "**Founding document:** implements none" in page


# ------------------------------------------------------------ data about the person


def used(rule: str) -> dict[str, str]:
    return {what: str(use) for what, use in pages.demographics(version(rule).rule)}


def test_use_of_age_and_sex_is_computed_from_the_criteria() -> None:
    pregnancy = used("pregnancy")
    assert pregnancy["Age (date of birth)"] == "read, for `age-12-to-55`"
    assert pregnancy["Recorded sex"] == "read, for `capacity`"
    assert "audit-c-positive-women" in used("substance-use")["Recorded sex"]
    assert used("blood-pressure")["Recorded sex"] == used("blood-pressure")["Age (date of birth)"] == "not read"


def test_use_of_questionnaires_is_computed_from_the_observations_read() -> None:
    assert used("acute-suicidality")["Answers and scores of questionnaires"] == "read: `cssrs` and `phq9`"
    assert used("blood-pressure")["Answers and scores of questionnaires"] == "not read"


def test_what_no_rule_can_read_is_said_of_every_rule() -> None:
    for rule in rulebook().versions:
        assert used(rule)["Race and ethnicity"] == "not read: no rule can read it"


# ------------------------------------------------------------ the rule language in words


def a_set(*codes: str, **columns: str) -> dict[str, ValueSet]:
    entries = {("loinc", code): Entry(("loinc", code), f"Name {code}", True, columns) for code in codes}
    return {"vs": ValueSet("vs", "2026-11", "A set", "0", entries)}


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"set": "vs"}, "all 5 codes of `vs`"),
        ({"set": "vs", "codes": ["2", "3"]}, "`2` (Name 2) or `3` (Name 3) of `vs`"),
        ({"set": "vs", "where": {"tier": ["core"]}}, "the 5 of 5 codes of `vs` whose tier is core"),
        (
            {"set": "vs", "where": {"tier": ["core", "x"], "group": [""]}},
            "the 5 of 5 codes of `vs` whose tier is core or x and group is empty",
        ),
    ],
)
def test_a_selection_of_codes_in_words(ref: dict[str, Any], words: str) -> None:
    assert pages.set_words(SetRef.model_validate(ref), a_set(*"12345", tier="core")) == words


def test_few_codes_are_named_one_by_one() -> None:
    assert pages.set_words(SetRef(set="vs"), a_set("1")) == "1 code of `vs`: `1` (Name 1)"
    labelled = pages.set_words(SetRef(set="vs", where={"label": ["Short"]}), a_set("1", label="Short"))
    assert labelled == "the 1 of 1 codes of `vs` whose label is Short: `1` (Short)"


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (0, None, "of any age, also without a date"),
        (31, None, "31 days old or older"),
        (0, 36500, "of any age"),
        (0, 30, "at most 30 days old"),
        (31, 90, "31 to 90 days old"),
        (31, 36500, "31 to 36500 days old"),
    ],
)
def test_an_age_limit_in_words(first: int, last: int | None, words: str) -> None:
    assert pages.window_words(first, last) == words


@pytest.mark.parametrize(
    ("units", "words"), [([], "no unit"), (["{score}"], "points, or none"), (["mg", "[IU]/L"], "`mg` or `[IU]/L`")]
)
def test_units_in_words(units: list[str], words: str) -> None:
    assert pages.unit_words(units) == words


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"found": "crisis"}, "Is there a condition in `crisis`?"),
        ({"found": "last-bp"}, "Is there a reading in `last-bp`?"),
        ({"found": "score"}, "Is there a value in `score`?"),
        ({"found": "drug"}, "Is there a medication taken now in `drug`?"),
        ({"found": "allergy"}, "Is there an allergy or intolerance in `allergy`?"),
        ({"found": "procedure"}, "Is there a procedure in `procedure`?"),
        ({"found": "order", "says": ["ketamine"]}, "Is there an order in `order` that says `ketamine`?"),
        ({"value": "weight", "less_than": 0.1}, "Is the latest value of `weight` below 0.1?"),
        ({"found": "line", "says": ["a", "b"]}, "Is there evidence in `line` that says `a` or `b`?"),
        (
            {"value": "last-bp", "part": "systolic", "more_than": 140},
            "Is the systolic value of `last-bp` above 140 mmHg?",
        ),
        (
            {"value": "last-bp", "part": "diastolic", "at_least": 120.5},
            "Is the diastolic value of `last-bp` 120.5 mmHg or more?",
        ),
        (
            {"value": "score", "at_least": 3, "for_sex": "female"},
            "Is the latest value of `score` 3 or more (asked where the administrative gender is female)?",
        ),
        ({"stands": "line", "says": "a"}, "Does `line` hold evidence that says `a`?"),
        (
            {"stands": "line", "says": "a", "unless_later": ["b", "c"]},
            "Does `line` hold evidence that says `a`, with no later evidence that says `b` or `c`?",
        ),
        (
            {"follows": "line", "says": "b", "after": "a"},
            "Does `line` hold evidence that says `b`, dated on or after the day of evidence that says `a`, with none "
            "of the latter coming later again?",
        ),
        (
            {"count": "courses", "at_least": 2},
            "Do 2 or more different antidepressants have a course in `courses` that counts?",
        ),
        ({"age": "person", "at_least": 12, "at_most": 55}, "Is the age 12 to 55 years?"),
        ({"age": "person", "at_least": 18}, "Is the age 18 years or more?"),
        ({"age": "person", "at_most": 17}, "Is the age 17 years or less?"),
        (
            {"capacity_for_pregnancy": "person"},
            "Does the recorded sex say that the person can be pregnant (female: yes; male: no; else unknown)?",
        ),
        ({"read": "medications"}, "Was the list of medications read completely, and is it not empty?"),
    ],
)
def test_a_question_in_words(criterion: dict[str, Any], words: str) -> None:
    assert pages.question_words(CRITERIA.validate_python(criterion), rule_of_all_facts()) == words


ALLERGY = FACTS.validate_python({"kind": "allergies", "codes": [{"set": "vs"}], "recorded_as": "intolerance"})
PROCEDURE = FACTS.validate_python({"kind": "procedures", "codes": [{"set": "vs"}]})


@functools.cache
def rule_of_all_facts() -> Rule:
    facts = {
        **version("blood-pressure").rule.facts,
        **version("prior-antidepressant-failures").rule.facts,
        "score": version("substance-use").rule.facts["audit-c"],
        "line": version("pregnancy").rule.facts["pregnancy"],
        "person": version("pregnancy").rule.facts["person"],
        "dated": version("heart-disease").rule.facts["recent-event"],
        "drug": version("cns-depressants").rule.facts["opioid"],
        "any-drug": version("theophylline").rule.facts["theophylline"],
        "order": version("order-form").rule.facts["order"],
        "weight": version("order-form").rule.facts["weight"],
        "allergy": ALLERGY,
        "procedure": PROCEDURE,
    }
    return version().rule.model_copy(update={"facts": facts})


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"found": "crisis"}, "A list of conditions that is complete, readable and not empty."),
        ({"found": "dated"}, "and a date exact enough for the age limit"),
        ({"found": "last-bp"}, "A dated pair of systolic and diastolic values in mmHg"),
        ({"value": "score", "at_least": 3}, "A final, dated number"),
        ({"stands": "line", "says": "pregnant"}, "dates exact enough to say which evidence is later"),
        ({"count": "courses", "at_least": 2}, "drug code, start, end or supply, dose and how often"),
        ({"found": "drug"}, "whether it is still taken"),
        ({"found": "allergy"}, "the absence of allergies is an entry of it"),
        ({"found": "procedure"}, "A list of procedures that is complete and readable."),
        ({"found": "order"}, "Never unknown: the orders come with the request."),
        ({"age": "person", "at_least": 18}, "A date of birth"),
        ({"capacity_for_pregnancy": "person"}, "A recorded sex of female or male."),
        ({"read": "conditions"}, "Never unknown"),
    ],
)
def test_what_would_settle_an_unknown_in_words(criterion: dict[str, Any], words: str) -> None:
    assert words in pages.settle_words(CRITERIA.validate_python(criterion), rule_of_all_facts())


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("a", "`a` is met"),
        ({"not": "a"}, "`a` is not met"),
        ({"all": ["a", "b", {"not": "c"}]}, "`a` is met, `b` is met and `c` is not met"),
        ({"any": ["a", {"all": ["b", "c"]}]}, "`a` is met or (`b` is met and `c` is met)"),
        ({"not": {"any": ["a", "b"]}}, "not (`a` is met or `b` is met)"),
    ],
)
def test_a_condition_in_words(when: Any, words: str) -> None:
    assert pages.when_words(WHENS.validate_python(when)) == words


def test_an_indicator_that_differs_by_jurisdiction_names_each() -> None:
    assert pages.indicator_words("info") == "information"
    differing = pages.indicator_words({"US": "warning", "EU": "critical", "UK": "critical"})
    assert differing == "warning (US); critical (EU, UK)"


def answer_words(**line: Any) -> str:
    fact = FACTS.validate_python(
        {
            "kind": "timeline",
            "empty_list": "unknown",
            "lines": [{"id": "one", "says": ["a"], "observation": {"codes": [{"set": "vs"}], **line}}],
        }
    )
    return str(pages.reading("safety", fact, a_set("1")).lines[0].taken)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"answers": [{"set": "vs"}], "flag": True}, "1 code of `vs`: `1` (Name 1) or the value yes (true)"),
        ({"flag": False}, "the value no (false)"),
        ({"at_least": 5, "less_than": 25, "units": ["mg"]}, "a number of 5 or more and less than 25 (unit: `mg`)"),
        ({"less_than": 5}, "a number of less than 5 (unit: no unit)"),
        ({"date_ahead_days": 14}, "a date that lies ahead, or at most 14 days in the past"),
        ({"date_past_days": [36, 300]}, "a date that lies 36 to 300 days in the past"),
        (
            {"flag": False, "together": True},
            "the value no (false); each of these codes answered so on the same day",
        ),
    ],
)
def test_an_accepted_answer_in_words(line: dict[str, Any], words: str) -> None:
    assert answer_words(**line) == f"answer: {words}"


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ("crisis", "Clinical status: active, recurrence or relapse; or no status and no recorded end."),
        ("last-bp", "systolic outside 60 to 300, diastolic outside 30 to 200"),
        ("score", "Unit: points, or none."),
        ("line", "A list of conditions that arrived empty holds no evidence."),
        ("depression", "A list of conditions that arrived empty leaves what it may hold unknown."),
        ("courses", "42 covered days or more"),
        ("courses", "selegiline by mouth"),
        ("person", "age in completed years"),
        ("weight", "a value outside 20 to 600, as implausible or a value more than 30 % away from the one before"),
        ("drug", "a drug with a code of `cns-stimulant-products` is not searched for by name"),
        ("drug", "a dispense whose days of supply reach the as-of day"),
        ("allergy", "Recorded as an intolerance."),
        ("procedure", "Codes: 1 code of `vs`: `1` (Name 1)."),
        ("order", "the order then says `form-unknown`"),
    ],
)
def test_what_a_fact_reads_in_words(fact: str, words: str) -> None:
    rule = rule_of_all_facts()
    sets = {name: one for rule_id in rulebook().versions for name, one in version(rule_id).sets.items()} | a_set("1")
    points = pages.reading(fact, rule.facts[fact], sets).points
    assert any(words in point for point in points), points


def test_a_fact_says_nothing_of_what_it_does_not_ask_for() -> None:
    rule = rule_of_all_facts()
    sets = {**version("substance-use").sets, **version("theophylline").sets}
    assert not any("implausible" in point for point in pages.reading("score", rule.facts["score"], sets).points)
    assert not any("searched" in point for point in pages.reading("any-drug", rule.facts["any-drug"], sets).points)


def test_courses_without_a_route_excluded_say_nothing_of_it() -> None:
    found = version("prior-antidepressant-failures")
    fact = found.rule.facts["courses"].model_copy(update={"not_by_mouth": []})
    points = pages.reading("courses", fact, found.sets).points
    assert not any("by mouth" in point for point in points)


def test_a_timeline_says_nothing_of_lists_it_does_not_read() -> None:
    assert not any(
        "Observations" in point
        for point in pages.reading(
            "depression", rule_of_all_facts().facts["depression"], version("prior-antidepressant-failures").sets
        ).points
    )
    safety = FACTS.validate_python(
        {
            "kind": "timeline",
            "empty_list": "unknown",
            "lines": [{"id": "one", "says": ["a"], "observation": {"codes": [{"set": "vs"}], "flag": True}}],
        }
    )
    assert not any("onditions" in point for point in pages.reading("safety", safety, a_set("1")).points)


@pytest.mark.parametrize(
    "words",
    [
        lambda: pages.reading("x", object(), {}),  # type: ignore[arg-type]
        lambda: pages.question_words(object(), rule_of_all_facts()),  # type: ignore[arg-type]
        lambda: pages.when_words(object()),  # type: ignore[arg-type]
        lambda: pages._settled_by(object()),  # type: ignore[arg-type]
    ],
)
def test_what_the_rule_language_does_not_know_has_no_words(words: Any) -> None:
    with pytest.raises(AssertionError, match="Expected code to be unreachable"):
        words()


# ------------------------------------------------------------ cards


def section_of(page: str, title: str) -> str:
    return page.split(f"### {title}\n")[1].split("\n#")[0]


def test_a_card_says_that_a_provisional_diagnosis_lowers_it() -> None:
    page = pages.rule_page_markdown(version(), rulebook())
    assert "one level lower" in section_of(page, "Crisis recorded")
    assert "one level lower" not in section_of(page, "Crisis reading"), "no reading is provisional"
    assert "one level lower" not in section_of(page, "Hypertension no usable reading"), "nothing is below information"


def test_a_card_says_when_it_is_raised_at_signature() -> None:
    page = pages.rule_page_markdown(version("prior-antidepressant-failures"), rulebook())
    raised = (
        "When the order is signed: warning if `medications-read` is met, unless the rule `acute-suicidality` is met."
    )
    assert raised in section_of(page, "Fewer than two")


def test_a_card_says_on_whose_card_its_summary_is_a_line() -> None:
    page = pages.rule_page_markdown(version("cns-depressants"), rulebook())
    line = "its summary is also a line on the card of `order-form`"
    assert line in section_of(page, "Respiratory risk")
    assert line not in section_of(page, "Depressant")


def test_a_grade_without_a_card_says_so() -> None:
    page = pages.rule_page_markdown(version("pregnancy"), rulebook())
    assert "- **Card:** none of its own" in section_of(page, "Not pregnant")


def test_a_grade_met_otherwise_says_when() -> None:
    page = pages.rule_page_markdown(version("pregnancy"), rulebook())
    assert "- **When:** none of the grades above is met" in section_of(page, "Status unknown")


def test_a_table_of_a_page_without_heading_needs_no_name() -> None:
    html, sections = pages.to_html("| a |\n|---|\n| b |\n")
    assert 'aria-label="Table: "' in html
    assert sections == []
