"""Mutants of a rule: does a case fail when a threshold, a status list, a window or a value set is changed by a little?

Every mutant is one small change of the rule's data. One that no case notices has survived: either a case is missing, or
the change makes no difference that any chart could show, which mutants.yaml beside the cases then explains.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cds_service.decision.assess import CompiledRule
from cds_service.decision.chart import Chart
from cds_service.decision.codes import ValueSet
from cds_service.decision.rule import ConditionsFact, Rule
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.cases import Case, chart_of, differences, read_cases
from cds_service.rulebook.files import read_model, read_yaml
from cds_service.rulebook.load import RuleVersion

# Numbers that decide; others (order of lines, names) are not thresholds.
NUMBERS = frozenset(
    {
        "within_days",
        "from_days",
        "pair_minutes",
        "plausible_systolic",
        "plausible_diastolic",
        "plausible",
        "change_percent",
        "at_least",
        "at_most",
        "more_than",
        "less_than",
        "date_ahead_days",
        "date_past_days",
        "adequate_days",
        "borderline_days",
        "gap_days",
        "previous_episode_days",
        "score_recent_days",
        "score_start_days",
        "score_after_days",
        "ongoing_score_at_least",
        "nonresponse_change_below_percent",
        "response_change_from_percent",
    }
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "clinical": get_args(ConditionsFact.model_fields["clinical"].annotation),
    "empty_list": ("unknown", "no evidence"),
    "flag": (True, False),
    "together": (True, False),
    "for_sex": ("male", "female"),
    "recorded_as": ("allergy", "intolerance", "any"),
    "part": ("systolic", "diastolic"),
    "finding": ("met", "not met", "unknown"),
}
LISTS = frozenset(
    {"codes", "answers", "units", "says", "unless_later", "not_by_mouth", "known", "other_products", "lines"}
)
# Columns that sort a value set's rows by what they mean to a rule.
SORTS = ("tier", "group", "strength", "meaning")
# Tables handed to the engine whole, to tell drugs and routes apart: no rule picks among their rows.
TABLES = frozenset({"known", "other_products", "routes"})
BOUNDS = ("more_than", "at_least")
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutant:
    """One changed rule; the id says where, and how."""

    id: str
    rule: Rule


@dataclass(frozen=True)
class Tally:
    """What became of a rule's mutants; `survivors` are those that no case noticed and nothing explains."""

    rule: str
    killed: int
    explained: int
    survivors: tuple[str, ...]
    idle: tuple[str, ...]

    @property
    def total(self) -> int:
        """All mutants of the rule."""
        return self.killed + self.explained + len(self.survivors)


