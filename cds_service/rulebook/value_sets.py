"""Value sets on disk: a CSV of explicit codes and a metadata file per version, identified by content hash."""

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cds_service.decision.codes import Entry, ValueSet
from cds_service.decision.coding import CodeKey
from cds_service.errors import RulebookInvalid
from cds_service.rulebook.files import name_of, read_model

FIXED = ("system", "code", "display", "verified")
# SNOMED's semantic tags tell terminologists apart what a prescriber reads as one word.
TAGS = (" (disorder)", " (finding)", " (situation)", " (event)", " (procedure)")


class Metadata(BaseModel):
    """What the metadata file must say; the rest of it is for people."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    id: str
    version: str
    title: str
    status: str
    sha256: str


def read_value_set(folder: Path, set_id: str, version: str) -> ValueSet:
    """A value set version. Raises RulebookInvalid when it is missing, malformed, or not what its hash says."""
    path = folder / set_id / f"{version}.csv"
    metadata = read_model(folder / set_id / f"{version}.yaml", Metadata)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulebookInvalid("cannot be read", file=name_of(path)) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != metadata.sha256:
        raise RulebookInvalid(
            "does not have the content hash of its metadata: a released version was edited", file=name_of(path)
        )
    codes: dict[CodeKey, Entry] = {}
    for number, row in enumerate(_rows(path, data), start=2):
        entry = _entry(row)
        if not entry.key[1] or entry.key in codes:
            raise RulebookInvalid("has an empty or repeated code", file=name_of(path), line=number)
        codes[entry.key] = entry
    return ValueSet(set_id, version, metadata.title, digest, codes)


def _rows(path: Path, data: bytes) -> Iterator[dict[str, str]]:
    """The rows by column. Raises RulebookInvalid for what is not a table with the columns every set has."""
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    except UnicodeDecodeError as error:
        raise RulebookInvalid("is not UTF-8 text", file=name_of(path)) from error
    if missing := sorted(set(FIXED) - set(rows.fieldnames or ())):
        raise RulebookInvalid(f"lacks the column {missing[0]}", file=name_of(path), line=1)
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise RulebookInvalid("has a row with more or fewer cells than columns", file=name_of(path), line=number)
        yield row


def _entry(row: dict[str, str]) -> Entry:
    return Entry(
        key=(row["system"], row["code"]),
        display=_display(row["display"] or row["code"]),
        verified=row["verified"] == "yes",
        columns={name: value for name, value in row.items() if name not in FIXED and value},
    )


def _display(text: str) -> str:
    for tag in TAGS:
        text = text.removesuffix(tag)
    return text
