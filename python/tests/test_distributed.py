"""Tests on a cluster are those on one machine."""

import os

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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"null": "binned"},
        {"null": "binned", "bin": 4, "kernel": "energy"},
        {"kernel": "laplace", "seed": 4, "bandwidth": [0.5, 2.0], "permutations": 99},
    ],
)
def test_all_pairs_are_those_of_one_machine(client, options, monkeypatch):
    monkeypatch.setattr(elbo.distributed, "_PART", 500)
    options = {"permutations": 199, "engine": "cpu", **options}
    x, y = X[:2_104], Y[:1_560]
    one = elbo.mmd_test(x, y, **options)
    seen = []
    many = elbo.distributed.mmd_test(
        of_dask(x, 333), of_dask(y, 1_560), client, features=None, progress=seen.append, **options
    )
    assert many.bandwidths == pytest.approx(one.bandwidths, rel=1e-6) and many.bandwidth_rule == one.bandwidth_rule
    # Draws that differ by less than this are ties.
    np.testing.assert_allclose(many.null_distribution, one.null_distribution, atol=1e-6 * abs(one.mean_kernel))
    assert many.statistic == pytest.approx(one.statistic, abs=2e-8 * max(1.0, abs(one.mean_kernel)))
    assert (many.exceedances, many.n, many.m, many.bin) == (one.exceedances, one.n, one.m, one.bin)
    assert many.variance == pytest.approx(one.variance, rel=1e-4)
    assert many.confidence_interval == pytest.approx(one.confidence_interval, rel=1e-3)
    assert many.mmd2_linear is None and "nan" not in repr(many)
    assert seen[-1] == 1.0 and seen == sorted(seen) and len(seen) == 45


def assert_same(many, one):
    """Tests by random signs of parts and of one machine, whose sums are in float32."""
    size = np.abs(np.append(one.null_distribution, one.statistic)).max()
    assert many.statistic == pytest.approx(one.statistic, abs=1e-5 * size)
    np.testing.assert_allclose(many.null_distribution, one.null_distribution, atol=1e-5 * size)
    assert (many.exceedances, many.n, many.permutations) == (one.exceedances, one.n, one.permutations)


@pytest.mark.parametrize("options", [{}, {"kernel": "energy"}, {"kernel_y": "delta", "seed": 3}, {"bandwidth_y": "0.5*median"}])
def test_dependence_is_that_of_one_machine(client, options, monkeypatch):
    monkeypatch.setattr(elbo.distributed, "_PART", 200)
    options = {"permutations": 99, "engine": "cpu", **options}
    x = X[:1_501]
    if "kernel_y" in options:
        y = (x[:, :1] > 0.3).astype(np.uint8)
    else:
        y = np.abs(x[:, :2]) + RNG.normal(size=(1_501, 2))
    one = elbo.hsic_test(x, y, null="wild", **options)
    seen = []
    many = elbo.distributed.hsic_test(of_dask(x, 333), of_dask(y, 1_000), client, progress=seen.append, **options)
    assert_same(many, one)
    assert many.x == one.x and many.y == one.y
    assert many.cka is None and many.hsic_biased is None and "None" not in repr(many)
    assert seen[-1] == 1.0 and len(seen) == 10
    with pytest.raises(ValueError, match="x has 1501 rows and y has 1500"):
        elbo.distributed.hsic_test(of_dask(x, 333), of_dask(y[:1_500], 1_000), client, **options)
    with pytest.raises(ValueError, match="the same in all rows"):
        elbo.distributed.hsic_test(of_dask(x, 333), of_dask(np.ones((1_501, 1)), 333), client, bandwidth_y=1.0)


