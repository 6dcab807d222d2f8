"""Orders and current treatments with ketamine or esketamine: what is recognised, and in which form.

The form is read from product and route; a route that is not recorded is asked for, never guessed.
"""

import re
from collections.abc import Mapping

import msgspec

from cds_service.decision.chart import Chart
from cds_service.decision.codes import Codes, ValueSet, first_match
from cds_service.decision.coding import NDC, SYSTEMS, Coding
from cds_service.decision.evidence import Found, Match, found_values
from cds_service.decision.facts import DraftOrder, MedicationEvent, PatientFacts, Quarantined, Record
from cds_service.decision.reading import Reader
from cds_service.decision.rule import Form, OrdersFact

# Compounded ketamine usually has no product code, so that an order is recognised by its text as well.
_NAMES = re.compile(r"\b(esketamine|spravato|ketamine|ketalar)\b", re.IGNORECASE)
_ROUTE_WORDS = {
    "intravenous": "intravenous",
    "iv": "intravenous",
    "intramuscular": "intramuscular",
    "im": "intramuscular",
    "nasal": "nasal",
    "intranasal": "nasal",
    "oral": "oral",
    "by mouth": "oral",
    "po": "oral",
    "sublingual": "sublingual",
}
_FORMS: dict[tuple[str, str], Form] = {
    ("esketamine", "nasal"): "esketamine-nasal",
    ("ketamine", "intravenous"): "ketamine-iv",
    ("ketamine", "intramuscular"): "ketamine-im",
    ("ketamine", "oral"): "ketamine-oral",
    ("ketamine", "sublingual"): "ketamine-oral",
    ("ketamine", "nasal"): "ketamine-nasal-compounded",
}
FORM_NAMES: dict[str, str] = {
    "esketamine-nasal": "esketamine nasal spray",
    "ketamine-iv": "ketamine intravenous",
    "ketamine-im": "ketamine intramuscular",
    "ketamine-oral": "ketamine oral or sublingual",
    "ketamine-nasal-compounded": "compounded ketamine nasal spray",
}
# Products that exist in one form only: the 56 mg kit of esketamine nasal spray, and its NDC labeller and product.
_NASAL_PRODUCTS = ("2119390", "50458-028")
DONE = ("cancelled", "stopped", "completed", "entered-in-error")
_KNOWN_SYSTEMS = frozenset(SYSTEMS.values())


class KetamineOrder(msgspec.Struct, frozen=True):
    """A draft order recognised as ketamine or esketamine; `form` is None when it cannot be told, and `missing` why."""

    record: Record
    drug: str
    form: Form | None
    missing: str | None = None

    @property
    def id(self) -> str:
        """The id of the order's resource, as the request's `selections` name it."""
        return self.record.id


def ketamine_orders(facts: PatientFacts, codes: Codes, routes: Codes) -> tuple[KetamineOrder, ...]:
    """The draft orders that concern us, in the order given; those already ended do not.

    One that could not be read but whose codes are known concerns us too: silence would say that there is no concern.
    """
    recognised = [_recognise(order, codes, routes) for order in facts.orders if order.status not in DONE]
    recognised += [_unread(one, codes) for one in quarantined_orders(facts)]
    return tuple(order for order in recognised if order)


def quarantined_orders(facts: PatientFacts) -> tuple[Quarantined, ...]:
    """The draft orders that could not be understood."""
    return tuple(one for one in facts.quarantined if one.reason.startswith("draft order: "))


def unread_orders(facts: PatientFacts) -> tuple[Record, ...]:
    """The draft orders whose drug could not be read: it may be ours, so that silence would say there is no concern.

    One set aside whose codes are known names another drug, or is recognised by `ketamine_orders`.
    """
    referring = [order.record for order in facts.orders if order.unread and order.status not in DONE]
    aside = [one.record for one in quarantined_orders(facts) if one.record.type != "Medication" and not _coded(one)]
    return (*referring, *aside)


def _coded(order: Quarantined) -> bool:
    return any(coding.system in _KNOWN_SYSTEMS for coding in order.codes)


def _unread(order: Quarantined, codes: Codes) -> KetamineOrder | None:
    drug = drug_of(order.codes, None, codes)
    return KetamineOrder(order.record, drug, None, "order could not be read") if drug else None


def _recognise(order: DraftOrder, codes: Codes, routes: Codes) -> KetamineOrder | None:
    drug = drug_of(order.codes, order.text, codes)
    if drug is None:
        return None
    route = _route(order, routes)
    if route is None:
        return KetamineOrder(order.record, drug, None, "route not recorded")
    form = _FORMS.get((drug, route))
    return KetamineOrder(order.record, drug, form, None if form else f"{drug} by the {route} route is no known form")


def drug_of(codings: tuple[Coding, ...], text: str | None, codes: Codes) -> str | None:
    """`esketamine` or `ketamine`, by code first and by name else; None when it is neither."""
    entry = first_match(codings, codes)
    if entry:
        return "esketamine" if "esketamine" in entry.display.lower() else "ketamine"
    if any(_is_spravato_ndc(coding) for coding in codings):
        return "esketamine"
    words = " ".join(filter(None, [text, *(coding.display for coding in codings)]))
    names = {match.lower() for match in _NAMES.findall(words)}
    if not names:
        return None
    return "esketamine" if names & {"esketamine", "spravato"} else "ketamine"


def _is_spravato_ndc(coding: Coding) -> bool:
    """NDC 50458-028, written with hyphens or as eleven digits."""
    return coding.system == NDC and coding.code.startswith(("50458-028", "50458-0028", "504580028"))


def _route(order: DraftOrder, routes: Codes) -> str | None:
    if any(coding.code in _NASAL_PRODUCTS or _is_spravato_ndc(coding) for coding in order.codes):
        return "nasal"
    entry = first_match(order.routes, routes)
    if entry:
        return entry.columns.get("group")
    return _ROUTE_WORDS.get((order.route_text or "").strip().lower().removesuffix(" route"))


def orders_reader(spec: OrdersFact, sets: Mapping[str, ValueSet]) -> Reader:
    """Compile an `orders` fact: each recognised order says its drug, and its form or `form-unknown`."""
    codes = sets[spec.codes.set].select(spec.codes)
    routes = sets[spec.routes.set].select(spec.routes)

    def reader(chart: Chart) -> Found:
        matches = tuple(
            Match(
                record=order.record,
                display=order.form or order.drug,
                code="",
                when=None,
                says=(order.drug, order.form or "form-unknown"),
                status="draft order",
                dated=False,
                note=order.missing,
            )
            for order in ketamine_orders(chart.facts, codes, routes)
        )
        return Found(matches, (), found_values(matches, chart.as_of))

    return reader


def current_treatment(facts: PatientFacts, codes: Codes) -> tuple[MedicationEvent, ...]:
    """Medications on record as current that are ketamine or esketamine."""
    return tuple(
        event
        for event in facts.medications.items
        if event.kind in ("request", "statement")
        and event.status == "active"
        and not event.do_not_perform
        and event.intent not in ("proposal", "plan", "option")
        and drug_of(event.codes, event.text, codes)
    )
