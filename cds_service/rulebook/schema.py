"""The JSON Schema of rule files, made from the models that read them, so that an editor knows the rule language.

It holds the shape of a rule; what needs more than one key (laws.py) is held by the loader alone.
"""

import json
import re
from typing import Any

from cds_service.decision.rule import Rule

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Rule of the ketamine decision support"


def rule_schema() -> dict[str, Any]:
    """The schema. What a model's docstring says of a key is that key's description."""
    schema = Rule.model_json_schema(by_alias=True)
    for model in [schema, *schema["$defs"].values()]:
        _describe(model)
    return {"$schema": DIALECT, **schema, "title": TITLE}


def rule_schema_text() -> str:
    """The schema as committed: two blanks per level, a newline at the end."""
    return json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n"


def _describe(model: dict[str, Any]) -> None:
    text = " ".join(model["description"].split())
    model["description"] = text
    sentences = re.split(r"(?<=[.)])\s+(?=[A-Z`])", text)
    for key, entry in model["properties"].items():
        about = [sentence for sentence in sentences if f"`{key}`" in sentence]
        # Titles made of the key say nothing that the key does not.
        entry.pop("title", None)
        if "patternProperties" in entry:
            entry["additionalProperties"] = False
        if about:
            entry["description"] = " ".join(about)
