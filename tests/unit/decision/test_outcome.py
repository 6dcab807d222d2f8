"""Kleene's three-valued logic holds its laws."""

from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, all_of, any_of, between, negate

OUTCOMES = st.sampled_from([MET, NOT_MET, UNKNOWN])
LISTS = st.lists(OUTCOMES, max_size=6)
# As numbers, Kleene's disjunction is the greatest, conjunction the least, and negation the mirror image.
WORTH = {NOT_MET: 0, UNKNOWN: 1, MET: 2}
BACK = {worth: outcome for outcome, worth in WORTH.items()}


@given(LISTS)
def test_disjunction_is_the_greatest(outcomes: list) -> None:
    assert any_of(outcomes) is BACK[max((WORTH[one] for one in outcomes), default=0)]


@given(LISTS)
def test_conjunction_is_the_least(outcomes: list) -> None:
    assert all_of(outcomes) is BACK[min((WORTH[one] for one in outcomes), default=2)]


@given(OUTCOMES)
def test_negation_is_the_mirror_image_and_its_own_inverse(outcome: object) -> None:
    assert WORTH[negate(outcome)] == 2 - WORTH[outcome]  # type: ignore[arg-type, index]
    assert negate(negate(outcome)) is outcome  # type: ignore[arg-type]


@given(LISTS)
def test_de_morgan(outcomes: list) -> None:
    assert negate(any_of(outcomes)) is all_of([negate(one) for one in outcomes])


@given(LISTS, st.randoms(use_true_random=False))
def test_the_order_of_parts_does_not_matter(outcomes: list, chance: object) -> None:
    mixed = list(outcomes)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert any_of(mixed) is any_of(outcomes)
    assert all_of(mixed) is all_of(outcomes)


@given(LISTS)
def test_settling_an_unknown_never_turns_a_decided_answer(outcomes: list) -> None:
    for settled in (MET, NOT_MET):
        known = [settled if one is UNKNOWN else one for one in outcomes]
        for combine in (any_of, all_of):
            if combine(outcomes) is not UNKNOWN:
                assert combine(known) is combine(outcomes)


def test_a_bounded_answer_is_open_between_its_bounds() -> None:
    assert between(certain=True, possible=True) is MET
    assert between(certain=False, possible=True) is UNKNOWN
    assert between(certain=False, possible=False) is NOT_MET
