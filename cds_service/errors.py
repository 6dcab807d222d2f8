"""Every error this service raises on purpose, drawn as a tree; one never-reused code each, one table of HTTP statuses.

    CdsError
    ├── RequestError                  the caller can put it right
    │   ├── MalformedRequest          CDS-101 structure, CDS-102 required, CDS-103 value
    │   ├── UnreadableFhir            CDS-104 a FHIR resource or Bundle we cannot work without cannot be read
    │   ├── OtherPatient              CDS-105 data of another patient in the request
    │   ├── UnknownService            CDS-106
    │   ├── UnknownPage               CDS-107 any other path
    │   ├── MethodNotAllowed          CDS-108
    │   ├── RequiredDataMissing       CDS-109 one issue per prefetch key
    │   ├── BodyTooLarge              CDS-110
    │   ├── UnsupportedMediaType      CDS-111
    │   └── UnsupportedFhirVersion    CDS-112
    ├── ServiceError                  we have to put it right
    │   ├── JournalUnavailable        CDS-201
    │   ├── DeadlineExceeded          CDS-202
    │   └── InternalFault             CDS-203
    └── Refusal                       no request is concerned: the service does not start, or the command ends
        ├── RulebookInvalid           CDS-301 file, line, key
        ├── SettingsRefused           CDS-302
        └── CommandRefused            CDS-303 a command cannot do what it was asked

No text here, and no argument given to these classes, may hold a value taken from a request: callers log and return
them as they are. Arguments are places (`context.patientId`), our own prefetch keys, and sentences written in the code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, LiteralString

# The only table of statuses. A code is never given to another fault, also when its fault is gone.
STATUS: dict[str, int] = {
    "CDS-101": 400,
    "CDS-102": 400,
    "CDS-103": 400,
    "CDS-104": 400,
    "CDS-105": 400,
    "CDS-106": 404,
    "CDS-107": 404,
    "CDS-108": 405,
    "CDS-109": 412,
    "CDS-110": 413,
    "CDS-111": 415,
    "CDS-112": 422,
    "CDS-201": 503,
    "CDS-202": 503,
    "CDS-203": 500,
    "CDS-301": 500,
    "CDS-302": 500,
    "CDS-303": 500,
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome: its FHIR code, our sentence, the place, and a cause class if there is one."""

    code: str
    text: str
    expression: tuple[str, ...] = ()
    diagnostics: str | None = None


class CdsError(Exception):
    """The root. `code` identifies the fault for ever; `issue` is the FHIR issue code; `text` is the safe sentence."""

    code: str
    issue: str
    text: str

    def __init__(self, expression: str | None = None, *, why: LiteralString | None = None) -> None:
        """`expression` is the place in the request (never a value); `why` a sentence written in the code."""
        self.expression = expression
        self.why = why
        super().__init__(self.sentence)

    @property
    def status(self) -> int:
        """The HTTP status of this fault."""
        return STATUS[self.code]

    @property
    def sentence(self) -> str:
        """The whole safe text, for a log, a terminal or an OperationOutcome."""
        return f"{self.text} {self.why}" if self.why else self.text

    def issues(self) -> tuple[Issue, ...]:
        """The issues to report; at least one."""
        places = (self.expression,) if self.expression else ()
        return (Issue(self.issue, self.sentence, places),)


class RequestError(CdsError):
    """A fault of the request."""


class ServiceError(CdsError):
    """A fault of ours."""


class Refusal(CdsError):
    """The service does not start, or a command ends."""


class MalformedRequest(RequestError):
    """The body is not a CDS Hooks request: its structure, a required member, or a value is wrong."""

    text = "The request is not a valid CDS Hooks request and was not evaluated."
    KINDS: ClassVar[dict[str, tuple[str, str]]] = {
        "structure": ("CDS-101", "Its JSON cannot be read: send one UTF-8 JSON object without repeated members."),
        "required": ("CDS-102", "A required member is missing at the place named in expression: send it."),
        "value": ("CDS-103", "The value at the place named in expression has a wrong type or content: correct it."),
    }

    def __init__(
        self,
        kind: Literal["structure", "required", "value"],
        expression: str | None = None,
        *,
        why: LiteralString | None = None,
    ) -> None:
        self.issue = kind
        self.code, advice = self.KINDS[kind]
        self.text = f"{self.text} {advice}"
        super().__init__(expression, why=why)


class UnreadableFhir(RequestError):
    """A FHIR resource or Bundle that we cannot work without cannot be read."""

    code = "CDS-104"
    issue = "structure"
    text = (
        "A FHIR resource or Bundle at the place named in expression cannot be read, so nothing was evaluated: "
        "send FHIR R4 JSON."
    )


class OtherPatient(RequestError):
    """Data of another patient, anywhere in what was given or fetched. `expression` is the place, never an id."""

    code = "CDS-105"
    issue = "conflict"
    text = (
        "Patient mismatch: data at the place named in expression belong to another patient than context.patientId, "
        "so nothing was evaluated: send the data of one patient."
    )


class UnknownService(RequestError):
    """No CDS service has the id in the path."""

    code = "CDS-106"
    issue = "not-found"
    text = "No CDS service has the id in the path: take an id from GET /cds-services."


