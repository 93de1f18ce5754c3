"""A folder of pictures, one after the other: what happens to one picture is its refusal, and the others are done."""

import errno

import numpy as np
import pytest
from PIL import Image

from tfvae.commands.jobs import carry_out, plan_of
from tfvae.errors import UserError


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "in" / name)
    return plan_of(tmp_path / "in", tmp_path / "out", tmp_path / "out", [], [])


def failing(error):
    def work(job, progress):
        if job.name == "b.png":
            raise error

    return work


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("Error setting\nfrom dictionary"), "(RuntimeError: Error setting from dictionary)"),
        (ValueError("odd"), "(ValueError: odd)"),
        (MemoryError(), "(MemoryError: )"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "cannot be written: File name too long"),
    ],
)
def test_one_picture_that_fails_is_named_and_the_others_are_done(plan, capsys, error, reason):
    assert [job.name for job in carry_out(plan, failing(error))] == ["a.png", "c.png"]
    ((name, said),) = plan.refused
    assert name == "b.png" and reason in said
    assert f"refused b.png: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), UserError("a mask is missing")])
def test_what_no_picture_would_survive_ends_the_folder(plan, error):
    with pytest.raises(UserError, match=r"No space left|a mask is missing"):
        carry_out(plan, failing(error))


def test_the_only_picture_is_refused_in_one_line(plan, tmp_path):
    alone = plan_of(tmp_path / "in" / "b.png", tmp_path / "one.png", tmp_path / "one.png", [], [])
    with pytest.raises(UserError, match=r"b.png: cannot be processed \(RuntimeError: odd\)"):
        carry_out(alone, failing(RuntimeError("odd")))
