"""Met, not met, unknown: Kleene's three-valued logic, the only truth values of this service."""

import enum
from collections.abc import Iterable, Mapping


class Outcome(enum.Enum):
    """The answer to a question about a chart. Missing data is UNKNOWN, never NOT_MET."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "unknown"


MET, NOT_MET, UNKNOWN = Outcome.MET, Outcome.NOT_MET, Outcome.UNKNOWN


OUTCOMES: Mapping[str, Outcome] = {outcome.value: outcome for outcome in Outcome}


def any_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene disjunction: one met decides; otherwise one unknown leaves it open."""
    result = NOT_MET
    for outcome in outcomes:
        if outcome is MET:
            return MET
        if outcome is UNKNOWN:
            result = UNKNOWN
    return result


def all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene conjunction: one not met decides; otherwise one unknown leaves it open."""
    result = MET
    for outcome in outcomes:
        if outcome is NOT_MET:
            return NOT_MET
        if outcome is UNKNOWN:
            result = UNKNOWN
    return result


def negate(outcome: Outcome) -> Outcome:
    """Kleene negation: unknown stays unknown."""
    if outcome is MET:
        return NOT_MET
    if outcome is NOT_MET:
        return MET
    return UNKNOWN


def between(certain: bool, possible: bool) -> Outcome:
    """The outcome of a question whose answer is bounded: certain yes, certain no, or open."""
    if certain:
        return MET
    return UNKNOWN if possible else NOT_MET
