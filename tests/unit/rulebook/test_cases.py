"""Cases are small charts in a clinician's words: strict to write, exact to compare, and a law of what they show."""

from decimal import Decimal
from typing import Any

import pytest

from cds_service.decision.facts import (
    CodedValue,
    DateValue,
    DoseStep,
    FlagValue,
    Gap,
    PatientFacts,
    Quantity,
    TextValue,
)
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.cases import (
    Cannot,
    Given,
    facts_of,
    read_cases,
    read_code,
    read_dose,
    read_instant,
    read_value,
    read_when,
    run_case,
    run_cases,
    unseen,
)
from tests.unit.decision.support import AS_OF, coding, span
from tests.unit.rulebook.support import Book

CASES = "heart/1.0.0/cases.yaml"
TODAY = AS_OF.day


# ------------------------------------------------------------ the small words


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-03", "2026-03"), ("30 d ago", "2026-10-02"), ("0 d ago", "2026-11-01"), ("2 d ahead", "2026-11-03")],
)
def test_a_date_is_written_out_or_counted_from_the_as_of_day(text: str, expected: str) -> None:
    assert read_when(text, TODAY) == span(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("150 mm[Hg]", Quantity(Decimal(150), "mm[Hg]")),
        ("<5 [IU]/L", Quantity(Decimal(5), "[IU]/L", "<")),
        (">= 1.5", Quantity(Decimal("1.5"), None, ">=")),
        (12, Quantity(Decimal(12))),
        (1.5, Quantity(Decimal("1.5"))),
        (True, FlagValue(True)),
        ("loinc|LA33-6", CodedValue((coding("loinc|LA33-6"),))),
        ("text not seen", TextValue("not seen")),
        ("date 3 d ago", DateValue(span("2026-10-29"))),
    ],
)
def test_a_value_is_written_as_a_clinician_writes_it(given: Any, expected: Any) -> None:
    assert read_value(given, TODAY) == expected


@pytest.mark.parametrize(
    ("text", "low", "high", "unit", "least", "most"),
    [
        ("100 mg daily", 100, 100, "mg", 1, 1),
        ("1-2 tablets twice daily", 1, 2, "tablets", 2, 2),
        ("5 mg 2-3 times daily", 5, 5, "mg", 2, 3),
        ("5 mg 3 times daily", 5, 5, "mg", 3, 3),
        ("10 mg every other day", 10, 10, "mg", "0.5", "0.5"),
        ("20 mg", 20, 20, "mg", None, None),
        ("2", 2, 2, None, None, None),
    ],
)
def test_a_dose_is_written_as_a_clinician_writes_it(
    text: str, low: Any, high: Any, unit: Any, least: Any, most: Any
) -> None:
    numbers = [None if number is None else Decimal(str(number)) for number in (low, high, least, most)]
    assert read_dose(text) == DoseStep(numbers[0], numbers[1], unit, numbers[2], numbers[3])


def test_a_dose_may_not_be_said() -> None:
    assert read_dose("not said") == DoseStep()
    assert read_dose("90 mg weekly").per_day_low == Decimal(1) / 7


def test_a_code_may_carry_the_records_own_words() -> None:
    assert read_code("ndc|0049-4910 Zoloft 50 MG").display == "Zoloft 50 MG"
    assert read_code("http://example.org/codes|1").system == "http://example.org/codes"


def test_an_instant_is_a_date_or_a_time_with_its_zone() -> None:
    assert read_instant("2026-11-01") == AS_OF
    assert read_instant("2026-11-01T12:00:00+01:00").text == "2026-11-01T11:00:00Z"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda text: read_when(text, TODAY), "last week"),
        (lambda text: read_value(text, TODAY), "date soon"),
        (lambda text: read_value(text, TODAY), "high"),
        (read_code, "38341003"),
        (read_code, "snomed|"),
        (read_code, "snowmed|38341003"),
        (read_dose, "as directed"),
        (read_dose, "5 mg now and then"),
        (read_instant, "2026-11-01T12:00:00"),
        (read_instant, "2026-11-31"),
    ],
)
def test_what_is_not_understood_is_refused(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"'|day|month"):
        read(text)


# ------------------------------------------------------------ charts


def chart(**given: Any) -> PatientFacts:
    """The facts of a chart in few words."""
    return facts_of(Given.model_validate(given), AS_OF)


def test_a_list_that_is_not_named_arrived_empty() -> None:
    found = chart(conditions="none received")
    assert (found.conditions.received, found.medications.received, found.observations.received) == (0, 0, 0)
    assert found.conditions.gaps == ()


def test_resources_set_aside_were_received() -> None:
    aside = [{"type": "Condition", "reason": "code"}, {"type": "MedicationRequest", "reason": "code"}]
    found = chart(conditions=[{"code": "snomed|1"}], quarantined=[*aside, {"type": "Medication", "reason": "code"}])
    assert (found.conditions.received, found.medications.received) == (2, 1)
    assert [one.record.reference for one in found.quarantined] == [
        "Condition/unread-1",
        "MedicationRequest/unread-2",
        "Medication/unread-3",
    ]


