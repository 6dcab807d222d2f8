"""The JSON Schema of rule files: current, true to the models, and closed."""

import dataclasses
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from cds_service.decision.rule import CardText, Criterion, Fact, Grade, Rule, SetRef
from cds_service.rulebook.cases import Case, read_cases, run_case
from cds_service.rulebook.files import read_yaml
from cds_service.rulebook.load import load_rulebook
from cds_service.rulebook.schema import rule_schema, rule_schema_text
from tests.unit.rulebook.support import real_rulebook
from tools import pin_rules

RULES = Path(__file__).resolve().parents[3] / "rules"
FILES = sorted(RULES.glob("*/*/rule.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(rule_schema())


def a_rule() -> dict[str, Any]:
    data, _ = read_yaml(RULES / "blood-pressure" / "1.0.0" / "rule.yaml")
    assert isinstance(data, dict)
    return data


def test_the_committed_schema_is_current() -> None:
    text = (RULES / "rule.schema.json").read_text(encoding="utf-8")
    assert text == rule_schema_text(), "stale: cds-service rules schema renews it"
    assert json.loads(text) == rule_schema()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(rule_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.parent.name)
def test_every_rule_file_validates(path: Path) -> None:
    data, _ = read_yaml(path)
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


def spoiled(case: str) -> dict[str, Any]:
    rule = a_rule()
    match case:
        case "an unknown key":
            rule["colour"] = "blue"
        case "a missing key":
            del rule["purpose"]
        case "a version that is a number":
            rule["version"] = 1.0
        case "an ill-formed name":
            rule["criteria"]["Crisis_Reading"] = {"found": "crisis"}
        case "an unknown kind of fact":
            rule["facts"]["crisis"]["kind"] = "horoscope"
        case "an unknown key of a fact":
            rule["facts"]["crisis"]["colour"] = "blue"
        case "an unknown question":
            rule["criteria"]["any-reading"] = {"guess": "any-bp"}
        case "an unknown grade":
            rule["grades"][0]["grade"] = "recommendation"
        case "one option":
            rule["grades"][0]["card"]["options"] = ["postponement"]
        case "no grade":
            rule["grades"] = []
        case _:
            rule["implements"] = ["S1"]
    return rule


@pytest.mark.parametrize(
    "case",
    [
        "an unknown key",
        "a missing key",
        "a version that is a number",
        "an ill-formed name",
        "an unknown kind of fact",
        "an unknown key of a fact",
        "an unknown question",
        "an unknown grade",
        "one option",
        "no grade",
        "a source for a statement",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(case: str) -> None:
    rule = spoiled(case)
    assert not VALIDATOR.is_valid(rule)
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)


def test_what_a_model_says_of_a_key_describes_it() -> None:
    models = rule_schema()["$defs"]
    assert models["AnswerLine"]["properties"]["together"]["description"].startswith("`together`: every code")
    assert "description" not in models["AnswerLine"]["properties"]["flag"]


def test_every_model_is_described_in_one_line() -> None:
    for model in rule_schema()["$defs"].values():
        assert model["description"]
        assert "\n" not in model["description"]


# ------------------------------------------------------------ the examples of rules/README.md

README = (RULES / "README.md").read_text(encoding="utf-8")


def examples(section: str) -> list[Any]:
    """The last cell of each row of the tables of a section, where it holds an example."""
    text = README.split(f"### {section}\n")[1].split("\n#")[0]
    return [yaml.safe_load(found) for found in re.findall(r"\| `(\{.*\})` \|$", text, re.MULTILINE)]


@pytest.mark.parametrize(("section", "model"), [("Codes", SetRef), ("Facts", Fact), ("Criteria", Criterion)])
def test_each_example_of_the_vocabulary_is_valid(section: str, model: Any) -> None:
    found = examples(section)
    for example in found:
        TypeAdapter(model).validate_python(example)
    assert len(found) == {"Codes": 3, "Facts": 9, "Criteria": len(get_args(Criterion))}[section]


@pytest.mark.parametrize("model", [Grade, CardText])
def test_every_key_of_grades_and_cards_is_in_the_vocabulary(model: type[Grade] | type[CardText]) -> None:
    text = README.split("### Grades and cards\n")[1].split("\n#")[0]
    assert set(model.model_fields) <= set(re.findall(r"`(\w+)`", text))


def test_the_rule_of_the_ten_minutes_loads(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    example = README.split("## A rule in ten minutes")[1].split("```yaml\n")[1].split("```")[0]
    path = folder / "seizure" / "1.0.0" / "rule.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(example), encoding="utf-8")
    pin_rules.pin(folder, "seizure", "1.0.0", "2026-11-24")
    version = load_rulebook(folder).version("seizure")
    assert version is not None
    assert version.release.status == "draft"


def test_the_case_of_the_readme_holds(tmp_path: Path) -> None:
    example = README.split("## Cases")[1].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "cases.yaml").write_text(example, encoding="utf-8")
    version = real_rulebook().version("blood-pressure", "1.0.0")
    assert version is not None
    cases = read_cases(dataclasses.replace(version, folder=tmp_path)).cases
    assert [fault for case in cases for fault in run_case(version, case).faults] == []


def statement(end: str) -> dict[str, Any]:
    """The statement of the example in the section on counting."""
    return {
        "code": "rxnorm|36437",
        "status": "stopped",
        "start": "2026-01-05",
        "end": end,
        "dose": "100 mg daily",
        "status_reasons": "snomed|266721009",
    }


@pytest.mark.parametrize(("end", "days", "counts"), [("2026-02-15", 42, "met"), ("2026-02-14", 41, "not met")])
def test_the_course_of_the_readme_is_counted_so(end: str, days: int, counts: str) -> None:
    version = real_rulebook().version("prior-antidepressant-failures", "1.0.0")
    assert version is not None
    depression = {"code": "icd10cm|F33.1", "clinical": "active", "onset": "2026-01-01"}
    given = {"conditions": [depression], "statements": [statement(end)]}
    case = Case.model_validate({"case": "The example", "given": given, "expect": {"outcome": "not met"}})
    course = run_case(version, case).assessment.courses[0]
    assert (course.days_certain, course.counts.value, course.minimum_mg) == (days, counts, "50")
