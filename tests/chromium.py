"""Headless Chromium, driven by Playwright, on pages served from loopback."""

import contextlib
import functools
import http.server
import os
import shutil
import threading

import pytest

# Chromium refuses its sandbox to root, and would otherwise call hosts of its own, which no test may.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def absent(reason):
    """Skip the test, saying why; where CI has promised a browser (`TFVAE_REQUIRE_CHROMIUM`), fail instead."""
    if os.environ.get("TFVAE_REQUIRE_CHROMIUM"):
        pytest.fail(f"TFVAE_REQUIRE_CHROMIUM is set, but {reason}")
    pytest.skip(reason)


@contextlib.contextmanager
def chromium():
    """A browser; the test is skipped where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        absent("Chromium is not installed (Debian: apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed (pip install -e '.[test]')")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def served(folder):
    """The URL of `folder` on a static server of its own, and the list of paths that it did not find."""
    missing = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_error(self, code, message=None, explain=None):
            missing.append((code, self.path))
            super().send_error(code, message, explain)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", missing
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
