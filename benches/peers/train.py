"""Training speed in images a second: elbo, JAX, PyTorch eager and compiled; on a GPU as CUDA graphs too.

Each round runs all of them in turn, each in its own process; a cell is the median over the
rounds. The ratio is elbo's rate over the fastest peer's in the same round, again the
median over the rounds. Standard output is a Markdown table.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = {
    "JAX": ["train_jax.py"],
    "eager": ["train_torch.py"],
    "compiled": ["train_torch.py", "--compile"],
}
CUDA_PEERS = {
    "reduce-overhead": ["train_torch.py", "--compile", "--mode", "reduce-overhead"],
    "CUDA graph": ["train_torch.py", "--graph"],
}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
INSTALL = f"{Path(sys.executable).name} -m pip install -r benches/peers/requirements.txt"


class Time:
    """How long all programs together may take."""

    end = None

    @classmethod
    def limit(cls, minutes):
        cls.end = None if minutes is None else time.monotonic() + 60 * minutes

    @classmethod
    def left(cls):
        """In seconds; `None` without a limit."""
        return None if cls.end is None else max(0.0, cls.end - time.monotonic())


def time_option(parser):
    parser.add_argument("--minutes", type=float, help="print what is known after so many")


def last_line(command):
    """The JSON on the command's last line of output, or what went wrong."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=Time.left())
    except subprocess.TimeoutExpired:
        return None, "no time was left"
    except OSError as error:
        return None, str(error)
    try:
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1]), None
    except (IndexError, ValueError):
        return None, "the last line of its output is not JSON"
    errors = done.stderr.strip().splitlines()
    return None, errors[-1] if errors else f"exit status {done.returncode}"


def run_elbo(args, batch):
    command = [args.binary, "bench", "train", "--engine", args.engine, "--batch", str(batch), "--json"]
    if args.mnist:
        command += ["--data", args.mnist]
    line, error = last_line(command)
    if error:
        fix = "build it with `cargo build --release`, or name it with --binary"
        return None, None, f"elbo did not run ({error}): {fix}"
    try:
        rate = float(line["results"][0]["per_second"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None, None, "elbo's last line has no results[0].per_second"
    return rate, None, None


def run_peer(args, name, batch):
    script, *options = (PEERS | CUDA_PEERS)[name]
    command = [sys.executable, str(HERE / script), *options, "--device", args.device]
    command += ["--batch", str(batch), "--images", str(args.images), "--epochs", str(args.epochs)]
    if args.mnist:
        command += ["--mnist", args.mnist]
    line, error = last_line(command)
    if error and "ModuleNotFoundError" in error:
        return None, None, f"{name} is not installed: `{INSTALL}`"
    if error:
        return None, None, f"{name} failed: {error}"
    return line["images_per_second"], line["version"], None


def place(device):
    """Where peers worked."""
    if device == "cpu":
        return f"{cpu_model()}, {CORES} cores"
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "a GPU that nvidia-smi does not name"


def cpu_model():
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cell(rates):
    return f"{statistics.median(rates):,.0f}" if rates else "–"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="cpu", help="elbo's engine: cpu, gpu or auto")
    parser.add_argument("--binary", default="target/release/elbo")
    parser.add_argument("--images", type=int, default=60000, help="images per epoch, for the peers")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs, for the peers")
    parser.add_argument("--mnist", metavar="DIR", help="train on MNIST's IDX gz files")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the peers work")
    time_option(parser)
    args = parser.parse_args()
    Time.limit(args.minutes)

    names = ["elbo", *PEERS, *(CUDA_PEERS if args.device == "cuda" else [])]
    versions, notes, rows = {}, [], []
    for batch in args.batches:
        rates = {name: [] for name in names}
        ratios = []
        for number in range(args.rounds):
            round_rates = {}
            for name in names:
                print(f"batch {batch}, round {number + 1}: {name}", file=sys.stderr)
                run = run_elbo(args, batch) if name == "elbo" else run_peer(args, name, batch)
                rate, version, note = run
                if note and note not in notes:
                    notes.append(note)
                if version:
                    versions[name] = version
                if rate:
                    round_rates[name] = rate
                    rates[name].append(rate)
            peers = [rate for name, rate in round_rates.items() if name != "elbo"]
            if peers and "elbo" in round_rates:
                ratios.append(round_rates["elbo"] / max(peers))
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"
        rows.append([str(batch), *(cell(rates[name]) for name in names), ratio])

    print(f"| batch | {' | '.join(names)} | ratio to the fastest peer |")
    print(f"|--:|{'--:|' * len(names)}--:|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()
    known = []
    if "JAX" in versions:
        known.append(f"JAX {versions['JAX']}")
    if torch := versions.get("eager", versions.get("compiled")):
        known.append(f"PyTorch {torch}")
    known.append(f"Python {platform.python_version()}")
    print(f"Images a second, median of {args.rounds} rounds. {', '.join(known)}.")
    print(f"Peers: {place(args.device)}. elbo: --engine {args.engine}.")
    for note in notes:
        print(f"\n{note}.")


if __name__ == "__main__":
    main()
