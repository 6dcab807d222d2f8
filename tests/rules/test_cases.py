"""Every case beside every rule, named by its sentence, and the law that cases leave no outcome unseen."""

import pytest

from cds_service.rulebook.cases import Cannot, Case, read_cases, run_case, unseen
from cds_service.rulebook.load import RuleVersion
from tests.unit.rulebook.support import real_rulebook

VERSIONS = [version for versions in real_rulebook().versions.values() for version in versions.values()]
# A rule without cases fails its own item of the law below, and does not keep the others from being collected.
FILES = [(version, read_cases(version)) for version in VERSIONS if (version.folder / "cases.yaml").exists()]


def name(version: RuleVersion) -> str:
    """`pregnancy@1.0.0`."""
    return f"{version.rule.rule}@{version.rule.version}"


@pytest.mark.parametrize(
    ("version", "case"),
    [
        pytest.param(version, case, id=f"{name(version)}: {case.case}")
        for version, cases in FILES
        for case in cases.cases
    ],
)
def test_case(version: RuleVersion, case: Case) -> None:
    result = run_case(version, case)
    assert not result.faults, "\n".join([*result.faults, *(str(clause) for clause in result.assessment.clauses)])


@pytest.mark.parametrize("version", [pytest.param(version, id=name(version)) for version in VERSIONS])
def test_every_criterion_is_seen_met_not_met_and_unknown_and_every_grade_found(version: RuleVersion) -> None:
    cases = read_cases(version)
    results = [run_case(version, case) for case in cases.cases]
    assert unseen(version.rule, cases.cannot, results) == []


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        pytest.param(version, entry, id=f"{name(version)}: {entry.what}, because {entry.because}")
        for version, cases in FILES
        for entry in cases.cannot
    ],
)
def test_what_is_said_to_be_impossible_is_not_seen_in_any_case(version: RuleVersion, entry: Cannot) -> None:
    results = [run_case(version, case) for case in read_cases(version).cases]
    assert len(unseen(version.rule, [entry], results)) == len(unseen(version.rule, [], results)) - 1
