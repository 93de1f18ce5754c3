"""Batches are functions of the seed and their place in the stream."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfvae.data import (
    AUGMENTATIONS,
    DataConfig,
    Images,
    crops_of_each,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
    training_indices,
)
from tfvae.data import images as store
from tfvae.data.batches import cut
from tfvae.errors import UserError

PLAIN = DataConfig("x")


def numbered(count, shape=(4, 4, 1)):
    """Images that are told apart by their grey."""
    return Images.from_array(np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, *shape)))


def unequal(seed=0, count=7, mapped=False, folder=None):
    rng = np.random.default_rng(seed)
    writer = store.ImagesWriter(folder, ram_limit=1 if mapped else 2**20)
    for index in range(count):
        writer.add(rng.integers(0, 256, (10 + 3 * index, 30 - 2 * index, 3), np.uint8), str(index))
    return writer.finish()


def first(dataset, count):
    return np.stack([batch.numpy() for batch in itertools.islice(dataset, count)])


def test_each_image_is_seen_once_an_epoch_and_each_epoch_has_its_own_order():
    images, steps = numbered(12), 4
    stream = first(training_batches(images, 3, seed=5, config=PLAIN), 2 * steps)
    greys = np.rint(stream[:, :, 0, 0, 0] * 255).astype(int).reshape(2, 12)
    assert (np.sort(greys) == np.arange(12)).all()
    assert (greys[0] != greys[1]).any()
    other = first(training_batches(images, 3, seed=6, config=PLAIN), 2 * steps)
    assert (other != stream).any()


@pytest.mark.parametrize("kind", ["plain", "everything", "crops"])
def test_a_stream_continued_is_the_uninterrupted_stream(kind):
    images = unequal() if kind == "crops" else numbered(13)
    config = {
        "plain": PLAIN,
        "everything": DataConfig("x", binarize=True, augment=AUGMENTATIONS),
        "crops": DataConfig("x", crop=8, augment=("flip", "colour")),
    }[kind]
    whole = first(training_batches(images, 3, seed=2**40 + 1, config=config), 14)
    for start in (4, 11):  # at the beginning of an epoch of 4 (7 images: 2) steps, and within one
        tail = first(training_batches(images, 3, seed=2**40 + 1, config=config, start_step=start), 14 - start)
        np.testing.assert_array_equal(whole[start:], tail)


def test_a_set_smaller_than_a_batch_is_the_batch():
    images = numbered(3)
    assert steps_per_epoch(images, 8) == 1
    assert steps_per_epoch(numbered(9), 4) == 2
    batch = first(training_batches(images, 8, seed=0, config=PLAIN), 1)[0]
    assert sorted(np.rint(batch[:, 0, 0, 0] * 255)) == [0, 1, 2]


def test_binarisation_has_the_grey_as_its_mean_and_is_fresh_each_epoch():
    greys = np.array([0, 51, 128, 255], np.uint8)
    images = Images.from_array(np.tile(greys[:, None, None, None], (1, 64, 64, 1)))
    epochs = first(training_batches(images, 4, seed=0, config=DataConfig("x", binarize=True)), 3)
    assert set(np.unique(epochs)) == {0.0, 1.0}
    means = np.sort(epochs.mean(axis=(2, 3, 4)), axis=1)
    p = greys / 255
    assert np.all(np.abs(means - p) <= 5 * np.sqrt(p * (1 - p) / 64**2))
    assert (epochs[0] != epochs[1]).any()


def test_evaluation_binarises_the_same_whatever_the_batch_size():
    images = Images.from_array(np.full((7, 16, 16, 1), 100, np.uint8))
    config = DataConfig("x", binarize=True)
    whole = np.concatenate(list(evaluation_batches(images, 7, config=config, seed=3)))
    pieces = np.concatenate(list(evaluation_batches(images, 2, config=config, seed=3)))
    np.testing.assert_array_equal(whole, pieces)
    assert (whole[0] != whole[1]).any()
    p = 100 / 255
    assert abs(whole.mean() - p) <= 5 * np.sqrt(p * (1 - p) / whole.size)


def test_evaluation_sees_every_image_once_in_order():
    stream = list(evaluation_batches(numbered(10), 4, config=PLAIN))
    assert [len(batch) for batch in stream] == [4, 4, 2]
    np.testing.assert_allclose(np.concatenate(stream)[:, 0, 0, 0] * 255, np.arange(10), atol=1e-4)
    some = numbered(10).take([7, 2, 3])
    np.testing.assert_allclose(
        np.concatenate(list(evaluation_batches(some, 4, config=PLAIN)))[:, 0, 0, 0] * 255, [7, 2, 3]
    )


def test_unequal_images_are_evaluated_whole_in_batches_of_one_shape():
    images = unequal(count=3).take([0, 0, 1, 2, 2, 2])
    stream = list(evaluation_batches(images, 2, config=PLAIN))
    assert [len(batch) for batch in stream] == [2, 1, 2, 1]
    rows = [row.numpy() for batch in stream for row in batch]
    for row, image in zip(rows, images, strict=True):
        np.testing.assert_allclose(row, image / np.float32(255))


def test_evaluation_crops_are_the_centre():
    image = np.arange(6 * 9, dtype=np.uint8).reshape(1, 6, 9, 1)
    (batch,) = evaluation_batches(Images.from_array(image), 1, config=PLAIN, crop=4)
    top, left = 1, 3  # 0.5 of the 3 and 6 origins, rounded down
    np.testing.assert_allclose(batch * 255, image[:, top : top + 4, left : left + 4], atol=1e-4)


def test_training_crops_are_pieces_of_their_images_and_reach_every_place():
    image = np.arange(5 * 6, dtype=np.uint8).reshape(1, 5, 6, 1)
    config = DataConfig("x", crop=4)
    stream = np.rint(first(training_batches(Images.from_array(image), 1, seed=0, config=config), 100) * 255)
    origins = {divmod(int(piece[0, 0, 0, 0]), 6) for piece in stream}
    assert origins == {(top, left) for top in range(2) for left in range(3)}
    for piece in stream:
        top, left = divmod(int(piece[0, 0, 0, 0]), 6)
        np.testing.assert_array_equal(piece[0, ..., 0], image[0, top : top + 4, left : left + 4, 0])


def test_an_image_smaller_than_the_crop_is_mirrored_as_numpy_mirrors():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    shape, offset = tf.constant(image.shape, tf.int64), tf.constant(0, tf.int64)
    for side in (4, 5, 7, 16):
        piece = cut(tf.constant(image.reshape(-1)), offset, shape, tf.constant([0.0, 0.0]), side).numpy()
        down, right = max(side - 3, 0), max(side - 5, 0)
        ends = [(down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0)]
        np.testing.assert_array_equal(piece, np.pad(image, ends, mode="symmetric")[:side, :side])


def test_a_mapped_store_gives_the_same_batches(tmp_path):
    config = DataConfig("x", crop=8, augment=("flip",))
    in_ram, mapped = unequal(), unequal(mapped=True, folder=tmp_path)
    assert mapped.mapped
    for one, other in ((in_ram, mapped), (in_ram.take([5, 1]), mapped.take([5, 1]))):
        np.testing.assert_array_equal(
            first(training_batches(one, 2, seed=1, config=config), 4),
            first(training_batches(other, 2, seed=1, config=config), 4),
        )
    assert not list(tmp_path.iterdir()), "the pixels' file has no name any more, so nothing is left behind"


def test_augmentation_depends_on_the_image_and_the_epoch_only():
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8))
    config = DataConfig("x", augment=AUGMENTATIONS)
    ones = first(training_batches(images, 1, seed=4, config=config), 6)[:, 0]
    threes = first(training_batches(images, 3, seed=4, config=config), 2).reshape(ones.shape)
    np.testing.assert_array_equal(ones, threes)
    next_epoch = first(training_batches(images, 6, seed=4, config=config), 2)[1]
    assert all((np.abs(next_epoch - one).max(axis=(1, 2, 3)) > 0).all() for one in ones)


def test_the_shares_of_all_workers_together_are_the_stream_of_one():
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (14, 9, 9, 1), np.uint8))
    config = DataConfig("x", crop=8, augment=AUGMENTATIONS, binarize=True)
    training = {"seed": 4, "config": config, "start_step": 1}
    whole = first(training_batches(images, 6, **training), 4)
    parts = [first(training_batches(images, 6, **training, share=(i, 3)), 4) for i in range(3)]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))
    evaluation = {"config": config, "crop": 8}
    whole = list(evaluation_batches(images, 6, **evaluation))  # of 6, 6 and 2
    parts = [evaluation_batches(images, 6, **evaluation, share=(i, 2)) for i in range(2)]
    for batch, one, other in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch, tf.concat([one, other], axis=0))
    with pytest.raises(ValueError, match="`share`"):
        training_batches(images, 6, **training, share=(0, 4))


@pytest.mark.parametrize(("name", "mirror"), [("flip", np.s_[:, ::-1]), ("flip_vertical", np.s_[::-1])])
def test_a_flip_is_the_mirror_image_half_of_the_time(name, mirror):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    images = Images.from_array(np.tile(image, (400, 1, 1, 1)))
    batch = first(training_batches(images, 400, seed=0, config=DataConfig("x", augment=(name,))), 1)[0]
    same = np.abs(batch * 255 - image).max(axis=(1, 2, 3)) < 1e-3
    mirrored = np.abs(batch * 255 - image[mirror]).max(axis=(1, 2, 3)) < 1e-3
    assert (same ^ mirrored).all()
    assert abs(same.mean() - 0.5) <= 5 * np.sqrt(0.25 / 400)


def test_a_shift_moves_whole_pixels_and_mirrors_the_edge():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 1), np.uint8)
    images = Images.from_array(np.tile(image, (400, 1, 1, 1)))
    batch = first(training_batches(images, 400, seed=0, config=DataConfig("x", augment=("shift",))), 1)[0] * 255
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], mode="symmetric")
    places = [padded[y : y + 20, x : x + 20] for y in range(5) for x in range(5)]
    seen = {int(np.argmin([np.abs(row - place).max() for place in places])) for row in batch}
    assert all(min(np.abs(row - place).max() for place in places) < 1e-3 for row in batch)
    assert len(seen) == 25


def test_augmented_images_stay_images():
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (32, 9, 11, 3), np.uint8))
    batch = first(training_batches(images, 32, seed=0, config=DataConfig("x", augment=AUGMENTATIONS)), 1)[0]
    assert batch.shape == (32, 9, 11, 3) and batch.min() >= 0 and batch.max() <= 1


def test_what_cannot_be_batched_is_said_in_one_line():
    with pytest.raises(UserError, match=r"unequal sizes.*data\.crop"):
        training_batches(unequal(), 2, seed=0, config=PLAIN)
    with pytest.raises(UserError, match="no image to train on"):
        training_batches(numbered(3).take([]), 2, seed=0, config=PLAIN)
    assert not list(evaluation_batches(numbered(3).take([]), 2, config=PLAIN))


def test_batches_have_static_shapes_where_they_can():
    spec = training_batches(numbered(9), 4, seed=0, config=PLAIN).element_spec
    assert spec.shape == (4, 4, 4, 1) and spec.dtype == tf.float32
    assert training_batches(unequal(), 2, seed=0, config=DataConfig("x", crop=8)).element_spec.shape == (2, 8, 8, 3)


def test_a_digest_tells_images_by_pixels_shape_and_order_wherever_they_lie():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 1), dtype=np.uint8)
    images = Images.from_array(pixels)
    assert images.digest() == Images.from_array(pixels, names=["a", "b", "c"]).digest()
    assert images.take([2, 0]).digest() == Images.from_array(pixels[[2, 0]]).digest()
    changed = pixels.copy()
    changed[1, 2, 3, 0] ^= 1
    others = [changed, pixels[::-1], pixels.reshape(3, 6, 4, 1), pixels[:2]]
    assert len({images.digest(), *(Images.from_array(other).digest() for other in others)}) == 5


@pytest.mark.parametrize("step", [0, 2, 3, 7])
def test_the_images_of_a_step_are_known_by_its_number(step):
    images = numbered(10)
    stream = first(training_batches(images, 3, seed=4, config=PLAIN), step + 1)
    indices = training_indices(images, 3, seed=4, step=step)
    np.testing.assert_array_equal(np.rint(stream[step][:, 0, 0, 0] * 255), indices)


def test_labels_come_with_their_images_and_change_nothing_about_them():
    images = Images.from_array(
        np.tile(np.arange(12, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 1)), labels=np.arange(12) % 5
    )
    config = DataConfig("x", augment=("flip",), crop=3, crops=2)
    plain = first(training_batches(images, 4, seed=3, config=config, start_step=2), 9)
    pairs = list(itertools.islice(training_batches(images, 4, seed=3, config=config, start_step=2, labels=True), 9))
    np.testing.assert_array_equal(np.stack([x for x, _ in pairs]), plain)
    for x, labels in pairs:
        np.testing.assert_array_equal(labels, np.rint(x[:, 0, 0, 0] * 255) % 5)
    told = np.concatenate([labels for _, labels in evaluation_batches(images, 5, config=PLAIN, labels=True)])
    np.testing.assert_array_equal(told, images.labels)


def test_crops_that_are_not_counted_make_about_a_hundred_batches():
    config = DataConfig("x", crop=2, crops=0)
    for count, batch, crops in ((13, 4, 31), (300, 4, 1), (900, 2, 1), (90, 1, 1), (66, 16, 24)):
        assert crops_of_each(numbered(count), batch, config) == crops
    images = numbered(5)
    counted = DataConfig("x", crop=2, crops=20)
    streams = [first(training_batches(images, 1, seed=4, config=each, start_step=98), 4) for each in (config, counted)]
    np.testing.assert_array_equal(*streams)
    with pytest.raises(UserError, match=r"data.crops counts random crops and needs data.crop. Received: crops=0"):
        DataConfig("x", crops=0)


def test_labels_are_asked_of_every_image():
    images = Images.from_array(np.zeros((3, 4, 4, 1), np.uint8), labels=np.array([0, 1, -1]))
    with pytest.raises(UserError, match="some pictures have none"):
        training_batches(images, 2, seed=0, config=PLAIN, labels=True)


def test_balanced_images_have_as_many_of_each_label():
    images = Images.from_array(
        np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1), labels=np.array([0, 1, 1, 1, 1, 1, 2])
    ).balanced()
    assert np.bincount(images.labels).tolist() == [5, 5, 5]
    assert set(images.names) == {f"{index:06d}" for index in range(7)}  # and none is left out
