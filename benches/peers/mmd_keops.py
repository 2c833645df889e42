"""Kernel sums with KeOps on the CPU: a LazyTensor's rows summed, in float32.

KeOps compiles each formula with a C++ compiler at its first run, and keeps it. By default
its loops are not vectorised: here they are, by the compiler's flags, unless CXXFLAGS is
set, and by `direct_sum`, which adds up a row without KeOps's blocks.
"""

import os

os.environ.setdefault("CXXFLAGS", "-march=native -ffast-math")

import mmd_common as common
import numpy as np
import pykeops
from pykeops.numpy import LazyTensor


def sums(args):
    x, y = common.samples(args)

    def run(scheme):
        def sum_all():
            k = (-((LazyTensor(x[:, None]) - LazyTensor(y[None])) ** 2).sum(-1)).exp()
            return float(k.sum(axis=1, sum_scheme=scheme).sum(dtype=np.float64))

        return sum_all

    forms = {scheme: run(scheme) for scheme in ("direct_sum", "auto")}
    return common.fastest(forms, args.seconds)


def main():
    args = common.options(__doc__, ["sums"]).parse_args()
    common.report("keops", args, pykeops.__version__, *sums(args))


if __name__ == "__main__":
    main()
