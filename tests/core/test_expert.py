"""An expert shows how it is done: whose clips, of what length, put before which ones."""

from pathlib import Path

import numpy as np
import pytest

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.annotators.expert import Expert
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.answers import Answers, Rankings
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import EMPTY
from rlhf_core.optimisers.ars import ARS
from rlhf_core.optimisers.dqn import DQN
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.optimisers.sac import SAC
from rlhf_core.packing import pack
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request, no_queries, no_questions
from rlhf_core.teachers.demonstrator import demonstrate, expert_optimiser
from rlhf_core.types import Rollouts, Truth, Value
from tests.core.examples import HERE, asking, played, segments, trajectory

CORRIDOR = Environment(id=f"{HERE}:Corridor-v0", count=4)
QUICK = PPO(steps=64, batch_size=64, hidden=(16,), learning_rate=5e-3)
CLIPS = segments(np.zeros((5, 3)))
ASKED = asking(CLIPS, comparison=[[0, 1], [2, 3]], ranking=[[1, 2, 4]], rating=[4])


def preferred(said: Answers) -> Rankings:
    """The expert's own clips, each put before those of one query."""
    (judgements,) = said.judgements.values()
    assert isinstance(judgements, Rankings)
    assert set(said.judgements) == {"best_of"}
    return judgements


def file(folder: Path, value: Value) -> str:
    """A stored value."""
    path = folder / "recording.safetensors"
    path.write_bytes(pack(value))
    return str(path)


def read(recording: str) -> AnnotatorState:
    return Expert(recording=recording).prepare(CORRIDOR, QUICK, 0, np.random.default_rng(0))


def show(
    state: AnnotatorState, asked: Request = ASKED, seed: int = 0
) -> tuple[AnnotatorState, Answers]:
    nothing = np.zeros((len(asked.segments), asked.segments.steps))
    truth = Truth(nothing, nothing, np.empty(0))
    return Expert(seconds=5, cost=2).answer(state, asked, truth, np.random.default_rng(seed))


def test_a_demonstration_is_put_before_all_that_a_question_is_about(tmp_path: Path) -> None:
    state, said = show(read(file(tmp_path, played(9, 7)[0])))
    # Two pairs, a group of three, a rating: demonstrations 5, 6, 7, 8 stand after the five clips.
    nobody = EMPTY
    assert preferred(said).items.tolist() == [
        [5, 0, 1, nobody],
        [6, 2, 3, nobody],
        [7, 1, 2, 4],
        [8, 4, nobody, nobody],
    ]
    assert preferred(said).places.tolist() == [1, 1, 1, 1]
    assert said.segments is not None
    assert len(said.segments) == 4
    assert said.segments.steps == CLIPS.steps
    assert state.judgements == 4


def test_a_demonstration_has_its_price_and_its_time(tmp_path: Path) -> None:
    _, said = show(read(file(tmp_path, played(9)[0])))
    assert said.cost == 8
    assert preferred(said).seconds.tolist() == [5, 5, 5, 5]


def test_clips_are_cut_from_the_recording(tmp_path: Path) -> None:
    recording, _ = played(9, 7)
    _, said = show(read(file(tmp_path, recording)))
    assert said.segments is not None
    for shown, (which, first) in zip(
        said.segments.observations[..., 0], said.segments.origin, strict=True
    ):
        assert shown.tolist() == [100 * which + first + step for step in range(4)]


def test_a_recording_shorter_than_a_clip_is_padded_and_ends_as_it_did(tmp_path: Path) -> None:
    recording = Rollouts((trajectory(2, terminated=True),))
    _, said = show(read(file(tmp_path, recording)))
    assert said.segments is not None
    assert said.segments.mask.tolist() == [[True, True, False]] * 4
    assert said.segments.terminated.tolist() == [[False, True, False]] * 4
    cut = Rollouts((trajectory(2, terminated=False),))
    _, said = show(read(file(tmp_path, cut)))
    assert said.segments is not None
    assert not said.segments.terminated.any()


def test_the_same_seed_shows_the_same_and_another_one_something_else(tmp_path: Path) -> None:
    state = read(file(tmp_path, played(60, 70)[0]))
    first, again, other = (show(state, seed=seed)[1] for seed in (0, 0, 1))
    assert pack(first) == pack(again)
    assert pack(first) != pack(other)


