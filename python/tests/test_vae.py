"""Models: what they learn, the units and shapes of what they give, and scikit-learn's conventions."""

import pickle

import numpy as np
import pytest

import elbo

pytestmark = pytest.mark.filterwarnings("ignore:after epoch:elbo.ElboWarning")
RNG = np.random.default_rng(1)
#: Six columns of very different scales, made of two numbers.
HIDDEN = RNG.normal(size=(400, 2))
X = HIDDEN @ RNG.normal(size=(2, 6)) * [1e3, 1, 1e-3, 5, 1, 1] + [0, 100, 0, -7, 1e4, 0]
X = X + X.std(0) * 0.05 * RNG.normal(size=X.shape)
FAST = {"epochs": 60, "hidden": (32,), "sigma": 0.3, "batch": 50, "engine": "cpu"}


@pytest.fixture(scope="module")
def fitted():
    return elbo.VAE(latent=2, **FAST).fit(X)


def test_a_table_is_learned_in_its_units(fitted):
    decoded = fitted.decode(fitted.transform(X))
    assert decoded.shape == X.shape
    unexplained = ((decoded - X) ** 2).mean(0) / X.var(0)
    assert (unexplained < 0.2).all(), unexplained
    invented = fitted.sample(500)
    assert (np.abs(invented.mean(0) - X.mean(0)) < 0.3 * X.std(0)).all()
    assert fitted.history_[-1] > fitted.history_[0]
    assert fitted.elbo_ == fitted.history_[-1] == pytest.approx(fitted.score(X), abs=0.3), "other noise"
    assert fitted.score(X + 5 * X.std(0)) < fitted.score(X), "other rows are scaled as the first"


def test_codes_are_those_of_single_rows(fitted):
    mean, log_std, z = fitted.encode(X)
    assert mean.shape == log_std.shape == z.shape == (400, 2)
    np.testing.assert_allclose(fitted.transform(X[7:9]), mean[7:9], atol=1e-6)
    assert np.abs((z - mean) / np.exp(log_std)).mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.1)


def test_seeds_decide(fitted):
    again = elbo.VAE(latent=2, **FAST).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    other = elbo.VAE(latent=2, seed=5, **FAST).fit(X)
    assert not np.array_equal(other.transform(X), fitted.transform(X))


def test_the_likelihood_is_above_the_elbo(fitted):
    found = fitted.log_likelihood(X[:50], samples=50)
    assert found["log_likelihood"] > found["elbo"] == pytest.approx(fitted.score(X[:50]), abs=0.5)


def test_models_are_saved_loaded_and_pickled(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    with pytest.raises(ValueError, match="exists already"):
        fitted.save(tmp_path / "run")
    fitted.save(tmp_path / "run", overwrite=True)
    codes = fitted.transform(X)
    for other in (elbo.VAE.load(tmp_path / "run", engine="cpu"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.transform(X), codes)
        np.testing.assert_array_equal(other.sample(5), fitted.sample(5))
        assert other.get_params()["latent"] == 2


def test_weights_have_pytorchs_names_and_shapes(fitted):
    shapes = {name: value.shape for name, value in fitted.state_dict().items()}
    assert shapes["encoder.0.weight"] == (32, 6) and shapes["decoder.2.bias"] == (6,)


def test_images_keep_their_shape():
    images = RNG.integers(0, 2, size=(90, 4, 5)).astype(np.uint8) * 255
    vae = elbo.VAE(latent=3, likelihood="bernoulli", epochs=2, hidden=(16,), engine="cpu").fit(images)
    assert vae.decode(np.zeros((7, 3))).shape == (7, 4, 5)
    assert 0 <= vae.sample(3).min() and vae.sample(3).max() <= 1
    as_shares = elbo.VAE(latent=3, likelihood="bernoulli", epochs=2, hidden=(16,), engine="cpu").fit(images / 255)
    np.testing.assert_array_equal(as_shares.transform(images / 255), vae.transform(images))
    coloured = RNG.random(size=(70, 4, 4, 3))
    assert elbo.VAE(epochs=1, hidden=(8,), engine="cpu").fit(coloured).sample(2).shape == (2, 4, 4, 3)
    with pytest.raises(ValueError, match="divide images first"):
        elbo.VAE(likelihood="bernoulli").fit(X)


def test_training_goes_on_and_can_be_watched():
    heard = []
    vae = elbo.VAE(callback=lambda epoch, score: heard.append((epoch, score)), **{**FAST, "epochs": 3}).fit(X)
    assert [epoch for epoch, _ in heard] == [1, 2, 3] and heard[-1][1] == vae.elbo_
    before = vae.elbo_
    for _ in range(5):
        vae.partial_fit(X)
    assert vae.elbo_ > before and len(vae.history_) == 8
    stopped = elbo.VAE(callback=lambda epoch, _: epoch >= 2, **FAST).fit(X)
    assert len(stopped.history_) == 2

    def fails(*_):
        raise LookupError("of the caller's")

    with pytest.raises(LookupError, match="of the caller's"):
        elbo.VAE(callback=fails, **FAST).fit(X)
    kept = elbo.VAE(validation=0.2, early_stopping=2, **FAST).fit(X)
    assert kept.summary_["validation"]["elbo"] == kept.elbo_


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: elbo.VAE(objective="gan").fit(X), "objective='gan': unknown variant"),
        (lambda: elbo.VAE(latent=0).fit(X), "latent"),
        (lambda: elbo.VAE(beta=2.0).fit(X), "beta"),
        (lambda: elbo.VAE(settings={"colour": 1}).fit(X), "colour"),
        (lambda: elbo.VAE().transform(X), "not fitted"),
        (lambda: elbo.VAE(epochs=1, engine="cpu").fit(X).transform(X[:, :3]), "expecting 6 features"),
        (lambda: elbo.VAE.load("no such directory"), "no such directory"),
    ],
)
def test_mistakes_get_one_sentence(call, words):
    with pytest.raises((ValueError, OSError), match=words):
        call()


