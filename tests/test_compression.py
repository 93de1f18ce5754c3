"""Files of a codec: what comes back, tiles, regions, sizes, and files that were changed."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tfvae
from tfvae.applications.compression import ans, container
from tfvae.applications.compression.compress import Encoder, decompress
from tfvae.applications.compression.streams import MADE, digest, streams
from tfvae.applications.compression.symbols import codes_of, latents_of, picture_of, predicted, rounded
from tfvae.applications.compression.varints import Reader, varint
from tfvae.decoding import UnreadableError
from tfvae.errors import UserError
from tfvae.integer_tables import COUNT, SCALES, TOTAL, normal_frequencies, normal_half_widths
from tfvae.networks.hyperprior import TRADE, WEIGHED, rate_distortion_round, smallest_kept

RNG = np.random.default_rng(8)


def codec(channels=3, seed=2):
    keras.utils.set_random_seed(seed)
    model = tfvae.Codec(channels, (6, 8), 5, hyper_dim=4, hyper_width=8, seed=0)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign_add(0.05 * rng.standard_normal(weight.shape).astype("float32"))
    return model


@pytest.fixture(scope="module")
def models():
    return {1: codec(1), 3: codec(3)}


def picture(height, width, channels=3):
    """A smooth one with some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(0.05 * (1 + c) * y + 0.03 * x) for c in range(channels)], axis=-1)
    return np.clip(127 + 90 * waves + RNG.normal(0, 8, waves.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("coder", list(MADE))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 1), (33, 9, 1), (70, 61, 3)])
def test_a_file_opens_as_what_the_model_rebuilds(models, shape, channels, coder):
    model, image = models[channels], picture(*shape)
    for quality in (0, 61.7, 100):
        found = decompress(model, Encoder(model, image, coder=coder).at(quality).content)
        assert found.pixels.dtype == np.uint8 and found.header.quality == quality and found.header.coder == coder
        if shape[2] == channels:
            views, joined = image[None], lambda parts: parts[0]
        elif channels == 1:
            views, joined = image.transpose(2, 0, 1)[..., None], lambda parts: np.concatenate([*parts], axis=-1)
        else:
            views, joined = np.repeat(image, 3, axis=-1)[None], lambda parts: parts[0].mean(-1, keepdims=True)
        rebuilt = 255 * joined(np.asarray(model.reconstruct(views, quality=quality)["image"]))
        assert np.abs(found.pixels - rebuilt).max() <= 1.01


@pytest.mark.parametrize("index", [0, 10, 20, 30, 63])
def test_a_symbol_costs_no_more_than_the_next_smaller_one(index):
    half_width = int(normal_half_widths()[index])
    most = min(half_width, WEIGHED)
    distance = RNG.uniform(-most - 0.4, most + 0.4, 2000).astype(np.float32)
    found = np.asarray(rate_distortion_round(distance, np.full_like(distance, index)))
    nats = -np.log(normal_frequencies(SCALES[index], half_width) / TOTAL)
    nearest = np.rint(distance)
    smaller = np.sign(distance) * np.maximum(np.abs(nearest) - 1, 0)
    costs = [
        TRADE * (distance - symbol) ** 2 + nats[(symbol + half_width).astype(int)] for symbol in (nearest, smaller)
    ]
    np.testing.assert_array_equal(found, np.where(costs[1] < costs[0], smaller, nearest))
    # Narrow normals pull to their mean, wide ones are flat within a step.
    assert np.mean(found != nearest) > 0.02 if index < 30 else np.mean(found != nearest) < 0.02
    # What is no number stays none, what is beyond all tables is rounded.
    strange = np.float32([np.nan, np.inf, -1e6 - 0.4])
    np.testing.assert_array_equal(rate_distortion_round(strange, np.full(3, index)), [np.nan, np.inf, -1e6])


