"""What cards say, over the whole cast, every service and every form: findings without verdict, directive or score."""

import re
from collections.abc import Iterator

import pytest

from cds_service.decision.assess import Assessment
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from cds_service.hooks.cards import CANDIDACY as TRIALS
from cds_service.hooks.cards import NO_CHANGE, SAFETY, UNVERIFIED
from cds_service.hooks.markdown import own
from cds_service.hooks.messages import Card
from tests.acceptance.gfm import render
from tests.acceptance.plain import EVERY, SNAPSHOTS, TELLING, Case, decided, rulebook, served, snapshot
from tests.acceptance.world import CANDIDACY, SELECT, SIGN

VERBS = (
    "stop start give prescribe treat cancel order measure check monitor assess consider refer avoid use switch review"
    " perform obtain discontinue confirm postpone"
).split()
# Where the verb is a noun as well, what follows it tells: "Order is ketamine intravenous: ..." says what is ordered.
NOUNS = re.compile(r"^(orders for|order is|checks of|measures of|review of)\b", re.I)
DIRECTIVE = re.compile(
    r"\b(must|should|shall|do not|don't|never|avoid|consider|need to|needs to|have to|ought)\b", re.I
)
MODAL = re.compile(rf"\b(can|could|may|might|will|would) (be )?({'|'.join(VERBS)})(ed|d|ped)?\b", re.I)
VERDICT = re.compile(
    r"\b(in?eligib\w+|eligib\w+|(un)?suitab\w+|safe|unsafe|candidate|candidacy|appropriate|indicated|advised)\b", re.I
)
SCORE = re.compile(r"\b(probabilit\w+|likelihood|likely|risk score|odds|percent chance)\b", re.I)
# Nobody in the room may read them over a shoulder.
SENSITIVE = re.compile(
    r"suicid|ideation|self-?harm|c-?ssrs|columbia|wish to be dead|better off dead|hurting yourself|kill|attempt|intent"
    r"|\bplan\b|\bdie\b|phq",
    re.I,
)
MAY_BE_CRITICAL = {
    "US": {
        *(("pregnancy", grade) for grade in ("pregnant", "positive-test")),
        *(("blood-pressure", grade) for grade in ("crisis-reading", "crisis-recorded")),
    }
}
MAY_BE_CRITICAL["EU"] = MAY_BE_CRITICAL["US"] | {("heart-disease", "recent-event")}


def shown() -> Iterator[tuple[Case, Card]]:
    return ((case, card) for case in (*EVERY, *TELLING) for card in decided(case).cards)


def topic(card: Card) -> str:
    return card.source.topic.code if card.source.topic else ""


def of(case: Case, card: Card) -> list[Assessment]:
    """The assessments that a card is about; of the gap card, all."""
    every = decided(case).assessments
    named = {link.url.split("/")[4] for link in card.links if link.url.count("/") > 4}
    return [one for one in every if one.rule in named] or list(every)


def is_contraindication(case: Case, one: Assessment) -> bool:
    grade = served()[case.service].card_rules[one.rule].grade(one.grade)
    return grade is not None and grade.grade == "contraindication (label)"


def options(card: Card) -> list[str]:
    """Every option of a card, of all its sections."""
    blocks = re.findall(r"\*\*Options to consider\*\*\n\n((?:- .*\n?)+)", card.detail or "")
    return [line.removeprefix("- ") for text in blocks for line in text.strip().split("\n")]


def spoken(card: Card) -> list[str]:
    """The texts under the strictest rule: summary, options, labels of suggestions and of reasons."""
    labels = [text for one in card.suggestions for text in (one.label, one.actions[0].description)]
    reasons = [one.display or "" for one in card.override_reasons]
    return [card.summary, *options(card), *labels, *reasons, *(link.label for link in card.links)]


def test_there_is_something_to_read() -> None:
    cards = [card for _, card in shown()]
    assert len(cards) > 1000
    assert {topic(card) for card in cards} >= {
        *("priorantidepressantfailures", "acutesuicidality", "pregnancy", "bloodpressure", "heartdisease"),
        *("substanceuse", "cautions", "datagaps"),
    }


def test_no_summary_option_or_label_directs() -> None:
    for case, card in shown():
        for text in spoken(card):
            assert not DIRECTIVE.search(text), (case, text)
            assert not MODAL.search(text), (case, text)
            first = text.split()[0].lower().rstrip(",:")
            assert first not in VERBS or NOUNS.match(text), (case, text)


def test_no_detail_directs_in_our_own_voice() -> None:
    """The heading "Options to consider" names a list; what a label says stands as the label's."""
    for case, card in shown():
        for line in (card.detail or "").replace("**Options to consider**", "").split("\n"):
            assert not DIRECTIVE.search(line), (case, line)


