"""The gateway's ASGI app: guard, then the calls that are passed on, then all the small pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from core.backends.ollama_http import GATEWAY_HEADER
from core.errors import FinetuneError
from core.serve.catalogue import listed
from core.serve.guard import Guard, Rules
from core.serve.relay import CALLS, Record, Relay
from core.serve.replies import AsgiApp, Receive, Refused, Scope, Send, api_of, error_object, send_error
from core.serve.route import Routes, plain
from core.serve.traffic import Traffic
from core.serve.upstream import Upstream

# What would change or feed Ollama's own store (or the account behind it).
_CHANGES: Final = ("create", "delete", "copy", "pull", "push", "signin", "signout", "me")
_READS: Final = ("/api/ps", "/api/version")
_HELLO: Final = "Ollama is running behind finetune-tui"

Figures = Callable[[], Mapping[str, Any]]


def make_app(
    upstream: Upstream,
    routes: Routes,
    journal: Record | None,
    *,
    rules: Rules | None = None,
    traffic: Traffic | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    figures: Figures = dict,
    behind: str = "",
) -> AsgiApp:
    """The app of one gateway. Without a `journal` nothing is recorded; `figures` are added to what /health tells.

    `behind` is the address of the Ollama behind it, for those of this program that take the gateway for Ollama.
    """
    rules = rules or Rules()
    traffic = traffic or Traffic()
    relay = Relay(upstream, routes, journal, traffic, secret=bool(rules.token))
    pages = Starlette(
        routes=[*_pages(upstream, routes, relay, traffic, figures, behind=behind), *extra_routes, *_refusals()],
        exception_handlers={HTTPException: _http_error, FinetuneError: _own_error},
    )
    # Answers in the form of an API are written here for these; Starlette would answer a slip with a redirect.
    pages.router.redirect_slashes = False

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in CALLS:
            await pages(scope, receive, send)
        elif scope["method"] == "POST":
            await relay(scope, receive, send)
        else:
            refused = Refused(405, f"{scope['path']} takes POST and not {scope['method'][:20]}.", hint="Send JSON.")
            await send_error(send, scope["path"], 405, refused, headers=[(b"allow", b"POST")])

    return Guard(dispatch, rules)


def _pages(
    upstream: Upstream, routes: Routes, relay: Relay, traffic: Traffic, figures: Figures, *, behind: str
) -> list[Route]:
    async def hello(_: Request) -> Response:
        return PlainTextResponse(_HELLO)

    async def health(_: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "backend": upstream.name,
                "in_flight": traffic.in_flight,
                "answered": traffic.answered,
                **figures(),
            }
        )

    async def models(request: Request) -> Response:
        return JSONResponse(await listed(upstream, routes, api_of(request.url.path), relay.headers(request.scope)))

    async def model(request: Request) -> Response:
        wanted = plain(request.path_params["name"])
        found = await listed(upstream, routes, "openai", relay.headers(request.scope))
        for one in found["data"]:
            if plain(str(one.get("id", ""))) == wanted:
                return JSONResponse(one)
        raise Refused(404, f"There is no model {wanted[:100]!r}.", hint="GET /v1/models lists what there is.")

    async def passed_on(request: Request) -> Response:
        reply = await upstream.request("GET", request.url.path, b"", relay.headers(request.scope))
        body = b"".join([piece async for piece in reply.body])
        return Response(body, reply.status, {GATEWAY_HEADER: behind}, media_type="application/json")

    return [
        Route("/", hello),
        Route("/health", health),
        Route("/api/tags", models),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        *(Route(path, passed_on) for path in _READS),
    ]


def _refusals() -> list[Route]:
    async def refuse(request: Request) -> Response:
        raise Refused(
            403,
            f"The gateway changes nothing in Ollama's store, so {request.url.path} is not passed on.",
            hint="Call Ollama itself for that; `finetune-tui promote` publishes versions.",
        )

    anything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    return [
        *(Route(f"/api/{verb}", refuse, methods=anything) for verb in _CHANGES),
        Route("/api/blobs/{digest:path}", refuse, methods=anything),
        Route("/v1/models/{name:path}", refuse, methods=["DELETE", "POST"]),
    ]


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: a path or a method that is none of the gateway's."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path[:100]
    said = {
        404: Refused(404, f"The gateway knows no {path}.", hint="GET /health tells that it is up; see its README."),
        405: Refused(405, f"{path} does not take {request.method}.", hint="Most calls are a POST with a JSON body."),
    }.get(status, Refused(status, str(getattr(error, "detail", error))))
    headers = getattr(error, "headers", None)
    return JSONResponse(error_object(api_of(request.url.path), status, said), status, headers=headers)


async def _own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FinetuneError)
    status = error.status if isinstance(error, Refused) else 503
    return JSONResponse(error_object(api_of(request.url.path), status, error), status)
