"""A chart finds records by code, each once, and says what might be missing."""

from cds_service.decision.chart import list_gaps
from cds_service.decision.coding import Coding
from cds_service.decision.facts import Condition, Gap, Listing, Quarantined, Record
from tests.unit.decision.support import HEART, ago, chart, coding, condition, event, facts, observation, part, value_set

ASTHMA = value_set("asthma", {"snomed|asthma": {}})


def test_a_record_with_two_matching_codes_is_found_once() -> None:
    both = Condition(Record("Condition", "c1"), (coding("snomed|heart"), coding("snomed|minor")), clinical="active")
    assert chart([both]).conditions_in(HEART.codes) == [both]


def test_records_come_oldest_first_and_undated_before_all() -> None:
    old, new, undated = condition(number=1, onset=ago(90)), condition(number=2, onset=ago(1)), condition(number=3)
    assert chart([new, undated, old]).conditions_in(HEART.codes) == [undated, old, new]


def test_refuted_and_erroneous_conditions_are_never_found() -> None:
    wrong = [condition(number=1, verification="refuted"), condition(number=2, verification="entered-in-error")]
    assert chart(wrong).conditions_in(HEART.codes) == []


def test_records_without_an_id_are_each_their_own() -> None:
    first = Condition(Record("Condition", ""), (coding("snomed|heart"),), clinical="active", onset=ago(9))
    second = Condition(Record("Condition", ""), (coding("snomed|minor"),), clinical="active", onset=ago(3))
    assert chart([first, second]).conditions_in(HEART.codes) == [first, second]


def test_observations_without_an_id_are_each_their_own() -> None:
    codes = value_set("bp", {"loinc|1": {}}).codes
    first = observation("loinc|1", when=ago(9))
    others = [first.__class__(Record("Observation", ""), "final", first.codes, ago(days)) for days in (5, 2)]
    assert [one.when for one, _ in chart(observations=others).readings_in(codes)] == [ago(5), ago(2)]


def test_a_component_is_found_by_its_own_code() -> None:
    codes = value_set("bp", {"loinc|8480-6": {}}).codes
    panel = observation("loinc|85354-9", components=(part("loinc|8480-6"), part("loinc|8462-4")))
    assert chart(observations=[panel]).readings_in(codes) == [(panel, panel.components[0])]
    assert chart(observations=[panel]).readings_in(ASTHMA.codes) == []


def test_a_resource_set_aside_matters_unless_it_is_known_to_be_another_thing() -> None:
    unknown = Quarantined(Record("Condition", "1"), "code: missing")
    asthma = Quarantined(Record("Condition", "2"), "onset: not a date", (Coding("snomed", "asthma"),))
    read = chart(quarantined=[unknown, asthma])
    assert read.quarantined(("Condition",), HEART.codes) == [unknown]
    assert read.quarantined(("Condition",), ASTHMA.codes) == [unknown, asthma]
    assert read.quarantined(("Condition",), None) == [unknown, asthma]
    assert read.quarantined(("Observation",), None) == []


def test_an_empty_list_is_a_gap_only_where_that_matters() -> None:
    empty: Listing[Condition] = Listing()
    assert list_gaps(empty, empty_matters=True, name="conditions") == ("no conditions received",)
    assert list_gaps(empty, empty_matters=False, name="conditions") == ()
    refused: Listing[Condition] = Listing(gaps=(Gap("conditions", "refused"),))
    assert list_gaps(refused, empty_matters=True, name="conditions") == ("conditions: refused",)
    assert list_gaps(facts([condition()]).conditions, empty_matters=True, name="conditions") == ()


def test_what_facts_share_is_made_once_for_a_chart_and_anew_for_another() -> None:
    made: list[str] = []

    def make() -> int:
        made.append("made")
        return len(made)

    one, other = chart(), chart()
    assert (one.once("a", make), one.once("a", make), one.once("b", make), other.once("a", make)) == (1, 1, 2, 3)


def test_a_medication_is_indexed_by_every_code_and_by_the_words_of_its_text_and_displays() -> None:
    coded = event("statement", number=1, codes=(Coding("rxnorm", "1", "Sertraline 50 MG"), Coding("atc", "N06AB06")))
    named = event("statement", number=2, codes=(), text="sertraline")
    read = chart(medications=[coded, named])
    assert read.medications.by_code == {("rxnorm", "1"): [0], ("atc", "N06AB06"): [0]}
    assert read.medications.by_word == {"sertraline": [0, 1], "50": [0], "mg": [0]}
    assert read.words(coded) == {"sertraline", "50", "mg"}
    assert read.words(named) == {"sertraline"}
