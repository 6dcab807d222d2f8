"""The sandbox EHR's FHIR endpoint: loading, reading, searching, paging, and its strictness."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_service.console.sandbox_fhir import load_store, sandbox_router
from cds_service.errors import SettingsRefused
from tests.unit.http.support import application, send

BASE = "http://127.0.0.1:8000/sandbox/fhir"
UUID = "3b2d0f0e-6f0a-4f3b-9a52-6f2a8f3f5a11"
LOINC = "http://loinc.org"


def observation(own_id: str, code: str, date: str | None, patient: str = "Patient/ann", **more: Any) -> dict[str, Any]:
    dated = {"effectiveDateTime": date} if date else {}
    coding = [{"system": "http://example.org/local", "code": "x"}, {"system": LOINC, "code": code}]
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": {"coding": coding},
        "subject": {"reference": patient},
        **dated,
        **more,
    }


ANN = [
    {"resource": {"resourceType": "Patient", "id": "ann"}},
    {"resource": observation("o1", "8480-6", "2026-01-01")},
    {"resource": observation("o2", "8462-4", "2026-03-01", f"{BASE}/Patient/ann")},
    {"resource": observation("o3", "8480-6", None, status="amended")},
    {"resource": observation("o4", "8480-6", "2026-02-01")},
]
BEN = [
    {"fullUrl": f"urn:uuid:{UUID}", "resource": {"resourceType": "Patient", "name": [{"family": "Example"}]}},
    {
        "fullUrl": "urn:uuid:c1",
        "resource": {
            "resourceType": "Condition",
            "code": {"coding": [{"code": "F32.2"}]},
            "subject": {"reference": f"urn:uuid:{UUID}"},
            "asserter": {"reference": "https://ehr.example/fhir/Practitioner/other/_history/2"},
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "onsetAge": {"value": 1.10},
        },
    },
    {
        "fullUrl": "https://ehr.example/fhir/Practitioner/other",
        "resource": {"resourceType": "Practitioner", "id": "doc"},
    },
    {"resource": {"resourceType": "OperationOutcome", "issue": []}},
]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_bundle(name: str, entries: list[Any], kind: str = "collection") -> Path:
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}))
        return tmp_path

    return write_bundle


@pytest.fixture
def get(write: Write) -> Callable[[str], httpx.Response]:
    write("ann", ANN)
    folder = write("more/ben", BEN, "transaction")
    (folder / "request.json").write_text('{"hook": "patient-view"}')
    app = application(sandbox=sandbox_router(load_store(folder), BASE))
    return lambda path: send(app, "GET", f"/sandbox/fhir/{path}")


Get = Callable[[str], httpx.Response]


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [entry["resource"]["id"] for entry in response.json().get("entry", [])]


def outcome(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/fhir+json"
    assert response.json()["resourceType"] == "OperationOutcome"


def test_the_capability_statement_says_r4(get: Get) -> None:
    statement = get("metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert [resource["type"] for resource in statement["rest"][0]["resource"]] == [
        "Condition",
        "Observation",
        "Patient",
        "Practitioner",
    ]


def test_a_resource_is_read_by_its_id(get: Get) -> None:
    assert get("Patient/ann").json() == {"resourceType": "Patient", "id": "ann"}
    assert get("Patient/ann").headers["content-type"] == "application/fhir+json"
    outcome(get("Patient/none"), 404)
    outcome(get("Nonsense/ann"), 404)


def test_references_to_other_entries_become_ordinary_ones(get: Get) -> None:
    assert ids(get("Patient")) == ["ann", UUID]
    (entry,) = get(f"Condition?patient={UUID}").json()["entry"]
    assert entry["resource"]["subject"] == {"reference": f"Patient/{UUID}"}
    assert entry["resource"]["id"] == "c1"
    assert entry["resource"]["asserter"] == {"reference": "Practitioner/doc"}


def test_numbers_keep_their_digits(write: Write) -> None:
    folder = write("x", [])
    text = '{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Observation", "id": "a", "v": 1.100}}]}'
    (folder / "x.json").write_text(text)
    app = application(sandbox=sandbox_router(load_store(folder), BASE))
    assert '"v":1.100' in send(app, "GET", "/sandbox/fhir/Observation/a").text


def test_a_search_names_full_urls_total_and_itself(get: Get) -> None:
    bundle = get("Observation?patient=ann").json()
    assert (bundle["type"], bundle["total"]) == ("searchset", 4)
    assert bundle["link"] == [{"relation": "self", "url": f"{BASE}/Observation?patient=ann"}]
    assert bundle["entry"][0]["fullUrl"] == f"{BASE}/Observation/o1"
    assert bundle["entry"][0]["search"] == {"mode": "match"}


def test_an_empty_answer_has_no_entry_member(get: Get) -> None:
    bundle = get("Observation?patient=none").json()
    assert (bundle["total"], "entry" in bundle) == (0, False)
    assert get("Immunization?patient=ann").json()["total"] == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("patient=Patient/ann", ["o1", "o2", "o3", "o4"]),
        ("subject=ann&patient=Patient/ann", ["o1", "o2", "o3", "o4"]),
        (f"patient=ann&code={LOINC}|8462-4", ["o2"]),
        ("patient=ann&code=8462-4", ["o2"]),
        (f"patient=ann&code={LOINC}|", ["o1", "o2", "o3", "o4"]),
        ("patient=ann&code=http://snomed.info/sct|8462-4", []),
        ("patient=ann&code=|8462-4", []),
        (f"patient=ann&code={LOINC}|8462-4,{LOINC}|8480-6", ["o1", "o2", "o3", "o4"]),
        ("patient=ann&code=8462-4&code=8480-6", []),
        ("patient=ann&status=amended", ["o3"]),
        ("patient=ann&category=laboratory", []),
        ("_id=o4,o1", ["o1", "o4"]),
        ("patient=ann&_sort=date", ["o1", "o4", "o2", "o3"]),
        ("patient=ann&_sort=-date", ["o2", "o4", "o1", "o3"]),
        ("patient=ann&_sort=-_id", ["o4", "o3", "o2", "o1"]),
    ],
)
def test_searches(get: Get, query: str, found: list[str]) -> None:
    assert ids(get(f"Observation?{query}")) == found


def test_a_code_without_a_system_is_found_by_that(get: Get) -> None:
    assert ids(get("Condition?code=|F32.2")) == ["c1"]
    assert ids(get("Condition?clinical-status=active")) == ["c1"]


def test_pages_follow_one_another_to_the_end(get: Get) -> None:
    page = get("Observation?patient=ann&_sort=-date&_count=3")
    assert (ids(page), page.json()["total"]) == (["o2", "o4", "o1"], 4)
    links = {link["relation"]: link["url"] for link in page.json()["link"]}
    last = get(links["next"].removeprefix(f"{BASE}/"))
    assert ids(last) == ["o3"]
    assert [link["relation"] for link in last.json()["link"]] == ["self"]
    assert last.json()["link"][0]["url"] == links["next"]


def test_the_last_page_has_no_next_even_when_it_is_full(get: Get) -> None:
    for query in ("_count=4", "_count=2&_page=2"):
        links = get(f"Observation?patient=ann&{query}").json()["link"]
        assert [link["relation"] for link in links] == ["self"]


def test_a_page_beyond_the_last_is_empty(get: Get) -> None:
    assert ids(get("Observation?patient=ann&_page=9")) == []


def test_a_count_of_none_gives_the_total_alone(get: Get) -> None:
    bundle = get("Observation?patient=ann&_count=0").json()
    assert (bundle["total"], "entry" in bundle, len(bundle["link"])) == (4, False, 1)


@pytest.mark.parametrize(
    "query",
    [
        "patient=ann&unknown=1",
        "patient=ann&_include=Observation:subject",
        "patient=ann&code:not=x",
        "patient=ann&patient=ben",
        "patient=ann&subject=ben",
        "_count=many",
        "_count=-1",
        "_count=²",
        "_page=0",
        "_sort=value",
    ],
)
def test_what_is_not_understood_is_refused(get: Get, query: str) -> None:
    outcome(get(f"Observation?{query}"), 400)


def test_parameters_differ_by_type(get: Get) -> None:
    outcome(get("Condition?status=active"), 400)
    outcome(get("Patient?code=x"), 400)
    outcome(get("no-type?patient=ann"), 404)


def test_a_search_may_be_posted(write: Write) -> None:
    app = application(sandbox=sandbox_router(load_store(write("ann", ANN)), BASE))
    form = {"patient": "ann", "code": f"{LOINC}|8462-4"}
    answer = send(app, "POST", "/sandbox/fhir/Observation/_search?_count=5", data=form)
    assert ids(answer) == ["o2"]


def test_nothing_can_be_written(write: Write) -> None:
    app = application(sandbox=sandbox_router(load_store(write("ann", ANN)), BASE))
    for method, path in (("POST", "Observation"), ("PUT", "Patient/ann"), ("DELETE", "Patient/ann")):
        assert send(app, method, f"/sandbox/fhir/{path}").status_code == 405


def test_an_id_used_by_two_bundles_is_changed_and_reported_with_its_references(write: Write) -> None:
    write("a", ANN[:2])
    other = {"resourceType": "Patient", "id": "ann", "gender": "female"}
    store = load_store(write("b", [{"resource": other}, {"resource": observation("o9", "1", None)}]))
    first, second = store.by_type["Patient"]
    assert first == "ann"
    assert second.endswith("-0-ann")
    assert store.by_type["Observation"]["o9"]["subject"] == {"reference": f"Patient/{second}"}
    assert [resource["id"] for resource in store.find("Observation", second)] == ["o9"]
    assert store.notes == [f"b.json: Patient/ann clashes and is Patient/{second} here"]


def test_the_same_resource_in_two_bundles_is_one(write: Write) -> None:
    write("a", ANN)
    store = load_store(write("b", ANN))
    assert len(store.by_type["Observation"]) == 4
    assert len(list(store.find("Observation", "ann"))) == 4
    assert store.notes == []


def test_two_resources_of_a_bundle_with_one_id_both_stay(write: Write) -> None:
    entries = [*ANN[:1], {"resource": observation("o1", "1", None)}, {"resource": observation("o1", "2", None)}]
    store = load_store(write("a", entries))
    assert len(store.by_type["Observation"]) == 2


def test_an_entry_without_a_resource_is_left_out_and_reported(write: Write) -> None:
    store = load_store(write("a", [{"fullUrl": "urn:uuid:x"}, {"resource": {"id": "1"}}]))
    assert len(store.notes) == 2


def test_a_folder_that_is_missing_or_a_file_that_is_broken_stops_the_start(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="does not exist"):
        load_store(tmp_path / "none")
    folder = write("a", [])
    (folder / "broken.json").write_text("{")
    with pytest.raises(SettingsRefused, match=r"broken\.json"):
        load_store(folder)
