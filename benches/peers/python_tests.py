"""Two-sample and independence tests of the Python package beside those of other packages, in turn.

    python benches/peers/python_tests.py [--n 2000,20000] [--rounds 3]

Peers that are not installed are left out: hyppo, alibi-detect (with PyTorch), and scikit-learn with NumPy. Each has 999
permutations where its time allows, and otherwise as many as it can, its time then being scaled to 999, which is said.
"""

import argparse
import importlib.metadata as metadata
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")
DIMENSIONS, PERMUTATIONS = 10, 999
#: Beyond so many points a peer would store more than the memory there is, or take an hour.
MOST = {"hyppo MMD": 2_000, "hyppo HSIC": 2_000, "alibi-detect MMD": 2_000, "scikit-learn + NumPy": 5_000}
#: Permutations of peers that take minutes.
FEWER = {"hyppo MMD": 20, "hyppo HSIC": 20, "alibi-detect MMD": 99, "scikit-learn + NumPy": 99}


def samples(n):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, DIMENSIONS)), rng.normal(0.02, size=(n, DIMENSIONS))


def ours(x, y, _):
    import elbo

    return elbo.mmd_test(x, y, permutations=PERMUTATIONS, engine="cpu").p_value


def ours_binned(x, y, _):
    import elbo

    return elbo.mmd_test(x, y, permutations=PERMUTATIONS, null="binned", engine="cpu").p_value


def ours_hsic(x, y, _):
    import elbo

    return elbo.hsic_test(x, y, permutations=PERMUTATIONS, engine="cpu").p_value


def hyppo(x, y, permutations):
    from hyppo.ksample import MMD

    return MMD().test(x, y, reps=permutations, workers=1, auto=False)[1]


def hyppo_hsic(x, y, permutations):
    from hyppo.independence import Hsic

    return Hsic().test(x, y, reps=permutations, workers=1, auto=False)[1]


def alibi(x, y, permutations):
    from alibi_detect.cd import MMDDrift

    detector = MMDDrift(x.astype(np.float32), backend="pytorch", n_permutations=permutations, device="cpu")
    return detector.predict(y.astype(np.float32))["data"]["p_val"]


def sklearn(x, y, permutations):
    from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

    n, both = len(x), np.concatenate([x, y])
    i = np.random.default_rng(0).choice(len(both), min(len(both), 4096), replace=False)
    median = np.median(euclidean_distances(both[i])[np.triu_indices(len(i), 1)])
    kernel = rbf_kernel(both, gamma=1 / (2 * median**2))
    np.fill_diagonal(kernel, 0)
    rng, values = np.random.default_rng(0), []
    for draw in range(permutations + 1):
        order = np.arange(len(both)) if draw == 0 else rng.permutation(len(both))
        a = np.zeros(len(both))
        a[order[:n]] = 1
        ka = kernel @ a
        aa, ab = a @ ka, (1 - a) @ ka
        bb = kernel.sum() - aa - 2 * ab
        values.append(aa / (n * (n - 1)) + bb / (n * (n - 1)) - 2 * ab / n**2)
    return (1 + sum(value >= values[0] for value in values[1:])) / (permutations + 1)


TESTS = {
    "elbo.mmd_test": ours,
    'elbo.mmd_test, null="binned"': ours_binned,
    "scikit-learn + NumPy": sklearn,
    "hyppo MMD": hyppo,
    "alibi-detect MMD": alibi,
    "elbo.hsic_test": ours_hsic,
    "hyppo HSIC": hyppo_hsic,
}


def timed(name, n):
    """Seconds for 999 permutations and the p-value, of a second call: the first may compile."""
    permutations = FEWER.get(name, PERMUTATIONS)
    if n > 200:
        TESTS[name](*samples(100), 5)
    x, y = samples(n)
    start = time.perf_counter()
    p = TESTS[name](x, y, permutations)
    return (time.perf_counter() - start) * (PERMUTATIONS + 1) / (permutations + 1), p


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", default="2000,20000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, n = arguments.one
        print(*timed(name, int(n)))
        return
    for package in ("elbo", "hyppo", "alibi-detect", "scikit-learn", "numpy"):
        try:
            print(f"{package} {metadata.version(package)}", end="  ")
        except metadata.PackageNotFoundError:
            print(f"{package}: not installed", end="  ")
    print(f"\n{PERMUTATIONS} permutations, d = {DIMENSIONS}, {os.cpu_count()} threads\n")
    for n in map(int, arguments.n.split(",")):
        seconds = {name: [] for name in TESTS if n <= MOST.get(name, n)}
        p_values, failed = {}, {}
        for _ in range(arguments.rounds):
            for name in seconds:
                if name in failed:
                    continue
                # A process each, so that none has the others' threads or memory.
                call = [sys.executable, __file__, "--one", name, str(n)]
                found = subprocess.run(call, capture_output=True, text=True)
                if found.returncode:
                    failed[name] = found.stderr.strip().splitlines()[-1]
                    continue
                took, p_values[name] = map(float, found.stdout.split()[-2:])
                seconds[name].append(took)
        print(f"n = m = {n:,}: median seconds for {PERMUTATIONS} permutations (p)")
        for name, times in seconds.items():
            if name in failed:
                print(f"  {name:30} {failed[name]}")
                continue
            scaled = f", scaled from {FEWER[name]} permutations" if name in FEWER else ""
            print(f"  {name:30} {statistics.median(times):10.3f}  (p = {p_values[name]:.3f}{scaled})")
        for name in TESTS:
            if n > MOST.get(name, n):
                print(f"  {name:30} left out: it stores all kernel values, or takes hours")
        print()


if __name__ == "__main__":
    main()
