"""Current medications by ingredient or group, and allergies: one reader per kind of fact.

Products are resolved by table; a drug that is only named in words may be the one asked for, and leaves the match open.
"""

from collections.abc import Mapping

from cds_service.decision.chart import Chart, list_gaps
from cds_service.decision.codes import Codes, Entry, ValueSet, first_match, select_all
from cds_service.decision.coding import CodeKey, Coding
from cds_service.decision.dates import AsOf
from cds_service.decision.evidence import Found, Match, found_values
from cds_service.decision.facts import Allergy, MedicationEvent
from cds_service.decision.outcome import MET, NOT_MET, UNKNOWN, Outcome, all_of, between, negate
from cds_service.decision.reading import PROVISIONAL, Reader
from cds_service.decision.rule import AllergiesFact, MedicationsFact
from cds_service.decision.words import words_of

MEDICATION_TYPES = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "Medication")
# Words of a substance's display that name no substance.
GENERIC = frozenset({"substance", "product", "allergy", "to"})


class DrugTable:
    """Codes and code prefixes of drugs, and the ingredient names by which a drug named in words is recognised."""

    def __init__(self, codes: Codes) -> None:
        self.codes = {key: entry for key, entry in codes.items() if entry.columns.get("match") != "prefix"}
        self.prefixes = [(key, entry) for key, entry in codes.items() if entry.columns.get("match") == "prefix"]
        self.names = {
            name.lower(): entry
            for entry in codes.values()
            if (name := entry.columns.get("ingredient")) and " " not in name
        }

    def find(self, codings: tuple[Coding, ...]) -> Entry | None:
        """The entry that a code belongs to, exactly or by its prefix (ATC groups)."""
        entry = first_match(codings, self.codes)
        if entry:
            return entry
        return next((entry for coding in codings for key, entry in self.prefixes if _has_prefix(coding.key, key)), None)

    def named(self, words: frozenset[str]) -> Entry | None:
        """The entry whose ingredient the record names in words."""
        return next((self.names[name] for name in sorted(words & self.names.keys())), None)

    def candidates(self, chart: Chart) -> list[MedicationEvent]:
        """The events that a code, a prefix or a word may make one of the table's drugs, in the order of the facts."""
        index = chart.medications
        codes = index.by_code.keys() & self.codes.keys()
        codes |= {key for key in index.by_code for prefix, _ in self.prefixes if _has_prefix(key, prefix)}
        places = {place for key in codes for place in index.by_code[key]}
        places |= {place for word in index.by_word.keys() & self.names.keys() for place in index.by_word[word]}
        return [chart.facts.medications.items[place] for place in sorted(places)]


def _has_prefix(key: CodeKey, prefix: CodeKey) -> bool:
    return key[0] == prefix[0] and key[1].startswith(prefix[1])


def medications_reader(spec: MedicationsFact, sets: Mapping[str, ValueSet]) -> Reader:
    """Compile a `medications` fact: drugs of the table that are taken now, as far as the record says."""
    table = DrugTable(select_all(spec.codes, sets))
    known = {key for ref in spec.known for key in sets[ref.set].codes}

    def reader(chart: Chart) -> Found:
        matches = []
        for event in table.candidates(chart):
            match = _medication_match(event, table, known, chart)
            if match:
                matches.append(match)
        found = tuple(matches)
        return Found(found, _medication_gaps(table, chart), found_values(found, chart.as_of))

    return reader


def _medication_match(event: MedicationEvent, table: DrugTable, known: set[CodeKey], chart: Chart) -> Match | None:
    entry = table.find(event.codes)
    classified = entry is not None
    if entry is None and not any(coding.key in known for coding in event.codes):
        entry = table.named(chart.words(event))
    if entry is None:
        return None
    taken = taken_now(event, chart.as_of)
    if taken is NOT_MET:
        return None
    certain = taken is MET and classified
    note = "named in text only" if not classified else "whether it is still taken is not recorded"
    return Match(
        record=event.record,
        display=entry.columns.get("ingredient") or entry.display,
        code="|".join(entry.key),
        when=event.start,
        certain=certain,
        value=entry.columns.get("group"),
        status=event.status or "status not recorded",
        note=None if certain else note,
        verified=entry.verified,
    )


