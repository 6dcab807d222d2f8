"""Every law has a rule that breaks it, and the message names file, line and key."""

import pytest

from cds_service.decision.rule import Rule
from cds_service.rulebook.files import read_model
from cds_service.rulebook.laws import Registers, faults
from cds_service.rulebook.registers import read_overrides, read_sources, read_suggestions
from cds_service.rulebook.value_sets import read_value_set
from tests.unit.rulebook.support import RULE, Book

SCORE = "  disease:\n    kind: score\n    codes: [{set: heart}]\n    units: []"
PRESSURE = """\
  disease:
    kind: blood pressure
    codes: {set: heart}
    panels: {set: heart}
    systolic: "1"
    diastolic: "2"
    within_days: 30
    pair_minutes: 5
    plausible_systolic: [60, 300]
    plausible_diastolic: [30, 200]"""
CONDITIONS = "  disease:\n    kind: conditions\n    codes: [{set: heart, where: {tier: [core]}}]\n    clinical: current"
LINE = "- {id: minor, says: [minor], condition: {codes: [{set: heart}], clinical: any}}"
PERSON = "facts:\n  person: {kind: patient}\n"
ANSWER = "- {id: minor, says: [minor], observation: {codes: [{set: heart}], answers: [{set: heart}]}}"
COURSES = """\
  disease:
    kind: antidepressant courses
    ingredients: {set: heart}
    products: {set: heart}
    augmentation: {set: heart}
    other_indications: {set: heart}
    stop_reasons: {set: heart}
    routes: {set: elsewhere}
    episode: [{set: heart}]
    remission: [{set: heart}]
    adequate_days: 42
    borderline_days: 28
    gap_days: 30
    previous_episode_days: 60
    depression_score: {set: heart}
    score_recent_days: 90
    score_start_days: 14
    score_after_days: 28
    ongoing_score_at_least: 10
    nonresponse_change_below_percent: 25
    response_change_from_percent: 50"""

ONE_BOUND = "needs one bound: more_than, at_least, less_than or more_than_upper_limits"

