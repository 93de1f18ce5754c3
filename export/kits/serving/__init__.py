"""What TensorFlow Serving and its operator need in addition to a SavedModel."""
