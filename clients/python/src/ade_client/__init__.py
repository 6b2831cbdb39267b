"""Client for ADE: start work, and follow its events without a gap or a repeat.

`AdeClient` waits where it is called, `AsyncAdeClient` is for asyncio and trio; otherwise they are alike.
"""

from . import events, schema
from ._async.client import AsyncAdeClient
from ._async.follow import AsyncFollow
from ._core.phase import State
from ._core.reader import Line
from ._sync.client import AdeClient
from ._sync.follow import Follow
from .errors import AdeError, ConnectionFailed, ProblemError, ProtocolError
from .progress import watch, watch_async

__all__ = [
    "AdeClient",
    "AdeError",
    "AsyncAdeClient",
    "AsyncFollow",
    "ConnectionFailed",
    "Follow",
    "Line",
    "ProblemError",
    "ProtocolError",
    "State",
    "events",
    "schema",
    "watch",
    "watch_async",
]
__version__ = "0.1.0"
