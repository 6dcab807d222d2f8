"""Answers to questionnaires become observations, each isolated; a screen says the same from either resource."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.advise import Asked, Desk, decide, desks
from cds_service.decision.coding import Coding
from cds_service.decision.facts import CodedValue, DateValue, FlagValue, Quantity, TextValue
from cds_service.errors import OtherPatient
from cds_service.fhir import resources as r4
from cds_service.fhir.questionnaires import read_response
from cds_service.fhir.read_facts import facts_from_bundle
from cds_service.rulebook.load import load_rulebook
from tests.unit.fhir.make import (
    AS_OF,
    PHQ9,
    WANTED,
    Json,
    bundle,
    concept,
    data,
    facts,
    item,
    observation,
    patient,
    quantity,
    response,
)

ITEM9 = "44260-8"
SCREENS = WANTED | {("loinc", ITEM9), ("urn:local", "q9")}
MODIFIED = [{"url": "https://example.org/not", "valueCode": "x"}]
SEVERAL = {"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3"}}


def read(*resources: Json) -> Any:
    return facts(*resources, wanted=SCREENS)


def values(*answers: Json) -> list[Any]:
    return [one.value for one in read(response(item(ITEM9, *answers))).observations.items]


def reasons(*items: Json, **more: Any) -> list[str]:
    return [one.reason for one in read(response(*items, **more)).quarantined]


# ------------------------------------------------------------ which question it is


@pytest.mark.parametrize(
    "link_id",
    ["44260-8", "/44260-8", "/44249-1/44260-8", "http://loinc.org/44260-8", "http://loinc.org|44260-8", "PHQ-44260-8"],
)
def test_a_question_is_known_by_the_loinc_code_at_the_end_of_its_link_id(link_id: str) -> None:
    (found,) = read(response(item(link_id, {"valueInteger": 1}))).observations.items
    assert found.codes == (Coding("loinc", ITEM9),)


@pytest.mark.parametrize("link_id", ["144260-8", "44260-8/1", "44260-88", "44260", "PHQ.9", "", None])
def test_another_link_id_is_no_question_that_rules_read(link_id: str | None) -> None:
    found = read(response(item(link_id, {"valueInteger": 1})))
    assert (found.observations.items, found.observations.received, found.quarantined) == ((), 0, ())


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"definition": "http://loinc.org/44260-8"}, Coding("loinc", ITEM9)),
        ({"extension": [{"url": "x", "valueCoding": {"system": "http://loinc.org", "code": ITEM9}}]}, None),
        ({"extension": [{"url": "x", "valueCodeableConcept": concept("q9", "urn:local")}]}, Coding("urn:local", "q9")),
        ({"extension": [{"url": "x"}, {"url": "y", "valueCoding": {"display": "no code"}}], "linkId": ITEM9}, None),
    ],
)
def test_a_question_is_known_by_its_definition_or_by_a_code_in_an_extension(more: Json, code: Coding | None) -> None:
    (found,) = read(response({**item("9", {"valueInteger": 1}), **more})).observations.items
    assert found.codes == (code or Coding("loinc", ITEM9),)


def test_a_question_named_twice_has_its_code_once() -> None:
    (found,) = read(
        response(item(ITEM9, {"valueInteger": 1}, definition="http://loinc.org/44260-8"))
    ).observations.items
    assert len(found.codes) == 1


def test_questions_are_found_at_every_depth() -> None:
    below_a_group = {"linkId": "/44249-1", "item": [item(ITEM9, {"valueInteger": 1})]}
    below_an_answer = item("screened?", {"valueBoolean": True, "item": [item(PHQ9, {"valueInteger": 12})]})
    found = read(response({"linkId": "all", "item": [below_a_group, below_an_answer]})).observations
    assert {one.codes[0].code: one.value for one in found.items} == {
        ITEM9: Quantity(Decimal(1)),
        PHQ9: Quantity(Decimal(12)),
    }
    assert found.received == 1


# ------------------------------------------------------------ what was answered


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (SEVERAL, CodedValue((Coding("loinc", "LA6569-3"),))),
        (
            {"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3", "display": "Several days"}},
            CodedValue((Coding("loinc", "LA6569-3", "Several days"),)),
        ),
        ({"valueCoding": {"display": "Several days"}}, CodedValue((), "Several days")),
        ({"valueInteger": 2}, Quantity(Decimal(2))),
        ({"valueDecimal": 2.50}, Quantity(Decimal("2.5"))),
        ({"valueBoolean": False}, FlagValue(False)),
        ({"valueString": "no"}, TextValue("no")),
        ({"valueQuantity": quantity(3, "{score}")}, Quantity(Decimal(3), "{score}")),
    ],
)
def test_each_kind_of_answer_is_a_value(answer: Json, value: Any) -> None:
    assert values(answer) == [value]


@pytest.mark.parametrize("name", ["valueDate", "valueDateTime"])
def test_a_date_is_an_answer(name: str) -> None:
    (found,) = values({name: "2026-10-01"})
    assert isinstance(found, DateValue)
    assert found.when.text == "2026-10-01"


def test_each_of_several_answers_is_evidence_of_its_own() -> None:
    assert values({"valueInteger": 1}, {"valueInteger": 0}) == [Quantity(Decimal(1)), Quantity(Decimal(0))]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [{}],
        [{"valueInteger": None}],
        [{"_valueInteger": {"extension": [{"url": "x", "valueCode": "masked"}]}}],
        [{"valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "masked"}}],
        [{"valueQuantity": {"unit": "{score}"}}],
        [{"item": None}],
    ],
)
def test_a_question_without_an_answer_is_nothing(answers: list[Json]) -> None:
    found = read(response(item(ITEM9, *answers)))
    assert (found.observations.items, found.quarantined) == ((), ())


def test_a_response_without_items_is_nothing() -> None:
    nothing: list[Any] = [None, []]
    for empty in nothing:
        found = read({**response(), "item": empty})
        assert (found.observations.items, found.observations.received, found.quarantined) == ((), 0, ())


def test_a_fact_says_which_response_it_comes_from_and_when_it_was_written() -> None:
    answered = response(item(ITEM9, {"valueInteger": 1}), meta={"versionId": "2", "security": [{"code": "R"}]})
    (found,) = read(answered).observations.items
    assert (found.record.reference, found.record.version_id, found.record.labels) == (
        "QuestionnaireResponse/q1",
        "2",
        ("R",),
    )
    assert found.when is not None
    assert found.when.text == "2026-10-20T09:30:00Z"


def test_a_response_without_a_date_is_undated() -> None:
    undated = response(item(ITEM9, {"valueInteger": 1}))
    del undated["authored"]
    (found,) = read(undated).observations.items
    assert found.when is None


def test_a_response_beside_the_observation_it_repeats_is_more_evidence() -> None:
    found = read(observation(code=ITEM9, valueInteger=1), response(item(ITEM9, {"valueInteger": 1}))).observations
    assert [one.record.type for one in found.items] == ["Observation", "QuestionnaireResponse"]
    assert found.received == 2


# ------------------------------------------------------------ which responses count


@pytest.mark.parametrize(("word", "status"), [("completed", "final"), ("amended", "amended")])
def test_a_finished_response_is_a_result(word: str, status: str) -> None:
    (found,) = read(response(item(ITEM9, {"valueInteger": 1}), status=word)).observations.items
    assert found.status == status


@pytest.mark.parametrize(
    "changes",
    [{"status": "in-progress"}, {"status": "stopped"}, {"status": "entered-in-error"}, {"authored": "2026-12-01"}],
)
def test_a_response_that_is_no_result_is_dropped_but_counted(changes: Json) -> None:
    found = read(response(item(ITEM9, {"valueInteger": 1}), **changes))
    assert (found.observations.items, found.observations.received, found.quarantined) == ((), 1, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"status": None},
        {"status": "perhaps"},
        {"authored": "yesterday"},
        {"subject": None},
        {"modifierExtension": MODIFIED},
        {"item": "none"},
        {"item": [{"linkId": 9}]},
        {"item": [{"linkId": ITEM9, "answer": [5]}]},
        {"item": [{"linkId": "group", "modifierExtension": MODIFIED, "item": [item(ITEM9, {"valueInteger": 1})]}]},
        {"item": [item(ITEM9, {"valueInteger": 1, "modifierExtension": MODIFIED})]},
        {"item": [item(ITEM9, {"valueInteger": 1, "item": 5})]},
    ],
)
def test_a_response_that_cannot_be_read_may_have_held_anything(changes: Json) -> None:
    found = read({**response(item(ITEM9, {"valueInteger": 1})), **changes})
    (aside,) = found.quarantined
    assert (aside.record.reference, aside.codes) == ("QuestionnaireResponse/q1", ())
    assert (found.observations.items, found.observations.received) == ((), 1)


def test_a_date_that_cannot_be_read_does_not_matter_where_no_rule_reads_a_question() -> None:
    assert reasons(item("other", {"valueInteger": 1}), authored="yesterday") == []


def test_a_response_nested_too_deep_is_set_aside() -> None:
    """What was skipped when the whole was decoded may be too deep where it is read, further down the stack."""
    deep = msgspec.Raw(b'[{"item":' * 2000 + b"[]" + b"}]" * 2000)
    answers = read_response(r4.QuestionnaireResponse(id="q1", item=deep), SCREENS, AS_OF)
    assert [one.reason for one in answers.aside] == ["item: nested too deep"]
    assert answers.concerns_us


def test_a_response_of_another_patient_refuses_the_request() -> None:
    with pytest.raises(OtherPatient):
        read(response(subject={"reference": "Patient/pat-2"}))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"valueInteger": "x"}, "item[44260-8].answer[0].valueInteger: "),
        ({"valueDecimal": 1e99}, "item[44260-8].answer[0].valueDecimal: not a number of a size we read"),
        ({"valueBoolean": "no"}, "item[44260-8].answer[0].valueBoolean: expected `bool`, got `str`"),
        ({"valueString": 5}, "item[44260-8].answer[0].valueString: "),
        ({"valueDate": "soon"}, "item[44260-8].answer[0].valueDate: not a date"),
        ({"valueCoding": {"code": 5}}, "item[44260-8].answer[0].valueCoding.code: "),
        ({"valueQuantity": {"value": "x"}}, "item[44260-8].answer[0].valueQuantity.value: "),
        ({"valueTime": "10:00"}, "item[44260-8].answer[0].value: a kind of value that is not read"),
        ({"valueInteger": 1, "valueString": "1"}, "item[44260-8].answer[0].value: a kind of value that is not read"),
    ],
)
def test_an_answer_that_cannot_be_read_is_set_aside_alone(answer: Json, reason: str) -> None:
    found = read(response(item(ITEM9, answer), item(PHQ9, {"valueInteger": 20})))
    (aside,) = found.quarantined
    assert aside.reason.startswith(reason)
    assert aside.codes == (Coding("loinc", ITEM9),)
    assert [one.codes[0].code for one in found.observations.items] == [PHQ9]
    assert found.observations.received == 1


def test_every_answer_that_cannot_be_read_is_reported() -> None:
    bad = {"valueTime": "10:00"}
    found = read(response(item(ITEM9, bad), item(PHQ9, bad))).quarantined
    assert {aside.codes[0].code for aside in found} == {ITEM9, PHQ9}


def test_an_answer_that_no_rule_reads_may_be_of_any_kind() -> None:
    assert reasons(item("other", {"valueAttachment": {"title": "scan"}}), item(ITEM9, {"valueInteger": 1})) == []


# ------------------------------------------------------------ the same screen, the same outcome


def _coded(code: str) -> Json:
    return {"valueCoding": {"system": "http://loinc.org", "code": code}}


YES, NO = "LA33-6", "LA32-8"
CSSRS = ["93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93253-3", "93267-3"]
WRITTEN = ["2026-10-31T09:00:00Z", "2026-10-10", "2026-09-20", "2026-08-20", "2026-05", "2027-01-01"]
ANSWERS: st.SearchStrategy[tuple[str, Json]] = st.one_of(
    st.tuples(st.sampled_from(CSSRS), st.sampled_from([YES, NO]).map(_coded)),
    st.tuples(st.sampled_from(CSSRS), st.booleans().map(lambda flag: {"valueBoolean": flag})),
    st.tuples(st.sampled_from(CSSRS), st.sampled_from(["yes", "no", "?"]).map(lambda word: {"valueString": word})),
    st.tuples(st.just("93293-9"), st.sampled_from(["LA30370-3", "LA30374-5"]).map(_coded)),
    st.tuples(st.just(ITEM9), st.sampled_from(["LA6568-5", "LA6571-9", "local"]).map(_coded)),
    st.tuples(st.just(ITEM9), st.integers(0, 3).map(lambda score: {"valueInteger": score})),
    st.tuples(st.just(ITEM9), st.just({"valueQuantity": {"value": 2, "unit": "{score}"}})),
)
SCREEN = st.tuples(st.sampled_from(WRITTEN), st.lists(ANSWERS, min_size=1, max_size=8, unique_by=lambda pair: pair[0]))


def _as_observations(number: int, written: str, answers: list[tuple[str, Json]]) -> list[Json]:
    return [
        observation(f"o{number}-{place}", code, effectiveDateTime=written, **_observed(answer))
        for place, (code, answer) in enumerate(answers)
    ]


def _observed(answer: Json) -> Json:
    coding = answer.get("valueCoding")
    return {"valueCodeableConcept": {"coding": [coding]}} if coding else answer


def _as_response(number: int, written: str, answers: list[tuple[str, Json]]) -> Json:
    items = [item(f"/{code}", answer) for code, answer in answers]
    return response({"linkId": "/93373-9", "item": items}, id_=f"q{number}", authored=written)


@pytest.fixture(scope="module")
def desk() -> Desk:
    rulebook = load_rulebook(Path(__file__).parents[3] / "rules")
    served = desks(rulebook, base_url="https://cds.example.org", serve_draft=True)
    return next(desk for desk in served.values() if desk.entry.hook == "patient-view")


def _suicidality(desk: Desk, *resources: Json) -> tuple[Any, ...]:
    """Outcome, grade and indicator, and of each clause its outcome."""
    body = data(bundle(patient(), *resources))
    found = facts_from_bundle(body, as_of=AS_OF, observation_codes=desk.codes)
    asked = Asked("00000000-0000-4000-8000-000000000000", "Practitioner/1", "US", AS_OF)
    (one,) = [one for one in decide(desk, found, asked).assessments if one.rule == "acute-suicidality"]
    return one.outcome, one.grade, one.indicator, [(clause.id, clause.outcome) for clause in one.clauses]


@given(screens=st.lists(SCREEN, min_size=1, max_size=3))
@settings(max_examples=40, deadline=dt.timedelta(seconds=2))
def test_a_screen_leads_to_the_same_outcome_from_either_resource(
    desk: Desk, screens: list[tuple[str, list[Any]]]
) -> None:
    observations = [one for number, screen in enumerate(screens) for one in _as_observations(number, *screen)]
    responses = [_as_response(number, *screen) for number, screen in enumerate(screens)]
    expected = _suicidality(desk, *observations)
    assert _suicidality(desk, *responses) == expected
    assert _suicidality(desk, *responses, *observations) == expected
    assert _suicidality(desk, *observations, *responses) == expected


def test_a_plan_in_a_response_is_found_and_a_later_negative_screen_stands(desk: Desk) -> None:
    """The property above would hold of readers that find nothing."""
    plan = _as_response(1, "2026-10-20", [("93250-9", _coded(YES))])
    negative = _as_response(2, "2026-10-25", [("93246-7", _coded(NO)), ("93247-5", _coded(NO))])
    before, after = _suicidality(desk, plan), _suicidality(desk, plan, negative)
    assert (before[0].value, before[1]) == ("met", "intent-or-plan-on-screen")
    assert (after[0].value, after[1]) == ("not met", "negative-screen")