@pytest.mark.parametrize(
    ("key", "lists"),
    [
        ("conditions", ["conditions"]),
        ("medicationDispenses", ["medications"]),
        ("bloodPressure", ["observations"]),
        ("observations", ["observations"]),
        ("questionnaireResponses", ["observations"]),
        ("allergies", ["allergies"]),
        ("procedures", ["procedures"]),
        ("bundle", ["conditions", "medications", "observations", "allergies", "procedures"]),
    ],
)
def test_a_gap_stands_with_the_lists_that_its_key_brings(key: str, lists: list[str]) -> None:
    found = chart(gaps={key: "timeout"})
    for name in ("conditions", "medications", "observations", "allergies", "procedures"):
        assert getattr(found, name).gaps == ((Gap(key, "timeout"),) if name in lists else ())


def test_ids_are_the_kind_and_the_place() -> None:
    taken = {"status": "active", "code": ["rxnorm|1", "atc|2"], "dose": ["5 mg daily", {"as_needed": True}]}
    found = chart(statements=[taken], requests=[taken], dispenses=[taken | {"quantity": 30, "strength_mg": 2.5}])
    references = [event.record.reference for event in found.medications.items]
    assert references == [
        "MedicationRequest/request-1",
        "MedicationStatement/statement-1",
        "MedicationDispense/dispense-1",
    ]
    last = found.medications.items[-1]
    assert (last.quantity, last.strength_mg, len(last.codes), len(last.doses)) == (Decimal(30), Decimal("2.5"), 2, 2)


def test_a_condition_may_have_ended_with_or_without_a_date() -> None:
    found = chart(conditions=[{"abated": True}, {"abated": "2020"}, {}]).conditions.items
    assert [(one.abated, one.abatement) for one in found] == [(True, None), (True, span("2020")), (False, None)]


def test_an_allergy_says_what_was_recorded_of_it() -> None:
    given = {"code": "rxnorm|6130", "clinical": "active", "type": "intolerance", "manifestations": "snomed|1"}
    (found,) = chart(allergies=[given | {"recorded": "2020"}]).allergies.items
    assert found.record.reference == "AllergyIntolerance/allergy-1"
    assert (found.substances, found.manifestations) == ((coding("rxnorm|6130"),), (coding("snomed|1"),))
    assert (found.clinical, found.type, found.verification, found.recorded) == (
        "active",
        "intolerance",
        None,
        span("2020"),
    )


def test_a_procedure_is_done_unless_its_status_says_otherwise() -> None:
    found = chart(procedures=[{"code": "snomed|1", "on": "2019-05"}, {"text": "EVAR", "status": "not-done"}]).procedures
    assert [(one.record.reference, one.status, one.when) for one in found.items] == [
        ("Procedure/procedure-1", "completed", span("2019-05")),
        ("Procedure/procedure-2", "not-done", None),
    ]
    assert (found.received, found.items[1].text) == (2, "EVAR")


def test_a_draft_order_has_its_drug_and_route_by_code_or_in_words() -> None:
    orders = [
        {"code": "rxnorm|6130", "route": "snomed|47625008"},
        {"text": "ketamine", "route_text": "oral", "status": "active"},
    ]
    one, two = chart(orders=orders).orders
    assert (one.record.reference, one.status, one.routes) == (
        "MedicationRequest/order-1",
        "draft",
        (coding("snomed|47625008"),),
    )
    assert (two.codes, two.text, two.route_text, two.status) == ((), "ketamine", "oral", "active")


def test_what_was_set_aside_counts_with_the_list_it_came_with() -> None:
    aside = [
        {"type": "AllergyIntolerance", "reason": "code"},
        {"type": "Procedure", "reason": "code"},
        {"type": "MedicationRequest", "reason": "draft order: dosageInstruction"},
    ]
    found = chart(quarantined=aside)
    assert (found.allergies.received, found.procedures.received, found.medications.received) == (1, 1, 0)


