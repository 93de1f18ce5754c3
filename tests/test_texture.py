"""Quilts of codes: windows that fit, cuts that cost least, strips that are the whole, and edges that are none."""

import itertools
import tracemalloc

import keras
import numpy as np
import pytest
from tiny_runs import autoencoder, spatial_vae

from tfvae.applications.textures import synthesis
from tfvae.applications.textures.field import Field
from tfvae.applications.textures.quilting import EVENLY, Library, Quilt, cheapest_path, cut
from tfvae.applications.textures.synthesis import reach, synthesize, texture_of


@pytest.fixture(scope="module")
def model():
    vae = spatial_vae(channels=3)
    # Untrained biases are zero and so is every code of grey: random ones make each place count.
    for variable in vae.trainable_variables:
        if variable.name == "bias":
            variable.assign(0.1 * keras.random.normal(variable.shape, seed=2))
    return vae


def photograph(height=101, width=123, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def features(height=20, width=17, seed=0):
    return np.random.default_rng(seed).standard_normal((height, width, 3)).astype(np.float32)


def drawn(model, *arguments, **options):
    return np.concatenate(list(synthesize(model, *arguments, **options)))


def whole(model, codes):
    return keras.ops.convert_to_numpy(model.decode(codes[None])["image"])[0]


# The search and the cut.


def test_errors_of_all_windows_are_the_weighed_squares():
    library = Library([features(), features(9, 12, seed=1)], 4)
    rng = np.random.default_rng(3)
    target, weight = rng.standard_normal((4, 4, 3)).astype(np.float32), rng.random((4, 4)).astype(np.float32)
    windows = library.places[[library.window(number) for number in range(len(library.corners))]]
    assert len(windows) == 17 * 14 + 6 * 9
    direct = (weight[:, :, None] * (windows - target) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(library.errors(target, weight), direct, rtol=1e-4, atol=1e-3)


def test_a_continuation_lies_where_the_window_goes_on():
    library = Library([features(), features(9, 12, seed=1)], 4)
    number = 17 * 14 + 9 + 2  # row 1, column 2 of the second map
    shifted = library.continuations(number, 2, 3)
    assert any((library.window(each) == library.window(number) + 2 * 12 + 3).all() for each in shifted)


def test_the_cheapest_path_costs_no_more_than_any():
    cost = np.random.default_rng(0).random((5, 4))
    paths = [
        path
        for path in itertools.product(range(4), repeat=5)
        if all(abs(a - b) <= 1 for a, b in itertools.pairwise(path))
    ]
    rows = np.arange(5)
    found = cheapest_path(cost)
    assert tuple(found) in paths
    assert cost[rows, found].sum() == pytest.approx(min(cost[rows, list(path)].sum() for path in paths))


@pytest.mark.parametrize(("side", "turn"), [("left", 0), ("bottom", 1), ("right", 2), ("top", 3)])
def test_a_cut_keeps_the_old_outside_of_where_they_agree_and_takes_the_new_inside(side, turn):
    cost = np.ones((12, 12))
    cost[:, 2] = 0  # where old and new agree
    overlaps = {"top": 0, "bottom": 0, "left": 0, "right": 0, side: 4}
    taken = np.rot90(cut(np.rot90(cost, turn), **overlaps), -turn)
    np.testing.assert_array_equal(taken, np.arange(12) >= np.full((12, 1), 2))
    assert cut(cost, 0, 0, 0, 0).all()


def test_means_of_all_windows():
    library = Library([features(), features(9, 12, seed=1)], 4)
    values = np.random.default_rng(3).random(len(library.places))
    direct = [values[library.window(number)].mean() for number in range(len(library.corners))]
    np.testing.assert_allclose(library.means(values), direct)


# The quilt.


def test_an_even_quilt_shows_more_of_its_exemplar():
    exemplar = features(40, 40)
    exemplar[:, :20] *= 0.1  # a smooth half, whose windows fit each other best
    library = Library([exemplar], 8)

    def rough(evenly):
        quilts = [np.concatenate(list(Quilt(library, 64, 64, seed=seed, evenly=evenly))) for seed in range(3)]
        return np.mean([quilt % 40 >= 20 for quilt in quilts])

    assert rough(0.0) < 0.3
    assert rough(2.0) > rough(0.0) + 0.1


@pytest.mark.parametrize("size", [(24, 31), (13, 12), (60, 12)])
def test_the_edge_of_a_torus_crosses_windows_where_they_stand_alone(size):
    library = Library([features()], 8)
    quilt = Quilt(library, *size, wrap=True, seed=1)
    places = np.concatenate(list(quilt))
    down, right = quilt.midst
    # Every second place beside the edge goes on as in the exemplar, whose rows are 17 places long; not so at a cut.
    turned = np.roll(places, (-down, -right), axis=(0, 1))
    assert (turned[0] - turned[-1] == 17).mean() > 0.5
    assert (turned[:, 0] - turned[:, -1] == 1).mean() > 0.5


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("size", [(24, 31), (13, 12), (60, 12)])
def test_a_quilt_has_its_size_and_holds_places_of_the_exemplar_only(size, wrap):
    library = Library([features()], 8)
    rows = list(Quilt(library, *size, wrap=wrap))
    quilt = np.concatenate(rows)
    assert quilt.shape == size
    assert quilt.min() >= 0 and quilt.max() < len(library.places)
    assert max(map(len, rows)) <= library.patch[0]  # no more than a band is held


@pytest.mark.parametrize("wrap", [False, True])
def test_the_quilt_of_a_periodic_exemplar_is_that_period_without_end(wrap):
    tile = features(6, 6)
    library = Library([np.tile(tile, (8, 8, 1))], 8)  # every phase is there often enough to be taken anew
    quilt = library.places[np.concatenate(list(Quilt(library, 36, 30, wrap=wrap, seed=1)))]
    # Any window that fits is the right one, so nothing is left of where windows were cut.
    again = np.roll(quilt, (6, 6), axis=(0, 1))
    inner = quilt if wrap else quilt[6:, 6:]
    np.testing.assert_allclose(inner, again if wrap else again[6:, 6:], atol=1e-6)


def test_a_seed_decides_the_quilt():
    library = Library([features()], 8)
    first, again, other = (np.concatenate(list(Quilt(library, 24, 24, seed=seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_guided_quilt_is_nearer_to_its_guide():
    library = Library([features(40, 40)], 8)
    apart = []
    for guided in (True, False):
        guide = Quilt(library, 32, 32, seed=1)
        quilt = Quilt(library, 32, 32, seed=2, guide=guide if guided else None)
        pairs = [np.stack(rows) for rows in zip(guide, quilt, strict=True)]
        a, b = library.places[np.concatenate(pairs, axis=1)]
        apart.append(np.square(a - b).mean())
    assert apart[0] < 0.8 * apart[1]


@pytest.mark.parametrize("size", [(0, 9), (9, -1)])
def test_a_quilt_without_a_side_is_refused(size):
    with pytest.raises(ValueError, match="`height` and `width`"):
        Quilt(Library([features()], 8), *size)


def test_a_torus_too_small_for_its_windows_and_an_exemplar_smaller_than_one_are_refused():
    with pytest.raises(ValueError, match=r"12 or more.*Received: 11 and 40"):
        Quilt(Library([features()], 8), 11, 40, wrap=True)
    with pytest.raises(ValueError, match=r"8x8 places. Received: 20x7"):
        Library([features(20, 7)], 8)


# The picture.


def test_codes_and_details_of_a_photograph_make_the_photograph(model):
    picture = photograph(32, 40)
    found = texture_of(model, [picture])
    edge = reach(model.encoder)
    padded = np.pad(picture, ((4 * edge, 4 * edge), (4 * edge, 4 * edge), (0, 0)), mode="symmetric") / np.float32(255)
    rebuilt = keras.ops.convert_to_numpy(model.reconstruct(padded[None])["image"])[0, 4 * edge : -4 * edge]
    details = found.details.reshape(8, 10, 4, 4, 3).swapaxes(1, 2).reshape(32, 40, 3)
    np.testing.assert_allclose(rebuilt[:, 4 * edge : -4 * edge] + details, picture / 255, atol=1e-5)


def test_what_is_beyond_its_reach_changes_nothing_of_a_decoder(model):
    margin = reach(model.decoder)
    codes = np.random.default_rng(0).standard_normal((3 * margin, 3 * margin, 2)).astype(np.float32)
    inner = slice(4 * margin, -4 * margin)
    changed = codes.copy()
    changed[0], changed[:, -1] = 7, 7
    np.testing.assert_allclose(whole(model, changed)[inner, inner], whole(model, codes)[inner, inner], atol=1e-6)


@pytest.mark.parametrize("size", [(61, 83), (8, 300), (97, 5)])
def test_tiles_and_strips_are_the_whole_of_any_size(model, size, monkeypatch):
    pictures = [photograph()]
    at_once = drawn(model, pictures, size, patch=32)
    assert at_once.shape == (*size, 3)
    monkeypatch.setattr(synthesis, "STRIP", 16)
    monkeypatch.setattr(synthesis, "SIDE", 48)
    in_parts = drawn(model, pictures, size, patch=32)
    # Bytes: values that differ by 1e-5 may be rounded to neighbours.
    assert np.abs(at_once.astype(int) - in_parts).max() <= 1
    assert (at_once != in_parts).mean() < 1e-3


def test_tiled_decoding_equals_whole_decoding(model, monkeypatch):
    monkeypatch.setattr(synthesis, "SIDE", 48)
    codes = np.random.default_rng(0).standard_normal((40, 33, 2)).astype(np.float32)
    margin = reach(model.decoder)
    tiled = synthesis._decoded(synthesis._decoder(model), codes, margin, 4, 3)
    edge = slice(4 * margin, -4 * margin)
    np.testing.assert_allclose(tiled, whole(model, codes)[edge, edge], atol=1e-5)


def test_a_seamless_picture_is_one_period_of_a_plane(model):
    """The quilt repeated three times and decoded as one picture without an edge: its middle is what was drawn."""
    pictures, found = [photograph()], texture_of(model, [photograph()])
    picture = drawn(model, pictures, (64, 96), seamless=True, patch=32, details=False, seed=5)
    library = Library(found.maps, 8)
    torus = Quilt(library, 16, 24, wrap=True, seed=np.random.SeedSequence((5, 0)), evenly=EVENLY)
    quilt = np.concatenate(list(torus))
    plane = whole(model, np.tile(found.codes[quilt], (3, 3, 1)))
    lead, right = synthesis._edge(torus, reach(model.decoder))
    period = np.roll(plane[64:128, 96:192], (-4 * (lead + reach(model.decoder)), -4 * right), axis=(0, 1))
    assert np.abs(picture / 255 - period).max() < 0.6 / 255
    for shift in ((5, 0), (0, 17), (33, 50)):  # and so is every other cut out of the plane
        other = plane[64 + shift[0] : 128 + shift[0], 96 + shift[1] : 192 + shift[1]]
        np.testing.assert_allclose(other, np.roll(plane[64:128, 96:192], np.negative(shift), axis=(0, 1)), atol=1e-5)


def test_memory_does_not_grow_with_the_height(model):
    def peak(height):
        tracemalloc.start()
        rows = sum(len(strip) for strip in synthesize(model, [photograph()], (height, 64), patch=32))
        assert rows == height
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(600)  # the graph is traced once
    assert peak(2400) < 1.1 * peak(600)


def test_a_mixture_is_the_first_texture_where_the_field_is_zero_and_not_elsewhere(model):
    pictures, size = [photograph()], (256, 256)
    alone = drawn(model, pictures, size, patch=32, seed=1)
    mixture = drawn(model, pictures, size, patch=32, seed=1, mixed=([photograph(seed=9)], 0.4))
    margin = reach(model.decoder)
    weight = Field(0.4, (64, 64), 1)(-margin, (64 + 2 * margin, 64 + 2 * margin), margin)
    near = np.lib.stride_tricks.sliding_window_view(weight, (2 * margin + 1,) * 2).max(axis=(2, 3))
    untouched = np.kron(near == 0, np.ones((4, 4), bool))
    assert 0.02 < untouched.mean() < 0.7
    np.testing.assert_array_equal(mixture[untouched], alone[untouched])
    second = np.kron(weight[margin:-margin, margin:-margin] == 1, np.ones((4, 4), bool))
    assert np.abs(mixture[second].astype(int) - alone[second]).mean() > 5


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_the_field_gives_the_second_texture_its_share_and_is_periodic(share):
    field = Field(share, (96, 160), seed=4)
    weight = field(0, (96, 160), 0)
    assert abs((weight > 0.5).mean() - share) < 0.02
    assert weight.min() >= 0 and weight.max() <= 1
    np.testing.assert_allclose(field(96, (96, 160), 160), weight, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 8)}, "`height` must be positive"),
        ({"size": (64, 66), "seamless": True}, "multiples of 4.*Received: 64x66"),
        ({"size": (8, 8), "seamless": True}, r"24x24 or more.*Received: 8x8"),
        ({"size": (8, 8), "patch": 0}, "`patch` must be positive"),
        ({"size": (8, 8), "mixed": ([photograph()], 1.0)}, "share between 0 and 1. Received: 1.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        drawn(model, [photograph()], options.pop("size"), **options)


def test_photographs_and_models_that_give_no_map_are_refused(model):
    with pytest.raises(ValueError, match="`pictures` must be one or more"):
        texture_of(model, [])
    with pytest.raises(ValueError, match="`pictures` must be"):
        texture_of(model, [photograph(3, 50)])
    with pytest.raises(ValueError, match=r"spatial latent. Received: Autoencoder"):
        texture_of(autoencoder(), [photograph()])
