"""The benchmarks of codes: bytes beside general compressors, and what linear classifiers read."""

import bz2
import json

import numpy as np
import pytest
from tiny_runs import vector_vae, write_run

from benchmarks.__main__ import main
from tfvae.errors import UserError


def test_whole_files_are_counted_beside_general_compressors(tmp_path, capsys):
    runs = [write_run(tmp_path / "binary", vector_vae(), limit=200, binarize=True)]
    runs.append(write_run(tmp_path / "grey", vector_vae("logistic"), limit=200))
    out = tmp_path / "lossless.json"
    main(["lossless", *map(str, runs), "-n", "30", "-o", str(out)])
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [row["coder"].split()[0] for row in rows] == ["gzip", "bzip2", "xz", "tfvae,"] * 2
    assert [row["coder"] for row in rows[3::4]] == ["tfvae, binary", "tfvae, grey"]
    for row in rows:
        assert row["bits_per_pixel"] == 8 * row["bytes"] / row["pixels"]
    for row, kind in zip(rows[3::4], ("binarised", "8 bit"), strict=True):
        count = row["count"]
        assert row["pictures"] == f"digits, {kind}" and row["pixels"] == 64 * count
        stack = 8 * row["bytes"] - row["head_bits"] - row["start_bits"]
        assert (
            abs(stack / row["pixels"] - row["bound"]) < 0.1 * row["bound"]
        )  # 20 pictures, another draw of their codes
    assert "no pixel differs" in capsys.readouterr().out


def test_peers_count_with_the_better_of_two_ways_to_write_binary_pictures(tmp_path):
    from benchmarks.lossless import _peers

    pictures = (np.random.default_rng(0).random((50, 8, 8, 1)) < 0.3).astype(np.uint8) * 255
    sizes = [len(bz2.compress(data, 9)) for data in (pictures.tobytes(), np.packbits(pictures > 0).tobytes())]
    found = {row["coder"].split(",")[0]: row["bytes"] for row in _peers(pictures, True)}
    assert found["bzip2 -9"] == min(sizes)
    assert {row["coder"].split(", ")[1] for row in _peers(pictures, False)} == {"a byte a pixel"}


def test_a_model_that_gives_pictures_no_mass_is_one_line(tmp_path):
    run = write_run(tmp_path / "run", vector_vae("gaussian"))
    with pytest.raises(UserError, match="discrete likelihood") as caught:
        main(["lossless", str(run)])
    assert "\n" not in str(caught.value)


def test_classes_are_read_off_codes_beside_controls(tmp_path, capsys):
    run, out = write_run(tmp_path / "run", vector_vae(), limit=0), tmp_path / "probes.json"
    main(["probes", str(run), "-n", "400", "-o", str(out)])
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [row["input"] for row in rows] == ["codes", "PCA", "pixels", "codes before training"]
    assert [row["numbers"] for row in rows] == [3, 3, 64, 3]
    assert {row["train"] for row in rows} == {400} and {row["classes"] for row in rows} == {10}
    accuracy = {row["input"]: row["accuracy"] for row in rows}
    assert accuracy["pixels"] > 0.85 > accuracy["PCA"] > accuracy["codes"]  # of a model that has learnt nothing
    for row in rows:
        assert row["interval"][0] <= row["accuracy"] <= row["interval"][1]
        if row["input"] != "PCA":
            assert row["above_pca"] == pytest.approx(row["accuracy"] - accuracy["PCA"])
            assert row["above_pca_interval"][0] <= row["above_pca"] <= row["above_pca_interval"][1]
    assert "a linear classifier of" in capsys.readouterr().out


def test_pictures_without_labels_are_one_line(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", images)
    run = write_run(tmp_path / "run", vector_vae(), source=str(tmp_path / "images.npy"))
    with pytest.raises(UserError, match="with labels; see --labels") as caught:
        main(["probes", str(run)])
    assert "\n" not in str(caught.value)
