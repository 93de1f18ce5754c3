"""The program that turns a run directory into checked artefacts: `python -m export RUN`."""

NO_LICENCE = "other"  # as the Hugging Face Hub calls a licence that it has no name for
