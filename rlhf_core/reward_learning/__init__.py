"""How a reward is learned from judgements of any form: questions, labels, the strategy's base."""
