"""How EHRs really write FHIR: one test for each quirk, named after it."""

import datetime as dt
from decimal import Decimal

import pytest

from cds_service.decision.coding import Coding
from cds_service.decision.dates import AsOf
from cds_service.decision.facts import CodedValue, DateValue, FlagValue, Quantity, TextValue, decode_facts, encode_facts
from cds_service.errors import OtherPatient, UnreadableFhir
from cds_service.fhir.read_facts import facts_from_bundle
from tests.unit.fhir.make import (
    AS_OF,
    DIASTOLIC,
    PANEL,
    PHQ9,
    SYSTOLIC,
    WANTED,
    Json,
    allergy,
    bundle,
    concept,
    condition,
    data,
    dispense,
    drug,
    entry,
    facts,
    medication,
    observation,
    patient,
    procedure,
    quantity,
    request,
    statement,
    status,
)

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ABSENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
DAR = {"extension": [{"url": ABSENT, "valueCode": "asked-unknown"}]}
MODIFIED = [{"url": "https://example.org/modifier", "valueBoolean": True}]


def reasons(*resources: Json) -> list[str]:
    return [one.reason for one in facts(*resources).quarantined]


def without(resource: Json, *members: str) -> Json:
    return {name: value for name, value in resource.items() if name not in members}


# ------------------------------------------------------------ conditions


def test_absent_clinical_status_stays_unrecorded() -> None:
    (found,) = facts(without(condition(), "clinicalStatus")).conditions.items
    assert found.clinical is None
    assert not found.abated


def test_refuted_condition_is_kept_with_its_verification() -> None:
    (found,) = facts(condition(verificationStatus=status("refuted"))).conditions.items
    assert found.verification == "refuted"


@pytest.mark.parametrize(
    "resource",
    [
        condition("x", verificationStatus=status("entered-in-error")),
        request("x", status="entered-in-error"),
        statement("x", status="entered-in-error"),
        dispense("x", status="entered-in-error"),
        observation("x", status="entered-in-error", valueQuantity=quantity(12)),
        allergy("x", verificationStatus=status("entered-in-error")),
    ],
)
def test_entered_in_error_is_dropped_but_counted_as_received(resource: Json) -> None:
    found = facts(resource)
    lists = (found.conditions, found.medications, found.observations, found.allergies)
    assert [one.items for one in lists] == [(), (), (), ()]
    assert sum(one.received for one in lists) == 1


def test_status_as_a_bare_string_is_read_as_the_code_it_is() -> None:
    (found,) = facts(condition(clinicalStatus="active", verificationStatus="provisional")).conditions.items
    assert (found.clinical, found.verification) == ("active", "provisional")


def test_status_in_text_alone_is_read_when_it_is_a_known_code() -> None:
    (found,) = facts(condition(verificationStatus={"text": "Refuted"})).conditions.items
    assert found.verification == "refuted"


def test_status_whose_codings_disagree_is_read_with_caution() -> None:
    both = {"coding": [{"code": "confirmed"}, {"code": "refuted"}]}
    (found,) = facts(condition(verificationStatus=both)).conditions.items
    assert found.verification == "refuted"


def test_status_that_fhir_does_not_define_sets_the_condition_aside() -> None:
    assert reasons(condition(verificationStatus=status("maybe"))) == ["verificationStatus: no code that FHIR defines"]


def test_status_that_is_absent_with_a_reason_is_not_recorded() -> None:
    absent = {"coding": [{"system": ABSENT_SYSTEM, "code": "unknown"}]}
    (found,) = facts(condition(verificationStatus=absent, clinicalStatus={**DAR})).conditions.items
    assert (found.verification, found.clinical) == (None, None)


def test_category_as_an_object_is_read_like_a_list_of_one() -> None:
    (found,) = facts(condition(category=concept("problem-list-item"))).conditions.items
    assert found.categories == ("problem-list-item",)


def test_condition_in_text_alone_has_no_codes() -> None:
    (found,) = facts(condition() | {"code": {"text": "low mood"}}).conditions.items
    assert (found.codes, found.text) == ((), "low mood")


@pytest.mark.parametrize(
    "member",
    [
        {"abatementString": "last year"},
        {"abatementAge": {"value": 40}},
        {"abatementRange": {}},
        {"_abatementDateTime": DAR},
        {"_abatementString": DAR},
        {"abatementPeriod": {}},
    ],
)
def test_abatement_without_a_date_is_still_an_abatement(member: Json) -> None:
    (found,) = facts(condition(**member)).conditions.items
    assert found.abated
    assert found.abatement is None


def test_abatement_still_to_come_is_not_read() -> None:
    (found,) = facts(condition(abatementDateTime="2026-12-24")).conditions.items
    assert (found.abated, found.abatement) == (False, None)


