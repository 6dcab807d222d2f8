"""The fixtures: written by their generators, valid FHIR except where odd on purpose, and fully described."""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from cds_service.advise import Desk, desks
from cds_service.decision.assess import Assessment, assess
from cds_service.decision.chart import Chart
from cds_service.decision.dates import AsOf
from cds_service.fhir.decode import decode_resources
from cds_service.fhir.keys import KeyData
from cds_service.fhir.read_facts import read_facts
from cds_service.rulebook.load import load_rulebook
from fhir_fixtures import make_cast, make_hooks

ROOT = Path(__file__).parents[2]
HERE = ROOT / "fhir_fixtures"
CAST = sorted((HERE / "cast").glob("*.json"))
PUBLIC = sorted(path for path in (HERE / "public").glob("*.json") if path.name != "manifest.json")
ORDERS = sorted((HERE / "orders").glob("*.json"))
REQUESTS = sorted((HERE / "hooks").glob("*.json"))
OUTCOMES = {"met", "not met", "unknown"}
AS_OF = AsOf.of(make_cast.AS_OF)
# Grades that no patient of the cast shows, and why the rules' own cases show them alone.
NOT_IN_THE_CAST = {("aneurysmal-vascular-disease", "disease-both-orders"): "it takes two orders at once"}

# A strict reader refuses these: the place it complains about, and why the file is so.
ODD = {
    "one-prescription-could-not-be-read.json": ("medicationCodeableConcept", "a string in place of an object"),
    "one-diagnosis-could-not-be-read.json": ("code", "a string in place of an object"),
    "uscore__example.json": ("div", "published so: a narrative with a status and no content"),
}


@cache
def content_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def manifest() -> dict[str, dict[str, Any]]:
    found = content_of(HERE / "public" / "manifest.json")
    return {entry["file"]: entry for entry in found["patients"]}


def resources(path: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in content_of(path)["entry"]]


