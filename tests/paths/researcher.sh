#!/usr/bin/env bash
# A researcher: disentangle sprites, measure it, take codes and inventions elsewhere, know the power of a test.
set -euo pipefail
elbo train --data sprites --likelihood bernoulli --objective tc-vae --latent 4 --hidden 32 --steps 40 --out runs/tc --tensorboard
elbo evaluate runs/tc --json | tail -n 1 > measures.json
grep -q '"total_correlation"' measures.json
elbo draw runs/tc factors
elbo encode runs/tc --out codes.npz
elbo sample runs/tc --count 20 --out invented.npy
elbo independence codes.npz:mean codes.npz:mean --null wild --points 200 --permutations 99
elbo power perturbed-uniform --parameters 1 --n 100 --repetitions 4 --permutations 49 --out power
test -s runs/tc/pictures/factors.png
test -s codes.npz
test -s invented.npy
test -s power/power.png
ls runs/tc/tensorboard/events.out.tfevents.*
