"""Pictures as small files: symbols of a codec, entropy coding by integer tables, and the container around them."""
