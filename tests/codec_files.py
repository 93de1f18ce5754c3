"""Tiny codecs as an export works on them, their files, and what Python reads in these."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from test_compression import changed, codec, forged, picture
from tiny_runs import write_run

import tfvae
from export import parity
from export.artefacts import Artefact, Export
from export.formats import tflite, tfv_tables
from export.kits.explorer import compressed
from tfvae import data
from tfvae.applications.compression import container
from tfvae.applications.compression.compress import Encoder
from tfvae.applications.compression.streams import streams
from tfvae.applications.compression.symbols import Prediction, codes_of, predicted
from tfvae.decoding import UnreadableError
from tfvae.networks.hyperprior import FACTOR
from tfvae.runs import open_run
from tfvae.serving import write_saved_model

SIZE = (64, 48)  # of decoder.tflite: 8×6 places, of which the inner 4×2 are right
# Height, width, channels, coder, quality: smaller and larger than the decoder's size, two tiles of the container.
FILES = [
    (1, 1, 3, "ans", 0),
    (33, 9, 1, "huffman", 61.7),
    (70, 61, 3, "ans", 100),
    (70, 61, 3, "huffman", 30),
    (530, 20, 1, "ans", 80),
    (64, 48, 1, "huffman", 50),
]


def exported(channels, folder):
    """What an export of a codec works on; `decoder.tflite` and `tfv.bin` are in `folder`."""
    model, rng = codec(channels), np.random.default_rng(5)
    for weight in model.decoder.trainable_variables:  # so that what is beyond a border would be seen
        weight.assign_add(0.1 * rng.standard_normal(weight.shape).astype("float32"))
    run = open_run(write_run(folder / "run", model))
    # Neither samples nor Keras's answers on them: the page is not told about any.
    work = Export(run, model, data.load_own(run, model), None, SIZE, None, parity.BOUNDS)
    endpoints = tfvae.Codec.endpoints
    with tempfile.TemporaryDirectory() as static, pytest.MonkeyPatch.context() as patch:
        # The page calls no other, and each takes seconds to trace.
        patch.setattr(tfvae.Codec, "endpoints", lambda *shapes: {"decode": endpoints(*shapes)["decode"]})
        write_saved_model(work.model, static, batch=1, size=work.size, to_convert=True)
        (folder / "decoder.tflite").write_bytes(tflite.convert(Path(static), "decode", "float32"))
    tfv_tables.write(work.model, folder)
    return work, [Artefact(name, {}) for name in compressed.MODELS]


def files(model):
    """The files of `FILES`, by name; the third with transparency."""
    found = {}
    for height, width, channels, coder, quality in FILES:
        alpha = np.arange(height * width, dtype=np.uint8).reshape(height, width) if quality == 100 else None
        encoder = Encoder(model, picture(height, width, channels), alpha, {"exif": b"abc"}, coder)
        found[f"{height}x{width}x{channels}_{coder}.tfv"] = encoder.at(quality).content
    return found


def python_symbols(model, content):
    """What Python reads in a file: a dict of flat arrays for each view. Raises `UnreadableError`."""
    reader = streams(model, "ans")
    header, found = container.unpack(content, reader.digest, model.factor, model.channels)
    reader, plan, places = streams(model, header.coder), header.tiles(model.factor), header.places(model.factor)
    parts = []
    for start in range(0, len(found), 1 + len(plan)):
        hyper = reader.read_hyper(found[start], tuple(-(-side // FACTOR) for side in places))
        prediction = predicted(model, hyper, header.quality, places)
        symbols = np.zeros(prediction.mean.shape, np.int32)
        for tile, stream in zip(plan, found[start + 1 :], strict=False):
            symbols[tile] = reader.read_latents(stream, prediction.index[tile])
        maps = {"hyper": hyper, "symbols": symbols, "mean": prediction.mean, "index": prediction.index}
        parts.append({name: values.ravel() for name, values in maps.items()})
    return parts


def synthesised(file, model, content, masked=True):
    """What `decoder.tflite` makes of a file tile by tile, as synthesis.js does, float levels `(h, w, channels)`.

    Args:
        file: A `TFLiteFile`.
        model: The codec.
        content: Of a `.tfv` file.
        masked: Whether the decoder is told what is beyond the border.
    """
    header, views, factor = container.read_header(content), [], model.factor
    places, around = header.places(factor), tfv_tables.margin(model)
    down, across = (spans(length, side // factor, around) for length, side in zip(places, SIZE, strict=True))
    for part in python_symbols(model, content):
        code = codes_of(part["symbols"], Prediction(part["mean"], part["index"])).reshape(*places, -1)
        image = np.zeros((places[0] * factor, places[1] * factor, model.channels), np.float32)
        for top, rows in down:
            for left, columns in across:
                piece = code[top : top + SIZE[0] // factor, left : left + SIZE[1] // factor]
                missing = [(0, side // factor - length) for side, length in zip(SIZE, piece.shape, strict=False)]
                inside = np.pad(
                    np.ones((*piece.shape[:2], 1), np.float32), [*missing, (0, 0)], constant_values=not masked
                )
                asked = {"z": np.pad(piece, [*missing, (0, 0)])[None], "inside": inside[None]}
                tile = file.run({**asked, "quality": np.float32([[header.quality]])})["image"][0]
                (y, x), (above, beside) = (
                    [factor * span.start for span in (rows, columns)],
                    (factor * top, factor * left),
                )
                height, width = (factor * (span.stop - span.start) for span in (rows, columns))
                image[y : y + height, x : x + width] = tile[y - above :, x - beside :][:height, :width]
        views.append(np.rint(255 * image[: header.height, : header.width]))
    found = np.concatenate(views, axis=2)
    return found if found.shape[2] == header.channels else found.mean(axis=2, keepdims=True)


def spans(length, side, margin):
    """As synthesis.js cuts an axis: where a tile starts, and the places that are right in it."""
    found, begin = [], 0
    while begin < length:
        start = max(0, begin - margin)
        found.append((start, slice(begin, length if start + side >= length else start + side - margin)))
        begin = found[-1][1].stop
    return found


# By content: its checksum.
HASHED = {
    content: int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "little")
    for content in (bytes(range(256)) * 5, *(bytes([7]) * count for count in (0, 1, 127, 128, 129, 256)))
}


def altered(vectors):
    """Small changes of three files of a model of colours, as they are and with a checksum that fits them."""
    rng, changes = np.random.default_rng(3), []
    hows = ("flip", "set", "cut", "insert", "drop")
    originals = [vectors[name] for name in ("70x61x3_ans.tfv", "70x61x3_huffman.tfv", "33x9x1_huffman.tfv")]
    for number in range(90):
        content = originals[number % 3]
        place = int(rng.integers(0, min(len(content), 40) if number % 2 else len(content)))
        other = changed(content, [(place, hows[number % 5], int(rng.integers(0, 256)))])
        changes += [other, forged(other)] if len(other) > 12 else [other]  # also as one writes it who means harm
    return [content for content in changes if content not in originals and not larger(content)]


def larger(content):
    try:
        header = container.read_header(content)
    except UnreadableError:
        return False
    return header.height * header.width > 40_000


def foreign(vectors, others, program):
    """By the line that a program says: what it says it of. `others` are the files of another model."""
    content, other = vectors["70x61x3_ans.tfv"], others["1x1x3_ans.tfv"]
    return {
        "not a compressed picture of tfvae (.tfv)": [b"", b"\x89PNG\r\n\x1a\n", content[1:]],
        f'is of version "2" of the format, and this {program} reads version "1"': [content[:3] + b"2" + content[4:]],
        "is damaged or cut short: its checksum is another": [content[:-1], content[:9], content + b"\0"],
        "a compressed picture that is cut short or damaged": [forged(content[:-3]), forged(content[:12])],
        f"was written by another model (digest {other[4:8].hex()}; this one is {content[4:8].hex()})": [other],
    }


def assert_refused_as_in_python(model, changes, answers):
    """Of changed files: what Python refuses is refused in a line, and what it reads is read alike."""
    opened = 0
    for content, answer in zip(changes, answers, strict=True):
        try:
            expected = python_symbols(model, content)
        except UnreadableError:
            assert answer["refused"] and "\n" not in answer["refused"]
        else:
            assert_same(answer["parts"], expected)
            opened += 1
    assert len(changes) > 140 and 0 < opened < len(changes) / 3


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in other:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def rgb(pixels):
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
