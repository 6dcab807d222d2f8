"""Codes are compared in one spelling, whatever the record's."""

import pytest

from cds_service.decision.coding import Coding, code_key


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("http://snomed.info/sct", "38341003", ("snomed", "38341003")),
        ("urn:oid:2.16.840.1.113883.6.96", " 38341003 ", ("snomed", "38341003")),
        ("http://hl7.org/fhir/sid/icd-10-cm", "f332", ("icd10cm", "F33.2")),
        ("http://hl7.org/fhir/sid/icd-10", "F33.2", ("icd10cm", "F33.2")),
        ("http://hl7.org/fhir/sid/icd-10-cm", "I10", ("icd10cm", "I10")),
        ("http://loinc.org", "8480-6", ("loinc", "8480-6")),
        ("https://example.org/codes", "A1", ("https://example.org/codes", "A1")),
        (None, "A1", ("", "A1")),
    ],
)
def test_a_code_has_one_spelling(system: str | None, code: str, expected: tuple[str, str]) -> None:
    assert code_key(system, code) == expected


def test_a_coding_is_looked_up_by_system_and_code() -> None:
    assert Coding("loinc", "8480-6", "Systolic").key == ("loinc", "8480-6")