# what is written, in place of what; the key named; what the message says; a text on the line named
BROKEN = {
    "a value set that is not pinned": (
        "codes: [{set: heart, where",
        "codes: [{set: lungs, where",
        "facts.disease",
        "reads value set lungs, which value_sets does not pin",
        "disease:",
    ),
    "a value set of courses that is not pinned": (
        CONDITIONS,
        COURSES,
        "facts.disease",
        "reads value set elsewhere, which value_sets does not pin",
        "disease:",
    ),
    "a table of known drugs that is not pinned": (
        CONDITIONS,
        "  disease: {kind: medications, codes: [{set: heart}], known: [{set: elsewhere}]}",
        "facts.disease",
        "reads value set elsewhere, which value_sets does not pin",
        "disease:",
    ),
    "a table of routes that is not pinned": (
        CONDITIONS,
        "  disease: {kind: orders, codes: {set: heart}, routes: {set: elsewhere}}",
        "facts.disease",
        "reads value set elsewhere, which value_sets does not pin",
        "disease:",
    ),
    "a selection without codes": (
        "tier: [core]",
        "tier: [gone]",
        "facts.disease",
        "selects no code of heart",
        "disease:",
    ),
    "a value set that is pinned and not used": (
        "facts:\n",
        '  spare: {version: "1", sha256: "' + "0" * 64 + '"}\n\nfacts:\n',
        "value_sets.spare",
        "is pinned and not used",
        "spare:",
    ),
    "observations of a subject without a prefetch key": (
        CONDITIONS,
        SCORE,
        "facts",
        "reads observations of heart, for which no prefetch key exists",
        "facts:",
    ),
    "observation answers of a subject without a prefetch key": (
        LINE,
        ANSWER,
        "facts",
        "reads observations of heart, for which no prefetch key exists",
        "facts:",
    ),
    "a timeline line that reads nothing": (
        LINE,
        f"{LINE}\n      - {{id: idle, says: [minor]}}",
        "facts.story.lines",
        "line idle reads either a condition or an observation",
        "lines:",
    ),
    "a question that the kind of fact cannot answer": (
        "disease-recorded: {found: disease}",
        "disease-recorded: {age: disease}",
        "criteria.disease-recorded",
        "asks of disease what that kind of fact cannot answer",
        "disease-recorded:",
    ),
    "a question about a fact that is not defined": (
        "disease-recorded: {found: disease}",
        "disease-recorded: {found: diseases}",
        "criteria.disease-recorded",
        "asks of diseases what that kind of fact cannot answer",
        "disease-recorded:",
    ),
    "a word that no line says": (
        "says: minor}",
        "says: major}",
        "criteria.minor-stands",
        "names major, which no line of story says",
        "minor-stands:",
    ),
    "a rival word that no line says": (
        "says: minor}",
        "says: minor, unless_later: [gone]}",
        "criteria.minor-stands",
        "names gone, which no line of story says",
        "minor-stands:",
    ),
    "a following word that no line says": (
        "{stands: story, says: minor}",
        "{follows: story, says: minor, after: gone}",
        "criteria.minor-stands",
        "names gone, which no line of story says",
        "minor-stands:",
    ),
    "a word asked of a fact that has none": (
        "{found: disease}",
        "{found: disease, says: [minor]}",
        "criteria.disease-recorded",
        "names minor, which no line of disease says",
        "disease-recorded:",
    ),
    "a fact that nobody asks about": (
        "facts:\n",
        PERSON,
        "facts.person",
        "is defined and not asked about",
        "person:",
    ),
    "a grade on a criterion that is not defined": (
        "when: disease-recorded",
        "when: {any: [disease-recorded, disease-known]}",
        "grades",
        "name the criterion disease-known, which is not defined",
        "grades:",
    ),
    "a criterion that no grade uses": (
        "when: minor-stands",
        "when: {not: disease-recorded}",
        "criteria.minor-stands",
        "is defined and not used by a grade",
        "minor-stands:",
    ),
    "two grades with one id": (
        "- id: minor",
        "- id: disease",
        "grades",
        "two grades have the same id",
        "grades:",
    ),
    "a grade that cannot be reached": (
        "    when: disease-recorded",
        "    when: otherwise",
        "criteria.disease-recorded",
        "is defined and not used by a grade",
        "disease-recorded:",
    ),
    "a grade behind one that is always met": (
        "  - id: minor\n",
        "  - {id: always, finding: met, when: otherwise, grade: caution, says: Yes., cites: [cited]}\n  - id: minor\n",
        "grades.always",
        "is met always, so that no later grade can be reached",
        "grades:",
    ),
    "the evidence of a fact that is not defined": (
        "evidence: [disease]",
        "evidence: [diseases]",
        "grades.disease",
        "lists the evidence of diseases, which is not defined",
        "grades:",
    ),
    "an unknown without words": (
        "  minor-stands: Whether a minor finding is on record\n",
        "",
        "when_unknown",
        "says nothing of minor-stands, which can be unknown",
        "when_unknown:",
    ),
    "words for a criterion that is not defined": (
        "when_unknown:\n",
        "when_unknown:\n  gone: Whether it is gone\n",
        "when_unknown.gone",
        "speaks of a criterion that is not defined",
        "gone:",
    ),
    "a citation that is not there": (
        "    cites: [cited]\n    evidence",
        "    cites: [cited, another]\n    evidence",
        "grades",
        "cite another, which is not a citation",
        "grades:",
    ),
    "a citation that nobody uses": (
        "citations:\n",
        'citations:\n  - {id: spare, source: label, section: "1", says: It says so., status: confirmed}\n',
        "citations.spare",
        "is not used by a grade",
        "citations:",
    ),
    "a source that the register lacks": (
        "source: label",
        "source: labels",
        "citations.cited",
        "names the source labels, which the register lacks",
        "citations:",
    ),
    "a placeholder of a fact that is not defined": (
        "({disease.name})",
        "({diseases.name})",
        "grades.disease.card",
        "has the placeholder {diseases.name}, which cannot be filled",
        "grades:",
    ),
    "a placeholder that no fact has": (
        "({disease.name})",
        "({disease.colour})",
        "grades.disease.card",
        "has the placeholder {disease.colour}, which cannot be filled",
        "grades:",
    ),
    "a summary that may grow too long": (
        "Heart disease on record ({disease.name}).",
        "Heart disease on record ({disease.name}); " + "x" * 71 + ".",
        "grades.disease.card.summary",
        "can reach 140 characters; the limit is 139",
        "grades:",
    ),
    "a verdict": (
        "limits: All forms.",
        "limits: The patient is eligible.",
        "grades.disease.card",
        "uses the word 'eligible'",
        "grades:",
    ),
    "an option that is a directive": (
        "- cardiology opinion",
        "- Consider a cardiology opinion",
        "grades.disease.card.options",
        "begins with the directive 'Consider': options are noun phrases",
        "grades:",
    ),
    "an override reason that the register lacks": (
        "overrides: [OR-BENEFIT]",
        "overrides: [OR-GONE]",
        "grades.disease.card.overrides",
        "names OR-GONE, which the register lacks",
        "grades:",
    ),
    "two override reasons that feedback cannot tell apart": (
        "overrides: [OR-BENEFIT]",
        "overrides: [OR-TODAY, OR-NOW]",
        "grades.disease.card.overrides",
        "offers two reasons that feedback cannot tell apart",
        "grades:",
    ),
    "a suggestion that the register lacks": (
        "suggest: [ecg]",
        "suggest: [mri]",
        "grades.disease.card.suggest",
        "names mri, which the register lacks",
        "grades:",
    ),
    "an indicator for some jurisdictions only": (
        "indicator: warning",
        "indicator: {US: warning, EU: info}",
        "grades.disease.card.indicator",
        "names some jurisdictions and not others",
        "grades:",
    ),
    "a card raised by a rule that does not exist": (
        "topic_source: cited",
        "topic_source: cited\n      at_sign: {indicator: critical, when: disease-recorded, unless_met: [lungs]}",
        "grades.disease.card.at_sign",
        "names a rule that does not exist",
        "grades:",
    ),
}