def test_onset_period_counts_from_its_start() -> None:
    period = {"start": "2025-03", "end": "2025-05-01"}
    (found,) = facts(condition(onsetPeriod=period) | {"onsetDateTime": None}).conditions.items
    assert found.onset is not None
    assert found.onset.text == "2025-03"


def test_onset_in_words_leaves_the_recorded_date() -> None:
    worded = without(condition(onsetString="in spring", recordedDate="2026-04-01"), "onsetDateTime")
    (found,) = facts(worded).conditions.items
    assert found.onset is None
    assert found.when is not None
    assert found.when.text == "2026-04-01"


# ------------------------------------------------------------ dates


@pytest.mark.parametrize("text", ["1980", "1980-02", "1980-02-03"])
def test_partial_dates_stay_as_exact_as_they_were_written(text: str) -> None:
    birth = facts(patient(birthDate=text)).patient.birth
    assert birth is not None
    assert birth.text == text


def test_partial_date_that_may_lie_before_the_instant_is_read() -> None:
    as_of = AsOf.of(dt.date(2026, 11, 10))
    assert len(facts(condition(onsetDateTime="2026-11"), as_of=as_of).conditions.items) == 1
    assert len(facts(condition(onsetDateTime="2026-12"), as_of=as_of).conditions.items) == 0


@pytest.mark.parametrize(
    "resource",
    [
        condition(onsetDateTime="2026-11-02"),
        request(authoredOn="2026-11-02"),
        statement(effectivePeriod={"start": "2026-11-02"}),
        dispense(whenHandedOver="2026-11-02"),
        observation(effectiveDateTime="2026-11-02", valueQuantity=quantity(3)),
        allergy(recordedDate="2026-11-02"),
    ],
)
def test_data_dated_wholly_after_the_instant_are_not_read(resource: Json) -> None:
    found = facts(resource)
    lists = (found.conditions, found.medications, found.observations, found.allergies)
    assert [one.items for one in lists] == [(), (), (), ()]
    assert sum(one.received for one in lists) == 1


def test_medication_period_that_ends_after_the_instant_is_read_by_its_start() -> None:
    (found,) = facts(statement(effectivePeriod={"start": "2026-10-01", "end": "2027-10-01"})).medications.items
    assert found.end is not None
    assert found.end.text == "2027-10-01"


def test_date_that_is_none_sets_the_resource_aside() -> None:
    found = facts(condition(onsetDateTime="last spring"))
    assert found.conditions.items == ()
    assert [one.reason for one in found.quarantined] == ["onsetDateTime: not a date"]
    assert found.quarantined[0].codes == (Coding("snomed", "370143000"),)


def test_date_absent_with_a_reason_is_no_date() -> None:
    (found,) = facts(without(condition(_onsetDateTime=DAR), "onsetDateTime")).conditions.items
    assert found.when is None


def test_birth_date_that_is_none_leaves_the_patient_known_by_id_alone() -> None:
    found = facts(patient(birthDate="unknown"))
    assert found.patient.record.id == "pat-1"
    assert found.patient.birth is None
    assert [one.reason for one in found.quarantined] == ["birthDate: not a date"]


# ------------------------------------------------------------ observations


def test_blood_pressure_as_a_panel_has_its_values_in_components() -> None:
    parts = [
        {"code": concept(SYSTOLIC, "http://loinc.org"), "valueQuantity": quantity(152)},
        {"code": concept(DIASTOLIC, "http://loinc.org"), "valueQuantity": quantity("94.50")},
    ]
    (found,) = facts(observation(code=PANEL, component=parts)).observations.items
    assert found.value is None
    assert [part.value for part in found.components] == [
        Quantity(Decimal(152), "mm[Hg]"),
        Quantity(Decimal("94.50"), "mm[Hg]"),
    ]


def test_blood_pressure_panel_is_found_by_a_component_whose_code_is_wanted() -> None:
    parts = [{"code": concept(SYSTOLIC, "http://loinc.org"), "valueQuantity": quantity(152)}]
    assert len(facts(observation(code="99999-9", component=parts)).observations.items) == 1


def test_blood_pressure_as_single_observations_keeps_each() -> None:
    found = facts(
        observation("o1", SYSTOLIC, valueQuantity=quantity(152)),
        observation("o2", DIASTOLIC, valueQuantity=quantity(94)),
    )
    assert [one.codes[0].code for one in found.observations.items] == [SYSTOLIC, DIASTOLIC]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ({"valueInteger": 21}, Quantity(Decimal(21))),
        ({"valueQuantity": {"value": 21}}, Quantity(Decimal(21))),
        ({"valueQuantity": {"value": 21.62783340796598}}, Quantity(Decimal("21.62783340796598"))),
        ({"valueQuantity": quantity(21, "{score}")}, Quantity(Decimal(21), "{score}")),
        ({"valueString": "21"}, TextValue("21")),
    ],
)
def test_phq9_as_integer_quantity_or_string_keeps_its_value_as_written(member: Json, value: object) -> None:
    (found,) = facts(observation(code=PHQ9, **member)).observations.items
    assert found.value == value


