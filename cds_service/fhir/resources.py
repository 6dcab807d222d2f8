"""FHIR R4 resources as lean structs: the elements rules may read, and those that change what a resource means.

Everything else in a resource is skipped while decoding. Shapes follow R4 (4.0.1), widened where EHRs are known to
write another one (a bare string for a status, an object for a list). Members stand in the order of the specification,
in which most servers write them: the decoder then finds the next one at once. A member that only a resource which
becomes a fact is asked for stays as written (`Raw`, its type beside it): most never are.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Union

import msgspec

ABSENT = msgspec.Raw()


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a member left as written is there; some writers write null for what is not."""
    return raw is not ABSENT and bytes(raw) != b"null"


class Extension(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An extension; only the value types of the extensions we know."""

    url: str | None = None
    value_code: str | None = None
    value_string: str | None = None
    value_coding: "Coding | None" = None
    value_codeable_concept: "CodeableConcept | None" = None
    extension: "tuple[Extension, ...]" = ()


class Element(msgspec.Struct, frozen=True, gc=False):
    """What FHIR writes beside a primitive, under its name with an underscore."""

    extension: tuple[Extension, ...] = ()


class Coding(msgspec.Struct, frozen=True, gc=False):
    """A code as it came."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(msgspec.Struct, frozen=True, gc=False):
    """One meaning in one or more codings, or in text alone."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None
    extension: tuple[Extension, ...] = ()


class StatusCoding(msgspec.Struct, frozen=True, gc=False):
    """A code of a status."""

    system: str | None = None
    code: str | None = None


class StatusConcept(msgspec.Struct, frozen=True, gc=False):
    """A status; its code says it, in some records its text alone."""

    coding: tuple[StatusCoding, ...] = ()
    text: str | None = None


class Codings(msgspec.Struct, frozen=True, gc=False):
    """A CodeableConcept of which only the codes are read."""

    coding: tuple[Coding, ...] = ()


class Identifier(msgspec.Struct, frozen=True, gc=False):
    """A business identifier."""

    system: str | None = None
    value: str | None = None


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A reference; `type` is the target's type where the record states it."""

    reference: str | None = None
    type: str | None = None
    display: str | None = None


class Subject(msgspec.Struct, frozen=True, gc=False):
    """A reference to whom the resource is about."""

    reference: str | None = None


class Meta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Version and security labels."""

    version_id: str | None = None
    last_updated: str | None = None
    security: tuple[Coding, ...] = ()


class Period(msgspec.Struct, frozen=True, gc=False):
    """A period, both ends included."""

    start: str | None = None
    end: str | None = None


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """A measured amount."""

    value: Decimal | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None
    extension: tuple[Extension, ...] = ()


class ReferenceRange(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A laboratory's own range; only one that applies to everybody is simple enough to be read."""

    high: Quantity | None = None
    applies_to: tuple[CodeableConcept, ...] = ()
    age: msgspec.Raw = ABSENT


class Amount(msgspec.Struct, frozen=True, gc=False):
    """An amount that is dosed, supplied or timed; a Duration and a SimpleQuantity have the same shape.

    Its value is a float, cheap to decode and to compare: it has the digits written, of which no dose has more than 15.
    """

    value: float | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Range(msgspec.Struct, frozen=True, gc=False):
    """An amount between two bounds."""

    low: Amount | None = None
    high: Amount | None = None


class Ratio(msgspec.Struct, frozen=True, gc=False):
    """One amount per another."""

    numerator: Amount | None = None
    denominator: Amount | None = None


class Resource(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="resourceType"):
    """What every resource has. We know no `modifier_extension`, so its presence is all we ask."""

    id: str | None = None
    meta: msgspec.Raw = ABSENT  # Meta
    implicit_rules: str | None = None
    contained: "tuple[AnyResource, ...]" = ()
    modifier_extension: tuple[Extension, ...] = ()


class Patient(Resource, tag=True, frozen=True, gc=False):
    """The person."""

    extension: tuple[Extension, ...] = ()
    identifier: tuple[Identifier, ...] = ()
    gender: str | None = None
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    deceased_date_time_ext: Element | None = msgspec.field(name="_deceasedDateTime", default=None)


# A status is a CodeableConcept in R4; some EHRs write the bare code, whose meaning is the same.
Status = StatusConcept | str | None


class Condition(Resource, tag=True, frozen=True, gc=False):
    """A problem-list item or a diagnosis."""

    clinical_status: Status = None
    verification_status: Status = None
    category: msgspec.Raw = ABSENT  # tuple[CodeableConcept, ...] | CodeableConcept
    code: CodeableConcept | None = None
    subject: Subject | None = None
    onset_date_time: str | None = None
    onset_period: Period | None = None
    abatement_date_time: str | None = None
    abatement_period: Period | None = None
    recorded_date: str | None = None
    abatement_age: msgspec.Raw = ABSENT
    abatement_range: msgspec.Raw = ABSENT
    abatement_string: str | None = None
    abatement_date_time_ext: Element | None = msgspec.field(name="_abatementDateTime", default=None)
    abatement_string_ext: Element | None = msgspec.field(name="_abatementString", default=None)


class Repeat(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How often a dose is taken, and for how long."""

    bounds_duration: Amount | None = None
    bounds_period: Period | None = None
    frequency: float | None = None
    frequency_max: float | None = None
    period: float | None = None
    period_max: float | None = None
    period_unit: str | None = None
    day_of_week: tuple[str, ...] = ()
    time_of_day: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


class Timing(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """When a dose is taken."""

    repeat: Repeat | None = None
    code: CodeableConcept | None = None
    modifier_extension: tuple[Extension, ...] = ()


class DoseAndRate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The amount of one intake."""

    dose_quantity: Amount | None = None
    dose_range: Range | None = None


class Dosage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One dosage instruction."""

    modifier_extension: tuple[Extension, ...] = ()
    sequence: float | None = None
    timing: Timing | None = None
    as_needed_boolean: bool | None = None
    as_needed_codeable_concept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    dose_and_rate: tuple[DoseAndRate, ...] = ()


class DispenseRequest(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the prescriber asks the pharmacy to supply."""

    validity_period: Period | None = None
    number_of_repeats_allowed: float | None = None
    quantity: Amount | None = None
    expected_supply_duration: Amount | None = None
    modifier_extension: tuple[Extension, ...] = ()


_RequestStatus = Literal[
    "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"
]
_RequestIntent = Literal[
    "proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order", "option"
]
_StatementStatus = Literal[
    "active", "completed", "entered-in-error", "intended", "stopped", "on-hold", "unknown", "not-taken"
]
_DispenseStatus = Literal[
    "preparation",
    "in-progress",
    "cancelled",
    "on-hold",
    "completed",
    "entered-in-error",
    "stopped",
    "declined",
    "unknown",
]
_ObservationStatus = Literal[
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"
]

_ProcedureStatus = Literal[
    "preparation",
    "in-progress",
    "not-done",
    "on-hold",
    "stopped",
    "completed",
    "entered-in-error",
    "unknown",
]
_ResponseStatus = Literal["in-progress", "completed", "amended", "entered-in-error", "stopped"]


class MedicationRequest(Resource, tag=True, frozen=True, gc=False):
    """A prescription or an order."""

    status: _RequestStatus | None = None
    status_reason: CodeableConcept | None = None
    intent: _RequestIntent | None = None
    do_not_perform: bool | None = None
    reported_boolean: bool | None = None
    reported_reference: Reference | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    subject: Subject | None = None
    authored_on: str | None = None
    reason_code: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    dosage_instruction: tuple[Dosage, ...] = ()
    dispense_request: DispenseRequest | None = None
    do_not_perform_ext: Element | None = msgspec.field(name="_doNotPerform", default=None)


class MedicationStatement(Resource, tag=True, frozen=True, gc=False):
    """What somebody says the patient takes."""

    status: _StatementStatus | None = None
    status_reason: tuple[CodeableConcept, ...] = ()
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    subject: Subject | None = None
    effective_date_time: str | None = None
    effective_period: Period | None = None
    date_asserted: str | None = None
    information_source: Reference | None = None
    reason_code: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    dosage: tuple[Dosage, ...] = ()


class MedicationDispense(Resource, tag=True, frozen=True, gc=False):
    """What a pharmacy handed over."""

    status: _DispenseStatus | None = None
    status_reason_codeable_concept: CodeableConcept | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    subject: Subject | None = None
    quantity: Amount | None = None
    days_supply: Amount | None = None
    when_handed_over: str | None = None
    dosage_instruction: tuple[Dosage, ...] = ()


class Ingredient(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One ingredient of a product."""

    strength: Ratio | None = None
    is_active: bool | None = None
    modifier_extension: tuple[Extension, ...] = ()


class Medication(Resource, tag=True, frozen=True, gc=False):
    """A product that requests, statements and dispenses refer to."""

    identifier: tuple[Identifier, ...] = ()
    code: CodeableConcept | None = None
    form: CodeableConcept | None = None
    ingredient: tuple[Ingredient, ...] = ()


class Component(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One part of a panel."""

    modifier_extension: tuple[Extension, ...] = ()
    code: Codings | None = None
    value_quantity: msgspec.Raw = ABSENT  # Quantity
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: Decimal | None = None
    value_date_time: str | None = None
    data_absent_reason: CodeableConcept | None = None
    value_range: msgspec.Raw = ABSENT
    value_ratio: msgspec.Raw = ABSENT
    value_period: msgspec.Raw = ABSENT
    value_time: msgspec.Raw = ABSENT
    value_sampled_data: msgspec.Raw = ABSENT
    value_string_ext: Element | None = msgspec.field(name="_valueString", default=None)
    value_boolean_ext: Element | None = msgspec.field(name="_valueBoolean", default=None)
    value_integer_ext: Element | None = msgspec.field(name="_valueInteger", default=None)
    value_date_time_ext: Element | None = msgspec.field(name="_valueDateTime", default=None)


class Observation(Resource, tag=True, frozen=True, gc=False):
    """A measurement, a screen or a recorded status."""

    status: _ObservationStatus | None = None
    code: Codings | None = None
    subject: Subject | None = None
    focus: tuple[Reference, ...] = ()
    effective_date_time: str | None = None
    effective_period: Period | None = None
    effective_instant: str | None = None
    value_quantity: msgspec.Raw = ABSENT  # Quantity
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: Decimal | None = None
    value_date_time: str | None = None
    data_absent_reason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] | CodeableConcept = ()
    reference_range: msgspec.Raw = ABSENT  # tuple[ReferenceRange, ...]
    component: tuple[Component, ...] = ()
    value_range: msgspec.Raw = ABSENT
    value_ratio: msgspec.Raw = ABSENT
    value_period: msgspec.Raw = ABSENT
    value_time: msgspec.Raw = ABSENT
    value_sampled_data: msgspec.Raw = ABSENT
    value_string_ext: Element | None = msgspec.field(name="_valueString", default=None)
    value_boolean_ext: Element | None = msgspec.field(name="_valueBoolean", default=None)
    value_integer_ext: Element | None = msgspec.field(name="_valueInteger", default=None)
    value_date_time_ext: Element | None = msgspec.field(name="_valueDateTime", default=None)


class Reaction(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One reaction to a substance."""

    substance: CodeableConcept | None = None
    manifestation: tuple[CodeableConcept, ...] = ()
    modifier_extension: tuple[Extension, ...] = ()


class AllergyIntolerance(Resource, tag=True, frozen=True, gc=False):
    """An allergy or an intolerance."""

    clinical_status: Status = None
    verification_status: Status = None
    type: str | None = None
    code: CodeableConcept | None = None
    patient: Subject | None = None
    recorded_date: str | None = None
    reaction: tuple[Reaction, ...] = ()


class Procedure(Resource, tag=True, frozen=True, gc=False):
    """An intervention: done, under way, planned or given up."""

    status: _ProcedureStatus | None = None
    code: CodeableConcept | None = None
    subject: Subject | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None


class QuestionnaireItem(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One question with its answers, or a group of questions.

    An answer is read member by member, and only when a rule reads the question: `value[x]`, and items of its own.
    """

    extension: tuple[Extension, ...] = ()
    modifier_extension: tuple[Extension, ...] = ()
    link_id: str | None = None
    definition: str | None = None
    answer: tuple[dict[str, msgspec.Raw], ...] = ()
    item: "tuple[QuestionnaireItem, ...]" = ()


class QuestionnaireResponse(Resource, tag=True, frozen=True, gc=False):
    """The answers to a questionnaire."""

    status: _ResponseStatus | None = None
    subject: Subject | None = None
    authored: str | None = None
    item: msgspec.Raw = ABSENT  # tuple[QuestionnaireItem, ...]


class Issue(msgspec.Struct, frozen=True, gc=False):
    """One issue of an OperationOutcome; its texts may hold patient data and are not read."""

    severity: str | None = None
    code: str | None = None


class OperationOutcome(Resource, tag=True, frozen=True, gc=False):
    """What a server says about an operation."""

    issue: tuple[Issue, ...] = ()


class Link(msgspec.Struct, frozen=True, gc=False):
    """A link of a Bundle."""

    relation: str | None = None
    url: str | None = None


class Search(msgspec.Struct, frozen=True, gc=False):
    """Why an entry is in a searchset: match, include or outcome."""

    mode: Literal["match", "include", "outcome"] | None = None


class BundleEntry(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One entry of a Bundle; without a resource in some batch responses."""

    full_url: str | None = None
    resource: "AnyResource | None" = None
    search: Search | None = None


class Bundle(Resource, tag=True, frozen=True, gc=False):
    """A list of resources: a page of search results, a transaction, a collection."""

    type: str | None = None
    total: Decimal | None = None
    link: tuple[Link, ...] = ()
    entry: tuple[BundleEntry, ...] = ()


class OtherResource(Resource, frozen=True, gc=False):
    """A resource no rule reads; decoded for the one thing that matters about it: whose data it is."""

    subject: Subject | tuple[Subject, ...] | None = None
    patient: Subject | tuple[Subject, ...] | None = None
    beneficiary: Subject | tuple[Subject, ...] | None = None


# Every other resource type of R4 (4.0.1) and R4B (4.3.0), so that one typed decode of a whole Bundle succeeds.
OTHER_TYPES = """
Account ActivityDefinition AdministrableProductDefinition AdverseEvent Appointment AppointmentResponse AuditEvent Basic
Binary BiologicallyDerivedProduct BodyStructure CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
ChargeItemDefinition Citation Claim ClaimResponse ClinicalImpression ClinicalUseDefinition CodeSystem Communication
CommunicationRequest CompartmentDefinition Composition ConceptMap Consent Contract Coverage CoverageEligibilityRequest
CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest
EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceReport EvidenceVariable ExampleScenario
ExplanationOfBenefit FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService
ImagingStudy Immunization ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide Ingredient
InsurancePlan Invoice Library Linkage List Location ManufacturedItemDefinition Measure MeasureReport Media
MedicationAdministration MedicationKnowledge MedicinalProduct MedicinalProductAuthorization
MedicinalProductContraindication MedicinalProductDefinition MedicinalProductIndication MedicinalProductIngredient
MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionOrder
NutritionProduct ObservationDefinition OperationDefinition Organization OrganizationAffiliation
PackagedProductDefinition Parameters PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner
PractitionerRole Provenance Questionnaire RegulatedAuthorization RelatedPerson
RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment
RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition
StructureMap Subscription SubscriptionStatus SubscriptionTopic Substance SubstanceDefinition SubstanceNucleicAcid
SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification
SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet VerificationResult
VisionPrescription
""".split()

MedicationUse = MedicationRequest | MedicationStatement | MedicationDispense
Owned = Condition | MedicationUse | Observation | QuestionnaireResponse | Procedure | AllergyIntolerance

if TYPE_CHECKING:
    AnyResource = Patient | Owned | Medication | OperationOutcome | Bundle | OtherResource
else:
    _OTHERS = [
        msgspec.defstruct(name, [], bases=(OtherResource,), module=__name__, tag=True, frozen=True, gc=False)
        for name in OTHER_TYPES
    ]
    AnyResource = Union[Patient, Owned, Medication, OperationOutcome, Bundle, Union[tuple(_OTHERS)]]  # noqa: UP007
