"""What each benchmark accepts: a function of the benchmark's name. Nothing large is imported here."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import argument_types as types
from benchmarks.argument_types import EXECUTION
from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser, UserError
from tfvae.file_names import user_path

RESTORATION = ("denoise", "jpeg", "inpaint", "holes", "dewatermark", "enhance", "like", "uncertainty", "speed")  # tasks
RECIPES = ("mnist", "digits", "photos")  # of `workers`
CROPPING = ("photos", "denoise", "inpaint", "enhance", "codec", "inspect")  # recipes, of `precision`


def benchmark_parser(name: str, summary: str) -> OneLineParser:
    """Of one benchmark."""
    parser = OneLineParser(f"python -m benchmarks {name}", f"{summary[0].upper()}{summary[1:]}.")
    globals()[name](parser)
    return parser


def parse(name: str, summary: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of a benchmark; `words` among them is what was typed after `python -m benchmarks`."""
    return benchmark_parser(name, summary).parse_args(words, argparse.Namespace(words=[name, *words]))


def training_step(parser: OneLineParser) -> None:
    _rounds(parser)
    _tens_of_steps(parser)
    args.batch_size(parser, "images in a step (default: 128)", 128)
    _out(parser, "the numbers, with machine and versions")
    parser.note("examples", ["python -m benchmarks training_step --steps 40 -o training_step.json"])


def trainers(parser: OneLineParser) -> None:
    parser.add_argument(
        "--data", default="digits", metavar="SOURCE", help="grey pictures, brought to 28×28 (default: digits)"
    )
    _rounds(parser)
    _tens_of_steps(parser)
    _out(parser, "the numbers, with machine and versions")
    parser.note("examples", ["python -m benchmarks trainers --data tfds:mnist -o trainers.json"])


def precision(parser: OneLineParser) -> None:
    parser.add_argument(
        "recipes", metavar="RECIPE", nargs="+", choices=CROPPING, help=f"of crops: {', '.join(CROPPING)}"
    )
    _rounds(parser)
    parser.add_argument(
        "--steps", type=args.integer(1), default=20, metavar="N", help="training steps of a turn (default: 20)"
    )
    _out(parser, "the numbers, with machine and versions")
    parser.note("examples", ["python -m benchmarks precision photos denoise -o precision.json"])


def likelihood(parser: OneLineParser) -> None:
    parser.add_argument(
        "--data",
        default="digits",
        metavar="SOURCE",
        help="grey images, brought to 28×28 and binarised (default: digits)",
    )
    args.count(parser, "held-out images in a turn", 200)
    parser.add_argument(
        "--nll", type=types.draws, default=1000, dest="k", metavar="K", help="-log p(x), K draws (default: 1000)"
    )
    parser.add_argument(
        "--epochs", type=args.integer(1), default=10, metavar="N", help="of training before (default: 10)"
    )
    _rounds(parser)
    _out(parser, "the numbers, with machine and versions")
    parser.note("examples", ["python -m benchmarks likelihood --data tfds:mnist -n 100 --epochs 2"])


def papers(parser: OneLineParser) -> None:
    about = (
        "run directories, each with an evaluation: tfvae evaluate RUN --figures nll,units --nll 5000 -o RUN/nll.json"
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=user_path, help=about)
    args.out(parser, "the table, which keeps its other rows", "printed only", metavar="OUT.csv")
    parser.note("examples", ["python -m benchmarks papers runs/iwae runs/iwae_2 -o docs/results/likelihood.csv"])


def disentanglement(parser: OneLineParser) -> None:
    about = (
        "run directories, of several seeds, each with an evaluation: "
        "tfvae evaluate RUN --figures elbo,units,mig,dci,sap,factor_vae -o RUN/factors.json"
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=user_path, help=about)
    args.out(parser, "the table", "printed only", metavar="OUT.csv")
    parser.note("examples", ["python -m benchmarks disentanglement runs/beta-* runs/tc-* -o disentanglement.csv"])


def workers(parser: OneLineParser) -> None:
    parser.add_argument(
        "--recipe", default="mnist", choices=RECIPES, help="whose network and batch are taken (default: mnist)"
    )
    args.batch_size(parser, "of a worker, even (default: the recipe's)")
    _rounds(parser)
    parser.add_argument(
        "--seconds", type=args.number(0.01), default=5.0, metavar="S", help="a turn takes about so long (default: 5)"
    )
    _out(parser, "the numbers, with machine and versions")
    parser.note("examples", ["python -m benchmarks workers --recipe photos --batch-size 64"])


