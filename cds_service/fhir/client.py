"""Reads from the FHIR server of one request, within limits; the only door to httpx in this package.

GET only, no redirects, nothing taken from the environment, and the token goes nowhere but to the one base URL, which
the caller has checked. Whatever goes wrong is classified and returned; nothing a server does raises. No URL is logged
here: it carries the patient's id.
"""

import asyncio
import ssl
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import TracebackType
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from cds_service.fhir.keys import Failure

_MIB = 1024 * 1024
_JSON_TYPES = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
_REFUSED = frozenset({401, 403})
_NOT_FOUND = frozenset({404, 410})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Seconds for all reads of a request, for one, and to connect; calls in all, pages for a key; decoded bytes."""

    total_s: float = 1.2
    call_s: float = 1.0
    connect_s: float = 0.3
    calls: int = 60
    pages: int = 30
    reply_bytes: int = 4 * _MIB
    all_bytes: int = 16 * _MIB


class BearerToken:
    """An access token for one request. It has no repr, so that no log can show it by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self._value}"

    def __repr__(self) -> str:
        return "BearerToken(...)"


def normalise_base(url: str) -> str:
    """A FHIR base URL in the one spelling we compare and call: scheme and host in lower case, no slash at the end.

    Whether it may be called is the caller's to decide, on this spelling. Raises ValueError with what is wrong, never
    with the URL.
    """
    parts = _split(url)
    if parts.query or "?" in url:
        raise ValueError("a base URL has no query")
    netloc = _netloc(parts)
    return f"{parts.scheme.lower()}://{netloc}{parts.path.rstrip('/')}"


def _split(url: str) -> SplitResult:
    """The parts of an absolute http(s) URL that means the same to every reader. Raises ValueError otherwise."""
    if not url.isascii() or any(char <= " " or char in '\\\x7f"<>^`{}' for char in url):
        raise ValueError("a URL holds blanks, control characters, backslashes or characters that need encoding")
    parts = urlsplit(url)
    if parts.scheme.lower() not in _DEFAULT_PORTS:
        raise ValueError("a URL is neither http nor https")
    if "@" in parts.netloc:
        raise ValueError("a URL holds user information")
    if "#" in url:
        raise ValueError("a URL has a fragment")
    host = parts.hostname or ""
    if not host or "%" in host or host.endswith("."):
        raise ValueError("a URL has no host, an encoded one, or one that ends in a dot")
    _refuse_dots(parts.path)
    return parts


def _refuse_dots(path: str) -> None:
    plain = path.lower().replace("%2e", ".")
    if "%2f" in plain or "%5c" in plain or any(segment in (".", "..") for segment in plain.split("/")):
        raise ValueError("a URL path holds dot segments or encoded slashes")


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    return host if port is None or port == _DEFAULT_PORTS[parts.scheme.lower()] else f"{host}:{port}"


class FhirClient:
    """Reads for one request: `async with FhirClient(base, token, limits) as client: await client.get(key, query)`.

    The deadline for all reads starts on entering. `transport` may be shared between requests (it keeps connections);
    then it is the caller's to close.
    """

    def __init__(
        self,
        base_url: str,
        token: BearerToken | None,
        limits: FetchLimits,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = normalise_base(base_url)
        self._limits = limits
        self._token = token
        self._transport = transport
        self._deadline = 0.0
        self._calls = 0
        self._bytes = 0
        self._pages: Counter[str] = Counter()

    def __repr__(self) -> str:
        return "FhirClient(...)"

    async def __aenter__(self) -> "FhirClient":
        self._deadline = asyncio.get_running_loop().time() + self._limits.total_s
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened = self.__dict__.get("_http")
        if opened is not None and self._transport is None:
            await opened.aclose()

    # Made at the first call: most requests bring all their data, and to set up TLS costs more than to answer them.
    @cached_property
    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport,
            headers=_headers(self._token),
            timeout=httpx.Timeout(self._limits.call_s, connect=self._limits.connect_s),
            trust_env=False,
            follow_redirects=False,
            verify=_tls(),
        )

    async def get(self, key: str, url: str) -> bytes | Failure:
        """The decoded body at `url`, relative to the base or an absolute address under it; or why there is none."""
        try:
            target = self._target(url)
        except ValueError:
            return Failure("refused")
        # Reads by id are one page each; only the pages of a list are counted by key.
        self._calls += 1
        self._pages[key] += "?" in url
        if self._calls > self._limits.calls or self._pages[key] > self._limits.pages:
            return Failure("limit reached")
        return await self._timed(target)

    def _target(self, url: str) -> str:
        """The absolute URL to call. Raises ValueError when it does not lie under the base of this request."""
        target = urljoin(f"{self._base}/", url)
        parts = _split(target)
        base = urlsplit(self._base)
        same = parts.scheme.lower() == base.scheme and _netloc(parts) == base.netloc
        under = parts.path.rstrip("/") == base.path or parts.path.startswith(f"{base.path}/")
        if not same or not under:
            raise ValueError("a URL leaves the base of this request")
        return target

    async def _timed(self, url: str) -> bytes | Failure:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(self._deadline, loop.time() + self._limits.call_s)):
                return await self._read(url)
        except (TimeoutError, httpx.TimeoutException):
            return Failure("timeout")
        except (httpx.HTTPError, httpx.InvalidURL):
            return Failure("unreachable")

    async def _read(self, url: str) -> bytes | Failure:
        async with self._http.stream("GET", url) as response:
            failure = _refusal(response)
            return failure if failure is not None else await self._body(response)

    async def _body(self, response: httpx.Response) -> bytes | Failure:
        """The body, counted while it is read and unpacked: what a header promises is not believed."""
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "", "gzip", "deflate"):
            return Failure("unreadable")
        unpacker = zlib.decompressobj(wbits=47) if coding in ("gzip", "deflate") else None
        body = bytearray()
        async for chunk in response.aiter_raw():
            room = min(self._limits.reply_bytes - len(body), self._limits.all_bytes - self._bytes)
            try:
                plain = unpacker.decompress(chunk, room + 1) if unpacker else chunk
            except zlib.error:
                return Failure("unreadable")
            if len(plain) > room:
                return Failure("too large")
            body += plain
            self._bytes += len(plain)
        if unpacker and not unpacker.eof:
            return Failure("unreadable")
        return bytes(body)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The certificates to trust, read once: reading them takes longer than a whole request."""
    return httpx.create_ssl_context(trust_env=False)


def _headers(token: BearerToken | None) -> Mapping[str, str]:
    headers = {"Accept": "application/fhir+json", "Accept-Encoding": "identity", "User-Agent": "cds-service"}
    return headers | {"Authorization": token.header()} if token is not None else headers


def _refusal(response: httpx.Response) -> Failure | None:
    status = response.status_code
    if status in _REFUSED:
        return Failure("refused")
    if status in _NOT_FOUND:
        return Failure("not found")
    if status != httpx.codes.OK:
        return Failure("server error")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return None if media_type in _JSON_TYPES else Failure("unreadable")
