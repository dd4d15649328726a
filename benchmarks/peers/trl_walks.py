"""Measures trl on trlx's random walks: fine-tuning, a reward of 193 comparisons, GRPO.

The same graph, corpus, model (a GPT-2 of one layer), number of sampled walks and comparisons as the
preset randomwalks-preferences; all comparisons are of walks of the fine-tuned model, since trl has
no rounds. `--reward true` leaves the comparisons out. The weight of the divergence, the steps of
GRPO, their size and the passes of fine-tuning were chosen on seeds 100 and 101.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from datasets import Dataset
from measure import report, warm_torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)
from trl import GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

NODES, LONGEST, GOAL = 21, 10, 0
COMPARISONS, WALKS = 193, 200
COMMON: dict[str, Any] = {
    "report_to": "none", "save_strategy": "no", "use_cpu": True, "bf16": False,
    "logging_strategy": "no", "disable_tqdm": True, "gradient_checkpointing": False,
}  # fmt: skip


class Walks:
    """The task: what a walk is worth."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as arrays:
            self.edges, self.shortest = arrays["edges"], arrays["shortest"]
            self.first = [int(node) for node in arrays["first"]]
            self.corpus = [
                " ".join(str(node) for node in row if node < NODES) for row in arrays["corpus"]
            ]

    def score(self, text: str) -> float:
        """Returns (10 - length) / (10 - shortest), 0 off the edges or without the goal."""
        nodes = [int(word) for word in text.split() if word.isdigit()]
        if GOAL in nodes:
            nodes = nodes[: nodes.index(GOAL) + 1]
        valid = max(nodes) < NODES and all(self.edges[a, b] for a, b in pairwise(nodes))
        if len(nodes) > LONGEST or nodes[-1] != GOAL or not valid:
            return 0.0
        return (LONGEST - len(nodes)) / max(LONGEST - int(self.shortest[nodes[0]]), 1)


def tokenizer() -> PreTrainedTokenizerFast:
    """Returns one word for each node, the goal being the end of a text."""
    vocabulary = {str(node): node for node in range(NODES)} | {"[PAD]": NODES}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", eos_token=str(GOAL), padding_side="left"
    )


def architecture(**more: Any) -> GPT2Config:
    """Returns the model's configuration, as the preset has it."""
    return GPT2Config(
        vocab_size=NODES + 1, n_positions=LONGEST + 2, n_embd=64, n_layer=1, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=GOAL, pad_token_id=NODES, **more,
    )  # fmt: skip


def sampled(
    model: GPT2LMHeadModel, words: PreTrainedTokenizerFast, first: Sequence[int]
) -> list[str]:
    """Returns one walk from each first node."""
    prompts = torch.tensor(first)[:, None]
    with torch.no_grad():
        tokens = model.generate(
            prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0,
            max_new_tokens=LONGEST - 1, pad_token_id=NODES, eos_token_id=GOAL,
        )  # fmt: skip
    return [text.replace("[PAD]", "").strip() for text in words.batch_decode(tokens)]


