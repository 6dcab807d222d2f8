"""A failure is never an empty list of cards: the journal, a rule, an unforeseen fault."""

import hashlib
from typing import Any

import httpx
import pytest
import yaml

from cds_service.decision.assess import CompiledRule
from cds_service.errors import JournalUnavailable
from tests.acceptance.checker import check_response
from tests.acceptance.world import CANDIDACY, HOOKS, RULES, SELECT, Service, draft, request

DEPRESSED = "two-adequate-trials-and-still-depressed"
QUIET = "nothing-relevant-at-all"


def call(service: Service, name: str, patient: str = DEPRESSED) -> httpx.Response:
    orders = [] if name == CANDIDACY else [draft("esketamine-nasal", patient)]
    return service.call(name, request(name, patient, orders=orders, server=service.sandbox), sound=False)


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert check_response(response) == []
    assert "cards" not in response.json()
    assert [issue["code"] for issue in response.json()["issue"]] == [code]


@pytest.mark.parametrize("patient", [DEPRESSED, QUIET])
@pytest.mark.parametrize("name", HOOKS)
def test_what_cannot_be_recorded_is_not_said(service: Service, name: str, patient: str) -> None:
    """Not even that there is nothing to say."""
    service.journal.fault = JournalUnavailable()
    try:
        response = call(service, name, patient)
    finally:
        service.journal.fault = None
    assert_refused(response, 503, "no-store")
    assert response.headers["retry-after"]
    assert call(service, name).status_code == 200


def test_a_journal_that_breaks_in_an_unforeseen_way_gives_no_cards_either(service: Service) -> None:
    service.journal.fault = OSError("disk")
    try:
        response = call(service, CANDIDACY)
    finally:
        service.journal.fault = None
    assert_refused(response, 500, "exception")


@pytest.mark.parametrize("rule", ["heart-disease", "prior-antidepressant-failures"])
@pytest.mark.parametrize("name", HOOKS)
def test_an_exception_in_a_rule_is_500_and_the_next_request_is_answered(
    service: Service, name: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = CompiledRule.assess

    def assess(self: CompiledRule, *arguments: Any) -> Any:
        if self.rule.rule == rule:
            raise ZeroDivisionError("planted")
        return sound(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledRule, "assess", assess)
        assert_refused(call(service, name), 500, "exception")
    assert call(service, name).status_code == 200


def test_an_exception_while_cards_are_written_is_500(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("planted")

    with monkeypatch.context() as patch:
        patch.setattr("cds_service.advise.cards_for", broken)
        assert_refused(call(service, SELECT), 500, "exception")


def test_the_decision_is_recorded_before_the_answer_with_what_proves_it(service: Service) -> None:
    before = len(service.journal.entries)
    response = call(service, CANDIDACY)
    assert response.status_code == 200
    entry = service.journal.entries[-1]
    assert len(service.journal.entries) in (before, before + 1), "the oldest leaves when the journal is full"
    assert (entry.service, entry.hook) == (CANDIDACY, "patient-view")
    services = yaml.safe_load((RULES / "services.yaml").read_text(encoding="utf-8"))["services"]
    assert [rule.rule for rule in entry.rules] == next(one["rules"] for one in services if one["id"] == CANDIDACY)
    assert all(len(rule.digest) == 64 for rule in entry.rules)


def test_the_journal_has_the_digest_of_the_very_bytes_sent(service: Service) -> None:
    response = call(service, CANDIDACY)
    assert service.journal.entries[-1].cards_digest == hashlib.sha256(response.content).hexdigest()
