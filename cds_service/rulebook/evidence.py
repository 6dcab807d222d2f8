"""The evidence page's content and the founding document's statements: read, checked against the registers."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from cds_service.decision.rule import Name, Status
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import as_model, below, name_of, read_yaml
from cds_service.rulebook.registers import Source

Statement = Annotated[str, StringConstraints(pattern=r"^D\d{1,2}$")]


class EvidenceCitation(BaseModel):
    """Where a claim of the evidence page was checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    source: Name
    section: str
    status: Status


class EvidenceTopic(BaseModel):
    """One topic: what sources say, and what is not established."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    topic: str
    statements: list[Statement]
    says: str
    not_established: str
    cites: list[EvidenceCitation]


def read_evidence(path: Path, sources: dict[str, Source]) -> list[EvidenceTopic]:
    """rules/evidence.yaml. Raises RulebookInvalid, also for a source that the register lacks."""
    data, lines = read_yaml(path)
    if not isinstance(data, list):
        raise RulebookInvalid("is not a list of topics", file=name_of(path), line=1)
    topics = [as_model(path, entry, below(lines, index), EvidenceTopic) for index, entry in enumerate(data)]
    for topic in topics:
        for cite in topic.cites:
            if cite.source not in sources or sources[cite.source].never_on_cards:
                problem = f"cites {cite.source}, which the register lacks or keeps off pages"
                raise RulebookInvalid(problem, file=name_of(path), key=topic.topic)
    return topics


def read_statements(path: Path) -> dict[str, str]:
    """rules/founding_statements.yaml: number to statement in short. Raises RulebookInvalid."""
    data, _ = read_yaml(path)
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise RulebookInvalid("is not a mapping of numbers to statements", file=name_of(path))
    return data