@pytest.mark.parametrize(("old", "new", "key", "problem", "marker"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_law_is_named_with_file_line_and_key(
    book: Book, old: str, new: str, key: str, problem: str, marker: str
) -> None:
    book.write("value_sets/spare/1.csv", book.read("value_sets/heart/1.csv"))
    book.write("value_sets/spare/1.yaml", book.read("value_sets/heart/1.yaml"))
    book.edit(RULE, old, new)
    fault = book.refused()
    assert (fault.file, fault.key, fault.problem) == ("rules/heart/1.0.0/rule.yaml", key, problem)
    assert fault.line == book.line(RULE, marker)
    assert fault.sentence.endswith(f"rules/heart/1.0.0/rule.yaml:{fault.line}: {key}: {problem}")


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ("{value: disease, part: systolic}", ONE_BOUND),
        ("{value: disease, part: systolic, more_than: 1, at_least: 1}", ONE_BOUND),
        ("{value: disease, part: systolic, less_than: 1, more_than_upper_limits: 1}", ONE_BOUND),
        ("{value: disease, at_least: 1}", "part belongs to a blood pressure, and to nothing else"),
    ],
)
def test_a_value_is_compared_with_one_bound_and_a_pressure_with_one_of_its_parts(
    book: Book, criterion: str, problem: str
) -> None:
    book.edit(RULE, CONDITIONS, PRESSURE)
    book.edit(RULE, "disease-recorded: {found: disease}", f"disease-recorded: {criterion}")
    rule = read_model(book.folder / RULE, Rule)
    sets = {"heart": read_value_set(book.folder / "value_sets", "heart", "1")}
    found = list(faults(rule, Registers(sets, {}, {}, {}, frozenset())))
    assert ("criteria.disease-recorded", problem) in found


