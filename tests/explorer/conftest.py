"""A browser, explorers of three kinds of models, and pages of them that may not complain."""

import json
import tempfile
from pathlib import Path

import pytest
from chromium import absent, chromium, served
from pages import MADE
from tiny_runs import write_run

from export import bundle, parity
from export.artefacts import Artefact
from export.formats import tflite
from export.kits import explorer
from export.kits.explorer import litert_js
from tfvae.errors import UserError
from tfvae.runs import open_run
from tfvae.serving import write_saved_model


@pytest.fixture(scope="module")
def browser():
    try:
        litert_js.files()
    except UserError as error:
        absent(str(error))
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def made(browser, tmp_path_factory):
    """By kind of model: the folder of its explorer, and what its export worked on; made once."""
    folders = {}

    def make_explorer(kind):
        if kind not in folders:
            model, size = MADE[kind][0](), MADE[kind][1]
            folder = tmp_path_factory.mktemp(kind)
            run = open_run(write_run(folder / "run", model, limit=300))
            work = bundle._prepare(run, size, parity.BOUNDS, lambda line: None)
            artefacts = []
            with tempfile.TemporaryDirectory() as static:
                write_saved_model(work.model, static, batch=1, size=work.size, to_convert=True)
                for name, signature in zip(explorer.MODELS, ("encode", "decode"), strict=True):
                    (folder / name).write_bytes(tflite.convert(Path(static), signature, "float32"))
                    artefacts.append(Artefact(name, {}))
            explorer.write(work, artefacts, folder)
            folders[kind] = folder, work
        return folders[kind]

    return make_explorer


@pytest.fixture(scope="module")
def server(made):
    """The URL below which all explorers are served, and what was asked for and not there."""
    with served(made("vae")[0].parent) as (url, missing):
        yield url, missing


@pytest.fixture(scope="module")
def contexts(browser):
    """Contexts by their settings: pages that share one share its cache, which saves a second for each."""
    kept = {}
    yield (
        lambda **settings: (
            kept.get(key := json.dumps(settings)) or kept.setdefault(key, browser.new_context(**settings))
        )
    )
    for context in kept.values():
        context.close()


@pytest.fixture
def visit(contexts, made, server):
    """`visit(kind, **settings)`: an opened page, and what its export worked on. No page may complain or call out."""
    (url, missing), complaints, pages = server, [], []

    def opened(kind="vae", **settings):
        folder, work = made(kind)
        page = contexts(**settings).new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(url) or complaints.append(request.url))
        # A path below the server's root: everything is found by relative addresses.
        page.goto(f"{url}/{folder.name}/explorer/")
        page.wait_for_selector("#explorer:not([hidden])")
        page.evaluate("explorer.ready.then(() => null)")
        return page, work

    yield opened
    for page in pages:
        page.close()
    assert not complaints and not missing
