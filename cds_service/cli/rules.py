"""`cds-service rules`: check, list, show and test the rules; write their JSON Schema and their pages."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from rich.table import Column, Table

from cds_service.errors import CommandRefused, RulebookInvalid
from cds_service.rulebook.cases import CaseResult, read_cases, run_case, unseen
from cds_service.rulebook.load import Rulebook, RuleVersion, load_rulebook
from cds_service.rulebook.mutants import tally
from cds_service.rulebook.pages import rule_page_markdown
from cds_service.rulebook.schema import rule_schema_text
from cds_service.rulebook.traceability import traceability as traceability_page

FAILED, REFUSED = 1, 2
DIGEST_SHOWN = 8
SCHEMA_FILE = "rule.schema.json"

RulesDir = Annotated[
    Path, typer.Option("--rules-dir", envvar="CDS_RULES_DIR", help="The folder of the rules.", show_default=True)
]
RULES = Path("rules")

group = typer.Typer(help="Check, list, show and test the rules.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="rules")


@group.command()
def check(rules_dir: RulesDir = RULES) -> None:
    """Load all rules and what they point to, and say what was checked; the first fault as file:line key message."""
    try:
        rulebook = load_rulebook(rules_dir)
    except RulebookInvalid as fault:
        _complain(_as_line(fault))
        raise typer.Exit(REFUSED) from fault
    versions = list(_versions(rulebook))
    sets = {(one.id, one.version) for version in versions for one in version.sets.values()}
    counts = (
        (len(versions), "rule version"),
        (len(sets), "value set"),
        (len(rulebook.sources), "source"),
        (len(rulebook.overrides), "override reason"),
        (len(rulebook.suggestions), "suggestion"),
        (len(rulebook.services), "service"),
    )
    typer.echo(f"Checked, no fault: {', '.join(_counted(number, thing) for number, thing in counts)}.")


@group.command("list")
def list_rules(rules_dir: RulesDir = RULES) -> None:
    """List every rule version."""
    table = _table("Version", "Status", "Digest", "Grades", "Cites")
    for version in _versions(load_rulebook(rules_dir)):
        rule, release = version.rule, version.release
        table.add_row(
            rule.rule,
            rule.version,
            release.status,
            release.digest[:DIGEST_SHOWN],
            str(len(rule.grades)),
            _cites(version),
        )
    Console().print(table)


@group.command()
def show(
    rule: Annotated[str, typer.Argument(metavar="RULE[@VERSION]", help="Its newest version unless one is named.")],
    as_json: Annotated[bool, typer.Option("--json", help="The rule as JSON instead of its page.")] = False,
    rules_dir: RulesDir = RULES,
) -> None:
    """Show a rule's page in the terminal."""
    rulebook = load_rulebook(rules_dir)
    version = _named(rulebook, rule)
    if as_json:
        typer.echo(version.rule.model_dump_json(by_alias=True, exclude_unset=True, indent=2))
    else:
        Console().print(Markdown(rule_page_markdown(version, rulebook)))


@group.command("test")
def run_cases_of(
    rule: Annotated[str, typer.Argument(metavar="[RULE[@VERSION]]", help="All rules unless one is named.")] = "",
    rules_dir: RulesDir = RULES,
) -> None:
    """Run the cases beside the rules. Exit code 1 when one fails, or when they leave an outcome or a grade unseen."""
    rulebook = load_rulebook(rules_dir)
    versions = [_named(rulebook, rule)] if rule else list(_versions(rulebook))
    table = _table("Version", "Passed", "Failed", "Outcomes", "Grades")
    complaints: list[str] = []
    for version in versions:
        cases = read_cases(version)
        results = [run_case(version, case) for case in cases.cases]
        failed = [result for result in results if result.faults]
        table.add_row(
            version.rule.rule,
            version.rule.version,
            str(len(results) - len(failed)),
            str(len(failed)),
            *_coverage(version, results),
        )
        complaints += [f"{version.rule.rule}: {line}" for line in _faults(failed)]
        complaints += [f"{version.rule.rule}: {line}" for line in unseen(version.rule, cases.cannot, results)]
    Console().print(table)
    for line in complaints:
        _complain(line)
    raise typer.Exit(FAILED if complaints else 0)