# ------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ('{code: "snomed|1",', '{colour: red, code: "snomed|1",', "colour", "Extra inputs are not permitted"),
        ('"snomed|1"', '"snomed1"', "code.0", "Value error, 'snomed1' is not a code such as 'snomed|38341003'"),
        ("outcome: met, grade: disease", "outcome: maybe, grade: disease", "outcome", "Input should be"),
        ("given: {}", "given: {gaps: {everything: timeout}}", "gaps.everything", "Value error, 'everything' is not"),
        ("given: {}", "given: {gaps: {conditions: lost}}", "gaps.conditions", "Input should be"),
        ("given: {}", "given: {conditions: [{onset: soon}]}", "onset", "Value error, 'soon' is neither"),
        ("given: {}", 'given: {observations: [{code: "loinc|1", value: high}]}', "value", "Value error, 'high' is not"),
        (
            "given: {}",
            "given: {statements: [{status: active, dose: lots}]}",
            "take",
            "Value error, 'lots' is not a dose",
        ),
        ("    given: {}", "    as_of: today\n    given: {}", "as_of", "Value error"),
        ("grade: minor}", "grade: major}", "grade", "major is no grade of the rule"),
        ("minor-stands: not met", "minor-falls: not met", "minor-falls", "is no criterion of the rule"),
        ("case: Asthma is not met", "case: A minor finding is met", "case", "stands twice"),
    ],
)
def test_a_case_that_is_wrong_is_refused_with_file_line_and_key(
    book: Book, old: str, new: str, key: str, problem: str
) -> None:
    version = book.load().version("heart")
    assert version is not None
    book.edit(CASES, old, new)
    with pytest.raises(RulebookInvalid) as caught:
        read_cases(version)
    fault = caught.value
    assert fault.file == "rules/heart/1.0.0/cases.yaml"
    assert fault.problem.startswith(problem)
    assert fault.key is not None
    assert key in fault.key
    wanted = [
        number for number, line in enumerate(book.read(CASES).splitlines(), 1) if new.splitlines()[0].strip() in line
    ]
    assert fault.line in wanted


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{because: It is so.}", "names either a criterion with its outcome, or a grade"),
        ("{criterion: minor-stands, because: It is so.}", "names either a criterion with its outcome, or a grade"),
        ("{criterion: minor-stands, outcome: met, grade: minor, because: So.}", "names either a criterion"),
        ("{criterion: gone, outcome: met, because: It is so.}", "names what the rule does not have"),
        ("{grade: gone, because: It is so.}", "names what the rule does not have"),
    ],
)
def test_an_exception_names_what_the_rule_has(book: Book, entry: str, problem: str) -> None:
    version = book.load().version("heart")
    assert version is not None
    book.write(CASES, f"cannot: [{entry}]\n" + book.read(CASES))
    with pytest.raises(RulebookInvalid) as caught:
        read_cases(version)
    assert (caught.value.line, caught.value.key) == (1, "cannot")
    assert caught.value.problem.startswith(problem)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"criterion": "minor-stands", "outcome": "not met"}, "criterion minor-stands not met"),
        ({"grade": "otherwise"}, "grade otherwise"),
    ],
)
def test_an_exception_is_named_in_words(entry: dict[str, Any], words: str) -> None:
    assert Cannot(**entry, because="It is so.").what == words


def test_an_exception_that_the_rule_has_is_read(book: Book) -> None:
    version = book.load().version("heart")
    assert version is not None
    book.write(CASES, "cannot: [{grade: minor, because: It is so.}]\n" + book.read(CASES))
    assert [entry.what for entry in read_cases(version).cannot] == ["grade minor"]


# ------------------------------------------------------------ running


def test_cases_that_hold_have_no_faults(book: Book) -> None:
    assert [result.faults for result in run_cases(book.load(), "heart")] == [(), (), (), ()]


def test_a_case_that_does_not_hold_says_what_was_found(book: Book) -> None:
    book.edit(
        CASES,
        "{outcome: met, grade: disease, indicator: warning, criteria: {disease-recorded: met}}",
        "{outcome: not met, grade: minor, indicator: info, criteria: {disease-recorded: not met}, "
        "values: {disease.name: Stroke, story.gone: x}, courses: {sertraline: too short}}",
    )
    assert run_cases(book.load(), "heart", "1.0.0")[0].faults == (
        "outcome: expected not met, found met",
        "grade: expected minor, found disease",
        "indicator: expected info, found warning",
        "criterion disease-recorded: expected not met, found met",
        "value disease.name: expected Stroke, found Heart failure",
        "value story.gone: expected x, found None",
        "course of sertraline: expected too short, found None",
    )


@pytest.mark.parametrize(
    ("rule", "version", "file"), [("lungs", None, "rules/lungs"), ("heart", "2.0.0", "rules/heart/2.0.0")]
)
def test_a_rule_that_does_not_exist_is_named(book: Book, rule: str, version: str | None, file: str) -> None:
    with pytest.raises(RulebookInvalid, match="has no such version") as caught:
        run_cases(book.load(), rule, version)
    assert caught.value.file == file


def test_the_law_sees_what_no_case_shows(book: Book) -> None:
    version = book.load().version("heart")
    assert version is not None
    results = [run_case(version, case) for case in read_cases(version).cases]
    assert unseen(version.rule, [], results) == []
    assert unseen(version.rule, [], results[:1]) == [
        "criterion disease-recorded was never not met",
        "criterion disease-recorded was never unknown",
        "criterion minor-stands was never not met",
        "criterion minor-stands was never unknown",
        "grade minor was never the finding",
        "grade otherwise was never the finding",
    ]


def test_an_exception_excuses_what_cannot_be_and_nothing_that_was_seen(book: Book) -> None:
    version = book.load().version("heart")
    assert version is not None
    results = [run_case(version, case) for case in read_cases(version).cases]
    never = Cannot(criterion="disease-recorded", outcome="unknown", because="It is so.")
    grade = Cannot(grade="otherwise", because="It is so.")
    assert "criterion disease-recorded was never unknown" not in unseen(version.rule, [never], results[:1])
    assert "grade otherwise was never the finding" not in unseen(version.rule, [grade], results[:1])
    assert unseen(version.rule, [never], results) == [
        "said to be impossible, but seen: criterion disease-recorded unknown"
    ]
