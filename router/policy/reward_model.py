"""What an arm would earn in a context, by ridge regression on a log.

Responsible for: one linear model for each arm, fitted to all rows, or to those of other folds (cross-fitting).
Does not know: policies, propensities.

Rules: pure. Rows of one cluster are in one fold, so that no prediction has seen its own cluster. An arm without rows to
learn from is predicted to earn the mean of all. The penalty leaves the first feature, the constant, alone, so a model
without other features is the arm's mean. Predictions of cross-fitted models stay within the rewards that there were: a
line that leaves them is wrong, and doubly robust estimates may use any model that has not seen the row.
"""

from dataclasses import dataclass

import numpy as np

from router.policy.log import Floats, Ints, Log

FOLDS = 5
RIDGE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Models of all arms, fitted to all rows.

    Attributes:
        coefficients: Shape (arms, d).
        inverse: Inverse of each arm's penalised matrix XᵀX + λI; shape (arms, d, d).
        unseen: Arms that no row was of.
    """

    coefficients: Floats
    inverse: Floats
    unseen: tuple[str, ...]


def fit(log: Log) -> Fitted:
    """Fit each arm to all its rows."""
    k, d = len(log.arms), log.context.shape[1]
    coefficients, inverse = np.zeros((k, d)), np.zeros((k, d, d))
    unseen = []
    for place, name in enumerate(log.arms):
        rows = log.arm == place
        if not rows.any():
            unseen.append(name)
            coefficients[place, 0] = log.reward.mean()
            continue
        x = log.context[rows]
        inverse[place] = np.linalg.pinv(x.T @ x + _penalty(d), hermitian=True)
        coefficients[place] = inverse[place] @ (x.T @ log.reward[rows])
    return Fitted(coefficients, inverse, tuple(unseen))


def cross_fit(log: Log) -> Floats:
    """Return what each arm would earn for each row, by models of the other folds; shape (n, arms)."""
    k, d = len(log.arms), log.context.shape[1]
    fold = folds(log.cluster)
    predicted = np.empty((log.n, k))
    low, high = float(log.reward.min()), float(log.reward.max())
    for place in range(k):
        rows = log.arm == place
        matrices, sums = np.zeros((FOLDS, d, d)), np.zeros((FOLDS, d))
        for number in range(FOLDS):
            chosen = rows & (fold == number)
            x = log.context[chosen]
            matrices[number], sums[number] = x.T @ x, x.T @ log.reward[chosen]
        whole, total = matrices.sum(axis=0), sums.sum(axis=0)
        for number in range(FOLDS):
            there, matrix = fold == number, whole - matrices[number]
            if not matrix[0, 0]:
                predicted[there, place] = _mean_elsewhere(log, there)
                continue
            coefficients = np.linalg.pinv(matrix + _penalty(d), hermitian=True) @ (total - sums[number])
            predicted[there, place] = np.clip(log.context[there] @ coefficients, low, high)
    return predicted


def folds(cluster: Ints) -> Ints:
    """Return the fold of each row: clusters in turn."""
    _, number = np.unique(cluster, return_inverse=True)
    return np.asarray(number, dtype=np.int64).reshape(-1) % FOLDS


def _penalty(d: int) -> Floats:
    penalty = np.eye(d) * RIDGE
    penalty[0, 0] = 0.0
    return penalty


def _mean_elsewhere(log: Log, there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    elsewhere = log.reward[~there]
    return float(elsewhere.mean()) if len(elsewhere) else 0.0
