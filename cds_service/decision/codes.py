"""Value sets as rules read them: explicit codes with their columns, and selections of them."""

from collections.abc import Iterable, Mapping

import msgspec

from cds_service.decision.coding import CodeKey, Coding
from cds_service.decision.rule import SetRef


class Entry(msgspec.Struct, frozen=True):
    """One row of a value set; `columns` are its further columns (`tier`, `ingredient`, ...) as text."""

    key: CodeKey
    display: str
    verified: bool
    columns: Mapping[str, str]


Codes = Mapping[CodeKey, Entry]


class ValueSet(msgspec.Struct, frozen=True):
    """A value set version; `sha256` is that of its CSV bytes."""

    id: str
    version: str
    title: str
    sha256: str
    codes: Codes

    def select(self, ref: SetRef) -> Codes:
        """The rows that `ref` picks."""
        wanted = set(ref.codes)
        return {
            key: entry
            for key, entry in self.codes.items()
            if (not wanted or key[1] in wanted)
            and all(entry.columns.get(column, "") in values for column, values in ref.where.items())
        }


def select_all(refs: Iterable[SetRef], sets: Mapping[str, ValueSet]) -> Codes:
    """The rows that any of `refs` picks; the first to pick a code describes it."""
    chosen: dict[CodeKey, Entry] = {}
    for ref in refs:
        for key, entry in sets[ref.set].select(ref).items():
            chosen.setdefault(key, entry)
    return chosen


def first_match(codings: Iterable[Coding], codes: Codes) -> Entry | None:
    """The entry of the first coding that lies in `codes`."""
    for coding in codings:
        entry = codes.get((coding.system, coding.code))
        if entry is not None:
            return entry
    return None
