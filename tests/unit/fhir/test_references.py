"""References: every form that leads to a resource at hand, and none that leads astray."""

import pytest

from cds_service.fhir import resources as r4
from cds_service.fhir.references import Directory, base_key, conditional, matches, split_reference

BASE = "https://ehr.example.org/fhir"
OWNER = r4.MedicationRequest(contained=(r4.Medication(id="in"), r4.Medication(id="#hash"), r4.Condition(id="c")))


def directory(base_url: str | None = None) -> Directory:
    return Directory(
        [
            (f"{BASE}/Medication/a", r4.Medication(id="a", identifier=(r4.Identifier("urn:x", "7"),))),
            ("urn:uuid:0b", r4.Medication(id="b", identifier=(r4.Identifier("urn:x", "8"), r4.Identifier(None, "9")))),
            (None, r4.Medication(id="c", identifier=(r4.Identifier("urn:x", "8"),))),
            ("Condition/k", r4.Condition(id="k")),
        ],
        base_url,
    )


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("Medication/a", "a"),
        ("Medication/a/_history/3", "a"),
        (f"{BASE}/Medication/a", "a"),
        (f"{BASE}/Medication/c", "c"),
        (f"{BASE}/Medication/c/_history/1", "c"),
        ("urn:uuid:0b", "b"),
        ("Medication?identifier=urn:x|7", "a"),
        ("Medication?identifier=9", "b"),
        ("#in", "in"),
        ("#hash", "#hash"),
        ("#none", None),
        ("#c", None),
        ("#", None),
        ("Condition/k", None),
        ("Medication/none", None),
        ("https://other.example.org/fhir/Medication/a", None),
        ("ftp://ehr.example.org/Medication/a", None),
        ("urn:uuid:none", None),
        ("Medication?identifier=urn:x|8", None),
        ("Medication?identifier=urn:x|none", None),
        ("Medication?code=a", None),
        ("Medication?identifier=a&x=b", None),
        ("medication/a", None),
        ("Medication/", None),
        ("Medication/..", None),
        ("", None),
        (None, None),
    ],
)
def test_where_a_reference_leads(reference: str | None, found: str | None) -> None:
    resource = directory().find(r4.Medication, reference, OWNER)
    assert (resource.id if resource else None) == found


def test_the_server_of_the_request_is_a_base_of_ours() -> None:
    found = directory("https://EHR2.example.org/r4/").find(
        r4.Condition, "https://ehr2.example.org/r4/Condition/k", OWNER
    )
    assert found is not None


def test_parts_of_a_reference() -> None:
    assert split_reference(f"{BASE}/Patient/1/_history/2") == (BASE, "Patient", "1")
    assert split_reference("Patient/1") == ("", "Patient", "1")
    assert split_reference("Patient") is None
    assert conditional("Patient?identifier=urn:x|7") == ("Patient", "urn:x", "7")
    assert conditional("Patient/7") is None
    assert base_key("HTTPS://Host/Path/") == "https://host/Path"
    assert matches((r4.Identifier(None, "7"),), "", "7")
