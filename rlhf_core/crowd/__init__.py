"""Many workers: how a simulated crowd is asked and answers, and what its answers are worth."""
