"""The FHIR client: GET only, one origin, within its limits; every failure classified, none raised."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import respx

from cds_service.fhir.client import BearerToken, FetchLimits, FhirClient, normalise_base
from cds_service.fhir.keys import Failure

BASE = "https://ehr.example.org/fhir/r4"
TOKEN = "canary-token"
FHIR = {"content-type": "application/fhir+json;charset=utf-8"}
BODY = b'{"resourceType": "Patient"}'
Handler = Callable[[httpx.Request], httpx.Response]


def fetch(
    *urls: str,
    handler: Handler | None = None,
    limits: FetchLimits | None = None,
    token: str | None = TOKEN,
) -> list[bytes | Failure]:
    """The answers of one client to reads one after another, served by `handler`."""

    async def run() -> list[bytes | Failure]:
        transport = httpx.MockTransport(handler or answering(content=BODY))
        bearer = BearerToken(token) if token else None
        async with FhirClient(BASE, bearer, limits or FetchLimits(), transport) as client:
            return [await client.get("conditions", url) for url in urls]

    return asyncio.run(run())


class Stream(httpx.AsyncByteStream):
    """A body that arrives in pieces, as from a network."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 700):
            yield self._body[start : start + 700]


def answering(status: int = 200, headers: dict[str, str] | None = None, content: bytes = b"") -> Handler:
    return lambda _: httpx.Response(status, headers=FHIR if headers is None else headers, stream=Stream(content))


def raising(error: Exception) -> Handler:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


# ------------------------------------------------------------ the call


@respx.mock
def test_a_read_is_a_get_with_the_token_and_asks_for_fhir_json() -> None:
    route = respx.get(f"{BASE}/Condition", params={"patient": "p1"}).respond(200, headers=FHIR, content=BODY)

    async def run() -> bytes | Failure:
        async with FhirClient(BASE, BearerToken("canary-token"), FetchLimits()) as client:
            return await client.get("conditions", "Condition?patient=p1")

    assert asyncio.run(run()) == BODY
    sent = route.calls.last.request
    assert sent.method == "GET"
    assert sent.headers["authorization"] == "Bearer canary-token"
    assert sent.headers["accept"] == "application/fhir+json"
    assert sent.headers["accept-encoding"] == "identity"


def test_without_a_token_no_authorization_is_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return answering(content=BODY)(request)

    assert fetch("Patient/1", handler=handler, token=None) == [BODY]


def test_nothing_is_taken_from_the_environment_and_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    client = FhirClient(BASE, None, FetchLimits(), httpx.MockTransport(answering()))
    assert client._http.trust_env is False
    assert client._http.follow_redirects is False
    assert client._http._mounts == {}


def test_the_token_has_no_repr_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    token = BearerToken("canary-token")
    client = FhirClient(BASE, token, FetchLimits(), httpx.MockTransport(answering()))
    assert "canary" not in repr(token) + str(token) + repr(client)
    with caplog.at_level(logging.DEBUG):
        fetch("Patient/1")
    assert "canary" not in caplog.text


def test_a_transport_of_the_callers_stays_open_and_our_own_is_closed() -> None:
    class Transport(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def run(transport: Transport) -> None:
        async with FhirClient(BASE, None, FetchLimits(), transport) as client:
            await client.get("patient", "Patient/1")

    shared = Transport(answering(content=BODY))
    asyncio.run(run(shared))
    assert not shared.closed

    async def own() -> bool:
        client = FhirClient(BASE, None, FetchLimits())
        async with client:
            opened = client._http
        return opened.is_closed

    assert asyncio.run(own())


def test_nothing_is_set_up_for_a_request_that_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "AsyncClient", None)

    async def run() -> None:
        async with FhirClient(BASE, None, FetchLimits()):
            pass

    asyncio.run(run())