def test_no_question_no_demonstration(tmp_path: Path) -> None:
    before = read(file(tmp_path, played(9)[0]))
    state, said = show(before, no_questions(CLIPS))
    assert said.judgements == {}
    assert said.segments is None
    assert state.judgements == before.judgements == 0


def test_an_expert_is_trained_on_the_true_reward() -> None:
    # In the cue task action 1 is right where 1 is shown, and action 0 where -1 is.
    cue = Environment(id=f"{HERE}:Cue-v0", count=4)
    state = Expert(env_steps=4000, episodes=3).prepare(cue, QUICK, 0, np.random.default_rng(0))
    _, said = show(state)
    assert said.segments is not None
    assert said.segments.mask.all()
    right = said.segments.observations[:, :-1, 0] > 0
    np.testing.assert_array_equal(said.segments.actions, right)
    # Three copies are played for one episode of 8 steps each.
    assert state.arrays["demonstrations/lengths"].tolist() == [8, 8, 8]


def test_the_optimiser_of_an_expert_is_its_own_or_the_runs_ppo_or_small_ppo() -> None:
    other = DQN(hidden=(4,))
    assert expert_optimiser(other, QUICK) is other
    assert expert_optimiser(None, QUICK) is QUICK
    assert expert_optimiser(None, other) == PPO(batch_size=128)
    assert expert_optimiser(None, ARS()) == PPO(batch_size=128)


@pytest.mark.parametrize("run", [QUICK, ARS(population=4)], ids=["ppo", "ars"])
def test_an_explicit_optimiser_of_the_expert_wins_over_the_runs(run: Optimiser) -> None:
    explicit, implicit = Expert(env_steps=256, optimiser=QUICK), Expert(env_steps=256)
    first, other = (
        annotator.prepare(CORRIDOR, optimiser, 3, np.random.default_rng(0))
        for annotator, optimiser in ((explicit, run), (implicit, QUICK))
    )
    assert pack(first) == pack(other)
    teacher = Synthetic(expert_steps=256, expert_optimiser=QUICK)
    shown = teacher.prepare(CORRIDOR, run, 20, np.random.default_rng(0)).arrays
    for name, value in first.arrays.items():
        np.testing.assert_array_equal(shown[name], value)


@pytest.mark.parametrize(
    ("annotator", "field"),
    [
        (Expert(optimiser=SAC()), "annotator.optimiser"),
        (Synthetic(expert_optimiser=SAC()), "annotator.expert_optimiser"),
    ],
)
def test_an_optimiser_that_cannot_train_the_expert_is_refused(
    annotator: Annotator, field: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{field}: .*expected actions of Box"):
        annotator.check_fit(CORRIDOR, True)
    misfit = type(annotator).model_validate({field.split(".")[1]: {"kind": "ppo", "steps": 3}})
    with pytest.raises(ConfigurationError, match=rf"{field}: .*expected a divisor"):
        misfit.check_fit(CORRIDOR, True)


def test_a_recording_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"annotator\.recording: expected .*nowhere"):
        read(str(tmp_path / "nowhere"))


def test_a_recording_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a Rollouts, actual: Queries"):
        read(file(tmp_path, no_queries()))
    other = tmp_path / "text"
    other.write_text("not a recording")
    with pytest.raises(ConfigurationError, match=r"annotator\.recording"):
        read(str(other))


def test_a_recording_from_another_environment_is_refused(tmp_path: Path) -> None:
    recording = file(tmp_path, played(9)[0])
    pendulum = Environment(id="Pendulum-v1", count=4)
    with pytest.raises(ConfigurationError, match=r"observations of shape \(3,\).*actual: \(1,\)"):
        Expert(recording=recording).prepare(pendulum, QUICK, 0, np.random.default_rng(0))


def test_each_demonstration_is_the_first_episode_of_its_copy() -> None:
    # Episodes of different lengths, most of which end early and are followed by others.
    lake = Environment(id="FrozenLake-v1", count=4)
    rng = np.random.default_rng(0)
    shown = demonstrate(lake, lambda seen: rng.integers(4, size=len(seen)), 12, rng).episodes
    assert len(shown) == 12
    assert shown.terminated.all()
    assert all(episode.observations[0] == 0 for episode in shown.trajectories())
