"""The same patient gives the same cards: by prefetch, by fetch, by some of each, and at the command line."""

import datetime as dt
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds_service.advise import Asked, Desk, decide, desks
from cds_service.cli.evaluate import OrderForm, with_order
from cds_service.decision.assess import decode_assessments
from cds_service.decision.dates import AsOf
from cds_service.fhir.read_facts import facts_from_bundle
from cds_service.hooks.messages import CardsResponse, encode_response
from tests.acceptance.plain import rulebook
from tests.acceptance.world import (
    BUNDLES,
    CANDIDACY,
    CAST,
    FIXTURES,
    FORMS,
    INSTANCE,
    SELECT,
    SIGN,
    Service,
    chart_of,
    draft,
    patient_of,
    request,
)

AS_OF = AsOf.of(dt.datetime(2026, 11, 1, 23, 59, 59, tzinfo=dt.UTC))
# Drugs named by a reference to a Medication of their own: no template brings it, so a client offers its server too.
BY_REFERENCE = {path for path in BUNDLES if b'"medicationReference"' in path.read_bytes()}
RESOLVED: dict[tuple[Path, str], dict[str, Any]] = {}
TELLING = [path for path in CAST if path.stem in ("stopped-but-nobody-wrote-when", "no-problem-on-record")]


def title(path: Path) -> str:
    return path.stem


@cache
def served(base: str) -> dict[str, Desk]:
    return desks(rulebook(), base_url=base, serve_draft=True)


def offline(service: Service, name: str, path: Path, form: str | None) -> bytes:
    """The answer of the command line's way: the Bundle's facts, decided."""
    desk = served(service.base)[name]
    facts = facts_from_bundle(chart_of(path), as_of=AS_OF, observation_codes=desk.codes)
    facts = with_order(facts, OrderForm(form) if form else None)
    asked = Asked(hook_instance=INSTANCE, user_id="Practitioner/example", jurisdiction="US", as_of=AS_OF)
    return encode_response(CardsResponse(decide(desk, facts, asked).cards))


def complete(service: Service, path: Path, name: str = CANDIDACY) -> dict[str, Any]:
    """The complete prefetch of a service, each template resolved once for each patient."""
    for template in service.templates[name].values():
        if (path, template) not in RESOLVED:
            RESOLVED[path, template] = service.resolve(template, patient_of(path))
    return {key: RESOLVED[path, template] for key, template in service.templates[name].items()}


def half(prefetched: dict[str, Any]) -> dict[str, Any]:
    return {key: prefetched[key] for key in sorted(prefetched)[::2]}


ALL = ("complete prefetch", "half of the prefetch", "no prefetch")


def answers(
    service: Service, name: str, path: Path, form: str | None, ways: tuple[str, ...]
) -> Iterator[tuple[str, bytes]]:
    """The answers by each way, for a patient and, at the order services, a form."""
    patient = patient_of(path)
    # The order that the command line makes up: its id is part of a card's uuid.
    orders = [draft(form, patient, id=f"draft-{form}")] if form else []
    server = service.sandbox if path in BY_REFERENCE else None
    got = complete(service, path, name)
    bodies = {
        "complete prefetch": request(name, patient, orders=orders, prefetch=got, server=server),
        "half of the prefetch": request(name, patient, orders=orders, prefetch=half(got), server=service.sandbox),
        "no prefetch": request(name, patient, orders=orders, server=service.sandbox),
    }
    for way in ways:
        yield way, service.call(name, bodies[way]).content


def assert_same(service: Service, name: str, path: Path, form: str | None = None, ways: tuple[str, ...] = ALL) -> None:
    expected = offline(service, name, path, form)
    for way, answer in answers(service, name, path, form, ways):
        assert answer == expected, f"{path.stem} at {name} by {way}"


def test_the_order_services_publish_the_templates_of_the_patient_view_and_what_an_order_asks_for(
    service: Service,
) -> None:
    """A key has one text wherever it is published, so that an EHR resolves it once."""
    view, select, sign = (service.templates[name] for name in (CANDIDACY, SELECT, SIGN))
    assert select == sign
    assert view.items() <= sign.items()
    assert sign.keys() - view.keys() == {"bodyWeight"}


@pytest.mark.parametrize("path", BUNDLES, ids=title)
def test_a_patient_view_answers_the_same_by_prefetch_as_offline(service: Service, path: Path) -> None:
    assert_same(service, CANDIDACY, path, ways=("complete prefetch",))


# Fetching is dear and the same code for every patient: every second is fetched, for a view or for a signature.
@pytest.mark.parametrize("path", BUNDLES[::4], ids=title)
def test_a_patient_view_answers_the_same_by_fetch_as_offline(service: Service, path: Path) -> None:
    assert_same(service, CANDIDACY, path, ways=("no prefetch",))


@pytest.mark.parametrize("path", BUNDLES[::8], ids=title)
def test_a_patient_view_answers_the_same_by_half_of_the_prefetch(service: Service, path: Path) -> None:
    assert_same(service, CANDIDACY, path, ways=("half of the prefetch",))


@pytest.mark.parametrize("path", [*TELLING, *sorted(BY_REFERENCE)], ids=title)
def test_a_template_resolves_to_the_same_by_get_and_by_post(service: Service, path: Path) -> None:
    posted = service.complete_prefetch(CANDIDACY, patient_of(path), post=True)
    for key, got in complete(service, path).items():
        assert got.get("entry") == posted[key].get("entry"), key
        assert got["resourceType"] == posted[key]["resourceType"]


@pytest.mark.parametrize("path", BUNDLES[2::4], ids=title)
def test_the_signing_of_esketamine_answers_the_same_by_fetch_as_offline(service: Service, path: Path) -> None:
    assert_same(service, SIGN, path, "esketamine-nasal", ("no prefetch",))


@pytest.mark.parametrize("name", [SELECT, SIGN])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", TELLING, ids=title)
def test_an_order_of_each_form_answers_the_same_by_every_path(
    service: Service, path: Path, form: str, name: str
) -> None:
    assert_same(service, name, path, form)


def test_every_form_is_spoken_of_on_its_own(service: Service) -> None:
    """Otherwise the comparison above could compare nothing: each form is answered, and racemic ketamine off-label."""
    for form in FORMS:
        cards = json.loads(offline(service, SIGN, TELLING[0], form))["cards"]
        assert cards
        assert all("Ketamine: off-label use" in card["detail"] for card in cards) is (form != "esketamine-nasal")


# --- What was decided, as the journal has it --------------------------------------------------------------------------

EXPECTED = yaml.safe_load((FIXTURES / "expected.yaml").read_text(encoding="utf-8"))


# Offline every patient's outcomes are tested, and above that each gets the same cards over HTTP.
@pytest.mark.parametrize("path", CAST[::4], ids=title)
def test_the_outcomes_over_http_are_the_expected_ones(service: Service, path: Path) -> None:
    expected = {rule: said["outcome"] for rule, said in EXPECTED[path.name].items() if rule != "as_of"}
    server = service.sandbox if path in BY_REFERENCE else None
    service.call(CANDIDACY, request(CANDIDACY, patient_of(path), prefetch=complete(service, path), server=server))
    entry = service.journal.entries[-1]
    found = {one.rule: one.outcome.value for one in decode_assessments(entry.assessment) if one.rule in expected}
    assert found == expected
