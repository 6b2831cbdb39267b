"""What a person is shown of a reader: how far it is from what happens now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

State = Literal["connecting", "catching up", "live", "reconnecting", "ended"]

# Servers say the second of their answer, and may have made that text half a second before.
_PRECISION = timedelta(seconds=1.5)


class Phase:
    def __init__(self) -> None:
        self.state: State = "connecting"
        self._opened: datetime | None = None

    def opened(self, at: datetime | None = None) -> None:
        """`at`: the moment of the answer by the server's clock."""
        if self.state != "ended":
            self._opened = at
            self.state = "catching up"

    def event(self, created_at: datetime | None) -> None:
        """An event that was emitted after the connection was opened is news: everything from before has arrived."""
        if self.state != "catching up" or self._opened is None or created_at is None:
            return
        if created_at > self._opened + _PRECISION:
            self.state = "live"

    def quiet(self) -> None:
        """The server has nothing more to send at the moment."""
        if self.state == "catching up":
            self.state = "live"

    def lost(self) -> None:
        if self.state not in ("ended", "connecting"):
            self.state = "reconnecting"

    def end(self) -> None:
        self.state = "ended"