MODEL = {"family": "gaussian", "mean": [0.0, 0.1, 0.0], "covariance": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize("kernel", ["gaussian", "imq"])
def test_fit_is_that_of_one_machine(client, kernel, monkeypatch):
    monkeypatch.setattr(elbo.distributed, "_PART", 400)
    x = X[:1_501]
    options = {"kernel": kernel, "permutations": 99, "engine": "cpu", "seed": 2}
    one = elbo.ksd_test(x, MODEL, **options)
    of_x, scores = of_dask(x, 333), np.array([0.0, 0.1, 0.0]) - x
    for model in (MODEL, lambda points: np.array([0.0, 0.1, 0.0]) - points, of_dask(scores, 1_000)):
        many = elbo.distributed.ksd_test(of_x, model, client, **options)
        assert_same(many, one)
        assert many.ksd2_biased == pytest.approx(one.ksd2_biased, rel=1e-6)
        assert many.bandwidths == one.bandwidths
    with pytest.raises(ValueError, match="would be fitted to all rows"):
        elbo.distributed.ksd_test(of_x, "gaussian:2", client)
    with pytest.raises(ValueError, match="the model has 1 dimensions"):
        elbo.distributed.ksd_test(of_x, {"family": "gaussian", "mean": [0], "covariance": [1]}, client)
    with pytest.raises(ValueError, match="scores of 1500"):
        elbo.distributed.ksd_test(of_x, of_dask(scores[:1_500], 500), client)
    with pytest.raises(ValueError, match="as many columns"):
        elbo.distributed.ksd_test(of_x, of_dask(scores[:, :1], 500), client)
    with pytest.raises(ValueError, match=r"the scores have shape \(\d+,\)"):
        elbo.distributed.ksd_test(of_x, lambda points: points[:, 0], client)


def test_work_of_hours_is_refused(client, monkeypatch):
    monkeypatch.setattr(elbo.distributed, "_LONGEST", 1e-3)
    with pytest.raises(ValueError, match="all pairs of 1.35e.04 rows take about .* force=True"):
        elbo.distributed.mmd_test(of_dask(X, 5_000), of_dask(Y, 5_000), client, features=None)
    with pytest.raises(ValueError, match="all pairs of 3.25e.03 pairs of rows take about .* use force=True"):
        elbo.distributed.hsic_test(of_dask(X[:6_500], 5_000), of_dask(Y, 5_000), client)
    with pytest.raises(ValueError, match="take about .* use features=100, or force=True"):
        elbo.distributed.mmd_test(
            of_dask(X, 5_000), of_dask(Y, 5_000), client, features=None, null="binned", bin=576
        )
    with pytest.raises(ValueError, match="have no bins"):
        elbo.distributed.mmd_test(of_dask(X, 5_000), of_dask(Y, 5_000), client, null="binned")


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


@pytest.mark.parametrize("features", [40, None])
def test_a_worker_that_dies_changes_nothing(client, features, tmp_path):
    x, y = X[:3_000], Y[:3_000]
    expected = elbo.mmd_test(x, y, features=features, permutations=99)

    # The first two chunks each end the worker that takes them, once.
    def deadly(block, block_info=None):
        number = block_info[0]["chunk-location"][0]
        mark = tmp_path / str(number)
        if number < 2 and not mark.exists():
            mark.touch()
            os._exit(1)
        return block

    doomed = of_dask(x, 500).map_blocks(deadly, dtype=float, meta=np.empty((0, 3)))
    found = elbo.distributed.mmd_test(doomed, of_dask(y, 500), client, features=features, permutations=99)
    assert len(list(tmp_path.iterdir())) == 2
    assert found.exceedances == expected.exceedances
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12 if features else 1e-7)


def test_a_sweep_is_a_table(client):
    grid = {"beta": [1.0, 4.0], "objective": ["beta-vae"], "seed": [0], "epochs": [2], "hidden": [(8,)], "engine": ["cpu"]}
    table = elbo.distributed.sweep(grid, X[:300], client, validation=X[300:500])
    assert [row["beta"] for row in table] == [1.0, 4.0]
    alone = elbo.VAE(**{name: values[0] for name, values in grid.items()}).fit(X[:300])
    assert table[0]["elbo"] == alone.elbo_ and np.isfinite(table[1]["validation_elbo"])
    (failed,) = elbo.distributed.sweep({"objective": ["gan"]}, X[:300], client)
    assert "unknown variant" in failed["error"]
