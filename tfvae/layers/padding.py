"""Padding to whole cells of a strided network."""

from keras import ops


def pad_to_multiple(images, factor, mirror=False):
    """`images` with their last row and column repeated until both sides are multiples of `factor`.

    Strided convolutions pad odd and even sizes differently: without this, the codes of a picture would shift when it
    is cut by a pixel. With `mirror` the rows before the last are repeated in reverse instead (edges twice, as NumPy's
    "symmetric", and again where the picture is smaller than the margin): noise stays noise, where equal rows would be
    a structure that no picture has.
    """
    for axis in (1, 2):
        static = images.shape[axis]
        if static is None or static % factor:
            size = ops.shape(images)[axis]
            padded = (size + factor - 1) // factor * factor
            place = ops.arange(padded)
            if mirror:
                place = ops.mod(place, 2 * size)
                place = ops.minimum(place, 2 * size - 1 - place)
            images = ops.take(images, ops.minimum(place, size - 1), axis=axis)
    return images
