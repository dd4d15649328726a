"""Rewards and policies from demonstrations.

    adversarial         a reward that learns, at every rollout, to separate demonstrations from
                        rollouts: GAIL, AIRL, and sampled maximum entropy
    discriminator       the networks of that reward
    training            the gradient steps of those networks
    maximum_entropy     the exact solution for finite Markov decision processes
    tables              transition tables that environments publish
    tabular             the table of rewards that the exact solution fits

The feedback strategy `inverse_rl` uses them in the ordinary loop.
"""
