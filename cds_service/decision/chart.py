"""One request's facts, indexed once by code, so that each rule costs a set intersection and not a walk."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, TypeVar, cast

from cds_service.decision.codes import Codes
from cds_service.decision.coding import SYSTEMS, CodeKey, Coding
from cds_service.decision.dates import AsOf
from cds_service.decision.facts import (
    Component,
    Condition,
    Listing,
    MedicationEvent,
    Observation,
    PatientFacts,
    Quarantined,
)
from cds_service.decision.words import words_of

Reading = tuple[Observation, Component | None]
T = TypeVar("T")
KNOWN_SYSTEMS = frozenset(SYSTEMS.values())


class MedicationIndex(NamedTuple):
    """Where in the list of medications a code, or a word of a text or display, stands; and each one's words."""

    by_code: dict[CodeKey, list[int]]
    by_word: dict[str, list[int]]
    words: dict[int, frozenset[str]]


class Chart:
    """Facts and the as-of instant, with the indexes that the rules of one request share."""

    def __init__(self, facts: PatientFacts, as_of: AsOf) -> None:
        self.facts = facts
        self.as_of = as_of
        self.conditions: dict[CodeKey, list[Condition]] = {}
        self.readings: dict[CodeKey, list[Reading]] = {}
        self._shared: dict[str, Any] = {}
        for condition in facts.conditions.items:
            if condition.verification not in ("refuted", "entered-in-error"):
                _index(self.conditions, condition.codes, condition)
        for observation in facts.observations.items:
            _index(self.readings, observation.codes, (observation, None))
            for component in observation.components:
                _index(self.readings, component.codes, (observation, component))

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this chart under `key` and shared by the facts that ask for it."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast("T", self._shared[key])

    @property
    def medications(self) -> MedicationIndex:
        """The medications by code and by word, indexed when first asked for."""
        return self.once("medications", self._index_medications)

    def _index_medications(self) -> MedicationIndex:
        index = MedicationIndex({}, {}, {})
        for place, event in enumerate(self.facts.medications.items):
            for coding in event.codes:
                index.by_code.setdefault((coding.system, coding.code), []).append(place)
            words = words_of(event.text, *(coding.display for coding in event.codes))
            index.words[id(event)] = words
            for word in words:
                index.by_word.setdefault(word, []).append(place)
        return index

    def words(self, event: MedicationEvent) -> frozenset[str]:
        """The words of a medication's text and displays."""
        return self.medications.words[id(event)]

    def conditions_in(self, codes: Codes) -> list[Condition]:
        """Conditions with a code in `codes`, each once, in the order of the facts."""
        hit = self.conditions.keys() & codes.keys()
        if not hit:
            return []
        found = {id(condition): condition for key in sorted(hit) for condition in self.conditions[key]}
        return sorted(found.values(), key=_condition_order)

    def readings_in(self, codes: Codes) -> list[Reading]:
        """Observations, or components of them, whose own code lies in `codes`, oldest first."""
        hit = self.readings.keys() & codes.keys()
        if not hit:
            return []
        found = {(id(one), id(part)): (one, part) for key in sorted(hit) for one, part in self.readings[key]}
        return sorted(found.values(), key=_reading_order)

    def quarantined(self, types: tuple[str, ...], codes: Collection[CodeKey] | None) -> list[Quarantined]:
        """Resources set aside that might have mattered: of these types, and not known to carry other codes only.

        A local code clears nothing: what it stands for is not known.
        """
        return [item for item in self.facts.quarantined if item.record.type in types and _may_matter(item, codes)]


def _index(index: dict[CodeKey, list[T]], codes: Iterable[Coding], item: T) -> None:
    for coding in codes:
        index.setdefault((coding.system, coding.code), []).append(item)


def _condition_order(condition: Condition) -> tuple[int, str]:
    when = condition.when
    return (when.start if when else -1, condition.record.id)


def _reading_order(reading: Reading) -> tuple[int, str]:
    when = reading[0].when
    return (when.start if when else -1, reading[0].record.id)


def _may_matter(item: Quarantined, codes: Collection[CodeKey] | None) -> bool:
    known = [coding for coding in item.codes if coding.system in KNOWN_SYSTEMS]
    return codes is None or not known or any(coding.key in codes for coding in known)


def list_gaps(listing: Listing[T], empty_matters: bool, name: str) -> tuple[str, ...]:
    """Why a list cannot support "not met": its gaps, and that it arrived empty where that matters."""
    reasons = [f"{gap.key}: {gap.cause}" for gap in listing.gaps]
    if empty_matters and not reasons and listing.received == 0:
        reasons.append(f"no {name} received")
    return tuple(reasons)
