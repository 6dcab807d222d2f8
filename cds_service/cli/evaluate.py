"""`cds-service evaluate`: the whole decision offline, on one patient's Bundle."""

import datetime as dt
import enum
import json
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console

from cds_service.advise import Asked, Decision, Desk, decide, desks
from cds_service.cli.render import show_cards
from cds_service.decision.assess import Assessment
from cds_service.decision.coding import RXNORM, SNOMED, Coding
from cds_service.decision.dates import AsOf
from cds_service.decision.facts import DraftOrder, PatientFacts, Record
from cds_service.errors import CommandRefused
from cds_service.fhir.read_facts import facts_from_bundle
from cds_service.hooks.messages import CardsResponse, encode_response
from cds_service.rulebook.load import load_rulebook
from cds_service.settings import parse_as_of

HOOK_INSTANCE = "00000000-0000-4000-8000-000000000000"


class Hook(enum.Enum):
    """The hooks we serve."""

    PATIENT_VIEW = "patient-view"
    ORDER_SELECT = "order-select"
    ORDER_SIGN = "order-sign"


class OrderForm(enum.Enum):
    """The forms an order can have."""

    ESKETAMINE_NASAL = "esketamine-nasal"
    KETAMINE_IV = "ketamine-iv"
    KETAMINE_IM = "ketamine-im"
    KETAMINE_ORAL = "ketamine-oral"
    KETAMINE_NASAL = "ketamine-nasal-compounded"


# Ingredient (RxNorm) and route (SNOMED CT) of each form, as in the clinical reference, section 4.
_FORMS = {
    OrderForm.ESKETAMINE_NASAL: ("2119365", "46713006"),
    OrderForm.KETAMINE_IV: ("6130", "47625008"),
    OrderForm.KETAMINE_IM: ("6130", "78421000"),
    OrderForm.KETAMINE_ORAL: ("6130", "26643006"),
    OrderForm.KETAMINE_NASAL: ("6130", "46713006"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    bundle: Path = typer.Option(..., "--bundle", help="A FHIR R4 Bundle with one patient's chart."),
    hook: Hook = typer.Option(Hook.PATIENT_VIEW, "--hook", help="The CDS Hooks hook to answer."),
    order: OrderForm | None = typer.Option(None, "--order", help="The draft order, for the order hooks."),
    as_of: str = typer.Option("", "--as-of", help="A date (its end in UTC) or an instant; today unless given."),
    as_json: bool = typer.Option(False, "--json", help="Print response, assessment and what was not understood."),
    rules: Path = typer.Option(Path("rules"), "--rules", help="The rulebook's folder."),
    jurisdiction: str = typer.Option("US", "--jurisdiction", help="US, EU or UK."),
) -> None:
    """Run the whole decision on a Bundle, without a server."""
    asked = Asked(HOOK_INSTANCE, "Practitioner/evaluate", _jurisdiction(jurisdiction), _instant(as_of))
    desk = desk_for(rules, hook.value)
    facts = with_order(_read(bundle, asked.as_of, desk), order)
    decision = decide(desk, facts, asked)
    if as_json:
        typer.echo(json.dumps(document(decision, facts), indent=2, ensure_ascii=False))
        return
    console = Console()
    show_cards(console, decision.cards)
    for assessment in decision.assessments:
        console.print(f"{assessment.rule} {assessment.version}: {assessment.outcome.value}", style="dim")


def desk_for(rules: Path, hook: str) -> Desk:
    """The service of a hook, with draft content: what is evaluated here reaches no EHR."""
    if not rules.is_dir():
        raise CommandRefused(f"There is no rulebook at {rules.name}: give its folder with --rules.")
    served = desks(load_rulebook(rules), base_url="http://127.0.0.1:8000", serve_draft=True)
    return next(desk for desk in served.values() if desk.entry.hook == hook)


def _read(bundle: Path, as_of: AsOf, desk: Desk) -> PatientFacts:
    try:
        data = bundle.read_bytes()
    except OSError as error:
        raise CommandRefused(f"The Bundle cannot be read ({error.strerror}): give a readable file.") from error
    return facts_from_bundle(data, as_of=as_of, observation_codes=desk.codes)


def with_order(facts: PatientFacts, form: OrderForm | None) -> PatientFacts:
    """The facts with a draft order of the form; without one, as they are."""
    if form is None:
        return facts
    drug, route = _FORMS[form]
    draft = DraftOrder(
        record=Record("MedicationRequest", f"draft-{form.value}"),
        status="draft",
        codes=(Coding(RXNORM, drug),),
        routes=(Coding(SNOMED, route),),
    )
    return msgspec.structs.replace(facts, orders=(draft,))


def _instant(text: str) -> AsOf:
    try:
        return AsOf.of(parse_as_of(text) if text else dt.datetime.now(dt.UTC))
    except ValueError as error:
        raise CommandRefused(f"--as-of cannot be read: {error}.") from None


def _jurisdiction(text: str) -> Any:
    if text not in ("US", "EU", "UK"):
        raise CommandRefused("--jurisdiction is US, EU or UK.")
    return text


def document(decision: Decision, facts: PatientFacts) -> dict[str, Any]:
    """What `--json` prints: the CDS Hooks response, every rule's assessment, and what was not understood."""
    return {
        "response": json.loads(encode_response(CardsResponse(decision.cards))),
        "assessment": [_assessment(one) for one in decision.assessments],
        "quarantined": [{"resource": one.record.reference, "reason": one.reason} for one in facts.quarantined],
    }


def _assessment(assessment: Assessment) -> dict[str, Any]:
    return {
        "rule": assessment.rule,
        "version": assessment.version,
        "digest": assessment.digest,
        "outcome": assessment.outcome.value,
        "grade": assessment.grade,
        "indicator": assessment.indicator,
        "clauses": [
            {
                "id": clause.id,
                "outcome": clause.outcome.value,
                "evidence": msgspec.to_builtins(clause.evidence),
                "reason": clause.reason,
            }
            for clause in assessment.clauses
        ],
    }
