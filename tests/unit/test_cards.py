"""Cards from hand-made assessments: which ones, in which order, what each carries, and what is cut."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from cds_service.decision.assess import Assessment, Clause
from cds_service.decision.evidence import Course, Evidence
from cds_service.decision.facts import Record
from cds_service.decision.orders import KetamineOrder
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome
from cds_service.decision.rule import Rule
from cds_service.hooks.cards import (
    CANDIDACY,
    DETAIL_LIMIT,
    NO_CHANGE,
    SAFETY,
    SHORTENED,
    UNVERIFIED,
    CardRule,
    Draft,
    Situation,
    SourceLine,
    audience_card,
    cards_for,
    gap_only,
    label_status,
)
from cds_service.hooks.messages import Card, OverrideReason

FOOT = "Advisory only. Data read: nothing; as of today. Not found is not the same as absent."
WRONG = OverrideReason(code="OR-WRONG", system="urn:x", display="Record is wrong")
TESTED = OverrideReason(code="OR-TESTED", system="urn:x", display="Tested elsewhere")
DRAFTS = {
    "order": Draft("Test: draft order", "A test", {"resourceType": "ServiceRequest", "status": "draft"}),
    "task": Draft("Review: draft task", "A review", {"resourceType": "Task", "status": "draft"}),
}


def card_rule(
    name: str = "heart-disease",
    indicator: Any = "warning",
    *,
    grade: str = "caution",
    status: str = "draft",
    summary: str = "Heart disease on record ({disease.name}, {disease.date}).",
    suggest: tuple[str, ...] = (),
    overrides: tuple[str, ...] = ("OR-WRONG",),
    at_sign: dict[str, Any] | None = None,
    points: tuple[str, ...] = ("The label names caution.",),
) -> CardRule:
    """A rule with one grade, `found`, that has a card, and one, `quiet`, that has none."""
    card = {
        "indicator": indicator,
        "summary": summary,
        "points": list(points),
        "options": ["cardiology opinion", "another treatment"],
        "limits": "US: caution.",
        "overrides": list(overrides),
        "suggest": list(suggest),
        "topic_source": "label",
        "at_sign": at_sign,
    }
    found = {
        "id": "found",
        "finding": "met",
        "when": "otherwise",
        "grade": grade,
        "says": "It is on record.",
        "cites": ["label"],
    }
    rule = Rule.model_validate(
        {
            "rule": name,
            "version": "1.0.0",
            "title": f"{name.replace('-', ' ').capitalize()} before treatment",
            "purpose": "To show it.",
            "population": "Adults.",
            "implements": ["D1"],
            "factor": "A factor",
            "concerns": [],
            "citations": [
                {
                    "id": "label",
                    "source": "us-label",
                    "section": "5.7",
                    "text": None,
                    "says": "Caution.",
                    "status": "confirmed",
                }
            ],
            "value_sets": {},
            "facts": {},
            "criteria": {},
            "grades": [{**found, "card": card}, {**found, "id": "quiet", "card": None}],
            "otherwise": {"finding": "not met", "says": "Nothing was found."},
            "when_unknown": {},
            "limits": [],
        }
    )
    return CardRule(
        rule=rule,
        digest="d" * 64,
        page_url=f"https://cds.example/rules/{name}/1.0.0",
        status=status,
        sources={"us-label": SourceLine("US label", "https://label.example", "2026-03-13")},
        overrides={"OR-WRONG": WRONG, "OR-TESTED": TESTED},
        suggestions={key: DRAFTS[key] for key in suggest},
    )


def assessment(
    name: str = "heart-disease",
    outcome: Outcome = MET,
    grade: str | None = "found",
    indicator: str | None = "warning",
    **more: Any,
) -> Assessment:
    values = {"disease.name": "Atrial fibrillation", "disease.date": "2026-01-02"}
    given: dict[str, Any] = {"clauses": (), "values": values, **more}
    return Assessment(
        rule=name, version="1.0.0", digest="d" * 64, outcome=outcome, grade=grade, indicator=indicator, **given
    )


def situation(shows: Literal["candidacy", "orders"] = "orders", hook: str = "order-sign", **more: Any) -> Situation:
    given: dict[str, Any] = {
        "service": "ketamine-order-sign",
        "hook_instance": "i1",
        "patient_id": "p1",
        "jurisdiction": "US",
        "as_of": "today",
        "data_read": "Data read: nothing; as of today.",
        "index_url": "https://cds.example/rules",
        "evidence_url": "https://cds.example/evidence",
        **more,
    }
    return Situation(shows=shows, hook=hook, **given)


def cards_of(*findings: tuple[CardRule, Assessment], where: Situation | None = None) -> tuple[Card, ...]:
    rules = {rule.rule.rule: rule for rule, _ in findings}
    return cards_for([one for _, one in findings], rules, where or situation())


def the_card(rule: CardRule, one: Assessment, where: Situation | None = None) -> Card:
    card, _ = cards_of((rule, one), where=where)
    return card


def topics(cards: tuple[Card, ...]) -> list[str]:
    return [card.source.topic.code for card in cards if card.source.topic]


def sections(card: Card) -> list[str]:
    """The titles of the blocks of a detail, in their order."""
    return [line.strip("*") for line in (card.detail or "").split("\n") if line.startswith("**")]


# --- What a card carries ----------------------------------------------------------------------------------------------


def test_a_card_carries_every_block_in_the_order_of_the_reference() -> None:
    seen = Evidence("Condition/c1", "Atrial fibrillation", date="2026-01-02", status="active", note="patient-reported")
    one = assessment(evidence=(seen,), unknowns=("Whether it is current (no date)",))
    card = the_card(card_rule(suggest=("order",)), one)
    assert sections(card) == [
        *("Found", "Unknown", "What the sources say", "Limits", "Options to consider", "Sources", "Label status")
    ]
    assert card.detail is not None
    assert "- Atrial fibrillation, 2026-01-02, active, patient-reported (Condition/c1)" in card.detail
    assert "- Whether it is current (no date)" in card.detail
    assert f"- cardiology opinion\n- another treatment\n- {NO_CHANGE}" in card.detail
    assert "- US label, section 5.7, 2026-03-13 (confirmed)" in card.detail
    assert "Rule version: heart-disease 1.0.0." in card.detail
    assert "Content status draft: not clinically approved by this organisation." in card.detail
    assert card.detail.endswith(FOOT + "  ") or card.detail.endswith(FOOT)


def test_a_value_stands_behind_its_name() -> None:
    seen = Evidence("Observation/o1", "blood pressure", value="158/96 mmHg", date="2026-10-30")
    card = the_card(card_rule(), assessment(evidence=(seen,)))
    assert "- blood pressure: 158/96 mmHg, 2026-10-30 (Observation/o1)" in (card.detail or "")


def test_a_card_without_evidence_says_that_nothing_was_found() -> None:
    assert "- nothing in the data read" in (the_card(card_rule(), assessment()).detail or "")


def test_an_approved_rule_is_not_called_a_draft() -> None:
    assert "draft" not in (the_card(card_rule(status="active"), assessment()).detail or "")


@pytest.mark.parametrize("unverified", [True, False])
def test_the_mark_of_unverified_content_stands_exactly_where_it_decided(unverified: bool) -> None:
    card = the_card(card_rule(), assessment(unverified=unverified))
    assert (UNVERIFIED in (card.detail or "")) is unverified


def test_source_link_and_topic_are_those_of_the_rule() -> None:
    card = the_card(card_rule(), assessment())
    assert (card.source.label, card.source.url) == ("US label", "https://label.example")
    assert topics((card,)) == ["heartdisease"]
    (link,) = card.links
    assert (link.url, link.type) == ("https://cds.example/rules/heart-disease/1.0.0", "absolute")


def test_a_suggestion_is_a_draft_for_the_patient_of_the_request() -> None:
    card = the_card(card_rule(suggest=("order", "task")), assessment())
    first, second = (suggestion.actions[0].resource for suggestion in card.suggestions)
    assert first == {"resourceType": "ServiceRequest", "status": "draft", "subject": {"reference": "Patient/p1"}}
    assert second == {"resourceType": "Task", "status": "draft", "for": {"reference": "Patient/p1"}}
    assert card.selection_behavior == "any"
    assert len({suggestion.uuid for suggestion in card.suggestions}) == 2
    assert all(suggestion.is_recommended is None for suggestion in card.suggestions)
    assert "subject" not in DRAFTS["order"].resource, "the register's draft is not written into"


def test_without_suggestions_there_is_no_selection_behavior() -> None:
    assert the_card(card_rule(), assessment()).selection_behavior is None


def test_a_uuid_is_that_of_service_invocation_and_rule() -> None:
    def uuid_of(rule: str = "heart-disease", **more: Any) -> str | None:
        return the_card(card_rule(rule), assessment(rule), situation(**more)).uuid

    assert uuid_of() == uuid_of()
    assert len({uuid_of(), uuid_of(hook_instance="i2"), uuid_of(service="other"), uuid_of("pregnancy")}) == 4


# --- The summary ------------------------------------------------------------------------------------------------------


def test_placeholders_are_filled_and_what_is_not_known_is_said() -> None:
    assert the_card(card_rule(), assessment()).summary == "Heart disease on record (Atrial fibrillation, 2026-01-02)."
    unknown = the_card(card_rule(), assessment(values={}))
    assert unknown.summary == "Heart disease on record (not recorded, not recorded)."


def test_a_long_name_is_shortened_with_a_mark_and_the_summary_stays_below_140() -> None:
    long_name = the_card(card_rule(), assessment(values={"disease.name": "x" * 90, "disease.date": "2026"}))
    assert long_name.summary == f"Heart disease on record ({'x' * 37}..., 2026)."
    wordy = the_card(card_rule(summary="word " * 60), assessment())
    assert len(wordy.summary) <= 139
    assert wordy.summary.endswith("...")


# --- Courses ----------------------------------------------------------------------------------------------------------


def course(**changes: Any) -> Course:
    given: dict[str, Any] = {
        "ingredient": "sertraline",
        "drug_class": "SSRI",
        "start": "2026-01-01",
        "end": "2026-03-01",
        "dose": "100 mg/d",
        "minimum_mg": "50",
        "days_certain": 60,
        "days_possible": 60,
        "adequate": MET,
        "in_episode": MET,
        "counts": MET,
        "response": "not recorded",
        "why": "6 weeks or more",
        "ongoing": False,
        "records": (),
        **changes,
    }
    return Course(**given)


@pytest.mark.parametrize(
    ("changes", "days", "counted"),
    [
        ({}, "60", "yes: 6 weeks or more"),
        ({"counts": NOT_MET, "why": "too short"}, "60", "no: too short"),
        ({"counts": UNKNOWN, "days_possible": 90}, "60 to 90", "undecidable: 6 weeks or more"),
        ({"counts": UNKNOWN, "days_possible": 999_999}, "60 to unknown", "undecidable: 6 weeks or more"),
    ],
)
def test_a_course_is_a_row_that_says_why_it_counts(changes: dict[str, Any], days: str, counted: str) -> None:
    card = the_card(card_rule(CANDIDACY), assessment(CANDIDACY, courses=(course(**changes),)))
    row = f"| sertraline | 100 mg/d | 2026-01-01 | 2026-03-01 | {days} | not recorded | {counted} |"
    assert row in (card.detail or "")


def test_beside_the_table_the_records_that_are_no_medication_are_listed() -> None:
    depression = Evidence("Condition/c1", "Major depressive disorder")
    order = Evidence("MedicationRequest/m1", "sertraline")
    card = the_card(card_rule(CANDIDACY), assessment(CANDIDACY, courses=(course(),), evidence=(depression, order)))
    assert "- Major depressive disorder (Condition/c1)" in (card.detail or "")
    assert "MedicationRequest/m1" not in (card.detail or "")


def test_of_many_courses_the_first_twelve_are_shown_and_the_rest_is_counted() -> None:
    # Short cells, so that it is the count that cuts and not the length.
    many = tuple(course(ingredient=f"d{n}", why="x") for n in range(15))
    detail = the_card(card_rule(CANDIDACY), assessment(CANDIDACY, courses=many)).detail or ""
    assert "| d11 |" in detail
    assert "| d12 |" not in detail
    assert "and 3 more courses" in detail


# --- Which cards, in which order --------------------------------------------------------------------------------------


def test_a_contraindication_stands_before_everything_and_then_the_most_urgent() -> None:
    cards = cards_of(
        (card_rule("information", "info"), assessment("information", indicator="info")),
        (card_rule("warning-one"), assessment("warning-one")),
        (card_rule(SAFETY, "info"), assessment(SAFETY, indicator="info")),
        (card_rule("critical-one", "critical"), assessment("critical-one", indicator="critical")),
        (card_rule("label", grade="contraindication (label)"), assessment("label")),
    )
    assert topics(cards) == ["label", "criticalone", "warningone", "acutesuicidality", "datagaps"]


def test_information_without_a_card_of_its_own_stands_in_the_last_card() -> None:
    cards = cards_of((card_rule(indicator="info"), assessment(indicator="info")))
    assert topics(cards) == ["datagaps"]
    line = "**Met**\n\n- Heart disease: Heart disease on record (Atrial fibrillation, 2026-01-02)."
    assert line in (cards[0].detail or "")


def test_a_grade_without_a_card_shows_in_the_last_card_alone() -> None:
    (gaps,) = cards_of((card_rule(), assessment(grade="quiet", indicator=None)))
    assert "**Met**\n\n- Heart disease: It is on record." in (gaps.detail or "")


def cautions(*names: str, **more: Any) -> tuple[Card, ...]:
    findings = [(card_rule(name, suggest=("order",)), assessment(name, **more)) for name in names]
    return cards_of(*findings, where=situation("candidacy", "patient-view"))


def test_one_caution_in_a_patient_view_is_a_card_of_its_own() -> None:
    assert topics(cautions("heart-disease")) == ["heartdisease", "datagaps"]


def test_several_cautions_in_a_patient_view_are_one_card_with_a_section_each() -> None:
    merged, gaps = cautions("heart-disease", "blood-pressure", "pregnancy")
    assert topics((merged, gaps)) == ["cautions", "datagaps"]
    assert merged.summary == "3 cautions found in the data read: heart disease, blood pressure, pregnancy."
    assert (merged.detail or "").count("### Heart disease on record") == 3
    assert (merged.detail or "").count("**Options to consider**") == 3
    assert sections(merged).count("Label status") == 1
    assert len(merged.links) == 3
    assert [reason.code for reason in merged.override_reasons] == ["OR-WRONG"], "each reason once"
    assert [suggestion.label for suggestion in merged.suggestions] == ["Test: draft order"], "each draft once"
    assert merged.selection_behavior == "any"


def test_a_merged_card_has_the_indicator_and_the_source_of_its_most_urgent_caution() -> None:
    cards = cards_of(
        (card_rule("heart-disease"), assessment("heart-disease")),
        (card_rule("blood-pressure", "critical"), assessment("blood-pressure", indicator="critical")),
        where=situation("candidacy", "patient-view"),
    )
    assert cards[0].indicator == "critical"
    assert cards[0].summary == "2 cautions found in the data read: blood pressure, heart disease."


def test_safety_and_candidacy_are_never_merged() -> None:
    findings = [(card_rule(name), assessment(name)) for name in (CANDIDACY, SAFETY, "heart-disease", "blood-pressure")]
    cards = cards_of(*findings, where=situation("candidacy", "patient-view"))
    assert sorted(topics(cards)) == ["acutesuicidality", "cautions", "datagaps", "priorantidepressantfailures"]


# --- Indicators -------------------------------------------------------------------------------------------------------

RAISED = {"indicator": "warning", "when": "medications-read", "unless_met": [SAFETY]}


@pytest.mark.parametrize(
    ("hook", "read", "safety", "expected"),
    [
        ("order-sign", MET, UNKNOWN, "warning"),
        ("order-sign", MET, NOT_MET, "warning"),
        ("order-sign", MET, MET, "info"),
        ("order-sign", UNKNOWN, NOT_MET, "info"),
        ("order-sign", NOT_MET, NOT_MET, "info"),
        ("order-select", MET, NOT_MET, "info"),
        ("patient-view", MET, NOT_MET, "info"),
    ],
)
def test_fewer_trials_are_a_warning_at_signature_only_with_medications_read_and_no_acute_route(
    hook: str, read: Outcome, safety: Outcome, expected: str
) -> None:
    rule = card_rule(CANDIDACY, "info", at_sign=RAISED)
    one = assessment(CANDIDACY, NOT_MET, indicator="info", clauses=(Clause("medications-read", read),))
    other = (card_rule(SAFETY), assessment(SAFETY, safety, grade=None, indicator=None))
    shows: Literal["candidacy", "orders"] = "candidacy" if hook == "patient-view" else "orders"
    cards = cards_of((rule, one), other, where=situation(shows, hook))
    assert cards[0].indicator == expected


# --- Label status -----------------------------------------------------------------------------------------------------

ESKETAMINE = KetamineOrder(Record("MedicationRequest", "o1"), "esketamine", "esketamine-nasal")
KETAMINE = KetamineOrder(Record("MedicationRequest", "o2"), "ketamine", "ketamine-im")
ROUTELESS = KetamineOrder(Record("MedicationRequest", "o3"), "ketamine", None, "route not recorded")


@pytest.mark.parametrize("jurisdiction", ["US", "EU", "UK"])
def test_without_an_order_both_labels_are_told(jurisdiction: str) -> None:
    labelled, off_label = label_status(situation(jurisdiction=jurisdiction))
    assert "labelled" in labelled
    assert "off-label" in off_label
    assert ("FDA" in off_label) is (jurisdiction == "US")
    assert ("NICE" in labelled) is (jurisdiction == "UK")


@pytest.mark.parametrize(
    ("order", "more", "words"),
    [
        (ESKETAMINE, {}, "for the clinician"),
        (ESKETAMINE, {"in_labelled_population": MET}, "for the clinician"),
        (ESKETAMINE, {"in_labelled_population": NOT_MET}, "Outside the labelled population"),
        (KETAMINE, {"in_labelled_population": NOT_MET}, "off-label use"),
        (ROUTELESS, {}, "cannot be determined"),
    ],
)
def test_the_label_status_is_that_of_form_and_record(order: KetamineOrder, more: dict[str, Any], words: str) -> None:
    (line,) = label_status(situation(orders=(order,), **more))
    assert words in line


def test_orders_of_one_form_share_a_line() -> None:
    again = KetamineOrder(Record("MedicationRequest", "o9"), "ketamine", "ketamine-iv")
    assert len(label_status(situation(orders=(KETAMINE, again, ESKETAMINE)))) == 2


# --- The gap card -----------------------------------------------------------------------------------------------------


def test_with_nothing_open_the_last_card_says_what_was_checked() -> None:
    (gaps,) = cards_of((card_rule(), assessment(outcome=NOT_MET, grade=None, indicator=None)))
    assert gaps.summary == "1 checks were made on the data read: outcomes and dates in the details."
    assert "**Not met in the data read**\n\n- Heart disease\n" in (gaps.detail or "")
    assert sections(gaps) == ["Not met in the data read", "Label status", "Options to consider"]


def test_every_factor_stands_under_its_outcome() -> None:
    closed: dict[str, Any] = {"outcome": NOT_MET, "grade": None, "indicator": None}
    cards = cards_of(
        (card_rule("heart-disease"), assessment("heart-disease")),
        (card_rule("pregnancy"), assessment("pregnancy", UNKNOWN, None, None, unknowns=("Whether pregnant",))),
        (card_rule("psychosis"), assessment("psychosis", **closed)),
        (card_rule("liver"), assessment("liver", **closed)),
        # Not met, and with something to say of it.
        (card_rule("age", "info"), assessment("age", NOT_MET, indicator="info")),
    )
    assert (cards[-1].detail or "").startswith(
        "**Met**\n\n- Heart disease: It is on record.\n\n"
        "**Unknown**\n\n- Pregnancy: Whether pregnant\n\n"
        "**Not met in the data read**\n\n"
        "- Age: Heart disease on record (Atrial fibrillation, 2026-01-02).\n- Psychosis; Liver\n\n"
    )


def test_a_reason_that_several_factors_share_stands_once_with_their_names() -> None:
    def open_one(name: str, reason: str) -> tuple[CardRule, Assessment]:
        clause = Clause("c", UNKNOWN, reason=reason)
        return card_rule(name), assessment(
            name, UNKNOWN, None, None, clauses=(clause,), unknowns=(f"Whether there is {name} ({reason})",)
        )

    *_, gaps = cards_of(
        open_one("liver", "no conditions received"),
        open_one("age", "birth date not recorded"),
        open_one("bladder", "no conditions received"),
    )
    assert (gaps.detail or "").startswith(
        "**Unknown**\n\n- no conditions received: Liver; Bladder\n"
        "- Age: Whether there is age (birth date not recorded)\n"
    )


def test_what_is_open_beside_a_met_factor_stands_there_too() -> None:
    *_, gaps = cards_of((card_rule(), assessment(unknowns=("Whether it is recent",))))
    assert "**Unknown beside a factor that is met**\n\n- Heart disease: Whether it is recent\n" in (gaps.detail or "")
    assert gaps.summary.startswith("1 checks were made"), "the factor itself is known"


def test_an_unknown_with_a_grade_is_told_in_the_grades_words() -> None:
    one = assessment(outcome=UNKNOWN, indicator="info", unknowns=("Nothing was found.", "Whether it is current"))
    *_, gaps = cards_of((card_rule(indicator="info"), one))
    assert (gaps.detail or "").startswith(
        "**Unknown**\n\n- Heart disease: Heart disease on record (Atrial fibrillation, 2026-01-02).\n"
        "- Heart disease: Whether it is current\n"
    )
    assert "Nothing was found." not in (gaps.detail or "")


def test_everything_missing_is_counted_and_listed() -> None:
    one = assessment(outcome=UNKNOWN, grade=None, indicator=None, unknowns=("Whether it is current (no list)",))
    where = situation(
        gaps=("conditions: timeout",),
        quarantined=("Condition/c9: code: expected an object",),
        unclassified=(("MedicationRequest/m1", "little pink pill"),),
    )
    (gaps,) = cards_of((card_rule(), one), where=where)
    assert gaps.summary == "Some checks could not be made: 4 data items missing or unreadable."
    for line in (
        "- Heart disease: Whether it is current (no list)",
        "- conditions: timeout",
        "- Condition/c9: code: expected an object",
        "- MedicationRequest/m1: little pink pill",
    ):
        assert line in (gaps.detail or "")


def test_a_list_that_did_not_come_is_said_also_where_a_rule_decided_without_it() -> None:
    (gaps,) = cards_of((card_rule(), assessment(grade="quiet")), where=situation(gaps=("bloodPressure: refused",)))
    assert "- bloodPressure: refused" in (gaps.detail or "")
    assert "could not be made" in gaps.summary


def test_lists_that_did_not_come_for_one_cause_stand_together() -> None:
    where = situation(gaps=("conditions: not sent", "bloodPressure: timeout", "allergies: not sent"))
    (gaps,) = cards_of((card_rule(), assessment(grade="quiet")), where=where)
    assert "- conditions, allergies: not sent\n- bloodPressure: timeout\n" in (gaps.detail or "")


def test_of_long_lists_the_beginning_is_shown_and_the_rest_is_counted() -> None:
    one = assessment(outcome=UNKNOWN, grade=None, indicator=None, unknowns=tuple(f"reason {n}" for n in range(6)))
    where = situation(quarantined=tuple(f"Condition/c{n}: code" for n in range(15)))
    (gaps,) = cards_of((card_rule(), one), where=where)
    assert "reason 3" in (gaps.detail or "")
    assert "reason 4" not in (gaps.detail or "")
    assert "and 2 more" in (gaps.detail or "")
    assert "- and 3 more" in (gaps.detail or "")


def test_the_gap_card_can_stand_alone() -> None:
    where = situation("candidacy", "patient-view")
    (alone,) = gap_only([assessment()], {"heart-disease": card_rule()}, where)
    assert topics((alone,)) == ["datagaps"]


# --- Hostile and endless charts ---------------------------------------------------------------------------------------


def assert_whole(card: Card) -> None:
    """What belongs on every card is there, however long the chart."""
    assert len(card.detail or "") <= DETAIL_LIMIT
    assert SHORTENED in (card.detail or "")
    assert "**Label status**" in (card.detail or "")
    assert "**Options to consider**" in (card.detail or "")
    assert FOOT in (card.detail or "")


def test_a_long_chart_is_shortened_and_never_loses_options_label_status_and_foot() -> None:
    evidence = tuple(Evidence(f"Condition/{n}", "x" * 300, value="v" * 900, note="n" * 900) for n in range(40))
    assert_whole(the_card(card_rule(), assessment(evidence=evidence, unknowns=tuple("u" * 900 for _ in range(40)))))


def test_a_long_merged_card_says_less_in_each_section() -> None:
    evidence = tuple(Evidence(f"Condition/{n}", "A condition on record", date="2026-01-01") for n in range(12))
    merged, _ = cautions("heart-disease", "blood-pressure", "pregnancy", "substance-use", evidence=evidence)
    assert_whole(merged)
    assert (merged.detail or "").count("**Options to consider**") == 4
    assert "What the sources say" not in (merged.detail or "")


@pytest.mark.parametrize("count", [6, 20])
def test_of_many_cautions_none_is_lost(count: int) -> None:
    evidence = tuple(Evidence(f"Condition/{n}", "A condition on record", date="2026-01-01") for n in range(12))
    names = [f"caution-{chr(97 + n)}" for n in range(count)]
    findings = [
        (card_rule(name, summary=f"About {name}: on record."), assessment(name, evidence=evidence)) for name in names
    ]
    merged, _ = cards_of(*findings, where=situation("candidacy", "patient-view"))
    detail = merged.detail or ""
    assert len(detail) <= DETAIL_LIMIT
    assert detail.endswith(FOOT)
    for name in names:
        assert f"About {name}: on record." in detail
    for word in (SHORTENED, "ptions to consider", "another treatment", NO_CHANGE, "**Label status**"):
        assert word in detail
    assert len(merged.links) == count


NAMES = [f"factor-{chr(97 + n)}" for n in range(24)]


def test_reasons_are_shortened_before_a_factor_is_lost() -> None:
    findings = [(card_rule(name), assessment(name, UNKNOWN, None, None, unknowns=("u" * 300,))) for name in NAMES[:12]]
    (gaps,) = cards_of(*findings)
    assert (gaps.detail or "").count(f": {'u' * 117}...\n") == 12
    assert SHORTENED not in (gaps.detail or "")


def test_in_the_longest_chart_every_factor_keeps_its_outcome() -> None:
    endless = tuple("u" * 900 for _ in range(9))
    findings = [(card_rule(name), assessment(name, UNKNOWN, None, None, unknowns=endless)) for name in NAMES]
    where = situation(
        quarantined=tuple(f"Condition/c{n}: " + "q" * 900 for n in range(99)),
        unclassified=tuple((f"MedicationRequest/m{n}", "w" * 900) for n in range(99)),
    )
    (gaps,) = cards_of(*findings, where=where)
    assert_whole(gaps)
    named = "; ".join(name.replace("-", " ").capitalize() for name in NAMES)
    assert f"**Unknown**\n\n- {named}\n" in (gaps.detail or "")
    assert "and 96 more" in (gaps.detail or "")


# --- The form's card --------------------------------------------------------------------------------------------------

WEIGHT = Evidence("Observation/w", "Body weight", value="82.5 kg", date="2026-10-01")


def form_card(form: str, *, asked: bool = True, outcome: Outcome = MET, weight: Evidence | None = WEIGHT) -> str:
    """The detail of an order's card; each form is a grade of the form rule."""
    made = card_rule("order-form", "info")
    grades = [made.rule.grades[0].model_copy(update={"id": one}) for one in ("ketamine-iv", "ketamine-im")]
    rule = replace(made, rule=made.rule.model_copy(update={"grades": grades}))
    clause = Clause("recent-weight", outcome, evidence=(weight,) if weight else ())
    one = assessment("order-form", grade="ketamine-iv", indicator="info", clauses=(clause,))
    order = KetamineOrder(Record("MedicationRequest", "o1"), "ketamine", form)  # type: ignore[arg-type]
    card, _ = cards_of((rule, one), where=situation(orders=(order,), dose_arithmetic=asked))
    return card.detail or ""


