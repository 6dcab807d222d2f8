"""The HTTP application: routes and wiring. The only door to the web framework besides the console, and the only clock.

Every answer that is not a success is an OperationOutcome with a constant text per fault. Nothing of a request, and no
text of an unforeseen exception, is written to an answer or to a log.
"""

import asyncio
import datetime as dt
import hashlib
import html
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_service import __version__
from cds_service.advise import Advisor, desks, server_opener
from cds_service.console.rule_pages import RulePages
from cds_service.console.sandbox_fhir import load_store, sandbox_router
from cds_service.errors import (
    BodyTooLarge,
    CdsError,
    DeadlineExceeded,
    InternalFault,
    MalformedRequest,
    MethodNotAllowed,
    RequestError,
    UnknownPage,
    UnknownService,
    UnsupportedMediaType,
    operation_outcome,
)
from cds_service.fhir.client import FetchLimits
from cds_service.hooks.discovery import Service, discovery_document
from cds_service.hooks.messages import HookRequest, parse_request
from cds_service.journal.port import InMemoryJournal
from cds_service.rulebook.load import load_rulebook
from cds_service.settings import Settings
from cds_service.trust.clients import development_client

Clock = Callable[[], dt.datetime]
Answer = Callable[[HookRequest, str, dt.datetime], Awaitable[bytes]]
"""(request, service id, as of) to the bytes of the CDS Hooks response; faults are raised as CdsError."""
RulePage = Callable[[str, str], str | None]
"""(rule id, version) to the rule's page as HTML, or None when there is no such version."""

