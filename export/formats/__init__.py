"""What leaves Keras: SavedModel, TFLite and ONNX files, each run by its real runtime."""
