"""Bytes to resources: one bad resource never costs the others, and never says its values."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.decision.coding import Coding
from cds_service.errors import UnreadableFhir
from cds_service.fhir.decode import decode_resources
from tests.unit.fhir.make import (
    Json,
    bundle,
    condition,
    data,
    entry,
    medication,
    observation,
    outcome,
    patient,
    request,
)


def only_reason(resource: Json) -> str:
    decoded = decode_resources(data(bundle(patient(), resource)))
    assert [type(one).__name__ for one in decoded.resources()] == ["Patient"]
    (unread,) = decoded.unread
    return unread.quarantined.reason


@pytest.mark.parametrize("kind", ["searchset", "transaction", "collection", "batch", "history", "no-such-type", None])
def test_a_bundle_of_any_type_is_read(kind: str | None) -> None:
    decoded = decode_resources(data(bundle(patient(), condition(), type_=kind)))
    assert [type(one).__name__ for one in decoded.resources()] == ["Patient", "Condition"]
    assert decoded.is_bundle


def test_a_single_resource_is_read() -> None:
    decoded = decode_resources(data(condition()))
    assert [type(one).__name__ for one in decoded.resources()] == ["Condition"]
    assert not decoded.is_bundle


def test_resources_that_no_rule_reads_do_not_disturb() -> None:
    others = [{"resourceType": name, "id": "x"} for name in ("Encounter", "CarePlan", "Claim", "SubscriptionStatus")]
    decoded = decode_resources(data(bundle(*others, patient())))
    assert len(list(decoded.resources())) == 5
    assert decoded.unread == ()


def test_one_bad_resource_is_set_aside_and_the_rest_stay() -> None:
    bad = condition("bad", code="36923009", onsetDateTime={"secret": "value"})
    decoded = decode_resources(data(bundle(patient(), bad, condition("good"))))
    assert [one.id for one in decoded.resources()] == ["pat-1", "good"]
    (unread,) = decoded.unread
    assert unread.index == 1
    assert unread.quarantined.record.reference == "Condition/bad"
    assert unread.quarantined.reason == "onsetDateTime: expected `str | null`, got `object`"
    assert unread.quarantined.codes == (Coding("snomed", "36923009"),)
    assert unread.subjects == (("subject", "Patient/pat-1"),)


def test_the_reason_names_the_element_and_never_the_value() -> None:
    reason = only_reason(observation(status="Anna Testperson"))
    assert reason == "status: not an allowed value"


def test_the_reason_names_the_place_within_a_list() -> None:
    reason = only_reason(request(reasonCode=[{"text": "sound"}, {"text": 5}]))
    assert reason.startswith("reasonCode[1].text: ")


def test_the_codes_of_a_bad_panel_include_its_components() -> None:
    part = {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}}
    decoded = decode_resources(data(bundle(observation(component=[part], status=7))))
    assert Coding("loinc", "8480-6") in decoded.unread[0].quarantined.codes


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"resourceType": "MedicationUsage", "id": "r5"}, "resourceType: not an allowed value"),
        ({"id": "nameless"}, "resourceType: missing"),
        ({"resourceType": 5}, "resourceType: expected `str`"),
    ],
)
def test_a_resource_of_no_known_type_is_set_aside(resource: Json, reason: str) -> None:
    decoded = decode_resources(data({"resourceType": "Bundle", "entry": [{"resource": resource}, entry(patient())]}))
    assert [one.quarantined.reason for one in decoded.unread] == [reason]
    assert decoded.unread[0].quarantined.record.type == ""
    assert len(list(decoded.resources())) == 1


@pytest.mark.parametrize("odd", [{}, {"fullUrl": "urn:uuid:1"}, {"resource": None}, {"response": {"status": "201"}}])
def test_an_entry_without_a_resource_is_passed_over(odd: Json) -> None:
    body = {"resourceType": "Bundle", "entry": [odd, entry(patient())]}
    decoded = decode_resources(data(body))
    assert [one.id for one in decoded.resources()] == ["pat-1"]
    assert decoded.unread == ()


def test_an_entry_that_is_no_object_is_set_aside() -> None:
    decoded = decode_resources(data({"resourceType": "Bundle", "entry": [7, entry(patient())]}))
    assert [one.quarantined.reason for one in decoded.unread] == ["entry: not an object"]
    assert [one.id for one in decoded.resources()] == ["pat-1"]


def test_an_entry_whose_resource_is_no_object_is_set_aside() -> None:
    decoded = decode_resources(data({"resourceType": "Bundle", "entry": [{"resource": "text"}, entry(patient())]}))
    assert [one.quarantined.reason for one in decoded.unread] == ["resource: expected `object`, got `str`"]


def test_a_faulty_entry_without_a_resource_is_passed_over() -> None:
    decoded = decode_resources(data({"resourceType": "Bundle", "entry": [{"fullUrl": 5}, entry(patient())]}))
    assert decoded.unread == ()
    assert len(list(decoded.resources())) == 1


def test_a_bundle_whose_entry_is_null_is_empty() -> None:
    assert decode_resources(b'{"resourceType": "Bundle", "entry": null}').entries == ()


def test_codes_that_are_no_codings_are_passed_over() -> None:
    bad = condition(subject=5) | {"code": {"coding": ["text", {"code": 7}, {"code": "1"}]}}
    assert decode_resources(data(bundle(bad))).unread[0].quarantined.codes == (Coding("", "1"),)


def test_a_fault_of_the_entrys_frame_does_not_cost_its_resource() -> None:
    odd = entry(condition(), search={"mode": "unheard-of"}, fullUrl="urn:uuid:c1")
    decoded = decode_resources(data(bundle(odd)))
    assert [one.id for one in decoded.resources()] == ["c1"]
    assert decoded.entries[0].full_url == "urn:uuid:c1"


@pytest.mark.parametrize("member", [{"total": "many"}, {"link": "none"}, {"total": -1}, {"link": [{"relation": 1}]}])
def test_a_fault_of_the_bundles_frame_does_not_cost_its_entries(member: Json) -> None:
    decoded = decode_resources(data(bundle(condition(), **member)))
    assert [one.id for one in decoded.resources()] == ["c1"]
    assert (decoded.total, decoded.next_url) == (None, None)


def test_the_total_and_the_next_link_survive_the_slow_path() -> None:
    link = [{"relation": "self", "url": "https://x/1"}, {"relation": "next", "url": "https://x/2"}]
    for resource in (condition(), condition(subject=5)):
        decoded = decode_resources(data(bundle(resource, total=12, link=link)))
        assert (decoded.total, decoded.next_url) == (12, "https://x/2")


def test_a_nested_bundle_is_opened() -> None:
    decoded = decode_resources(data(bundle(bundle(condition("inner")), patient())))
    assert sorted(one.id or "" for one in decoded.resources()) == ["inner", "pat-1"]


# ------------------------------------------------------------ resources that say they mean something else


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"modifierExtension": [{"url": "https://x/not-what-it-seems", "valueBoolean": True}]}, "modifierExtension"),
        ({"implicitRules": "https://x/rules"}, "implicitRules"),
    ],
)
def test_a_resource_under_rules_we_do_not_know_is_set_aside(member: Json, reason: str) -> None:
    assert only_reason(condition(**member)).startswith(f"{reason}: ")


def test_an_empty_modifier_extension_changes_nothing() -> None:
    assert len(list(decode_resources(data(condition(modifierExtension=[]))).resources())) == 1


def test_modifiers_of_resources_that_no_rule_reads_are_of_no_concern() -> None:
    other = {"resourceType": "DeviceRequest", "id": "x", "modifierExtension": [{"url": "https://x"}]}
    assert decode_resources(data(bundle(other))).unread == ()


# ------------------------------------------------------------ OperationOutcome rows


@pytest.mark.parametrize("severity", ["information", "warning"])
def test_an_operation_outcome_row_that_only_remarks_is_no_failure(severity: str) -> None:
    decoded = decode_resources(data(bundle(entry(outcome(severity), search={"mode": "outcome"}), total=0)))
    assert not decoded.failed


@pytest.mark.parametrize("severity", ["error", "fatal"])
def test_an_operation_outcome_row_of_an_error_means_that_the_list_failed(severity: str) -> None:
    decoded = decode_resources(data(bundle(condition(), outcome(severity))))
    assert decoded.failed
    assert not decoded.passing


@pytest.mark.parametrize("severity", ["error", "information"])
def test_a_bare_operation_outcome_is_a_failure(severity: str) -> None:
    assert decode_resources(data(outcome(severity))).failed


def test_a_bare_operation_outcome_without_issues_is_a_failure() -> None:
    assert decode_resources(b'{"resourceType": "OperationOutcome"}').failed


@pytest.mark.parametrize("code", ["transient", "timeout"])
def test_a_failure_that_may_pass_is_told_apart(code: str) -> None:
    assert decode_resources(data(outcome("error", code))).passing


def test_an_operation_outcome_that_cannot_be_read_is_still_a_failure() -> None:
    bad = {"resourceType": "OperationOutcome", "issue": "broken"}
    assert decode_resources(data(bad)).failed
    assert decode_resources(data(bundle(bad))).failed


# ------------------------------------------------------------ bodies that are no FHIR at all


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"resourceType": 5}',
        b'{"resourceType": "Bundle", "entry": {}}',
        b'{"resourceType": "Bundle", "implicitRules": "https://x"}',
        b'{"resourceType": "Bundle", "implicitRules": "https://x", "entry": [5]}',
        b'{"resourceType": "Patient", "text": "\xff"}',
        b'{"resourceType": "Patient", "deep": ' + b"[" * 100_000,
        b'{"resourceType": 5, "deep": ' + b"[" * 100_000,
        b'{"resourceType": "Patient", "id": "x"} trailing',
    ],
)
def test_what_is_no_fhir_has_one_clear_error(body: bytes) -> None:
    with pytest.raises(UnreadableFhir):
        decode_resources(body)


@pytest.mark.parametrize("number", ["1" * 5000, "1e999999", "-0", "1.5", "NaN"])
def test_odd_numbers_do_not_break_the_decoder(number: str) -> None:
    body = f'{{"resourceType": "Bundle", "total": {number}, "entry": []}}'.encode()
    try:
        assert decode_resources(body).total in (None, 0, 1)
    except UnreadableFhir:
        assert number == "NaN"


@pytest.mark.parametrize("number", ["1e999999", "1" * 5000])
def test_a_number_out_of_bounds_costs_no_more_than_its_resource(number: str) -> None:
    bad = json.dumps(observation("bad", valueInteger="X", subject={"reference": "Patient/p"})).replace('"X"', number)
    worse = bad.replace('"status": "final"', '"status": 5')
    body = f'{{"resourceType": "Bundle", "entry": [{{"resource": {worse}}}, {json.dumps(entry(patient()))}]}}'
    decoded = decode_resources(body.encode())
    assert [one.id for one in decoded.resources()] == ["pat-1"]
    assert decoded.unread[0].subjects == (("subject", "Patient/p"),)
    assert decoded.unread[0].quarantined.record.reference == "Observation/bad"


def test_a_member_that_cannot_be_read_at_all_is_passed_over() -> None:
    bad = json.dumps(condition("bad", code="X", subject=5)).replace('"code": "X"', '"code": {"coding": [1e999999]}')
    decoded = decode_resources(f'{{"resourceType": "Bundle", "entry": [{{"resource": {bad}}}]}}'.encode())
    assert decoded.unread[0].quarantined.codes == ()


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\q"])
def test_a_broken_escape_is_no_json(text: str) -> None:
    with pytest.raises(UnreadableFhir):
        decode_resources(f'{{"resourceType": "Patient", "name": "{text}"}}'.encode())


def test_a_byte_order_mark_is_passed_over() -> None:
    assert len(list(decode_resources(b"\xef\xbb\xbf" + data(patient())).resources())) == 1


def test_unread_text_outside_ascii_is_fine() -> None:
    assert decode_resources(json.dumps(patient(name="Zoë"), ensure_ascii=False).encode()).unread == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted({name for make in (patient(), condition(), request(), observation(), medication()) for name in make})


@given(json_values)
def test_random_json_never_raises_anything_but_the_decoders_own_error(value: object) -> None:
    with contextlib.suppress(UnreadableFhir):
        decode_resources(data(value))


@given(
    st.sampled_from(["Patient", "Condition", "MedicationRequest", "Observation", "Medication", "Encounter", "Bundle"]),
    st.dictionaries(st.sampled_from([*NAMES, "component", "contained", "entry", "meta"]), json_values, max_size=5),
)
def test_random_members_never_break_a_bundle(kind: str, members: Json) -> None:
    body = data(
        {"resourceType": "Bundle", "entry": [{"resource": {**members, "resourceType": kind}}, entry(patient())]}
    )
    decoded = decode_resources(body)
    assert "pat-1" in [one.id for one in decoded.resources()]
    assert all(": " in unread.quarantined.reason for unread in decoded.unread)


@given(st.binary(max_size=60))
def test_random_bytes_never_raise_anything_but_the_decoders_own_error(body: bytes) -> None:
    with pytest.raises(UnreadableFhir):
        decode_resources(body)
