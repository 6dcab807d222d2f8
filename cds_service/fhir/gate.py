"""The patient gate: nothing passes unless it belongs to the one patient of the request.

It runs over everything given, fetched or drafted before a fact is read. Data of another patient, used or not, refuse
the whole request. A resource that must belong to a patient but does not say to whom is set aside.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from cds_service.decision.facts import Quarantined, Record
from cds_service.errors import OtherPatient
from cds_service.fhir import resources as r4
from cds_service.fhir.decode import Unread, quarantined, uuid_of
from cds_service.fhir.keys import KeyData
from cds_service.fhir.references import Target, base_key, conditional, matches, split_reference

# The types that belong to a patient and that rules read, with the member that says to whom.
_OWNED: dict[type[Any], str] = {
    r4.Condition: "subject",
    r4.MedicationRequest: "subject",
    r4.MedicationStatement: "subject",
    r4.MedicationDispense: "subject",
    r4.Observation: "subject",
    r4.QuestionnaireResponse: "subject",
    r4.Procedure: "subject",
    r4.AllergyIntolerance: "patient",
}
_TARGETS = frozenset({r4.Medication, r4.Condition})
_MINE, _NOBODY = "mine", "nobody"


R = TypeVar("R", bound=r4.Resource)


def _place(section: str, data: KeyData) -> str:
    """Where data stand, for the error; the name of a key that is not ours is the client's and is not repeated."""
    if data.source == "ignored":
        return "prefetch"
    if data.type == "":
        return section
    return f"fhirServer {section}" if data.source == "fetched" else f"prefetch.{section}"


class Admitted:
    """What passed, by type; the addresses of those that references may lead to; and what was set aside so far."""

    def __init__(self) -> None:
        self.resources: dict[type[Any], list[Any]] = {}
        self.addresses: list[tuple[str | None, Target]] = []
        self.aside: list[Quarantined] = []

    def of(self, kind: type[R]) -> list[R]:
        """The resources of one type, as they came."""
        return self.resources.get(kind, [])


