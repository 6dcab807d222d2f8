"""rules/ as one immutable rulebook: every version of every rule, checked against every law, compiled once.

A rulebook that breaks a law does not load, and the error says file, line and key.
"""

from dataclasses import dataclass
from pathlib import Path

from cds_service.decision.assess import CompiledRule
from cds_service.decision.codes import ValueSet
from cds_service.decision.rule import Rule
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.digest import rule_digest
from cds_service.rulebook.evidence import EvidenceTopic, read_evidence, read_statements
from cds_service.rulebook.files import Lines, as_model, name_of, read_yaml
from cds_service.rulebook.laws import Registers, faults
from cds_service.rulebook.registers import (
    OverrideReason,
    ServiceEntry,
    Source,
    Suggestion,
    read_overrides,
    read_services,
    read_sources,
    read_suggestions,
)
from cds_service.rulebook.releases import Release, in_force, read_ledger
from cds_service.rulebook.value_sets import read_value_set


@dataclass(frozen=True)
class RuleVersion:
    """A version of a rule, with its place in the ledger; `compiled` is ready to run."""

    rule: Rule
    release: Release
    compiled: CompiledRule
    sets: dict[str, ValueSet]
    folder: Path


@dataclass(frozen=True)
class Rulebook:
    """Everything under rules/, by id and version."""

    versions: dict[str, dict[str, RuleVersion]]
    sources: dict[str, Source]
    overrides: dict[str, OverrideReason]
    suggestions: dict[str, Suggestion]
    services: dict[str, ServiceEntry]
    triggers: dict[str, ValueSet]
    evidence: list[EvidenceTopic]
    statements: dict[str, str]

    def version(self, rule: str, version: str | None = None) -> RuleVersion | None:
        """One version of a rule, the newest unless named; None when there is none."""
        versions = self.versions.get(rule, {})
        return versions.get(version or next(reversed(versions), ""))

    def in_force(self, service: str, *, serve_draft: bool) -> list[RuleVersion]:
        """The rule versions that a service runs, in its order. Raises RulebookInvalid when one has none to serve."""
        return [self._served(name, serve_draft) for name in self.services[service].rules]

    def _served(self, rule: str, serve_draft: bool) -> RuleVersion:
        releases = [version.release for version in self.versions[rule].values()]
        release = in_force(releases, serve_draft=serve_draft)
        if release is None:
            raise RulebookInvalid(
                "has no version that may be served: none is active, and draft content is served only when the "
                "setting says so by name",
                file=f"rules/{rule}/releases.yaml",
            )
        return self.versions[rule][release.version]


def load_rulebook(folder: Path) -> Rulebook:
    """The rulebook under `folder`. Raises RulebookInvalid at the first law broken."""
    sources = read_sources(folder / "sources.yaml")
    overrides = read_overrides(folder / "override_reasons.yaml")
    suggestions = read_suggestions(folder / "suggestions.yaml")
    services_file = read_services(folder / "services.yaml")
    services = {service.id: service for service in services_file.services}
    names = frozenset(path.parent.name for path in folder.glob("*/releases.yaml"))
    cache: dict[tuple[str, str], ValueSet] = {}
    versions = {}
    for name in sorted(names):
        ledger = read_ledger(folder, name)
        versions[name] = {
            release.version: _version(folder, name, release, sources, overrides, suggestions, names, cache)
            for release in ledger.releases
        }
    _check_services(folder, services, versions)
    triggers = {name: _cached(folder, name, version, cache) for name, version in services_file.value_sets.items()}
    evidence = read_evidence(folder / "evidence.yaml", sources)
    statements = read_statements(folder / "founding_statements.yaml")
    return Rulebook(versions, sources, overrides, suggestions, services, triggers, evidence, statements)


def _version(
    folder: Path,
    name: str,
    release: Release,
    sources: dict[str, Source],
    overrides: dict[str, OverrideReason],
    suggestions: dict[str, Suggestion],
    names: frozenset[str],
    cache: dict[tuple[str, str], ValueSet],
) -> RuleVersion:
    path = folder / name / release.version / "rule.yaml"
    data, lines = read_yaml(path)
    rule = as_model(path, data, lines, Rule)
    if (rule.rule, rule.version) != (name, release.version):
        raise RulebookInvalid("names another rule or version than its folder", file=name_of(path), line=1)
    sets = {set_id: _cached(folder, set_id, pinned.version, cache) for set_id, pinned in rule.value_sets.items()}
    for key, problem in faults(rule, Registers(sets, sources, overrides, suggestions, names)):
        raise RulebookInvalid(problem, file=name_of(path), line=_line_of(lines, key), key=key)
    digest = rule_digest(path.read_bytes(), rule, sources)
    if digest != release.digest:
        raise RulebookInvalid(
            f"its content has the digest {digest}, the ledger says {release.digest}: a version is never edited, a "
            "change is a new version",
            file=name_of(path),
        )
    return RuleVersion(rule, release, CompiledRule(rule, sets, digest), sets, path.parent)


def _cached(folder: Path, set_id: str, version: str, cache: dict[tuple[str, str], ValueSet]) -> ValueSet:
    if (set_id, version) not in cache:
        cache[set_id, version] = read_value_set(folder / "value_sets", set_id, version)
    return cache[set_id, version]


def _line_of(lines: Lines, key: str) -> int | None:
    """The line of the deepest part of a dotted key; grades are listed by id in keys and by number in files."""
    where: tuple[str | int, ...] = ()
    for part in key.split("."):
        if (*where, part) in lines:
            where = (*where, part)
    return lines.get(where)


def _check_services(
    folder: Path, services: dict[str, ServiceEntry], versions: dict[str, dict[str, RuleVersion]]
) -> None:
    for service in services.values():
        for rule in service.rules:
            if rule not in versions:
                raise RulebookInvalid(
                    f"service {service.id} runs the rule {rule}, which does not exist",
                    file=name_of(folder / "services.yaml"),
                )
