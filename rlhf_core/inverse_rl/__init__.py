"""Rewards and policies from demonstrations.

    behaviour_cloning   the policy that makes the demonstrated actions likely
    adversarial         a reward that tells demonstrations from the policy's rollouts: GAIL, AIRL,
                        and sampled maximum entropy; it learns at every rollout
    maximum_entropy     the exact solution for finite Markov decision processes

The feedback strategy `inverse_rl` puts them into the ordinary loop.
"""
