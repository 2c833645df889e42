"""Kernel sums and the MMD permutation test: elbo beside other libraries.

`sums` is the sum of the Gaussian kernel between 8192 rows and 8192 others (2048 for 784
columns), in Gpairs/s: 10^9 values of the kernel a second. `mmd` is all three sums of MMD²,
in Gpairs/s too, counting pairs of different rows once for all. `test` is the permutation test
between 2000 rows and 2000 others, in seconds, with the evaluation of the kernel.

Each round runs elbo and every peer in turn, each in its own process; a cell is the median
over the rounds. The ratio is elbo's speed over the fastest peer's in the same round: the
median over the rounds, and in brackets the smallest and the largest. The peers work on
the same samples, and must agree; elbo draws its own. Standard output is a Markdown table.
"""

import argparse
import platform
import statistics
import sys
from collections import Counter

from train import HERE, INSTALL, Time, last_line, place, time_option

SUMS = {
    "JAX": ["mmd_jax.py"],
    "eager": ["mmd_torch.py"],
    "compiled": ["mmd_torch.py", "--compile"],
    "KeOps": ["mmd_keops.py"],
    "scikit-learn": ["mmd_sklearn.py"],
}
PEERS = {
    "sums": SUMS,
    "mmd": SUMS,
    "test": {
        "JAX": ["mmd_jax.py"],
        "eager": ["mmd_torch.py"],
        "compiled": ["mmd_torch.py", "--compile"],
        "re-indexing": ["mmd_torch.py", "--reindex"],
        "alibi-detect": ["mmd_alibi.py"],
        "alibi-detect, KeOps": ["mmd_alibi.py", "--keops"],
    },
}
# They have no GPU version.
CPU_ONLY = ["scikit-learn"]
LIBRARIES = {
    "eager": "PyTorch",
    "compiled": "PyTorch",
    "re-indexing": "PyTorch",
    "alibi-detect, KeOps": "alibi-detect",
}
TOLERANCE = 1e-4
ALIBI = "`pip install alibi-detect torch pykeops` in an environment of its own, as it wants numpy < 2"


def agree(values):
    """Whether the numbers of a dictionary are the same but for rounding."""
    low, high = min(values.values()), max(values.values())
    return high - low <= TOLERANCE * max(abs(low), abs(high))


def pairs(args, n):
    """Pairs of rows that a benchmark has: of both samples, and for MMD² those of each in one order."""
    return n * n if args.benchmark == "sums" else n * (2 * n - 1)


def run_elbo(args, n, d):
    """Seconds, and what went wrong."""
    command = [args.binary, "bench", "mmd", "--engine", args.engine]
    command += ["--n", str(n), "--m", str(n), "--d", str(d)]
    if args.benchmark == "test":
        command += ["--permutations", str(args.permutations), "--null", args.null]
    line, error = last_line([*command, "--json"])
    if error:
        fix = "build it with `cargo build --release`, or name it with --binary"
        return None, f"`elbo bench mmd` did not run ({error}): {fix}"
    what = "sum" if args.benchmark == "sums" else args.benchmark
    try:
        (entry,) = (e for e in line["results"] if e["what"] == what and (e["n"], e["d"]) == (n, d))
        if what != "test":
            return pairs(args, n) / float(entry["per_second"]), None
        return float(entry["seconds"]), None
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as wrong:
        return None, f"elbo's last line has no '{what}' of n {n}, d {d} ({wrong!r})"


def run_peer(args, name, n, d):
    """The peer's line, and what went wrong."""
    script, *options = PEERS[args.benchmark][name]
    command = [sys.executable, str(HERE / script), args.benchmark, *options]
    command += ["--n", str(n), "--d", str(d), "--seconds", str(args.seconds)]
    command += ["--permutations", str(args.permutations)]
    command += ["--device", args.device]
    if args.plain:
        command.append("--plain")
    line, error = last_line(command)
    if error and "ModuleNotFoundError" in error:
        how = ALIBI if name.startswith("alibi") else f"`{INSTALL}`"
        return None, f"{name} is not installed: {how}"
    if error:
        return None, f"{name} failed at d {d}: {error}"
    return line, None


