"""A small rulebook on disk, written for a test and then broken in one place; and the project's own, read once."""

import functools
import hashlib
import re
from pathlib import Path

import pytest

from cds_service.decision.rule import Rule
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.digest import rule_digest
from cds_service.rulebook.files import read_model
from cds_service.rulebook.load import Rulebook, load_rulebook
from cds_service.rulebook.registers import read_sources

RULES = Path(__file__).resolve().parents[3] / "rules"
RULE = "heart/1.0.0/rule.yaml"
HEART_CSV = "value_sets/heart/1.csv"
FILES = {
    "sources.yaml": """\
label:
  number: "1"
  title: A label
  authors: null
  version: "18"
  date_shown: null
  doi: null
  pmid: null
  pmc: null
  set_id: null
  url: https://label.example.org
  read: all of it
  checked: "2026-11-01"
  status: confirmed
  label: A label
hidden:
  number: null
  title: A quoted source
  authors: null
  version: null
  date_shown: null
  doi: null
  pmid: null
  pmc: null
  set_id: null
  url: null
  read: nothing
  checked: "2026-11-01"
  status: secondary
  label: A quoted source
""",
    "override_reasons.yaml": """\
OR-BENEFIT: {display: Benefit outweighs risk, system: "https://example.org/reasons"}
OR-TODAY: {display: Measured today, system: "https://example.org/reasons", hl7: measured}
OR-NOW: {display: Measured now, system: "https://example.org/reasons", hl7: measured}
""",
    "suggestions.yaml": """\
ecg:
  kind: ServiceRequest
  label: ECG
  description: Order an ECG.
  code: {text: ECG}
  intent: proposal
  status: draft
  cards: [heart]
""",
    "suggestions/ecg.json": '{"resourceType": "ServiceRequest"}',
    "services.yaml": """\
value_sets: {heart: "1"}
services:
  - id: candidacy
    hook: patient-view
    title: Candidacy
    description: Shows it.
    usageRequirements: FHIR R4.
    shows: candidacy
    required: [patient]
    rules: [heart]
""",
    "evidence.yaml": """\
- topic: Mechanism
  statements: [D5]
  says: It blocks a receptor.
  not_established: That this explains the effect.
  cites:
    - {source: label, section: "12.1", status: confirmed}
""",
    "founding_statements.yaml": 'D5: "mechanism not fully known"\n',
    HEART_CSV: """\
system,code,display,verified,source,tier
snomed,1,Heart failure (disorder),yes,a source,core
snomed,2,,no,a source,minor
""",
    "value_sets/heart/1.yaml": """\
id: heart
version: "1"
title: Heart disease
status: draft
sha256: SHA-OF-HEART
notice: more of it is for people
""",
    "heart/releases.yaml": """\
rule: heart
releases:
  - version: "1.0.0"
    status: draft
    digest: DIGEST
    entered: "2026-11-24"
    change: First version.
""",
    RULE: """\
rule: heart
version: "1.0.0"
title: Heart disease
purpose: Say whether a heart disease is on record.
population: Adults.
implements: [D53]
factor: heart disease
concerns: [ketamine-iv]

citations:
  - {id: cited, source: label, section: "5.7", says: The label says so., status: confirmed}

value_sets:
  heart: {version: "1", sha256: SHA-OF-HEART}

facts:
  disease:
    kind: conditions
    codes: [{set: heart, where: {tier: [core]}}]
    clinical: current
  story:
    kind: timeline
    empty_list: unknown
    lines:
      - {id: minor, says: [minor], condition: {codes: [{set: heart}], clinical: any}}

criteria:
  disease-recorded: {found: disease}
  minor-stands: {stands: story, says: minor}

grades:
  - id: disease
    finding: met
    when: disease-recorded
    grade: caution
    says: A heart disease is on record.
    cites: [cited]
    evidence: [disease]
    card:
      indicator: warning
      summary: "Heart disease on record ({disease.name})."
      options:
        - cardiology opinion
        - ECG
      limits: All forms.
      overrides: [OR-BENEFIT]
      suggest: [ecg]
      topic_source: cited
  - id: minor
    finding: met
    when: minor-stands
    grade: information
    says: A minor finding is on record.
    cites: [cited]

otherwise:
  finding: not met
  says: No heart disease was found.

when_unknown:
  disease-recorded: Whether a heart disease is on record
  minor-stands: Whether a minor finding is on record

limits:
  - None.
""",
    "heart/1.0.0/cases.yaml": """\
cases:
  - case: Heart failure is met
    given:
      conditions: [{code: "snomed|1", clinical: active}]
    expect: {outcome: met, grade: disease, indicator: warning, criteria: {disease-recorded: met}}
  - case: A minor finding is met
    given:
      conditions: [{code: "snomed|2", clinical: active}]
    expect: {outcome: met, grade: minor}
  - case: Asthma is not met
    given:
      conditions: [{code: "icd10cm|J45.909", clinical: active}]
    expect: {outcome: not met, criteria: {minor-stands: not met}}
  - case: An empty list is unknown
    given: {}
    expect: {outcome: unknown, criteria: {disease-recorded: unknown, minor-stands: unknown}}
""",
}


@functools.cache
def real_rulebook() -> Rulebook:
    """The project's own rules, read once for all tests that do not change them."""
    return load_rulebook(RULES)


class Book:
    """A rulebook in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "rules"
        for name, text in FILES.items():
            self.write(name, text)
        self.seal()

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        """One file's text."""
        return (self.folder / name).read_text(encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one occurrence of a text."""
        text = self.read(name)
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def seal_value_set(self) -> str:
        """Write the hash that the value set has now into its metadata."""
        sha = hashlib.sha256((self.folder / HEART_CSV).read_bytes()).hexdigest()
        name = "value_sets/heart/1.yaml"
        self.write(name, re.sub(r"sha256: \S+", f"sha256: {sha}", self.read(name)))
        return sha

    def seal(self) -> None:
        """Write the hashes and digests that the content has now."""
        sha = self.seal_value_set()
        self.write(RULE, re.sub(r'"1", sha256: [^}]+', f'"1", sha256: "{sha}"', self.read(RULE)))
        path = self.folder / RULE
        sources = read_sources(self.folder / "sources.yaml")
        digest = rule_digest(path.read_bytes(), read_model(path, Rule), sources)
        self.write("heart/releases.yaml", re.sub(r"digest: \S+", f"digest: {digest}", self.read("heart/releases.yaml")))

    def load(self) -> Rulebook:
        """The rulebook. Raises RulebookInvalid."""
        return load_rulebook(self.folder)

    def refused(self) -> RulebookInvalid:
        """Why it does not load."""
        with pytest.raises(RulebookInvalid) as caught:
            self.load()
        return caught.value

    def line(self, name: str, text: str) -> int:
        """The number of the first line that holds a text."""
        return next(number for number, line in enumerate(self.read(name).splitlines(), start=1) if text in line)