def restoration(parser: OneLineParser) -> None:
    parser.add_argument("task", choices=RESTORATION, metavar="TASK", help=", ".join(RESTORATION))
    args.run(parser)
    parser.add_argument("--data", type=types.folder, metavar="FOLDER", help="pictures (default: the run's test split)")
    args.count(parser, "so many of them, evenly spaced", shown="all")
    _only(parser, "cases whose name holds WORD, such as 25")
    args.seed(parser, "of noise, holes and marks")
    _rounds(parser, 3, lowest=0, more="; 0: no timing")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keeps what slow sides returned for the next run")
    parser.add_argument(
        "--megapixels",
        type=args.number(0.01),
        default=24.0,
        metavar="M",
        help="of the picture for speed, 3:2 (default: 24)",
    )
    _out(parser, "the numbers; a picture is put beside them")
    parser.note(
        "examples",
        [
            "python -m benchmarks restoration denoise runs/denoise --data PHOTOS -o denoise.json",
            "python -m benchmarks restoration speed runs/denoise --rounds 5",
        ],
    )


def textures(parser: OneLineParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", nargs="?", help="a training run on the exemplars, beside it")
    parser.add_argument(
        "--data", type=types.folder, metavar="FOLDER", required=True, help="photographs of textures, whole"
    )
    parser.add_argument("--prepare", type=Path, metavar="DIR", help="write the exemplars there, and nothing else")
    args.count(parser, "so many of them, evenly spaced", shown="all")
    parser.add_argument(
        "--patch",
        type=args.integer(16),
        default=96,
        metavar="PX",
        help="side of the windows of both quilts (default: 96)",
    )
    args.seed(parser, "of all that is drawn")
    _out(parser, "the numbers; the sheet is put beside them")
    parser.note(
        "examples",
        [
            "python -m benchmarks textures --data PHOTOS -o textures.json",
            "python -m benchmarks textures --data PHOTOS --prepare EXEMPLARS",
            "python -m training --data EXEMPLARS --recipe texture --out runs/texture",
            "python -m benchmarks textures runs/texture --data PHOTOS -o textures.json",
        ],
    )


def styles(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="photographs to render, reduced to 512 pixels")
    parser.add_argument(
        "--style", default="photo", metavar="STYLE", help="else the held-out pictures of this style (default: photo)"
    )
    args.count(parser, "at most so many photographs", shown="all")
    args.strength(parser, "as of `tfvae stylize`")
    args.seed(parser, "of the classifier and its crops")
    _out(parser, "the numbers; a contact sheet beside them")
    parser.note("examples", ["python -m benchmarks styles runs/styles --data PHOTOS -o styles.json"])


def painting(parser: OneLineParser) -> None:
    _photographs_and_paintings(parser)
    parser.add_argument(
        "--side", type=args.integer(112), default=768, metavar="PX", help="photographs are reduced to (default: 768)"
    )
    about = "write all there, to be looked at in their full size"
    parser.add_argument("--renderings", type=user_path, metavar="DIR", help=about)
    about = "also ask a classifier, which saw one half of each painting, about renderings with the paint of the other"
    parser.add_argument("--painters", action="store_true", help=about)
    args.seed(parser, "of all choices")
    _out(parser, "the numbers; a sheet beside them")
    parser.note("examples", ["python -m benchmarks painting --data PHOTOS --paintings PHOTOS -o painting.json"])


def inventions(parser: OneLineParser) -> None:
    _photographs_and_paintings(parser)
    parser.add_argument(
        "--side", type=args.integer(112), default=384, metavar="PX", help="the photograph is reduced to (default: 384)"
    )
    args.count(parser, "new styles of each kind", 12, lowest=2)
    args.seed(parser, "of all choices")
    _out(parser, "the numbers; a sheet beside them")
    parser.note("examples", ["python -m benchmarks inventions --data PHOTOS --paintings PHOTOS -o inventions.json"])


def _photographs_and_paintings(parser: OneLineParser) -> None:
    for name, what in (("--data", "photographs"), ("--paintings", "paintings")):
        parser.add_argument(
            name, type=types.pictures, nargs="+", required=True, metavar="PICTURE", help=f"{what}, or folders of them"
        )


def codec(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("--data", type=types.folder, metavar="FOLDER", help="pictures (default: the run's test split)")
    args.count(parser, "so many of them, evenly spaced", shown="all")
    parser.add_argument(
        "--qualities",
        type=args.number(0, 100),
        nargs="+",
        default=[0, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 100],
        metavar="Q",
        help="of ours, two or more (default: 0 to 100 in eight steps)",
    )
    _out(parser, "the numbers; pictures of about as many bytes are put beside them")
    parser.note("examples", ["python -m benchmarks codec runs/codec -o codec.json"])


def inspection(parser: OneLineParser) -> None:
    about = "run of inspection to measure; none with --boxes"
    parser.add_argument("run", metavar="RUN", nargs="?", type=user_path, help=about)
    about = "with a sub-folder of good pieces that RUN has not seen, and others of defects"
    parser.add_argument("--data", type=types.folder, required=True, metavar="FOLDER", help=about)
    parser.add_argument("--good", default="good", metavar="NAME", help="of that sub-folder (default: good)")
    instead = parser.add_mutually_exclusive_group()
    about = "table of defects, file,x1,y1,x2,y2: the good pieces are templates of those with the same file names"
    instead.add_argument("--boxes", type=user_path, metavar="FILE", help=about)
    about = "of python -m export RUN: whether each of its files decides about FOLDER as RUN does"
    instead.add_argument("--bundle", type=types.folder, metavar="DIR", help=about)
    about = "how often one defect of 12 pixels is found: N places of each kind in FOLDER's large good pictures"
    instead.add_argument("--planted", type=args.integer(1), metavar="N", help=about)
    args.seed(parser, "of the bootstrap, the untrained model and the places")
    _out(parser, "the numbers, with machine and versions")
    parser.note(
        "examples",
        [
            "python -m benchmarks inspection runs/inspect --data PHOTOS -o inspection.json",
            "python -m benchmarks inspection --data PHOTOS --boxes boxes.csv -o templates.json",
            "python -m benchmarks inspection runs/inspect --data PHOTOS --planted 10 -o planted.json",
        ],
    )


def draws(parser: OneLineParser) -> None:
    about = "run directories; all are measured beside the first one's data"
    parser.add_argument("runs", metavar="RUN", nargs="+", type=user_path, help=about)
    args.count(parser, "draws of each, at most as many as pictures are held out", 10_000)
    parser.add_argument(
        "--temperatures",
        type=args.temperatures,
        nargs="+",
        default=[1.0],
        metavar="T",
        help="of the draws; T,T,… for each level of hierarchical models (default: 1)",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="table of the pictures' labels (name,label), where the run's own have none"
    )
    args.seed(parser, "of the draws and of the classifier")
    _out(parser, "the numbers; a sheet of the last row's draws beside them")
    parser.note("examples", ["python -m benchmarks draws runs/mnist runs/mnist-flow --temperatures 0.8 1"])


def conditional(parser: OneLineParser) -> None:
    args.run(parser)
    args.count(parser, "draws in all", 10_000)
    args.temperature(parser, "of the draws")
    args.seed(parser, "of the draws and of the classifier")
    _out(parser, "the numbers; a sheet of draws beside them")
    parser.note("examples", ["python -m benchmarks conditional runs/mnist_conditional -o conditional.json"])


def lossless(parser: OneLineParser) -> None:
    about = "run directories; the held-out pictures of each are coded"
    parser.add_argument("runs", metavar="RUN", nargs="+", type=user_path, help=about)
    args.count(parser, "at most so many pictures, the first", shown="all")
    args.batch_size(parser, "pictures at once (default: 100)", 100)
    args.seed(parser, "of the binarisation and of the bits at the bottom of the stack")
    _out(parser, "the numbers")
    parser.note("examples", ["python -m benchmarks lossless runs/mnist runs/mnist_hierarchical -o lossless.json"])


def probes(parser: OneLineParser) -> None:
    about = "run directories; each is probed on its own data"
    parser.add_argument("runs", metavar="RUN", nargs="+", type=user_path, help=about)
    args.count(parser, "at most so many training pictures, drawn", 10_000)
    parser.add_argument(
        "--labels", metavar="FILE", help="table of the pictures' labels (name,label), where the run's own have none"
    )
    parser.add_argument(
        "--least", type=args.integer(2), default=2, metavar="N", help="training pictures of a class (default: 2)"
    )
    args.seed(parser, "of the draw, of the untrained weights and of the intervals")
    _out(parser, "the numbers")
    parser.note("examples", ["python -m benchmarks probes runs/mnist runs/fashion_mnist -o probes.json"])


def video(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("--data", metavar="FILM", help="clips of this source (default: the run's held-out frames)")
    parser.add_argument(
        "--context", type=args.integer(1), metavar="N", help="frames that are given (default: the model's)"
    )
    parser.add_argument(
        "--frames", type=args.integer(1), default=10, metavar="N", help="frames that are predicted (default: 10)"
    )
    parser.add_argument("--samples", type=args.integer(1), default=10, metavar="N", help="of each clip (default: 10)")
    args.count(parser, "clips at most, evenly spaced", 100)
    args.seed(parser, "of the samples")
    _out(parser, "the numbers; a picture is put beside them")
    parser.note("examples", ["python -m benchmarks video runs/video -o video.json"])


def flicker(parser: OneLineParser) -> None:
    parser.add_argument("run", metavar="RUN", type=user_path, nargs="?", help="run directory")
    parser.add_argument(
        "--from",
        dest="paintings",
        type=user_path,
        action="append",
        metavar="PAINTING",
        help="instead of RUN: painted with its paint; given again, with that of several",
    )
    parser.add_argument(
        "--moving", type=args.integer(1), metavar="N", help="the style goes from each --from to the next in N frames"
    )
    parser.add_argument("--data", metavar="FILM", type=Path, required=True, help="the film")
    parser.add_argument(
        "--frames", type=args.integer(3), default=100, metavar="N", help="the first so many (default: 100)"
    )
    parser.add_argument(
        "--width", type=args.integer(16), default=320, metavar="PX", help="frames are scaled to (default: 320)"
    )
    parser.add_argument("--style", metavar="STYLE", help="of a run that learnt styles, as `tfvae stylize` takes it")
    _out(parser, "the numbers; frames beside it as OUT.png")
    parser.checks.append(_run_or_painting)
    parser.note(
        "examples",
        [
            "python -m benchmarks flicker runs/styles --data film.mp4 --style monet -o flicker.json",
            "python -m benchmarks flicker --data film.mp4 --from painting.jpg -o flicker.json",
            "python -m benchmarks flicker --data film.mp4 --from monet.jpg --from munch.jpg --moving 50",
        ],
    )


def _run_or_painting(arguments: argparse.Namespace) -> None:
    if (arguments.run is None) == (not arguments.paintings):
        raise UserError("flicker: RUN or --from PAINTING is required, and not both.")
    if arguments.paintings and arguments.style is not None:
        raise UserError("flicker: --style cannot be used with --from.")
    if arguments.moving is not None and len(arguments.paintings or ()) < 2:
        raise UserError("flicker: --moving goes from one --from to the next: two or more are required.")


def export_latency(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument(
        "--threads", type=args.integer(1), default=2, metavar="N", help="threads of every runtime (default: 2)"
    )
    _rounds(parser)
    parser.add_argument(
        "--calls", type=args.integer(1), default=200, metavar="N", help="calls in a turn (default: 200)"
    )
    parser.note("examples", ["python -m benchmarks export_latency runs/digits --threads 1"])


def export_survey(parser: OneLineParser) -> None:
    _only(parser, "combinations whose name holds WORD, such as resnet")
    args.out(parser, "a file for the table, too", "printed only", metavar="OUT.md")
    parser.note(
        "examples", ["python -m benchmarks export_survey -o survey.md", "python -m benchmarks export_survey --only mlp"]
    )


def _rounds(parser: OneLineParser, default: int = 5, lowest: int = 1, more: str = "") -> None:
    text = f"turns of every side; the median counts{more} (default: {default})"
    parser.add_argument("--rounds", type=args.integer(lowest), default=default, metavar="N", help=text)


def _tens_of_steps(parser: OneLineParser) -> None:
    text = f"of a turn; a multiple of {EXECUTION} (default: 100)"
    parser.add_argument("--steps", type=types.tens, default=100, metavar="N", help=text)


def _only(parser: OneLineParser, meaning: str) -> None:
    parser.add_argument("--only", metavar="WORD", default="", help=meaning)


def _out(parser: OneLineParser, meaning: str) -> None:
    text = f"{meaning} (default: printed only)"
    parser.add_argument("-o", "--out", type=types.numbers, metavar="OUT.json", help=text)
