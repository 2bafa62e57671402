#!/usr/bin/env bash
# The whole study on one machine with a GPU, Python (requirements.txt) and Node (npm ci in the project's root):
#   bash run.sh && python analyse.py out/results
# About a quarter of an hour on one H100 with 16 cores, added up from its parts. The pipeline scores on the CPU while the GPU trains.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p out/checkpoints out/results out/masks
rm -f out/results/*.jsonl
seven=../../data/models/demo  # the model that ships
eight=out/checkpoints/eight   # the same recipe from another seed, with half the steps

(cd ../demo-model && python train.py --out "$OLDPWD/$eight" --seed 8 --steps 1200 3200 1200 &&
  python ../../tools/export-onnx/export.py "$OLDPWD/$eight" "$OLDPWD/$eight-onnx") &
second=$!
python make_mix.py --out out/mix
masks() { # name, folder with the graphs
  for mix in clean shuffled; do
    python masks.py --model "$2" --mix out/mix/$mix.json --out "out/masks/$1-$mix.npz" --results out/results/masks.jsonl
    python kept.py "out/masks/$1-$mix" --mix out/mix --results out/results/kept.jsonl
  done
}
masks seven $seven
wait $second
masks eight $eight-onnx
cp $eight/training.json out/results/second-checkpoint.json
python arms.py --checkpoint seven=$seven --checkpoint eight=$eight --mix out/mix --masks out/masks --out out/results/arms.jsonl
