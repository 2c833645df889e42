"""Tests on a cluster are those on one machine."""

import numpy as np
import pytest

import elbo

pytest.importorskip("distributed")
import dask.array  # noqa: E402
import dask.distributed  # noqa: E402

import elbo.distributed  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::distributed", "ignore::DeprecationWarning", "ignore::ResourceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7_000, 3))
Y = RNG.normal(0.05, size=(6_500, 3)) * [1, 1.05, 1]


@pytest.fixture(scope="module")
def client():
    with dask.distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield client


def of_dask(array, rows):
    return dask.array.from_array(array, chunks=(rows, -1))


@pytest.mark.parametrize("options", [{}, {"kernel": "laplace", "seed": 4}, {"bandwidth": [0.5, 2.0], "permutations": 99}])
def test_a_test_is_that_of_one_machine(client, options):
    options = {"permutations": 199, "engine": "cpu", **options}
    one = elbo.mmd_test(X, Y, features=60, **options)
    many = elbo.distributed.mmd_test(of_dask(X, 1_024), of_dask(Y, 2_500), client, features=60, **options)
    assert many.bandwidths == one.bandwidths and many.bandwidth_rule == one.bandwidth_rule
    np.testing.assert_allclose(many.null_distribution, one.null_distribution, atol=1e-12)
    assert many.statistic == pytest.approx(one.statistic, abs=1e-12)
    assert (many.exceedances, many.n, many.m) == (one.exceedances, 7_000, 6_500)


def test_tables_are_matched_by_name(client):
    pandas = pytest.importorskip("pandas")
    frames = pytest.importorskip("dask.dataframe")
    x = frames.from_pandas(pandas.DataFrame(X, columns=["u", "v", "w"]), npartitions=3)
    y = frames.from_pandas(pandas.DataFrame(Y, columns=["u", "v", "w"]), npartitions=2)[["w", "u", "v"]]
    expected = elbo.mmd_test(X, Y, features=20, permutations=39)
    with pytest.warns(elbo.ElboWarning, match="give `divisors`"):
        found = elbo.distributed.mmd_test(x, y, client, features=20, permutations=39)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    divided = elbo.distributed.mmd_test(x, y, client, features=20, permutations=39, divisors=[1, 2, 3])
    expected = elbo.mmd_test(X / [1, 2, 3], Y / [1, 2, 3], features=20, permutations=39)
    assert divided.statistic == pytest.approx(expected.statistic, abs=1e-12)
    with pytest.raises(ValueError, match="'t' is in one alone"):
        elbo.distributed.mmd_test(x, y.assign(t=1.0), client)
    with pytest.raises(TypeError, match="no array or table of Dask"):
        elbo.distributed.mmd_test(X, y, client)
    with pytest.raises(ValueError, match="missing or infinite"):
        elbo.distributed.mmd_test(of_dask(np.where(X > 3, np.nan, X), 999), of_dask(Y, 999), client)


def test_a_worker_that_dies_changes_nothing(client):
    expected = elbo.mmd_test(X, Y, features=40, permutations=99)
    x, y = of_dask(X, 500), of_dask(Y, 500)
    # The first two chunks each end the worker that takes them, once.
    import os
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as directory:

        def deadly(block, block_info=None):
            mark = pathlib.Path(directory) / str(block_info[0]["chunk-location"][0])
            if block_info[0]["chunk-location"][0] < 2 and not mark.exists():
                mark.touch()
                os._exit(1)
            return block

        found = elbo.distributed.mmd_test(x.map_blocks(deadly, dtype=float, meta=np.empty((0, 3))), y, client, features=40, permutations=99)
    assert found.exceedances == expected.exceedances
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)


def test_a_sweep_is_a_table(client):
    grid = {"beta": [1.0, 4.0], "objective": ["beta-vae"], "seed": [0], "epochs": [2], "hidden": [(8,)], "engine": ["cpu"]}
    table = elbo.distributed.sweep(grid, X[:300], client, validation=X[300:500])
    assert [row["beta"] for row in table] == [1.0, 4.0]
    alone = elbo.VAE(**{name: values[0] for name, values in grid.items()}).fit(X[:300])
    assert table[0]["elbo"] == alone.elbo_ and np.isfinite(table[1]["validation_elbo"])
    (failed,) = elbo.distributed.sweep({"objective": ["gan"]}, X[:300], client)
    assert "unknown variant" in failed["error"]
