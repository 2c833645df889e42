"""The Gauss-Bernoulli machine of the problem `rbm`: writes src/problem/rbm.json.

    python benches/peers/rbm.py > src/problem/rbm.json

The numbers are those of Schrab, Guedj, Gretton, "KSD aggregated goodness-of-fit test", NeurIPS 2022: one generator
gives the signs B, the biases b and c, and then the noise that is added to B, times sigma, where the sample is drawn.
"""

import json

import numpy as np

VISIBLE, HIDDEN = 50, 40

random = np.random.RandomState(0)
signs = random.randint(0, 2, (VISIBLE, HIDDEN)) * 2 - 1
visible = random.randn(VISIBLE)
hidden = random.randn(HIDDEN)
noise = random.randn(VISIBLE, HIDDEN)

rows = lambda matrix: ",\n".join(json.dumps(row.tolist()) for row in matrix)
print(f'{{"B": [\n{rows(signs)}\n],\n"b": {json.dumps(visible.tolist())},\n"c": {json.dumps(hidden.tolist())},')
print(f'"noise": [\n{rows(noise)}\n]}}')
