"""The client a request is bound to, and the comparison of FHIR server URLs with those a client may name.

URLs are compared after parsing, never as text. A URL that means different things to different parsers (user
information, backslashes, dot segments, ...) is refused rather than interpreted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

Jurisdiction = Literal["US", "EU", "UK"]
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Client:
    """One registered caller. `fhir_servers` are the normalised base URLs that may be called on its behalf.

    `dose_arithmetic`: its cards show the studied dose of 0.5 mg/kg times the latest weight, in milligrams.
    """

    id: str
    tenant: str
    jurisdiction: Jurisdiction
    fhir_servers: tuple[str, ...] = ()
    dose_arithmetic: bool = False


def development_client(
    *, jurisdiction: Jurisdiction = "US", fhir_servers: Iterable[str] = (), dose_arithmetic: bool = False
) -> Client:
    """The one client of the development mode, where callers are not authenticated. ValueError on a refused URL."""
    servers = tuple(normalise_base_url(url) for url in fhir_servers)
    return Client("development", "development", jurisdiction, servers, dose_arithmetic)


def fhir_server_allowed(url: str, allowed: Iterable[str]) -> bool:
    """Whether `url` is, after normalisation, one of the allowed base URLs. A URL we refuse to read is not allowed."""
    try:
        return normalise_base_url(url) in {normalise_base_url(base) for base in allowed}
    except ValueError:
        return False


def normalise_base_url(url: str) -> str:
    """`scheme://host[:port]/path`: lower-case scheme and host, default port and trailing slash dropped.

    Raises ValueError, with a reason that does not repeat the URL, for anything but a plain absolute http(s) URL.
    """
    _refuse_odd_text(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    host = _host(parts)
    path = _path(parts)
    if port is None or port == _DEFAULT_PORTS[parts.scheme]:
        return f"{parts.scheme}://{host}{path}"
    return f"{parts.scheme}://{host}:{port}{path}"


def _refuse_odd_text(url: str) -> None:
    if not all("!" <= char <= "~" for char in url):
        raise ValueError("has blanks, control characters or characters outside ASCII")
    if any(char in url for char in "\\?#"):
        raise ValueError("has a backslash, a query or a fragment")


def _host(parts: SplitResult) -> str:
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("is not an http or https URL")
    if "@" in parts.netloc:
        raise ValueError("has user information")
    host = parts.hostname
    if not host or "%" in host or host.endswith("."):
        raise ValueError("has no plain host name")
    return f"[{host}]" if ":" in host else host


def _path(parts: SplitResult) -> str:
    segments = parts.path.rstrip("/").split("/")
    # %2e and %2f are read as dots and slashes by some servers and not by others.
    if any(segment in (".", "..") or "%2" in segment.lower() for segment in segments):
        raise ValueError("has dot segments")
    return "/".join(segments)
