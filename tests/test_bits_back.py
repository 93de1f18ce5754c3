"""Lossless coding: the same pictures come back, in about as many bits as the model's bound says, or a line says why."""

import functools
import json
import sys
import zlib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from tiny_runs import conditional_vae, spatial_vae, vector_vae

import tfvae
from tfvae.applications.compression import bits_back, lossless
from tfvae.applications.compression.lossless import compress_images, decompress_images, facts, is_lossless

DIGITS = (load_digits().images * (255 / 16)).astype(np.uint8)[..., None]  # (1797, 8, 8, 1)
BINARY = np.where(DIGITS > 127, 255, 0).astype(np.uint8)


def hierarchical_vae(likelihood="bernoulli"):
    keras.utils.set_random_seed(1)
    return tfvae.HierarchicalVAE.from_shape(
        (8, 8, 1), 2, network="resnet", widths=(8,), hidden=16, likelihood=likelihood, groups=(2, 1), seed=0
    )


@pytest.fixture(scope="module")
def trained():
    """A VAE and a hierarchical one that have learnt something of the binary digits, and a VAE of the grey ones."""
    found = []
    for model, pictures in (
        (vector_vae(), BINARY),
        (hierarchical_vae(), BINARY),
        (vector_vae("logistic"), DIGITS),
    ):
        model.compile(keras.optimizers.Adam(3e-3))
        model.fit(pictures[:1000], batch_size=50, epochs=4, verbose=0)
        found.append((model, pictures[1000:1500]))
    return found


def the_untrained():
    return [
        (vector_vae(), BINARY),
        (hierarchical_vae(), BINARY),
        (hierarchical_vae("logistic"), DIGITS),
        (vector_vae("logistic"), DIGITS),
        (vector_vae("logistic_mixture"), DIGITS),
    ]


def test_pictures_and_names_come_back():
    for (model, pictures), count in zip(the_untrained(), (1, 9, 5, 23, 2), strict=True):
        names = [f"folder/{index}.png" for index in range(count)]
        data = compress_images(model, pictures[:count], names, batch_size=8)
        images, found = decompress_images(model, data)
        np.testing.assert_array_equal(images, pictures[:count])
        assert found == names and is_lossless(data) and facts(data)["count"] == count


