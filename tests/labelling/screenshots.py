"""Pictures of both pages, light and dark, wide and narrow.

python -m tests.labelling.screenshots FOLDER
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.labelling.server.campaigns import answered
from tests.labelling.server.serve_folder import SECRET
from tests.labelling.test_page import CHROMIUM, SIZES, Served, item


def main(folder: Path) -> None:
    """Write a PNG of each screen."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    served = Served(
        Path(tempfile.mkdtemp()),
        {"comparison": 20, "ranking": 1},
        answers_per_question=3,
        price=0.1,
        deadline=time.time() + 7200,
    )
    left, right = ["left"] * 8, ["right", "left", "equal", "left"] * 2
    answered(served.store, served.campaign, "Grace Hopper", left + right, 3.4)
    answered(served.store, served.campaign, "Alan Turing", right + left, 5.2)
    served.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    context = browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme=scheme,  # type: ignore[arg-type]
                    )
                    _pages(context.new_page(), served, folder / f"{size}-{scheme}")
                    context.close()
            browser.close()
    finally:
        served.kill()


def _pages(page: Any, served: Served, name: Path) -> None:
    def picture(screen: str, whole: bool = False) -> None:
        page.wait_for_timeout(500)
        page.screenshot(path=f"{name}-{screen}.png", full_page=whole)

    page.goto(f"{served.url}/join/{served.invite}")
    page.wait_for_selector("#name:focus")
    picture("join")
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector("#start")
    picture("welcome")
    page.click("#start")
    item(page, 0)
    picture("comparison")
    page.keyboard.press("?")
    picture("help")
    page.goto(f"{served.url}/owner#{SECRET}")
    page.locator(".pair-card canvas").nth(5).wait_for()
    picture("owner", whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
