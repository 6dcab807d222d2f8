"""Codings, and the code systems we know under each spelling found in the field (URL and OID)."""

from functools import lru_cache

import msgspec

SNOMED = "snomed"
ICD10CM = "icd10cm"
LOINC = "loinc"
RXNORM = "rxnorm"
ATC = "atc"
NDC = "ndc"
ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"

# The WHO's ICD-10 shares most categories with ICD-10-CM but not all leaves. It is read as ICD-10-CM because a
# caution missed costs more than one shown with its code beside it; the card prints the code as it stands.
SYSTEMS: dict[str, str] = {
    "http://snomed.info/sct": SNOMED,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "http://hl7.org/fhir/sid/icd-10-cm": ICD10CM,
    "http://hl7.org/fhir/sid/icd-10": ICD10CM,
    "urn:oid:2.16.840.1.113883.6.90": ICD10CM,
    "urn:oid:2.16.840.1.113883.6.3": ICD10CM,
    "http://loinc.org": LOINC,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "http://www.nlm.nih.gov/research/umls/rxnorm": RXNORM,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
    "http://www.whocc.no/atc": ATC,
    "urn:oid:2.16.840.1.113883.6.73": ATC,
    "http://hl7.org/fhir/sid/ndc": NDC,
    "urn:oid:2.16.840.1.113883.6.69": NDC,
    "http://hl7.org/fhir/sid/icd-10-pcs": ICD10PCS,
    "urn:oid:2.16.840.1.113883.6.4": ICD10PCS,
}

CodeKey = tuple[str, str]


class Coding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One code: `system` is a short name of `SYSTEMS` or the URL as received; `display` is the record's own text."""

    system: str
    code: str
    display: str | None = None

    @property
    def key(self) -> CodeKey:
        """What value sets are looked up by."""
        return (self.system, self.code)


@lru_cache(maxsize=8192)
def code_key(system: str | None, code: str) -> CodeKey:
    """Canonical (system, code): short system name, ICD-10-CM in upper case with its dot, NDC as received."""
    name = SYSTEMS.get(system or "", system or "")
    text = code.strip()
    if name == ICD10CM:
        text = text.upper()
        if len(text) > 3 and "." not in text:
            text = f"{text[:3]}.{text[3:]}"
    return (name, text)