@group.command()
def schema(
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when it is stale.")] = False,
    rules_dir: RulesDir = RULES,
) -> None:
    """Write the JSON Schema of rule files."""
    _write({rules_dir / SCHEMA_FILE: rule_schema_text()}, only_check=only_check, command="schema")


@group.command()
def pages(
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when one is stale.")] = False,
    rules_dir: RulesDir = RULES,
) -> None:
    """Write the page of each rule version beside it."""
    rulebook = load_rulebook(rules_dir)
    texts = {version.folder / "page.md": rule_page_markdown(version, rulebook) for version in _versions(rulebook)}
    _write(texts, only_check=only_check, command="pages")


@group.command()
def traceability(
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when it is stale.")] = False,
    rules_dir: RulesDir = RULES,
) -> None:
    """Write docs/traceability.md: from each founding statement to rules, grades, cards, cases and sources."""
    rulebook = load_rulebook(rules_dir)
    page = rules_dir.parent / "docs" / "traceability.md"
    _write({page: traceability_page(rulebook)}, only_check=only_check, command="traceability")


@group.command()
def mutants(
    rule: Annotated[str, typer.Argument(help="RULE, or RULE@VERSION; all rules when left out.")] = "",
    rules_dir: RulesDir = RULES,
) -> None:
    """Change each rule a little, many times, and say which changes no case notices. Exit code 1 when one survives."""
    rulebook = load_rulebook(rules_dir)
    versions = [_named(rulebook, rule)] if rule else list(_versions(rulebook))
    table = _table("Version", "Killed", "Total", "Explained", "Survived")
    complaints: list[str] = []
    for version in track(versions, description="Rules", transient=True):
        found = tally(version)
        counts = (found.killed, found.total, found.explained, len(found.survivors))
        table.add_row(found.rule, version.rule.version, *(str(count) for count in counts))
        complaints += [f"{found.rule}: survived: {name}" for name in found.survivors]
        complaints += [f"{found.rule}: explained, but killed: {name}" for name in found.idle]
    Console().print(table)
    for line in complaints:
        _complain(line)
    raise typer.Exit(FAILED if complaints else 0)


def _table(*columns: str) -> Table:
    """A table whose rows begin with a rule, in a frame thin enough for 80 columns."""
    headings = [Column(name, no_wrap=True) for name in ("Rule", *columns)]
    return Table(*headings, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _versions(rulebook: Rulebook) -> Iterator[RuleVersion]:
    for versions in rulebook.versions.values():
        yield from versions.values()


def _named(rulebook: Rulebook, text: str) -> RuleVersion:
    name, _, number = text.partition("@")
    version = rulebook.version(name, number or None)
    if version is None:
        raise CommandRefused("There is no such rule or version: cds-service rules list names them all.")
    return version


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _cites(version: RuleVersion) -> str:
    """How many claims, and how many of them nobody has confirmed yet."""
    claims = version.rule.citations
    open_ones = sum(1 for claim in claims if claim.status != "confirmed")
    return f"{len(claims)}, {open_ones} open" if open_ones else str(len(claims))


def _coverage(version: RuleVersion, results: list[CaseResult]) -> tuple[str, str]:
    outcomes = {(clause.id, clause.outcome) for one in results for clause in one.assessment.clauses}
    grades = {one.assessment.grade for one in results} - {None}
    return f"{len(outcomes)} of {3 * len(version.rule.criteria)}", f"{len(grades)} of {len(version.rule.grades)}"


def _faults(failed: list[CaseResult]) -> Iterator[str]:
    for result in failed:
        for fault in result.faults:
            yield f"{result.case.case}: {fault}"


def _write(texts: dict[Path, str], *, only_check: bool, command: str) -> None:
    """Write what has changed; with `only_check`, say it and exit with 1."""
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if only_check:
            _complain(f"{path.as_posix()} is stale: cds-service rules {command} renews it.")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
            typer.echo(f"Wrote {path.as_posix()}")
    if stale and only_check:
        raise typer.Exit(FAILED)
    if not stale:
        typer.echo(f"Nothing to write: {_counted(len(texts), 'file')} up to date.")


def _as_line(fault: RulebookInvalid) -> str:
    place = f"{fault.file}:{fault.line}" if fault.line else fault.file
    return " ".join(part for part in (place, fault.key, fault.problem) if part)


def _complain(line: str) -> None:
    print(line, file=sys.stderr)
