"""The pictures of a report: of large photographs the middle is shown, and the map holds what memory does."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_runs import spatial_vae

from tfvae.data import DataConfig, Images
from training import report


@pytest.mark.parametrize(
    ("shown", "caption"), [(64, "Held-out images, their"), (16, "images (the middle 16 pixels), their")]
)
def test_of_large_pictures_the_middle_is_shown_and_mapped(shown, caption, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "SHOWN", shown)
    monkeypatch.setattr(report, "MAP_PIXELS", 4 * 40 * 56)
    mapped = []
    monkeypatch.setattr(report, "latent_map", lambda codes, *rest, **more: mapped.append(codes) or np.zeros((4, 4, 3)))
    compared = []
    monkeypatch.setattr(report, "comparison_picture", lambda _, x, columns: compared.extend(x) or np.zeros((4, 4, 3)))
    images = Images.from_array(np.random.default_rng(0).integers(0, 256, (20, 40, 56, 1), dtype=np.uint8))
    config = SimpleNamespace(training=SimpleNamespace(seed=0), data=DataConfig("x", crop=8))
    pictures = report._pictures(tmp_path, spatial_vae(), config, images, [])
    assert any(caption in each for each in pictures)
    assert {x.shape for x in compared} == {(16, 16, 1) if shown == 16 else (40, 56, 1)} and len(compared) == 16
    assert len(mapped[0]) == (20 if shown == 16 else 4)


def test_small_pictures_beside_large_ones_are_not_mirrored():
    data = SimpleNamespace(frames=0)
    shapes = np.array([[2000, 3000, 3], [700, 900, 3]])
    assert report._middle(SimpleNamespace(shapes=shapes), SimpleNamespace(data=data)) == 700
    assert report._middle(SimpleNamespace(shapes=shapes[1:]), SimpleNamespace(data=data)) == 0
    film = SimpleNamespace(data=SimpleNamespace(frames=8))
    assert report._middle(SimpleNamespace(shapes=shapes), film) == 0