def learned_reward(
    walks: Walks, model: GPT2LMHeadModel, words: PreTrainedTokenizerFast, folder: str, seed: int
) -> Callable[[Sequence[str]], list[float]]:
    """Returns a reward model of comparisons of the fine-tuned model's walks."""
    rng = random.Random(seed)
    pairs = []
    while len(pairs) < COMPARISONS:
        starts = [rng.choice(walks.first) for _ in range(2 * COMPARISONS)]
        texts = sampled(model, words, starts)
        for left, right in zip(texts[::2], texts[1::2], strict=True):
            scores = walks.score(left), walks.score(right)
            if scores[0] != scores[1] and len(pairs) < COMPARISONS:
                chosen, rejected = (left, right) if scores[0] > scores[1] else (right, left)
                ids = words(chosen)["input_ids"], words(rejected)["input_ids"]
                pairs.append(dict(zip(("chosen_ids", "rejected_ids"), ids, strict=True)))
    reward_model = GPT2ForSequenceClassification(architecture(num_labels=1))
    RewardTrainer(
        model=reward_model,
        args=RewardConfig(
            folder, per_device_train_batch_size=16, num_train_epochs=8, learning_rate=1e-3,
            seed=seed, max_length=LONGEST + 2, **COMMON,
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=words,
    ).train()  # fmt: skip
    reward_model.eval()

    def reward(texts: Sequence[str]) -> list[float]:
        # On the right, as in the training of the reward model: positions are counted from there.
        batch = words(list(texts), return_tensors="pt", padding=True, padding_side="right")
        with torch.no_grad():
            scores = reward_model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return [float(score) for score in scores[:, 0]]

    return reward


def main() -> None:
    """Reads the command line, learns, evaluates and prints the result."""
    warm_torch()
    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--walks", type=Path, required=True, help="written by make_walks.py")
    parser.add_argument("--reward", choices=["learned", "true"], default="learned")
    parser.add_argument("--beta", type=float, help="weight of the divergence from the start model")
    parser.add_argument("--epochs", type=int, default=12, help="of fine-tuning")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of GRPO")
    parser.add_argument("--steps", type=int, default=50, help="of GRPO, 64 walks each")
    options = parser.parse_args()
    beta = {"learned": 1.0, "true": 0.0}[options.reward] if options.beta is None else options.beta

    walks, words = Walks(options.walks), tokenizer()
    torch.manual_seed(options.seed)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        model = GPT2LMHeadModel(architecture())
        SFTTrainer(
            model=model,
            args=SFTConfig(
                folder, per_device_train_batch_size=32, num_train_epochs=options.epochs,
                learning_rate=3e-3, seed=options.seed, max_length=LONGEST + 2, **COMMON,
            ),
            train_dataset=Dataset.from_dict({"input_ids": words(walks.corpus)["input_ids"]}),
            processing_class=words,
        ).train()  # fmt: skip
        fine_tuned = time.process_time()
        if options.reward == "learned":
            reward = learned_reward(walks, model, words, folder, options.seed)
        else:
            reward = lambda texts: [walks.score(text) for text in texts]  # noqa: E731
        compared = time.process_time()
        # The trainer reads the model that it diverges from out of a folder.
        model.save_pretrained(start := f"{folder}/start")
        model.config._name_or_path = start

        steps = 0

        def rewards(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
            nonlocal steps
            steps += sum(map(len, completion_ids))
            # Completions as texts lack the goal, which ends them.
            written = [" ".join(map(str, ids)) for ids in completion_ids]
            return reward([f"{p} {c}" for p, c in zip(prompts, written, strict=True)])

        starts = random.Random(options.seed).choices(walks.first, k=8 * options.steps)
        GRPOTrainer(
            model=model,
            reward_funcs=rewards,
            args=GRPOConfig(
                folder, per_device_train_batch_size=64, num_generations=8,
                learning_rate=options.learning_rate, max_completion_length=LONGEST - 1,
                max_steps=options.steps, beta=beta, seed=options.seed, **COMMON,
            ),
            train_dataset=Dataset.from_dict({"prompt": [str(node) for node in starts]}),
            processing_class=words,
        ).train()  # fmt: skip
    ended = time.process_time()
    model.eval()
    texts = sampled(
        model, words, random.Random(10_000 + options.seed).choices(walks.first, k=WALKS)
    )
    report(
        peer="trl",
        task=f"randomwalks/{options.reward}",
        seed=options.seed,
        cpu_seconds=ended - began,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=steps,
        returns=[walks.score(text) for text in texts],
        extra={
            "fine_tuning": round(fine_tuned - began, 2),
            "comparisons": round(compared - fine_tuned, 2),
            "grpo": round(ended - compared, 2),
        },
    )


if __name__ == "__main__":
    main()
