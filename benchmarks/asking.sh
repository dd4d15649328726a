#!/usr/bin/env bash
# Every way of asking, five seeds each: the learning tables of docs/results.md.
#
#     benchmarks/asking.sh [processes]
#
# About six hours of one core. Finished runs are kept in benchmarks/results, so it goes on where it
# was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
processes=${1:-2}

compare() {
    python benchmarks/strategies.py "$1" --seeds 5 --processes "$processes" "${@:2}"
}
asking="preference rankings ratings mixed"

compare pendulum-preference --name pendulum-200
compare pendulum-preference --name pendulum-demonstrations --seeds 10 --strategies demonstrations
for labels in 100 50; do
    compare pendulum-preference --name "pendulum-$labels" --strategies $asking \
        --set "budget.labels=$labels"
done
for preset in cartpole-preference cartpole-evolving acrobot-preference halfcheetah-preference; do
    compare "$preset"
done

for preset in pendulum-evolution cartpole-imitation; do
    compare "$preset" --strategies true_reward
done

# Are chosen questions worth their choice?
for labels in 200 100 50; do
    compare pendulum-preference --name "pendulum-uniform-$labels" --strategies preference \
        --set "budget.labels=$labels" --set feedback.queries.kind=uniform
done
for labels in 40 20; do
    for queries in coverage disagreement uniform; do
        compare cartpole-preference --name "cartpole-$queries-$labels" \
            --strategies preference --set "budget.labels=$labels" \
            --set "feedback.queries.kind=$queries"
    done
done
for queries in disagreement uniform; do
    compare cartpole-evolving --name "cartpole-evolving-$queries-175" --seeds 10 \
        --strategies preference --set budget.labels=175 --set "feedback.queries.kind=$queries"
done

# Thirty in a hundred answers wrong, which small networks in a hurry believe too readily.
patient="--set optimiser.hidden=[64,64] --set feedback.reward_model.hidden=[32,32]"
patient+=" --set feedback.reward_model.learning_rate=1.0e-3 --set feedback.reward_model.batch_size=16"
patient+=" --set feedback.reward_model.epochs=20"
for robust in false true; do
    compare pendulum-preference --name "pendulum-noise-robust-$robust" --strategies preference \
        $patient --set annotator.mistake=0.3 --set "feedback.reward_model.robust=$robust"
done
compare pendulum-preference --name pendulum-guard-clean --seeds 20 --strategies preference
for reaction in report ask_more roll_back stop; do
    compare pendulum-preference --name "pendulum-guard-$reaction" --strategies preference \
        $patient --set annotator.mistake=0.3 --set "guard.reaction=$reaction"
done

# What a crowd's labels cost, and what is learned from them.
for aggregation in majority dawid_skene crowd_bradley_terry; do
    for adaptive in false true; do
        compare pendulum-preference --name "pendulum-crowd-$aggregation-$adaptive" \
            --strategies preference --set annotator.kind=crowd --set annotator.random=0.15 \
            --set annotator.always_left=0.1 --set annotator.adversarial=0.1 \
            --set annotator.redundancy=5 --set "annotator.adaptive=$adaptive" \
            --set "feedback.aggregation.kind=$aggregation"
    done
done

python benchmarks/tables.py
