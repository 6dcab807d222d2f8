"""Facts survive their canonical bytes, so that a decision can be assessed again in six years."""

from decimal import Decimal
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.decision.facts import (
    Allergy,
    Condition,
    DraftOrder,
    Gap,
    Listing,
    MedicationEvent,
    Observation,
    PatientFacts,
    Record,
    decode_facts,
    encode_facts,
)
from tests.unit.decision.support import ago, condition, facts

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    int: st.integers(-(2**60), 2**60),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of any type that facts are made of, up to two of each list."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in SCALARS:
        return SCALARS[kind]
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of([anything(arg) for arg in args])
    if origin is tuple:
        return st.lists(anything(args[0]), max_size=2).map(tuple)
    if origin is Listing:
        return st.builds(
            Listing, items=st.lists(anything(args[0]), max_size=2).map(tuple), gaps=anything(tuple[Gap, ...])
        )
    return st.builds(kind, **{name: anything(member) for name, member in get_type_hints(kind).items()})


@settings(max_examples=40)
@given(anything(PatientFacts))
def test_facts_come_back_from_their_bytes(patient: PatientFacts) -> None:
    assert decode_facts(encode_facts(patient)) == patient
    assert encode_facts(decode_facts(encode_facts(patient))) == encode_facts(patient)


def test_members_stand_in_the_order_of_the_model_and_defaults_are_left_out() -> None:
    text = encode_facts(facts([condition(onset=ago(3))])).decode()
    assert text.index('"patient"') < text.index('"conditions"') < text.index('"medications"')
    assert '"abated"' not in text


def test_bytes_that_are_no_facts_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_facts(b'{"patient": 3}')


def test_a_record_is_named_by_type_and_id() -> None:
    assert Record("Observation", "o1").reference == "Observation/o1"


def test_a_condition_is_dated_by_its_onset_before_its_recorded_date() -> None:
    assert condition(onset=ago(9), recorded=ago(1)).when == ago(9)
    assert condition(recorded=ago(1)).when == ago(1)
    assert condition().when is None


@pytest.mark.parametrize("kind", [Condition, Observation, MedicationEvent, Allergy, DraftOrder, PatientFacts])
def test_nothing_of_the_facts_can_be_changed(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