def test_the_choice_of_symbols_is_made_of_tflite_s_builtins():
    given = RNG.normal(0, 2, (1, 50)).astype(np.float32), RNG.integers(0, 64, (1, 50)).astype(np.float32)
    choose = tf.function(rate_distortion_round, [tf.TensorSpec((1, 50), tf.float32)] * 2)
    content = tf.lite.TFLiteConverter.from_concrete_functions([choose.get_concrete_function()]).convert()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for place, value in zip(interpreter.get_input_details(), given, strict=True):
        interpreter.set_tensor(place["index"], value)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(found, rate_distortion_round(*given))


def test_a_file_of_optimised_symbols_takes_fewer_bits(models, monkeypatch):
    model, image = models[3], picture(96, 96)
    latents = latents_of(model, image)
    hyper, symbols, prediction = rounded(model, latents, 60)
    bits = streams(model, "ans").information(hyper, symbols, prediction.index)
    flat = np.full_like(smallest_kept(), -1.0)
    monkeypatch.setattr("tfvae.networks.hyperprior.smallest_kept", lambda: flat)
    _, nearest, _ = rounded(model, latents, 60)
    assert bits < streams(model, "ans").information(hyper, nearest, prediction.index)
    assert np.any(symbols != nearest) and np.all(np.abs(symbols) <= np.abs(nearest))


def test_the_highest_quality_is_the_nearest_and_takes_the_most(models):
    # An untrained model knows no picture, but it knows steps of rounding.
    model, image = models[3], picture(64, 64)
    sizes = [len(Encoder(model, image).at(quality).content) for quality in (0, 50, 100)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("side", [40, 72, 96])
def test_tiles_equal_the_whole(models, side, monkeypatch):
    model, image = models[3], picture(250, 201)
    whole, tiled = latents_of(model, image), latents_of(model, image, tile=side)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_allclose(whole, model.encoder(image[None] / np.float32(255))[0], atol=1e-5)
    hyper, symbols, prediction = rounded(model, whole, 70)
    latents = model.gains(whole[None], np.float32([[70]]))
    assert np.mean(hyper == np.rint(model.hyper_encoder(latents)[0])) > 0.99
    monkeypatch.setattr("tfvae.applications.compression.symbols.PART", 20)
    for one, other in zip((hyper, symbols), rounded(model, whole, 70), strict=False):
        assert np.abs(one - other).max() <= 1 and np.mean(one == other) > 0.99  # sums in another order
    codes = codes_of(symbols, prediction)
    np.testing.assert_array_equal(prediction.mean, predicted(model, hyper, 70, whole.shape[:2]).mean)
    one, other = (picture_of(model, codes, 70, (250, 201), tile=tile).astype(int) for tile in (None, side))
    assert np.abs(one - other).max() <= 1 and np.mean(one == other) > 0.99


def test_a_decoder_of_one_size_paints_a_smaller_picture_as_that_is_by_itself(models):
    model, quality = models[3], np.float32([[70]])
    codes = model.gains(model.encoder(picture(24, 30)[None] / np.float32(255)), quality).numpy().round()
    alone = model.picture(codes, quality)
    larger, inside = (np.pad(each, ((0, 0), (0, 4), (0, 2), (0, 0))) for each in (codes, np.ones_like(codes[..., :1])))
    told, untold = (model.picture(larger, quality, each)[:, :24, :32] for each in (inside, None))
    np.testing.assert_allclose(told, alone, rtol=0, atol=1e-5)
    assert np.abs(untold - alone).max() > 1e-3


def test_a_region_is_that_part_of_the_whole_and_reads_its_own_tiles_only(models, monkeypatch):
    monkeypatch.setattr(container, "TILE", 8)
    model, image = models[3], picture(130, 150)  # 17 × 19 places of 8 pixels: 3 × 3 tiles
    content = Encoder(model, image).at(50).content
    whole = decompress(model, content).pixels
    read, reader = [], streams(model, "ans")
    own = reader.read_latents
    monkeypatch.setattr(reader, "read_latents", lambda stream, index: read.append(len(stream)) or own(stream, index))
    for region, tiles in (((slice(0, 1), slice(0, 1)), 1), ((slice(85, 110), slice(80, 111)), 1), (None, 9)):
        read.clear()
        found = decompress(model, content, region).pixels.astype(int)
        expected = whole if region is None else whole[region]
        assert found.shape == expected.shape and np.abs(found - expected).max() <= 1 and len(read) == tiles
    with pytest.raises(ValueError, match="`region`"):
        decompress(model, content, (slice(0, 131), slice(0, 1)))


def test_a_file_is_hardly_longer_than_its_information(models):
    encoder = Encoder(models[3], picture(200, 240))
    information, length = encoder.information(80), 8 * len(encoder.at(80).content)
    assert information <= length <= 1.01 * information + 8 * 48  # a header, and two words that end a stream


def test_symbols_beyond_the_tables_are_escaped_and_come_back(models):
    model = models[3]
    symbols = RNG.integers(-3, 4, (6, 5, 5)).astype(np.int32)
    symbols[0, 0] = [5000, -5000, 2**20, -(2**20), 1400]
    index = RNG.integers(0, COUNT, symbols.shape).astype(np.uint8)
    hyper = np.array([[[64, -64, 65, -65], [2**15 - 1, 1 - 2**15, 0, 1]]], np.int32)
    for coder in MADE:
        found = streams(model, coder)
        np.testing.assert_array_equal(found.read_latents(found.latents(symbols, index), index), symbols)
        np.testing.assert_array_equal(found.read_hyper(found.hyper(hyper), (1, 2)), hyper)


@pytest.mark.parametrize("most", [700, 1500, 3000])
def test_the_best_quality_within_a_size_is_found(models, most):
    encoder = Encoder(models[3], picture(64, 80))
    found = encoder.within(most)
    assert len(found.content) <= most
    assert found.quality == 100 or len(encoder.at(found.quality + 0.1).content) > most
    with pytest.raises(ValueError, match="`most` must be"):
        encoder.within(10)


def test_alpha_and_blocks_come_back_to_the_byte(models):
    alpha = RNG.integers(0, 256, (19, 23), np.uint8)
    kept = {"exif": b"Exif\0\0".ljust(300, b"x"), "icc": bytes(range(256)), "xmp": b"", "dpi": b"[72, 72]"}
    content = Encoder(models[3], picture(19, 23), alpha, kept).at(30).content
    found = decompress(models[3], content)
    np.testing.assert_array_equal(found.alpha, alpha)
    assert {name: found.header.kept.get(name, b"") for name in kept} == kept
    np.testing.assert_array_equal(decompress(models[3], content, (slice(3, 9), slice(2, 23))).alpha, alpha[3:9, 2:23])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), "`image`"),
        (np.zeros((4, 4, 2), np.uint8), "`image`"),
        (np.zeros((0, 4, 3), np.uint8), "`image`"),
        (np.zeros((4, 4, 3), np.uint16), "`image`"),
    ],
)
def test_what_is_no_picture_of_eight_bits_is_refused(models, image, message):
    with pytest.raises(ValueError, match=message):
        Encoder(models[3], image)


