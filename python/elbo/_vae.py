"""Variational auto-encoders in the shape of scikit-learn."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import NDArray

from . import _elbo
from ._arrays import Rows, Samples, rows
from ._messages import warn
from ._tests import Engine, _call

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn is not needed.

    class TransformerMixin:  # type: ignore[no-redef]
        """``fit_transform``, as of scikit-learn."""

        def fit_transform(self, X: Samples, y: object = None) -> NDArray[np.floating[Any]]:
            """Fits to X and gives its codes."""
            return self.fit(X).transform(X)  # type: ignore[attr-defined, no-any-return]

    class BaseEstimator:  # type: ignore[no-redef]
        """``get_params`` and ``set_params``, as of scikit-learn."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """The parameters."""
            return {name: getattr(self, name) for name in (*_PARAMETERS, "settings", "verbose", "callback")}

        def set_params(self, **parameters: Any) -> Any:
            """Sets parameters."""
            for name, value in parameters.items():
                setattr(self, name, value)
            return self

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """The model was not fitted."""

    validate_data = None

#: A number, or a schedule such as ``"linear:0:4:1000"``.
Schedule = Union[float, str]


class VAE(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A variational auto-encoder of tables or images. Parameters have the names and defaults of ``elbo train``.

    Rows of numbers are a table: each column is standardised by the training rows, and results are given back in its units.
    Arrays ``(n, height, width)`` or ``(n, height, width, 3)``, bytes or numbers from 0 to 1, are images, and so are all
    arrays with ``likelihood="bernoulli"``.

    Args:
        latent: Dimensions of the code.
        objective: ``vae``, ``beta-vae``, ``mmd-vae``, ``info-vae``, ``tc-vae`` or ``capacity``.
        likelihood: p(x|z): a Gaussian, or independent Bernoulli pixels.
        sigma: Of the Gaussian, in standard deviations of a column: a number, ``"learned"`` or ``"optimal"``.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        architecture: Layers of any kind instead, such as ``"burgess"`` or ``"conv:32x4/2,linear:256"``.
        beta: Weight of the KL of ``beta-vae``, of the total correlation of ``tc-vae``.
        lambda_: Weight of the MMD of ``mmd-vae`` and ``info-vae``.
        capacity: Nats at which ``capacity`` holds the KL.
        gamma: Weight of its distance from there.
        epochs: How often each row is seen.
        batch: Rows of a step; all of them where there are fewer.
        learning_rate: Adam's.
        validation: Rows held out, the last ones: a number, or a share below 1. The epoch with the best ELBO on them is kept.
        early_stopping: Ends when that has not risen for so many epochs.
        seed: Of everything random.
        engine: A hardware GPU if there is one, any GPU, or the CPU.
        adapter: Part of a GPU's name.
        settings: Any others of ``config.toml``, such as ``{"kl": "sampled"}``.
        verbose: Show progress, by tqdm if it is there.
        callback: Is called with each epoch (passes over the data, ELBO); if it answers True, training ends.

    Attributes:
        elbo_: The ELBO, in nats, of a thousand of the training rows, or of the validation rows.
        history_: The same after each epoch.
        summary_: What ``elbo train --json`` prints.
        n_features_in_: Numbers of a row.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(500, 6)) @ np.diag([9, 5, 1, 0.1, 0.1, 0.1])
        >>> codes = elbo.VAE(latent=2, batch=32, sigma=0.3).fit_transform(x)
        >>> codes.shape
        (500, 2)
    """

    def __init__(
        self,
        latent: int = 2,
        objective: Literal["vae", "beta-vae", "mmd-vae", "info-vae", "tc-vae", "capacity"] = "vae",
        *,
        likelihood: Literal["gaussian", "bernoulli"] = "gaussian",
        sigma: float | Literal["learned", "optimal"] = 1.0,
        hidden: Sequence[int] = (300,),
        architecture: str | None = None,
        beta: Schedule | None = None,
        lambda_: Schedule | None = None,
        capacity: Schedule | None = None,
        gamma: Schedule | None = None,
        epochs: int = 30,
        batch: int = 128,
        learning_rate: Schedule = 1e-3,
        validation: float | None = None,
        early_stopping: int | None = None,
        seed: int = 0,
        engine: Engine = "auto",
        adapter: str | None = None,
        settings: dict[str, Any] | None = None,
        verbose: bool = False,
        callback: Callable[[float, float], object] | None = None,
    ) -> None:
        self.latent = latent
        self.objective = objective
        self.likelihood = likelihood
        self.sigma = sigma
        self.hidden = hidden
        self.architecture = architecture
        self.beta = beta
        self.lambda_ = lambda_
        self.capacity = capacity
        self.gamma = gamma
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.validation = validation
        self.early_stopping = early_stopping
        self.seed = seed
        self.engine = engine
        self.adapter = adapter
        self.settings = settings
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: Samples, y: object = None) -> VAE:
        """Trains on X, ``(n, ...)``, from new weights. ``y`` is not looked at.

        Ctrl-C ends the training and is raised.

        Raises:
            ValueError: The data or parameters do not fit together.
            ArithmeticError: The training diverged.
        """
        return self._train(X, None, self.epochs)

    def partial_fit(self, X: Samples, y: object = None) -> VAE:
        """Trains for one epoch on X, from the weights that there are; a table keeps the scale of the first call.

        Schedules are those of a run of known length: use :meth:`fit` for them.
        """
        return self._train(X, getattr(self, "_model", None), 1)

    def transform(self, X: Samples) -> NDArray[np.floating[Any]]:
        """The means of q(z|x): ``(n, latent)``, in X's type of floats if it has one."""
        means = self.encode(X)[0]
        dtype = getattr(X, "dtype", None)
        return means.astype(np.float64) if dtype == np.float64 else means

    def encode(self, X: Samples) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Mean and log-std of q(z|x), and a sample z: ``(n, latent)`` each."""
        model = self._fitted()
        mean, log_std, z = _call(model.encode, self._rows(X))
        return mean, log_std, z

    def decode(self, Z: Samples) -> NDArray[np.float64]:
        """The means of p(x|z) of codes ``(n, latent)``: rows in the units of the data, or images from 0, black, to 1, with
        their channels last."""
        model = self._fitted()
        codes = np.atleast_2d(np.asarray(Z, dtype=np.float32))
        return self._shaped(_call(model.decode, codes))

    def inverse_transform(self, Z: Samples) -> NDArray[np.float64]:
        """As :meth:`decode`."""
        return self.decode(Z)

    def sample(self, n: int = 1) -> NDArray[np.float64]:
        """The means of p(x|z) for n draws of z from the prior; the same ones in each call."""
        return self._shaped(_call(self._fitted().sample, n))

    def score(self, X: Samples, y: object = None) -> float:
        """The mean ELBO of X in nats; of a table, in standard deviations of its columns."""
        return float(self.evaluate(X)["elbo"])

    def evaluate(self, X: Samples) -> dict[str, float]:
        """Means over X: ``sse``, ``reconstruction``, ``kl`` and ``elbo``."""
        model = self._fitted()
        return dict(_call(model.evaluate, self._rows(X)))

    def log_likelihood(self, X: Samples, samples: int = 100) -> dict[str, Any]:
        """ln p(x) by importance sampling (Burda et al. 2016), a lower bound in the mean: its estimate and errors."""
        model = self._fitted()
        return dict(_call(model.log_likelihood, self._rows(X), samples, None))

    def state_dict(self) -> dict[str, NDArray[np.float32]]:
        """The weights, by the names and with the shapes of an ``nn.Sequential`` of PyTorch."""
        return self._fitted().state_dict()

    def save(self, directory: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Writes a run directory, which ``elbo`` and :meth:`load` read."""
        _call(self._fitted().save, os.fspath(directory), overwrite)

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, engine: Engine = "auto", adapter: str | None = None) -> VAE:
        """The model of a run directory, of this package or of ``elbo train``."""
        model: _elbo.Model = _call(_elbo.load, os.fspath(directory), {"engine": engine, "adapter": adapter})
        config = model.config
        known = {
            name: config[key]
            for name, key in ((name, _key(name)) for name in _PARAMETERS)
            if config.get(key) is not None and name not in ("engine", "adapter")
        }
        named = {_key(name) for name in _PARAMETERS} | {"data", "steps", "log-every"}
        others = {key: value for key, value in config.items() if key not in named and value not in (None, False)}
        vae = cls(**known, settings=others or None, engine=engine, adapter=adapter)
        vae._model = model
        vae.n_features_in_ = model.dimension
        return vae

    def _train(self, X: Samples, start: _elbo.Model | None, epochs: int) -> VAE:
        data = self._rows(X, reset=start is None)
        config = {_key(name): getattr(self, name) for name in _PARAMETERS}
        config = {key: value for key, value in config.items() if value is not None}
        config.update(epochs=epochs, hidden=[int(width) for width in self.hidden])
        if self.architecture is not None:
            del config["hidden"]
        config.update(self.settings or {})
        config = {key: value.item() if isinstance(value, np.generic) else value for key, value in config.items()}
        images = data.values.ndim > 2 or self.likelihood == "bernoulli"
        with _Progress(self) as progress, tempfile.TemporaryDirectory() as directory:
            model, summary, history, sentences = _call(
                _elbo.fit, data, images, config, directory, start, progress.hear
            )
        # What was said after the first epoch is no news if the codes tell something in the end.
        telling = (summary["test"]["mutual_information"] or 0) >= _TELLING
        warn([each for each in sentences if not (telling and each.startswith("after epoch"))], stacklevel=3)
        self._model = model
        self.summary_ = summary
        self.history_ = [*(getattr(self, "history_", []) if start else []), *history]
        self.elbo_ = summary.get("validation", summary["test"])["elbo"]
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def _fitted(self) -> _elbo.Model:
        model: _elbo.Model | None = getattr(self, "_model", None)
        if model is None:
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet; call fit(X), or VAE.load(directory)")
        return model

    def _rows(self, X: Samples, reset: bool = False) -> Rows:
        """X, checked as scikit-learn does it if that is there and X is rows of numbers."""
        plain = getattr(X, "ndim", 2) <= 2 and not hasattr(X, "__dlpack_device__") or isinstance(X, np.ndarray) and X.ndim <= 2
        if validate_data is not None and plain:
            names = getattr(X, "dtype", None)
            keep = [np.float64, np.uint8, np.uint16] if names in (np.uint8, np.uint16) else np.float64
            checked = validate_data(self, X, reset=reset, dtype=keep, ensure_min_samples=2 if reset else 1)
            return rows("X", checked)
        data = rows("X", X)
        if reset:
            self.n_features_in_ = int(np.prod(data.values.shape[1:]))
        return data

    def _shaped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        image = self._fitted().image
        if image is None or image[0] == 1:
            return values
        height, width, channels = image
        return values.reshape(len(values), height, width, *([channels] if channels > 1 else []))

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: the model as the files of its run directory."""
        state = dict(self.__dict__)
        model = state.pop("_model", None)
        if model is not None:
            with tempfile.TemporaryDirectory() as directory:
                path = pathlib.Path(directory) / "run"
                model.save(os.fspath(path), False)
                files = [file for file in path.rglob("*") if file.is_file()]
                state["_files"] = {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_files", None)
        self.__dict__.update(state)
        if files is not None:
            with tempfile.TemporaryDirectory() as directory:
                for name, content in files.items():
                    path = pathlib.Path(directory) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                self._model = _call(_elbo.load, directory, {"engine": self.engine, "adapter": self.adapter})


#: Nats of mutual information from which codes tell something of a row.
_TELLING = 0.1

#: Parameters that are keys of ``config.toml``.
_PARAMETERS = (
    "latent",
    "objective",
    "likelihood",
    "sigma",
    "hidden",
    "architecture",
    "beta",
    "lambda_",
    "capacity",
    "gamma",
    "epochs",
    "batch",
    "learning_rate",
    "validation",
    "early_stopping",
    "seed",
    "engine",
    "adapter",
)


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class _Progress:
    """Tells a callback and a progress bar of a training."""

    def __init__(self, vae: VAE) -> None:
        self._callback = vae.callback
        self._bar: Any = None
        if vae.verbose:
            try:
                from tqdm.auto import tqdm

                self._bar = tqdm(total=vae.epochs, unit=" epochs")
            except ImportError:
                self._bar = _Lines()

    def hear(self, kind: str, at: float, elbo: float) -> object:
        """Hears of steps and epochs."""
        if kind == "steps":
            return None
        if self._bar is not None:
            self._bar.set_postfix_str(f"ELBO {elbo:.2f}")
            self._bar.update(at - self._bar.n)
        return None if self._callback is None else self._callback(at, elbo)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    """A line for each epoch, where there is no tqdm."""

    n = 0.0
    _text = ""

    def set_postfix_str(self, text: str) -> None:
        self._text = text

    def update(self, more: float) -> None:
        self.n += more
        print(f"epoch {self.n:.1f}: {self._text}")

    def close(self) -> None:
        """Nothing to close."""