class Explained(BaseModel):
    """mutants.yaml: survivors that no chart can tell from the rule, each with the reason."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    survivors: dict[str, str]


def tally(version: RuleVersion) -> Tally:
    """Run the cases of a rule against each of its mutants. Raises RulebookInvalid if one fails on the rule itself."""
    data, _ = read_yaml(version.folder / "rule.yaml")
    charts = [(case, chart_of(case)) for case in read_cases(version).cases]
    if _killed(Mutant("unchanged", version.rule), version.sets, charts):
        problem = "a case fails on the rule itself and would count every change as noticed: see cds-service rules test"
        raise RulebookInvalid(problem, file=(version.folder / "cases.yaml").as_posix())
    explained = _explained(version.folder / "mutants.yaml")
    fates = {mutant.id: _killed(mutant, version.sets, charts) for mutant in mutants(data, version.sets)}
    alive = [name for name, killed in fates.items() if not killed]
    return Tally(
        rule=version.rule.rule,
        killed=len(fates) - len(alive),
        explained=sum(1 for one in alive if one in explained),
        survivors=tuple(one for one in alive if one not in explained),
        idle=tuple(one for one in explained if one not in alive),
    )


def _explained(path: Path) -> dict[str, str]:
    return read_model(path, Explained).survivors if path.exists() else {}


def _killed(mutant: Mutant, sets: dict[str, ValueSet], charts: list[tuple[Case, Chart]]) -> bool:
    """Whether a case differs under the mutant."""
    compiled = CompiledRule(mutant.rule, sets, "mutant")
    return any(any(differences(case.expect, compiled.assess(chart, case.jurisdiction))) for case, chart in charts)


def mutants(data: dict[str, Any], sets: dict[str, ValueSet]) -> Iterator[Mutant]:
    """Every mutant that is still a rule, in a fixed order."""
    seen: set[str] = set()
    for where, change, value in _changes(data, sets):
        changed = copy.deepcopy(data)
        _put(changed, where, value)
        name = f"{_place(data, where)} {change}"
        rule = _rule(changed)
        if name not in seen and rule:
            seen.add(name)
            yield Mutant(name, rule)


def _place(data: Any, where: Where) -> str:
    """A place in words: a line of a timeline and a grade by their ids, so that the name outlives a change of order."""
    words = []
    for part in where:
        data = data[part]
        words.append(data["id"] if isinstance(data, dict) and "id" in data else str(part))
    return ".".join(words)


def _rule(data: dict[str, Any]) -> Rule | None:
    try:
        return Rule.model_validate(data)
    except ValidationError:
        return None


Change = tuple[Where, str, Any]


def _changes(data: dict[str, Any], sets: dict[str, ValueSet]) -> Iterator[Change]:
    for part in ("facts", "criteria"):
        for where, value in _walk(data[part], (part,)):
            yield from _changes_at(where, value, sets)
    for index, grade in enumerate(data["grades"]):
        for finding in CHOICES["finding"]:
            if finding != grade["finding"]:
                yield ("grades", index, "finding"), f"-> {finding}", finding
        if grade["when"] != "otherwise":
            yield from _conditions(("grades", index, "when"), grade["when"])
    grades = data["grades"]
    for index in range(len(grades) - 1):
        order = [*grades[:index], grades[index + 1], grades[index], *grades[index + 2 :]]
        yield ("grades",), f"{grades[index + 1]['id']} before {grades[index]['id']}", order


def _walk(value: Any, where: Where) -> Iterator[tuple[Where, Any]]:
    yield where, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, (*where, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, (*where, index))


def _changes_at(where: Where, value: Any, sets: dict[str, ValueSet]) -> Iterator[Change]:
    key = next((part for part in reversed(where) if isinstance(part, str)), "")
    if key in NUMBERS and isinstance(value, int | float) and not isinstance(value, bool):
        step = 1 if isinstance(value, int) else 0.1
        yield where, f"{value} -> {value + step}", value + step
        yield where, f"{value} -> {value - step}", value - step
    if key in CHOICES and where[-1] == key:
        for other in CHOICES[key]:
            if other != value:
                yield where, f"{value} -> {other}", other
    if key in LISTS and isinstance(value, list) and len(value) > 1:
        for index in range(len(value)):
            yield where, f"without {_short(value[index])}", [*value[:index], *value[index + 1 :]]
    if isinstance(value, dict):
        yield from _bounds(where, value)
        yield from _selections(where, value, sets)


def _short(value: Any) -> str:
    return str(value.get("id", value.get("set"))) if isinstance(value, dict) else str(value)


def _bounds(where: Where, value: dict[str, Any]) -> Iterator[Change]:
    """Strict for not strict, and back; a window left out."""
    for one, other in (BOUNDS, BOUNDS[::-1]):
        if one in value and "value" in value:
            yield where, f"{one} -> {other}", {(other if key == one else key): item for key, item in value.items()}
    if "within_days" in value and value.get("kind") != "blood pressure":
        yield where, "without within_days", {key: item for key, item in value.items() if key != "within_days"}


def _selections(where: Where, value: dict[str, Any], sets: dict[str, ValueSet]) -> Iterator[Change]:
    """A selection of a value set with one value of a column, or one code, dropped or taken besides."""
    if "set" not in value or value["set"] not in sets:
        return
    entries = sets[value["set"]].codes.values()
    whole = not value.keys() & {"where", "codes"} and TABLES.isdisjoint(where)
    for column in SORTS if whole else value.get("where", {}):
        present = sorted({entry.columns.get(column, "") for entry in entries})
        wanted = present if whole else value["where"][column]
        for item in wanted if len(wanted) > 1 else ():
            kept = [one for one in wanted if one != item]
            yield where, f"{column} without '{item}'", {**value, "where": {**value.get("where", {}), column: kept}}
        for item in present:
            if item not in wanted:
                more = {**value["where"], column: [*wanted, item]}
                yield where, f"{column} with '{item}'", {**value, "where": more}
    if "codes" in value:
        for code in sorted({entry.key[1] for entry in entries} - set(value["codes"])):
            yield where, f"with {code}", {**value, "codes": [*value["codes"], code]}


def _conditions(where: Where, when: Any) -> Iterator[Change]:
    """`any` for `all` and back, a part left out, a negation dropped."""
    if isinstance(when, str):
        return
    for word, other in (("any", "all"), ("all", "any")):
        if word in when:
            yield where, f"{word} -> {other}", {other: when[word]}
            for index, part in enumerate(when[word]):
                rest = [*when[word][:index], *when[word][index + 1 :]]
                if rest:
                    yield where, f"without part {index}", {word: rest}
                yield from _conditions((*where, word, index), part)
    if "not" in when:
        yield where, "without not", when["not"]
        yield from _conditions((*where, "not"), when["not"])


def _put(data: Any, where: Where, value: Any) -> None:
    for part in where[:-1]:
        data = data[part]
    data[where[-1]] = value
