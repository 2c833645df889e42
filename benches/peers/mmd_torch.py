"""Kernel sums and the MMD permutation test in PyTorch: eager, or with `--compile`.

`sums`, and `mmd`, which is three of them, try each form of the distances, whole and in blocks of rows, so that a block of
the matrix stays in the cache. `test` has the sums of all permutations from products of
the pooled Gram matrix with their 0/1 memberships, which are made beforehand, outside of
the time: the whole matrix, or blocks of its rows from the diagonal on, about half of it,
as it is symmetric. `test --reindex` keeps the matrix, and permutes it for each permutation
anew, as alibi-detect does: it times a few, and reports what all would take.
"""

import statistics

import mmd_common as common
import numpy as np
import torch
from common import CORES

torch.set_num_threads(CORES)

WRITTEN_OUT = 16
REINDEXED = 20

# Each form has a function that prepares what it takes of the rows and of the columns, and
# one that returns the sum of each row of a block.


def expanded_parts(x, y):
    return (2 * x, x.square().sum(1, keepdim=True)), (y.T.contiguous(), y.square().sum(1))


def expanded(x, xx, yt, yy):
    """2xy - |x|² - |y|²."""
    return torch.addmm(yy, x, yt, beta=-1).sub_(xx).exp_().sum(1)


def augmented_parts(x, y):
    xx, yy = x.square().sum(1, keepdim=True), y.square().sum(1)
    left = torch.cat([2 * x, -xx, torch.ones_like(xx)], 1)
    return (left,), (torch.cat([y.T, torch.ones_like(yy)[None], -yy[None]]),)


def augmented(left, right):
    """The same, the squares as two more columns of the product."""
    return torch.mm(left, right).exp_().sum(1)


def cdist_parts(x, y):
    return (x,), (y,)


def cdist(x, y):
    return torch.cdist(x, y).square_().neg_().exp_().sum(1)


def difference_parts(x, y):
    return (x,), (y.T.contiguous(),)


def difference(x, yt):
    """-|x - y|², the columns written out, so that compiled it is one loop without a matrix."""
    return (-sum((a[:, None] - b) ** 2 for a, b in zip(x.T, yt))).exp().sum(1)


def sums(args):
    put = lambda values: torch.from_numpy(values).to(args.device)
    pairs = [(put(x), put(y)) for x, y in common.pairs(args)]
    known = [(expanded, expanded_parts), (cdist, cdist_parts)]
    if not args.plain:
        known.append((augmented, augmented_parts))
    if args.compile and args.d <= WRITTEN_OUT:
        known.append((difference, difference_parts))

    def run(function, prepare, rows):
        def total(x, y):
            left, right = prepare(x, y)
            blocks = zip(*(part.split(rows) for part in left))
            return torch.cat([function(*block, *right) for block in blocks]).sum(dtype=torch.float64).item()

        return lambda: sum(total(x, y) for x, y in pairs)

    forms = {}
    for form, prepare in known:
        function = torch.compile(form, fullgraph=True, dynamic=False) if args.compile else form
        for label, rows in common.blocks(args, form.__name__):
            forms[label] = run(function, prepare, rows)
    return common.fastest(forms, args.seconds)


def gram(x, y, xx, yy):
    """The rows of the Gram matrix of y for its first rows, x, with a diagonal of zeros."""
    k = torch.addmm(yy, x, y.T, beta=-1, alpha=2).sub_(xx[:, None]).exp_()
    return k.fill_diagonal_(0)


def test(args):
    n = args.n
    z = torch.from_numpy(np.concatenate(common.samples(args))).to(args.device)
    members = torch.from_numpy(common.memberships(args)).to(args.device)

    def mmd2(z, members, rows):
        squares = z.square().sum(1)
        sums, xx = z.new_zeros(2 * n), z.new_zeros(members.shape[1])
        for start in range(0, 2 * n, rows):
            here, rest = slice(start, start + rows), slice(start, None)
            k = gram(z[here], z[rest], squares[here], squares[rest])
            k[:, :rows].mul_(0.5)
            sums[here].add_(k.sum(1))
            sums[rest].add_(k.sum(0))
            xx.add_((members[here] * (k @ members[rest])).sum(0), alpha=2)
        x = sums @ members
        yy = sums.sum() - 2 * x + xx
        return (xx + yy) / (n * (n - 1)) - 2 * (x - xx) / (n * n)

    if args.compile:
        mmd2 = torch.compile(mmd2, fullgraph=True, dynamic=False)

    def run(rows):
        return lambda: mmd2(z, members, rows).tolist()[0]

    forms = {label: run(rows) for label, rows in common.gram_blocks(args)}
    return common.fastest(forms, args.seconds)


def reindex(args):
    n = args.n
    z = torch.from_numpy(np.concatenate(common.samples(args))).to(args.device)
    squares = z.square().sum(1)

    def mmd2(k):
        same = (k[:n, :n].sum() + k[n:, n:].sum()) / (n * (n - 1))
        return same - 2 * k[n:, :n].mean()

    def permuted():
        order = torch.randperm(2 * n, device=z.device)
        return mmd2(k[order][:, order])

    def observed():
        return mmd2(gram(z, z, squares, squares)).item()

    k = gram(z, z, squares, squares)
    value = observed()
    permuted()
    first = statistics.median(common.clock(observed, args.seconds / 4, 3))
    each = sum(common.clock(lambda: permuted().item(), 0, REINDEXED)) / REINDEXED
    form = f"{REINDEXED} permutations timed, scaled to {args.permutations:,}"
    return form, first + args.permutations * each, value


def main():
    parser = common.options(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile each form")
    parser.add_argument("--reindex", action="store_true", help="the test by permuting the Gram matrix")
    args = common.parse(parser)
    if args.benchmark != "test":
        benchmark = sums
    else:
        benchmark = reindex if args.reindex else test
    with torch.inference_mode():
        best = benchmark(args)
    peer = "torch-reindex" if args.reindex else "torch-compiled" if args.compile else "torch-eager"
    common.report(peer, args, torch.__version__, *best)


if __name__ == "__main__":
    main()
