"""The identity of a rule version: one digest over the rule, its value sets and the sources it cites."""

import hashlib
import json
from collections.abc import Mapping

from cds_service.decision.rule import Rule
from cds_service.rulebook.registers import Source


def rule_digest(rule_bytes: bytes, rule: Rule, sources: Mapping[str, Source]) -> str:
    """SHA-256 as hex. The value sets enter by the content hashes that the rule pins."""
    cited = sorted({citation.source for citation in rule.citations})
    parts = {
        "rule": hashlib.sha256(rule_bytes).hexdigest(),
        "value_sets": {name: pinned.sha256 for name, pinned in rule.value_sets.items()},
        "sources": {name: sources[name].model_dump(mode="json") for name in cited if name in sources},
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
