"""The training program: images in, run directory out. `python -m training --help`."""
