"""Environments in which an episode is a text: the actions are tokens.

`rlhf/RandomWalks-v0` and `rlhf/Sentiment-v0` are registered with the environments of
`rlhf_core.environments.batched`, which steps them as arrays. An environment of your own is one of
this kind if its observations are `MultiDiscrete` rows of tokens, the newest last and padded on the
left by one further category, and its actions `Discrete` tokens; with an attribute `corpus`, rows of
whole texts, the optimisers of language models begin with supervised fine-tuning on it.
"""
