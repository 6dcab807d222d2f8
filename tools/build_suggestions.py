"""Build the draft resources that cards offer, from rules/suggestions.yaml, as files that the service reads.

Usage::

    python tools/build_suggestions.py [RULES_DIR]

Writes ``RULES_DIR/suggestions/<id>.json`` for every suggestion and removes files of suggestions that are gone. Each is
validated as an R4 resource about a placeholder patient; the file leaves the patient out, because the service fills in
``subject`` (ServiceRequest) or ``for`` (Task) when it knows whom the card is about. The validating library stays out of
the service that way. The same YAML gives the same bytes.

Needs: fhir.resources, PyYAML.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

# R4B by name, in which these two resources are as in R4: the package's top level is R5, in which they differ.
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.task import Task

RULES = Path(__file__).resolve().parents[1] / "rules"
# The element that names the patient.
PATIENT_ELEMENT = {"ServiceRequest": "subject", "Task": "for"}
PLACEHOLDER = {"reference": "Patient/placeholder"}
MODELS: dict[str, type[ServiceRequest | Task]] = {"ServiceRequest": ServiceRequest, "Task": Task}

Json = dict[str, Any]


def codeable_concept(code: Json) -> Json:
    """The code as CodeableConcept: its text, and a coding where the suggestion names a code."""
    coding = {key: code[key] for key in ("system", "code", "display") if key in code}
    return {"coding": [coding], "text": code["text"]} if coding else {"text": code["text"]}


def outline(suggestion: Json) -> Json:
    """The elements of the draft resource, without a patient."""
    resource = {
        "resourceType": suggestion["kind"],
        "status": suggestion["status"],
        "intent": suggestion["intent"],
        "code": codeable_concept(suggestion["code"]),
    }
    if "priority" in suggestion:
        resource["priority"] = suggestion["priority"]
    if suggestion["kind"] == "Task":
        resource["description"] = suggestion["description"]
    return resource


def with_patient(resource: Json, patient: Json) -> Json:
    """The resource about `patient` (a Reference), validated; raises pydantic's ValidationError if it is not R4."""
    kind = resource["resourceType"]
    filled = {**resource, PATIENT_ELEMENT[kind]: patient}
    validated: Json = json.loads(MODELS[kind].model_validate(filled).model_dump_json())
    return validated


def draft(suggestion: Json) -> Json:
    """The validated draft resource without its patient."""
    resource = with_patient(outline(suggestion), PLACEHOLDER)
    del resource[PATIENT_ELEMENT[suggestion["kind"]]]
    return resource


def build(suggestions: dict[str, Json]) -> dict[str, bytes]:
    """File name and content per suggestion."""
    return {
        f"{name}.json": (json.dumps(draft(suggestion), indent=2, ensure_ascii=False) + "\n").encode()
        for name, suggestion in suggestions.items()
    }


def write(files: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the draft resources that cards offer.")
    parser.add_argument("rules_dir", type=Path, nargs="?", default=RULES)
    rules: Path = parser.parse_args(arguments).rules_dir
    suggestions = yaml.safe_load((rules / "suggestions.yaml").read_text(encoding="utf-8"))
    files = build(suggestions)
    write(files, rules / "suggestions")
    sys.stdout.write(f"{len(files)} draft resources\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