def test_quantity_without_a_value_or_a_reason_has_neither() -> None:
    other = {"extension": [{"url": "https://example.org/other", "valueCode": "x"}]}
    (found,) = facts(observation(valueQuantity=other)).observations.items
    assert (found.value, found.absent) == (None, None)


def test_members_written_as_null_are_not_there() -> None:
    nothing = dict.fromkeys(["abatementAge", "abatementRange", "abatementDateTime", "category", "meta", "onsetPeriod"])
    (found,) = facts(condition() | nothing).conditions.items
    assert (found.abated, found.categories, found.record.version_id) == (False, (), None)
    empty = dict.fromkeys(["valueQuantity", "valueRange", "valueSampledData", "dataAbsentReason", "effectivePeriod"])
    (seen,) = facts(observation() | empty).observations.items
    assert (seen.value, seen.absent) == (None, None)
    (worded,) = facts(observation(valueQuantity=None, valueString="12")).observations.items
    assert worded.value == TextValue("12")


def test_phq9_panel_without_a_value_has_none_and_no_reason() -> None:
    members = [{"reference": "Observation/o2"}]
    (found,) = facts(observation(code=PHQ9, hasMember=members)).observations.items
    assert (found.value, found.absent) == (None, None)


@pytest.mark.parametrize(
    "member",
    [
        {"dataAbsentReason": concept("asked-unknown", ABSENT_SYSTEM)},
        {"dataAbsentReason": {"text": "asked-unknown"}},
        {"valueQuantity": DAR},
        {"valueCodeableConcept": concept("asked-unknown", ABSENT_SYSTEM)},
        {"valueCodeableConcept": DAR},
        {"_valueString": DAR},
        {"_valueInteger": DAR},
        {"_valueBoolean": DAR},
        {"_valueDateTime": DAR},
        {"dataAbsentReason": concept("asked-unknown", ABSENT_SYSTEM), "valueQuantity": quantity(3)},
    ],
)
def test_data_absent_reason_is_honoured_wherever_it_stands(member: Json) -> None:
    (found,) = facts(observation(**member)).observations.items
    assert (found.value, found.absent) == (None, "asked-unknown")
    part = {"code": concept(SYSTOLIC, "http://loinc.org"), **member}
    (panel,) = facts(observation(code=PANEL, component=[part])).observations.items
    assert (panel.components[0].value, panel.components[0].absent) == (None, "asked-unknown")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ({"valueBoolean": False}, FlagValue(False)),
        ({"valueCodeableConcept": {"text": "yes"}}, CodedValue((), "yes")),
        ({"valueCodeableConcept": concept("77386006")}, CodedValue((Coding("snomed", "77386006"),))),
        ({"valueQuantity": {"value": 90, "comparator": "<"}}, Quantity(Decimal(90), None, "<")),
        ({"valueQuantity": {"value": 90, "unit": "kPa"}}, Quantity(Decimal(90), "kPa")),
        ({"valueQuantity": {"value": 90, "code": "local", "system": "urn:x"}}, Quantity(Decimal(90), "local")),
    ],
)
def test_values_of_each_kind_are_read(member: Json, value: object) -> None:
    (found,) = facts(observation(**member)).observations.items
    assert found.value == value


def test_value_that_is_a_date_is_read_as_one() -> None:
    (found,) = facts(observation(valueDateTime="2027-01")).observations.items
    assert isinstance(found.value, DateValue)
    assert found.value.when.text == "2027-01"