class UnknownPage(RequestError):
    """Nothing lives at the path."""

    code = "CDS-107"
    issue = "not-found"
    text = "Nothing is found at this path: GET /cds-services lists the services."


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method. The `Allow` header says which."""

    code = "CDS-108"
    issue = "not-supported"
    text = "This path does not take the method used: use one named in the Allow header."


# What may be said about why a list is not there. They are the causes of `decision.facts.Gap`, hyphenated.
CAUSES = frozenset(
    {
        "not-sent",
        "refused",
        "timeout",
        "unreachable",
        "client-error",
        "too-large",
        "further-pages-not-read",
        "unreadable",
        "not-offered",
    }
)


class RequiredDataMissing(RequestError):
    """Required data were neither sent nor obtainable: (prefetch key, cause) pairs, the keys being our published ones.

    A cause is one of `CAUSES`, or its spelling with blanks as in `decision.facts.Gap`. Raises ValueError on another.
    """

    code = "CDS-109"
    issue = "processing"
    text = (
        "Data that this service requires were neither in the prefetch nor obtainable from fhirServer, so nothing was "
        "evaluated: send the prefetch key named in diagnostics, or a fhirServer and token that can read it."
    )

    def __init__(self, missing: Iterable[tuple[str, str]]) -> None:
        self.missing = tuple((key, cause.replace(" ", "-")) for key, cause in missing)
        if not self.missing or any(cause not in CAUSES for _, cause in self.missing):
            raise ValueError("RequiredDataMissing needs at least one key, each with a cause of errors.CAUSES")
        super().__init__()

    @property
    def sentence(self) -> str:
        return f"{self.text} Missing: {', '.join(f'{key} ({cause})' for key, cause in self.missing)}."

    def issues(self) -> tuple[Issue, ...]:
        return tuple(
            Issue(self.issue, self.text, (f"prefetch.{key}",), f"{key}: {cause}") for key, cause in self.missing
        )


class BodyTooLarge(RequestError):
    """The body is larger than the limit."""

    code = "CDS-110"
    issue = "too-long"
    text = "The request body is larger than this service accepts and was not read: send less prefetch."


class UnsupportedMediaType(RequestError):
    """The body's media type or content encoding is not one we read."""

    code = "CDS-111"
    issue = "not-supported"
    text = (
        "The media type or content encoding of the request body is not supported: "
        "send application/json or application/fhir+json, uncompressed."
    )


class UnsupportedFhirVersion(RequestError):
    """The request's FHIR data are of another version than R4."""

    code = "CDS-112"
    issue = "not-supported"
    text = "The FHIR data are not of version R4 (4.0.1), so nothing was evaluated: send FHIR R4."


class JournalUnavailable(ServiceError):
    """The decision could not be recorded; without a record there is no advice."""

    code = "CDS-201"
    issue = "no-store"
    text = (
        "The decision could not be recorded, and advice without a record is not given: "
        "try again later, and tell the operator if it lasts."
    )


class DeadlineExceeded(ServiceError):
    """The request took longer than its overall limit."""

    code = "CDS-202"
    issue = "transient"
    text = "No answer was ready within this service's time limit, so no advice is given: try again."


class InternalFault(ServiceError):
    """An exception nobody foresaw. The log names its type and place under the same correlation id."""

    code = "CDS-203"
    issue = "exception"
    text = (
        "An unexpected fault in this service prevented an answer, so no advice is given: "
        "tell the operator the correlation id in the response header."
    )


class RulebookInvalid(Refusal):
    """A file of the rulebook is wrong: which file, which line (if known), which key, and why."""

    code = "CDS-301"
    issue = "invalid"
    text = "The rulebook is not valid, so it is not loaded."

    def __init__(self, problem: str, *, file: str, line: int | None = None, key: str | None = None) -> None:
        self.problem, self.file, self.line, self.key = problem, file, line, key
        super().__init__()

    @property
    def sentence(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{self.text} {place}: {self.key + ': ' if self.key else ''}{self.problem}"


class SettingsRefused(Refusal):
    """The settings do not allow a start: which setting, and why. Never a secret's value."""

    code = "CDS-302"
    issue = "invalid"
    text = "The settings do not allow a start."

    def __init__(self, problem: str, *, setting: str | None = None) -> None:
        self.problem, self.setting = problem, setting
        super().__init__()

    @property
    def sentence(self) -> str:
        return f"{self.text} {self.setting + ': ' if self.setting else ''}{self.problem}"


class CommandRefused(Refusal):
    """A command cannot do what it was asked: what, and what to do instead."""

    code = "CDS-303"
    issue = "invalid"
    text = "The command was not carried out."

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__()

    @property
    def sentence(self) -> str:
        return f"{self.text} {self.problem}"


def operation_outcome(issues: Iterable[Issue], severity: Literal["error", "information"] = "error") -> dict[str, Any]:
    """A FHIR R4 OperationOutcome as a JSON-ready dict, members without a value left out."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue, severity) for issue in issues]}


def _issue(issue: Issue, severity: str) -> dict[str, Any]:
    member: dict[str, Any] = {"severity": severity, "code": issue.code, "details": {"text": issue.text}}
    if issue.expression:
        member["expression"] = list(issue.expression)
    if issue.diagnostics:
        member["diagnostics"] = issue.diagnostics
    return member
