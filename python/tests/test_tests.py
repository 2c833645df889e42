"""The tests: the numbers of the command line, those of NumPy, and what a caller sees of mistakes."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

import elbo

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3))
Y = RNG.normal(0.3, size=(140, 3))
#: The program, if it was built beside the package.
PROGRAM = pathlib.Path(__file__).parents[2] / "target" / os.environ.get("ELBO_PROFILE", "debug") / "elbo"
#: Not the same in two calls.
TIMES = ("seconds", "pairs_per_second", "warnings")


def mmd2_of_numpy(x, y, sigma):
    """Both estimates by their definition."""

    def mean(a, b):
        k = np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * sigma**2))
        return k.mean(), (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)) if a is b else k.mean()

    (xx, xx_u), (yy, yy_u), (xy, _) = mean(x, x), mean(y, y), mean(x, y)
    return xx_u + yy_u - 2 * xy, xx + yy - 2 * xy


def test_estimates_are_those_of_the_definition():
    unbiased, biased = mmd2_of_numpy(X, Y, 1.5)
    result = elbo.mmd_test(X, Y, bandwidth=1.5, permutations=19, engine="cpu")
    assert result.mmd2_unbiased == pytest.approx(unbiased, rel=1e-5)
    assert result.mmd2_biased == pytest.approx(biased, rel=1e-5)
    assert elbo.mmd2(X, Y, bandwidth=1.5) == pytest.approx(unbiased, rel=1e-5)
    assert elbo.mmd2(X, Y, bandwidth=1.5, unbiased=False) == pytest.approx(biased, rel=1e-5)


def test_the_median_is_that_of_all_distances():
    both = np.concatenate([X, Y])
    i, j = np.triu_indices(len(both), 1)
    median = np.median(np.linalg.norm(both[i] - both[j], axis=1))
    assert elbo.median_bandwidth(X, Y) == pytest.approx(median, rel=1e-6)
    blocks = np.median(np.abs(X[:, None] - X[None]).sum(-1)[np.triu_indices(len(X), 1)])
    assert elbo.median_bandwidth(X, kernel="laplace") == pytest.approx(blocks, rel=1e-6)


CALLS = [
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"kernel": "laplace", "bandwidth": [0.5, 1], "sum": True}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"null": "binned", "permutations": 199, "alpha": 0.1}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"null": "series", "block_length": 5, "kid": True}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"divergence": "kl", "points": 90}),
    ("independence", lambda **o: elbo.hsic_test(X[:140], Y, **o), {"information": True}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"aggregate": "agg", "kernels": ["gaussian", "imq"]}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"features": 40, "seed": 3}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"split": True, "columns": [0, 2], "scale": "robust"}),
    ("compare", lambda **o: elbo.mmd_test(X, Y, **o), {"points": 70, "sequential": True, "seed": 2**64 - 1}),
    ("independence", lambda **o: elbo.hsic_test(X[:140], Y, **o), {"kernel": "energy"}),
    ("independence", lambda **o: elbo.hsic_test(X[:140], Y, **o), {"null": "gamma", "bandwidth_y": 2.0}),
    ("independence", lambda **o: elbo.hsic_test(X[:140], Y, **o), {"null": "wild", "budget": 20, "aggregate": "agg"}),
    ("fit", lambda **o: elbo.ksd_test(X, "gaussian:1", **o), {"null": "parametric", "permutations": 39}),
    ("fit", lambda **o: elbo.ksd_test(X, "gaussian:2", **o), {"aggregate": "agg", "kernel": "imq"}),
    ("closer", lambda **o: elbo.closer_test(X, Y, X[:100] + 1, **o), {"bandwidth": "0.5*median"}),
]


@pytest.mark.filterwarnings("ignore::elbo.ElboWarning")
@pytest.mark.skipif(not PROGRAM.exists(), reason="the program is not built")
@pytest.mark.parametrize(("command", "function", "options"), CALLS)
def test_numbers_are_those_of_the_command_line(command, function, options, tmp_path):
    files = {"compare": [X, Y], "independence": [X[:140], Y], "fit": [X], "closer": [X, Y, X[:100] + 1]}[command]
    paths = [str(tmp_path / f"{i}.npy") for i in range(len(files))]
    for path, array in zip(paths, files):
        np.save(path, array)
    arguments = [str(PROGRAM), command, *paths, "--json", "--engine", "cpu"]
    if command == "fit":
        arguments += ["--fit", "gaussian:2" if options.get("aggregate") else "gaussian:1"]
    for name, value in options.items():
        arguments.append("--" + name.replace("_", "-"))
        if value is not True:
            arguments.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    expected = json.loads(printed)
    found = function(engine="cpu", **options).to_dict()
    if command == "fit":
        expected = expected["models"][0]
    if command == "independence" and "information" not in options:
        expected.pop("mutual_information", None)
    compared = {name: value for name, value in expected.items() if name not in TIMES}
    assert {name: found[name] for name in compared} == compared


def test_results_read_well():
    result = elbo.mmd_test(X, Y, engine="cpu")
    statistic, p_value = result
    assert (statistic, p_value) == (result.statistic, result.pvalue)
    assert result.null_distribution.shape == (999,)
    assert p_value == (1 + (result.null_distribution >= statistic).sum()) / 1000
    assert "the samples differ (p <= 0.05)" in repr(result)
    assert "<td" in result._repr_html_() and "MMD²" in result._repr_html_()
    same = elbo.mmd_test(X[:75], X[75:], engine="cpu")
    assert not same.reject and "does not prove that there is none" in repr(same)


def test_plots():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = elbo.mmd_test(X, Y, engine="cpu").plot()
    assert axes.get_xlabel() == "statistic"
    with pytest.raises(ValueError, match="no draws to plot"):
        elbo.hsic_test(X[:140], Y, null="gamma", engine="cpu").plot()


def test_scores_and_functions_are_models():
    normal = {"family": "gaussian", "mean": np.zeros(3), "covariance": [1, 1, 1]}
    by_family = elbo.ksd_test(X, normal, engine="cpu")
    by_function = elbo.ksd_test(X, lambda x: -x, engine="cpu")
    by_scores = elbo.ksd_test(X, -X, engine="cpu")
    assert by_family.statistic == by_function.statistic == by_scores.statistic
    assert by_family.p_value == by_function.p_value
    pair = elbo.ksd_test(X, normal, against=lambda x: -(x - 2), engine="cpu")
    assert pair.relative["better"] == "gaussian" and pair.against.reject
    with pytest.raises(ValueError, match=r"the scores have shape \[3\]"):
        elbo.ksd_test(X, lambda x: x[0], engine="cpu")
    with pytest.raises(ZeroDivisionError):
        elbo.ksd_test(X, lambda x: 1 // 0, engine="cpu")


def test_tables_and_tensors_are_samples():
    pandas = pytest.importorskip("pandas")
    expected = elbo.mmd_test(X, Y, engine="cpu").statistic
    assert elbo.mmd_test(X.tolist(), np.asfortranarray(Y), engine="cpu").statistic == expected
    a, b = pandas.DataFrame(X, columns=["u", "v", "w"]), pandas.DataFrame(Y, columns=["u", "v", "w"])
    named = elbo.mmd_test(a, b, engine="cpu")
    assert named.scale == "robust" and {c["name"] for c in named.columns} == {"u", "v", "w"}
    with pytest.warns(elbo.ElboWarning, match="matched by name"):
        assert elbo.mmd_test(a, b[["w", "u", "v"]], engine="cpu").statistic == named.statistic
    assert elbo.mmd_test(a, b, columns=["v"], engine="cpu").d == 1
    assert elbo.mmd_test(a, b, scale="none", engine="cpu").statistic == expected
    with pytest.raises(TypeError, match="column 'u' of x is not numbers"):
        elbo.mmd_test(a.assign(u="text"), b)
    holes = a.mask(a > 2.0)
    with pytest.raises(ValueError, match='leave out . rows? with missing="drop"'):
        elbo.mmd_test(holes, b)
    with pytest.warns(elbo.ElboWarning, match="missing values left out"):
        assert elbo.mmd_test(holes, b, missing="drop", engine="cpu").n < len(X)
    polars = pytest.importorskip("polars")
    assert elbo.mmd_test(polars.DataFrame(X, schema=["u", "v", "w"]), b, engine="cpu").statistic == named.statistic


def test_labels_of_any_kind():
    classes = np.where(X[:, 0] > 0, "high", "low")
    result = elbo.hsic_test(X, classes, kernel_y="delta", engine="cpu")
    assert result.reject and result.y["kernel"] == "delta"
    numbers = elbo.hsic_test(X, (X[:, 0] <= 0).astype(np.uint8), kernel_y="delta", engine="cpu")
    assert numbers.statistic == result.statistic


def test_the_witness_is_the_difference_of_means():
    found = elbo.witness(X, Y, at=X[:4] + 0.5, bandwidth=1.5, engine="cpu")
    at = X[:4] + 0.5
    mean = lambda s: np.exp(-((at[:, None] - s[None]) ** 2).sum(-1) / 4.5).mean(1)  # noqa: E731
    np.testing.assert_allclose(found.at, mean(X) - mean(Y), atol=1e-6)
    assert found.at_x.shape == (150,) and found.at_y.shape == (140,)
    assert "more of x" in repr(found)


def test_power():
    rates = elbo.power("blobs", [1, 3], test="mmd", n=60, repetitions=4, permutations=39, engine="cpu")
    assert [rate["parameter"] for rate in rates] == [1, 3] and rates[0]["repetitions"] == 4


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: elbo.mmd_test(X, Y[:, :2]), ValueError, "y: has 2 columns, but x has 3"),
        (lambda: elbo.mmd_test(X, Y, null="wild"), ValueError, 'use null="exact"'),
        (lambda: elbo.mmd_test(X, Y, kernel="gausian"), ValueError, "expected one of `gaussian`"),
        (lambda: elbo.mmd_test(X, Y, null="quick"), ValueError, "`quick` is no null"),
        (lambda: elbo.mmd_test(X, Y, bandwidth=-1), ValueError, "is no bandwidth"),
        (lambda: elbo.mmd_test(X, Y, columns=["a"]), ValueError, "there is no column `a`"),
        (lambda: elbo.mmd_test(X, Y, features=10, split=True), ValueError, "do not go together"),
        (lambda: elbo.mmd_test(X, np.where(Y > 2, np.inf, Y)), ValueError, "y: the value at row"),
        (lambda: elbo.mmd_test(X, 3.0), TypeError, "y is a single number"),
        (lambda: elbo.mmd_test(X, ["a", "b"]), TypeError, "numbers are expected"),
        (lambda: elbo.mmd_test(X, np.zeros((0, 3))), ValueError, "which is no sample"),
        (lambda: elbo.mmd_test(X, Y, adapter="of no such name"), RuntimeError, "of no such name"),
        (lambda: elbo.hsic_test(X, Y), ValueError, "must be one observation"),
        (lambda: elbo.ksd_test(X, "gaussian:many"), ValueError, "write gaussian:K"),
        (lambda: elbo.ksd_test(X, {"family": "cauchy"}), ValueError, "cauchy"),
        (lambda: elbo.power("blob"), ValueError, "problem='blob': unknown variant"),
        (lambda: elbo.mmd_test(X, Y, permutations="many"), ValueError, "permutations='many': invalid type"),
    ],
)
def test_mistakes_get_one_sentence(call, kind, words):
    with pytest.raises(kind, match=words) as error:
        call()
    assert "--" not in str(error.value)


def test_warnings_are_warnings():
    with pytest.warns(elbo.ElboWarning, match="9 permutations cannot reject"):
        result = elbo.mmd_test(X, Y, permutations=9, engine="cpu")
    assert len(result.warnings) == 1


def test_progress_is_told_and_can_end_a_test():
    heard = []
    elbo.mmd_test(X, Y, engine="cpu", progress=heard.append)
    assert heard[-1] == 1 and heard == sorted(heard)

    def stop(_):
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        elbo.mmd_test(X, Y, engine="cpu", progress=stop)


def test_ctrl_c_ends_a_long_test():
    code = (
        "import elbo, numpy, threading, signal, os\n"
        "x = numpy.random.default_rng(0).normal(size=(30000, 5))\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    elbo.mmd_test(x, x + 1, permutations=9999, engine='cpu')\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert found.stdout == "stopped\n", found.stderr


def test_threads_at_a_time():
    expected = elbo.mmd_test(X, Y, engine="cpu").statistic
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(elbo.mmd_test(X, Y, engine="cpu").statistic)) for _ in range(4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert results == [expected] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_told():
    code = (
        "import elbo, numpy, os\n"
        "x = numpy.eye(9)\n"
        "elbo.mmd2(x, x + 1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        elbo.mmd2(x, x + 1)\n"
        "    except RuntimeError as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    options = ["-W", "ignore"]
    found = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60)
    assert "forked from one that had used elbo" in found.stdout, found.stderr


def test_calls_leak_nothing():
    resource = pytest.importorskip("resource")
    x, y = X[:12], Y[:12]
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # noqa: E731
    for _ in range(200):
        elbo.mmd_test(x, y, permutations=19, engine="cpu")
    before, references = peak(), sys.getrefcount(x)
    for _ in range(1000):
        elbo.mmd_test(x, y, permutations=19, engine="cpu")
    assert peak() - before < 4_000 and sys.getrefcount(x) == references


@pytest.mark.parametrize(
    "options",
    [
        {"aggregate": "agg", "kid": True},
        {"aggregate": "agg", "block_length": 4},
        {"features": 9, "sequential": True},
        {"features": 9, "bin": 4},
        {"split": True, "sum": True},
    ],
)
def test_options_that_exclude_each_other_are_refused(options):
    with pytest.raises(ValueError, match="do not go together"):
        elbo.mmd_test(X, Y, **options)


def test_arrays_of_any_memory_are_samples():
    expected = elbo.mmd_test(X, Y, engine="cpu").statistic
    buffer = bytearray(4 + X.nbytes)
    misaligned = np.frombuffer(buffer, np.float64, offset=4, count=X.size).reshape(X.shape)
    misaligned[:] = X
    wide = np.zeros((150, 6))
    wide[:, ::2] = X
    for same in (misaligned, X.astype(">f8"), wide[:, ::2], X[::-1][::-1]):
        assert elbo.mmd_test(same, Y, engine="cpu").statistic == expected
    images = RNG.integers(0, 256, size=(40, 2, 2))
    dark, options = images // 2, {"bandwidth": 1.0, "engine": "cpu"}
    with pytest.warns(elbo.ElboWarning, match="divided by 255"):
        of_bytes = elbo.mmd2(images.astype(np.uint8), dark.astype(np.uint8), **options)
    assert of_bytes == pytest.approx(elbo.mmd2(images / 255, dark / 255, **options), rel=1e-5)
    masked = np.ma.masked_greater(X, 2.0)
    with pytest.raises(ValueError, match="values are missing"):
        elbo.mmd_test(masked, Y)


def test_columns_are_chosen_in_any_way():
    pandas = pytest.importorskip("pandas")
    a, b = pandas.DataFrame(X, columns=["u", "v", "w"]), pandas.DataFrame(Y, columns=["u", "v", "w"])
    expected = elbo.mmd_test(a, b, columns=["u"], engine="cpu").statistic
    for columns in ("u", 0, a.columns[:1], np.array(["u"])):
        assert elbo.mmd_test(a, b, columns=columns, engine="cpu").statistic == expected
    unnamed = elbo.mmd_test(pandas.DataFrame(X), pandas.DataFrame(Y), engine="cpu")
    assert unnamed.statistic == elbo.mmd_test(X, Y, engine="cpu").statistic and unnamed.columns is None
    scaled = elbo.median_bandwidth(a * 100, b * 100, engine="cpu")
    assert elbo.median_bandwidth(a * 100, b * 100, scale="none", engine="cpu") != scaled
    holes = pandas.DataFrame({"u": pandas.array([1, None, 3, 4, 5], dtype="Int64"), "v": range(5)})
    with pytest.warns(elbo.ElboWarning, match="1 row with missing values left out"):
        assert elbo.mmd_test(holes, holes.dropna(), missing="drop", permutations=19, engine="cpu").n == 4


def test_missing_labels_are_told_and_both_variables_may_be_labels():
    words = np.where(X[:, 0] > 0, "high", "low").astype(object)
    assert elbo.hsic_test(words, words, kernel="delta", engine="cpu").reject
    words[3] = None
    with pytest.raises(ValueError, match="y has 1 missing labels"):
        elbo.hsic_test(X, words, kernel_y="delta")


def test_an_error_of_progress_is_not_lost_on_the_way():
    def stop(done):
        if done > 0.9:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        elbo.mmd_test(X, Y, kid=True, permutations=19, engine="cpu", progress=stop)
