"""Drugs taken now and allergies on record: by code, by group, by name, and what stays open."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf, Span, day_date
from cds_service.decision.evidence import Found
from cds_service.decision.facts import Allergy, Gap, Listing, MedicationEvent, PatientFacts, Quarantined, Record
from cds_service.decision.medicines import allergies_reader, medications_reader, taken_now
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN
from cds_service.decision.rule import AllergiesFact, MedicationsFact
from tests.unit.decision.support import AS_OF, ago, chart, coding, event, facts, span, value_set

DRUGS = value_set(
    "drugs",
    {
        "rxnorm|1": {"ingredient": "phenelzine", "group": "MAOI"},
        "atc|N06AF": {"match": "prefix", "display": "MAO inhibitors, non-selective"},
        "rxnorm|2": {"ingredient": "valproic acid"},
        "rxnorm|3": {"display": "a drug without an ingredient"},
    },
)
OTHERS = value_set("others", {"rxnorm|9": {}})
SETS = {"drugs": DRUGS, "others": OTHERS}


def taking(*events: MedicationEvent, code: str = "drugs", **more: Any) -> Found:
    """What a medications fact finds."""
    spec = {"kind": "medications", "codes": [{"set": code}], "known": [{"set": "others"}]}
    return medications_reader(MedicationsFact.model_validate(spec), SETS)(chart(medications=events, **more))


def statement(code: str | None = "rxnorm|1", **more: Any) -> MedicationEvent:
    """A drug that is taken, as the person says."""
    codes = (coding(code),) if code else ()
    return MedicationEvent(
        Record("MedicationStatement", "m1"), "statement", **({"status": "active", "codes": codes} | more)
    )


# ------------------------------------------------------------ which drug it is


def test_a_drug_taken_now_is_found_with_its_ingredient_and_group() -> None:
    found = taking(statement(start=ago(9)))
    (match,) = found.matches
    assert (match.display, match.value, match.code, match.when) == ("phenelzine", "MAOI", "rxnorm|1", ago(9))
    assert (match.certain, match.note, match.status) == (True, None, "active")
    assert found.gaps == ()
    assert found.values["name"] == "phenelzine"


def test_a_drug_without_an_ingredient_column_is_shown_by_its_own_name() -> None:
    assert taking(statement("rxnorm|3")).matches[0].display == "a drug without an ingredient"


def test_a_code_of_a_group_is_found_by_the_groups_prefix_in_its_own_system_only() -> None:
    assert [match.code for match in taking(statement("atc|N06AF03")).matches] == ["atc|N06AF"]
    assert taking(statement("atc|N06AB06")).matches == ()
    assert taking(statement("rxnorm|N06AF03")).matches == ()


@pytest.mark.parametrize("more", [{"text": "Phenelzine, 15 mg."}, {"codes": (Coding("local", "x", "PHENELZINE tab"),)}])
def test_a_drug_named_in_words_only_leaves_the_match_open(more: dict[str, Any]) -> None:
    (match,) = taking(statement(None, **more)).matches
    assert (match.display, match.certain, match.note) == ("phenelzine", False, "named in text only")


def test_part_of_a_word_and_names_of_two_words_are_not_recognised_in_text() -> None:
    assert taking(statement(None, text="phenelzinelike valproic acid")).matches == ()


def test_a_drug_known_to_be_another_is_not_searched_for_by_name() -> None:
    assert taking(statement("rxnorm|9", text="instead of phenelzine")).matches == ()


def test_a_table_without_ingredients_recognises_no_names() -> None:
    assert taking(statement(None, text="phenelzine"), code="others").matches == ()


CODES = st.sampled_from(["rxnorm|1", "rxnorm|2", "rxnorm|9", "atc|N06AF03", "atc|N06AB06", "local|x"]).map(coding)
TEXTS = st.sampled_from([None, "phenelzine", "Phenelzine and more", "something"])
STATUSES = st.sampled_from(["active", "stopped", None])


@given(st.lists(st.tuples(st.lists(CODES, max_size=2).map(tuple), TEXTS, STATUSES), max_size=6))
def test_what_is_found_of_a_medication_does_not_depend_on_the_others(drawn: list) -> None:
    events = [statement(None, codes=codes, text=text, status=status) for codes, text, status in drawn]
    assert taking(*events).matches == tuple(match for one in events for match in taking(one).matches)


# ------------------------------------------------------------ whether it is taken


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "active"}, MET),
        ({"status": "completed"}, NOT_MET),
        ({"status": "stopped"}, NOT_MET),
        ({"status": "unknown"}, UNKNOWN),
        ({"status": "on-hold"}, UNKNOWN),
        ({"status": None}, UNKNOWN),
        ({"status": "active", "do_not_perform": True}, NOT_MET),
        ({"status": "active", "intent": "plan"}, NOT_MET),
        ({"status": "active", "intent": "order"}, MET),
        ({"status": "active", "end": ago(0)}, MET),
        ({"status": "active", "end": ago(1)}, NOT_MET),
        ({"status": "active", "end": span("2026-11")}, MET),
        ({"status": "active", "end": span("2026")}, UNKNOWN),
        ({"status": "stopped", "end": span("2026")}, NOT_MET),
        ({"kind": "request", "status": "active", "end": span("2026")}, UNKNOWN),
        ({"kind": "dispense", "start": ago(9), "supply_days": 30, "end": span("2026")}, UNKNOWN),
        ({"kind": "request", "status": "active", "end": ago(1)}, UNKNOWN),
        ({"kind": "request", "status": "stopped", "end": ago(1)}, NOT_MET),
        ({"kind": "dispense", "start": ago(29), "supply_days": 30}, MET),
        ({"kind": "dispense", "start": ago(30), "supply_days": 30}, NOT_MET),
        ({"kind": "dispense", "start": span("2026-10"), "supply_days": 2}, UNKNOWN),
        ({"kind": "dispense", "start": ago(90)}, UNKNOWN),
        ({"kind": "dispense", "start": ago(91)}, NOT_MET),
        ({"kind": "dispense"}, UNKNOWN),
        ({"kind": "dispense", "status": "cancelled"}, NOT_MET),
        ({"kind": "dispense", "status": "cancelled", "start": ago(1), "supply_days": 30}, NOT_MET),
        ({"kind": "dispense", "status": None, "start": ago(1), "supply_days": 30}, MET),
    ],
)
def test_a_drug_is_taken_while_the_record_says_so_or_its_supply_lasts(more: dict[str, Any], expected: object) -> None:
    assert taken_now(event(**more), AS_OF) is expected


def test_a_drug_that_is_not_taken_is_not_found_and_one_that_may_be_leaves_the_match_open() -> None:
    assert taking(statement(status="stopped")).matches == ()
    (match,) = taking(statement(status=None)).matches
    assert (match.certain, match.status) == (False, "status not recorded")
    assert match.note == "whether it is still taken is not recorded"


@given(st.integers(0, 400), st.integers(1, 200))
def test_a_supply_covers_its_days_and_no_more(start: int, days: int) -> None:
    handed = event("dispense", start=ago(start), supply_days=days)
    assert taken_now(handed, AS_OF) is (MET if start < days else NOT_MET)


DATES = st.tuples(st.integers(-5, 40), st.integers(0, 40))
"""A date that is known to lie in a stretch of days, as the days ago of its last day and its length."""


@given(
    st.sampled_from(["request", "statement", "dispense"]),
    st.sampled_from(["active", "completed", "stopped", "unknown", None]),
    st.sampled_from(["start", "end"]),
    DATES,
    st.none() | st.integers(1, 60),
)
def test_what_is_decided_on_a_vague_date_is_so_on_every_day_it_may_be(
    kind: str, status: str | None, name: str, date: tuple[int, int], supply: int | None
) -> None:
    last, length = date
    given: dict[str, Any] = {"kind": kind, "status": status, "supply_days": supply, "start": ago(45)}
    vague = taken_now(event(**(given | {name: Span(ago(last + length).start, ago(last).end, "about")})), AS_OF)
    exact = {taken_now(event(**(given | {name: ago(last + day)})), AS_OF) for day in range(length + 1)}
    assert vague is UNKNOWN or exact == {vague}


def test_the_as_of_day_decides_and_not_the_day_of_reading() -> None:
    handed = event("dispense", start=ago(29), supply_days=30)
    assert taken_now(handed, AsOf.of(day_date(AS_OF.day + 1))) is NOT_MET


# ------------------------------------------------------------ what is not known


@pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationStatement", "MedicationDispense", "Medication"])
def test_a_medication_that_could_not_be_read_is_a_gap_unless_it_is_another_drug(kind: str) -> None:
    unread, other = Record(kind, "unread"), Record(kind, "other")
    aside = [Quarantined(unread, "code: missing"), Quarantined(other, "status: missing", (coding("rxnorm|9"),))]
    assert taking(statement("rxnorm|9"), quarantined=aside).gaps == (f"{kind}/unread could not be read",)


def test_a_medication_that_may_be_taken_and_is_not_identified_is_a_gap() -> None:
    assert taking(statement(None)).gaps == ("MedicationStatement/m1: medication not identified",)
    assert taking(statement(None, status="stopped")).gaps == ()
    assert taking(statement(None, text="something")).gaps == ()


def test_an_empty_list_of_medications_is_no_answer() -> None:
    assert taking().gaps == ("no medications received",)
    refused = {"medications": (Gap("medicationRequests", "refused"),)}
    assert taking(gaps=refused).gaps == ("medicationRequests: refused",)


# ------------------------------------------------------------ allergies

SUBSTANCES = value_set(
    "substances",
    {"rxnorm|6130": {"ingredient": "ketamine", "display": "Ketamine"}, "snomed|k": {"display": "Allergy to Ketalar"}},
)


def allergic(*allergies: Allergy, recorded_as: str = "any", **more: Any) -> Found:
    """What an allergies fact finds."""
    spec = {"kind": "allergies", "codes": [{"set": "substances"}], "recorded_as": recorded_as}
    patient = PatientFacts(
        facts().patient,
        allergies=Listing(allergies, len(allergies), more.get("gaps", ())),
        quarantined=more.get("quarantined", ()),
    )
    read = allergies_reader(AllergiesFact.model_validate(spec), {"substances": SUBSTANCES})
    return read(type(chart())(patient, AS_OF))


def allergy(code: str | None = "rxnorm|6130", **more: Any) -> Allergy:
    """An active allergy, unless said otherwise."""
    given = {"substances": (coding(code),) if code else (), "clinical": "active"} | more
    return Allergy(Record("AllergyIntolerance", "a1"), **given)


def test_an_allergy_is_found_with_what_it_was_recorded_as() -> None:
    (match,) = allergic(allergy(type="allergy", recorded=ago(9))).matches
    assert (match.display, match.value, match.status, match.when) == (
        "ketamine",
        "recorded as allergy",
        "active",
        ago(9),
    )
    assert (match.certain, match.note, match.provisional) == (True, None, False)
    assert allergic(allergy("snomed|k")).matches[0].display == "Allergy to Ketalar"


def test_an_allergy_that_says_little_says_so() -> None:
    (match,) = allergic(allergy(clinical=None, verification="unconfirmed")).matches
    assert (match.value, match.status, match.provisional) == (None, "status not recorded", True)


@pytest.mark.parametrize(
    "more",
    [
        {"clinical": "resolved"},
        {"clinical": "inactive"},
        {"verification": "refuted"},
        {"verification": "entered-in-error"},
        {"code": "rxnorm|1"},
        {"code": None, "text": "an allergy to a product"},
    ],
)
def test_allergies_that_ended_were_refuted_or_concern_another_substance_are_not_found(more: dict[str, Any]) -> None:
    assert allergic(allergy(**more)).matches == ()


@pytest.mark.parametrize(
    ("recorded", "found_as"),
    [
        ("allergy", {"any", "allergy"}),
        ("intolerance", {"any", "intolerance"}),
        (None, {"any", "allergy"}),
    ],
)
def test_an_intolerance_is_told_from_an_allergy_and_an_unsaid_type_is_none(
    recorded: str | None, found_as: set[str]
) -> None:
    kinds = ("any", "allergy", "intolerance")
    assert {kind for kind in kinds if allergic(allergy(type=recorded), recorded_as=kind).matches} == found_as


@pytest.mark.parametrize(
    "more", [{"code": None, "text": "Ketamine!"}, {"code": None, "substances": (Coding("local", "x", "ketamine HCl"),)}]
)
def test_a_substance_named_in_words_only_leaves_the_match_open(more: dict[str, Any]) -> None:
    (match,) = allergic(allergy(**more)).matches
    assert (match.display, match.certain, match.note) == ("ketamine", False, "named in text only")


def test_an_empty_list_of_allergies_is_no_answer_and_any_other_allergy_is() -> None:
    assert allergic().gaps == ("no allergies received",)
    assert allergic(allergy("rxnorm|1")).gaps == ()
    assert allergic(gaps=(Gap("allergies", "refused"),)).gaps == ("allergies: refused",)


def test_an_allergy_that_could_not_be_read_is_a_gap_unless_it_concerns_another_substance() -> None:
    aside = (
        Quarantined(Record("AllergyIntolerance", "unread"), "code: missing"),
        Quarantined(Record("AllergyIntolerance", "other"), "type: unknown", (coding("rxnorm|1"),)),
        Quarantined(Record("Condition", "else"), "code: missing"),
    )
    assert allergic(allergy("rxnorm|1"), quarantined=aside).gaps == ("AllergyIntolerance/unread could not be read",)
