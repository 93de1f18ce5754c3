"""The program that turns a run directory into checked artefacts: `python -m export RUN`."""