def test_scikit_learns_checks():
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    vae = elbo.VAE(latent=2, hidden=(8,), epochs=2, batch=16, engine="cpu")
    results = checks.check_estimator(vae, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed, failed
    assert sum(result["status"] == "passed" for result in results) >= 40


def test_epochs_in_parts_are_the_same_as_at_once():
    two = elbo.VAE(latent=2, **{**FAST, "epochs": 2}).fit(X)
    parts = elbo.VAE(latent=2, **{**FAST, "epochs": 1}).fit(X).partial_fit(X)
    np.testing.assert_array_equal(parts.transform(X), two.transform(X))
    with pytest.raises(ValueError, match="`fit` begins anew"):
        parts.set_params(latent=3).partial_fit(X)


@pytest.mark.parametrize("objective", ["beta-vae", "mmd-vae", "info-vae", "tc-vae", "capacity"])
def test_all_objectives_can_be_judged_saved_and_loaded(objective, tmp_path):
    options = {"epochs": 3, "hidden": (8,), "engine": "cpu", "validation": 0.25, "settings": {"kl": "sampled"}}
    vae = elbo.VAE(objective=objective, learning_rate=0.05, **options).fit(X)
    assert np.isfinite(vae.score(X)) and np.isfinite(vae.log_likelihood(X[:9], samples=3)["log_likelihood"])
    vae.save(tmp_path / "run")
    loaded = elbo.VAE.load(tmp_path / "run", engine="cpu")
    np.testing.assert_array_equal(loaded.transform(X), vae.transform(X))
    assert loaded.settings["kl"] == "sampled"


def test_whole_numbers_are_parameters():
    assert elbo.VAE(objective="beta-vae", beta=4, sigma=1, epochs=1, hidden=(8,), engine="cpu").fit(X).elbo_ < 0


def test_black_and_white_is_white_in_any_type():
    images = RNG.integers(0, 2, size=(90, 3, 4)).astype(np.uint8)
    vae = elbo.VAE(likelihood="bernoulli", epochs=2, hidden=(16,), engine="cpu").fit(images)
    np.testing.assert_array_equal(vae.transform(images), vae.transform(images.astype(float)))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(vae)).sample(2), vae.sample(2))
    assert vae.sample(200).mean() == pytest.approx(0.5, abs=0.2)
    dark = elbo.VAE(epochs=1, hidden=(8,), engine="cpu").fit(images * np.uint8(255))
    np.testing.assert_allclose(dark.transform(images * np.uint8(255)), dark.transform(images.astype(float)))


def test_constant_and_far_columns_keep_their_values():
    table = np.column_stack([X[:, 0], np.full(len(X), 0.1), 1e9 + RNG.normal(size=len(X))])
    with pytest.warns(elbo.ElboWarning, match="has the value 0.1 in all rows"):
        vae = elbo.VAE(epochs=1, hidden=(8,), engine="cpu").fit(table)
    decoded = vae.decode(vae.transform(table))
    assert decoded.dtype == np.float64 and np.abs(decoded[:, 2] - 1e9).max() > 1e-6
    assert np.abs(vae.transform(table * [1, 2, 1])).max() < 1e3


def test_columns_are_found_by_their_names():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcdef"))
    vae = elbo.VAE(epochs=1, hidden=(8,), engine="cpu").fit(table)
    np.testing.assert_allclose(vae.transform(table), vae.transform(table.copy()))
    with pytest.raises(ValueError, match="feature names"):
        vae.transform(table[list("fedcba")])
