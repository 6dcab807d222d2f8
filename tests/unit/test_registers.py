"""The registers beside the rules: sources, override reasons and suggested draft resources."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import build_suggestions

RULES = Path(__file__).resolve().parents[2] / "rules"

SOURCE_KEYS = set(
    "number title authors version date_shown doi pmid pmc set_id url read checked status label".split()
)  # every entry has them, null where nothing is known
SOURCE_FURTHER_KEYS = {"also", "unverified_details", "never_on_cards"}
STRINGS_OR_NULL = SOURCE_KEYS - {"title", "read", "checked", "status", "label"}
IDENTIFIER_FORMS = {
    "number": r"S([1-9]|[12]\d|3[0-5])",
    "doi": r"10\.\d{4,9}/\S+",
    "pmid": r"\d{1,8}",
    "pmc": r"PMC\d+",
    "set_id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "read": r"\d{4}-\d{2}-\d{2}",
}
SOURCE_IDS = """
    spravato-us spravato-rems esketamine-monotherapy-2025 spravato-eu apa-consensus-2017 canmat-2021 va-dod-2022
    mcintyre-2021 nice-ta854 asra-2018 trd-delphi-2022 trd-canada-2021 ema-depression-2013 athf-sf atrq-2010
    esketamine-phase3-entry phq9-item9 cssrs ketalar-us fda-compounded asa-guidance andrade-interactions-2017
    iv-ketamine-bp fhir-r4 ketamine-ch-uk adequate-trials-summaries fda-cds-guidance wilkinson-2018 andrade-oral-2019
    andrade-dose-2017 sustain-1 spravato-approvals anxiety-meta-2021 ptsd-2024 esketamine-japan-2021