def test_a_pinned_hash_that_is_not_the_files_is_refused(book: Book) -> None:
    text = book.read(RULE)
    start = text.index("sha256: ") + len('sha256: "')
    book.write(RULE, text[:start] + "0" * 64 + text[start + 64 :])
    fault = book.refused()
    assert (fault.key, fault.problem) == ("value_sets.heart", "has another content hash than the file on disk")


def test_a_source_that_no_card_may_show_is_not_cited(book: Book) -> None:
    book.edit("sources.yaml", "label: A quoted source", "label: A quoted source\n  never_on_cards: true")
    book.edit(RULE, "source: label", "source: hidden")
    assert book.refused().problem == "names the source hidden, which no card may cite"


def test_a_cards_topic_source_has_an_address(book: Book) -> None:
    book.edit(RULE, "source: label", "source: hidden")
    assert book.refused().problem == "names a source without an address"


def test_a_question_about_a_whole_list_needs_no_words(book: Book) -> None:
    book.edit(RULE, "criteria:\n", "criteria:\n  conditions-read: {read: conditions}\n")
    book.edit(RULE, "when: minor-stands", "when: {all: [minor-stands, conditions-read]}")
    book.seal()
    assert book.load().version("heart") is not None


def test_every_broken_law_is_found_and_a_question_that_cannot_be_answered_breaks_no_second_one(book: Book) -> None:
    book.edit(RULE, "{found: disease}", "{stands: disease, says: gone}")
    book.edit(RULE, "{stands: story, says: minor}", "{stands: story, says: gone}")
    book.edit(RULE, "limits: All forms.", "limits: The patient is eligible.")
    rule = read_model(book.folder / RULE, Rule)
    known = book.folder / "sources.yaml"
    registers = Registers(
        {"heart": read_value_set(book.folder / "value_sets", "heart", "1")},
        read_sources(known),
        read_overrides(known.with_name("override_reasons.yaml")),
        read_suggestions(known.with_name("suggestions.yaml")),
        frozenset({"heart"}),
    )
    assert list(faults(rule, registers)) == [
        ("criteria.disease-recorded", "asks of disease what that kind of fact cannot answer"),
        ("criteria.minor-stands", "names gone, which no line of story says"),
        ("grades.disease.card", "uses the word 'eligible'"),
    ]


@pytest.mark.parametrize(
    ("word", "known"), [("ketamine", True), ("form-unknown", True), ("ketamine-iv", True), ("ketamine-in-tea", False)]
)
def test_an_order_is_asked_for_by_a_drug_or_a_form_that_orders_have(book: Book, word: str, known: bool) -> None:
    book.edit(RULE, CONDITIONS, "  disease: {kind: orders, codes: {set: heart}, routes: {set: heart}}")
    book.edit(RULE, "{found: disease}", f"{{found: disease, says: [{word}]}}")
    rule = read_model(book.folder / RULE, Rule)
    sets = {"heart": read_value_set(book.folder / "value_sets", "heart", "1")}
    found = [problem for _, problem in faults(rule, Registers(sets, {}, {}, {}, frozenset()))]
    assert (f"names {word}, which no line of disease says" not in found) is known


def test_lines_of_every_timeline_are_checked_and_sound_ones_pass(book: Book) -> None:
    book.edit(RULE, LINE, f"{LINE}\n      - {{id: idle, says: [minor]}}\n      - {{id: last, says: [minor]}}")
    rule = read_model(book.folder / RULE, Rule)
    sets = {"heart": read_value_set(book.folder / "value_sets", "heart", "1")}
    found = [problem for key, problem in faults(rule, Registers(sets, {}, {}, {}, frozenset())) if "lines" in key]
    assert found == [f"line {name} reads either a condition or an observation" for name in ("idle", "last")]