def taken_now(event: MedicationEvent, as_of: AsOf) -> Outcome:
    """Whether a medication is current: active on record, or handed out in a supply that reaches the as-of day."""
    if event.do_not_perform or event.intent in ("proposal", "plan", "option"):
        return NOT_MET
    ended = _ended(event, as_of)
    if ended is MET:
        # The end of a request bounds dispensing, not taking; what was handed out may last longer.
        return UNKNOWN if event.kind == "request" and event.status == "active" else NOT_MET
    return all_of([_current(event, as_of), negate(ended)])


def _ended(event: MedicationEvent, as_of: AsOf) -> Outcome:
    if event.end is None:
        return NOT_MET
    return between(event.end.last_day < as_of.day, event.end.first_day < as_of.day)


def _current(event: MedicationEvent, as_of: AsOf) -> Outcome:
    if event.kind == "dispense":
        return _supply_reaches(event, as_of)
    if event.status == "active":
        return MET
    return UNKNOWN if event.status in ("unknown", "on-hold", None) else NOT_MET


def _supply_reaches(event: MedicationEvent, as_of: AsOf) -> Outcome:
    if event.status not in ("completed", "unknown", None) or event.start is None:
        return UNKNOWN if event.status in ("completed", "unknown", None) else NOT_MET
    if event.supply_days is None:
        return between(False, possible=as_of.day - event.start.last_day <= 90)
    reach = event.supply_days - 1
    return between(event.start.first_day + reach >= as_of.day, event.start.last_day + reach >= as_of.day)


def _medication_gaps(table: DrugTable, chart: Chart) -> tuple[str, ...]:
    unread = chart.quarantined(MEDICATION_TYPES, table.codes)
    aside = tuple(f"{item.record.reference} could not be read" for item in unread)
    unnamed = tuple(
        f"{event.record.reference}: medication not identified"
        for event in chart.facts.medications.items
        if not event.codes and not event.text and taken_now(event, chart.as_of) is not NOT_MET
    )
    return list_gaps(chart.facts.medications, empty_matters=True, name="medications") + aside + unnamed


def allergies_reader(spec: AllergiesFact, sets: Mapping[str, ValueSet]) -> Reader:
    """Compile an `allergies` fact: active, unrefuted allergies to the substances; "no known allergy" is an answer."""
    codes = select_all(spec.codes, sets)
    names = {word: entry for entry in codes.values() for word in words_of(entry.display) if word not in GENERIC}

    def reader(chart: Chart) -> Found:
        matches = tuple(
            match
            for allergy in chart.facts.allergies.items
            if _counts(allergy, spec) and (match := _allergy_match(allergy, codes, names))
        )
        aside = tuple(
            f"{item.record.reference} could not be read" for item in chart.quarantined(("AllergyIntolerance",), codes)
        )
        gaps = list_gaps(chart.facts.allergies, empty_matters=True, name="allergies") + aside
        return Found(matches, gaps, found_values(matches, chart.as_of))

    return reader


def _counts(allergy: Allergy, spec: AllergiesFact) -> bool:
    """Active or without a status, not refuted, and an allergy or an intolerance as the fact asks."""
    if allergy.clinical not in ("active", None) or allergy.verification in ("refuted", "entered-in-error"):
        return False
    return spec.recorded_as == "any" or (allergy.type == "intolerance") is (spec.recorded_as == "intolerance")


def _allergy_match(allergy: Allergy, codes: Codes, names: Mapping[str, Entry]) -> Match | None:
    """A coded substance, or one named in words only, which leaves the match open."""
    entry = first_match(allergy.substances, codes)
    coded = entry is not None
    if entry is None:
        words = words_of(allergy.text, *(coding.display for coding in allergy.substances))
        entry = next((names[word] for word in sorted(words & names.keys())), None)
    if entry is None:
        return None
    return Match(
        record=allergy.record,
        display=entry.columns.get("ingredient") or entry.display,
        code="|".join(entry.key),
        when=allergy.recorded,
        certain=coded,
        value=f"recorded as {allergy.type}" if allergy.type else None,
        status=allergy.clinical or "status not recorded",
        note=None if coded else "named in text only",
        provisional=allergy.verification in PROVISIONAL,
        verified=entry.verified,
    )
