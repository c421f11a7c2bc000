"""What every request goes through: its id, who asks and how often, headers that keep a browser safe, the log."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from molvis_serve.service import Service

__all__ = ["POLICY", "Guard"]

log = logging.getLogger("molvis.serve.requests")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, and no script that is not a file of ours."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_ID = re.compile(r"[\w-]{1,64}")
_LOCAL = ("127.0.0.1", "localhost", "::1")
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")
_KNOWN = 10_000
"""Askers whose rate is remembered."""


class Guard:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.settings = app, service, service.settings
        settings = service.settings
        self.keys = [hashlib.sha256(key.encode()).digest() for key in settings.api_keys]
        self.tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        identifier = given.get("x-request-id", "")
        identifier = identifier if _ID.fullmatch(identifier) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = identifier
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in (*_HEADERS.items(), ("x-request-id", identifier)):
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            refused = self._refusal(scope, given, state)
            if refused:
                await _refuse(*refused, identifier, answer)
            else:
                await self.app(scope, receive, answer)
        except Exception:
            log.exception("request failed", extra={"request": identifier})
            if not status:
                await _refuse(500, "the service failed; its log says more", {}, identifier, answer)
        finally:
            self._count(scope, status, time.perf_counter() - begun, identifier)

    def _refusal(
        self, scope: Scope, given: dict[str, str], state: dict[str, Any]
    ) -> tuple[int, str, dict[str, str]] | None:
        """Why a request is refused at the door; None where it is not. Who asks is noted."""
        client = scope.get("client") or ("", 0)
        state["owner"], state["asker"] = "", str(client[0])
        if not self._is_called(given.get("host", "")):
            return 421, "this service is not called that; see MOLVIS_SERVE_HOSTS", {}
        # A browser says so where a page of elsewhere asks: it cannot read answers, but it could start work.
        if given.get("sec-fetch-site") in ("cross-site", "same-site") and scope["method"] not in ("GET", "HEAD"):
            return 403, "pages of other sites may not ask this service", {}
        if not scope["path"].startswith(("/api/", "/metrics", "/docs", "/openapi.json")):
            return None
        if self.keys:
            scheme, _, bearer = given.get("authorization", "").partition(" ")
            key = given.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
            digest = hashlib.sha256(key.encode()).digest()
            # Every key is compared, and digests are, so that the time tells nothing of a key.
            if not sum(hmac.compare_digest(digest, known) for known in self.keys):
                return 401, "an API key is needed: send it as X-API-Key", {"www-authenticate": "Bearer"}
            state["owner"] = state["asker"] = digest.hex()[:32]
        wait = self._wait(state["asker"])
        if wait:
            return 429, "too many requests; try again later", {"retry-after": str(wait)}
        return None

    def _is_called(self, host: str) -> bool:
        """Whether a request is for a name of this service: a page of elsewhere may have its own name lead here."""
        own = self.settings.hosts or (_LOCAL if self.settings.host in _LOCAL else ("*",))
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        return "*" in own or name.lower() in own

    def _wait(self, asker: str) -> int:
        """Seconds until this asker may ask again; 0 where it may now."""
        rate = self.settings.rate / 60
        if not rate:
            return 0
        now = time.monotonic()
        most = max(1.0, self.settings.rate / 6)
        left, seen = self.tokens.pop(asker, (most, now))
        left = min(most, left + (now - seen) * rate)
        allowed = left >= 1
        self.tokens[asker] = (left - allowed, now)
        while len(self.tokens) > _KNOWN:
            self.tokens.popitem(last=False)
        return 0 if allowed else max(1, round((1 - left) / rate))

    def _count(self, scope: Scope, status: int, seconds: float, identifier: str) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "") or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.service.metrics.seen(method, path, status, seconds)
        log.info(
            "request",
            extra={
                "request": identifier, "method": scope["method"], "path": scope["path"][:200], "status": status,
                "seconds": round(seconds, 4), "asker": scope["state"].get("asker", ""),
            },
        )  # fmt: skip


async def _refuse(status: int, message: str, headers: dict[str, str], identifier: str, send: Any) -> None:
    body = json.dumps({"error": message, "request_id": identifier}).encode()
    raw = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    pairs = [(k.encode(), v.encode()) for k, v in raw.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
