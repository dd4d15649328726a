"""The pages in a browser: answering by keyboard and by touch, and losing no answer on the way."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.packing import unpack
from tests.labelling.server.campaigns import answered, publish, store_in
from tests.labelling.server.serve_folder import SECRET

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ROOT = Path(__file__).parents[2]
LONGEST = 30.0
"""Seconds that anything is waited for."""
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


class Served:
    """A label server of its own process, and the answers that it has."""

    def __init__(self, folder: Path, forms: dict[str, int], **options: Any) -> None:
        self.folder, self.forms = folder, forms
        self.store = store_in(folder)
        self.campaign = publish(self.store, folder, forms, **options)
        self.invite = self.invited(None)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def invited(self, uses: int | None) -> str:
        return self.store.invite(self.campaign.id, "Colleagues", uses)[1]

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.labelling.server.serve_folder",
                str(self.folder), str(self.port),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        until(self.is_up)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def rows(self) -> list[tuple[int, int, dict[str, Any], float, list[Any]]]:
        """Every answer as it came: index of the item, sequence, answer, seconds, events."""
        with sqlite3.connect(self.folder / "labels.db") as database:
            found = database.execute(
                'SELECT "index", sequence, answer, seconds, events FROM label_answers AS a '
                "JOIN label_assignments AS b ON b.id = a.assignment_id ORDER BY a.id"
            ).fetchall()
        return [
            (a, s, json.loads(answer), t, json.loads(events)) for a, s, answer, t, events in found
        ]

    def counted(self) -> dict[int, dict[str, Any]]:
        """Of each item the answer with the highest sequence."""
        return {row[0]: row[2] for row in sorted(self.rows(), key=lambda row: row[1])}

    def choices(self) -> list[str]:
        counted = self.counted()
        return [counted[index]["choice"] for index in sorted(counted)]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn clips, shared by the servers of all tests."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def serve(tmp_path: Path, clips: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def serving(forms: dict[str, int], **options: Any) -> Served:
        (tmp_path / "clips").symlink_to(clips)
        served = Served(tmp_path, forms, **options)
        started.append(served)
        served.start()
        return served

    yield serving
    for served in started:
        if served.process is not None and served.process.poll() is None:
            served.kill()
        served.store.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def complaints() -> list[str]:
    """What pages threw or were refused by their content security policy."""
    return []


@pytest.fixture
def visit(browser: "Browser", complaints: list[str]) -> Iterator[Callable[..., "Page"]]:
    contexts = []

    def visiting(size: str = "desktop", **options: Any) -> "Page":
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * LONGEST)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        return page

    yield visiting
    for context in contexts:
        context.close()
    assert complaints == []


def join(page: "Page", served: Served) -> None:
    """Join by the keyboard alone."""
    page.goto(f"{served.url}/join/{served.invite}")
    page.wait_for_selector("#name:focus")
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector("#start:focus")
    page.keyboard.press("Enter")


def item(page: "Page", number: int) -> None:
    """Wait until an item is shown and its clips are there."""
    page.wait_for_selector(f"[data-index='{number}'][data-ready]")


def press(page: "Page", number: int, *keys: str) -> None:
    item(page, number)
    for key in keys:
        page.keyboard.press(key)


def sent(page: "Page") -> None:
    """Wait until every answer is acknowledged."""
    page.wait_for_selector("body[data-waiting='0']")


def finished(page: "Page") -> None:
    page.get_by_text("That was all for now. Thank you!", exact=False).wait_for()


KEYS = ["ArrowLeft", "ArrowRight", "=", "s", "1", "2", "3", "ArrowDown", "ArrowLeft", "ArrowRight"]
CHOICES = ["left", "right", "equal", "skip", "left", "right", "equal", "equal", "left", "right"]


def test_twenty_comparisons_by_keyboard_alone(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 20}), visit()
    join(page, served)
    for number in range(20):
        press(page, number, KEYS[number % 10])
    finished(page)
    assert served.choices() == CHOICES * 2
    rows = served.rows()
    assert len(rows) == 20
    assert len({row[1] for row in rows}) == 20
    for _, _, _, seconds, events in rows:
        assert 0 < seconds < LONGEST
        assert events[0] == [0, "shown"]
        assert events[-1][1] == "answered"
        assert events[-1][0] == pytest.approx(1000 * seconds, abs=50)
    assert page.locator("#progress-text").inner_text() == "20 of 20"


def test_undo_goes_back_and_the_new_answer_counts(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 3}), visit()
    join(page, served)
    press(page, 0, "ArrowLeft")
    press(page, 1, "ArrowLeft")
    press(page, 2, "u")
    item(page, 1)
    assert page.locator("button.left").get_attribute("aria-pressed") == "true"
    press(page, 1, "u")
    press(page, 0, "ArrowRight")
    press(page, 2, "=")
    finished(page)
    assert served.choices() == ["right", "left", "equal"]
    assert len(served.rows()) == 4


def test_a_reload_goes_on_at_the_first_open_item_and_earlier_ones_can_be_changed(
    serve: Any, visit: Any
) -> None:
    served, page = serve({"comparison": 4}), visit()
    join(page, served)
    press(page, 0, "ArrowLeft")
    press(page, 1, "s")
    item(page, 2)
    sent(page)
    page.reload()
    item(page, 2)
    assert page.locator("#progress-text").inner_text().startswith("2 of 4")
    page.click("#open-items")
    page.locator(".item-list button").first.wait_for()
    assert page.locator(".item-list button").all_inner_texts() == ["1", "2"]
    page.get_by_role("button", name="Item 2, skipped").click()
    press(page, 1, "ArrowRight")
    press(page, 2, "ArrowRight")
    press(page, 3, "ArrowRight")
    finished(page)
    assert served.choices() == ["left", "right", "right", "right"]


def test_answers_wait_while_the_network_is_cut_and_are_sent_once_it_is_back(
    serve: Any, visit: Any
) -> None:
    served, page = serve({"comparison": 8}), visit()
    join(page, served)
    press(page, 0, "ArrowLeft")
    item(page, 1)
    sent(page)
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    for number in (1, 2, 3):
        press(page, number, "ArrowRight")
    page.get_by_text("3 answers wait to be sent.", exact=False).wait_for()
    assert len(served.rows()) == 1
    page.context.set_offline(False)
    for number in (4, 5, 6, 7):
        press(page, number, "=")
    finished(page)
    assert served.choices() == ["left"] + ["right"] * 3 + ["equal"] * 4
    assert len(served.rows()) == 8
    assert not page.locator("#saving").is_visible()


def test_a_killed_server_loses_no_answer_and_none_comes_twice(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 10}), visit()
    join(page, served)
    for number in range(3):
        press(page, number, "ArrowLeft")
    item(page, 3)
    page.wait_for_load_state("networkidle")
    served.kill()
    for number in (3, 4):
        press(page, number, "ArrowRight")
    page.get_by_text("wait to be sent", exact=False).wait_for()
    served.start()
    for number in range(5, 10):
        press(page, number, "=")
    finished(page)
    assert served.choices() == ["left"] * 3 + ["right"] * 2 + ["equal"] * 5
    assert len(served.rows()) == 10


def test_unsent_answers_outlive_a_reload(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 4}), visit()
    join(page, served)
    page.route("**/api/answers", lambda route: route.abort())
    press(page, 0, "ArrowLeft")
    press(page, 1, "ArrowRight")
    item(page, 2)
    page.reload()
    item(page, 2)
    page.get_by_text("2 answers wait to be sent", exact=False).wait_for()
    assert served.rows() == []
    page.unroute("**/api/answers")
    sent(page)
    assert served.choices() == ["left", "right"]


def test_an_answer_whose_receipt_is_lost_is_sent_again_and_counts_once(
    serve: Any, visit: Any
) -> None:
    served, page = serve({"comparison": 2}), visit()
    join(page, served)
    lost: list[str] = []

    def losing(route: Any) -> None:
        if len(lost) < 2:
            lost.append(json.loads(route.request.post_data)["key"])
            httpx.post(
                route.request.url,
                content=route.request.post_data,
                headers=route.request.all_headers(),
            ).raise_for_status()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/answers", losing)
    press(page, 0, "ArrowLeft")
    press(page, 1, "ArrowRight")
    finished(page)
    assert len(lost) == 2
    assert lost[0] == lost[1]
    assert served.choices() == ["left", "right"]
    assert len(served.rows()) == 2


def test_a_refused_answer_is_told_and_not_sent_for_ever(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 2}), visit()
    join(page, served)
    calls: list[int] = []

    def refusing(route: Any) -> None:
        calls.append(1)
        route.fulfill(status=409, json={"error": "This question is no longer yours."})

    page.route("**/api/answers", refusing)
    press(page, 0, "ArrowLeft")
    page.get_by_text("An answer was not taken: This question is no longer yours.").first.wait_for()
    sent(page)
    assert len(calls) == 1


def test_an_old_token_is_renewed_and_what_stays_forbidden_is_given_up(
    serve: Any, visit: Any
) -> None:
    served, page = serve({"comparison": 2}), visit()
    join(page, served)
    forbidden: list[str] = []

    def refusing(route: Any) -> None:
        choice = json.loads(route.request.post_data)["answer"]["choice"]
        if choice == "left" or forbidden.count("right") == 0:
            forbidden.append(choice)
            route.fulfill(status=403, json={"error": "Not yours."})
        else:
            route.continue_()

    page.route("**/api/answers", refusing)
    press(page, 0, "ArrowLeft")
    press(page, 1, "ArrowRight")
    sent(page)
    assert forbidden == ["left", "left", "right"]
    assert served.counted() == {1: {"choice": "right"}}


def test_practice_tells_what_is_right(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 3, "training": 2}), visit()
    join(page, served)
    press(page, 0, "ArrowLeft")
    page.get_by_text("Correct.").wait_for()
    page.wait_for_selector("#continue:focus")
    page.keyboard.press("Enter")
    press(page, 1, "ArrowRight")
    page.get_by_text("Not quite.").wait_for()
    page.get_by_text("The left one is nearer.").wait_for()
    page.click("#continue")
    press(page, 2, "ArrowRight")
    finished(page)
    assert page.locator("#progress-text").inner_text() == "1 of 1"


@pytest.mark.parametrize(
    ("form", "keys", "answer"),
    [
        ("rating", ["7", "Enter"], {"value": 0.7}),
        ("rating", ["9", "ArrowRight", "Enter"], {"value": 1.0}),
        ("signal", ["4"], {"value": 0.75}),
        ("ranking", ["2", "4", "1", "Enter"], {"order": [1, 3, 0, 2], "places": 3}),
        ("ranking", ["2", "4", "2", "1", "3", "Enter"], {"order": [3, 0, 2, 1], "places": 3}),
        ("best_of", ["1", "3", "Enter"], {"order": [2, 0, 1, 3], "places": 1}),
        ("click", ["2", "4", "2", "1", "Enter"], {"clicked": [0, 3]}),
        ("rating", ["s"], {"skip": True}),
        ("ranking", ["s"], {"skip": True}),
    ],
)
def test_every_form_is_answered_by_keyboard(
    serve: Any, visit: Any, form: str, keys: list[str], answer: dict[str, Any]
) -> None:
    served, page = serve({form: 1}), visit()
    join(page, served)
    press(page, 0, *keys)
    finished(page)
    assert served.counted() == {0: answer}


def test_an_episode_is_played_by_keyboard_and_handed_in(serve: Any, visit: Any) -> None:
    served, page = serve({"demonstration": 1}), visit()
    join(page, served)
    press(page, 0, "Enter")
    page.get_by_text("Step ").wait_for()
    page.keyboard.down("ArrowRight")
    page.get_by_text("The episode is over after 30 steps.").wait_for()
    page.keyboard.up("ArrowRight")
    page.keyboard.press("Enter")
    finished(page)
    name = served.counted()[0]["episode"]
    with sqlite3.connect(served.folder / "labels.db") as database:
        found = database.execute("SELECT id, content FROM label_episodes").fetchall()
    assert [one[0] for one in found] == [name]
    actions = unpack(found[0][1], Demonstrations).actions.ravel().tolist()
    assert len(actions) == 30
    assert actions[0] == 0.0
    assert actions[-10:] == [2.0] * 10


def test_a_clip_is_dragged_onto_the_place_of_another(serve: Any, visit: Any) -> None:
    served, page = serve({"ranking": 1}), visit()
    join(page, served)
    press(page, 0, "1", "2")
    page.drag_and_drop(".clip:nth-child(3) .film", ".clip:nth-child(1) .film")
    page.keyboard.press("Enter")
    finished(page)
    assert served.counted()[0]["order"] == [2, 0, 1, 3]


def test_a_phone_is_wide_enough_and_its_buttons_large_enough(serve: Any, visit: Any) -> None:
    served = serve({"comparison": 2, "ranking": 1})
    page = visit("phone", has_touch=True, is_mobile=True, color_scheme="dark")
    page.goto(f"{served.url}/join/{served.invite}")
    page.fill("#name", "Ada")
    page.tap("button[type=submit]")
    page.tap("#start")
    for number in range(3):
        item(page, number)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for box in page.locator("button:visible").all():
            size = box.bounding_box()
            assert size is not None
            assert size["height"] >= 44
            assert size["width"] >= 44
        if number < 2:
            page.tap("button.right")
    for place in (1, 2, 3):
        page.tap(f".clip:nth-child({place}) .pick")
    page.tap("button.main:has-text('Send')")
    finished(page)
    assert [served.counted()[index]["choice"] for index in (0, 1)] == ["right", "right"]
    assert served.counted()[2] == {"order": [0, 1, 2, 3], "places": 3}


def test_clips_play_in_step_pause_and_scrub(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 1}), visit()
    join(page, served)
    item(page, 0)
    scrubber = page.locator(".player input[type=range]")
    until(lambda: int(scrubber.input_value()) > 100)
    page.keyboard.press("Space")
    before = scrubber.input_value()
    page.wait_for_timeout(300)
    assert scrubber.input_value() == before
    pictures = "[...document.querySelectorAll('canvas')].map(one => one.toDataURL())"
    scrubber.fill("0")
    first = page.evaluate(pictures)
    scrubber.fill("1000")
    last = page.evaluate(pictures)
    assert first[0] != last[0]
    assert first[1] != last[1]
    page.keyboard.press("r")
    until(lambda: int(scrubber.input_value()) < 900)
    assert page.get_by_role("button", name="Pause").is_visible()


def test_nothing_moves_by_itself_where_less_motion_is_wanted(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 1}), visit(reduced_motion="reduce")
    join(page, served)
    item(page, 0)
    page.wait_for_timeout(300)
    assert page.locator(".player input").input_value() == "0"
    assert page.get_by_role("button", name="Play", exact=True).is_visible()


def test_a_screen_reader_is_told_what_is_asked_and_shown(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 1}), visit()
    join(page, served)
    item(page, 0)
    assert page.evaluate("document.activeElement.id") == "question-title"
    assert page.get_by_role("group", name="Left. Film of Pendulum-v1, 0.9 seconds.").is_visible()
    assert page.get_by_role("button", name="Right is better").is_visible()
    assert page.locator("#announce").inner_text() == "Which clip is better? Item 1."
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input')].filter(one => "
        "!(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).length"
    )
    assert unnamed == 0


def test_a_false_invitation_is_told(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 1}), visit()
    page.goto(f"{served.url}/join/forged")
    page.fill("#name", "Eve")
    page.keyboard.press("Enter")
    page.get_by_text("This invitation does not exist").wait_for()


def test_an_offer_that_comes_after_the_answer_ends_no_campaign(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 1}), visit()
    # The item is open in the second offer, and answered when the offer arrives.
    page.add_init_script(
        """
        const plain = window.fetch;
        let offers = 0;
        window.fetch = async (path, options) => {
          const response = await plain(path, options);
          if (path === "/api/next" && (offers += 1) === 2)
            await new Promise((resolve) => setTimeout(resolve, 2000));
          return response;
        };
        """
    )
    join(page, served)
    press(page, 0, "ArrowLeft")
    finished(page)
    assert served.choices() == ["left"]


@pytest.mark.parametrize(
    ("environment", "shown", "text"),
    [
        ("Writer-v0", "pre.text", "<b>Person:</b> hello"),
        ("Talker-v0", ".html p", "bye"),
        ("Board-v0", ".grid table", "@"),
        ("Shop-v0", "ol.slate", "<script>x</script>"),
        ("Quiet-v0", ".plot svg .playhead", ""),
    ],
)
def test_every_view_is_shown(
    serve: Any, visit: Any, environment: str, shown: str, text: str
) -> None:
    served = serve(
        {"comparison": 1},
        environment={"id": f"tests.labelling.environments:{environment}"},
        steps=3,
    )
    page = visit()
    join(page, served)
    item(page, 0)
    assert page.locator(shown).count() == 2
    assert text in page.locator(shown).first.text_content()
    assert page.locator(".clip script, .clip i, .text b").count() == 0
    if environment == "Quiet-v0":
        page.keyboard.press("Space")
        scrubber, head = page.locator(".player input[type=range]"), page.locator(shown).first
        scrubber.fill("0")
        first = head.get_attribute("x1")
        scrubber.fill("1000")
        until(lambda: head.get_attribute("x1") != first)
    press(page, 0, "1")
    finished(page)
    assert served.choices() == ["left"]


def test_a_clip_whose_run_was_deleted_is_told_and_can_be_skipped(serve: Any, visit: Any) -> None:
    served = serve({"comparison": 1}, environment={"id": "CartPole-v1"})
    shutil.rmtree(served.folder / "artifacts")
    page = visit()
    join(page, served)
    lost = "This clip is no longer there: its run was deleted."
    page.get_by_text(lost, exact=False).first.wait_for()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("s")
    finished(page)
    assert served.choices() == ["skip"]


NAME = "<img src=x onerror=alert(1)><b>Eve</b>"


def test_the_owner_signs_in_sees_everything_and_acts(serve: Any, visit: Any) -> None:
    served = serve({"comparison": 4}, answers_per_question=2, price=0.5, deadline=2e9)
    answered(served.store, served.campaign, "Ada", ["left", "left", "left", "right"])
    answered(served.store, served.campaign, NAME, ["left", "right", "left"])
    page = visit()
    page.goto(f"{served.url}/owner#wrong")
    page.get_by_text("That secret was not accepted.").wait_for()
    page.fill("#secret", SECRET)
    page.keyboard.press("Enter")
    page.get_by_text("3 / 4").wait_for()
    assert page.url == f"{served.url}/owner"
    page.get_by_text("3.50").wait_for()
    assert page.locator(".tiles").get_by_text("67 %").count() == 1
    # A name is text, whatever it holds.
    assert page.locator("td b, td img").count() == 0
    page.get_by_text(NAME, exact=True).first.wait_for()
    page.locator(".pair-card canvas").nth(1).wait_for()
    assert page.locator(".pair-card").count() == 1
    assert page.locator(".pair-card li").all_inner_texts() == ["Ada: Left", f"{NAME}: Right"]

    page.click("#pause")
    page.locator(".status.paused").wait_for()
    assert served.store.campaign(1).status == "paused"
    page.click("#open")
    page.locator(".status.open").wait_for()

    before = served.store.batches(1)[0].deadline
    page.click("#extend")
    page.fill("#hours", "5")
    page.click("#confirm")
    until(lambda: served.store.batches(1)[0].deadline == before + 5 * 3600)

    page.click("#active-1")
    page.click("#confirm")
    page.get_by_role("button", name="Count again").wait_for()
    assert [one.active for one in served.store.annotators(1)] == [True, False]
    page.get_by_text("0 / 4").wait_for()
    page.click("#active-1")
    page.get_by_text("3 / 4").wait_for()
    assert [one.active for one in served.store.annotators(1)] == [True, True]

    page.click("#close")
    page.click("#confirm")
    page.locator(".status.closed").wait_for()
    assert served.store.campaign(1).status == "closed"
    page.click("#open")
    page.locator(".status.open").wait_for()
    page.click("#logout")
    page.locator("#secret").wait_for()


def test_the_owner_invites_somebody_who_joins_and_revokes_the_link(serve: Any, visit: Any) -> None:
    served, page = serve({"comparison": 2}), visit()
    page.goto(f"{served.url}/owner#{SECRET}")
    page.click("#invite")
    page.fill("#invite-name", "Bob")
    page.select_option("#invite-uses", "")
    page.click("#confirm")
    link = page.locator("#invite-link").input_value()
    assert link.startswith(f"{served.url}/join/")
    page.get_by_role("button", name="Close", exact=True).last.click()

    bob = visit()
    bob.goto(link)
    bob.fill("#name", "Bob")
    bob.keyboard.press("Enter")
    bob.wait_for_selector("#start:focus")
    bob.keyboard.press("Enter")
    press(bob, 0, "ArrowLeft")
    sent(bob)
    page.get_by_text("1, shared").wait_for()
    page.get_by_role("cell", name="Bob").first.wait_for()

    page.click("#revoke-2")
    page.click("#confirm")
    page.get_by_role("cell", name="revoked").wait_for()
    eve = visit()
    eve.goto(link)
    eve.fill("#name", "Eve")
    eve.keyboard.press("Enter")
    eve.get_by_text("This invitation was revoked; ask for another one").wait_for()
    # Who has joined stays.
    press(bob, 1, "ArrowRight")
    finished(bob)
    assert served.choices() == ["left", "right"]


def test_the_owner_downloads_labels_and_the_audit(serve: Any, visit: Any, tmp_path: Path) -> None:
    served, page = serve({"comparison": 3}), visit(accept_downloads=True)
    answered(served.store, served.campaign, "Ada", ["left", "equal", "right"])
    page.goto(f"{served.url}/owner#{SECRET}")
    page.get_by_text("3 / 3").wait_for()
    for name, begins in [
        ("labels.parquet", b"PAR1"), ("labels.jsonl", b'{"rlhf_labels"'), ("audit.jsonl", b"{"),
    ]:  # fmt: skip
        with page.expect_download() as download:
            page.locator(f"a[href$='{name}']").click()
        path = tmp_path / name
        download.value.save_as(path)
        assert path.read_bytes().startswith(begins)
    actions = [json.loads(line)["action"] for line in path.read_text().splitlines()]
    assert actions[:2] == ["campaign opened", "batch published"]
    assert "joined" in actions


def test_the_owners_link_signs_in_and_leaves_no_secret_in_the_address(
    serve: Any, visit: Any
) -> None:
    served, page = serve({"comparison": 3}), visit("phone")
    answered(served.store, served.campaign, "Ada", ["left"])
    page.goto(f"{served.url}/owner#{SECRET}")
    page.get_by_text("1 / 3").wait_for()
    assert page.url == f"{served.url}/owner"
    assert page.evaluate("history.length") <= 2
    assert page.evaluate("document.documentElement.scrollWidth") == 390
