"""What each command of `tfvae` accepts, in a module of the name of that in `tfvae.commands` which carries it out.

Nothing here imports NumPy, Keras or TensorFlow: a mistyped word is answered at once.
"""
