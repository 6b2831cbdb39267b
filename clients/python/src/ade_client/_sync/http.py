# Made of _async/http.py by scripts/unasync.py; changes belong there.
"""Requests: who sends them, what is tried again, and errors as `ProblemError`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx

from .._core.backoff import Backoff
from .._core.requests import API, credentials, is_repeatable, listed
from ..errors import ConnectionFailed, ProblemError

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# Streams stay; they must not use up what requests need.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)


class Http:
    def __init__(self, url: str, key: str | None, retries: int, client: httpx.Client | None):
        self._url = url.rstrip("/")
        self._headers = credentials(key)
        self._retries = retries
        self._owns = client is None
        self.client = client or httpx.Client(timeout=_TIMEOUT, limits=_LIMITS)

    def close(self) -> None:
        if self._owns:
            self.client.close()

    def build(self, method: str, path: str, query: Mapping[str, Any] | None = None, **sent: Any) -> httpx.Request:
        headers = {**self._headers, **(sent.pop("headers", None) or {})}
        url = f"{self._url}{'' if path.startswith('/health/') else API}{path}"
        return self.client.build_request(method, url, params=listed(query or {}), headers=headers, **sent)

    def send(self, method: str, path: str, query: Mapping[str, Any] | None = None, **sent: Any) -> httpx.Response:
        """An answer that is no error. Repeats what may be repeated while nobody answers or the service is busy."""
        backoff = Backoff(0.25, 5.0)
        for attempt in range(self._retries + 1):
            error: ConnectionFailed | ProblemError
            try:
                response = self.client.send(self.build(method, path, query, **sent))
                if response.status_code < 400:
                    return response
                error = ProblemError.of(response)
            except httpx.TransportError as cause:
                error = ConnectionFailed(f"{method} {path}: no answer")
                error.__cause__ = cause
            problem = error if isinstance(error, ProblemError) else None
            if attempt == self._retries or not is_repeatable(method, sent.get("headers"), problem):
                raise error
            time.sleep(backoff.next(problem.retry_after if problem else 0.0))
        raise AssertionError("the last attempt answers or raises")

    def json(self, method: str, path: str, query: Mapping[str, Any] | None = None, **sent: Any) -> Any:
        response = self.send(method, path, query, **sent)
        return response.json() if response.content else None
