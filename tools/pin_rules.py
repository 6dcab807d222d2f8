"""Pin a draft rule: write the content hashes of its value sets into rule.yaml and its digest into releases.yaml.

Usage: python tools/pin_rules.py RULES_DIR ENTERED [RULE ...]   (ENTERED: the ledger's date for a new version)

For authors, before a version is released. A version that has left `draft` is refused.
"""

import hashlib
import re
import sys
from pathlib import Path

from cds_service.decision.rule import Rule
from cds_service.rulebook.digest import rule_digest
from cds_service.rulebook.files import read_model
from cds_service.rulebook.registers import read_sources
from cds_service.rulebook.releases import Ledger

LEDGER = """\
# The ledger of this rule's versions: append-only. The digest covers the rule, its value sets and the sources it cites.
rule: {rule}
releases:
  - version: "{version}"
    status: draft
    digest: {digest}
    entered: "{entered}"
    change: First version.
"""


def pin(folder: Path, name: str, version: str, entered: str) -> None:
    """Pin one version."""
    path = folder / name / version / "rule.yaml"
    text = path.read_text(encoding="utf-8")

    def pinned(match: re.Match[str]) -> str:
        data = (folder / "value_sets" / match["set"] / f"{match['version']}.csv").read_bytes()
        return f'{match["set"]}: {{version: "{match["version"]}", sha256: "{hashlib.sha256(data).hexdigest()}"}}'

    text = re.sub(r'(?P<set>[a-z0-9-]+): \{version: "(?P<version>[\d-]+)", sha256: "[^"]*"\}', pinned, text)
    path.write_text(text, encoding="utf-8")
    digest = rule_digest(path.read_bytes(), read_model(path, Rule), read_sources(folder / "sources.yaml"))
    ledger = folder / name / "releases.yaml"
    if not ledger.exists():
        ledger.write_text(LEDGER.format(rule=name, version=version, digest=digest, entered=entered), encoding="utf-8")
        return
    for release in read_model(ledger, Ledger).releases:
        if release.version == version:
            if release.status != "draft":
                raise SystemExit(f"{name} {version} is {release.status}: make a new version instead")
            ledger.write_text(ledger.read_text(encoding="utf-8").replace(release.digest, digest), encoding="utf-8")


def main() -> None:
    """Pin the newest version of the named rules, or of all."""
    folder, entered, *names = Path(sys.argv[1]), *sys.argv[2:]
    for path in sorted(folder.glob("*/*/rule.yaml")):
        if not names or path.parent.parent.name in names:
            pin(folder, path.parent.parent.name, path.parent.name, entered)


if __name__ == "__main__":
    main()