def references(node: Any) -> Iterator[str]:
    """Every `reference` in a resource, however deep."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


@cache
def services() -> dict[str, Desk]:
    """Every service of the rulebook, with all its rules."""
    return desks(load_rulebook(ROOT / "rules"), base_url="https://cds.example.org", serve_draft=True)


@cache
def found_in(name: str, order: str | None = None) -> dict[str, Assessment]:
    """What the engine finds in a patient of the cast, with an order of `orders/` drafted for them or without."""
    desk = services()["ketamine-order-sign"]
    facts = read_facts(
        {"Bundle": KeyData.of("", decode_resources((HERE / "cast" / name).read_bytes()))},
        patient_id=Path(name).stem[:64],
        draft_orders=decode_resources(drafted(order, Path(name).stem)) if order else None,
        as_of=AS_OF,
        observation_codes=desk.codes,
    )
    return {one.rule: one for one in assess(desk.rules, Chart(facts, AS_OF), "US")}


def drafted(order: str, stem: str) -> bytes:
    """The draftOrders Bundle of a request: an order of `orders/`, written for the patient."""
    resource = content_of(HERE / "orders" / order) | {"subject": {"reference": f"Patient/{stem[:64]}"}}
    return json.dumps(make_hooks.drafts(resource)).encode()


def differences(found: dict[str, Assessment], expected: dict[str, Any]) -> dict[str, Any]:
    """Rules whose outcome is not the expected one, or whose grade is not where one is stated: expected, found."""
    said = {rule: (what["outcome"], what.get("grade", found[rule].grade)) for rule, what in expected.items()}
    return {
        rule: (want, (found[rule].outcome.value, found[rule].grade))
        for rule, want in said.items()
        if want != (found[rule].outcome.value, found[rule].grade)
    }


def complaints(content: dict[str, Any]) -> list[str]:
    """Where a strict FHIR reader stops, as paths; empty when it accepts the resource."""
    try:
        get_fhir_model_class(content["resourceType"]).model_validate(content)
    except ValidationError as error:
        return [".".join(map(str, fault["loc"])) for fault in error.errors()]
    return []


# --- Written by the generators ------------------------------------------------------------------------------------


def test_the_committed_cast_is_what_the_generator_writes() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in CAST}
    assert written == make_cast.cast_files()


def test_the_committed_requests_and_orders_are_what_the_generator_writes() -> None:
    folders = [*REQUESTS, *ORDERS, *(HERE / "hooks" / "pages").glob("*.json")]
    written = {path.relative_to(HERE).as_posix(): path.read_text(encoding="utf-8") for path in folders}
    assert written == make_hooks.files()


def test_the_tables_of_the_readme_are_current() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert text == make_cast.readme_with_tables(text)
    assert text.count("](cast/") == len(CAST)


def test_the_table_of_requests_is_current() -> None:
    text = (HERE / "hooks" / "README.md").read_text(encoding="utf-8")
    assert text == make_hooks.readme_with_table(text)


# --- Valid, or odd with a reason ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*CAST, *PUBLIC, *ORDERS], ids=lambda path: path.stem)
def test_a_file_is_valid_fhir_or_odd_where_it_says(path: Path) -> None:
    found = complaints(content_of(path))
    if path.name in ODD:
        place, _ = ODD[path.name]
        assert found, f"{path.name} is listed as odd but a strict reader accepts it"
        assert all(complaint.split(".")[-1] == place for complaint in found), found
    else:
        assert not found, f"{path.name}: {found}"


def test_every_odd_file_exists_and_the_readme_explains_it() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert set(ODD) <= {path.name for path in (*CAST, *PUBLIC)}
    assert all(f"`{name}`" in text for name in ODD)


# --- The cast -----------------------------------------------------------------------------------------------------


def test_the_cast_is_large_enough() -> None:
    assert len(CAST) >= 83


@pytest.mark.parametrize("path", CAST, ids=lambda path: path.stem)
def test_a_bundle_holds_one_patient_named_as_its_file(path: Path) -> None:
    patients = [resource for resource in resources(path) if resource["resourceType"] == "Patient"]
    assert [patient["id"] for patient in patients] == [path.stem[:64]]
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", patients[0]["id"])


@pytest.mark.parametrize("path", CAST, ids=lambda path: path.stem)
def test_every_reference_of_a_bundle_leads_into_it(path: Path) -> None:
    entries = content_of(path)["entry"]
    known = {entry["fullUrl"] for entry in entries}
    known |= {f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries}
    for entry in entries:
        contained = {f"#{resource['id']}" for resource in entry["resource"].get("contained", [])}
        assert set(references(entry["resource"])) <= known | contained


def test_no_id_occurs_twice_in_the_cast() -> None:
    ids = [(resource["resourceType"], resource["id"]) for path in CAST for resource in resources(path)]
    assert len(ids) == len(set(ids))


def assert_well_said(where: tuple[str, ...], finding: dict[str, Any]) -> None:
    """One finding of `expected.yaml`: an outcome, a grade at most, and one line of why."""
    assert finding.keys() - {"grade"} == {"outcome", "why"}, where
    assert finding["outcome"] in OUTCOMES, where
    assert finding["why"].strip(), where
    assert "\n" not in finding["why"], where


def test_the_expected_findings_cover_every_patient_and_every_rule() -> None:
    expected = make_cast.expected_findings()
    assert list(make_cast.RULES) == services()["ketamine-order-sign"].entry.rules
    assert set(make_cast.expected_as_written()) == {"plain", "with_orders", *(path.name for path in CAST)}
    assert list(make_cast.expected_as_written()["plain"]) == list(make_cast.RULES)
    for name, findings in expected.items():
        assert set(findings) == {"as_of", *make_cast.RULES}, name
        assert findings["as_of"] == make_cast.AS_OF.isoformat(), name
        for rule in make_cast.RULES:
            assert_well_said((name, rule), findings[rule])


def test_what_is_expected_with_an_order_names_a_patient_an_order_and_its_form() -> None:
    files = {path.name for path in CAST}, {path.name for path in ORDERS}
    for (name, order), findings in make_cast.expected_with_orders().items():
        assert name in files[0]
        assert order in files[1]
        assert "order-form" in findings
        for rule, finding in findings.items():
            assert_well_said((name, order, rule), finding)


@pytest.mark.parametrize("path", CAST, ids=lambda path: path.stem)
def test_the_engine_finds_in_a_patient_what_is_expected_of_every_rule(path: Path) -> None:
    expected = make_cast.expected_findings()[path.name]
    assert differences(found_in(path.name), {rule: expected[rule] for rule in make_cast.RULES}) == {}


@pytest.mark.parametrize(("name", "order"), make_cast.expected_with_orders(), ids=lambda value: Path(value).stem)
def test_the_engine_finds_with_an_order_what_is_expected(name: str, order: str) -> None:
    alone = make_cast.expected_findings()[name]
    expected = {rule: alone[rule] for rule in make_cast.RULES} | make_cast.expected_with_orders()[name, order]
    assert differences(found_in(name, order), expected) == {}


# Without an order these cannot be unknown, and with one they are not about the chart alone.
ABOUT_AN_ORDER = {"theophylline", "order-form"}


@pytest.mark.parametrize("rule", [rule for rule in make_cast.RULES if rule not in ABOUT_AN_ORDER])
def test_the_cast_shows_a_rule_met_not_met_and_unknown(rule: str) -> None:
    assert {findings[rule]["outcome"] for findings in make_cast.expected_findings().values()} == OUTCOMES


def test_every_grade_is_the_finding_in_a_patient_of_the_cast() -> None:
    """A page shows a grade, the demo a patient: who doubts a grade can look at somebody who has it."""
    findings = [found_in(path.name) for path in CAST]
    findings += [found_in(name, order) for name, order in make_cast.expected_with_orders()]
    shown = {(rule, one.grade) for found in findings for rule, one in found.items()}
    versions = load_rulebook(ROOT / "rules").in_force("ketamine-order-sign", serve_draft=True)
    grades = {(version.rule.rule, grade.id) for version in versions for grade in version.rule.grades}
    assert grades - shown == set(NOT_IN_THE_CAST)


# --- Public patients ----------------------------------------------------------------------------------------------


def test_the_manifest_lists_exactly_the_public_files() -> None:
    assert set(manifest()) == {path.name for path in PUBLIC}
    assert sum(path.stat().st_size for path in PUBLIC) <= 4_000_000


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_a_public_patient_is_unaltered_and_its_licence_is_here(path: Path) -> None:
    entry = manifest()[path.name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
    assert path.stat().st_size == entry["bytes"]
    assert entry["source"]
    assert entry["commit_or_version"]
    assert entry["licence"]
    assert all((HERE / "licences" / name).is_file() for name in entry["licence_files"])
    assert isinstance(entry["minimised"], bool)
    assert (entry["strict_reader"] != "accepts it") is (path.name in ODD)


# --- Requests and orders ------------------------------------------------------------------------------------------


def test_the_answer_to_every_request_is_written_down() -> None:
    expected = make_hooks.expected()
    assert set(expected) == {path.name for path in REQUESTS}
    for name, answer in expected.items():
        assert answer["status"] in {200, 400, 412}, name
        assert answer["cards"] in ({"some", "none"} if answer["status"] == 200 else {"-"}), name


# Requests that leave keys out on purpose.
INCOMPLETE = {
    "patient-view-partial.json",
    "patient-view-none-but-a-server.json",
    "patient-view-none-and-no-server.json",
}


def asked_for(template: str, chart: make_cast.Chart) -> list[dict[str, Any]]:
    """What a server answers to a prefetch template from a chart: the resources of the type, and of the codes."""
    kind, _, query = template.partition("?")
    codes = set(next((part[5:].split(",") for part in query.split("&") if part.startswith("code=")), []))
    of_kind = [resource for resource in chart.entries if resource["resourceType"] == kind]
    return [resource for resource in of_kind if not codes or make_hooks.loinc_codes(resource) & codes]


@pytest.mark.parametrize("stem", make_hooks.COMPLETE)
@pytest.mark.parametrize("service", services())
def test_a_complete_prefetch_holds_every_published_key_as_a_server_would_answer_it(service: str, stem: str) -> None:
    published, chart = services()[service].service, make_hooks.PEOPLE[stem]
    templates, prefetch = published.prefetch, make_hooks.complete_prefetch(stem, hook=published.hook)
    assert prefetch.keys() == templates.keys()
    assert prefetch["patient"] == chart.patient
    for key, template in templates.items():
        if key != "patient":
            given = [entry["resource"] for entry in prefetch[key].get("entry", [])]
            assert given == asked_for(template, chart), key


def test_requests_that_are_called_complete_hold_every_key() -> None:
    for name, answer in make_hooks.expected().items():
        keys = set(services()[answer["service"]].service.prefetch)
        sent = set(content_of(HERE / "hooks" / name).get("prefetch", {}))
        if name.startswith("order-") or name in ("patient-view-complete.json", "patient-view-nothing-to-say.json"):
            assert sent == keys, name
        elif name not in INCOMPLETE:
            assert sent >= keys, name


def test_a_request_offers_a_server_only_where_its_answer_says_so() -> None:
    for name, answer in make_hooks.expected().items():
        offered = "fhirServer" in content_of(HERE / "hooks" / name)
        assert offered is answer.get("server", False), name


@pytest.mark.parametrize("path", ORDERS, ids=lambda path: path.stem)
def test_an_order_is_a_draft_with_a_drug_and_no_dose_and_a_route_unless_it_says_so(path: Path) -> None:
    order = content_of(path)
    assert (order["status"], order["intent"]) == ("draft", "order")
    assert order["medicationCodeableConcept"]["coding"][0]["code"] in {"2119365", "6130"}
    (instruction,) = order["dosageInstruction"]
    assert ("route" in instruction) is (path.stem != "ketamine-without-a-route")
    assert instruction.get("route", {}).get("coding", [{}])[0].get("system") in {"http://snomed.info/sct", None}
    assert not instruction.keys() & {"doseAndRate", "maxDosePerPeriod", "timing"}


def test_there_is_an_order_for_each_of_the_five_forms_and_one_without_a_route() -> None:
    names = {path.stem for path in ORDERS}
    forms = {"esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-oral", "ketamine-nasal-compounded"}
    assert names == {*forms, "ketamine-without-a-route"}
