"""Kernel sums and the MMD permutation test in JAX, jitted.

`sums`, and `mmd`, which is three of them, try each of three forms of the distances, whole and in blocks of rows that are
taken one after another, so that a block of the matrix stays in the cache. `test` has the
sums of all permutations from products of the pooled Gram matrix with their 0/1
memberships, which are made beforehand, outside of the time: the whole matrix, or blocks
of its rows from the diagonal on, about half of it, as it is symmetric.
"""

import mmd_common as common
from common import choose_jax_platform

choose_jax_platform()

import jax
import jax.numpy as jnp
import numpy as np

WRITTEN_OUT = 16

# Each form is a function of a block of rows that returns each row's sum, and what it
# takes of all the rows.


def expanded(x, y):
    """2xy - |x|² - |y|²."""
    yt, yy = y.T, (y * y).sum(1)
    return lambda x, xx: jnp.exp(x @ yt - xx - yy).sum(1), (2 * x, (x * x).sum(1)[:, None])


def augmented(x, y):
    """The same, the squares as two more columns of the product."""
    xx, yy = (x * x).sum(1)[:, None], (y * y).sum(1)
    left = jnp.concatenate([2 * x, -xx, jnp.ones_like(xx)], 1)
    right = jnp.concatenate([y.T, jnp.ones((1, len(y))), -yy[None]])
    return lambda left: jnp.exp(left @ right).sum(1), (left,)


def difference(x, y):
    """-|x - y|², where few columns are written out."""
    if x.shape[1] > WRITTEN_OUT:
        return lambda x: jnp.exp(-((x[:, None] - y) ** 2).sum(2)).sum(1), (x,)
    yt = y.T
    return lambda x: jnp.exp(-sum((a[:, None] - b) ** 2 for a, b in zip(x.T, yt))).sum(1), (x,)


def sums(args):
    pairs = [(jnp.asarray(x), jnp.asarray(y)) for x, y in common.pairs(args)]

    def run(form, rows):
        @jax.jit
        def sums(x, y):
            block, parts = form(x, y)
            if rows == args.n:
                return block(*parts)
            parts = [part.reshape(-1, rows, part.shape[1]) for part in parts]
            return jax.lax.map(lambda parts: block(*parts), parts)

        return lambda: sum(float(np.asarray(total).sum(dtype=np.float64)) for total in [sums(*p) for p in pairs])

    forms = {}
    for form in (expanded, difference) if args.plain else (expanded, augmented, difference):
        blocks = common.blocks(args, form.__name__)
        if form is difference and args.d > WRITTEN_OUT:
            blocks = blocks[:1]  # ten times slower than the others, whatever the rows
        for label, rows in blocks:
            forms[label] = run(form, rows)
    return common.fastest(forms, args.seconds)


def test(args):
    n = args.n
    z = jnp.concatenate(common.samples(args))
    members = jnp.asarray(common.memberships(args))

    def run(rows):
        @jax.jit
        def mmd2(z, members):
            squares = (z * z).sum(1)
            sums, xx = jnp.zeros(2 * n), 0
            for start in range(0, 2 * n, rows):
                here, rest = slice(start, start + rows), slice(start, None)
                k = jnp.exp(2 * (z[here] @ z[rest].T) - squares[here, None] - squares[rest])
                i, j = jnp.arange(len(k))[:, None], jnp.arange(len(k.T))
                k *= jnp.where(i == j, 0, jnp.where(j < rows, 0.5, 1))
                sums = sums.at[here].add(k.sum(1)).at[rest].add(k.sum(0))
                xx += 2 * (members[here] * (k @ members[rest])).sum(0)
            x = sums @ members
            yy = sums.sum() - 2 * x + xx
            return (xx + yy) / (n * (n - 1)) - 2 * (x - xx) / (n * n)

        return lambda: float(np.asarray(mmd2(z, members))[0])

    forms = {label: run(rows) for label, rows in common.gram_blocks(args)}
    return common.fastest(forms, args.seconds)


def main():
    args = common.parse(common.options(__doc__))
    best = (test if args.benchmark == "test" else sums)(args)
    common.report("jax", args, jax.__version__, *best)


if __name__ == "__main__":
    main()
