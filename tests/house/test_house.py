"""The house rules that no linter holds: docstrings, what no file may name, reasons for exclusions, true commands."""

import ast
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cds_service
from tests.house.source import PACKAGE, ROOT, file_of, modules, project_files, python_files, shown, text_of, tree_of

# Spelled in pieces: this file is held to the rule it holds.
MACHINE_FOLDERS = ("home", "root", "work", "Users", "tmp", "mnt", "private", "workspace")
MACHINE_PATH = re.compile(rf"(?<![\w.:/\-])/(?:{'|'.join(MACHINE_FOLDERS)})/[\w.]|\b[A-Z]:\\{{1,2}}(?:Users|Program)")
OUTSIDE_TREE = re.compile(r"\.\./" + r"shared\b")
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo", "maven", "apache", "org"),
        ("repo1", "maven", "org"),
        ("maven", "google", "com"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
)
PRAGMA = re.compile(r"pragma:?\s*no\s+(?:cover|branch)(?P<reason>.*)", re.IGNORECASE)
MAKE_COMMAND = re.compile(r"(?:^|[\s`$&;(])make((?:\s+[A-Z_]+=\S+)*\s+(?P<target>[a-z][a-z-]*))")


def docstring_fault(tree: ast.Module) -> str | None:
    """What is wrong with a module's docstring; None when its first line is one sentence that stands alone."""
    text = ast.get_docstring(tree, clean=False)
    if not text:
        return "has no docstring"
    first, *rest = text.split("\n")
    if not first.strip() or first.strip()[-1] not in ".:?":
        return "its docstring does not begin with a one-line sentence"
    if rest and rest[0].strip():
        return "its docstring's first line runs on: leave a blank line after it"
    return None


def named_in(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Each line of `text` that matches, as `line number: line`."""
    lines = enumerate(text.split("\n"), start=1)
    return [f"{number}: {line.strip()[:120]}" for number, line in lines if pattern.search(line)]


def unexplained_exclusions(path: Path) -> list[str]:
    """The comments that take a line out of coverage without three words on why."""
    with path.open("rb") as source:
        comments = [t for t in tokenize.tokenize(source.readline) if t.type == tokenize.COMMENT]
    found = ((t.start[0], PRAGMA.search(t.string)) for t in comments)
    return [f"line {n}" for n, match in found if match and len(re.findall(r"\w+", match["reason"])) < 3]


def prints(tree: ast.Module) -> list[int]:
    """The lines that call `print`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def code_of(markdown: str) -> Iterator[str]:
    """The fenced blocks and code spans of a page."""
    fences = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    yield from fences.findall(markdown)
    yield from re.findall(r"`([^`\n]+)`", fences.sub("", markdown))


def make_commands(markdown: str) -> set[str]:
    """The make targets that a page tells its reader to run."""
    return {match["target"] for code in code_of(markdown) for match in MAKE_COMMAND.finditer(code)}


def make_targets() -> set[str]:
    """The targets the Makefile declares."""
    return set(re.findall(r"^\.PHONY: ([a-z-]+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", python_files(), ids=shown)
def test_a_module_says_in_one_line_what_it_is(path: Path) -> None:
    fault = docstring_fault(tree_of(path))
    assert fault is None, f"{shown(path)} {fault}"


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [f"{shown(p)}:{hit}" for p in project_files() for hit in named_in(text_of(p) or "", MACHINE_PATH)]
    assert not found, "\n".join(found)


def test_no_file_leans_on_one_outside_the_repository() -> None:
    found = [f"{shown(p)}:{hit}" for p in project_files() for hit in named_in(text_of(p) or "", OUTSIDE_TREE)]
    assert not found, "\n".join(found)


def test_no_file_names_a_package_registry() -> None:
    pattern = re.compile("|".join(map(re.escape, REGISTRIES)), re.IGNORECASE)
    found = [f"{shown(p)}:{hit}" for p in project_files() for hit in named_in(text_of(p) or "", pattern)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=shown)
def test_a_lock_holds_exact_versions_and_hashes_and_no_address(lock: Path) -> None:
    lines = [
        line for line in lock.read_text(encoding="utf-8").split("\n") if line and not line.lstrip().startswith("#")
    ]
    pins = [line for line in lines if not line.startswith(" ")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+-]+(?: ; [^\\]+)? \\", pin) for pin in pins), pins
    hashes = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in hashes)


@pytest.mark.parametrize("path", python_files(), ids=shown)
def test_a_line_taken_out_of_coverage_says_why(path: Path) -> None:
    assert not unexplained_exclusions(path), f"{shown(path)}: {unexplained_exclusions(path)}"


@pytest.mark.parametrize("module", [m for m in modules() if not m.startswith(f"{PACKAGE}.cli")])
def test_only_the_command_line_prints(module: str) -> None:
    assert not prints(tree_of(file_of(module))), f"{module} prints on lines {prints(tree_of(file_of(module)))}"


@pytest.mark.parametrize("page", [p for p in project_files() if p.suffix == ".md"], ids=shown)
def test_every_make_command_in_a_page_exists(page: Path) -> None:
    missing = make_commands(page.read_text(encoding="utf-8")) - make_targets()
    assert not missing, f"{shown(page)} names make targets that are not in the Makefile: {sorted(missing)}"


def test_the_readme_gives_the_two_commands() -> None:
    assert make_commands((ROOT / "README.md").read_text(encoding="utf-8")) >= {"demo", "test"}


def test_the_package_says_the_version_it_is_published_under() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == cds_service.__version__


# The rules above, shown to bite.


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""What it is."""', None),
        ('"""What it is.\n\nMore.\n"""', None),
        ("x = 1", "has no docstring"),
        ('"""\nWhat it is.\n"""', "does not begin with a one-line sentence"),
        ('"""What it is and\nruns on."""', "does not begin with a one-line sentence"),
        ('"""What it is.\nMore."""', "runs on"),
    ],
)
def test_a_docstring_is_judged_by_its_first_line(source: str, fault: str | None) -> None:
    found = docstring_fault(ast.parse(source))
    assert found == fault if fault is None else fault in (found or "")


@pytest.mark.parametrize("folder", MACHINE_FOLDERS)
def test_a_machine_path_is_seen(folder: str) -> None:
    assert named_in(f"open('/{folder}/x.json')", MACHINE_PATH)


@pytest.mark.parametrize("text", ["https://ehr.example/home/x", "#!/usr/bin/env bash", "./tmp/x", "GET /health/live"])
def test_another_path_is_no_machine_path(text: str) -> None:
    assert not named_in(text, MACHINE_PATH)


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# pragma: no cover - only on Windows machines", True),
        ("# pragma: no cover: a guard against a broken clock", True),
        ("# pragma: no cover", False),
        ("# pragma: no branch", False),
        ("# pragma: no cover - why", False),
    ],
)
def test_an_exclusion_needs_three_words(tmp_path: Path, comment: str, explained: bool) -> None:
    source = tmp_path / "module.py"
    source.write_text(f"x = 1  {comment}\ny = '# pragma: no cover'\n")
    assert (not unexplained_exclusions(source)) is explained


def test_make_commands_are_read_from_code_only() -> None:
    page = "We make cards.\n\n```\nmake demo ONCE=1\n$ make lint\n```\n\nor `make ONCE=1 serve`, not `cmake x`\n"
    assert make_commands(page) == {"demo", "lint", "serve"}