DISCOVERY = "/cds-services"
DISCOVERY_METHODS = "GET, HEAD, OPTIONS"
SERVICE_METHODS = "OPTIONS, POST"
MEDIA_TYPES = frozenset({"application/json", "application/fhir+json"})
_LOG = logging.getLogger("cds_service.http")
# Their request lines carry URLs, and URLs of FHIR searches carry patient ids; one of them also logs headers.
_TALKATIVE = ("httpx", "httpcore", "uvicorn.access")
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "cache-control": "public, max-age=300",
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `GET /health/ready` reports beside the settings."""

    rules: int
    content_status: str = "draft"
    decisions_durable: bool = False


def create_app(
    settings: Settings,
    *,
    clock: Clock,
    advisor: Answer,
    services: Iterable[Service],
    rule_pages: RulePage,
    rule_index: str = "",
    evidence: str = "",
    readiness: Readiness | None = None,
    sandbox: APIRouter | None = None,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> FastAPI:
    """The application around `advisor`; `rule_index` is the page at `/rules`, as HTML.

    Raises RulebookInvalid when a service definition must not be published.
    """
    services = tuple(services)
    readiness = readiness or Readiness(rules=len({rule for service in services for rule in service.rules}))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    app = FastAPI(title="cds-service", version=__version__, redirect_slashes=False, redoc_url=None)
    app.include_router(_discovery_routes(services))
    app.include_router(_service_routes(settings, clock, advisor, services))
    app.include_router(
        _page_routes(settings, services, rule_pages, {"/rules": rule_index, "/evidence": evidence}, readiness)
    )
    if sandbox is not None:
        app.include_router(sandbox)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_exception)
    app.add_middleware(Frame, new_id=new_id, origins=frozenset(settings.cors_origins))
    return app


def build_app(settings: Settings) -> FastAPI:
    """The whole service: rulebook, journal, FHIR client and sandbox wired together. Raises a Refusal."""
    rulebook = load_rulebook(settings.rules_dir)
    served = desks(rulebook, base_url=settings.public_url, serve_draft=settings.serve_draft)
    client = development_client(
        jurisdiction=settings.jurisdiction,
        fhir_servers=settings.allowed_fhir_servers,
        dose_arithmetic=settings.dose_arithmetic,
    )
    journal = InMemoryJournal()
    advisor = Advisor(
        desks=served,
        client=client,
        journal=journal,
        open_server=server_opener(client, _fetch_limits(settings)),
        now=_now,
        new_id=lambda: str(uuid.uuid4()),
    )
    sandbox = sandbox_router(load_store(settings.fixtures_dir), settings.sandbox_url) if settings.sandbox else None
    pages = RulePages(rulebook)
    statuses = {card_rule.status for desk in served.values() for card_rule in desk.card_rules.values()}
    return create_app(
        settings,
        clock=lambda: settings.frozen_clock or _now(),
        advisor=advisor,
        services=[desk.service for desk in served.values()],
        rule_pages=pages.page,
        rule_index=pages.index,
        evidence=pages.evidence,
        readiness=Readiness(len(rulebook.versions), "draft" if "draft" in statuses else "active", journal.durable),
        sandbox=sandbox,
    )


def _fetch_limits(settings: Settings) -> FetchLimits:
    return FetchLimits(
        total_s=settings.outbound_seconds,
        call_s=settings.call_seconds,
        connect_s=settings.connect_seconds,
        calls=settings.max_calls,
        pages=settings.max_pages,
        reply_bytes=settings.reply_bytes,
        all_bytes=settings.replies_bytes,
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


# --- Routes -----------------------------------------------------------------------------------------------------------


def _discovery_routes(services: tuple[Service, ...]) -> APIRouter:
    router = APIRouter()
    body = discovery_document(services)
    headers = {"etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "cache-control": "public, max-age=300"}

    async def discovery(request: Request) -> Response:
        """The CDS services, with their prefetch templates."""
        asked = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if asked & {headers["etag"], "*"}:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    for path in (DISCOVERY, DISCOVERY + "/"):
        documented = path == DISCOVERY
        router.add_api_route(path, discovery, methods=["GET"], include_in_schema=documented, response_model=None)
        router.add_api_route(path, discovery, methods=["HEAD"], include_in_schema=False, response_model=None)
        router.add_api_route(path, _options(DISCOVERY_METHODS), methods=["OPTIONS"], include_in_schema=False)
    return router


def _service_routes(settings: Settings, clock: Clock, advisor: Answer, services: tuple[Service, ...]) -> APIRouter:
    router = APIRouter(prefix=DISCOVERY)
    hooks = {service.id: service.hook for service in services}

    async def answer(request: Request, service_id: str) -> bytes:
        hook = hooks.get(service_id)
        if hook is None:
            raise UnknownService()
        _require_json(request)
        body = await _read_body(request, settings.body_bytes)
        return await advisor(parse_request(body, service_hook=hook), service_id, clock())

    async def call_service(request: Request, service_id: str) -> Response:
        """Call a CDS service: a CDS Hooks request in, cards out."""
        reply = await _within(settings.request_seconds, answer(request, service_id))
        return Response(reply, media_type="application/json", headers={"cache-control": "no-store"})

    router.add_api_route("/{service_id}", call_service, methods=["POST"], response_model=None)
    router.add_api_route("/{service_id}", _options(SERVICE_METHODS), methods=["OPTIONS"], include_in_schema=False)
    return router


def _page_routes(
    settings: Settings, services: tuple[Service, ...], rule_page: RulePage, texts: dict[str, str], readiness: Readiness
) -> APIRouter:
    router = APIRouter()
    landing = _landing_page(services)
    ready = {
        "status": "ready",
        "version": __version__,
        "mode": settings.mode,
        "rules": readiness.rules,
        "contentStatus": readiness.content_status,
        "decisionsDurable": readiness.decisions_durable,
    }

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "live"}

    @router.get("/health/ready")
    async def ready_to_serve() -> dict[str, Any]:
        """Whether the rulebook is loaded, and how much weight the answers bear."""
        return ready

    @router.get("/rules", response_class=HTMLResponse)
    async def all_rules() -> HTMLResponse:
        """The index of rules, which the data-gap card links."""
        return HTMLResponse(texts["/rules"], headers=_PAGE_HEADERS)

    @router.get("/evidence", response_class=HTMLResponse)
    async def evidence_page() -> HTMLResponse:
        """Benefits and mechanism, and what is not established; the candidacy card links it."""
        return HTMLResponse(texts["/evidence"], headers=_PAGE_HEADERS)

    @router.get("/rules/{rule}/{version}", response_class=HTMLResponse)
    async def one_rule(rule: str, version: str) -> HTMLResponse:
        """The page of a rule version, which every card links."""
        page = rule_page(rule, version)
        if page is None:
            raise UnknownPage()
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @router.get("/", response_class=HTMLResponse)
    async def landing_page() -> HTMLResponse:
        """What lives here."""
        return HTMLResponse(landing, headers=_PAGE_HEADERS)

    return router


def _options(allow: str) -> Callable[[], Awaitable[Response]]:
    async def options() -> Response:
        return Response(status_code=204, headers={"allow": allow})

    return options


def _landing_page(services: Iterable[Service]) -> str:
    rows = "".join(
        f"<li><code>POST {DISCOVERY}/{html.escape(service.id)}</code> ({html.escape(service.hook)}): "
        f"{html.escape(service.title)}</li>"
        for service in services
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>cds-service</title>'
        "<h1>cds-service</h1><p>Advisory cards on ketamine and esketamine in depression, over CDS Hooks.</p>"
        f'<ul>{rows}</ul><p><a href="{DISCOVERY}">Discovery</a> · <a href="/rules">Rules</a> · '
        '<a href="/docs">HTTP interface</a> · <a href="/health/ready">Health</a></p></html>'
    )


# --- Reading the request ----------------------------------------------------------------------------------------------


def _require_json(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    encoding = request.headers.get("content-encoding", "identity").lower()
    if media_type.strip() not in MEDIA_TYPES or charset not in ("", "utf-8", "utf8") or encoding != "identity":
        raise UnsupportedMediaType()


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, counted while it is read: what Content-Length says is only good for an early refusal."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge()
        chunks.append(chunk)
    return b"".join(chunks)


async def _within(seconds: float, work: Awaitable[bytes]) -> bytes:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded() from None
        raise


# --- Faults -----------------------------------------------------------------------------------------------------------


def _http_exception(request: Request, error: Exception) -> Response:
    """The framework's own refusals: an unknown path, a wrong method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    faults: dict[int, type[CdsError]] = {404: UnknownPage, 405: MethodNotAllowed}
    given = error.headers if isinstance(error, HTTPException) and error.headers else {}
    headers = {name.lower(): value for name, value in given.items()}
    path = request.url.path
    if status == 405 and path.startswith(DISCOVERY):
        # The framework names the methods of one route only, and we have a route per method.
        headers["allow"] = DISCOVERY_METHODS if path.rstrip("/") == DISCOVERY else SERVICE_METHODS
    return _refusal(faults.get(status, InternalFault)(), request.scope, headers)


