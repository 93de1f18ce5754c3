"""LiteRT.js, from the npm registry, a folder or the cache: always the same bytes.

The files are Google's, under the Apache-2.0 licence, unmodified. Only the plain builds are taken: the one for browsers
with relaxed SIMD and the one for browsers without; the threaded build hung on a second model.
"""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tfvae.errors import UserError

VERSION = "2.5.3"
VARIABLE = "TFVAE_LITERT_JS"
REGISTRY = "https://registry.npmjs.org"
SECONDS = 180  # a download of 10 MB on a slow line

WASM = [f"litert_wasm{kind}_internal.{end}" for kind in ("", "_compat") for end in ("js", "wasm")]


@dataclass(frozen=True)
class Package:
    """One npm package: its name, the SHA-512 of its archive as npm writes it, and which of its files are used."""

    name: str
    integrity: str
    members: dict[str, str]  # path in the archive: path beneath `litert/`

    @property
    def archive(self) -> str:
        """File name that `npm pack` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{VERSION}.tgz"

    @property
    def url(self) -> str:
        """Where the registry keeps it."""
        return f"{REGISTRY}/{self.name}/-/{self.name.partition('/')[2]}-{VERSION}.tgz"


PACKAGES = (
    Package(
        "@litertjs/core",
        "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        {"package/dist/index.js": "core/index.js", **{f"package/wasm/{name}": f"wasm/{name}" for name in WASM}},
    ),
    Package(
        "@litertjs/wasm-utils",
        "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        {"package/dist/index.js": "wasm-utils/index.js"},
    ),
)


def files() -> dict[str, bytes]:
    """Content of each file of the runtime, by its path beneath `litert/`.

    The archives come from the folder named by `TFVAE_LITERT_JS`, which then has to hold them, else from the cache
    (`$XDG_CACHE_HOME/tfvae`, by default `~/.cache/tfvae`), else from the npm registry, and then they are cached.

    Raises:
        UserError: When an archive cannot be had, or is not the one that is expected.
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else cache()
    found: dict[str, bytes] = {"NOTICE.txt": _notice().encode()}
    for package in PACKAGES:
        path = folder / package.archive
        if not named and not (path.is_file() and _fits(package, path.read_bytes())):
            _download(package, path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{VARIABLE}={named}: {package.archive} cannot be read there. {_packed()}") from error
        if not _fits(package, content):
            raise UserError(f"{path}: not {package.name} {VERSION} (its SHA-512 differs). {_packed()}")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member, place in package.members.items():
                found[place] = archive.extractfile(member).read()  # type: ignore[union-attr]
    return found


def cache() -> Path:
    """The folder that downloads are kept in, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "tfvae"


def _fits(package: Package, content: bytes) -> bool:
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return package.integrity == f"sha512-{digest}"


def _download(package: Package, path: Path) -> None:
    """Fetch the archive; it appears at `path` only when it is the one that is expected."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            content = _npm(package, Path(scratch)) if shutil.which("npm") else _http(package)
            if not _fits(package, content):
                raise UserError(f"{package.url}: not what was published as {VERSION} (its SHA-512 differs).")
            whole = Path(scratch, "whole")
            whole.write_bytes(content)
            whole.replace(path)
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        raise UserError(
            f"--explorer needs {package.name} {VERSION} from the npm registry, once: {reason}. "
            f"Without a network: {VARIABLE}=DIR. {_packed()}"
        ) from error


def _npm(package: Package, scratch: Path) -> bytes:
    """Through npm, which knows the mirror and the proxy that a person has set."""
    command = ["npm", "pack", f"{package.name}@{VERSION}", "--silent", "--loglevel=error", "--pack-destination", "."]
    subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=SECONDS)
    return (scratch / package.archive).read_bytes()


def _http(package: Package) -> bytes:
    with urllib.request.urlopen(package.url, timeout=SECONDS) as answer:
        return answer.read()


def _packed() -> str:
    names = " ".join(f"{package.name}@{VERSION}" for package in PACKAGES)
    return f"Accepted: a folder in which `npm pack {names}` was run."


def _notice() -> str:
    listed = "\n".join(f"  {package.name} {VERSION}, {package.url}\n    {package.integrity}" for package in PACKAGES)
    return (
        "The files in core/, wasm-utils/ and wasm/ are LiteRT.js, copyright 2025 Google LLC, licensed under the\n"
        "Apache License, Version 2.0 (the file LICENSE beside this one), unmodified, from the npm registry:\n\n"
        f"{listed}\n\nSource: https://github.com/google-ai-edge/LiteRT, litert/js/packages.\n"
    )
