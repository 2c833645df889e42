"""Kernel sums with KeOps: a LazyTensor's rows summed, in float32.

KeOps compiles each formula at its first run, and keeps it. On the CPU, by default
its loops are not vectorised, and many times slower: here they are, by the compiler's
flags, unless CXXFLAGS is set, and by `direct_sum`, which adds up a row without blocks.
"""

import os
import platform

import mmd_common as common
import numpy as np


def flags(args):
    wide = platform.machine() == "x86_64" and args.d <= 16
    return "-march=native -ffast-math" + " -mprefer-vector-width=512" * wide


def sums(args):
    on_cpu = args.device == "cpu"
    scheme = "auto" if args.plain or not on_cpu else "direct_sum"
    if on_cpu:
        from pykeops.numpy import LazyTensor

        pairs, wide = common.pairs(args), np.float64
    else:
        import torch
        from pykeops.torch import LazyTensor

        put = lambda values: torch.from_numpy(values).to(args.device)
        pairs, wide = [(put(x), put(y)) for x, y in common.pairs(args)], torch.float64

    def run(distances):
        def total(x, y):
            x_i, y_j = LazyTensor(x[:, None]), LazyTensor(y[None])
            k = (-distances(x_i, y_j)).exp()
            return float(k.sum(axis=1, sum_scheme=scheme).sum(dtype=wide))

        return lambda: sum(total(x, y) for x, y in pairs)

    forms = {
        "difference": run(lambda x, y: ((x - y) ** 2).sum(-1)),
        "sqdist": run(lambda x, y: x.sqdist(y)),
    }
    return common.fastest(forms, args.seconds)


def main():
    args = common.parse(common.options(__doc__, ["sums", "mmd"]))
    if not args.plain and args.device == "cpu":
        os.environ.setdefault("CXXFLAGS", flags(args))  # read when it is imported
    import pykeops

    common.report("keops", args, pykeops.__version__, *sums(args))


if __name__ == "__main__":
    main()
