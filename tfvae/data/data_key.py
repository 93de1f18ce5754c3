"""The key of encrypted data: 32 bytes, from a file or the environment, and out of the sight of other processes."""

import base64
import binascii
import contextlib
import ctypes
import os
import secrets
from pathlib import Path

from tfvae.errors import UserError
from tfvae.file_names import user_path

KEY_VARIABLE = "TFVAE_DATA_KEY"
KEY_BYTES = 32


def new_key() -> str:
    """A fresh key as a line of text: base64 of 32 random bytes."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def read_key(key_file: str | Path = "") -> bytes:
    """The key in `key_file`, or else in the environment variable TFVAE_DATA_KEY.

    Accepted are 32 bytes as base64 or hexadecimal text; in a file also as they are, unless they are text: 32 letters
    are a passphrase, or a key that was cut short, and no random bytes (a chance of one in 10**13).

    Raises:
        UserError: No key, or something that is none. The message never holds what was read.
    """
    variable = os.environ.get(KEY_VARIABLE, "")
    path = user_path(key_file)
    if not variable and not key_file:
        raise UserError(
            f"encrypted data need their key. Accepted: data.key_file=FILE, or {KEY_VARIABLE} in the environment."
        )
    # A run that was moved may have lost sight of its key file.
    if key_file and (path.exists() or not variable):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"key file '{path}' cannot be read ({error.strerror}).") from error
        raw = len(content) == KEY_BYTES and not _is_text(content)
        key = content if raw else _decoded(content)
        where = f"key file '{path}'"
    else:
        key, where = _decoded(variable.encode()), KEY_VARIABLE
    if key is None:
        raise UserError(f"{where} holds no key. Accepted: {KEY_BYTES} bytes as base64 or hexadecimal text.")
    return key


def hide_key() -> None:
    """Takes the key out of the environment that other processes inherit, or read of this one in `/proc`.

    `os.environ` keeps it, so that this process can read it again.
    """
    if KEY_VARIABLE not in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError, TypeError):  # Windows has no `/proc` either
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        # The system shows the memory in which it passed the variables on, for as long as the process runs.
        if place := getenv(KEY_VARIABLE.encode()):
            ctypes.memset(place, 0, len(ctypes.string_at(place)))
    os.unsetenv(KEY_VARIABLE)


def _is_text(content: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r" for byte in content)


def _decoded(text: bytes) -> bytes | None:
    """32 bytes from their hexadecimal or base64 form; None when it is neither."""
    text = text.strip()
    try:
        key = (
            bytes.fromhex(text.decode("ascii")) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
        )
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == KEY_BYTES else None
