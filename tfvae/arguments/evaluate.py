"""What `tfvae evaluate` and `tfvae compare` accept."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path


def evaluate(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.source(parser)
    parser.add_argument(
        "--split",
        choices=("test", "validation", "train"),
        help="part of the data (default: test of a run, all of SOURCE)",
    )
    args.count(parser, "at most so many images, drawn", shown="all")
    parser.add_argument(
        "--nll",
        type=args.integer(1),
        nargs="?",
        const=1000,
        dest="k",
        metavar="K",
        help="-log p(x), K draws (default: 1000)",
    )
    parser.add_argument("--figures", type=args.names, metavar="A,B", help="elbo, units, gap, nll, …: these only")
    parser.add_argument("--all", action="store_true", help="every figure that means something here")
    parser.add_argument(
        "--features",
        metavar="NAME",
        help="what frechet and prdc are taken in: encoder, classifier (on the labels), inception[:FILE], raw "
        "(default: encoder)",
    )
    args.batch_size(parser, "images in a step (default: the run's)")
    args.seed(parser, "of the posterior samples and the binarisation", None)
    args.out(parser, "OUT.json: the same figures with their protocol, for `tfvae compare`", "printed only")
    parser.note(
        "examples",
        [
            "tfvae evaluate runs/digits",
            "tfvae evaluate runs/digits --nll 5000 -o a.json",
            "tfvae evaluate runs/photos PICTURES --figures psnr,ssim",
        ],
    )


def compare(parser: OneLineParser) -> None:
    parser.add_argument(
        "files", metavar="OUT.json", nargs="+", type=user_path, help="of `tfvae evaluate RUN -o OUT.json`"
    )
    parser.add_argument("--figures", type=args.names, metavar="A,B", help="these only; default: all in the files")
    parser.note("examples", ["tfvae compare a.json b.json", "tfvae compare a.json b.json --figures elbo,psnr"])
