"""What `tfvae embed` and `tfvae neighbours` accept."""

from tfvae.arguments import shared as args
from tfvae.errors import OneLineParser
from tfvae.file_names import user_path

THRESHOLD = 0.5
DISTANCES = ("euclidean", "cosine")


def embed(parser: OneLineParser) -> None:
    args.run(parser, data=True)
    args.source(parser)
    parser.add_argument("--map", action="store_true", help="a page of the map, too: thumbnails to move among, OUT.html")
    parser.add_argument(
        "--duplicates",
        type=args.number(0),
        nargs="?",
        const=THRESHOLD,
        metavar="T",
        help="near-duplicates, OUT-duplicates.csv and .png: codes within T times what two draws of one picture's code "
        f"lie apart (default T: {THRESHOLD:g})",
    )
    parser.add_argument("--projector", type=user_path, metavar="DIR", help="files for TensorBoard's projector, too")
    args.batch_size(parser, "images in a step (default: 64)", 64)
    args.out(parser, "OUT.npz, OUT.csv or OUT.parquet; the map is written beside it as OUT.png", "RUN/codes.npz")
    parser.note(
        "examples",
        [
            "tfvae embed runs/digits --map",
            "tfvae embed runs/photos PICTURES -o codes.parquet --duplicates",
            "tfvae embed runs/photos --projector logs",
        ],
    )


def neighbours(parser: OneLineParser) -> None:
    args.run(parser)
    parser.add_argument("source", metavar="SOURCE", help=f"where to look: {args.SOURCE}")
    parser.add_argument("picture", metavar="PICTURE", type=user_path, help="what to look for")
    args.count(parser, "the most alike", 12)
    parser.add_argument(
        "--distance", choices=DISTANCES, default=DISTANCES[0], help=f"between codes (default: {DISTANCES[0]})"
    )
    args.batch_size(parser, "images in a step (default: 64)", 64)
    args.out(parser, "OUT.csv or OUT.json; the pictures are put beside it as OUT.png", "RUN/neighbours.csv")
    parser.note(
        "examples",
        [
            "tfvae neighbours runs/photos PICTURES picture.jpg",
            "tfvae neighbours runs/photos PICTURES picture.jpg -n 40 --distance cosine -o alike.json",
        ],
    )
