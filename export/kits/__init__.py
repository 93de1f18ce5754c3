"""What goes along with the files: for TensorFlow Serving, phones, the browser, and a program in C."""