""".split()  # S1 to S35, in this order

LOCAL_SYSTEM = "urn:ketamine-cds:override"
HL7_SYSTEM = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
HL7_CODES = set(
    """cds-not-applicable cds-suboptimal-context recipient-disagrees-evidence recipient-concerns-outcomes
    does-not-align-preferences not-convenient-feasible action-completed patient-contraindication patient-refuses
    too-costly-uncovered service-not-available recipient-does-not-understand""".split()
)
REASON_CODES = set(
    """OR-WRONG OR-RESOLVED-REVIEWED OR-SPECIALIST OR-INTOLERANCE OR-REVIEWED OR-RESEARCH OR-INFORMED OR-NOT-APPLICABLE
    OR-TESTED-ELSEWHERE OR-RECHECKED OR-TODAY OR-BENEFIT OR-CONSULTED OR-MONITORED OR-STOPPED OR-CAPACITY OR-CHILD-AB
    OR-ASSESSED OR-CONFIRMED OR-DISAGREE OR-OUTSIDE-RECORDS OR-INDICATION2 OR-IRRELEVANT""".split()
)

# The card list of the clinical reference: the override reasons and the suggestions of each card.
CARDS: dict[str, tuple[str, str]] = {
    "K-CON-VASC": ("OR-WRONG OR-RESOLVED-REVIEWED OR-SPECIALIST", "cardiology-consult neurosurgery-consult"),
    "K-CON-ICH": ("OR-WRONG OR-RESOLVED-REVIEWED OR-SPECIALIST", "cardiology-consult neurosurgery-consult"),
    "K-CON-ALL": ("OR-WRONG OR-INTOLERANCE", "allergy-review"),
    "K-REV-VASC": ("OR-REVIEWED", "record-review"),
    "K-AGE": ("OR-SPECIALIST OR-RESEARCH", ""),
    "K-PREG-POS": ("OR-WRONG OR-INFORMED", "obstetric-consult"),
    "K-PREG-UNK": ("OR-NOT-APPLICABLE OR-TESTED-ELSEWHERE", "hcg-urine hcg-serum"),
    "K-BP-HIGH": ("OR-RECHECKED OR-BENEFIT", "blood-pressure-recheck"),
    "K-BP-CRISIS": ("OR-RECHECKED", "urgent-blood-pressure-recheck"),
    "K-BP-STALE": ("OR-TODAY", "blood-pressure-order"),
    "K-HEART": ("OR-CONSULTED OR-BENEFIT", "cardiology-consult ecg"),
    "K-SUD": ("OR-BENEFIT OR-CONSULTED", "audit-c dast-10 pdmp-query addiction-consult"),
    "K-PSYCH": ("OR-BENEFIT OR-CONSULTED", "psychiatry-review"),
    "K-BIPOLAR": ("OR-WRONG OR-SPECIALIST", ""),
    "K-CNS": ("OR-MONITORED", "medication-review"),
    "K-BPDRUG": ("OR-MONITORED", "blood-pressure-plan"),
    "K-THEO": ("OR-STOPPED", "pharmacist-review"),
    "K-BLADDER": ("OR-BENEFIT OR-CONSULTED", "urinalysis urology-consult"),
    "K-COG": ("OR-CAPACITY", "moca"),
    "K-LIVER": ("OR-CHILD-AB", "liver-panel"),
    "K-ICP": ("OR-CONSULTED", "neurology-consult"),
    "K-LACT": ("OR-INFORMED", "lactation-advice"),
    "K-SI": ("OR-ASSESSED", "cssrs phq-9 safety-plan"),
    "K-TRD-YES": ("OR-CONFIRMED OR-DISAGREE", "outcome-confirmation phq-9"),
    "K-TRD-NO": ("OR-OUTSIDE-RECORDS OR-INDICATION2", "medication-history treatment-history-interview"),
    "K-DX": ("OR-OUTSIDE-RECORDS", "diagnosis-entry"),
    "K-FORM": ("", "rems-enrolment transport-arrangement weight"),
    # "Orders for gaps". Not hCG: that is K-PREG-UNK's, which asks for a recorded capacity for pregnancy first.
    "K-GAP": ("", "blood-pressure-order cssrs phq-9 liver-panel weight"),
}

DIRECTIVES = re.compile(
    r"\b(must|should|do not|don't|avoid|stop|start|give|prescribe|treat|cancel|measure|check|monitor|assess|consider"
    r"|refer)\b|^order\b",
    re.IGNORECASE,
)


def register(name: str) -> dict[str, dict[str, Any]]:
    """The entries by id; a key written twice is an error, which YAML would pass over."""
    text = (RULES / name).read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    assert re.findall(r"^([^\s#][^:]*):", text, re.MULTILINE) == list(entries)
    return entries


SOURCES = register("sources.yaml")
REASONS = register("override_reasons.yaml")
SUGGESTIONS = register("suggestions.yaml")


def as_sent(code: str) -> tuple[str, str]:
    """System and code as a card carries them."""
    reason = REASONS[code]
    return (HL7_SYSTEM, reason["hl7"]) if "hl7" in reason else (reason["system"], code)


# ---------------------------------------------------------------- sources


def test_every_source_of_the_clinical_reference_is_registered_under_its_number() -> None:
    assert list(SOURCES) == [*SOURCE_IDS, "project-default"]
    assert [source["number"] for source in SOURCES.values()] == [*(f"S{n}" for n in range(1, 36)), None]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
class TestSource:
    def test_has_every_key_and_no_unknown_one(self, source: dict[str, Any]) -> None:
        assert SOURCE_KEYS <= set(source) <= SOURCE_KEYS | SOURCE_FURTHER_KEYS

    def test_has_text_where_text_is_needed(self, source: dict[str, Any]) -> None:
        for key in SOURCE_KEYS:
            value = source[key]
            if value is None:
                assert key in STRINGS_OR_NULL, f"{key} is empty"
            else:
                assert isinstance(value, str), f"{key} is not quoted: {value!r}"
                assert value.strip() == value != "", key
        for key in ("also", "unverified_details"):
            assert all(isinstance(text, str) and text for text in source.get(key, ["no list"])), key

    def test_identifiers_have_their_form(self, source: dict[str, Any]) -> None:
        for key, form in IDENTIFIER_FORMS.items():
            assert source[key] is None or re.fullmatch(form, source[key]), f"{key}: {source[key]}"

    def test_label_fits_a_card_and_directs_nobody(self, source: dict[str, Any]) -> None:
        assert len(source["label"]) <= 90
        assert not DIRECTIVES.search(source["label"])

    def test_address_is_that_of_the_doi_or_the_label(self, source: dict[str, Any]) -> None:
        if source["doi"]:
            assert source["url"] == f"https://doi.org/{source['doi']}"
        elif source["set_id"]:
            assert source["url"] == f"https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={source['set_id']}"
        elif source["url"]:
            assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]+(/[a-z0-9/-]*)?", source["url"])

    def test_unverified_details_are_not_used_elsewhere_in_the_entry(self, source: dict[str, Any]) -> None:
        used = json.dumps({key: value for key, value in source.items() if key not in ("unverified_details", "checked")})
        for detail in source.get("unverified_details", []):
            for identifier in re.findall(r"10\.\d{4,9}/\S+|\d{6,}|e?\d+-e?\d+", detail):
                assert identifier not in used

    def test_status_is_the_weakest_of_its_core_statement(self, source: dict[str, Any]) -> None:
        own = source is SOURCES["project-default"]
        assert source["status"] in ({"design choice"} if own else {"confirmed", "secondary", "unverified"})
        if not own:
            assert re.search(rf"\b{source['status']}\b", source["checked"], re.IGNORECASE)
        if source["checked"].startswith("Secondary"):
            assert source["status"] != "confirmed"


def test_addresses_are_unique() -> None:
    addresses = [source["url"] for source in SOURCES.values() if source["url"]]
    assert len(addresses) == len(set(addresses))


def test_a_source_without_a_date_never_reaches_a_card() -> None:
    kept_off = {name for name, source in SOURCES.items() if source.get("never_on_cards")}
    assert kept_off == {"adequate-trials-summaries"}
    assert {name for name, source in SOURCES.items() if source["date_shown"] is None} == kept_off


def test_doi_that_nobody_verified_is_no_address() -> None:
    for name in ("apa-consensus-2017", "va-dod-2022"):
        assert SOURCES[name]["doi"] is SOURCES[name]["url"] is None
        assert any("doi" in detail for detail in SOURCES[name]["unverified_details"])


# ---------------------------------------------------------------- override reasons


def test_override_reasons_are_those_of_the_clinical_reference() -> None:
    assert len(REASON_CODES) == 23
    assert set(REASONS) == REASON_CODES


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_override_reason_has_a_system_and_a_display(reason: dict[str, Any]) -> None:
    assert {"system", "display"} <= set(reason) <= {"system", "display", "hl7"}
    assert reason["system"] == LOCAL_SYSTEM
    assert 0 < len(reason["display"]) <= 80
    assert reason.get("hl7", "action-completed") in HL7_CODES


def test_displays_of_override_reasons_differ() -> None:
    assert max(Counter(reason["display"].lower() for reason in REASONS.values()).values()) == 1


@pytest.mark.parametrize("card", CARDS)
def test_feedback_tells_the_reasons_of_a_card_apart(card: str) -> None:
    sent = [as_sent(code) for code in CARDS[card][0].split()]
    assert len(sent) == len(set(sent))


def test_reasons_that_share_an_hl7_code_are_told_apart_by_their_cards() -> None:
    shared = Counter(reason["hl7"] for reason in REASONS.values() if "hl7" in reason)
    assert {code for code, count in shared.items() if count > 1} == {"action-completed", "cds-not-applicable"}
    assert as_sent("OR-RECHECKED") == as_sent("OR-TESTED-ELSEWHERE") == (HL7_SYSTEM, "action-completed")


# ---------------------------------------------------------------- suggestions


def test_every_suggestion_of_the_card_list_exists_and_names_its_cards() -> None:
    listed = {(card, name) for card, (_, names) in CARDS.items() for name in names.split()}
    assert {(card, name) for name, entry in SUGGESTIONS.items() for card in entry["cards"]} == listed


@pytest.mark.parametrize("suggestion", SUGGESTIONS.values(), ids=SUGGESTIONS)
class TestSuggestion:
    def test_has_every_key_and_no_unknown_one(self, suggestion: dict[str, Any]) -> None:
        keys = {"kind", "label", "description", "code", "intent", "status", "cards"}
        assert keys <= set(suggestion) <= keys | {"priority"}

    def test_is_a_draft_and_a_proposal(self, suggestion: dict[str, Any]) -> None:
        assert suggestion["kind"] in ("ServiceRequest", "Task")
        assert (suggestion["status"], suggestion["intent"]) == ("draft", "proposal")

    def test_is_urgent_only_in_the_crisis_range(self, suggestion: dict[str, Any]) -> None:
        assert ("priority" in suggestion) == ("K-BP-CRISIS" in suggestion["cards"])
        assert suggestion.get("priority", "urgent") == "urgent"

    def test_directs_nobody(self, suggestion: dict[str, Any]) -> None:
        for text in (suggestion["label"], suggestion["description"], suggestion["code"]["text"]):
            assert not DIRECTIVES.search(text), text

    def test_says_in_label_and_description_that_it_is_a_draft(self, suggestion: dict[str, Any]) -> None:
        kind = {"ServiceRequest": "order", "Task": "task"}[suggestion["kind"]]
        assert suggestion["label"].endswith(f": draft {kind}")
        assert suggestion["description"].startswith(f"Draft {kind} for ")

    def test_is_short_and_ends_without_a_full_stop(self, suggestion: dict[str, Any]) -> None:
        assert len(suggestion["label"]) <= 80
        assert len(suggestion["description"]) <= 140
        assert not suggestion["label"].endswith(".")
        assert not suggestion["description"].endswith(".")

    def test_code_is_text_or_loinc_with_its_check_digit(self, suggestion: dict[str, Any]) -> None:
        code = suggestion["code"]
        assert code["text"]
        if set(code) != {"text"}:
            assert {"text", "system", "code"} <= set(code) <= {"text", "system", "code", "display"}
            assert code["system"] == "http://loinc.org"
            assert has_loinc_check_digit(code["code"])


def has_loinc_check_digit(code: str) -> bool:
    """Whether the last digit is the Luhn (mod 10) digit of the others."""
    number, _, check = code.partition("-")
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
    return check == str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def test_check_digit_catches_a_mistyped_code() -> None:
    assert has_loinc_check_digit("85354-9")
    assert not has_loinc_check_digit("85345-9")


def test_labels_and_descriptions_of_suggestions_differ() -> None:
    for key in ("label", "description"):
        assert max(Counter(entry[key] for entry in SUGGESTIONS.values()).values()) == 1


def test_a_code_used_twice_is_told_apart_by_its_text() -> None:
    by_code = sorted(json.dumps(entry["code"], sort_keys=True) for entry in SUGGESTIONS.values())
    assert all(one != other for one, other in pairwise(by_code))


def test_committed_drafts_are_what_the_tool_builds() -> None:
    committed = {path.name: path.read_bytes() for path in (RULES / "suggestions").iterdir()}
    assert committed == build_suggestions.build(SUGGESTIONS)


def test_tool_writes_the_drafts_and_removes_those_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "suggestions.yaml").write_text(yaml.safe_dump({"ecg": SUGGESTIONS["ecg"]}), encoding="utf-8")
    (tmp_path / "suggestions").mkdir()
    (tmp_path / "suggestions" / "gone.json").write_text("{}", encoding="utf-8")
    assert build_suggestions.main([str(tmp_path)]) == 0
    (written,) = (tmp_path / "suggestions").iterdir()
    assert written.read_bytes() == (RULES / "suggestions" / "ecg.json").read_bytes()


def test_tool_refuses_what_is_not_r4() -> None:
    with pytest.raises(ValueError, match="status"):
        build_suggestions.draft({**SUGGESTIONS["ecg"], "status": ["draft"]})


@pytest.mark.parametrize("name", SUGGESTIONS)
def test_draft_names_no_patient_and_is_r4_once_it_does(name: str) -> None:
    resource = json.loads((RULES / "suggestions" / f"{name}.json").read_bytes())
    kind = SUGGESTIONS[name]["kind"]
    assert (resource["resourceType"], resource["status"], resource["intent"]) == (kind, "draft", "proposal")
    assert "Patient/" not in json.dumps(resource)
    patient = {"reference": "Patient/p1"}
    filled = build_suggestions.with_patient(resource, patient)
    assert filled == {**resource, {"ServiceRequest": "subject", "Task": "for"}[kind]: patient}
