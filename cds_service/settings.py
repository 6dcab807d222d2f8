"""The environment, read once into one frozen Settings. Every variable starts with CDS_; .env.example lists them all."""

import datetime as dt
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cds_service.errors import SettingsRefused
from cds_service.trust.clients import Jurisdiction, normalise_base_url

PREFIX = "CDS_"
MIB = 1024 * 1024
DEVELOPMENT_ONLY = (
    "this version does not authenticate its callers, so it starts only with CDS_MODE=development, on a loopback address"
)
# A comma-separated list, because that is what people type into an environment variable.
Commas = Annotated[tuple[str, ...], NoDecode]
Seconds = Annotated[float, Field(gt=0, le=30)]


class Settings(BaseSettings):
    """Everything that can be set. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    mode: Literal["development"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    base_url: str = ""
    serve_draft: bool = False
    fhir_servers: Commas = ()
    sandbox: bool = False
    fixtures_dir: Path = Path("fhir_fixtures")
    rules_dir: Path = Path("rules")
    as_of: str = ""
    jurisdiction: Jurisdiction = "US"
    dose_arithmetic: bool = False
    cors_origins: Commas = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    request_seconds: Seconds = 2.0
    outbound_seconds: Seconds = 1.2
    call_seconds: Seconds = 1.0
    connect_seconds: Seconds = 0.3
    max_calls: int = Field(60, ge=0, le=500)
    max_pages: int = Field(30, ge=1, le=200)
    body_bytes: int = Field(8 * MIB, ge=1024, le=16 * MIB)
    reply_bytes: int = Field(4 * MIB, ge=1024, le=64 * MIB)
    replies_bytes: int = Field(16 * MIB, ge=1024, le=256 * MIB)

    @field_validator("mode", mode="before")
    @classmethod
    def _development_only(cls, value: object) -> object:
        if value != "development":
            raise ValueError(DEVELOPMENT_ONLY)
        return value

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, value: str) -> str:
        if not _is_loopback(value):
            raise ValueError(DEVELOPMENT_ONLY)
        return value

    @field_validator("fhir_servers", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("fhir_servers")
    @classmethod
    def _plain_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normalise_base_url(url) for url in value)

    @field_validator("base_url")
    @classmethod
    def _plain_base(cls, value: str) -> str:
        return normalise_base_url(value) if value else ""

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_is_origin(origin) for origin in value):
            raise ValueError("an origin is scheme://host[:port] in lower case, without a path; * and null are refused")
        return value

    @field_validator("as_of")
    @classmethod
    def _readable_as_of(cls, value: str) -> str:
        if value:
            parse_as_of(value)
        return value

    @model_validator(mode="after")
    def _limits_nest(self) -> "Settings":
        if not self.connect_seconds <= self.call_seconds <= self.outbound_seconds < self.request_seconds:
            raise ValueError("limits must nest: connect <= call <= outbound < request seconds")
        return self

    @property
    def public_url(self) -> str:
        """The base URL of links in cards: `base_url`, or where the service listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """The base URL of the sandbox EHR's FHIR endpoint."""
        return f"{self.public_url}/sandbox/fhir"

    @property
    def allowed_fhir_servers(self) -> tuple[str, ...]:
        """The FHIR servers that may be called: those listed, and our own sandbox while it is on."""
        return (*self.fhir_servers, self.sandbox_url) if self.sandbox else self.fhir_servers

    @property
    def frozen_clock(self) -> dt.datetime | None:
        """The instant the service believes it is, or None for the real clock."""
        return parse_as_of(self.as_of) if self.as_of else None


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """The settings of the environment and of `env_file`, if it exists. Raises SettingsRefused, naming the setting."""
    _refuse_unknown(os.environ)
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        # The error would print the values, and a value may be a secret put into the wrong variable.
        first = error.errors(include_input=False, include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper().removeprefix(PREFIX)
        problem = first["msg"].removeprefix("Value error, ") + "."
        raise SettingsRefused(problem, setting=PREFIX + name if name else None) from None


def parse_as_of(text: str) -> dt.datetime:
    """An instant with an offset, or a day, which means its last second in UTC: what is dated that day has happened.

    Raises ValueError for anything else.
    """
    try:
        day = dt.date.fromisoformat(text) if len(text) == len("2026-11-01") else None
        moment = dt.datetime.combine(day, dt.time(23, 59, 59), dt.UTC) if day else dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("write a date (2026-11-01) or an instant with an offset (2026-11-01T12:00:00Z)") from None
    if moment.tzinfo is None:
        raise ValueError("an instant needs an offset, as in 2026-11-01T12:00:00Z")
    return moment.astimezone(dt.UTC)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_origin(origin: str) -> bool:
    parts = urlsplit(origin)
    plain = f"{parts.scheme}://{parts.netloc}" == origin == origin.lower()
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "*" not in origin


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A mistyped variable would silently leave its default in force, so it stops the start."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsRefused("no such setting: .env.example lists them all.", setting=name)