def test_no_card_of_any_rule_directs_or_judges_also_where_nobody_of_the_cast_gets_it() -> None:
    """What a label says stands as a quotation: there a rule writes "no food before", never "do not eat"."""
    for rule in (card_rule.rule for card_rule in served()[SIGN].card_rules.values()):
        for grade in (grade for grade in rule.grades if grade.card):
            assert grade.card is not None
            for text in (grade.card.summary, *grade.card.points, *grade.card.options, grade.card.limits):
                assert not DIRECTIVE.search(text), (rule.rule, text)
                assert not VERDICT.search(text), (rule.rule, text)
                assert not SCORE.search(text), (rule.rule, text)
            for text in (grade.card.summary, *grade.card.options):
                assert not MODAL.search(text), (rule.rule, text)
            assert not SENSITIVE.search(grade.card.summary), (rule.rule, grade.card.summary)


def test_no_card_gives_a_verdict_or_a_score() -> None:
    for case, card in shown():
        for text in (*spoken(card), card.detail or ""):
            assert not VERDICT.search(text), (case, VERDICT.search(text))
            assert not SCORE.search(text), (case, SCORE.search(text))


@pytest.mark.parametrize(
    "text",
    [
        *("Consider a test", "Order hCG now", "must be checked", "This patient is eligible", "Measure BP"),
        *("may be treated", "a suitable candidate", "Likelihood of response 40 %", "Check blood pressure"),
    ],
)
def test_the_word_lists_see_what_they_are_for(text: str) -> None:
    first = text.split()[0].lower()
    directs = DIRECTIVE.search(text) or MODAL.search(text) or (first in VERBS and not NOUNS.match(text))
    assert directs or VERDICT.search(text) or SCORE.search(text)


def test_no_summary_holds_a_sensitive_word() -> None:
    for case, card in shown():
        assert not SENSITIVE.search(card.summary), (case, card.summary)
        assert len(card.summary) < 140


def test_a_card_about_safety_is_never_merged_nor_silent_about_its_limits() -> None:
    cards = [card for _, card in shown() if topic(card) == "acutesuicidality"]
    assert cards
    for card in cards:
        assert "Limitations of Use" in (card.detail or "")
        assert "cautions found" not in card.summary


def test_every_card_has_its_blocks() -> None:
    for case, card in shown():
        detail = card.detail or ""
        if topic(card) == "datagaps":
            assert re.match(r"\*\*(Met|Unknown|Not met in the data read)\*\*\n", detail)
        else:
            assert "**Found**" in detail
        for block in ("**Options to consider**", "**Label status**", "Rule version: ", "Content status draft"):
            assert block in detail, (case, block)
        assert re.search(r"\n---\n", detail)
        assert "Advisory only. Data read: " in detail
        assert detail.rstrip().endswith("Not found is not the same as absent.")
        assert len(detail) <= 4000
        assert "(shortened" not in detail, "no chart of the cast is so long"
        if topic(card) != "datagaps":
            assert "**Sources**" in detail
            assert "**Limits**" in detail
            assert re.search(r", section .+ \((confirmed|secondary|unverified|design choice)\)", detail)


def test_every_card_offers_two_options_and_no_change() -> None:
    for case, card in shown():
        offered = options(card)
        assert len(set(offered)) >= 3, (case, offered)
        assert NO_CHANGE in offered


def test_what_is_unknown_about_a_card_stands_on_it() -> None:
    for case, card in shown():
        if topic(card) in ("cautions", "datagaps", "orderform"):
            continue
        (one,) = of(case, card)
        assert ("**Unknown**" in (card.detail or "")) is bool(one.unknowns), case


OUTCOMES = {"met": "Met", "unknown": "Unknown", "not met": "Not met in the data read"}


def under(card: Card, title: str) -> list[str]:
    """The lines of one list of a card."""
    found = re.search(rf"\*\*{title}\*\*\n\n((?:- .*\n)+)", card.detail or "")
    return [line.removeprefix("- ") for line in found[1].splitlines()] if found else []


def shared_reason(one: Assessment, line: str) -> str | None:
    return next((c.reason for c in one.clauses if c.reason and line.endswith(f" ({c.reason})")), None)


def test_every_factor_stands_in_the_last_card_under_its_outcome_and_nowhere_else() -> None:
    for case in EVERY:
        if not decided(case).cards:
            continue
        last = decided(case).cards[-1]
        assert topic(last) == "datagaps"
        named = {
            outcome: {name for line in under(last, title) for name in re.split(r"; |: ", line)}
            for outcome, title in OUTCOMES.items()
        }
        for one in decided(case).assessments:
            title = own(served()[case.service].card_rules[one.rule].rule.title.split(" before ")[0])
            assert [outcome for outcome in OUTCOMES if title in named[outcome]] == [one.outcome.value], (case, title)


