"""Tables of labels as people's programs write them."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tfvae.data import DataConfig, load
from tfvae.errors import UserError

NAMES = [*(unicodedata.normalize("NFD", f"café{index}.png") for index in range(3)), "sub/a.png", "b.png"]
LABELS = ["y", "x", "y", "x", "y"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 90).save(folder / name)
    return folder


def labelled(folder, tmp_path, content):
    """The label of each picture by the table, and what is said."""
    (tmp_path / "t.csv").write_bytes(content)
    splits = load(DataConfig(str(folder), labels=str(tmp_path / "t.csv"), test=0, validation=0))
    names = [*splits.train.label_names, None]
    return dict(zip(splits.train.names, [names[label] for label in splits.train.labels], strict=True)), splits


def table(separator=",", change=lambda name: name, header="name,label"):
    rows = [f"{change(name)}{separator}{label}" for name, label in zip(NAMES, LABELS, strict=True)]
    return "\n".join([header.replace(",", separator), *rows]) + "\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name,
        lambda name: unicodedata.normalize("NFC", name),
        lambda name: name.replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: f" {name} ",
    ],
)
def test_names_match_whatever_their_unicode_form_and_slashes(folder, tmp_path, change):
    found, splits = labelled(folder, tmp_path, table(change=change).encode())
    assert found == dict(zip(NAMES, LABELS, strict=True))
    assert "label" not in splits.description


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("header", ["name,label", "Name,Label"])
def test_separators_and_encodings_of_spreadsheets_are_read(folder, tmp_path, separator, encoding, header):
    if header[0] == "N" and encoding in ("utf-16-le", "utf-16-be"):
        pytest.skip("without a mark, UTF-16 is known by its first letter")
    found, _ = labelled(folder, tmp_path, table(separator, header=header).encode(encoding))
    assert found == dict(zip(NAMES, LABELS, strict=True))


def test_what_found_no_partner_is_said_with_examples(folder, tmp_path):
    found, splits = labelled(folder, tmp_path, b"name,label\nb.png,x\nB.PNG,y\ngone/c.png,x\nsub/a.png,\n")
    assert found["b.png"] == "x" and found["sub/a.png"] is None
    assert "4 pictures without a label (such as " in splits.description
    assert "2 rows of 't.csv' for pictures that are not there (such as 'B.PNG', 'gone/c.png')" in splits.description
    assert np.unique(splits.train.labels).tolist() == [-1, 0]


def test_a_row_may_be_doubled_but_not_contradicted(folder, tmp_path):
    found, _ = labelled(folder, tmp_path, b"name,label\nsub/a.png,x\nsub\\a.png,x\nb.png,y\n")
    assert found["sub/a.png"] == "x"
    with pytest.raises(UserError, match=r"'sub/a.png' two labels, 'x' and 'y'"):
        labelled(folder, tmp_path, b"name,label\nsub/a.png,x\nsub\\a.png,y\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "columns name,label"), (b"a,b\n1,2\n", "columns name,label"), (b"name,label\ncaf\xe9.png,x\n", "utf-8"),
     (b"name,label\nother.png,x\n", "names none of the pictures")],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_one_line(folder, tmp_path, content, said):
    with pytest.raises(UserError) as caught:
        labelled(folder, tmp_path, content)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_pipe_is_no_table_and_nothing_waits_for_it(folder, tmp_path):
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(UserError, match=r"table.csv' is no file"):
        load(DataConfig(str(folder), labels=str(tmp_path / "table.csv")))
