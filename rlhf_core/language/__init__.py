"""Causal language models as policies of environments in which an episode is a text."""
