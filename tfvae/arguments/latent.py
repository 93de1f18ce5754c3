"""What `tfvae generate`, `reconstruct` and `interpolate` accept."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser


def generate(parser: OneLineParser) -> None:
    args.run(parser)
    args.count(parser, "how many", 64)
    args.seed(parser, "of the noise")
    args.temperature(parser, "below 1: nearer to typical", levels=True)
    args.size(parser, "pixels, where the model leaves the size open")
    args.label(parser)
    args.out(parser, "OUT.png for one grid, or a folder for single pictures and the grid", "RUN/generated.png")
    parser.note(
        "examples",
        [
            "tfvae generate runs/digits",
            "tfvae generate runs/digits -n 16 --temperature 0.7 -o drawn.png",
            "tfvae generate runs/mnist_hierarchical --temperature 1,0.4,1",
            "tfvae generate runs/mnist_conditional --label 7",
            "tfvae generate runs/styles --size 128x192 --label monet:0.6,hokusai:0.4 -o drawn",
        ],
    )


def reconstruct(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.source(parser)
    args.count(parser, "at most so many", shown="16; all for a folder")
    parser.add_argument(
        "--levels",
        action="store_true",
        help="of a hierarchical run: a row for each picture, rebuilt from its top 0, 1, 2 … levels alone",
    )
    args.out(parser, "OUT.png, or a folder for every reconstruction as well", "RUN/reconstruction.png")
    examples = ["tfvae reconstruct runs/digits", "tfvae reconstruct runs/photos PICTURES -o rebuilt"]
    parser.note("examples", [*examples, "tfvae reconstruct runs/mnist_hierarchical --levels -o levels.png"])


def interpolate(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    for end, name in (("start", "A"), ("end", "B")):
        parser.add_argument(end, metavar=name, help="a picture, or a number: index into the held-out images")
    args.count(parser, "images, both ends included", 10, lowest=2)
    parser.add_argument("--method", choices=("linear", "slerp"), default="linear", help="straight, or on a sphere")
    args.out(parser, "OUT.png for a strip, OUT.gif, or a folder for single pictures", "RUN/interpolation.png")
    parser.note(
        "examples",
        [
            "tfvae interpolate runs/digits 0 1",
            "tfvae interpolate runs/photos a.jpg b.jpg -n 24 --method slerp -o a.gif",
        ],
    )