def test_whatever_is_unknown_stands_in_the_last_card_with_its_reason() -> None:
    for case in (case for case in EVERY if decided(case).cards):
        lines = under(decided(case).cards[-1], "Unknown")
        for one in (one for one in decided(case).assessments if one.outcome is UNKNOWN):
            rule = served()[case.service].card_rules[one.rule].rule
            title = own(rule.title.split(" before ")[0])
            mine = [line for line in lines if title in re.split(r"; |: ", line)]
            for text in one.unknowns[:4]:
                reason = shared_reason(one, text)
                said = any(own(text)[:200] in line for line in mine)
                grouped = reason is not None and any(line.startswith(f"{own(reason)[:100]}") for line in mine)
                # A grade says in its own words what else "otherwise" would say.
                graded = one.grade is not None and text == rule.otherwise.says and mine
                assert said or grouped or graded, (case, text)


def test_every_record_found_is_named_with_its_date() -> None:
    """An order that is being written has none yet."""
    records = 0
    for _, card in shown():
        for text in re.findall(r"\*\*Found\*\*\n\n((?:[-|].*\n|\n(?=[-|]))+)", card.detail or ""):
            for line in (line for line in text.split("\n") if line.startswith("- ") and "nothing in the" not in line):
                records += 1
                assert ", draft order" in line or re.search(r", (\d{4}(-\d\d){0,2}|date unknown)\b", line), line
                assert re.search(r"\([A-Z][A-Za-z]+/\S+\)$", line), line
    assert records > 500


def test_the_mark_of_unverified_content_stands_where_an_unverified_claim_decided() -> None:
    marked = set()
    for case, card in shown():
        if topic(card) == "datagaps":
            continue
        mark = UNVERIFIED in (card.detail or "")
        marked.add(mark)
        cites = re.search(r", section .+ \((unverified|design choice)\)", card.detail or "")
        assert mark is any(one.unverified for one in of(case, card))
        assert mark or not cites, case
    assert marked == {True, False}


# --- Indicators and order ---------------------------------------------------------------------------------------------


def test_a_card_is_critical_only_for_what_may_be_critical() -> None:
    critical = set()
    for case, card in shown():
        if card.indicator != "critical":
            continue
        grades = {(one.rule, one.grade) for one in of(case, card)}
        critical |= grades & MAY_BE_CRITICAL[case.jurisdiction]
        labelled = any(is_contraindication(case, one) or one.rule == "age" for one in of(case, card))
        assert labelled or grades & MAY_BE_CRITICAL[case.jurisdiction], (case, card.summary)
    assert critical >= MAY_BE_CRITICAL["EU"], "each of them is seen"


def test_a_recent_cardiac_event_is_critical_in_the_eu_and_a_warning_in_the_us() -> None:
    person = "a-tablet-now-and-then-is-not-a-trial"

    def indicator(jurisdiction: str) -> str:
        case = Case(SIGN, person, "esketamine-nasal", jurisdiction)  # type: ignore[arg-type]
        return next(card.indicator for card in decided(case).cards if topic(card) == "heartdisease")

    assert [indicator(one) for one in ("US", "EU", "UK")] == ["warning", "critical", "critical"]


def test_the_most_urgent_card_comes_first_and_the_gaps_last() -> None:
    rank = {"critical": 0, "warning": 1, "info": 2}
    for case in EVERY:
        cards = decided(case).cards
        ranks = [rank[card.indicator] for card in cards]
        assert ranks == sorted(ranks), case
        assert all(topic(card) != "datagaps" for card in cards[:-1])


def test_few_trials_are_a_warning_at_signature_alone_and_only_under_their_conditions() -> None:
    seen = set()
    for case, card in shown():
        if "Fewer than 2 adequate" not in card.summary:
            continue
        outcomes = {one.rule: one for one in decided(case).assessments}
        read = next(one.outcome for one in outcomes[TRIALS].clauses if one.id == "medications-read")
        raised = case.service == SIGN and read is MET and outcomes[SAFETY].outcome is not MET
        assert outcomes[TRIALS].outcome is NOT_MET
        assert card.indicator == ("warning" if raised else "info"), case
        seen.add((case.service, raised))
    assert seen == {(CANDIDACY, False), (SELECT, False), (SIGN, True), (SIGN, False)}


# --- Displays and snapshots -------------------------------------------------------------------------------------------


def test_no_display_of_a_value_set_is_changed_by_a_reader_of_markdown() -> None:
    sets = {
        (one.id, one.version): one
        for versions in rulebook().versions.values()
        for version in versions.values()
        for one in version.sets.values()
    }
    displays = {entry.display for one in sets.values() for entry in one.codes.values()}
    assert len(displays) > 3000
    for display in displays:
        rendered = render(own(display))
        assert rendered.elements == ("p",), display
        assert rendered.text == " ".join(display.split()), display


@pytest.mark.parametrize("case", TELLING, ids=lambda case: case.name)
def test_the_cards_of_a_telling_patient_read_as_kept(case: Case) -> None:
    """After a change that is meant: `python -m tests.acceptance.plain`, and read the difference."""
    kept = SNAPSHOTS / f"{case.name}.txt"
    assert snapshot(case) == kept.read_text(encoding="utf-8")


def test_no_kept_text_is_of_nobody() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == {case.name for case in TELLING}
