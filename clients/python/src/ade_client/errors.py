"""What can go wrong, by what a caller can do about it."""

from __future__ import annotations

from typing import Any

import httpx

from ._core.backoff import seconds_of


class AdeError(Exception):
    """Any of these."""


class ProblemError(AdeError):
    """The service has refused a request and says why (RFC 9457); `code` is one of docs/ERRORS.md."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float = 0.0):
        self.status = status
        # Everything that was answered, such as `last_sequence` or `required_role`.
        self.problem = problem
        self.code: str = problem.get("code") or f"http_{status}"
        self.detail: str = problem.get("detail") or ""
        self.errors: list[dict[str, str]] = problem.get("errors") or []
        self.request_id: str | None = problem.get("request_id")
        # Seconds.
        self.retry_after = retry_after
        super().__init__(f"{self.code}: {self.detail}")

    @classmethod
    def of(cls, response: httpx.Response) -> ProblemError:
        """Of a response that was read."""
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:200]}
        known = problem if isinstance(problem, dict) else {}
        return cls(response.status_code, known, seconds_of(response.headers.get("retry-after")))


class ConnectionFailed(AdeError):
    """No answer, also after trying again."""


class ProtocolError(AdeError):
    """What arrived is not what the service says; a proxy may have changed it."""
