"""What the MMD peers share: options, samples, the choice of their fastest form, and their line of JSON."""

import argparse
import ctypes
import json
import statistics
import time

import numpy as np
from common import device_option
from mmd import agree


def options(description, benchmarks=("sums", "mmd", "test")):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("benchmark", choices=benchmarks)
    device_option(parser)
    parser.add_argument("--n", type=int, default=2000, help="rows of x, and of y")
    parser.add_argument("--d", type=int, default=10, help="columns")
    parser.add_argument("--permutations", type=int, default=1000, help="for the test")
    parser.add_argument("--seconds", type=float, default=2.0, help="timed runs of the fastest form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="only forms as the manuals have them")
    return parser


def keep_memory():
    """Have glibc keep what is freed: else each new matrix is paid for in page faults.

    Elsewhere than on Linux, or with another allocator, nothing is changed.
    """
    mmap_max, trim_threshold = -4, -1
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)
    except (OSError, TypeError, AttributeError):
        pass


def parse(parser):
    args = parser.parse_args()
    if not args.plain:
        keep_memory()
    return args


def samples(args):
    """x and y, scaled so that the kernel, with sigma² = d, is exp(-|x - y|²).

    For the test, y is shifted: otherwise MMD² is next to 0, and tells peers apart by
    nothing but their rounding.
    """
    rng = np.random.default_rng(args.seed)
    x = rng.standard_normal((args.n, args.d), dtype=np.float32)
    y = rng.standard_normal((args.n, args.d), dtype=np.float32)
    if args.benchmark == "test":
        y += 1
    scale = np.float32((2 * args.d) ** -0.5)
    return x * scale, y * scale


def pairs(args):
    """The samples whose kernel is summed: x with y, and for MMD² each with itself too."""
    x, y = samples(args)
    return [(x, y)] if args.benchmark == "sums" else [(x, x), (y, y), (x, y)]


def memberships(args):
    """(2n, 1 + permutations): 1 where a pooled row is in x; column 0 is as observed."""
    rng = np.random.default_rng(args.seed + 1)
    table = np.zeros((2 * args.n, 1 + args.permutations), np.float32)
    table[: args.n, 0] = 1
    for column in table.T[1:]:
        column[rng.permutation(2 * args.n)[: args.n]] = 1
    return table


def blocks(args, form):
    """The rows to take at once, with what to call the form then."""
    sizes = [rows for rows in (64, 128, 256, 512) if rows < args.n and args.n % rows == 0]
    sizes = [] if args.plain else sizes
    return [*((f"{form}, {rows} rows", rows) for rows in sizes), (form, args.n)]


def gram_blocks(args):
    """The rows of the pooled Gram matrix to take at once, with what to call that."""
    sizes = [rows for rows in (500, 1000) if rows < 2 * args.n and not args.plain]
    return [*((f"half, {rows} rows", rows) for rows in sizes), ("whole", 2 * args.n)]


def clock(run, seconds, least):
    """Each run's seconds, until they have taken so many together."""
    times = []
    while len(times) < least or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def fastest(forms, seconds):
    """The name, the median seconds and the value of the fastest of some functions.

    Every one is compiled and tried, and must agree with the others; the three best that
    are not far behind are timed in earnest.
    """
    values, trials = {}, {}
    for name, run in forms.items():
        values[name] = run()
        trials[name] = min(clock(run, seconds / 10, 1))
    assert agree(values), f"the forms differ: {values}"
    near = sorted(trials, key=trials.get)[:3]
    near = [name for name in near if trials[name] <= 1.3 * trials[near[0]]]
    medians = {name: statistics.median(clock(forms[name], seconds, 3)) for name in near}
    best = min(medians, key=medians.get)
    return best, medians[best], values[best]


def report(peer, args, version, form, seconds, value):
    line = {
        "peer": peer,
        "benchmark": args.benchmark,
        "n": args.n,
        "d": args.d,
        "form": form,
        "seconds": seconds,
        "value": value,
        "version": version,
    }
    print(json.dumps(line), flush=True)
