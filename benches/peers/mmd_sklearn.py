"""Kernel sums with scikit-learn: `rbf_kernel`, whole or in blocks of rows, and its threaded form."""

import mmd_common as common
import sklearn
from common import CORES
from sklearn.metrics.pairwise import pairwise_kernels, rbf_kernel


def sums(args):
    x, y = common.samples(args)

    def run(kernel, rows, **options):
        def sum_all():
            starts = range(0, args.n, rows)
            return sum(
                float(kernel(x[i : i + rows], y, gamma=1, **options).sum()) for i in starts
            )

        return sum_all

    forms = {}
    for label, rows in common.blocks(args, "rbf_kernel"):
        forms[label] = run(rbf_kernel, rows)
    if CORES > 1:
        for label, rows in common.blocks(args, f"pairwise_kernels on {CORES} threads"):
            forms[label] = run(pairwise_kernels, rows, metric="rbf", n_jobs=CORES)
    return common.fastest(forms, args.seconds)


def main():
    args = common.options(__doc__, ["sums"]).parse_args()
    common.report("scikit-learn", args, sklearn.__version__, *sums(args))


if __name__ == "__main__":
    main()
