"""What it is worth to model the workers of a crowd, and to choose whom to ask how often.

    python benchmarks/crowd.py --seeds 10

Two experiments on simulated crowds, about ten seconds a seed on one core:

spammers   items with latent scores, many pairs of them, and crowds that are clean, adversarial or
           always press left. Each aggregator's labels are fitted by the same Bradley-Terry model;
           accuracy is the share of all pairs of items that its scores put in the true order.
           Every aggregator sees the same judgements, gold questions included. "Spammers known"
           is what could be had at best without the spammers' words: the majority of the others.
price      fresh pairs and a mixed crowd. Accuracy is the share of the labels on the true side;
           the price counts every judgement, the expert's too. The fixed policies ask each pair
           the same number of times, with and without gold. The ratio compares the adaptive policy
           with the cheaper of the two at equal accuracy; its interval is a bootstrap over seeds.

Every measurement is a line of results/crowd.jsonl; results/crowd.md holds the tables.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_core.aggregation import Aggregator
from rlhf_core.aggregation.crowd_bradley_terry import CrowdBradleyTerry
from rlhf_core.aggregation.dawid_skene import DawidSkene
from rlhf_core.aggregation.majority import Majority
from rlhf_core.annotators.crowd import Crowd
from rlhf_core.answers import Answers, Comparisons
from rlhf_core.crowd.scores import fit_scores
from rlhf_core.crowd.workers import Role
from rlhf_core.environments.factory import Environment
from rlhf_core.feedback_forms.comparison import Comparison
from rlhf_core.judgements import EXPERT, select
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.questions import Queries, Request
from rlhf_core.types import Segments, Truth

RESULTS = Path(__file__).with_name("results")
AGGREGATORS: tuple[Aggregator, ...] = (Majority(), DawidSkene(), CrowdBradleyTerry())
KNOWN = "spammers known"
ITEMS, PAIRS, WORKERS = 150, 3000, 50
FRESH = 300
CROWDS: dict[str, dict[str, Any]] = {
    "clean": {"workers": WORKERS, "redundancy": 3},
    "44 % adversarial": {"workers": WORKERS, "redundancy": 3, "adversarial": 0.44},
    "50 % adversarial": {"workers": WORKERS, "redundancy": 3, "adversarial": 0.5},
    "90 % always left, in place of others": {
        "workers": WORKERS, "redundancy": 3, "always_left": 0.9,
    },
    "90 % always left, beside the others": {
        "workers": 10 * WORKERS, "redundancy": 30, "always_left": 0.9,
    },
}  # fmt: skip
MIXED = {"random": 0.15, "always_left": 0.1, "adversarial": 0.1}
FIXED = (1, 2, 3, 4, 5, 7, 9, 12)
SURE = (0.62, 0.7, 0.8, 0.88, 0.93, 0.96, 0.98, 0.99)
MOST = 12
GOLD = (0.0, 0.05)
COMPARED = (3, 5, 7)
"""Fixed redundancies whose accuracy the adaptive policy has to reach."""
DRAWS = 2000

FORM = Comparison().model_dump_json()


def ask(crowd: Crowd, score: np.ndarray, pair: np.ndarray, seed: int) -> tuple[Answers, np.ndarray]:
    """What a crowd says of pairs of clips that pay `score`, and the roles of its workers."""
    rng = np.random.default_rng([seed, 1])
    count = len(score)
    clips = Segments(
        actions=np.zeros((count, 1), dtype=np.int64),
        observations=np.zeros((count, 2, 1), dtype=np.float32),
        terminated=np.zeros((count, 1), dtype=bool),
        mask=np.ones((count, 1), dtype=bool),
        origin=np.zeros((count, 2), dtype=np.int64),
    )
    rewards = score[:, None]
    state = crowd.prepare(Environment(id="CartPole-v1"), PPO(), 0, rng)
    truth = Truth(segments=rewards, reference=rewards, episodes=np.zeros(0))
    answers = crowd.answer(
        state, Request(clips, clips, {"comparison": Queries(pair, form=FORM)}), truth, rng
    )[1]
    return answers, state.arrays["role"]


def compared(answers: Answers) -> Comparisons:
    """The judgements of pairs."""
    judgements = answers.judgements["comparison"]
    assert isinstance(judgements, Comparisons)
    return judgements


def spammers(seed: int) -> Iterator[dict[str, Any]]:
    """Accuracy of every aggregator on every crowd."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=ITEMS)
    left = rng.integers(ITEMS, size=PAIRS)
    pair = np.stack([left, (left + rng.integers(1, ITEMS, PAIRS)) % ITEMS], axis=1)
    first, second = np.triu_indices(ITEMS, 1)
    truly = score[first] > score[second]
    for name, spam in CROWDS.items():
        answers, role = ask(Crowd(gold=0.05, **spam), score, pair, seed)
        comparisons = compared(answers)
        sincere = (comparisons.worker == EXPERT) | (role[comparisons.worker] == Role.WORKER)
        cases: list[tuple[str, Aggregator, Comparisons]] = [
            (a.kind, a, comparisons) for a in AGGREGATORS
        ]
        cases.append((KNOWN, Majority(), select(comparisons, sincere)))
        for label_of, aggregator, judged in cases:
            began = time.perf_counter()
            label = aggregator.aggregate(Queries(pair), judged).preferences
            seconds = time.perf_counter() - began
            fitted = fit_scores(label.pair, label.target, label.weight, 2.0, ITEMS)
            accuracy = float(((fitted[first] > fitted[second]) == truly).mean())
            yield {
                "experiment": "spammers",
                "seed": seed,
                "crowd": name,
                "aggregator": label_of,
                "accuracy": round(accuracy, 4),
                "seconds": round(seconds, 3),
            }