@pytest.mark.parametrize("kind", ["valueRange", "valueRatio", "valuePeriod", "valueTime", "valueSampledData"])
def test_value_of_a_kind_that_no_fact_holds_is_set_aside(kind: str) -> None:
    assert reasons(observation() | {kind: {}}) == [f"{kind}: a kind of value that is not read"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", 1e300, "1e-99999"])
def test_number_out_of_all_proportion_is_set_aside(value: object) -> None:
    assert reasons(observation(valueQuantity={"value": value})) == ["valueQuantity: not a number of a size we read"]


def test_number_that_is_none_is_set_aside_without_its_text() -> None:
    (reason,) = reasons(observation(valueQuantity={"value": "hundred"}))
    assert reason.startswith("valueQuantity.value: ")
    assert "hundred" not in reason


@pytest.mark.parametrize("kind", ["registered", "cancelled", "unknown"])
def test_observation_without_a_result_is_dropped_but_counted(kind: str) -> None:
    found = facts(observation(status=kind, valueQuantity=quantity(3))).observations
    assert (found.items, found.received) == ((), 1)


@pytest.mark.parametrize("kind", ["final", "amended", "corrected", "preliminary"])
def test_status_of_a_result_travels_with_it(kind: str) -> None:
    (found,) = facts(observation(status=kind, valueQuantity=quantity(3))).observations.items
    assert found.status == kind


def test_observation_without_a_status_is_set_aside() -> None:
    assert reasons(without(observation(), "status")) == ["status: missing"]


def test_observation_about_a_fetus_is_set_aside() -> None:
    (reason,) = reasons(observation(focus=[{"reference": "RelatedPerson/baby"}]))
    assert reason.startswith("focus: ")


def test_observation_that_no_rule_reads_is_neither_a_fact_nor_counted() -> None:
    found = facts(observation(code="8867-4", valueQuantity=quantity(72))).observations
    assert (found.items, found.received) == ((), 0)


def test_observation_without_a_code_is_read_by_its_components() -> None:
    parts = [
        {"valueString": "no code"},
        {"code": concept(SYSTOLIC, "http://loinc.org"), "valueQuantity": quantity(120)},
    ]
    (found,) = facts(
        without(observation(component=parts), "code"), without(observation("o2"), "code")
    ).observations.items
    assert [len(part.codes) for part in found.components] == [0, 1]


def test_unreadable_observation_counts_as_received_only_if_it_may_matter() -> None:
    other = observation("x", "8867-4", subject=5)
    ours = observation("y", PHQ9, subject=5)
    nameless = without(observation("z", subject=5), "code")
    found = facts(other, ours, nameless)
    assert found.observations.received == 2
    assert len(found.quarantined) == 3


def test_two_unreadable_observations_without_an_id_are_both_reported() -> None:
    """Each may matter to another rule."""
    bad = [without(observation(code=code, valueQuantity={"value": "x"}), "id") for code in (PHQ9, SYSTOLIC)]
    assert {one.codes[0].code for one in facts(*bad).quarantined} == {PHQ9, SYSTOLIC}


def test_observed_period_is_an_interval_and_an_open_one_counts_from_its_start() -> None:
    closed = {"start": "2026-10-01", "end": "2026-10-03"}
    period = without(observation("o1", effectivePeriod=closed), "effectiveDateTime")
    ongoing = without(observation("o2", effectivePeriod={"start": "2026-10-01"}), "effectiveDateTime")
    instant = without(observation("o3", effectiveInstant="2026-10-09T10:00:00Z"), "effectiveDateTime")
    first, second, third = (one.when for one in facts(period, ongoing, instant).observations.items)
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.last_day - first.first_day == 2
    assert second.last_day == second.first_day
    assert third.text.startswith("2026-10-09")


def test_interpretation_as_an_object_is_read_like_a_list_of_one() -> None:
    (found,) = facts(observation(interpretation=concept("POS", "urn:x"))).observations.items
    assert [code.code for code in found.interpretation] == ["POS"]


# ------------------------------------------------------------ codes


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("urn:oid:2.16.840.1.113883.6.90", "f322", Coding("icd10cm", "F32.2")),
        ("urn:oid:2.16.840.1.113883.6.96", "370143000", Coding("snomed", "370143000")),
        ("http://hl7.org/fhir/sid/icd-10-cm", "F33.1", Coding("icd10cm", "F33.1")),
        ("urn:local", " x ", Coding("urn:local", "x")),
    ],
)
def test_code_systems_by_url_and_by_oid_are_one(system: str, code: str, expected: Coding) -> None:
    (found,) = facts(condition() | {"code": concept(code, system)}).conditions.items
    assert found.codes == (expected,)


def test_observation_coded_by_oid_is_wanted_too() -> None:
    coded = observation() | {"code": concept(PHQ9, "urn:oid:2.16.840.1.113883.6.1")}
    assert len(facts(coded).observations.items) == 1
    foreign = observation() | {"code": concept(PHQ9, "urn:other")}
    assert len(facts(foreign).observations.items) == 0


def test_every_coding_is_kept_and_a_coding_without_a_code_is_not() -> None:
    several = {"coding": [{"display": "no code"}, *concept("1")["coding"], *drug("2")["coding"]]}
    (found,) = facts(condition() | {"code": several}).conditions.items
    assert [code.key for code in found.codes] == [("snomed", "1"), ("rxnorm", "2")]


# ------------------------------------------------------------ medications


def test_do_not_perform_travels_with_the_request() -> None:
    (found,) = facts(request(doNotPerform=True)).medications.items
    assert found.do_not_perform


def test_do_not_perform_whose_value_is_withheld_sets_the_request_aside() -> None:
    assert reasons(request(_doNotPerform=DAR)) == ["doNotPerform: its value is withheld"]


def test_text_only_drug_has_its_text_and_no_codes() -> None:
    (found,) = facts(request(medicationCodeableConcept={"text": "sertraline 50 mg"})).medications.items
    assert (found.codes, found.text) == ((), "sertraline 50 mg")


