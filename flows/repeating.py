"""Do something again and again, whatever fails, until a process is told to stop."""

import threading
from collections.abc import Callable

from tasks.addresses import printable


def repeat(
    action: Callable[[], None], stop: threading.Event, seconds: float, say: Callable[[str], None]
) -> None:
    """Do it again and again. What fails is said once and tried again: a lost server comes back.

    Args:
        action: what is done.
        stop: ends it, once set.
        seconds: between one time and the next; twice as long after a failure.
        say: told what fails, and when it works again.
    """
    failure = ""
    while not stop.wait(seconds):
        try:
            action()
        except Exception as error:
            problem = printable(f"{type(error).__name__}: {error}".partition("\n")[0])
            if problem != failure:
                say(f"error: {problem}; trying again")
            failure = problem
            stop.wait(seconds)
        else:
            if failure:
                say("it works again")
            failure = ""
