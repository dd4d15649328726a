"""What the page of a run says about it."""

import pytest

from flows.services.prefect_page import lasting_page
from tasks.runs import description
from tests.core.examples import tiny


def test_a_run_links_to_the_page_of_a_prefect_server_that_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PREFECT_UI_URL", raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example:4200/api")
    monkeypatch.setenv("RLHF_EMBEDDED_PREFECT", "http://127.0.0.1:9/api")
    assert lasting_page() == "http://prefect.example:4200"
    monkeypatch.setenv("PREFECT_UI_URL", "https://prefect.example/page/")
    link = "[flow run f1](https://prefect.example/page/runs/flow-run/f1)"
    assert description.prefect("f1", lasting_page()) == link
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert lasting_page() is None
    text = "flow run `f1`, on the page that `rlhf ui` opens."
    assert description.prefect("f1", lasting_page()) == text


def test_a_run_says_what_it_was_and_how_it_ended() -> None:
    asking = description.what(tiny(seed=3), "preference-ppo-1234")
    assert asking.startswith("`preference-ppo-1234` with seed 3, of experiment `tiny`")
    assert "labels of annotator `synthetic`" in asking
    silent = description.what(tiny(feedback={"kind": "constant"}), "constant-ppo")
    assert "no labels, " in silent
    assert "annotator" not in silent
    final = {"final/labels": 9.0, "final/env_steps": 1024.0, "final/seconds": 4.4}
    assert description.finished(final) == (
        "finished; its true return is unknown, after 9 labels and 1,024 environment steps, 4 s."
    )
    assert description.finished({**final, "final/true_return_iqm": -1.25}).startswith(
        "finished with a true return of -1.2 (IQM) after 9 labels"
    )
