#!/usr/bin/env bash
# A student of the lecture: learn the digits, look at the latent space, compare two objectives.
set -euo pipefail
elbo train --epochs 1 --hidden 64
elbo page runs/001
elbo draw runs/001 traversal --seed-image 3
elbo train --epochs 1 --hidden 64 --objective mmd-vae
elbo draw runs/001 scatter --beside runs/002
elbo compare run:runs/001:200 run:runs/002:200 --permutations 99 --out comparison
test -s runs/001/page.html
test -s runs/001/pictures/manifold.png
test -s runs/001/pictures/scatter-beside.png
test -s comparison/null.png
