"""A SavedModel proved without Python: a C program loads it as TensorFlow Serving does, and is held to Keras."""