def test_us_data_with_medication_request_only_is_a_full_list() -> None:
    found = facts(request("m1"), request("m2", authoredOn="2026-06-01")).medications
    assert [(one.kind, one.record.id) for one in found.items] == [("request", "m1"), ("request", "m2")]
    assert found.received == 2


def test_category_of_a_request_as_an_object_is_of_no_concern() -> None:
    assert len(facts(request(category={"coding": []})).medications.items) == 1


STRENGTH = {
    "numerator": {"value": 50, "unit": "mg"},
    "denominator": {"value": 1, "unit": "TAB"},
}


def test_contained_medication_is_resolved_with_its_strength_and_form() -> None:
    inner = medication("med", ingredient=[{"strength": STRENGTH}], form={"text": "tablet"})
    (found,) = facts(request(medicationReference={"reference": "#med"}, contained=[inner])).medications.items
    assert found.codes == (Coding("rxnorm", "312941"),)
    assert (found.strength_mg, found.dose_form) == (Decimal(50), "tablet")


@pytest.mark.parametrize(
    "reference", ["Medication/med1", "Medication/med1/_history/4", "https://ehr.example.org/fhir/Medication/med1"]
)
def test_bundled_medication_is_resolved(reference: str) -> None:
    product = entry(medication(), fullUrl="https://ehr.example.org/fhir/Medication/med1")
    (found,) = facts(request(medicationReference={"reference": reference}), product).medications.items
    assert [code.code for code in found.codes] == ["312941"]


def test_medication_by_urn_uuid_is_resolved_through_its_full_url() -> None:
    product = entry(without(medication(), "id"), fullUrl="urn:uuid:5c5c6a4e")
    (found,) = facts(request(medicationReference={"reference": "urn:uuid:5c5c6a4e"}), product).medications.items
    assert [code.code for code in found.codes] == ["312941"]


def test_medication_by_conditional_reference_is_resolved_by_its_identifier() -> None:
    product = medication(identifier=[{"system": "urn:x", "value": "7"}])
    referring = request(medicationReference={"reference": "Medication?identifier=urn:x|7"})
    (found,) = facts(referring, product).medications.items
    assert [code.code for code in found.codes] == ["312941"]


def test_medication_that_is_not_at_hand_leaves_its_display() -> None:
    (found,) = facts(
        request(medicationReference={"reference": "Medication/gone", "display": "ketamine"})
    ).medications.items
    assert (found.codes, found.text) == ((), "ketamine")


def test_text_beside_a_reference_is_the_records_own_text() -> None:
    both = request(medicationReference={"reference": "Medication/med1"}, medicationCodeableConcept={"text": "my text"})
    (found,) = facts(both, medication()).medications.items
    assert ([code.code for code in found.codes], found.text) == (["312941"], "my text")


def test_medication_of_another_server_is_not_taken_for_one_of_ours() -> None:
    product = entry(medication(), fullUrl="https://ehr.example.org/fhir/Medication/med1")
    referring = request(medicationReference={"reference": "https://other.example.org/fhir/Medication/med1"})
    (found,) = facts(referring, product).medications.items
    assert found.codes == ()


def test_contained_medication_with_a_modifier_sets_its_use_aside() -> None:
    inner = medication("med", modifierExtension=MODIFIED)
    (reason,) = reasons(request(medicationReference={"reference": "#med"}, contained=[inner]))
    assert reason.startswith("medicationReference: a Medication with modifierExtension")


