"""Evolution strategies: whole populations of policies evaluated as one batch.

    network   policies without gradients: one flat vector of parameters a member
    play      a generation: every member in its own copies of the environment, step by step together
    search    what every strategy is: asked for a population, told how fit it was
    share     some members of a generation, played alone: seeds go out, fitness comes back
    spread    where shares are played: in this process, in several, or by an engine from outside

The strategies themselves are optimisers: `rlhf_core/optimisers/ars.py` and others.
"""
