"""The blocks of docs/guides/library.md run as they stand, and stay as short as they claim to be."""

import re
from pathlib import Path

import keras
import pytest

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "library.md"
FIRST, *BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
LONGEST, WHOLE = 12, 40  # lines of a task, and of the program at the end


@pytest.mark.parametrize("block", BLOCKS, ids=[block.strip().splitlines()[0][:40] for block in BLOCKS])
def test_a_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    names: dict = {"__name__": "guide"}
    try:
        exec(compile(FIRST + block, GUIDE.name, "exec"), names)
        for name in ("vae", "same"):
            if name in names:
                assert names[name].predict(names["X"][:2], verbose=0)["image"].shape == (2, 8, 8, 1)
    finally:
        keras.config.set_dtype_policy(policy)


def test_the_blocks_are_short():
    *tasks, program = (len([line for line in block.splitlines() if line.strip()]) for block in BLOCKS)
    assert max(tasks) <= LONGEST and program <= WHOLE
