"""Kernel sums with KeOps on the CPU: a LazyTensor's rows summed, in float32.

KeOps compiles each formula with a C++ compiler at its first run, and keeps it. By default
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
    from pykeops.numpy import LazyTensor

    def run(distances):
        def total(x, y):
            x_i, y_j = LazyTensor(x[:, None]), LazyTensor(y[None])
            k = (-distances(x_i, y_j)).exp()
            scheme = "auto" if args.plain else "direct_sum"
            return float(k.sum(axis=1, sum_scheme=scheme).sum(dtype=np.float64))

        return lambda: sum(total(x, y) for x, y in pairs)

    pairs = common.pairs(args)
    forms = {
        "difference": run(lambda x, y: ((x - y) ** 2).sum(-1)),
        "sqdist": run(lambda x, y: x.sqdist(y)),
    }
    return common.fastest(forms, args.seconds)


def main():
    args = common.parse(common.options(__doc__, ["sums", "mmd"]))
    if not args.plain:
        os.environ.setdefault("CXXFLAGS", flags(args))  # read when it is imported
    import pykeops

    common.report("keops", args, pykeops.__version__, *sums(args))


if __name__ == "__main__":
    main()
