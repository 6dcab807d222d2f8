"""Value sets are explicit codes; a rule picks rows of them."""

from cds_service.decision.codes import first_match, select_all
from cds_service.decision.rule import SetRef
from tests.unit.decision.support import HEART, coding, value_set

OTHER = value_set("other", {"snomed|heart": {"display": "Something else"}, "snomed|third": {}})


def test_all_rows_rows_of_a_column_or_single_codes_are_picked() -> None:
    assert set(HEART.select(SetRef(set="heart"))) == {("snomed", "heart"), ("snomed", "minor")}
    assert set(HEART.select(SetRef(set="heart", where={"tier": ["core"]}))) == {("snomed", "heart")}
    assert set(HEART.select(SetRef(set="heart", codes=["minor"]))) == {("snomed", "minor")}
    assert HEART.select(SetRef(set="heart", where={"tier": ["core"]}, codes=["minor"])) == {}


def test_a_row_without_the_column_has_it_empty() -> None:
    assert set(OTHER.select(SetRef(set="other", where={"tier": [""]}))) == {("snomed", "heart"), ("snomed", "third")}


def test_the_first_selection_to_pick_a_code_describes_it() -> None:
    picked = select_all([SetRef(set="heart"), SetRef(set="other")], {"heart": HEART, "other": OTHER})
    assert picked["snomed", "heart"].display == "Heart disease"
    assert ("snomed", "third") in picked


def test_a_record_is_described_by_its_first_known_code() -> None:
    found = first_match([coding("snomed|nothing"), coding("snomed|minor"), coding("snomed|heart")], HEART.codes)
    assert found is not None
    assert found.key == ("snomed", "minor")
    assert first_match([coding("loinc|heart")], HEART.codes) is None
