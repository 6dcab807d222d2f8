"""The ledger of a rule's versions: rules/<rule>/releases.yaml, append-only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cds_service.decision.rule import Name, Version
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import name_of, read_model


class Release(BaseModel):
    """One version of a rule: its digest, its content status, and when it was entered."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    version: Version
    status: Literal["draft", "active", "retired"]
    digest: str
    entered: str
    change: str


class Ledger(BaseModel):
    """All versions of one rule, oldest first."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    rule: Name
    releases: list[Release]


def read_ledger(folder: Path, rule: str) -> Ledger:
    """A rule's ledger. Raises RulebookInvalid when versions do not ascend or the rule is another one."""
    path = folder / rule / "releases.yaml"
    ledger = read_model(path, Ledger)
    order = [version_key(release.version) for release in ledger.releases]
    if ledger.rule != rule or not order or order != sorted(set(order)):
        raise RulebookInvalid("is not the ledger of this rule in ascending versions", file=name_of(path))
    return ledger


def version_key(version: str) -> tuple[int, ...]:
    """A semantic version as numbers, to be compared."""
    return tuple(int(part) for part in version.split("."))


def in_force(releases: Sequence[Release], *, serve_draft: bool) -> Release | None:
    """The newest version that may be served: active ones, and drafts only where a setting says so by name."""
    allowed = [
        release for release in releases if release.status == "active" or (serve_draft and release.status == "draft")
    ]
    return max(allowed, key=lambda release: version_key(release.version), default=None)
