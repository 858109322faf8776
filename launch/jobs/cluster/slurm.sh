#!/usr/bin/env bash
# A training on Slurm nodes: sbatch launch/jobs/cluster/slurm.sh
# Ray's head runs on the first node, a worker on each other one. Before the time is up the training writes a checkpoint
# and the job queues again; resume=auto continues it.
#SBATCH --job-name=assay
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=assay-%j.log

# Edit: the tree with its .venv (`make setup`), on a file system that every node sees, and the training.
: "${TREE:=$HOME/assay}"
TRAINING=(experiment=mmr_ad cluster=8xh100 data.root=/shared/data/mmr_ad output=/shared/runs/mmr_ad
    checkpoint.every=20 resume=auto)
START_TIMEOUT_S=300

set -euo pipefail
export PATH="$TREE/.venv/bin:$PATH"
cd "$TREE"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 20000))
own_ip='from ray.util import get_node_ip_address; print(get_node_ip_address())'
head_ip=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" python -c "$own_ip")
export RAY_ADDRESS="$head_ip:$port"
# Nobody else on the network may use this cluster.
RAY_AUTH_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

driver=""
out_of_time=""
on_term() {
    out_of_time=yes
    [[ -z $driver ]] || kill -TERM "$driver"
}
cleanup() {
    trap - EXIT
    local steps
    steps=$(jobs -p)
    # shellcheck disable=SC2086  # one word a process
    [[ -z $steps ]] || kill $steps 2>/dev/null || true
    wait
}
trap on_term TERM
trap cleanup EXIT

echo "Ray's head starts on $head at $RAY_ADDRESS"
# exec: the process to end is the step itself, not a shell around it.
on_node() { exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" "${@:2}"; }
on_node "$head" ray start --head --block --node-ip-address="$head_ip" --port="$port" &
for node in "${nodes[@]:1}"; do
    on_node "$node" ray start --block --address="$RAY_ADDRESS" &
done

alive_nodes() {
    python -c 'import ray; ray.init(logging_level="ERROR"); print(sum(node["Alive"] for node in ray.nodes()))' \
        2>/dev/null || echo 0
}
until (($(alive_nodes) >= ${#nodes[@]})); do
    if [[ -n $out_of_time ]] || ((SECONDS > START_TIMEOUT_S)); then
        echo "not all of ${nodes[*]} joined Ray within $START_TIMEOUT_S s; see above why" >&2
        exit 1
    fi
    sleep 2
done

assay train "${TRAINING[@]}" &
driver=$!
code=0
wait "$driver" || code=$?
if [[ -n $out_of_time ]]; then
    # The first wait ended with the signal, this one with the checkpoint.
    wait "$driver" || true
    echo "out of time: the job queues again and resumes"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