# ------------------------------------------------------------ where it may call


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/Condition?page=2",
        f"{BASE}?_getpages=7",
        f"{BASE}/?_getpages=7",
        "https://EHR.example.org:443/fhir/r4/Condition?page=2",
        "Condition?page=2",
        "?_getpages=7",
    ],
)
def test_addresses_under_the_base_are_called(url: str) -> None:
    assert fetch(url) == [BODY]


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/fhir/r4/Condition?page=2",
        "http://ehr.example.org/fhir/r4/Condition?page=2",
        "https://ehr.example.org:8443/fhir/r4/Condition?page=2",
        "https://ehr.example.org/fhir/r4x/Condition?page=2",
        "https://ehr.example.org/other?page=2",
        "https://ehr.example.org/fhir/r4/../../admin",
        "https://ehr.example.org/fhir/r4/%2e%2e/admin",
        "https://ehr.example.org/fhir/r4/..%2fadmin",
        "../../admin",
        "//other.example.org/fhir/r4/Condition",
        "/fhir/r5/Condition",
        "https://user@ehr.example.org/fhir/r4/Condition",
        "https://ehr.example.org@other.example.org/fhir/r4/Condition",
        "https://ehr.example.org\\@other.example.org/fhir/r4/Condition",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://ehr.example.org/fhir/r4/Condition?page=2#x",
        "https://ehr.example.org/fhir/r4/Condition?page=\r\nHost: x",
        "https://[::1",
        "https://ehr.example.org:99999999/fhir/r4",
    ],
)
def test_no_other_address_is_ever_called(url: str) -> None:
    calls: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return answering(content=BODY)(request)

    assert fetch(url, handler=handler) == [Failure("refused")]
    assert calls == []


def test_a_redirect_is_an_error_and_the_token_does_not_travel() -> None:
    hosts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(302, headers={"location": "https://other.example.org/"})

    assert fetch("Patient/1", handler=handler) == [Failure("server error")]
    assert hosts == ["ehr.example.org"]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://EHR.Example.org/fhir/r4/", "https://ehr.example.org/fhir/r4"),
        ("HTTPS://ehr.example.org:443", "https://ehr.example.org"),
        ("http://127.0.0.1:8000/fhir", "http://127.0.0.1:8000/fhir"),
        ("http://[::1]:80/fhir", "http://[::1]/fhir"),
    ],
)
def test_a_base_url_has_one_spelling(url: str, base: str) -> None:
    assert normalise_base(url) == base
    assert normalise_base(base) == base


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@ehr.example.org/fhir",
        "https://@ehr.example.org/fhir",
        "https://ehr.example.org/fhir?x=1",
        "https://ehr.example.org/fhir?",
        "https://ehr.example.org/fhir#x",
        "https://ehr.example.org/fhir#",
        "https://ehr.example.org\\fhir",
        "https://ehr.example.org/fhir\n",
        "https://ehr.example.org/fh ir",
        "https://ehr.example.org/a/../fhir",
        "https://ehr.example.org/a/./fhir",
        "https://ehr.example.org/a/%2E%2e/fhir",
        "https://ehr%2eexample.org/fhir",
        "https://ehr.example.org./fhir",
        "https://ehr.exämple.org/fhir",
        "https:///fhir",
        "https://ehr.example.org:port/fhir",
        "ftp://ehr.example.org/fhir",
        "file:///etc/passwd",
        "ehr.example.org/fhir",
        "",
    ],
)
def test_a_base_url_that_readers_may_understand_differently_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort") as caught:
        normalise_base(url)
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (answering(401), "refused"),
        (answering(403), "refused"),
        (answering(404), "not found"),
        (answering(410), "not found"),
        (answering(400), "server error"),
        (answering(429), "server error"),
        (answering(500), "server error"),
        (answering(204), "server error"),
        (answering(200, {"content-type": "text/html"}, content=b"<html>"), "unreadable"),
        (answering(200, {}, content=BODY), "unreadable"),
        (answering(200, {**FHIR, "content-encoding": "br"}, content=BODY), "unreadable"),
        (raising(httpx.ConnectError("refused")), "unreachable"),
        (raising(httpx.ReadError("reset")), "unreachable"),
        (raising(httpx.RemoteProtocolError("nonsense")), "unreachable"),
        (raising(httpx.ConnectTimeout("slow")), "timeout"),
        (raising(httpx.ReadTimeout("slow")), "timeout"),
    ],
)
def test_each_failure_is_classified(handler: Handler, kind: Any) -> None:
    assert fetch("Patient/1", handler=handler) == [Failure(kind)]


