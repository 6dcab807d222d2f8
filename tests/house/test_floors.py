"""The floors and doors of ARCHITECTURE.md: who may import whom, and the few places that touch the outside.

Held by reading imports, wherever in a module they stand. A new top-level module gets its floor here and in the picture.
"""

import ast
import sys
from collections.abc import Iterable

import pytest

from tests.house.source import PACKAGE, Import, file_of, imports, imports_of, modules, tree_of

FLOORS: dict[str, int] = {
    "errors": 1,
    "decision": 2,
    "rulebook": 3,
    "fhir": 3,
    "hooks": 3,
    "trust": 3,
    "journal": 3,
    "advise": 4,
    "settings": 4,
    "console": 5,
    "app": 6,
    "cli": 6,
    "__main__": 7,
}

# On the top floor the command line starts the application; the application knows no command line.
NEIGHBOURLY = {("cli", "app")}

# What may be imported only in these places: the outside world has few doors, and each is known.
DOORS: dict[str, tuple[str, ...]] = {
    "httpx": ("fhir.client", "trust", "cli"),
    "fastapi": ("app", "console"),
    "starlette": ("app", "console"),
    "sqlalchemy": ("journal",),
    "alembic": ("journal",),
    "yaml": ("rulebook", "trust"),
    "msgspec.yaml": ("rulebook", "trust"),
}

# Reading the wall clock. A monotonic clock measures a budget, says no date, and is free above the decision.
WALL_CLOCK = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
    ("time", "ctime"),
    ("time", "strftime"),
}
CLOCK_KEEPERS = ("app", "cli")

# The decision is pure. These standard modules reach files, the network, a clock, chance, other processes or the
# machine.
IMPURE = frozenset(
    "asyncio concurrent ctypes fileinput ftplib getpass glob http imaplib io locale logging mmap multiprocessing os"
    " pathlib platform poplib random sched secrets select selectors shelve shutil signal smtplib socket"
    " socketserver sqlite3 ssl subprocess sys tempfile threading time urllib uuid zoneinfo".split()
)
DECISION_LIBRARIES = ("msgspec", "pydantic", "typing_extensions")
IMPURE_CALLS = ("open", "input", "print", "eval", "exec")


def room(name: str) -> str:
    """The top-level part of a name inside the package: `cds_service.fhir.client` is in `fhir`; the root is ''."""
    return name.split(".")[1] if "." in name else ""


def within(name: str, places: Iterable[str]) -> bool:
    """Whether a dotted name is one of `places` or lies inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def inside(name: str) -> bool:
    """Whether a dotted name is the package's own."""
    return within(name, [PACKAGE])


def indoors(module: str) -> str:
    """A module's name without the package's."""
    return module.removeprefix(PACKAGE).removeprefix(".")


def breach(module: str, imported: str) -> str | None:
    """Which floor the import breaks, as a sentence; None when it may stand."""
    here, there = room(module), room(imported)
    if here == there or there not in FLOORS:
        return None
    if not here:
        return f"the package's root imports {there}; it holds the version and nothing else"
    if FLOORS[there] > FLOORS[here]:
        return f"{here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]}), which is above it"
    if FLOORS[there] == FLOORS[here] and (here, there) not in NEIGHBOURLY:
        return f"{here} imports {there}, its neighbour on floor {FLOORS[here]}; pass the value in from above"
    return None


def door_breach(module: str, imported: str) -> str | None:
    """Which door the import goes around, as a sentence; None when it may stand."""
    for library, doors in DOORS.items():
        if within(imported, [library]) and not within(indoors(module), doors):
            return f"{library} is imported only in {', '.join(doors)}"
    # The models of fhir.resources at its top are FHIR R5; ours are R4B.
    if within(imported, ["fhir.resources"]) and not within(imported, ["fhir.resources.R4B"]):
        return "fhir.resources without R4B is another FHIR release; import fhir.resources.R4B"
    if imported == "<computed>":
        return "a computed import cannot be checked; import by a written name"
    return None


def impurity(module: str, imported: str) -> str | None:
    """Why the decision may not import this, as a sentence; None when it may."""
    top = imported.split(".")[0]
    if room(module) != "decision" or inside(imported):
        return None
    if top in IMPURE:
        return f"{top} reaches outside; the decision is pure: hand the value in"
    if top not in sys.stdlib_module_names and top not in DECISION_LIBRARIES:
        return f"the decision imports {', '.join(DECISION_LIBRARIES)} and the standard library, not {top}"
    return None


