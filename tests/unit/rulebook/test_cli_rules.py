"""`cds-service rules`: what each command says, where it says it, and the exit code it leaves with."""

import json
import re
import shutil
from pathlib import Path

import pytest

from cds_service.cli import rules
from cds_service.cli.main import Program
from cds_service.decision.rule import Rule
from cds_service.rulebook.load import RuleVersion
from tests.unit.rulebook.support import RULES, Book, real_rulebook

CASES = """\
cases:
  - case: A high reading lies above the guide value.
    given:
      conditions: [{code: "snomed|38341003", clinical: active, onset: "400 d ago"}]
      observations:
        - code: loinc|85354-9
          on: 3 d ago
          parts:
            - {code: loinc|8480-6, value: "%s mm[Hg]"}
            - {code: loinc|8462-4, value: "96 mm[Hg]"}
    expect: {outcome: met, grade: above-guide-value}
"""


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the rules once for all tests that do not change them."""
    monkeypatch.setattr(rules, "load_rulebook", lambda folder: real_rulebook())
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the rules that a test may change."""
    return Path(shutil.copytree(RULES, tmp_path / "rules"))


def run(*words: str) -> int:
    program = Program(pretty_exceptions_enable=False, add_completion=False)
    program.callback()(lambda: None)
    rules.register(program)
    with pytest.raises(SystemExit) as left:
        program(["rules", *words])
    return int(left.value.code or 0)


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# ------------------------------------------------------------ check


@pytest.mark.usefixtures("loaded")
def test_check_says_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"Checked, no fault: \d+ rule versions, \d+ value sets, \d+ sources, \d+ override reasons, \d+ suggestions, "
        r"\d+ services\.\n",
        out,
    )
    assert f"{sum(map(len, real_rulebook().versions.values()))} rule version" in out
    assert not err


def test_check_names_file_line_key_and_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "blood-pressure" / "1.0.0" / "rule.yaml"
    spoil(path, "grade: caution", "grade: verdict")
    line = path.read_text(encoding="utf-8").splitlines().index("    grade: verdict") + 1
    assert run("check", "--rules-dir", str(folder)) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"rules/blood-pressure/1.0.0/rule.yaml:{line} grades.0.grade ")


def test_check_names_a_file_that_has_no_faulty_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sources.yaml").unlink()
    assert run("check", "--rules-dir", str(folder)) == 2
    assert capsys.readouterr().err == "rules/sources.yaml cannot be read: No such file or directory\n"


# ------------------------------------------------------------ list and show


@pytest.mark.usefixtures("loaded")
def test_list_shows_every_version_in_full_on_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    rows = capsys.readouterr().out.splitlines()
    assert all(len(row) <= 80 for row in rows)
    for versions in real_rulebook().versions.values():
        for version in versions.values():
            row = next(row for row in rows if row.startswith(f"{version.rule.rule} "))
            claims = version.rule.citations
            wanted = [version.rule.version, version.release.status, version.release.digest[:8], str(len(claims))]
            assert [word for word in wanted if word in row.replace(",", " ").split()] == wanted


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("status", ["confirmed", "secondary"])
def test_list_counts_the_claims_that_nobody_confirmed(status: str) -> None:
    version = real_rulebook().version("blood-pressure")
    assert version is not None
    claims = [claim.model_copy(update={"status": status}) for claim in version.rule.citations]
    changed = RuleVersion(
        version.rule.model_copy(update={"citations": claims}), version.release, version.compiled, {}, version.folder
    )
    assert rules._cites(changed) == (
        f"{len(claims)}" if status == "confirmed" else f"{len(claims)}, {len(claims)} open"
    )


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("name", ["blood-pressure", "blood-pressure@1.0.0"])
def test_show_renders_the_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", name) == 0
    out = capsys.readouterr().out
    assert "Blood pressure before ketamine or esketamine" in out
    assert "not clinically approved" in out


@pytest.mark.usefixtures("loaded")
def test_show_json_is_the_rule_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "pregnancy", "--json") == 0
    out = capsys.readouterr().out
    version = real_rulebook().version("pregnancy")
    assert version is not None
    assert Rule.model_validate_json(out) == version.rule
    assert "not" in json.dumps(json.loads(out)["grades"][5]["when"]), "keys are spelled as in the file"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("name", ["astrology", "blood-pressure@9.9.9", "@", "astrology@1.0.0"])
def test_show_refuses_a_rule_that_does_not_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", name) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        "The command was not carried out. There is no such rule or version: cds-service rules list names them all.\n"
    )


# ------------------------------------------------------------ test


def only_rule(folder: Path, systolic: int) -> None:
    """Leave one rule, with one case."""
    for path in folder.glob("*/releases.yaml"):
        if path.parent.name != "blood-pressure":
            shutil.rmtree(path.parent)
    services = (folder / "services.yaml").read_text(encoding="utf-8")
    (folder / "services.yaml").write_text(
        re.sub(r"rules:\s+\[.*?\]", "rules: [blood-pressure]", services, flags=re.DOTALL)
    )
    (folder / "blood-pressure" / "1.0.0" / "cases.yaml").write_text(CASES % systolic, encoding="utf-8")


def test_test_fails_when_outcomes_were_never_seen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_rule(folder, 158)
    assert run("test", "--rules-dir", str(folder)) == 1
    out, err = capsys.readouterr()
    assert re.search(r"blood-pressure +1\.0\.0 +1 +0 +\d+ of 24 +1 of 7", out)
    assert "blood-pressure: criterion crisis-recorded was never met\n" in err
    assert "blood-pressure: grade no-reading was never the finding\n" in err


