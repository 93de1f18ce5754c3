"""`python -m benchmarks BENCHMARK …`: tfvae compared with its peers, all in one run."""

import importlib
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.arguments import parse
from tfvae.errors import ProgramParser, run_program

BENCHMARKS = {
    "training_step": "images/s of a training step, compared with keras.io and PyTorch",
    "trainers": "images/s of trainings of small dense networks, compared with pythae",
    "precision": "training steps in bfloat16, compared with float32",
    "likelihood": "importance-sampled likelihood, compared with pythae",
    "papers": "the table of likelihoods, out of what runs and their evaluations say",
    "disentanglement": "the table of disentanglement over seeds, out of what runs and their evaluations say",
    "workers": "scaling from one worker to two",
    "restoration": "denoising, inpainting, marks, enhancement and speed, compared with classical methods",
    "textures": "textures compared with image quilting",
    "styles": "renderings in learnt styles, judged by a classifier",
    "painting": "photographs painted with one painting, compared with colour transfer and quilting",
    "inventions": "styles drawn from the prior of many paintings, compared with the paintings themselves",
    "codec": "bytes of compressed photographs, compared with JPEG, WebP and AVIF",
    "draws": "draws from the prior beside held-out pictures, in the features of a classifier",
    "lossless": "pictures as bytes and back, compared with gzip, bzip2 and xz",
    "probes": "classes read off codes by a linear classifier, compared with PCA and pixels",
    "inspection": "what does not belong in pictures, compared with PCA and nearest neighbours on pixels",
    "conditional": "draws under a label, read by a classifier",
    "video": "predicted frames compared with a copy of the last one",
    "flicker": "films held steady along their optical flow",
    "export_latency": "the decoder in LiteRT, ONNX Runtime and PyTorch",
    "export_survey": "every model with every network, exported and held to its bounds",
}
# On a GPU convolutions may be computed in TensorFloat-32, which is 1e-3 away from every runtime they are checked with.
ON_CPU = ("export_latency", "export_survey")


def parser() -> ProgramParser:
    """Of the benchmarks' names alone."""
    p = ProgramParser(
        "python -m benchmarks", "tfvae compared with its peers, all in one run.", BENCHMARKS, metavar="BENCHMARK"
    )
    p.note("examples", ["python -m benchmarks training_step", "python -m benchmarks restoration --help"])
    return p


def main(arguments: list[str]) -> int:
    """Runs a benchmark. Returns its exit code; raises `UserError` for a request that cannot be met."""
    if not arguments or arguments[0] not in BENCHMARKS:
        parser().parse_args(arguments)  # prints the help or the version, or says what is wrong
        return 0
    name, *words = arguments
    options = parse(name, BENCHMARKS[name], words)
    if name in ON_CPU:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return importlib.import_module(f"benchmarks.{name}").main(options) or 0


def run(arguments: list[str]) -> int:
    """`main` as a program: one line and exit code 2 for a bad request, 130 for Ctrl-C."""
    codes: list[int] = []
    return run_program("benchmarks", lambda: codes.append(main(arguments))) or codes[0]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
