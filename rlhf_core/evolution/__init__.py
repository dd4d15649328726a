"""Evolution strategies: whole populations of policies evaluated as one batch.

    network       policies as flat vectors of parameters
    play          one generation: all members act at once in their own copies of the environment
    search        the frozen state of a search and its population
    strategy      the base of all strategies: ask, play, tell, until the steps are used up
    progress      how far a call is, and the trajectories that it keeps
    distributed   members evaluated in several processes: seeds are sent, fitness comes back
    pycma         the package pycma behind `ask` and `tell`

The strategies are optimisers: `rlhf_core/optimisers/ars.py` and others.
"""
