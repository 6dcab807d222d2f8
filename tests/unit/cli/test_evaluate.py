"""`cds-service evaluate`: the document it prints, the same each time, and its refusals in one sentence."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cds_service.cli import evaluate, main
from cds_service.rulebook.load import Rulebook, load_rulebook

ROOT = Path(__file__).parents[3]
CAST = ROOT / "fhir_fixtures" / "cast"
FORMS = ("esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-oral", "ketamine-nasal-compounded")
DEPRESSED = "two-adequate-trials-and-still-depressed"
# Between them every outcome of every rule, with grades and without.
PEOPLE = (DEPRESSED, "stopped-but-nobody-wrote-when", "one-diagnosis-could-not-be-read", "nothing-relevant-at-all")

Document = dict[str, Any]
Told = tuple[int, str, str]


@cache
def committed_rules(folder: Path) -> Rulebook:
    """The rules are the same for every test here: they are loaded once."""
    return load_rulebook(folder)


@pytest.fixture(autouse=True)
def _in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(evaluate, "load_rulebook", committed_rules)
    # A terminal as wide as a sentence, so that what is printed is not broken in the middle of it.
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Runs the command: its exit code, what it printed and what it said on stderr."""

    def command(bundle: Path | str, *arguments: str) -> Told:
        path = bundle if isinstance(bundle, Path) else CAST / f"{bundle}.json"
        with pytest.raises(SystemExit) as left:
            main.app(["evaluate", "--bundle", str(path), "--as-of", "2026-11-01", *arguments])
        assert isinstance(left.value.code, int)
        return (left.value.code, *capsys.readouterr())

    return command


def document(told: Told) -> Document:
    code, out, err = told
    assert (code, err) == (0, "")
    found: Document = json.loads(out)
    return found


# --- The document -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", PEOPLE)
def test_the_document_has_the_published_shape(run: Callable[..., Told], person: str) -> None:
    found = document(run(person, "--json"))
    assert list(found) == ["response", "assessment", "quarantined"]
    assert list(found["response"]) == ["cards"]
    for one in found["assessment"]:
        assert list(one) == ["rule", "version", "digest", "outcome", "grade", "indicator", "clauses"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", one["version"])
        assert len(one["digest"]) == 64
        assert one["outcome"] in ("met", "not met", "unknown")
        assert one["grade"] is None or isinstance(one["grade"], str)
        assert one["indicator"] in (None, "info", "warning", "critical")
        assert one["grade"] is not None or one["indicator"] is None
        for clause in one["clauses"]:
            assert list(clause) == ["id", "outcome", "evidence", "reason"]
            assert clause["outcome"] in ("met", "not met", "unknown")
            assert clause["outcome"] != "unknown" or clause["reason"]
            assert all({"resource", "what"} <= set(item) for item in clause["evidence"])
    for one in found["quarantined"]:
        assert list(one) == ["resource", "reason"]


def test_these_people_show_every_outcome_with_and_without_a_grade_and_an_indicator(run: Callable[..., Told]) -> None:
    found = [one for person in PEOPLE for one in document(run(person, "--json"))["assessment"]]
    assert {one["outcome"] for one in found} == {"met", "not met", "unknown"}
    assert {one["indicator"] for one in found} == {None, "info", "warning", "critical"}
    assert {one["grade"] is None for one in found} == {True, False}
    outcomes = {clause["outcome"] for one in found for clause in one["clauses"]}
    assert outcomes == {"met", "not met", "unknown"}


def test_every_rule_is_assessed_in_a_fixed_order(run: Callable[..., Told]) -> None:
    rules = [one["rule"] for one in document(run(DEPRESSED, "--json"))["assessment"]]
    services = committed_rules(Path("rules")).services
    assert rules == services["ketamine-candidacy"].rules
    assert len(rules) >= 6


def test_what_could_not_be_understood_is_listed_with_the_element_and_not_its_value(run: Callable[..., Told]) -> None:
    (one,) = document(run("one-diagnosis-could-not-be-read", "--json"))["quarantined"]
    assert one["resource"].startswith("Condition/")
    assert "code" in one["reason"]
    assert document(run(DEPRESSED, "--json"))["quarantined"] == []


def test_the_document_is_the_same_each_time(run: Callable[..., Told]) -> None:
    first = run("stopped-but-nobody-wrote-when", "--json", "--hook", "order-sign", "--order", "ketamine-iv")
    assert first == run("stopped-but-nobody-wrote-when", "--json", "--hook", "order-sign", "--order", "ketamine-iv")


# --- Hooks and orders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
@pytest.mark.parametrize("form", FORMS)
def test_an_order_of_each_form_gets_cards_of_its_form(run: Callable[..., Told], form: str, hook: str) -> None:
    cards = document(run(DEPRESSED, "--json", "--hook", hook, "--order", form))["response"]["cards"]
    assert cards
    for card in cards:
        assert ("Ketamine: off-label use" in card["detail"]) is (form != "esketamine-nasal")
        assert "Label status cannot be determined" not in card["detail"]


def test_an_order_hook_without_an_order_has_nothing_to_say(run: Callable[..., Told]) -> None:
    assert document(run(DEPRESSED, "--json", "--hook", "order-sign"))["response"] == {"cards": []}


def test_the_hook_is_the_patient_view_unless_another_is_named(run: Callable[..., Told]) -> None:
    assert run(DEPRESSED, "--json") == run(DEPRESSED, "--json", "--hook", "patient-view")


@pytest.mark.parametrize("kind", ["transaction", "collection", "searchset", "batch"])
def test_a_bundle_of_each_type_is_read(run: Callable[..., Told], tmp_path: Path, kind: str) -> None:
    bundle = json.loads((CAST / f"{DEPRESSED}.json").read_bytes())
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps({**bundle, "type": kind}), encoding="utf-8")
    assert run(path, "--json") == run(DEPRESSED, "--json")


