"""Intervals that hold what they promise, and reports that are compared only when they were measured alike."""

import numpy as np
import pytest

from tfvae.errors import UserError
from tfvae.evaluation import comparison, disentanglement, read_evaluation, unlike, write_evaluation
from tfvae.evaluation.measurements import Measurement, bootstrap_measurement, difference_figure, mean_measurement
from tfvae.evaluation.measures import Evaluation

SHARED = {"source": "here", "split": "test", "images": 9, "sha256": "0" * 64, "seed": 0, "versions": {"numpy": "2"}}


def share_that_hold(make, truth, trials=400):
    rng = np.random.default_rng(0)
    intervals = [make(rng).interval for _ in range(trials)]
    return np.mean([low <= truth <= high for low, high in intervals])


# The share of 400 intervals that hold the truth varies by sqrt(0.95 * 0.05 / 400) = 0.011; four of them around 0.95.
def test_intervals_of_means_and_of_differences_hold_the_truth_in_95_of_100_cases_also_for_few_images():
    assert share_that_hold(lambda rng: mean_measurement(rng.normal(3, 2, 5)), 3) == pytest.approx(0.95, abs=0.044)
    unequal = share_that_hold(lambda rng: difference_figure(rng.normal(3, 2, 6), rng.normal(1, 9, 15)), 2)
    assert unequal == pytest.approx(0.95, abs=0.044)


def test_the_bootstrap_holds_the_truth_nearly_as_often_and_repeats_itself():
    def median(rng):
        values = rng.normal(5, 1, 200)
        return bootstrap_measurement(lambda chosen: float(np.median(values[chosen])), 200, seed=0)

    # The bootstrap of a median is known to fall a little short of its nominal share.
    assert share_that_hold(median, 5, trials=200) > 0.88
    assert median(np.random.default_rng(1)) == median(np.random.default_rng(1))


def test_a_statistic_that_every_resample_inflates_keeps_its_value_within_the_interval():
    x = np.random.default_rng(0).normal(size=(50, 30))

    def squared_distance_of_the_mean(chosen):  # from the truth, 0; each resample adds as much again
        return float(np.square(x[chosen].mean(axis=0)).sum())

    figure = bootstrap_measurement(squared_distance_of_the_mean, 50, seed=0)
    assert figure.interval[0] < figure.value <= figure.interval[1]
    assert figure.interval[0] < 0.3 * figure.value, "the bias of the resamples is not turned around"
    cut = bootstrap_measurement(squared_distance_of_the_mean, 50, seed=0, lowest=0.2 * figure.value)
    assert cut.interval == (max(figure.interval[0], 0.2 * figure.value), figure.interval[1])


def test_one_image_has_no_interval_and_none_no_mean():
    assert mean_measurement(np.array([2.0])) == Measurement(2.0)
    assert bootstrap_measurement(lambda chosen: 1.0, 1, seed=0).interval is None
    with pytest.raises(ValueError, match="at least one"):
        mean_measurement(np.array([]))


def write(path, elbo, interval=(-1.0, 1.0), k=5, **changed):
    figures = {"elbo": Measurement(elbo, "nats", interval), "nll": Measurement(-elbo, "nats", None, {"k": k})}
    write_evaluation(path, Evaluation(SHARED | changed, figures, {}), run="a run")
    return read_evaluation(path)


def test_a_written_evaluation_reads_back_with_everything_in_it(tmp_path):
    record = write(tmp_path / "deep" / "a.json", 0.5)
    assert record["run"] == "a run" and record["protocol"] == SHARED
    assert record["figures"]["elbo"]["interval"] == [-1.0, 1.0]
    assert record["figures"]["nll"]["protocol"] == {"k": 5}


@pytest.mark.parametrize(
    "changed", [{"split": "train"}, {"sha256": "1" * 64}, {"seed": 1}, {"images": 8}, {"binarised": True}, {"k": 6}]
)
def test_data_split_hash_seed_binarisation_and_k_must_agree(tmp_path, changed):
    a, b = write(tmp_path / "a.json", 0.0), write(tmp_path / "b.json", 0.0, **changed)
    field = next(iter(changed))
    assert [name.split(": ")[-1] for name, _, _ in unlike(a, b)] == [field]
    with pytest.raises(UserError, match=f"unlike protocols: .*{field}"):
        comparison([a, b], ["a", "b"])


def test_place_batch_and_versions_may_differ_and_other_figures_do_not_matter(tmp_path):
    a = write(tmp_path / "a.json", 0.0)
    b = write(tmp_path / "b.json", 0.0, k=7, source="there", versions={"numpy": "3"}, batch_size=3)
    assert unlike(a, b, ["elbo"]) == []
    assert len(comparison([a, b], ["a", "b"], ["elbo"])) == 2


def test_rows_tell_differences_and_whether_intervals_overlap(tmp_path):
    a = write(tmp_path / "a.json", 0.0)
    b = write(tmp_path / "b.json", 1.5, interval=(0.5, 2.5))
    c = write(tmp_path / "c.json", 4.0, interval=(3.0, 5.0))
    heading, elbo, nll = comparison([a, b, c], ["a", "b", "c"])
    assert heading == ["figure", "a", "b", "difference", "95 % intervals", "c", "difference", "95 % intervals"]
    assert elbo[3:5] == ["+1.5000", "overlap"] and elbo[6:8] == ["+4.0000", "apart"]
    assert nll[3:5] == ["-1.5000", ""]
    del b["figures"]["nll"]
    assert comparison([a, b], ["a", "b"])[2][2:] == ["—", "", ""]


def test_a_resample_of_which_a_statistic_is_undefined_does_not_count():
    factors = np.array([[0], [0], [1]])
    codes = np.array([[0.0], [0.1], [1.0]])
    figure = bootstrap_measurement(lambda rows: disentanglement._mig(codes[rows], factors[rows]), 3, seed=0)
    assert np.isfinite(figure.value) and np.isfinite(figure.interval).all()
