"""The end of a command: when a signal asks for it, and never much later.

Python runs the handler of a signal in the main thread, between two of its own instructions, and
raises from there. That exception can be lost: raised inside a callback or a `__del__` it is printed
and dropped, a library may catch it, and a main thread that waits inside a library in C never comes
to it. So a second thread is told of each signal too, through a pipe that the operating system's
handler writes to, and sees to it that

    the first signal    raises `Stopped` in the main thread, and once more where that was lost
    after a while       ends the process, whatever the main thread does
    a second Ctrl-C     ends the process at once
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from tasks.deadline import within

AGAIN_SECONDS = 5.0
"""After this long an exception that nobody noticed counts as lost and is raised again."""
GRACE_SECONDS = 15.0
"""How long a command may take to end after a signal."""
FAREWELL_SECONDS = 20.0
"""How long a command may take to end once its work is done."""
CLOSE_SECONDS = 3.0
"""How long the closing may take that the main thread did not do."""
LOOK_SECONDS = 0.5

LEAVE_SECONDS = 10.0
"""How long the process may take to end after its command has."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked for the end. What knows Ctrl-C knows this."""


class Ending:
    """Watches over the end of a command."""

    def __init__(self, close: Callable[[], None], last_words: Callable[[], None]) -> None:
        """Watch nothing yet.

        Args:
            close: called in another thread, where the main one has not ended the command in time.
            last_words: called before the process is ended by force; says how to go on.
        """
        self.number: int | None = None
        """The first signal; None while there was none."""
        self._close, self._last_words = close, last_words
        self._due: float | None = None
        self._again: float | None = None
        self._arrived = self._noticed = False
        self._raised = self._raise_again = False
        self._resent = 0
        self._previous: dict[int, object] = {}
        self._thread = threading.Thread(target=self._watch, name="ending", daemon=True)

    def begin(self) -> None:
        """Watch from now on. Signals are for the main thread alone to take."""
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._descriptor = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in SIGNALS:
            # Whoever started us has some signals ignored, as `nohup` does.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._raise)
        self._thread.start()

    def end(self) -> None:
        """Watch no more, unless a signal has come: then until the process has ended."""
        if self.number is not None:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._descriptor)
        os.write(self._writing, b"\0")
        self._thread.join()
        os.close(self._reading)
        os.close(self._writing)

    def notice(self) -> None:
        """Tell that the exception has arrived where the command deals with it."""
        self._noticed = True

    def farewell(self) -> None:
        """Tell that the work is done and only the leaving is left."""
        if self._due is None:
            self._due = time.monotonic() + FAREWELL_SECONDS

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return 0 if self.number is None else 128 + self.number

    def _raise(self, number: int, frame: FrameType | None) -> None:
        # Prefect sends SIGTERM on to us after it has closed its flow run, and a supervisor may send
        # it twice: what is being closed is not disturbed.
        if not self._raised or self._raise_again:
            self._raised, self._raise_again = True, False
            self.number = self.number or number
            raise Stopped

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._reading], [], [], LOOK_SECONDS)
            for number in os.read(self._reading, 64) if readable else b"":
                if number == 0:
                    return
                self._arrive(number)
            now = time.monotonic()
            if self._again is not None and now >= self._again:
                self._again = None
                self._send_again()
            if self._due is not None and now >= self._due:
                try:
                    within(CLOSE_SECONDS, self._close)
                finally:
                    self._leave()

    def _send_again(self) -> None:
        if not self._noticed and self.number is not None:
            self._resent += 1
            self._raise_again = True
            signal.pthread_kill(threading.main_thread().ident or 0, self.number)

    def _arrive(self, number: int) -> None:
        """Take note of a signal. The main thread may have done so already, or may never do."""
        if not self._arrived:
            self._arrived = True
            self.number = self.number or number
            now = time.monotonic()
            self._again, self._due = now + AGAIN_SECONDS, now + GRACE_SECONDS
        elif self._resent and number == self.number:
            self._resent -= 1
        elif number == signal.SIGINT:
            self._leave()

    def _leave(self) -> None:
        try:
            within(CLOSE_SECONDS, self._speak)
        finally:
            os._exit(self.status)

    def _speak(self) -> None:
        self._last_words()
        sys.stdout.flush()
        sys.stderr.flush()


def leave_soon(status: object) -> None:
    """End the process within `LEAVE_SECONDS`, whatever still wants to be done.

    Prefect hands its last events to its server when Python ends, and would wait for a server that
    is gone.
    """
    number = status if isinstance(status, int) else 0 if status is None else 1

    def leave() -> None:
        time.sleep(LEAVE_SECONDS)
        os._exit(number)

    threading.Thread(target=leave, name="leave", daemon=True).start()
