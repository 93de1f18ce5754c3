"""What both clients do: pictures in, tensors out to the server, pictures or codes back. NumPy and Pillow only.

Not run by itself: see client_rest.py and client_grpc.py, which bring the way to the server.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import decoding
import numpy as np
from PIL import Image, ImageOps

MOST_PIXELS = 256_000_000
SIGNATURES = ("reconstruct", "encode", "decode", "generate", "restore", "sample", "stylize", "continue")
PICTURES = ("image", "std", "damage")  # outputs of the height and width of the images


class ClientError(Exception):
    """A request that cannot be met; its text is one line for the person who asked."""


def load_model(path):
    """The table of `model.json`: name, image and latent shape, signatures."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClientError(f"{path}: {error}") from None


def read_picture(path, image_shape, scale=(0.0, 0.0)):
    """A picture as float32 `(1, height, width, channels)` in [0, 1], read as those that the model was trained on.

    It is cut to the model's size where it has one; `scale` holds the numbers that are black and white (0, 0: as the
    file's type says).
    """
    try:
        with decoding.open_checked(path, MOST_PIXELS) as opened:
            found = decoding.decoded(opened, *scale)
    except decoding.UnreadableError as error:
        raise ClientError(f"{path}: {error}") from None
    levels = decoding.on_white(found.pixels, found.alpha)
    picture = Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)
    picture = picture.convert("L" if image_shape[2] == 1 else "RGB")
    height, width, channels = image_shape
    if height is not None and picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture, np.float32) / 255.0
    return pixels.reshape(1, picture.height, picture.width, channels)


def write_pictures(images, out):
    """Images `(n, height, width, channels)` in [0, 1] as PNG: `out`, or `out` with _1, _2 … where there are several."""
    out, written = Path(out), []
    for index, image in enumerate(images, 1):
        path = out if len(images) == 1 else out.with_name(f"{out.stem}_{index}{out.suffix or '.png'}")
        pixels = np.round(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, "PNG")
        written.append(str(path))
    return written


def read_codes(path):
    """Codes from the JSON file that `encode` writes, float32 `(n, …)`."""
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        name = next(name for name in ("mean", "code", "z") if name in table)
        return np.array(table[name], np.float32)
    except (OSError, ValueError, TypeError, StopIteration):
        raise ClientError(f"{path}: expected a JSON file with a list of codes under 'mean', 'code' or 'z'.") from None


def message_bytes(model, signature, inputs):
    """Bytes of the larger of a request's and its answer's tensors, 4 for each number."""
    counts = {"in": 0, "out": 0}
    value, *further = inputs.values()
    height, width = value.shape[1:3] if value.ndim == 4 else (1, 1)
    factor = model["factor"]
    if signature in ("decode", "generate"):
        height, width = factor * height, factor * width
    for name, shape in model["signatures"][signature]["outputs"].items():
        # Open sides: those of the image, or of the latent map at 1/factor of it.
        sides = (height, width) if name in PICTURES else (math.ceil(height / factor), math.ceil(width / factor))
        open_sides = iter((len(value), *sides))
        counts["out"] += 4 * math.prod(side if side is not None else next(open_sides) for side in shape)
    counts["in"] = 4 * (value.size + sum(each.size for each in further))
    return max(counts.values())


class OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        raise ClientError(message)


def parser(program, description):
    options = OneLineParser(prog=program, description=description)
    options.add_argument("signature", choices=SIGNATURES)
    options.add_argument("files", nargs="*", metavar="FILE", help="pictures; for decode a JSON file of codes")
    options.add_argument("-o", "--out", metavar="OUT", help="PNG or JSON (default: SIGNATURE.png, codes.json)")
    options.add_argument("-n", "--count", type=int, default=4, metavar="N", help="generate: how many (default: 4)")
    options.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise of what draws (default: 0)")
    options.add_argument(
        "--size", type=height_and_width, metavar="HxW", help="generate, where the size is open (default: 256x256)"
    )
    options.add_argument(
        "--label", metavar="LABEL", help="of a model with labels: the class, or style, of every picture"
    )
    options.add_argument("--quality", type=float, metavar="Q", help="decode of a codec: of the codes (default: 50)")
    options.add_argument("--known", metavar="MASK", help="restore, sample: a picture, black where a pixel is lost")
    options.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="default: 30")
    beside = Path(__file__).with_name("model.json")
    options.add_argument("--model", default=beside, metavar="FILE", help="default: model.json beside this file")
    return options


def height_and_width(text):
    """Two sides in pixels."""
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH in pixels, such as 128x192. Received: {text}")
    return int(sides[0]), int(sides[1])


