"""The calls that the Android and iOS samples make, in Python, on the same files.

    pip install numpy pillow ai-edge-litert
    python call.py PICTURE --out rebuilt.png [--variant int8] [--runtime compiled]
    python call.py --seed 7 --out drawn.png

Everything about a file is read from `tensors.json` beside this script: which signature it has, what its tensors are
called and how large they are. `--runtime interpreter` is the classic runtime, `--runtime compiled` is the
CompiledModel that the two apps use.
"""

import argparse
import json
import time
from pathlib import Path

import decoding
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
TENSORS = json.loads((HERE / "tensors.json").read_text(encoding="utf-8"))
HEIGHT, WIDTH, CHANNELS = TENSORS["image"]
MOST_PIXELS = 250_000_000  # phones photograph up to 200 megapixels


class Interpreted:
    """A file in the classic runtime."""

    def __init__(self, path: Path, signature: str):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path))  # kept: the runner does not own it
        self.runner = self.interpreter.get_signature_runner(signature)

    def run(self, inputs: dict[str, np.ndarray], outputs: dict[str, list[int]]) -> dict[str, np.ndarray]:
        answers = self.runner(**inputs)
        return {name: answers[name].reshape(shape) for name, shape in outputs.items()}


class Compiled:
    """A file compiled by LiteRT: buffers are made once, by signature and name, then written, run and read."""

    def __init__(self, path: Path, signature: str):
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator

        self.signature = signature
        self.model = CompiledModel.from_file(str(path), HardwareAccelerator.CPU)

    def run(self, inputs: dict[str, np.ndarray], outputs: dict[str, list[int]]) -> dict[str, np.ndarray]:
        given = {name: self.model.create_input_buffer_by_name(self.signature, name) for name in inputs}
        taken = {name: self.model.create_output_buffer_by_name(self.signature, name) for name in outputs}
        for name, value in inputs.items():
            given[name].write(np.ascontiguousarray(value))
        self.model.run_by_name(self.signature, given, taken)
        return {
            name: np.asarray(taken[name].read(int(np.prod(shape)), np.float32)).reshape(shape)
            for name, shape in outputs.items()
        }


RUNTIMES: dict[str, type[Interpreted | Compiled]] = {"interpreter": Interpreted, "compiled": Compiled}


def call(part: str, variant: str, runtime: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs by name of a part (`encoder`, `decoder`, `autoencoder`, `generator`) for inputs by name."""
    name = f"{part}.tflite" if variant == "float32" else f"{part}_{variant}.tflite"
    if name not in TENSORS["files"]:
        raise SystemExit(f"call.py: no {name} in this bundle. It has: {', '.join(TENSORS['files'])}.")
    facts = TENSORS["files"][name]
    for tensor in facts["inputs"]:
        value = inputs[tensor["name"]]
        assert list(value.shape) == tensor["shape"] and value.dtype == tensor["dtype"], (tensor, value.shape)
    file = RUNTIMES[runtime](HERE.parent / name, facts["signature"])
    outputs = {tensor["name"]: tensor["shape"] for tensor in facts["outputs"]}
    start = time.perf_counter()
    answers = file.run(inputs, outputs)
    print(f"{name} {facts['signature']}: {1000 * (time.perf_counter() - start):.2f} ms, first call")
    return answers


def prepared(picture: Image.Image) -> np.ndarray:
    """The input `image`: upright, grey or RGB, scaled to cover HEIGHT x WIDTH, centre-cropped, float32 in 0 … 1."""
    # A JPEG is decoded at a half, a quarter or an eighth, as long as that leaves two pixels a side for each one wanted.
    side = 2 * max(HEIGHT, WIDTH)
    picture.draft(None, (side, side))
    found = decoding.decoded(picture, TENSORS["black"], TENSORS["white"])
    levels = decoding.on_white(found.pixels, found.alpha)
    picture = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    picture = picture.convert("L" if CHANNELS == 1 else "RGB")
    scale = max(HEIGHT / picture.height, WIDTH / picture.width)
    size = max(WIDTH, round(scale * picture.width)), max(HEIGHT, round(scale * picture.height))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
    pixels = np.asarray(picture.crop((left, top, left + WIDTH, top + HEIGHT)), np.float32) / 255
    return pixels.reshape(1, HEIGHT, WIDTH, CHANNELS)


def shown(image: np.ndarray) -> Image.Image:
    """A picture of the output `image`; a decoder of a padded size is cropped to HEIGHT x WIDTH."""
    levels = np.clip(np.rint(255 * image[0, :HEIGHT, :WIDTH]), 0, 255).astype(np.uint8)
    return Image.fromarray(levels[..., 0] if CHANNELS == 1 else levels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", help="PNG, JPEG, WebP, BMP, TIFF, GIF or PNM")
    parser.add_argument("--seed", type=int, metavar="S", help="decode standard normal noise of this seed instead")
    if TENSORS["labels"]:
        parser.add_argument(
            "--label", choices=TENSORS["labels"], default=TENSORS["labels"][0], help="what to decode as"
        )
    parser.add_argument("--variant", default="float32", help="float32, float16, int8 …")
    parser.add_argument("--runtime", default="interpreter", choices=RUNTIMES)
    parser.add_argument("-o", "--out", default="rebuilt.png", metavar="OUT")
    options = parser.parse_args()
    labels = {}
    if TENSORS["labels"]:
        labels["labels"] = np.array([[name == options.label for name in TENSORS["labels"]]], np.float32)
    if options.seed is not None:
        # Without a prior, noise is no code that the decoder knows; the pictures are then noise, too.
        code = np.random.default_rng(options.seed).standard_normal(TENSORS["code_shape"]).astype(np.float32)
        if "generator.tflite" in TENSORS["files"]:  # a prior other than N(0, I) makes a code of the noise
            shown(call("generator", "float32", options.runtime, noise=code, **labels)["image"]).save(options.out)
            print(f"wrote {options.out}")
            return
    elif options.picture:
        try:
            with decoding.open_checked(options.picture, MOST_PIXELS) as picture:
                image = prepared(picture)
        except decoding.UnreadableError as error:
            raise SystemExit(f"call.py: {options.picture}: {error}") from None
        code = call("encoder", options.variant, options.runtime, image=image, **labels)[TENSORS["code"]]
    else:
        parser.error("a PICTURE or --seed S is needed")
    shown(call("decoder", options.variant, options.runtime, z=code, **labels)["image"]).save(options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