def run_rounds(args, n, d, versions, notes):
    """A row of the table, and the peers' fastest forms."""
    names = ["elbo", *args.peers]
    seconds = {name: [] for name in names}
    forms = {name: Counter() for name in args.peers}
    ratios = []
    for number in range(args.rounds):
        now, values = {}, {}
        for name in names:
            print(f"d {d}, round {number + 1}: {name}", file=sys.stderr)
            if name == "elbo":
                time, note = run_elbo(args, n, d)
            else:
                line, note = run_peer(args, name, n, d)
                time = line and line["seconds"]
            if note and note not in notes:
                notes.append(note)
            if time:
                now[name] = time
                seconds[name].append(time)
            if time and name != "elbo":
                values[name] = line["value"]
                forms[name][line["form"]] += 1
                versions[LIBRARIES.get(name, name)] = line["version"]
        if values and not agree(values):
            notes.append(f"The peers differ at d {d}, round {number + 1}: {values}")
        peers = [time for name, time in now.items() if name != "elbo"]
        if peers and "elbo" in now:
            ratios.append(min(peers) / now["elbo"])
    row = [str(d), str(n), *(cell(args, n, seconds[name]) for name in names)]
    if ratios:
        row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
    else:
        row.append("–")
    named = [f"{name} {counts.most_common(1)[0][0]}" for name, counts in forms.items() if counts]
    return row, named


def cell(args, n, seconds):
    if not seconds:
        return "–"
    if args.benchmark != "test":
        return f"{statistics.median(pairs(args, n) / 1e9 / time for time in seconds):.3f}"
    return f"{statistics.median(seconds):.3f}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", choices=PEERS)
    parser.add_argument("--dims", type=int, nargs="+", help="columns: 2 16 64 784 for sums and mmd, 10 for test")
    parser.add_argument("--n", type=int, help="rows of each sample")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--null", default="exact", help="elbo's permutations: exact or binned")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the peers work")
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="only these, by the table's names")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="peers only as their manuals have it")
    parser.add_argument("--seconds", type=float, default=2.0, help="timed runs, for a peer's fastest form")
    parser.add_argument("--engine", default="cpu", help="elbo's engine: cpu, gpu or auto")
    parser.add_argument("--binary", default="target/release/elbo")
    time_option(parser)
    args = parser.parse_args()
    Time.limit(args.minutes)
    known = PEERS[args.benchmark]
    if unknown := set(args.peers or []) - set(known):
        parser.error(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    wanted = [name for name in known if args.device == "cpu" or name not in CPU_ONLY]
    args.peers = [name for name in wanted if args.peers is None or name in args.peers]
    sums = args.benchmark != "test"

    versions, notes, rows, forms = {}, [], [], []
    for d in args.dims or ([2, 16, 64, 784] if sums else [10]):
        n = args.n or ((8192 if d < 784 else 2048) if sums else 2000)
        row, named = run_rounds(args, n, d, versions, notes)
        rows.append(row)
        if named:
            forms.append(f"d {d}: {'; '.join(named)}.")

    titles = [f"{name} (scaled)" if name == "re-indexing" else name for name in args.peers]
    header = ["d", "n = m", "elbo", *titles, "ratio to the fastest peer"]
    print(f"| {' | '.join(header)} |")
    print(f"|{'--:|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()
    unit = "Gpairs/s" if sums else f"Seconds for {args.permutations:,} permutations"
    versions["Python"] = platform.python_version()
    known = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{unit}, median of {args.rounds} rounds. {known}.")
    print(f"Peers: {place(args.device)}. elbo: --engine {args.engine}.")
    if forms:
        print("\nThe fastest forms, the most often over the rounds:\n")
        for line in forms:
            print(f"- {line}")
    for note in notes:
        print(f"\n{note}.")


if __name__ == "__main__":
    main()
