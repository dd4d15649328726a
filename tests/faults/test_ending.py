"""A signal ends a command, whatever it is doing and wherever its exception gets lost."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.faults

HEAD = """
import os, signal, sys, threading, time
from flows.command import ending
from flows.command.ending import Ending

ending.AGAIN_SECONDS, ending.GRACE_SECONDS, ending.FAREWELL_SECONDS = {seconds}
watch = Ending(lambda: print("closed", flush=True), lambda: print("last words", flush=True))
watch.begin()

def ready():
    print("ready", flush=True)

"""
DROPPED = """
class Dropping:
    def __del__(self):
        ready()
        time.sleep(60)  # An exception in here is printed and dropped.

try:
    Dropping()
    time.sleep(60)
except KeyboardInterrupt:
    print("noticed", flush=True)
    watch.notice()
    sys.exit(watch.status)
"""
CAUGHT = """
asked = False
while True:
    try:
        if not asked:
            asked = True
            ready()
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""
# A wait inside C that no signal interrupts, so that Python's handlers never run.
STUCK = """
import ctypes

mutex = ctypes.create_string_buffer(256)
lock = ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
asked = False
while True:
    try:
        if not asked:
            asked = True
            ready()
        lock(mutex)
    except KeyboardInterrupt:
        pass  # It came just before the wait.
"""
NEVER = "(600, 600, 600)"


def play(seconds: str, body: str, number: signal.Signals | None) -> tuple[int, list[str]]:
    """Send a signal to a program when it is ready; its status and output."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD.replace("{seconds}", seconds) + body],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if number is not None:
        process.send_signal(number)
    out, _ = process.communicate()
    return process.returncode, out.splitlines()


def test_an_exception_that_a_destructor_drops_is_raised_again() -> None:
    status, lines = play("(0.5, 600, 600)", DROPPED, signal.SIGINT)
    assert (status, lines) == (130, ["noticed"])


@pytest.mark.parametrize("body", [CAUGHT, STUCK], ids=["caught", "stuck"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_does_not_end_is_ended_with_the_signals_status(
    body: str, number: signal.Signals
) -> None:
    status, lines = play("(0.1, 0.5, 600)", body, number)
    assert (status, lines) == (128 + number, ["closed", "last words"])


@pytest.mark.parametrize("body", [CAUGHT, STUCK], ids=["caught", "stuck"])
def test_a_second_ctrl_c_ends_at_once(body: str) -> None:
    again = """
def press():
    while watch.number is None:
        time.sleep(0.01)
    time.sleep(0.2)  # Two that come at once are one to the operating system.
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press, daemon=True).start()
"""
    status, lines = play(NEVER, again + body, signal.SIGINT)
    assert (status, lines) == (130, ["last words"])


def test_sigterm_that_comes_twice_does_not_disturb_the_closing() -> None:
    body = """
try:
    ready()
    time.sleep(60)
except KeyboardInterrupt:
    watch.notice()
    os.kill(os.getpid(), signal.SIGTERM)  # As Prefect does, when it has closed its flow run.
    time.sleep(0.1)
    print("closed in peace", flush=True)
    sys.exit(watch.status)
"""
    assert play(NEVER, body, signal.SIGTERM) == (143, ["closed in peace"])


def test_finished_work_does_not_wait_for_a_service_that_is_gone() -> None:
    status, lines = play("(600, 600, 0.2)", "ready()\nwatch.farewell()\ntime.sleep(60)", None)
    assert (status, lines) == (0, ["closed", "last words"])


def test_what_the_starter_ignores_stays_ignored() -> None:
    body = "ready()\nwatch.end()\nprint(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    program += HEAD.replace("{seconds}", NEVER) + body
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["ready", "True"]


def test_a_command_leaves_though_something_waits_at_its_end() -> None:
    body = (
        "import atexit, time; from flows.command import ending; ending.LEAVE_SECONDS = 0.2; "
        "atexit.register(time.sleep, 60); ending.leave_soon(3); raise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", body], check=False, env=os.environ)
    assert done.returncode == 3