def test_the_product_in_milligrams_is_shown_where_the_client_asked_for_it() -> None:
    line = "- 0.5 mg/kg x 82.5 kg (weight of 2026-10-01) = 41.3 mg, rounded to 0.1 mg: arithmetic on the published dose"
    detail = form_card("ketamine-iv")
    assert f"**Studied dose times weight**\n\n{line}" in detail
    assert "it is no order" in detail


@pytest.mark.parametrize(("form", "asked"), [("ketamine-iv", False), ("ketamine-im", True)])
def test_the_product_is_not_shown_unasked_nor_for_another_form(form: str, asked: bool) -> None:
    detail = form_card(form, asked=asked)
    assert "Studied dose times weight" not in detail
    assert "41" not in detail


@pytest.mark.parametrize(
    ("outcome", "weight"),
    [
        (UNKNOWN, WEIGHT),
        (NOT_MET, WEIGHT),
        (MET, None),
        (MET, Evidence("Observation/w", "Body weight", value="181 [lb_av]", date="2026-10-01")),
        (MET, Evidence("Observation/w", "Body weight", value=">80 kg", date="2026-10-01")),
    ],
)
def test_without_a_usable_recent_weight_in_kilograms_there_is_no_product(
    outcome: Outcome, weight: Evidence | None
) -> None:
    detail = form_card("ketamine-iv", outcome=outcome, weight=weight)
    assert "no product shown: no usable weight in kg of the last 90 days is on record" in detail
    assert " mg, rounded" not in detail


def test_an_endless_id_does_not_break_a_card() -> None:
    card = the_card(card_rule(), assessment(evidence=(Evidence("Condition/" + "x" * 9000, "Fibrillation"),)))
    assert FOOT in (card.detail or "")


# --- Readers who are no professionals ---------------------------------------------------------------------------------


def test_the_neutral_card_says_nothing_about_anybody() -> None:
    card = audience_card(situation())
    assert (card.indicator, card.suggestions, card.override_reasons, card.links) == ("info", (), (), ())
    assert topics((card,)) == ["audience"]