def _validation_exception(request: Request, error: Exception) -> Response:
    # The framework's own answer would repeat the value.
    return _refusal(MalformedRequest("value"), request.scope)


def _refusal(error: CdsError, scope: Scope, headers: dict[str, str] | None = None) -> Response:
    level = logging.INFO if isinstance(error, RequestError) else logging.ERROR
    _LOG.log(level, "refused code=%s status=%d correlation=%s", error.code, error.status, scope["correlation_id"])
    more = {"retry-after": "1"} if error.status == 503 else {}
    body = msgspec.json.encode(operation_outcome(error.issues()))
    all_headers = {"cache-control": "no-store", **more, **(headers or {})}
    return Response(body, error.status, media_type="application/json", headers=all_headers)


def _log_fault(error: Exception, scope: Scope) -> None:
    """The type and place of an unforeseen exception. Its text may hold a value of the request, so it is not written."""
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{last.tb_frame.f_globals.get('__name__', '?')}:{last.tb_lineno}" if last else "?"
    _LOG.error("fault type=%s at=%s correlation=%s", type(error).__name__, place, scope["correlation_id"])


class Frame:
    """The frame around every answer: correlation id, CORS headers, and an OperationOutcome for whatever is raised.

    The framework's own handler of unforeseen exceptions lies outside any CORS layer, so that a browser client would
    see a network error instead of a 500; and it writes the exception's text to the log.
    """

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str], origins: frozenset[str]) -> None:
        self.app, self.new_id, self.origins = app, new_id, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["correlation_id"] = self.new_id()
        extra = [
            (b"x-correlation-id", scope["correlation_id"].encode()),
            (b"x-content-type-options", b"nosniff"),
            *self._cors_headers(scope),
        ]
        started = False

        async def send_framed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        try:
            await self.app(scope, receive, send_framed)
        except ClientDisconnect:
            _LOG.info("client left correlation=%s", scope["correlation_id"])
        except Exception as error:  # noqa: BLE001 the outermost frame: whatever is raised becomes an answer
            refusal = error if isinstance(error, CdsError) else InternalFault()
            if refusal is not error:
                _log_fault(error, scope)
            # An answer that has begun can only be broken off, which the server does when nothing more is sent.
            if not started:
                await _refusal(refusal, scope)(scope, receive, send_framed)

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Exact origins, no credentials, and only on the CDS Hooks routes."""
        if not self.origins or not scope["path"].startswith(DISCOVERY):
            return []
        origin = dict(scope["headers"]).get(b"origin", b"")
        headers = [(b"vary", b"Origin")]
        if origin.decode("latin-1") in self.origins:
            headers.append((b"access-control-allow-origin", origin))
            headers.append((b"access-control-expose-headers", b"x-correlation-id"))
            if scope["method"] == "OPTIONS":
                headers.append((b"access-control-allow-methods", b"GET, POST"))
                headers.append((b"access-control-allow-headers", b"authorization, content-type"))
                headers.append((b"access-control-max-age", b"600"))
        return headers