def requests(model, options):
    """The inputs of each request, by name."""
    shape = model["image_shape"]
    if options.signature not in model["signatures"]:
        raise ClientError(f"the model has no signature '{options.signature}': it has {', '.join(model['signatures'])}.")
    asked = model["signatures"][options.signature]["inputs"]
    if not {"image", "z"} & asked.keys():
        if options.count < 1:
            raise ClientError(f"--count must be 1 or more. Received: {options.count}.")
        sides = options.size or [256 if side is None else side for side in shape[:2]]
        found = [{"noise": noise(model, options, options.count, *sides)}]
    elif not options.files:
        raise ClientError(f"{options.signature} needs a file.")
    elif "z" in asked:
        found = [{"z": read_codes(path)} for path in options.files]
    else:
        images = [read_picture(path, shape, (model["black"], model["white"])) for path in options.files]
        # One size: one request for all. Open sizes: one for each.
        found = [{"image": np.concatenate(images)}] if None not in shape else [{"image": image} for image in images]
        if "noise" in asked:
            found = [{**given, "noise": noise(model, options, *given["image"].shape[:3])} for given in found]
    found = [{**inputs, **known(model, options, inputs), **quality(model, options, inputs)} for inputs in found]
    return [{**inputs, **labels(model, options, len(next(iter(inputs.values()))))} for inputs in found]


def noise(model, options, count, height, width):
    """Standard normal noise for `count` pictures of that size, float32."""
    (_, *sides) = model["signatures"][options.signature]["inputs"]["noise"]
    factor, frames = model["factor"], model["frames"]
    places = iter((frames * math.ceil(height // frames / factor), math.ceil(width / factor)))
    latent = [next(places) if side is None else side for side in sides]
    return np.random.default_rng(options.seed).standard_normal((count, *latent)).astype(np.float32)


def known(model, options, inputs):
    """The input `known` of a model that is told which pixels are lost: 0 where the mask is black, 1 elsewhere."""
    if "known" not in model["signatures"][options.signature]["inputs"]:
        if options.known is not None:
            raise ClientError(f"{options.signature} of this model takes no --known.")
        return {}
    count, height, width, _ = inputs["image"].shape
    if options.known is None:
        return {"known": np.ones((count, height, width, 1), np.float32)}
    mask = read_picture(options.known, (None, None, 1))
    if mask.shape[1:3] != (height, width):
        raise ClientError(f"{options.known}: a mask of {mask.shape[2]}x{mask.shape[1]} for {width}x{height} pixels.")
    return {"known": np.repeat(np.float32(mask > 0), count, axis=0)}


def quality(model, options, inputs):
    """The inputs `quality` and `inside` of a codec: one quality for all codes, every place of which counts."""
    if "quality" not in model["signatures"][options.signature]["inputs"]:
        if options.quality is not None:
            raise ClientError(f"{options.signature} of this model takes no --quality.")
        return {}
    value = 50.0 if options.quality is None else options.quality
    if not 0 <= value <= 100:
        raise ClientError(f"--quality must be from 0 to 100. Received: {value:g}.")
    z = inputs["z"]
    return {"quality": np.full((len(z), 1), value, np.float32), "inside": np.ones((*z.shape[:3], 1), np.float32)}


def labels(model, options, rows):
    """The input `labels` of a conditional model: 1 at the class that --label names, for every row."""
    names = model.get("labels", [])
    if "labels" not in model["signatures"][options.signature]["inputs"]:
        if options.label is not None:
            raise ClientError(f"{options.signature} of this model takes no --label.")
        return {}
    if options.label not in names:
        raise ClientError(f"--label must be one of {', '.join(names)}. Received: {options.label}.")
    weights = np.zeros((rows, len(names)), np.float32)
    weights[:, names.index(options.label)] = 1
    return {"labels": weights}


def run(options, predict):
    """Send what `options` ask for through `predict(model, signature, inputs)`, and write what comes back."""
    model = load_model(options.model)
    answers = [predict(model, options.signature, inputs) for inputs in requests(model, options)]
    if options.signature == "encode":
        out = Path(options.out or "codes.json")
        table = {name: [row.tolist() for answer in answers for row in answer[name]] for name in answers[0]}
        out.write_text(json.dumps(table) + "\n", encoding="utf-8")
        return [str(out)]
    return write_pictures([image for answer in answers for image in answer["image"]], options.out or _png(options))


def _png(options):
    return f"{options.signature}.png"


def main(program, parse, connect, arguments=None):
    """Exit code 0, or 2 with one line on standard error."""
    try:
        options = parse(arguments)
        for path in run(options, connect(options)):
            print(path)
    except ClientError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 2
    return 0