def test_pictures_that_the_model_has_never_seen_come_back():
    """Noise, whose codes lie far out and whose levels have hardly any mass."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    for model, pictures in the_untrained():
        model.set_weights([8 * weight for weight in model.get_weights()])
        strange = noise if pictures is DIGITS else (noise & 128) // 128 * np.uint8(255)
        np.testing.assert_array_equal(decompress_images(model, compress_images(model, strange)).images, strange)


def test_a_spatial_latent_codes_any_one_size():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 13, 9, 3), dtype=np.uint8)
    model = spatial_vae(channels=3)
    np.testing.assert_array_equal(decompress_images(model, compress_images(model, images)).images, images)


def test_floats_of_whole_levels_are_those_levels():
    model, pictures = vector_vae("logistic"), DIGITS[:4]
    assert compress_images(model, pictures / np.float32(255)) == compress_images(model, pictures)


def test_the_rate_is_that_of_the_bound(trained):
    """Within 1 % of 500 pictures, and within five standard errors of the draws of the codes."""
    for model, pictures in trained:
        data = compress_images(model, pictures)
        coded = 32 * len(lossless._unpacked(data)[1]) - facts(data)["bits"]["start"]
        draws = [sum(map(keras.ops.convert_to_numpy, model.elbo_terms(pictures / np.float32(255)))) for _ in range(4)]
        bound = np.mean(draws, axis=0) / np.log(2)
        error = np.std(draws[0] - draws[1]) / np.sqrt(2) * np.sqrt(len(pictures)) / np.log(2)
        assert abs(coded - bound.sum()) < 0.01 * bound.sum() + 5 * error


def test_large_batches_start_with_no_more_random_bits(trained):
    model, pictures = trained[0]
    few, many = (facts(compress_images(model, pictures[:150], batch_size=size))["bits"] for size in (1, 100))
    assert few["start"] == many["start"] < 200
    assert abs(few["in all"] - many["in all"]) < 0.05 * few["in all"]


def test_a_code_that_finds_no_bits_is_lost_by_nobody():
    """On an empty stack codes are untypical, and still everything comes back."""
    model, images = vector_vae(), BINARY[:6].astype(np.int64) // 255
    grid = bits_back.Grid(np.array([3, 2, bits_back.UNUSED], np.int8))
    coder = bits_back.Coder(model, grid, bits_back.stream().stack.AnsCoder(), 6)
    coder.push(images)
    np.testing.assert_array_equal(coder.pop(images.shape), images)
    assert coder.stack.is_empty()


@pytest.mark.parametrize("name", ["bernoulli", "logistic", "logistic_mixture"])
def test_cumulative_sums_the_masses_of_the_levels(name):
    likelihood = tfvae.likelihoods.get(name)
    levels = 2 if likelihood.binary else 256
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(1, 1, 3, likelihood.parameters_per_channel)).astype(np.float32)
    below = likelihood.cumulative(parameters)
    edges = [below(np.full((1, 1, 3, 1), k)) for k in range(levels + 1)]
    assert (edges[0] == 0).all()
    np.testing.assert_allclose(edges[-1], 1, rtol=1e-6)
    for place in range(3):
        one = np.repeat(parameters[:, :, place : place + 1], levels, axis=0)
        values = (np.arange(levels) / (levels - 1)).reshape(-1, 1, 1, 1)
        mass = np.exp(keras.ops.convert_to_numpy(likelihood.log_prob(values, one)))
        found = np.diff([edge[0, 0, place, 0] for edge in edges])
        np.testing.assert_allclose(found, mass, rtol=1e-4, atol=1e-7)


def test_chosen_means_are_the_codes_and_chosen_draws_the_draws():
    for model in (vector_vae(), hierarchical_vae()):
        x = BINARY[:3] / np.float32(255)
        np.testing.assert_array_equal(model.chosen_code(x, lambda mean, log_var: mean), model.codes(x))
    noise = np.random.default_rng(0).standard_normal((3, *model.latent_shape), dtype=np.float32)
    parts = iter(model.decoder.split(noise))
    drawn = model.chosen_code(x, lambda mean, log_var: mean + keras.ops.exp(0.5 * log_var) * next(parts))
    np.testing.assert_array_equal(drawn, model.draw(x, noise))


@functools.cache
def written():
    """A model, a file of it, and the head and the words in it."""
    model = vector_vae()
    file = compress_images(model, BINARY[:3], ["a", "b", "c"])
    return model, file, *lossless._unpacked(file)


def refused(data):
    with pytest.raises(ValueError, match=r"^`data` |^`model` is not the one") as caught:
        decompress_images(written()[0], data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_file_is_told_in_a_line(data):
    file = written()[1]
    place = data.draw(st.integers(0, len(file) - 1))
    how = data.draw(st.sampled_from(["altered", "cut", "longer", "doubled"]))
    if how == "altered":
        changed = bytearray(file)
        changed[place] ^= data.draw(st.integers(1, 255))
        refused(bytes(changed))
    elif how == "cut":
        refused(file[:place])
    elif how == "longer":
        refused(file + data.draw(st.binary(min_size=1, max_size=9)))
    else:
        refused(file + file[place:])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_foreign_bytes_are_told_in_a_line(data, magic):
    refused((lossless.MAGIC if magic else b"") + data)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**40), st.text(max_size=3), st.lists(st.integers(-1, 2**20), max_size=5)
)
KEYS = ("shape", "model", "pictures", "versions", "batch", "groups", "grid", "start", "names")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KEYS), VALUES, st.booleans())
def test_a_head_that_was_made_up_gives_no_wrong_picture(key, value, first):
    model, _, head, words = written()
    former = head[key]
    data = lossless._packed({**head, key: [value, *former[1:]] if first and isinstance(former, list) else value}, words)
    try:
        found = decompress_images(model, data)
    except ValueError:
        refused(data)
    else:
        np.testing.assert_array_equal(found.images, BINARY[:3])


def test_a_stack_that_was_made_up_gives_no_wrong_picture():
    _, _, head, words = written()
    for place in range(len(words)):
        changed = words.copy()
        changed[place] ^= 1 << 7
        refused(lossless._packed(head, changed))


def test_a_bomb_is_refused_before_it_goes_off():
    _, _, head, words = written()
    bomb = zlib.compress(json.dumps({**head, "names": ["a" * 2**27]}).encode(), 9)
    body = len(bomb).to_bytes(4, "little") + bomb
    refused(lossless.MAGIC + bytes([lossless.FORMAT]) + lossless._digest(body) + body)
    many = 10**9
    refused(lossless._packed({**head, "shape": [many, 8, 8, 1], "groups": [many], "batch": many, "names": None}, words))
    few = {"shape": [10**6, 8, 8, 1], "groups": [100] * 10**4, "batch": 100, "names": None}
    refused(lossless._packed({**head, **few}, words))


def test_another_model_reads_nothing(monkeypatch):
    _, file, head, _ = written()
    other = vector_vae()
    other.set_weights([weight + 1e-3 for weight in other.get_weights()])
    with pytest.raises(ValueError, match="`model` is not the one"):
        decompress_images(other, file)
    # The same weights on a machine that rounds otherwise.
    monkeypatch.setattr(lossless, "_digest_of_model", lambda model: head["model"])
    with pytest.raises(ValueError, match="compute other numbers here") as caught:
        decompress_images(other, file)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_coded_is_refused():
    binary, grey = BINARY[:2], DIGITS[:2]
    for model, images, why in (
        (vector_vae("gaussian"), grey, "discrete likelihood"),
        (conditional_vae(), binary, "no labels"),
        (vector_vae(), grey, "0 and 1"),
        (vector_vae("logistic"), grey / np.float32(254), "multiples of 1/255"),
        (vector_vae(), binary[:0], "at least one"),
        (vector_vae(), [binary[0], binary[0][:4]], "one size"),
        (vector_vae(), binary[:, :4], "shape"),
    ):
        with pytest.raises(ValueError, match=why):
            compress_images(model, images)
    learnt = vector_vae()
    learnt.prior = learnt.built_prior("gmm")
    with pytest.raises(ValueError, match="standard normal"):
        compress_images(learnt, binary)
    with pytest.raises(ValueError, match="one an image"):
        compress_images(vector_vae(), binary, ["a"])


def test_without_constriction_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ValueError, match=r"pip install 'tfvae\[codec\]'"):
        compress_images(vector_vae(), BINARY[:2])
