"""Which bytes and which text are a key of encrypted data, and where it comes from."""

import base64

import pytest

from tfvae.data import data_key
from tfvae.errors import UserError

KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(data_key.KEY_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("content", "opens"),
    [
        (base64.b64encode(KEY), True),
        (KEY.hex().encode() + b"\n", True),
        (KEY, True),
        (b"", False),
        (b"sesame", False),
        (base64.b64encode(KEY[:16]), False),
        (b"z" * 64, False),
        (b"correct horse battery staple ab\n", False),
        (base64.b64encode(KEY)[:32], False),
    ],
)
def test_a_key_is_base64_hexadecimal_or_32_bytes(tmp_path, content, opens):
    path = tmp_path / "a.key"
    path.write_bytes(content)
    if opens:
        assert data_key.read_key(path) == KEY
        return
    with pytest.raises(UserError, match="holds no key") as caught:
        data_key.read_key(path)
    assert "sesame" not in str(caught.value)


def test_the_key_comes_from_a_file_or_else_the_environment(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="TFVAE_DATA_KEY in the environment"):
        data_key.read_key()
    with pytest.raises(UserError, match=r"gone\.key' cannot be read"):
        data_key.read_key(tmp_path / "gone.key")
    monkeypatch.setenv(data_key.KEY_VARIABLE, KEY.hex())
    assert data_key.read_key() == KEY == data_key.read_key(tmp_path / "gone.key")
    (tmp_path / "other.key").write_bytes(bytes(32))
    assert data_key.read_key(tmp_path / "other.key") == bytes(32)
