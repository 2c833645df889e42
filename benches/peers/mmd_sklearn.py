"""Kernel sums with scikit-learn: `rbf_kernel`, whole, and in blocks of rows on every core."""

from multiprocessing.pool import ThreadPool

import mmd_common as common
import sklearn
from common import CORES
from sklearn.metrics.pairwise import rbf_kernel


def sums(args):
    x, y = common.samples(args)
    pool = ThreadPool(CORES)

    def kernel_sum(rows):
        return float(rbf_kernel(rows, y, gamma=1).sum())

    def run(rows):
        if rows == args.n:
            return lambda: kernel_sum(x)
        blocks = [x[start : start + rows] for start in range(0, args.n, rows)]
        return lambda: sum(pool.map(kernel_sum, blocks, chunksize=1))

    forms = {label: run(rows) for label, rows in common.blocks(args, "rbf_kernel")}
    return common.fastest(forms, args.seconds)


def main():
    args = common.parse(common.options(__doc__, ["sums"]))
    common.report("scikit-learn", args, sklearn.__version__, *sums(args))


if __name__ == "__main__":
    main()