@pytest.mark.parametrize(
    ("ingredients", "strength"),
    [
        ([], None),
        ([{"strength": STRENGTH}, {"strength": STRENGTH}], None),
        ([{"strength": STRENGTH}, {"isActive": False}], Decimal(50)),
        ([{"strength": {"numerator": {"value": 1, "unit": "g"}}}], Decimal(1000)),
        ([{"strength": {"numerator": {"value": 500, "code": "ug"}}}], Decimal("0.5")),
        ([{"strength": {"numerator": {"value": 1, "unit": "puff"}}}], None),
        ([{"strength": {"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 0}}}], None),
        ([{"strength": {"denominator": {"value": 1}}}], None),
    ],
)
def test_strength_is_that_of_the_one_active_ingredient(ingredients: list[Json], strength: Decimal | None) -> None:
    product = medication(ingredient=ingredients)
    (found,) = facts(request(medicationReference={"reference": "Medication/med1"}), product).medications.items
    assert found.strength_mg == strength


@pytest.mark.parametrize(
    ("unit", "repeats", "days"),
    [
        ({"code": "d"}, None, 30),
        ({"unit": "Days"}, 2, 90),
        ({"unit": "day"}, 0, 30),
        ({"code": "wk"}, None, 210),
        ({"code": "mo"}, None, 900),
        ({}, None, None),
        ({"unit": "doses"}, None, None),
    ],
)
def test_supply_of_a_request_counts_its_repeats(unit: Json, repeats: int | None, days: int | None) -> None:
    supply = {"expectedSupplyDuration": {"value": 30, **unit}}
    ordered = supply if repeats is None else {**supply, "numberOfRepeatsAllowed": repeats}
    (found,) = facts(request(dispenseRequest=ordered)).medications.items
    assert found.supply_days == days


@pytest.mark.parametrize(("value", "repeats"), [(30, -1), (30, 10**7), (-5, 0), (10**9, 0)])
def test_supply_that_cannot_be_is_set_aside(value: int, repeats: int) -> None:
    ordered = {"expectedSupplyDuration": {"value": value, "code": "d"}, "numberOfRepeatsAllowed": repeats}
    (reason,) = reasons(request(dispenseRequest=ordered))
    assert reason == "dispenseRequest.expectedSupplyDuration: no supply lasts that long"


def test_request_states_its_validity_quantity_and_reasons() -> None:
    ordered = {
        "validityPeriod": {"start": "2026-05-01", "end": "2026-08-01"},
        "quantity": {"value": 30, "unit": "tablet"},
    }
    found = facts(
        request(
            dispenseRequest=ordered,
            reasonCode=[concept("35489007")],
            statusReason=concept("266721009"),
            reportedBoolean=True,
        )
    ).medications.items[0]
    assert found.start is not None
    assert found.end is not None
    assert (found.start.text, found.end.text) == ("2026-05-01", "2026-08-01")
    assert (found.quantity, found.quantity_unit) == (Decimal(30), "tablet")
    assert found.reasons == ((Coding("snomed", "35489007"),),)
    assert found.status_reasons == (Coding("snomed", "266721009"),)
    assert found.patient_reported


def test_reason_by_reference_brings_the_codes_of_the_condition() -> None:
    found = facts(
        condition("c1"), request(reasonReference=[{"reference": "Condition/c1"}, {"reference": "Condition/gone"}])
    ).medications.items[0]
    assert found.reasons == ((Coding("snomed", "370143000"),), ())


def test_reason_that_cannot_be_resolved_is_still_given() -> None:
    (found,) = facts(request(reasonReference=[{"reference": "Condition/gone"}])).medications.items
    assert found.reasons == ((),)


def test_dispense_lasts_as_long_as_its_supply() -> None:
    handed = dispense(whenHandedOver="2026-02-03", daysSupply={"value": 84}, quantity={"value": 84, "code": "TAB"})
    (found,) = facts(handed).medications.items
    assert found.start is not None
    assert (found.start.text, found.end, found.supply_days) == ("2026-02-03", None, 84)
    assert (found.quantity, found.quantity_unit) == (Decimal(84), "TAB")


def test_dispense_that_was_only_prepared_has_no_start() -> None:
    (found,) = facts(dispense(whenPrepared="2026-02-03")).medications.items
    assert found.start is None


def test_statement_of_a_period_and_of_a_single_date() -> None:
    period = statement("s1", effectivePeriod={"start": "2026-01", "end": "2026-03"}, dateAsserted="2026-04-01")
    single = statement("s2", effectiveDateTime="2026-02-02")
    first, second = facts(period, single).medications.items
    assert first.start is not None
    assert first.end is not None
    assert first.asserted is not None
    assert (first.start.text, first.end.text, first.asserted.text) == ("2026-01", "2026-03", "2026-04-01")
    assert second.start is not None
    assert (second.start.text, second.end) == ("2026-02-02", None)


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        ({"reference": "Patient/pat-1"}, True),
        ({"reference": "RelatedPerson/r"}, True),
        ({"type": "RelatedPerson", "display": "mother"}, True),
        ({"reference": "urn:uuid:pat-1", "type": "Patient"}, True),
        ({"reference": "Practitioner/p"}, False),
        (None, False),
    ],
)
def test_patient_reported_statement_is_told_apart(source: Json | None, reported: bool) -> None:
    (found,) = facts(statement(informationSource=source)).medications.items
    assert found.patient_reported is reported


def test_reported_reference_marks_a_request_as_reported() -> None:
    (found,) = facts(request(reportedReference={"reference": "Practitioner/p"})).medications.items
    assert found.patient_reported


@pytest.mark.parametrize(
    "resource",
    [
        request(dosageInstruction=[{"text": "x", "modifierExtension": MODIFIED}]),
        request(dosageInstruction=[{"timing": {"modifierExtension": MODIFIED}}]),
        request(dispenseRequest={"modifierExtension": MODIFIED}),
        observation(component=[{"modifierExtension": MODIFIED}]),
        allergy(reaction=[{"modifierExtension": MODIFIED}]),
    ],
)
def test_modifier_within_a_resource_sets_the_whole_aside(resource: Json) -> None:
    (reason,) = reasons(resource)
    assert "modifierExtension" in reason


# ------------------------------------------------------------ patient and allergies

SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
CLINICAL_SEX = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"


@pytest.mark.parametrize(
    ("extension", "birth_sex", "clinical_sex"),
    [
        ({"url": BIRTH_SEX, "valueCode": "F"}, "female", None),
        ({"url": BIRTH_SEX, "valueCode": "UNK"}, "UNK", None),
        ({"url": SEX, "valueCoding": {"system": "http://snomed.info/sct", "code": "248152002"}}, None, "female"),
        (
            {"url": CLINICAL_SEX, "extension": [{"url": "value", "valueCodeableConcept": concept("male-typical")}]},
            None,
            "male",
        ),
        ({"url": CLINICAL_SEX}, None, None),
        ({"url": "https://example.org/other", "valueCode": "F"}, None, None),
    ],
)
def test_recorded_sex_extensions_are_kept_apart_from_gender(
    extension: Json, birth_sex: str | None, clinical_sex: str | None
) -> None:
    found = facts(patient(gender="other", extension=[extension])).patient
    assert (found.gender, found.birth_sex, found.clinical_sex) == ("other", birth_sex, clinical_sex)


@pytest.mark.parametrize(
    ("member", "deceased"),
    [
        ({}, False),
        ({"deceasedBoolean": False}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "2026-01-01"}, True),
        ({"deceasedDateTime": "2026-11-02"}, False),
        ({"_deceasedDateTime": DAR}, True),
    ],
)
def test_deceased_in_each_form(member: Json, deceased: bool) -> None:
    assert facts(patient(**member)).patient.deceased is deceased


def test_patient_that_cannot_be_decoded_is_known_by_id_and_said_so() -> None:
    found = facts(patient(gender=5), condition())
    assert found.patient.record.reference == "Patient/pat-1"
    assert (found.patient.birth, found.patient.gender) == (None, None)
    assert [one.record.reference for one in found.quarantined] == ["Patient/pat-1"]
    assert len(found.conditions.items) == 1


def test_allergy_states_its_substances_and_manifestations() -> None:
    reaction = {"substance": drug("6131"), "manifestation": [concept("271807003")]}
    recorded = allergy(
        type="allergy", reaction=[reaction], recordedDate="2020-05", verificationStatus=status("refuted")
    )
    (found,) = facts(recorded).allergies.items
    assert [code.code for code in found.substances] == ["6130", "6131"]
    assert [code.code for code in found.manifestations] == ["271807003"]
    assert (found.type, found.verification, found.clinical) == ("allergy", "refuted", "active")


def test_an_intolerance_is_told_from_an_allergy_and_neither_is_invented() -> None:
    kinds = [allergy("a", type="allergy"), allergy("b", type="intolerance"), allergy("c")]
    assert [one.type for one in facts(*kinds).allergies.items] == ["allergy", "intolerance", None]


def test_no_known_allergy_is_a_fact_that_somebody_asked() -> None:
    (found,) = facts(allergy(code=concept("716186003", text="No known allergies"))).allergies.items
    assert (found.substances, found.text) == ((Coding("snomed", "716186003"),), "No known allergies")


def test_allergy_without_a_code_is_known_by_the_substance_of_its_reactions_or_by_text() -> None:
    by_reaction = without(
        allergy("a", reaction=[{"substance": drug("6130")}, {"manifestation": [{"text": "x"}]}]), "code"
    )
    by_text = allergy("b", code={"text": "Ketamine"})
    first, second = facts(by_reaction, by_text).allergies.items
    assert ([code.code for code in first.substances], first.text) == (["6130"], None)
    assert (second.substances, second.text) == ((), "Ketamine")


@pytest.mark.parametrize(
    ("word", "clinical"),
    [("active", "active"), ("inactive", "inactive"), ("resolved", "resolved"), ("unknown", None)],
)
def test_clinical_status_of_an_allergy(word: str, clinical: str | None) -> None:
    (found,) = facts(allergy(clinicalStatus=status(word))).allergies.items
    assert found.clinical == clinical


def test_allergy_without_any_status_is_read() -> None:
    (found,) = facts(without(allergy(), "clinicalStatus")).allergies.items
    assert (found.clinical, found.verification) == (None, None)


@pytest.mark.parametrize("word", ["unconfirmed", "presumed", "confirmed", "refuted"])
def test_verification_of_an_allergy_travels_with_it(word: str) -> None:
    (found,) = facts(allergy(verificationStatus=status(word))).allergies.items
    assert found.verification == word


def test_allergy_entered_in_error_or_of_the_future_is_dropped_but_counted() -> None:
    wrong = allergy("a", verificationStatus=status("entered-in-error"))
    future = allergy("b", recordedDate="2026-12-01")
    found = facts(wrong, future).allergies
    assert (found.items, found.received) == ((), 2)


@pytest.mark.parametrize(
    "changes",
    [{"clinicalStatus": status("perhaps")}, {"verificationStatus": status("perhaps")}, {"type": {"text": "x"}}],
)
def test_allergy_whose_meaning_is_unclear_is_set_aside_with_its_code(changes: Json) -> None:
    (aside,) = facts(allergy(**changes)).quarantined
    assert [code.code for code in aside.codes] == ["6130"]


# ------------------------------------------------------------ procedures


@pytest.mark.parametrize("word", ["preparation", "in-progress", "on-hold", "stopped", "completed", "unknown"])
def test_procedure_travels_with_its_status(word: str) -> None:
    (found,) = facts(procedure(status=word)).procedures.items
    assert (found.record.reference, found.status, found.text) == ("Procedure/p1", word, "Hysterectomy")
    assert found.codes == (Coding("snomed", "236886002"),)


def test_procedure_without_a_status_or_a_code_is_still_one() -> None:
    bare = without(without(procedure(), "status"), "code")
    (found,) = facts(bare).procedures.items
    assert (found.status, found.codes, found.text) == (None, (), None)


@pytest.mark.parametrize(
    "changes", [{"status": "not-done"}, {"status": "entered-in-error"}, {"performedDateTime": "2026-12-24"}]
)
def test_procedure_that_was_not_done_is_dropped_but_counted(changes: Json) -> None:
    found = facts(procedure(**changes)).procedures
    assert (found.items, found.received) == ((), 1)


@pytest.mark.parametrize(
    ("performed", "date"),
    [
        ({"performedDateTime": "2019-04"}, "2019-04"),
        ({"performedPeriod": {"start": "2019-04-01", "end": "2019-04-03"}}, "2019-04-01"),
        ({"performedPeriod": {"end": "2019-04-03"}}, None),
        ({"performedString": "as a child"}, None),
        ({}, None),
    ],
)
def test_date_of_a_procedure_is_when_it_was_done_or_began(performed: Json, date: str | None) -> None:
    (found,) = facts({**without(procedure(), "performedDateTime"), **performed}).procedures.items
    assert (found.when.text if found.when else None) == date


@pytest.mark.parametrize("changes", [{"status": "maybe"}, {"performedDateTime": "long ago"}, {"subject": None}])
def test_procedure_that_cannot_be_understood_is_set_aside_with_its_code(changes: Json) -> None:
    found = facts(procedure(**changes))
    (aside,) = found.quarantined
    assert (found.procedures.items, found.procedures.received) == ((), 1)
    assert [code.code for code in aside.codes] == ["236886002"]


def test_procedure_of_another_patient_refuses_the_request() -> None:
    with pytest.raises(OtherPatient):
        facts(procedure(subject={"reference": "Patient/pat-2"}))


# ------------------------------------------------------------ records


def test_versions_and_security_labels_travel_with_a_fact() -> None:
    meta = {"versionId": "3", "lastUpdated": "2026-10-01T00:00:00Z", "security": [{"code": "R"}, {"display": "x"}]}
    record = facts(condition(meta=meta)).conditions.items[0].record
    assert (record.version_id, record.last_updated, record.labels) == ("3", "2026-10-01T00:00:00Z", ("R",))


def test_labels_that_cannot_be_read_are_a_label() -> None:
    assert facts(condition(meta={"security": 5})).conditions.items[0].record.labels == ("unreadable",)


def test_resource_without_an_id_is_known_by_its_urn_uuid() -> None:
    nameless = entry(without(condition(), "id"), fullUrl="urn:uuid:0a1b")
    assert facts(nameless).conditions.items[0].record.id == "0a1b"


# ------------------------------------------------------------ whole Bundles


def test_a_bundle_without_a_patient_is_refused() -> None:
    with pytest.raises(UnreadableFhir):
        facts_from_bundle(data(bundle(condition())), as_of=AS_OF, observation_codes=WANTED)


def test_a_bundle_of_two_patients_is_refused() -> None:
    two = bundle(patient(), patient(id="pat-2"))
    with pytest.raises(OtherPatient):
        facts_from_bundle(data(two), as_of=AS_OF, observation_codes=WANTED)


def test_a_bundle_that_reports_an_error_is_refused() -> None:
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    with pytest.raises(UnreadableFhir):
        facts_from_bundle(data(bundle(patient(), failed)), as_of=AS_OF, observation_codes=WANTED)


def test_a_bundle_that_is_only_the_first_page_leaves_a_gap_in_every_list() -> None:
    page = bundle(patient(), link=[{"relation": "next", "url": "https://x/2"}])
    found = facts_from_bundle(data(page), as_of=AS_OF, observation_codes=WANTED)
    assert all(
        [gap.cause for gap in one.gaps] == ["further pages not read"]
        for one in (found.conditions, found.medications, found.observations, found.allergies, found.procedures)
    )


def test_facts_survive_their_canonical_bytes() -> None:
    found = facts(
        condition(),
        request(),
        observation(valueQuantity=quantity(12)),
        allergy(),
        procedure(),
        observation("bad", subject=5),
    )
    assert decode_facts(encode_facts(found)) == found
