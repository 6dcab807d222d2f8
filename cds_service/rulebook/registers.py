"""The registers that rules point into: sources, override reasons, suggestions and the services."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cds_service.decision.rule import Name, Status
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import as_model, below, name_of, read_model, read_yaml

HL7_REASONS = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"


class Register(BaseModel):
    """Closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Source(Register):
    """One source of the register; `label` is how a card names it, `date_shown` the version date a card prints."""

    number: str | None
    title: str
    authors: str | None
    version: str | None
    date_shown: str | None
    doi: str | None
    pmid: str | None
    pmc: str | None
    set_id: str | None
    url: str | None
    read: str
    checked: str
    status: Status
    label: str
    never_on_cards: bool = False
    also: Any = None
    unverified_details: Any = None


class OverrideReason(Register):
    """Why a prescriber sets a card aside. `hl7` is HL7's non-adherence code where one fits."""

    code: str
    display: str
    system: str
    hl7: str | None = None

    @property
    def coding(self) -> dict[str, str]:
        """The Coding that a card carries."""
        if self.hl7:
            return {"code": self.hl7, "system": HL7_REASONS, "display": self.display}
        return {"code": self.code, "system": self.system, "display": self.display}


class SuggestionCode(Register):
    """What is suggested: text always, a code where the clinical reference gives one."""

    text: str
    system: str | None = None
    code: str | None = None
    display: str | None = None


class SuggestionEntry(Register):
    """An entry of rules/suggestions.yaml; tools/build_suggestions.py makes the draft resource of it."""

    kind: Literal["ServiceRequest", "Task"]
    label: str
    description: str
    code: SuggestionCode
    intent: Literal["proposal"]
    status: Literal["draft"]
    priority: Literal["urgent"] | None = None
    cards: list[str]


class Suggestion(Register):
    """A draft resource that a card offers to create; `resource` lacks the patient, which the service fills in."""

    id: Name
    kind: Literal["ServiceRequest", "Task"]
    label: str
    description: str
    resource: dict[str, Any]


class ServiceEntry(Register):
    """One CDS service: its hook, the rules it runs, and what it needs and shows."""

    id: Name
    hook: Literal["patient-view", "order-select", "order-sign"]
    title: str
    description: str
    usage_requirements: str = Field(alias="usageRequirements")
    shows: Literal["candidacy", "orders"]
    required: list[str]
    rules: list[Name]


class ServicesFile(Register):
    """rules/services.yaml: the services, and the value sets that recognise an order (id to version)."""

    value_sets: dict[Name, str]
    services: list[ServiceEntry]


def read_sources(path: Path) -> dict[str, Source]:
    """rules/sources.yaml. Raises RulebookInvalid."""
    data, lines = read_yaml(path)
    return {name: as_model(path, entry, below(lines, name), Source) for name, entry in _mapping(path, data).items()}


def read_overrides(path: Path) -> dict[str, OverrideReason]:
    """rules/override_reasons.yaml, by local code. Raises RulebookInvalid."""
    data, lines = read_yaml(path)
    return {
        code: as_model(path, {"code": code, **_mapping(path, entry)}, below(lines, code), OverrideReason)
        for code, entry in _mapping(path, data).items()
    }


def read_suggestions(path: Path) -> dict[str, Suggestion]:
    """rules/suggestions.yaml with the draft resources of rules/suggestions/. Raises RulebookInvalid."""
    data, lines = read_yaml(path)
    suggestions = {}
    for name, entry in _mapping(path, data).items():
        about = as_model(path, entry, below(lines, name), SuggestionEntry)
        resource = _draft(path.parent / "suggestions" / f"{name}.json")
        suggestions[name] = Suggestion(
            id=name, kind=about.kind, label=about.label, description=about.description, resource=resource
        )
    return suggestions


def _draft(path: Path) -> dict[str, Any]:
    try:
        resource = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RulebookInvalid("is missing or not JSON", file=name_of(path)) from error
    if not isinstance(resource, dict):
        raise RulebookInvalid("is not a FHIR resource", file=name_of(path))
    return resource


def read_services(path: Path) -> ServicesFile:
    """rules/services.yaml. Raises RulebookInvalid."""
    file = read_model(path, ServicesFile)
    if len({one.id for one in file.services}) != len(file.services) or len({one.hook for one in file.services}) != len(
        file.services
    ):
        raise RulebookInvalid("two services have the same id or hook", file=name_of(path))
    return file


def _mapping(path: Path, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise RulebookInvalid("is not a mapping of names to entries", file=name_of(path), line=1)
    return data
