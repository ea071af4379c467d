#!/usr/bin/env bash
# All rows of Table 3 in a small size, on text files of your own: three seeds of base and of
# a row of each kind, one of the others. Continues where it was interrupted.
#
#   benchmarks/table_3_small.sh DATA RUNS      (train.en train.de val.en val.de in DATA)
#
# On a CPU of two cores: a device for each is 1.3 times as fast as one with two threads.
set -euo pipefail
usage="usage: benchmarks/table_3_small.sh DATA RUNS"
case ${1:-} in -h | --help) echo "$usage"; exit ;; esac
data=${1:?$usage} runs=${2:?$usage}
python=${PYTHON:-.venv/bin/python}
export JAX_NUM_CPU_DEVICES=2

make_row() {
  local row=$1 seed=$2
  "$python" -m transformer_jax reproduce "table3-$row" --workdir "$runs/$row-$seed" \
    --width-scale 0.25 --depth-scale 0.5 --training.seed "$seed" --data.dataset none \
    --data.train-source-path "$data/train.en" --data.train-target-path "$data/train.de" \
    --data.validation-source-path "$data/val.en" \
    --data.validation-target-path "$data/val.de" \
    --model.vocab-size 4000 --data.source-length 64 --data.target-length 64 \
    --data.batch-tokens 2048 --model.compute-dtype float32 --model.scan-unroll none \
    --model.remat none --training.num-steps 600 --optimizer.warmup-steps 400 \
    --training.checkpoint-every-steps 300 --training.evaluate-every-steps 600 \
    --training.validation-bleu-sentences 0 --mesh.data 2 --no-progress \
    > "$runs/$row-$seed.json"
}

mkdir -p "$runs"
several=(base A1 B1 C1 D1 D3 E)
for row in "${several[@]}" A2 A3 A4 B2 C2 C3 C4 C5 C6 C7 D2 D4 big; do make_row "$row" 0; done
for seed in 1 2; do
  for row in "${several[@]}"; do make_row "$row" "$seed"; done
done
"$python" -m transformer_jax reproduce table3 --summary "$runs"/*-[0-9] \
  --workdir "$runs/table" > "$runs/table.json"
