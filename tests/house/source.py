"""The project's own files as the house tests read them: modules, their imports, tracked text."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = "cds_service"


class Import(NamedTuple):
    """One imported name, fully dotted: `from a.b import c` is `a.b.c`, `import a.b` is `a.b`."""

    name: str
    line: int


def modules() -> list[str]:
    """Every module of the package, dotted; a package by the name of its folder."""
    return sorted(_dotted(path) for path in (ROOT / PACKAGE).rglob("*.py"))


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def file_of(module: str) -> Path:
    """The file that holds `module`."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a module, wherever it stands: at the top, in a function, for type checking only, or by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, is_package)
            yield from (Import(f"{base}.{alias.name}".rstrip("."), node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            first = node.args[0] if node.args else None
            name = first.value if isinstance(first, ast.Constant) else "<computed>"
            yield Import(str(name), node.lineno)


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The absolute module that `from ... import` names, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    kept = package[: len(package) - (node.level - 1)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _is_import_call(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return name in ("import_module", "__import__")


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(module: str) -> list[Import]:
    """Every import of a module of the package."""
    path = file_of(module)
    return list(imports(tree_of(path), module, path.name == "__init__.py"))


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked, or would be once added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return tuple(path for name in sorted(set(listed.split("\0")) - {""}) if (path := ROOT / name).is_file())


def python_files() -> list[Path]:
    """The Python files among them."""
    return [path for path in project_files() if path.suffix == ".py"]


def shown(path: Path) -> str:
    """A file's name in messages and test ids."""
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str | None:
    """The file's text; None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode("utf-8", errors="replace")