def test_settings_that_mean_nothing_are_refused(models):
    image = picture(8, 8)
    with pytest.raises(ValueError, match="`quality` must be from 0 to 100"):
        models[3].compress(image, 100.1)
    with pytest.raises(ValueError, match="`coder` must be one of ans, huffman"):
        models[3].compress(image, 50, "zip")


def test_without_the_package_one_line_says_so_and_huffman_goes_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "constriction", None)
    model = codec(3, seed=5)
    with pytest.raises(UserError, match=r"pip install 'tfvae\[codec\]'"):
        model.compress(picture(8, 8))
    assert model.decompress(model.compress(picture(8, 8), 50, "huffman")).shape == (8, 8, 3)
    with pytest.raises(UserError):
        ans.library()


# Files that are none, or were changed.


@pytest.fixture(scope="module")
def file(models):
    alpha = RNG.integers(0, 256, (40, 33), np.uint8)
    return Encoder(models[3], picture(40, 33), alpha, {"exif": b"abc"}).at(50).content


def refused(model, content):
    """Whether a file is refused with one line; anything but a refusal or the right picture fails the test."""
    try:
        decompress(model, content)
    except UnreadableError as error:
        assert str(error) and "\n" not in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: b"", "not a compressed picture"),
        (lambda c: b"\x89PNG" + c[4:], "not a compressed picture"),
        (lambda c: c[:3] + b"2" + c[4:], "version"),
        (lambda c: c[:-1], "checksum"),
        (lambda c: c + b"\0", "checksum"),
        (lambda c: c[:20] + bytes([c[20] ^ 1]) + c[21:], "checksum"),
        (lambda c: c[:7], "checksum"),
    ],
)
def test_a_changed_file_is_refused_with_the_reason(models, file, change, message):
    with pytest.raises(UnreadableError, match=message):
        decompress(models[3], change(file))