def policies() -> Iterator[tuple[str, float, Crowd]]:
    """Ways of asking: name, what it turns, the crowd."""
    for gold, times in product(GOLD, FIXED):
        yield "fixed", times, Crowd(redundancy=times, gold=gold, **MIXED)
    for gold, sure in product(GOLD, SURE):
        asks = Crowd(redundancy=MOST, gold=gold, adaptive=True, confidence=sure, **MIXED)
        yield "adaptive", sure, asks


def prices(seed: int) -> Iterator[dict[str, Any]]:
    """Price and accuracy of every policy and aggregator."""
    score = np.random.default_rng(seed).normal(size=2 * FRESH)
    pair = np.arange(2 * FRESH).reshape(-1, 2)
    truly = score[pair[:, 1]] > score[pair[:, 0]]
    for policy, knob, crowd in policies():
        answers, _ = ask(crowd, score, pair, seed)
        for aggregator in AGGREGATORS:
            target = aggregator.aggregate(Queries(pair), compared(answers)).preferences.target
            right = np.where(target == 0.5, 0.5, (target > 0.5) == truly)
            yield {
                "experiment": "price",
                "seed": seed,
                "policy": policy,
                "knob": knob,
                "gold": crowd.gold,
                "aggregator": aggregator.kind,
                "price": round(answers.cost / FRESH, 5),
                "accuracy": round(float(right.mean()), 4),
            }


def interval(values: np.ndarray) -> tuple[float, float]:
    """2.5 and 97.5 percentiles."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def drawn(seeds: int) -> np.ndarray:
    """Shares of the seeds in each bootstrap sample (DRAWS, seeds); the first is the mean."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    return np.concatenate([np.full((1, seeds), 1 / seeds), counts])


