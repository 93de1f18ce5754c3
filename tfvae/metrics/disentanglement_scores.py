"""Further scores of disentanglement: SAP, the FactorVAE score, and UDR, which needs several models and no factors."""

from collections.abc import Sequence

import numpy as np

from tfvae.metrics.disentanglement import HELD_OUT, checked

CLASSIFIER = "sklearn.svm.LinearSVC(C=0.01, class_weight='balanced')"  # of SAP, as in Locatello et al.
ROWS, VOTES = 64, 800  # of the FactorVAE score: images under a vote, votes of each half; as in Kim and Mnih
DEAD = 0.05  # standard deviation below which a unit has no vote; Locatello et al.


def sap(codes: np.ndarray, factors: np.ndarray, seed: int = 0) -> float:
    """Separated attribute predictability: how much better a unit alone tells a factor than the next one.

    `mean over factors v of S[a, v] - S[b, v]`, where S[u, v] is the accuracy on held-out images with which a linear
    classifier tells v from unit u, and a and b are the units with the most and the second most.

    Args:
        codes: Posterior means, shape `(n, units)`.
        factors: Value number of each factor, int `(n, factors)`; factors of one value only are left aside.
        seed: Of the third of the images that is held out, and of the classifiers.

    Raises:
        ValueError: When codes and factors disagree in number, no factor varies, or there are fewer than 3 images.

    Reference:
        Kumar, Sattigeri and Balakrishnan (2018), section 3, https://arxiv.org/abs/1711.00848; Locatello et al. (2019),
        appendix C, https://arxiv.org/abs/1811.12359, whose classifier this is
    """
    from sklearn.svm import LinearSVC

    codes, factors = checked(codes, factors)
    if len(codes) < 3:
        raise ValueError(f"`codes` must be of at least 3 images. Received: {len(codes)}")
    order = np.random.default_rng((seed, 18)).permutation(len(codes))
    held_out, rest = np.split(order, [max(1, round(HELD_OUT * len(codes)))])

    def accuracy(unit: np.ndarray, factor: np.ndarray) -> float:
        if len(np.unique(factor[rest])) == 1:  # in so few images one value is all that is seen
            return float(np.mean(factor[held_out] == factor[rest][0]))
        machine = LinearSVC(C=0.01, class_weight="balanced", random_state=seed).fit(unit[rest, None], factor[rest])
        return float(machine.score(unit[held_out, None], factor[held_out]))

    scores = np.array([[accuracy(unit, factor) for factor in factors.T] for unit in codes.T])
    ranked = np.sort(np.vstack([scores, np.zeros(factors.shape[1])]), axis=0)  # a code of one unit has no second one
    return float(np.mean(ranked[-1] - ranked[-2]))


def factor_vae_score(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0, votes: int = VOTES, rows: int = ROWS
) -> float:
    """The FactorVAE score: how surely the unit that varies least tells which factor was held fixed.

    Each vote holds a random factor at a random value, draws `rows` images with it, and names the unit whose variance,
    in units of that over all images, is least. Half of the votes say which factor each unit stands for, by majority;
    the score is the share of the others that agree. `1 / factors` is chance.

    Args:
        codes: Posterior means, shape `(n, units)`; those of a standard deviation below 0.05 have no vote.
        factors: Value number of each factor, int `(n, factors)`; factors of one value only are left aside.
        seed: Of the votes.
        votes: Of each half.
        rows: Images under each vote, drawn with replacement.

    Returns:
        0 to 1; 0 where all units are dead.

    Raises:
        ValueError: When codes and factors disagree in number, or no factor varies.

    Reference:
        Kim and Mnih (2018), section 4, https://arxiv.org/abs/1802.05983; Locatello et al. (2019), appendix C
    """
    codes, factors = checked(codes, factors)
    spread = codes.std(axis=0)
    alive = codes[:, spread >= DEAD] / spread[spread >= DEAD]
    if not alive.shape[1]:
        return 0.0
    rng = np.random.default_rng((seed, 19))
    counts = np.zeros((2, alive.shape[1], factors.shape[1]), int)
    for half in range(2):
        for factor in rng.integers(factors.shape[1], size=votes):
            column = factors[:, factor]
            members = np.flatnonzero(column == rng.choice(column))
            chosen = alive[rng.choice(members, rows)]
            counts[half, chosen.var(axis=0).argmin(), factor] += 1
    named = counts[0].argmax(axis=1)
    return float(counts[1, np.arange(len(named)), named].sum() / votes)


def udr(codes: Sequence[np.ndarray], informative: Sequence[np.ndarray]) -> np.ndarray:
    """Unsupervised disentanglement ranking: how far models of other seeds found the same units, for each model.

    Of two models, with `R` the absolute rank correlations of the units a of one with the units b of the other,

        (sum_b informative_b max_a R[a, b]**2 / sum_a R[a, b] + the same with a and b exchanged) / (A + B)

    where A and B count the informative units; of a model the median over all others.

    Args:
        codes: Posterior means of the same images under each model, `(n, units)`.
        informative: Of each model, bool `(units,)`: the units with a rate worth counting (0.01 nats in the paper).

    Returns:
        One score a model, 0 to 1, higher is better.

    Raises:
        ValueError: If there are fewer than two models, or they saw other numbers of images.

    Reference:
        Duan et al. (2020), section 5, https://arxiv.org/abs/1905.12614
    """
    from scipy.stats import rankdata

    if len(codes) < 2 or len({len(each) for each in codes}) > 1:
        raise ValueError(
            "`codes` must be of two models or more, of the same images. "
            f"Received: {', '.join(str(np.shape(each)) for each in codes) or 'none'}"
        )
    ranks = [_standardised(rankdata(each, axis=0)) for each in codes]
    scores = np.full((len(codes),) * 2, np.nan)
    for i in range(len(codes)):
        for j in range(i):
            scores[i, j] = scores[j, i] = _alike(ranks[i], ranks[j], informative[i], informative[j])
    return np.nanmedian(scores, axis=1)


def _alike(first: np.ndarray, second: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    correlation = np.abs(first.T @ second) / len(first)

    def one_to_one(matrix: np.ndarray, counted: np.ndarray) -> float:
        sums = matrix.sum(axis=0)
        return float((matrix.max(axis=0) ** 2 / np.where(sums > 0, sums, 1.0))[counted].sum())

    units = int(np.sum(own)) + int(np.sum(others))
    own, others = np.asarray(own, bool), np.asarray(others, bool)
    return (one_to_one(correlation, others) + one_to_one(correlation.T, own)) / units if units else 0.0


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1; of one value, zeros."""
    centred, spread = values - values.mean(axis=0), values.std(axis=0)
    return centred / np.where(spread > 0, spread, 1.0)