def of_other_alpha(model, content):
    """A file with transparency whose alpha goes on behind its end, ends too early, or is of a pixel more or fewer."""
    header, found = container.unpack(content, content[4:8], model.factor, model.channels)
    packed, size = header.kept["alpha"], header.height * header.width
    alpha = container.unpacked_alpha(packed, size)
    others = [packed + b"\0", packed + packed, packed[:-1]]
    others += [container.packed_alpha(other) for other in (alpha + b"\0", alpha[:-1])]
    return [container.pack(replace(header, kept={**header.kept, "alpha": other}), found) for other in others]


def test_a_file_whose_alpha_is_not_its_own_is_refused(models, file):
    for content in of_other_alpha(models[3], file):
        assert refused(models[3], content)


def test_a_file_of_another_model_is_refused_by_both_their_digests(models, file):
    other = codec(3, seed=9)
    with pytest.raises(UnreadableError, match=f"{digest(models[3]).hex()}.*{digest(other).hex()}"):
        decompress(other, file)


def forged(content):
    """`content` with the checksum that it would have, as somebody writes it who means harm."""
    head = content[:8]
    return head + container._checksum(head + content[12:]) + content[12:]


CHANGES = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(("flip", "set", "cut", "insert", "drop")), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def changed(content, changes):
    content = bytearray(content)
    for place, how, value in changes:
        place %= len(content) or 1
        if how == "flip" and content:
            content[place] ^= 1 << value % 8
        elif how == "set" and content:
            content[place] = value
        elif how == "cut":
            del content[place:]
        elif how == "insert":
            content[place:place] = bytes([value]) * (1 + value % 9)
        else:
            del content[place : place + 1 + value % 9]
    return bytes(content)


def check_changed(models, file, changes):
    content = changed(file, changes)
    assert refused(models[3], content) or content == file
    # With the right checksum it may be a picture, of the size that it says, but neither crashes nor hangs.
    content = forged(content)
    if content[:8] == file[:8] and len(content) > 20:
        try:
            header = container.read_header(content)
        except UnreadableError:
            return
        if header.height * header.width <= 200_000:
            refused(models[3], content)


OFTEN = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=200, derandomize=True, **OFTEN)
@given(changes=CHANGES)
def test_no_change_crashes_or_shows_a_wrong_picture(models, file, changes):
    check_changed(models, file, changes)


@pytest.mark.slow
@settings(max_examples=5000, **OFTEN)
@given(changes=CHANGES)
def test_none_of_5000_changes_crashes_or_shows_a_wrong_picture(models, file, changes):
    check_changed(models, file, changes)


def test_a_file_that_claims_more_than_it_has_is_refused_before_anything_is_allocated(models, file):
    own = file[12:]
    for claimed in (
        varint(container.MOST_SIDE) + varint(container.MOST_SIDE),  # more pixels than are read
        varint(15_000) + varint(15_000),  # more tiles than there are bytes
        varint(0) + varint(5),
        varint(2**40) + varint(1),
    ):
        with pytest.raises(UnreadableError):
            decompress(models[3], forged(file[:12] + own[:1] + claimed + own[3:]))


@given(value=st.integers(0, 2**63))
def test_whole_numbers_come_back_and_are_bounded(value):
    assert Reader(varint(value)).varint(2**63) == value
    with pytest.raises(UnreadableError):
        Reader(varint(value)).varint(value - 1)
    with pytest.raises(UnreadableError):
        Reader(varint(value)[:-1]).varint(2**63)
