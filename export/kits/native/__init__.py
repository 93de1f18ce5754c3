"""A SavedModel proved without Python: a C program loads it as TensorFlow Serving does, and is held to Keras."""

REQUESTS = 100_000  # that it answers in a row, where it is not said how many
