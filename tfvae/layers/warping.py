"""Pictures moved along a flow."""

import tensorflow as tf

from tfvae.distributions import float32


def warp(images, flow):
    """`out[y, x] = images[y + flow[y, x, 0], x + flow[y, x, 1]]`, bilinear between pixels, the edge repeated outside.

    A convex combination of pixels: the range stays, and where the flow is zero, so do the pixels, bit for bit.

    Args:
        images: `(b, h, w, c)`.
        flow: Where each pixel comes from, down and right of itself, in pixels, `(b, h, w, 2)`.

    Returns:
        float32, of the shape of `images`.

    Reference:
        Jaderberg et al. (2015), https://arxiv.org/abs/1506.02025
    """
    images, flow = float32(images), float32(flow)
    shape = tf.shape(images)
    height, width = shape[1], shape[2]
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    own = tf.cast(tf.stack([rows, columns], axis=-1), tf.float32)
    # Held inside: beyond the edge there is only the edge.
    last = tf.cast(tf.stack([height, width]) - 1, tf.float32)
    source = tf.clip_by_value(own + flow, 0.0, last)
    corner = tf.floor(source)
    share = source - corner
    corner = tf.cast(corner, tf.int32)
    flat = tf.reshape(images, (shape[0], height * width, shape[3]))

    def pixels(down, right):
        place = tf.minimum(corner[..., 0] + down, height - 1) * width + tf.minimum(corner[..., 1] + right, width - 1)
        found = tf.gather(flat, tf.reshape(place, (shape[0], height * width)), batch_dims=1)
        return tf.reshape(found, shape)

    down, right = share[..., :1], share[..., 1:]
    top = pixels(0, 0) * (1 - right) + pixels(0, 1) * right
    bottom = pixels(1, 0) * (1 - right) + pixels(1, 1) * right
    return tf.ensure_shape(top * (1 - down) + bottom * down, images.shape)