@pytest.mark.parametrize("media_type", ["application/json", "application/json+fhir", "APPLICATION/FHIR+JSON; x=y"])
def test_json_media_types_are_read(media_type: str) -> None:
    assert fetch("Patient/1", handler=answering(200, {"content-type": media_type}, content=BODY)) == [BODY]


async def _slow(_: httpx.Request) -> httpx.Response:
    await asyncio.sleep(5)
    return httpx.Response(200, headers=FHIR, content=BODY)


def _timed(limits: FetchLimits, calls: int) -> tuple[list[bytes | Failure], float]:
    async def run() -> tuple[list[bytes | Failure], float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with FhirClient(BASE, None, limits, httpx.MockTransport(_slow)) as client:
            answers = [await client.get("k", "Patient/1") for _ in range(calls)]
        return answers, loop.time() - start

    return asyncio.run(run())


def test_one_call_may_not_take_longer_than_its_limit() -> None:
    answers, seconds = _timed(FetchLimits(total_s=5, call_s=0.05), 1)
    assert answers == [Failure("timeout")]
    assert seconds < 2


def test_all_calls_share_one_deadline() -> None:
    answers, seconds = _timed(FetchLimits(total_s=0.1, call_s=1), 3)
    assert answers == [Failure("timeout")] * 3
    assert seconds < 2


def test_calls_in_all_and_pages_of_a_key_are_limited() -> None:
    limits = FetchLimits(calls=3, pages=2)
    pages = fetch("Condition?page=1", "Condition?page=2", "Condition?page=3", limits=limits)
    assert pages == [BODY, BODY, Failure("limit reached")]
    reads = fetch(*[f"Medication/{index}" for index in range(4)], limits=limits)
    assert reads == [BODY, BODY, BODY, Failure("limit reached")]


# ------------------------------------------------------------ size


def packed(body: bytes, coding: str = "gzip") -> Handler:
    content = gzip.compress(body, mtime=0) if coding == "gzip" else zlib.compress(body)
    return answering(200, {**FHIR, "content-encoding": coding}, content)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_packed_reply_is_unpacked(coding: str) -> None:
    assert fetch("Patient/1", handler=packed(BODY, coding)) == [BODY]


def test_a_reply_is_measured_while_it_is_read() -> None:
    limits = FetchLimits(reply_bytes=1000)
    assert fetch("Patient/1", handler=answering(content=b"x" * 1000), limits=limits) == [b"x" * 1000]
    assert fetch("Patient/1", handler=answering(content=b"x" * 1001), limits=limits) == [Failure("too large")]


def test_a_packed_bomb_is_refused_after_one_step() -> None:
    bomb = packed(b"\0" * 50_000_000)
    assert fetch("Patient/1", handler=bomb, limits=FetchLimits(reply_bytes=10_000)) == [Failure("too large")]


def test_all_replies_together_are_limited() -> None:
    limits = FetchLimits(reply_bytes=1000, all_bytes=1500)
    answers = fetch("Patient/1", "Patient/2", handler=answering(content=b"x" * 1000), limits=limits)
    assert answers == [b"x" * 1000, Failure("too large")]


@pytest.mark.parametrize("body", [b"not packed at all", gzip.compress(b"x" * 1000, mtime=0)[:-20]])
def test_a_reply_that_cannot_be_unpacked_is_unreadable(body: bytes) -> None:
    broken = answering(200, {**FHIR, "content-encoding": "gzip"}, content=body)
    assert fetch("Patient/1", handler=broken) == [Failure("unreadable")]


def test_a_connection_lost_within_the_body_is_unreachable() -> None:
    class Broken(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield BODY
            raise httpx.ReadError("reset")

    lost = httpx.Response(200, headers=FHIR, stream=Broken(b""))
    assert fetch("Patient/1", handler=lambda _: lost) == [Failure("unreachable")]
