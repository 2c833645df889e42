"""Measures of disentanglement by NumPy and scikit-learn, for src/disentanglement/scikit_learn.json.

    python benches/peers/measures.py > src/disentanglement/scikit_learn.json

Definitions are those of disentanglement_lib (Locatello et al. 2019), and of Chen et al. 2018 for the MIG of posteriors; a
unit test compares ours on the same codes. Numbers that depend on chance come with a mean and a standard deviation over
seeds.
"""

import json
import warnings

import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC

warnings.simplefilter("ignore", ConvergenceWarning)
SIZES, TRAIN, TEST = np.array([3, 5, 8]), 320, 160
SEEDS = 20

rng = np.random.default_rng(17)
factors = rng.integers(SIZES, size=(TRAIN + TEST, 3))
a, b, c = (2 * factors / (SIZES - 1) - 1).T
noise = rng.standard_normal((TRAIN + TEST, 4)) * [0.1, 0.2, 0.3, 0.02]
mean = np.round(np.stack([c + 0.2 * b, 0.8 * b, a + 0.4 * c, 0 * a], axis=1) + noise, 3)
log_std = np.round(np.array([-2.0, -1.5, -1.0, -0.01]) + 0.1 * rng.standard_normal(mean.shape), 3)


def gaps(scores, scale=1.0):
    """Mean over factors of the gap between the two best latents; scores: factors x latents."""
    ordered = np.sort(scores, axis=1)
    return np.mean((ordered[:, -1] - ordered[:, -2]) / scale)


def by_histograms():
    """compute_mig and modularity_explicitness with 20 bins."""
    bins = [np.digitize(z, np.histogram(z, 20)[1][:-1]) for z in mean.T]
    information = np.array([[mutual_info_score(v, z) for z in bins] for v in factors.T])
    entropies = np.array([mutual_info_score(v, v) for v in factors.T])
    square = information.T**2
    most = square.max(axis=1)
    modularity = 1 - (square.sum(axis=1) - most) / (most * (len(SIZES) - 1))
    return {
        "information": information.ravel().tolist(),
        "entropies": entropies.tolist(),
        "mig": gaps(information, entropies),
        "modularity": modularity.mean(),
    }


def by_posteriors():
    """H(z) - H(z | v), each by logsumexp over the posteriors of all images, or of those with the value."""
    migs = []
    for seed in range(SEEDS):
        draws = np.random.default_rng(seed).standard_normal(mean.shape)
        information = np.zeros((len(SIZES), mean.shape[1]))
        for j in range(mean.shape[1]):
            mu, s = mean[:, j], log_std[:, j]
            z = mu + np.exp(s) * draws[:, j]
            log_q = -0.5 * ((z[:, None] - mu) * np.exp(-s)) ** 2 - s - 0.5 * np.log(2 * np.pi)
            of_all = -np.mean(np.logaddexp.reduce(log_q, axis=1) - np.log(len(mu)))
            for k, v in enumerate(factors.T):
                of_value = 0.0
                for value in np.unique(v):
                    chosen = v == value
                    parts = np.logaddexp.reduce(log_q[np.ix_(chosen, chosen)], axis=1) - np.log(chosen.sum())
                    of_value -= chosen.mean() * parts.mean()
                information[k, j] = of_all - of_value
        entropies = [entropy(np.bincount(v)) for v in factors.T]
        migs.append(gaps(information, entropies))
    return {"mean": np.mean(migs), "deviation": np.std(migs, ddof=1)}


def by_machines():
    """compute_sap, to the minimum: liblinear's tolerance of 1e-4 stops a little before."""
    accuracies = np.zeros((len(SIZES), mean.shape[1]))
    for k in range(len(SIZES)):
        for j in range(mean.shape[1]):
            machine = LinearSVC(C=0.01, class_weight="balanced", tol=1e-10, dual=False, max_iter=100_000)
            machine.fit(mean[:TRAIN, j : j + 1], factors[:TRAIN, k])
            accuracies[k, j] = np.mean(machine.predict(mean[TRAIN:, j : j + 1]) == factors[TRAIN:, k])
    return {"accuracies": accuracies.ravel().tolist(), "score": gaps(accuracies)}


def by_trees():
    """compute_dci; of equal splits scikit-learn draws one, so that its seeds differ."""
    importances, accuracies = [], []
    for seed in range(SEEDS):
        models = [
            GradientBoostingClassifier(random_state=seed).fit(mean[:TRAIN], v) for v in factors[:TRAIN].T
        ]
        importances.append([model.feature_importances_ for model in models])
        right = [np.mean(m.predict(mean[TRAIN:]) == v) for m, v in zip(models, factors[TRAIN:].T)]
        accuracies.append(right)
    scores = []
    for importance in np.array(importances):
        per_code = 1 - entropy(importance + 1e-11, base=len(SIZES))
        per_factor = 1 - entropy(importance.T + 1e-11, base=mean.shape[1])
        weights = importance / importance.sum()
        scores.append([np.sum(per_code * weights.sum(axis=0)), np.sum(per_factor * weights.sum(axis=1))])
    return {
        "importance": np.mean(importances, axis=0).ravel().tolist(),
        "importance_deviation": np.max(np.std(importances, axis=0)),
        "accuracies": np.mean(accuracies, axis=0).tolist(),
        "accuracy_deviation": np.max(np.std(accuracies, axis=0)),
        "disentanglement": np.mean(scores, axis=0)[0],
        "completeness": np.mean(scores, axis=0)[1],
        "score_deviation": np.max(np.std(scores, axis=0)),
    }


kl = (0.5 * (mean**2 + np.exp(2 * log_std) - 1) - log_std).mean(axis=0)
print(
    json.dumps(
        {
            "sizes": SIZES.tolist(),
            "train": TRAIN,
            "factors": factors.ravel().tolist(),
            "mean": mean.ravel().tolist(),
            "log_std": log_std.ravel().tolist(),
            "kl": kl.tolist(),
            "variances": mean.var(axis=0, ddof=1).tolist(),
            "histograms": by_histograms(),
            "posteriors": by_posteriors(),
            "sap": by_machines(),
            "trees": by_trees(),
        }
    )
)
