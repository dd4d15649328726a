"""A limit on the whole of an exchange with a server, however slowly its answer drips in."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """Call a function in a thread of its own and return what it returns.

    Args:
        seconds: how long to wait. A function that takes longer is left behind in a thread that
            does not keep the process from ending.
        function: what to call.

    Raises:
        TimeoutError: it took longer.
        Exception: the function raised it.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(call,), daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no complete answer within {seconds:g} seconds")
    return results[0]