class PatientGate:
    """Knows the patient by every name the data may use. Raises OtherPatient with the place, never an id."""

    def __init__(self, patient_id: str, sections: Iterable[KeyData], base_url: str | None = None) -> None:
        self._id = patient_id
        self._base = base_key(base_url) if base_url else None
        self._urls: set[str] = set()
        self._identifiers: list[r4.Identifier] = []
        self._known = False
        self._sections = tuple(sections)
        for data in self._sections:
            for entry in data.entries:
                if type(entry.resource) is r4.Patient:
                    self._learn(entry.full_url, entry.resource)
            for unread in data.unread:
                if unread.quarantined.record == Record("Patient", patient_id):
                    self._learn_address(data.entries[unread.index].full_url)
        self._names = {f"Patient/{patient_id}", f"urn:uuid:{patient_id}", *self._urls}

    def _learn(self, full_url: str | None, patient: r4.Patient) -> None:
        """Take note of the addresses and identifiers under which this Patient resource may be referred to."""
        if (patient.id or uuid_of(full_url)) != self._id:
            return
        self._known = True
        self._identifiers.extend(patient.identifier)
        self._learn_address(full_url)

    def _learn_address(self, full_url: str | None) -> None:
        if full_url and full_url.startswith("urn:uuid:"):
            self._urls.add(full_url)
        address = split_reference(full_url) if full_url else None
        if address and address[0] and self._base is None:
            self._base = base_key(address[0])

    def admit(self, sections: Mapping[str, KeyData]) -> Admitted:
        """Let everything through that is this patient's. Raises OtherPatient at the first thing that is another's."""
        admitted = Admitted()
        for section, data in sections.items():
            self._admit(_place(section, data), data, Admitted() if data.source == "ignored" else admitted)
        return admitted

    def _admit(self, section: str, data: KeyData, admitted: Admitted) -> None:
        resources, names = admitted.resources, self._names
        for index, entry in enumerate(data.entries):
            resource: Any = entry.resource
            if resource is None:
                continue
            kind = type(resource)
            member = _OWNED.get(kind)
            if member is None:
                self._check_other(resource, f"{section}.entry[{index}]", entry.full_url)
            else:
                owner = resource.subject if member == "subject" else resource.patient
                if owner is None or owner.reference not in names:
                    reason = self._reason(owner, member, f"{section}.entry[{index}].{member}")
                    if reason:
                        admitted.aside.append(quarantined(resource, reason))
                        continue
            if resource.contained:
                self._check_contained(resource.contained, f"{section}.entry[{index}].contained")
            if resource.id is None:
                resource = msgspec.structs.replace(resource, id=uuid_of(entry.full_url))
            if kind in _TARGETS:
                admitted.addresses.append((entry.full_url, resource))
            if kind in resources:
                resources[kind].append(resource)
            else:
                resources[kind] = [resource]
        for unread in data.unread:
            self._check_unread(unread, f"{section}.entry[{unread.index}]")
            admitted.aside.append(unread.quarantined)

    def _reason(self, owner: r4.Subject | None, member: str, place: str) -> str | None:
        """Why a clinical resource is set aside; None when it is this patient's after all."""
        if owner is None or not owner.reference:
            return f"{member}: names no patient by reference"
        return None if self._whose(owner.reference, place) is _MINE else f"{member}: refers to no patient we can tell"

    def _check_other(self, resource: r4.AnyResource, place: str, full_url: str | None) -> None:
        if isinstance(resource, r4.Patient):
            if (resource.id or uuid_of(full_url)) != self._id:
                raise OtherPatient(f"{place}.id")
        elif isinstance(resource, r4.OtherResource):
            for member in ("subject", "patient", "beneficiary"):
                value = getattr(resource, member)
                if value is not None:
                    self._check_references(value if isinstance(value, tuple) else (value,), f"{place}.{member}")

    def _check_references(self, owners: Iterable[r4.Subject], place: str) -> None:
        for owner in owners:
            if owner.reference and owner.reference not in self._names:
                self._whose(owner.reference, place)

    def _check_contained(self, inner: Iterable[r4.AnyResource], place: str) -> None:
        for index, resource in enumerate(inner):
            for member in ("subject", "patient", "beneficiary"):
                value = getattr(resource, member, None)
                if value is not None:
                    owners = value if isinstance(value, tuple) else (value,)
                    self._check_references(owners, f"{place}[{index}].{member}")
            if resource.contained:
                self._check_contained(resource.contained, f"{place}[{index}].contained")

    def _check_unread(self, unread: Unread, place: str) -> None:
        record = unread.quarantined.record
        if record.type == "Patient" and record.id not in ("", self._id):
            raise OtherPatient(f"{place}.id")
        for member, reference in unread.subjects:
            self._whose(reference, f"{place}.{member}")

    def _whose(self, reference: str, place: str) -> str:
        """Whether a reference means this patient or no patient at all. Raises OtherPatient when it means another."""
        if reference in self._names:
            return _MINE
        if reference.startswith("urn:"):
            # It resolves inside its Bundle, where the patient's own addresses are known. One that leads nowhere was
            # written in a Bundle of somebody else.
            if self._is_no_patient(reference):
                return _NOBODY
            raise OtherPatient(place)
        literal = split_reference(reference)
        if literal:
            return self._whose_literal(*literal, place)
        by_identifier = conditional(reference)
        if by_identifier and by_identifier[0] == "Patient":
            if matches(self._identifiers, by_identifier[1], by_identifier[2]):
                return _MINE
            if self._known:
                raise OtherPatient(place)
        return _NOBODY

    def _is_no_patient(self, url: str) -> bool:
        """Whether an address is that of something else than a patient: a group, a device."""
        entries = (entry for data in self._sections for entry in data.entries if entry.full_url == url)
        return any(entry.resource is not None and not isinstance(entry.resource, r4.Patient) for entry in entries)

    def _whose_literal(self, base: str, kind: str, id_: str, place: str) -> str:
        if kind != "Patient":
            return _NOBODY
        if id_ != self._id:
            raise OtherPatient(place)
        if base:
            # The same id on another server is another person. Where the server is not known, the first one named is
            # taken for it: one request has one server.
            self._base = self._base or base_key(base)
            if base_key(base) != self._base:
                raise OtherPatient(place)
            self._names.add(f"{base}/{kind}/{id_}")
        return _MINE