def clock_readings(tree: ast.Module) -> list[tuple[str, int]]:
    """Each reading of the wall clock: its spelling and line."""
    names = _clock_names(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            if (names.get(owner, owner), node.attr) in WALL_CLOCK:
                found.append((ast.unparse(node), node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [(f"time.{a.name}", node.lineno) for a in node.names if ("time", a.name) in WALL_CLOCK]
    return found


def _clock_names(tree: ast.Module) -> dict[str, str]:
    """What a module calls `datetime`, `date` and `time` when it renames them."""
    aliases = (a for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for a in node.names)
    return {a.asname: a.name for a in aliases if a.asname}


def broken(module: str, law: str, found: Iterable[tuple[int, str | None]]) -> str:
    """All breaches of a module in one message, each with its line; '' when there are none."""
    lines = [f"  {file_of(module).name}:{line}: {why}" for line, why in found if why]
    return "\n".join([f"{module} breaks {law}:", *lines]) if lines else ""


@pytest.mark.parametrize("module", modules())
def test_imports_go_down_the_floors(module: str) -> None:
    assert room(module) in FLOORS or module == PACKAGE, (
        f"{room(module)} has no floor yet: give it one here and in ARCHITECTURE.md"
    )
    ours = [i for i in imports_of(module) if inside(i.name)]
    message = broken(module, "the floors", ((i.line, breach(module, i.name)) for i in ours))
    assert not message, message


@pytest.mark.parametrize("module", modules())
def test_the_outside_is_reached_by_its_doors(module: str) -> None:
    message = broken(module, "the doors", ((i.line, door_breach(module, i.name)) for i in imports_of(module)))
    assert not message, message


@pytest.mark.parametrize("module", [m for m in modules() if room(m) == "decision"])
def test_the_decision_is_pure(module: str) -> None:
    found = [(i.line, impurity(module, i.name)) for i in imports_of(module)]
    for node in ast.walk(tree_of(file_of(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append((node.lineno, f"{node.func.id}() reaches outside; the decision is pure: hand the value in"))
    message = broken(module, "the decision's purity", found)
    assert not message, message


@pytest.mark.parametrize("module", [m for m in modules() if room(m) not in CLOCK_KEEPERS])
def test_only_the_top_floor_reads_the_wall_clock(module: str) -> None:
    found = clock_readings(tree_of(file_of(module)))
    message = broken(
        module, "the clock's door", ((line, f"{name}: take the moment as a value") for name, line in found)
    )
    assert not message, message


# The laws above, shown to bite: a law that nothing can break holds nothing.


@pytest.mark.parametrize(
    ("module", "imported", "why"),
    [
        ("cds_service.decision.rule", "cds_service.fhir.resources", "decision (floor 2) imports fhir (floor 3)"),
        ("cds_service.errors", "cds_service.decision", "errors (floor 1) imports decision (floor 2)"),
        ("cds_service.hooks.cards", "cds_service.rulebook.load.load", "its neighbour on floor 3"),
        ("cds_service.advise", "cds_service.settings.Settings", "its neighbour on floor 4"),
        ("cds_service.app", "cds_service.cli.main", "its neighbour on floor 6"),
        ("cds_service", "cds_service.errors", "the package's root imports errors"),
    ],
)
def test_an_import_upward_or_sideways_is_named(module: str, imported: str, why: str) -> None:
    assert why in (breach(module, imported) or "")


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("cds_service.fhir.client", "cds_service.fhir.resources"),
        ("cds_service.hooks.cards", "cds_service.decision.facts"),
        ("cds_service.cli.serve", "cds_service.app.create_app"),
        ("cds_service.cli.main", "cds_service.__version__"),
        ("cds_service.__main__", "cds_service.cli.main"),
    ],
)
def test_an_import_downward_or_within_a_room_stands(module: str, imported: str) -> None:
    assert breach(module, imported) is None


@pytest.mark.parametrize(
    ("module", "imported", "stands"),
    [
        ("cds_service.fhir.client", "httpx", True),
        ("cds_service.fhir.prefetch", "httpx.AsyncClient", False),
        ("cds_service.trust.keys", "httpx", True),
        ("cds_service.app", "fastapi.FastAPI", True),
        ("cds_service.hooks.discovery", "fastapi.Response", False),
        ("cds_service.hooks.discovery", "starlette.responses.Response", False),
        ("cds_service.rulebook.load", "yaml", True),
        ("cds_service.fhir.read_facts", "yaml", False),
        ("cds_service.decision.facts", "msgspec.yaml", False),
        ("cds_service.decision.facts", "msgspec", True),
        ("cds_service.fhir.prefetch", "sqlalchemy.create_engine", False),
        ("cds_service.hooks.suggestions", "fhir.resources.R4B.medicationrequest", True),
        ("cds_service.hooks.suggestions", "fhir.resources.medicationrequest", False),
        ("cds_service.fhir.client", "<computed>", False),
    ],
)
def test_a_library_stands_behind_its_door(module: str, imported: str, stands: bool) -> None:
    assert (door_breach(module, imported) is None) is stands


@pytest.mark.parametrize(
    ("imported", "stands"),
    [("datetime", True), ("msgspec", True), ("os.path", False), ("random", False), ("orjson", False)],
)
def test_the_decision_imports_pure_things(imported: str, stands: bool) -> None:
    assert (impurity("cds_service.decision.assess", imported) is None) is stands


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime as when\nwhen.utcnow()",
        "from datetime import date\ndate.today()",
        "import time\ntime.time()",
        "import time as t\nt.time_ns()",
        "from time import time",
        "import datetime as dt\nclock = dt.datetime.now",
    ],
)
def test_a_reading_of_the_wall_clock_is_seen(source: str) -> None:
    assert clock_readings(ast.parse(source))


@pytest.mark.parametrize(
    "source", ["import time\ntime.monotonic()", "now = as_of.now", "import datetime as dt\ndt.date(1, 1, 1)"]
)
def test_other_uses_of_time_are_free(source: str) -> None:
    assert not clock_readings(ast.parse(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import httpx", ["httpx"]),
        ("from msgspec import yaml", ["msgspec.yaml"]),
        ("def f():\n    from cds_service import app", ["cds_service.app"]),
        ("from . import client", ["cds_service.fhir.client"]),
        ("from .client import Client", ["cds_service.fhir.client.Client"]),
        ("from ..hooks import cards", ["cds_service.hooks.cards"]),
        ("if TYPE_CHECKING:\n    import fastapi", ["fastapi"]),
        ("importlib.import_module('httpx')", ["httpx"]),
        ("__import__(name)", ["<computed>"]),
    ],
)
def test_an_import_is_seen_in_every_spelling(source: str, expected: list[str]) -> None:
    found: list[Import] = list(imports(ast.parse(source), "cds_service.fhir.prefetch", is_package=False))
    assert [i.name for i in found] == expected
