"""The folder `phone/` of a bundle: samples for Android and iOS, the table of tensors, and the same calls in Python."""