def spammer_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Accuracy by crowd and aggregator, and the loss against the clean crowd."""
    names = [*(a.kind for a in AGGREGATORS), KNOWN]
    yield "| crowd | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for name in CROWDS:
        cells = []
        for column in names:
            of_it = [r for r in rows if r["aggregator"] == column]
            mine, clean = (
                np.array([r["accuracy"] for r in of_it if r["crowd"] == crowd])
                for crowd in (name, "clean")
            )
            low, high = interval(drawn(len(mine))[1:] @ mine)
            lost = "" if name == "clean" else f", {100 * (mine - clean).mean():+.1f}"
            cells.append(f"{100 * mine.mean():.1f} ({100 * low:.1f} to {100 * high:.1f}{lost})")
        yield f"| {name} | " + " | ".join(cells) + " |"


def curves(rows: list[dict[str, Any]], policy: str, gold: float) -> np.ndarray:
    """Price and accuracy (2, knobs, seeds) of a policy."""
    of_it = [r for r in rows if r["policy"] == policy and r["gold"] == gold]
    knobs = sorted({r["knob"] for r in of_it})
    return np.array(
        [[[r[column] for r in of_it if r["knob"] == knob] for knob in knobs]
         for column in ("price", "accuracy")]
    )  # fmt: skip


def price_of(curve: np.ndarray, accuracy: float) -> float:
    """Price (of a curve (2, knobs)) at which an accuracy is first reached; infinite if never."""
    price, reached = curve[0], np.maximum.accumulate(curve[1])
    if reached[-1] < accuracy:
        return float("inf")
    at = int(np.argmax(reached >= accuracy))
    if at == 0:
        return float(price[0])
    share = (accuracy - reached[at - 1]) / (reached[at] - reached[at - 1])
    return float(price[at - 1] + share * (price[at] - price[at - 1]))


def ratios(rows: list[dict[str, Any]], gold: float, times: int) -> tuple[float, np.ndarray]:
    """Accuracy of a fixed redundancy without gold, and what adaptive pays of the fixed price."""
    fixed = [curves(rows, "fixed", g) for g in GOLD]
    adaptive = curves(rows, "adaptive", gold)
    found = []
    for share in drawn(adaptive.shape[2]):
        plain = fixed[0] @ share
        aim = plain[1, FIXED.index(times)]
        # Whichever fixed policy is cheaper there, the one with gold or the one without.
        cheaper = min(plain[0, FIXED.index(times)], price_of(fixed[1] @ share, aim))
        found.append(price_of(adaptive @ share, aim) / cheaper)
    return float((fixed[0].mean(axis=2))[1, FIXED.index(times)]), np.array(found)


def price_tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Mean price and accuracy of every policy, then the ratios."""
    yield "| policy | gold | setting | price a label | accuracy, % |"
    yield "|---|---|---|---|---|"
    for policy, gold in product(("fixed", "adaptive"), GOLD):
        names = [a.kind for a in AGGREGATORS]
        tables = [
            curves([r for r in rows if r["aggregator"] == n], policy, gold).mean(axis=2)
            for n in names
        ]
        for index, knob in enumerate(FIXED if policy == "fixed" else SURE):
            reached = ", ".join(
                f"{n} {100 * t[1, index]:.1f}" for n, t in zip(names, tables, strict=True)
            )
            setting = f"{knob} times" if policy == "fixed" else f"until {knob:g} sure"
            yield f"| {policy} | {gold:g} | {setting} | {tables[0][0, index]:.3f} | {reached} |"
    yield ""
    yield "| aggregator | accuracy of | is, % | adaptive, gold | price ratio | 95 % interval |"
    yield "|---|---|---|---|---|---|"
    for aggregator, times, gold in product(AGGREGATORS, COMPARED, GOLD):
        of_it = [r for r in rows if r["aggregator"] == aggregator.kind]
        aim, found = ratios(of_it, gold, times)
        low, high = interval(found[1:])
        yield (
            f"| {aggregator.kind} | fixed {times} times | {100 * aim:.1f} | {gold:g} | "
            f"{found[0]:.2f} | {low:.2f} to {high:.2f} |"
        )


def main() -> None:
    """Measure, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began = time.perf_counter()
    experiments: list[Callable[[int], Iterator[dict[str, Any]]]] = [spammers, prices]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    rows = [row for seed in seeds for measure in experiments for row in measure(seed)]
    took = time.perf_counter() - began
    arguments.results.mkdir(exist_ok=True)
    path = arguments.results / "crowd.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spam = [r for r in rows if r["experiment"] == "spammers"]
    price = [r for r in rows if r["experiment"] == "price"]
    text = [
        "# Crowds",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}, "
        f"{arguments.seeds} seeds, {took:.0f} s on one core.",
        "",
        f"Order of all pairs of {ITEMS} items after {PAIRS} pairs, {WORKERS} workers, 3 judgements "
        "a pair (30 select spammers stand beside the others), 5 % gold, %; in brackets the 95 % "
        "interval over seeds and the difference from the clean crowd in points.",
        "",
        *spammer_table(spam),
        "",
        f"{FRESH} fresh pairs, 20 workers of whom 15 % answer at random, 10 % press left and 10 % "
        f"invert; a judgement costs {Crowd().price:g}, one of the expert {Crowd().expert_price:g}. "
        f"Adaptive asks a pair at most {MOST} times; its defaults were chosen on seeds 100 and up.",
        "",
        *price_tables(price),
        "",
    ]
    path.with_suffix(".md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
