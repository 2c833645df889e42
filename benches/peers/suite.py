"""The aggregated two-sample test beside JAX, and the independence test beside hyppo, on the CPU.

`agg` is MMDAgg's work with 20 kernels and 4,001 draws on n = m = 2000 rows of 10 columns: of
each draw MMD^2 of each kernel, by random permutations or by random signs. JAX stores one
kernel matrix at a time and multiplies it with the draws, three products a kernel for
permutations and one, of the smaller matrix of paired points, for signs; everything is jitted
and the draws are made beforehand. `hsic` is the HSIC test of 2000 rows with permutations;
hyppo runs fewer of them, and its time is scaled.

Each round runs elbo and the peer in turn. The ratio is the peer's seconds over elbo's: the
median over the rounds, and in brackets the smallest and the largest. elbo's time is that of
the whole test, as it reports it. Standard output is a Markdown table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from train import CORES, cpu_model, last_line

KERNELS = 20
DRAWS = 4001
N, D = 2000, 10
FACTORS = np.geomspace(0.25, 4.0, KERNELS)
HSIC_PERMUTATIONS = 1000


def samples(columns):
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(N, columns)).astype("f4") for _ in range(2))
    return x, y


def jax_agg(signs):
    """Seconds of a run after one that compiles."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp

    x, y = samples(D)
    z = jnp.asarray(np.concatenate([x, y]))
    random = np.random.default_rng(1)
    if signs:
        draws = jnp.asarray(random.choice([-1.0, 1.0], size=(N, DRAWS)).astype("f4"))
    else:
        first = np.stack([random.permutation(2 * N) < N for _ in range(DRAWS)], 1)
        draws = jnp.asarray(first.astype("f4"))

    @jax.jit
    def run(z, draws):
        squares = (z * z).sum(1)
        distances = jnp.maximum(squares[:, None] + squares - 2 * z @ z.T, 0)

        def by_permutations(bandwidth):
            k = jnp.exp(-distances / (2 * bandwidth**2))
            k = k - jnp.diag(jnp.diag(k))
            other = 1 - draws
            own = ((k @ draws) * draws).sum(0) + ((k @ other) * other).sum(0)
            cross = ((k @ draws) * other).sum(0)
            return own / (N * (N - 1)) - 2 * cross / N**2

        def by_signs(bandwidth):
            k = jnp.exp(-distances / (2 * bandwidth**2))
            h = k[:N, :N] + k[N:, N:] - k[:N, N:] - k[N:, :N]
            h = h - jnp.diag(jnp.diag(h))
            return ((h @ draws) * draws).sum(0) / (N * (N - 1))

        bandwidths = jnp.asarray(FACTORS * D**0.5, dtype=jnp.float32)
        return jax.lax.map(by_signs if signs else by_permutations, bandwidths)

    run(z, draws).block_until_ready()
    start = time.perf_counter()
    run(z, draws).block_until_ready()
    return time.perf_counter() - start


def hyppo_hsic(permutations):
    """Seconds for all of the test's permutations, from a run with fewer."""
    warnings.filterwarnings("ignore")
    from hyppo.independence import Hsic

    x, y = samples(2)
    Hsic().test(x[:50], y[:50], reps=9, auto=False)
    start = time.perf_counter()
    Hsic().test(x, y, reps=permutations, auto=False, workers=1)
    return (time.perf_counter() - start) * HSIC_PERMUTATIONS / permutations


def elbo(args, columns, *options):
    with tempfile.TemporaryDirectory() as place:
        paths = [str(Path(place) / name) for name in ("x.npy", "y.npy")]
        for path, sample in zip(paths, samples(columns)):
            np.save(path, sample)
        line, error = last_line([args.binary, options[0], *paths, *options[1:], "--engine", "cpu", "--json"])
    if error:
        sys.exit(f"elbo did not run ({error}): build it with `cargo build --release`, or name it with --binary")
    return float(line["seconds"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["permutations", "signs", "hsic"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hyppo-permutations", type=int, default=20)
    parser.add_argument("--binary", default="target/release/elbo")
    parser.add_argument("--peer", choices=["permutations", "signs", "hsic"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    peers = {
        "permutations": lambda: jax_agg(False),
        "signs": lambda: jax_agg(True),
        "hsic": lambda: hyppo_hsic(args.hyppo_permutations),
    }
    if args.peer:
        print(peers[args.peer]())
        return

    bandwidths = ",".join(str(factor * D**0.5) for factor in FACTORS)
    agg = ["compare", "--aggregate", "agg", "--kernels", "gaussian", "--bandwidth", bandwidths]
    agg += ["--permutations", str(DRAWS - 1)]
    ours = {
        "permutations": lambda: elbo(args, D, *agg),
        "signs": lambda: elbo(args, D, *agg, "--null", "wild"),
        "hsic": lambda: elbo(args, 2, "independence", "--permutations", str(HSIC_PERMUTATIONS)),
    }
    names = {
        "permutations": f"aggregated, {KERNELS} kernels, {DRAWS} permutations, JAX",
        "signs": f"aggregated, {KERNELS} kernels, {DRAWS} sign vectors, JAX",
        "hsic": f"HSIC, {HSIC_PERMUTATIONS} permutations, hyppo (scaled)",
    }
    print("| work | elbo, s | peer, s | ratio |\n|--|--:|--:|--:|")
    for what in args.what:
        mine, theirs = [], []
        for number in range(args.rounds):
            print(f"{what}, round {number + 1}", file=sys.stderr)
            mine.append(ours[what]())
            command = [sys.executable, __file__, "--peer", what]
            command += ["--hyppo-permutations", str(args.hyppo_permutations)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            theirs.append(float(done.stdout.splitlines()[-1]))
        ratios = [peer / own for own, peer in zip(mine, theirs)]
        median = statistics.median
        print(
            f"| {names[what]} | {median(mine):.2f} | {median(theirs):.1f} "
            f"| {median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f}) |",
            flush=True,
        )
    print(f"\nn = m = {N}, medians of {args.rounds} rounds. {cpu_model()}, {CORES} cores.")


if __name__ == "__main__":
    main()
