"""The registers that rules point into are closed, and a fault in them is named."""

import pytest

from tests.unit.rulebook.support import Book

SERVICES, OVERRIDES, SUGGESTIONS, SOURCES = (
    "services.yaml",
    "override_reasons.yaml",
    "suggestions.yaml",
    "sources.yaml",
)


def test_a_reason_that_hl7_knows_is_coded_as_hl7s(book: Book) -> None:
    reasons = book.load().overrides
    assert reasons["OR-TODAY"].coding == {
        "code": "measured",
        "system": "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes",
        "display": "Measured today",
    }
    assert reasons["OR-BENEFIT"].coding == {
        "code": "OR-BENEFIT",
        "system": "https://example.org/reasons",
        "display": "Benefit outweighs risk",
    }


def test_a_suggestion_comes_with_its_draft_resource(book: Book) -> None:
    ecg = book.load().suggestions["ecg"]
    assert (ecg.id, ecg.kind, ecg.resource) == ("ecg", "ServiceRequest", {"resourceType": "ServiceRequest"})


def test_a_draft_resource_is_one_mapping(book: Book) -> None:
    book.write("suggestions/ecg.json", "[]")
    fault = book.refused()
    assert (fault.file, fault.problem) == ("rules/suggestions/ecg.json", "is not a FHIR resource")


@pytest.mark.parametrize("text", ["{", None])
def test_a_draft_resource_that_is_missing_or_not_json_is_refused(book: Book, text: str | None) -> None:
    if text is None:
        (book.folder / "suggestions" / "ecg.json").unlink()
    else:
        book.write("suggestions/ecg.json", text)
    fault = book.refused()
    assert (fault.file, fault.problem) == ("rules/suggestions/ecg.json", "is missing or not JSON")


@pytest.mark.parametrize("name", [SOURCES, OVERRIDES, SUGGESTIONS])
def test_a_register_is_a_mapping_of_names(book: Book, name: str) -> None:
    book.write(name, "- one\n- two\n")
    fault = book.refused()
    assert (fault.file, fault.problem) == (f"rules/{name}", "is not a mapping of names to entries")


@pytest.mark.parametrize(
    ("name", "old", "new", "key"),
    [
        (SOURCES, "  title: A label\n", "  title: A label\n  colour: red\n", "colour"),
        (OVERRIDES, "{display: Benefit outweighs risk", "{colour: red, display: Benefit outweighs risk", "colour"),
        (SUGGESTIONS, "  label: ECG", "  label: ECG\n  colour: red", "colour"),
        (SUGGESTIONS, "  label: ECG\n", "", "label"),
        (SUGGESTIONS, "kind: ServiceRequest", "kind: Appointment", "kind"),
        (SERVICES, "    hook: patient-view", "    hook: patient-hook", "services.0.hook"),
        (SERVICES, "    shows: candidacy", "    shows: 3", "services.0.shows"),
    ],
)
def test_a_register_entry_is_closed_and_typed(book: Book, name: str, old: str, new: str, key: str) -> None:
    book.edit(name, old, new)
    fault = book.refused()
    assert (fault.file, fault.line) == (
        f"rules/{name}",
        book.line(name, new.splitlines()[-1].strip() if new else "ecg:"),
    )
    assert fault.key is not None
    assert fault.key.endswith(key)


@pytest.mark.parametrize("name", [OVERRIDES, SUGGESTIONS])
def test_a_register_entry_that_is_no_mapping_is_refused(book: Book, name: str) -> None:
    book.write(name, "ecg: nothing\nOR-BENEFIT: nothing\n")
    assert book.refused().file == f"rules/{name}"


@pytest.mark.parametrize(("old", "new"), [("id: candidacy", "id: orders"), ("hook: patient-view", "hook: order-sign")])
def test_two_services_with_one_id_or_one_hook_are_refused(book: Book, old: str, new: str) -> None:
    text = book.read(SERVICES)
    second = text[text.index("  - id") :].replace(old, new)
    book.write(SERVICES, text + second)
    fault = book.refused()
    assert (fault.file, fault.problem) == ("rules/services.yaml", "two services have the same id or hook")


def test_the_evidence_page_cites_sources_that_may_be_shown(book: Book) -> None:
    assert book.load().evidence[0].topic == "Mechanism"
    book.edit("evidence.yaml", "source: label", "source: gone")
    fault = book.refused()
    assert (fault.file, fault.key) == ("rules/evidence.yaml", "Mechanism")


def test_the_evidence_page_cites_no_source_that_is_kept_off_pages(book: Book) -> None:
    book.edit("sources.yaml", "label: A quoted source", "label: A quoted source\n  never_on_cards: true")
    book.edit("evidence.yaml", "source: label", "source: hidden")
    fault = book.refused()
    assert (fault.file, fault.key) == ("rules/evidence.yaml", "Mechanism")
    assert fault.problem == "cites hidden, which the register lacks or keeps off pages"


def test_the_evidence_page_is_a_list_of_topics(book: Book) -> None:
    book.write("evidence.yaml", "topic: Mechanism\n")
    fault = book.refused()
    assert (fault.file, fault.line, fault.problem) == ("rules/evidence.yaml", 1, "is not a list of topics")


def test_a_topic_is_closed_and_named_by_its_place(book: Book) -> None:
    book.edit("evidence.yaml", "  says: It", "  colour: red\n  says: It")
    fault = book.refused()
    assert (fault.file, fault.line, fault.key) == ("rules/evidence.yaml", 3, "colour")


@pytest.mark.parametrize("number", ["5", "D100", "E5"])
def test_a_topic_takes_up_statements_by_their_number(book: Book, number: str) -> None:
    book.edit("evidence.yaml", "[D5]", f'["{number}"]')
    assert book.refused().key == "statements.0"


@pytest.mark.parametrize("text", ["D5: 5\n", "D5: [mechanism]\n"])
def test_a_founding_statement_is_a_text(book: Book, text: str) -> None:
    book.write("founding_statements.yaml", text)
    assert book.refused().problem == "is not a mapping of numbers to statements"


def test_founding_statements_are_numbers_with_a_text_each(book: Book) -> None:
    assert book.load().statements == {"D5": "mechanism not fully known"}
    book.write("founding_statements.yaml", "- D5\n")
    assert book.refused().problem == "is not a mapping of numbers to statements"