def test_the_day_asked_for_decides(run: Callable[..., Told]) -> None:
    early = document(run(DEPRESSED, "--json", "--as-of", "2025-01-01"))
    assert {one["rule"]: one["outcome"] for one in early["assessment"]}["prior-antidepressant-failures"] != "met"
    instant = run(DEPRESSED, "--json", "--as-of", "2026-11-01T23:59:59Z")
    assert instant == run(DEPRESSED, "--json")


def test_the_jurisdiction_decides_an_indicator(run: Callable[..., Told]) -> None:
    person = "a-tablet-now-and-then-is-not-a-trial"
    order = ("--hook", "order-sign", "--order", "esketamine-nasal", "--json")

    def heart(jurisdiction: str) -> str:
        found = document(run(person, *order, "--jurisdiction", jurisdiction))["assessment"]
        return next(str(one["indicator"]) for one in found if one["rule"] == "heart-disease")

    assert [heart(one) for one in ("US", "EU", "UK")] == ["warning", "critical", "critical"]


# --- For people -------------------------------------------------------------------------------------------------------


def test_without_json_the_cards_are_shown_with_every_rules_outcome(run: Callable[..., Told]) -> None:
    code, out, err = run(DEPRESSED)
    assert (code, err) == (0, "")
    assert "2+ adequate antidepressant exposures found in the data read" in out
    assert "Options to consider" in out
    assert "acute-suicidality 1.0.0: unknown" in out


def test_silence_is_said(run: Callable[..., Told]) -> None:
    _, out, _ = run("nothing-relevant-at-all")
    assert "no cards: there is nothing to say" in out
    assert "pregnancy 1.0.0: not met" in out


# --- Refusals ---------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, content: str | bytes | Document) -> Path:
    path = tmp_path / "bundle.json"
    text = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def depressed(*more: Document) -> Document:
    bundle = json.loads((CAST / f"{DEPRESSED}.json").read_bytes())
    return {**bundle, "entry": [*bundle["entry"], *({"resource": one} for one in more)]}


def foreign(kind: str) -> Document:
    return {"resourceType": kind, "id": "x", "status": "final", "subject": {"reference": "Patient/secret-7f3a"}}


def assert_refused(told: Told, *words: str) -> None:
    code, out, err = told
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert "unexpected fault" not in err
    assert "secret-7f3a" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize("kind", ["Condition", "Observation", "MedicationRequest", "Procedure"])
def test_a_resource_of_another_patient_is_refused_as_a_patient_mismatch(
    run: Callable[..., Told], tmp_path: Path, kind: str
) -> None:
    assert_refused(run(written(tmp_path, depressed(foreign(kind)))), "Patient mismatch")


def test_two_patients_are_refused_as_a_patient_mismatch(run: Callable[..., Told], tmp_path: Path) -> None:
    two = depressed({"resourceType": "Patient", "id": "secret-7f3a"})
    assert_refused(run(written(tmp_path, two)), "Patient mismatch", "two patients")


@pytest.mark.parametrize(
    "content",
    [
        *("", "not json", "[]", '"x"', "null", "{}", '{"resourceType": "Bundle"', b"\xff\xfe", b"\x00"),
        *('{"resourceType": "Bundle", "entry": {}}', '{"resourceType": "Bundle", "type": "collection"}'),
        '{"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "forbidden"}]}',
        '{"resourceType": "Bundle", "entry": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"resourceType": "Condition", "subject": {"reference": "Patient/secret-7f3a"}}',
    ],
    ids=range(14),
)
@pytest.mark.parametrize("json_output", [True, False])
def test_what_is_no_chart_of_one_patient_is_refused(
    run: Callable[..., Told], tmp_path: Path, content: str | bytes, json_output: bool
) -> None:
    assert_refused(run(written(tmp_path, content), *(["--json"] if json_output else [])), "cannot be read")


def test_a_missing_file_and_a_folder_are_refused(run: Callable[..., Told], tmp_path: Path) -> None:
    assert_refused(run(tmp_path / "none.json"), "The Bundle cannot be read", "No such file")
    assert_refused(run(tmp_path), "The Bundle cannot be read")


@pytest.mark.parametrize("as_of", ["yesterday", "2026-13-01", "2026-11-01T12:00:00", "2026", "1", "20261101x"])
def test_an_unreadable_day_is_refused(run: Callable[..., Told], as_of: str) -> None:
    assert_refused(run(DEPRESSED, "--as-of", as_of), "--as-of cannot be read")


def test_an_unknown_jurisdiction_and_a_missing_rulebook_are_refused(run: Callable[..., Told], tmp_path: Path) -> None:
    assert_refused(run(DEPRESSED, "--jurisdiction", "CH"), "US, EU or UK")
    assert_refused(run(DEPRESSED, "--rules", str(tmp_path / "none")), "There is no rulebook at none")


@pytest.mark.parametrize(
    "arguments", [("--hook", "encounter-start"), ("--order", "ketamine-rectal"), ("--none",)], ids=lambda one: one[0]
)
def test_wrong_usage_ends_with_2_and_no_traceback(run: Callable[..., Told], arguments: tuple[str, ...]) -> None:
    code, out, err = run(DEPRESSED, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
