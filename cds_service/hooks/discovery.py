"""The discovery document, and the checks that a service definition passes before it is published.

Prefetch templates stay inside what every client can do: an instance read, or a type search with plain parameters in
R4 syntax, each name once (the reference client joins repeated names, which turns "and" into "or").
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cds_service.errors import RulebookInvalid
from cds_service.hooks.messages import HOOKS

CDS_HOOKS_VERSION = "2.0.1"
HOOK_VERSION = "1.0"
TOKENS = frozenset({"userId", "patientId", "encounterId"})
"""Context fields that a template may name: for each hook we serve, those marked "Prefetch Token: Yes"."""

_SERVICE_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_TOKEN = re.compile(r"\{\{context\.([A-Za-z]+)\}\}")
_READ = re.compile(r"[A-Z][A-Za-z]+/\{\{context\.[A-Za-z]+\}\}")
_SEARCH = re.compile(r"[A-Z][A-Za-z]+\?(.+)")
_PARAMETER = re.compile(r"(_count|_sort|_id|[a-z][a-z\-]*(:in)?)=([^=&?#\s]+)")
_SORT = re.compile(r"-?[a-z_][A-Za-z\-]*(,-?[a-z_][A-Za-z\-]*)*")


@dataclass(frozen=True, slots=True)
class Service:
    """A CDS service as published: one id per hook. `rules` are the ids of the rules it runs, for our own pages."""

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    prefetch: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()


def discovery_document(services: Iterable[Service]) -> bytes:
    """The body of `GET /cds-services`; the same services give the same bytes.

    Raises RulebookInvalid when a definition breaks the standard or this module's narrower rules, or an id repeats.
    """
    services = tuple(services)
    for service in services:
        check_service(service)
    if len({service.id for service in services}) != len(services):
        raise _invalid("services", "two services have the same id, and clients would see only one of them")
    return msgspec.json.encode({"services": [_entry(service) for service in services]})


def check_service(service: Service) -> None:
    """Raises RulebookInvalid for a definition that must not be published."""
    if not _SERVICE_ID.fullmatch(service.id):
        raise _invalid("id", "a service id is lower-case words joined by hyphens")
    if service.hook not in HOOKS:
        raise _invalid(f"{service.id}.hook", f"not a hook we serve: {', '.join(sorted(HOOKS))}")
    for name in ("title", "description", "usage_requirements"):
        if not getattr(service, name).strip():
            raise _invalid(f"{service.id}.{name}", "is empty")
    for key, template in service.prefetch.items():
        problem = template_problem(template) if _KEY.fullmatch(key) else "a prefetch key is letters and digits"
        if problem:
            raise _invalid(f"{service.id}.prefetch.{key}", problem)


def template_problem(template: str) -> str | None:
    """What is wrong with a prefetch template, or None."""
    if not set(_TOKEN.findall(template)) <= TOKENS or "{" in _TOKEN.sub("", template) or "%" in template:
        return "tokens are {{context.<field>}} with a field that the hook allows in templates"
    if _READ.fullmatch(template):
        return None
    search = _SEARCH.fullmatch(template)
    parameters = [_PARAMETER.fullmatch(part) for part in search[1].split("&")] if search else []
    if not search or not all(parameters):
        return "neither an instance read nor a type search of plain parameters (no chains, includes or operations)"
    pairs = [(found[1], found[3]) for found in parameters if found]
    if len({name for name, _ in pairs}) != len(pairs):
        return "a parameter is repeated"
    values = dict(pairs)
    if not values.get("_count", "1").isdecimal() or not _SORT.fullmatch(values.get("_sort", "date")):
        return "_count is a number, and _sort is in R4 syntax (-date)"
    return None


def _entry(service: Service) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "hook": service.hook,
        "title": service.title,
        "description": service.description,
        "id": service.id,
        "usageRequirements": service.usage_requirements,
        "version": CDS_HOOKS_VERSION,
        "hookVersion": HOOK_VERSION,
    }
    return {**entry, "prefetch": dict(service.prefetch)} if service.prefetch else entry


def _invalid(key: str, problem: str) -> RulebookInvalid:
    return RulebookInvalid(problem, file="services.yaml", key=key)
