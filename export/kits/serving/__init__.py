"""What TensorFlow Serving and its operator need beside a SavedModel."""