def test_test_passes_when_the_cases_pass_and_the_rest_is_said_to_be_impossible(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_rule(folder, 158)
    run("test", "blood-pressure", "--rules-dir", str(folder))
    entries = [excuse(line.removeprefix("blood-pressure: ")) for line in capsys.readouterr().err.splitlines()]
    cases = folder / "blood-pressure" / "1.0.0" / "cases.yaml"
    cases.write_text("cannot:\n" + "".join(entries) + cases.read_text(encoding="utf-8"), encoding="utf-8")
    assert run("test", "blood-pressure", "--rules-dir", str(folder)) == 0
    assert not capsys.readouterr().err


def excuse(line: str) -> str:
    grade = re.fullmatch(r"grade (\S+) was never the finding", line)
    if grade:
        return f"  - {{grade: {grade[1]}, because: no case of this test shows it}}\n"
    criterion = re.fullmatch(r"criterion (\S+) was never (.+)", line)
    assert criterion, line
    return f"  - {{criterion: {criterion[1]}, outcome: {criterion[2]}, because: no case of this test shows it}}\n"


def test_test_fails_and_says_how_a_case_came_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_rule(folder, 190)
    assert run("test", "blood-pressure@1.0.0", "--rules-dir", str(folder)) == 1
    out, err = capsys.readouterr()
    assert re.search(r"blood-pressure +1\.0\.0 +0 +1 ", out)
    expected = "A high reading lies above the guide value.: grade: expected above-guide-value, found crisis-reading"
    assert f"blood-pressure: {expected}\n" in err


def test_test_refuses_a_rule_without_cases(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_rule(folder, 158)
    (folder / "blood-pressure" / "1.0.0" / "cases.yaml").unlink()
    assert run("test", "--rules-dir", str(folder)) == 2
    assert "rules/blood-pressure/1.0.0/cases.yaml: cannot be read" in capsys.readouterr().err


# ------------------------------------------------------------ schema and pages


def test_schema_is_written_once_and_then_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema", "--check", "--rules-dir", str(tmp_path)) == 1
    assert "rule.schema.json is stale: cds-service rules schema renews it." in capsys.readouterr().err
    assert not (tmp_path / "rule.schema.json").exists()
    assert run("schema", "--rules-dir", str(tmp_path)) == 0
    assert "Wrote " in capsys.readouterr().out
    assert run("schema", "--rules-dir", str(tmp_path)) == 0
    assert capsys.readouterr().out == "Nothing to write: 1 file up to date.\n"
    assert run("schema", "--check", "--rules-dir", str(tmp_path)) == 0


def test_pages_are_written_where_stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_rule(folder, 158)
    page = folder / "blood-pressure" / "1.0.0" / "page.md"
    page.write_text("old", encoding="utf-8")
    assert run("pages", "--check", "--rules-dir", str(folder)) == 1
    assert capsys.readouterr().err == f"{page.as_posix()} is stale: cds-service rules pages renews it.\n"
    assert run("pages", "--rules-dir", str(folder)) == 0
    assert capsys.readouterr().out == f"Wrote {page.as_posix()}\n"
    assert page.read_text(encoding="utf-8").startswith("# Blood pressure")
    assert run("pages", "--check", "--rules-dir", str(folder)) == 0


@pytest.mark.parametrize("command", ["list", "show", "test", "pages", "traceability", "mutants"])
def test_a_rulebook_that_does_not_load_is_refused_in_one_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "blood-pressure"] if command == "show" else [command]
    assert run(*words, "--rules-dir", str(tmp_path)) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith("The rulebook is not valid")


def test_traceability_is_written_beside_the_rules_where_stale(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    page = book.folder.parent / "docs" / "traceability.md"
    assert run("traceability", "--check", "--rules-dir", str(book.folder)) == 1
    assert capsys.readouterr().err == f"{page.as_posix()} is stale: cds-service rules traceability renews it.\n"
    assert not page.exists()
    assert run("traceability", "--rules-dir", str(book.folder)) == 0
    assert capsys.readouterr().out == f"Wrote {page.as_posix()}\n"
    assert page.read_text(encoding="utf-8").startswith("# Traceability\n")
    assert run("traceability", "--check", "--rules-dir", str(book.folder)) == 0
    assert capsys.readouterr().out == "Nothing to write: 1 file up to date.\n"


# ------------------------------------------------------------ mutants


def test_mutants_names_what_survived_and_fails(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mutants", "--rules-dir", str(book.folder)) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^heart +1\.0\.0 +10 +15 +0 +5 *$", out, flags=re.MULTILINE)
    assert err.count("heart: survived: ") == 5
    assert "heart: survived: facts.disease.clinical current -> any\n" in err


def test_mutants_passes_when_every_survivor_is_explained(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    run("mutants", "heart", "--rules-dir", str(book.folder))
    names = [line.removeprefix("heart: survived: ") for line in capsys.readouterr().err.splitlines()]
    told = "".join(f"  {name}: no chart shows it\n" for name in names)
    book.write("heart/1.0.0/mutants.yaml", f"survivors:\n{told}")
    assert run("mutants", "heart@1.0.0", "--rules-dir", str(book.folder)) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^heart +1\.0\.0 +10 +15 +5 +0 *$", out, flags=re.MULTILINE)
    assert not err


def test_mutants_names_an_explanation_that_a_case_contradicts(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    killed = "grades.disease.finding -> not met"
    book.write("heart/1.0.0/mutants.yaml", f"survivors:\n  {killed}: no chart shows it\n")
    assert run("mutants", "--rules-dir", str(book.folder)) == 1
    assert f"heart: explained, but killed: {killed}\n" in capsys.readouterr().err


def test_mutants_refuses_a_rule_that_does_not_exist(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mutants", "lungs", "--rules-dir", str(book.folder)) == 2
    assert "There is no such rule or version" in capsys.readouterr().err
