"""Kernel sums with scikit-learn: `rbf_kernel`, whole, and in blocks of rows on every core."""

from multiprocessing.pool import ThreadPool

import mmd_common as common
import sklearn
from common import CORES
from sklearn.metrics.pairwise import rbf_kernel


def sums(args):
    pairs = common.pairs(args)
    pool = ThreadPool(CORES)

    def total(x, y, rows):
        def kernel_sum(block):
            return float(rbf_kernel(block, y, gamma=1).sum())

        if rows == args.n:
            return kernel_sum(x)
        blocks = [x[start : start + rows] for start in range(0, args.n, rows)]
        return sum(pool.map(kernel_sum, blocks, chunksize=1))

    def run(rows):
        return lambda: sum(total(x, y, rows) for x, y in pairs)

    forms = {label: run(rows) for label, rows in common.blocks(args, "rbf_kernel")}
    return common.fastest(forms, args.seconds)


def main():
    args = common.parse(common.options(__doc__, ["sums", "mmd"]))
    common.report("scikit-learn", args, sklearn.__version__, *sums(args))


if __name__ == "__main__":
    main()
