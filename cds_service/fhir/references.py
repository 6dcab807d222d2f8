"""Where references lead: `#contained`, `Type/id`, absolute URLs, `urn:uuid:` and conditional references.

Nothing is fetched here; a reference leads to one of the resources at hand, or nowhere.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar
from urllib.parse import unquote

from cds_service.fhir import resources as r4

# Wider than FHIR's own (64 characters, no underscore): records in the field have longer ones.
FHIR_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9._\-]{1,256}\Z")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")

Target = r4.Patient | r4.Medication | r4.Condition
T = TypeVar("T", r4.Patient, r4.Medication, r4.Condition)


def base_key(base: str) -> str:
    """A base URL to compare by: host in lower case, no slash at the end."""
    scheme, mark, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{mark}{host.lower()}{slash}{path}".rstrip("/")


def split_reference(reference: str) -> tuple[str, str, str] | None:
    """A literal reference as (base, type, id), without a version; base is "" when relative. None: not a literal one."""
    unversioned = reference.partition("/_history/")[0]
    parts = unversioned.rsplit("/", 2)
    if len(parts) < 2:
        return None
    base = parts[0] if len(parts) == 3 else ""
    if not _TYPE.match(parts[-2]) or not FHIR_ID.match(parts[-1]):
        return None
    if base and not base.lower().startswith(("http://", "https://")):
        return None
    return base, parts[-2], parts[-1]


def conditional(reference: str) -> tuple[str, str | None, str] | None:
    """A conditional reference by identifier as (type, system, value); None: not one, or by something else."""
    kind, mark, query = reference.partition("?")
    name, equals, token = query.partition("=")
    if not mark or not equals or name != "identifier" or "&" in token or not _TYPE.match(kind):
        return None
    system, bar, value = unquote(token).rpartition("|")
    return kind, system if bar else None, value


def matches(identifiers: Iterable[r4.Identifier], system: str | None, value: str) -> bool:
    """Whether one of the identifiers is the one asked for; without a system, any system will do."""
    return any(one.value == value and (system is None or (one.system or "") == system) for one in identifiers)


class Directory:
    """The resources that references may lead to, under every name they have.

    `base_url` is the server the data come from, if known; otherwise the bases that the entries' own addresses show.
    """

    def __init__(self, entries: Iterable[tuple[str | None, Target]], base_url: str | None = None) -> None:
        self._entries = tuple(entries)
        self._bases = {base_key(base_url)} if base_url else set()
        self._by_url: dict[str, Target] = {}

    @cached_property
    def _by_name(self) -> dict[str, Target]:
        """`Type/id` to resource, made when the first reference is followed: many charts have none."""
        by_name: dict[str, Target] = {}
        for full_url, resource in self._entries:
            by_name.setdefault(f"{type(resource).__name__}/{resource.id}", resource)
            if full_url:
                self._by_url.setdefault(full_url, resource)
                address = split_reference(full_url)
                if address and address[0]:
                    self._bases.add(base_key(address[0]))
        return by_name

    def find(self, kind: type[T], reference: str | None, owner: r4.Resource) -> T | None:
        """The resource of that kind which `owner` refers to, if it is at hand."""
        if not reference:
            return None
        found = _contained(owner, reference[1:]) if reference[0] == "#" else self._lookup(reference)
        return found if isinstance(found, kind) else None

    def _lookup(self, reference: str) -> Target | None:
        found = self._by_name.get(reference) or self._by_url.get(reference)
        if found is not None:
            return found
        literal = split_reference(reference)
        if literal:
            base, kind, id_ = literal
            if base and self._bases and base_key(base) not in self._bases:
                return None
            return self._by_name.get(f"{kind}/{id_}")
        by_identifier = conditional(reference)
        return self._identified(*by_identifier) if by_identifier else None

    def _identified(self, kind: str, system: str | None, value: str) -> Target | None:
        """The one resource with that identifier; two are as good as none."""
        candidates = [
            resource
            for resource in self._by_name.values()
            if type(resource).__name__ == kind and matches(getattr(resource, "identifier", ()), system, value)
        ]
        return candidates[0] if len(candidates) == 1 else None


def _contained(owner: r4.Resource, id_: str) -> r4.AnyResource | None:
    # A contained id is written without "#", but some writers repeat it.
    return next((inner for inner in owner.contained if (inner.id or "").removeprefix("#") == id_), None)
