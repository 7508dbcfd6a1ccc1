"""How many cameras run at once."""

import threading
import time


class LiveSlots:
    """How many cameras may run at once, and who waits; one object for the whole server.

    Args:
        slots: Sessions that may run.
    """

    #: Who has not asked again for so long has gone.
    _GONE_S = 6.0

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._waiting: dict[str, float] = {}

    def ask(self, session: str) -> int:
        """Return 0 when the session may run, else its place in the line; asked every second."""
        now_s = time.monotonic()
        with self._lock:
            for table in (self._running, self._waiting):
                for gone in [who for who, at_s in table.items() if now_s - at_s > self._GONE_S]:
                    del table[gone]
            if session not in self._running:
                self._waiting[session] = now_s
                place = list(self._waiting).index(session) + 1
                if place > self.slots - len(self._running):
                    return place
                del self._waiting[session]
            self._running[session] = now_s
            return 0

    def leave(self, session: str) -> None:
        """Free the slot, or the place in the line."""
        with self._lock:
            self._running.pop(session, None)
            self._waiting.pop(session, None)
