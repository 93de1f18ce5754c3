"""The table of every model with every network."""

import pytest
from tiny_runs import only

import tfvae
from benchmarks import export_survey
from export.artefacts import Artefact
from export.parity import BOUNDS, Verdict
from tfvae.data import DataConfig
from tfvae.networks import NETWORKS
from tfvae.runs import open_run

# Of the combinations, those that are made in any case: each latent once. The contract in test_models.py has every
# network.
QUICK = [("vae", "conv", "spatial"), ("vae", "mlp", "vector"), ("autoencoder", "mlp", "vector")]


def test_every_model_that_decodes_a_code_and_every_network_is_surveyed():
    found = export_survey.combinations()
    decoding = {name for name, model in tfvae.MODELS.items() if hasattr(model, "decode")}
    assert {model for model, _, _ in found} == decoding
    assert {(network, "vector") for network in NETWORKS} <= {names[1:] for names in found}
    assert {network for _, network, latent in found if latent == "spatial"} == {
        name for name, facts in NETWORKS.items() if facts.pyramid
    }


@pytest.mark.parametrize(
    "names",
    [
        names if names in QUICK else pytest.param(names, marks=pytest.mark.slow)
        for names in export_survey.combinations()
    ],
    ids=" ".join,
)
def test_every_combination_can_be_made(names, tmp_path, monkeypatch):
    monkeypatch.setattr(export_survey, "EPOCHS", 1)
    monkeypatch.setattr(export_survey, "DATA", DataConfig(source="digits", limit=90))  # one step or two
    export_survey.train(tmp_path / "run", *names)
    assert open_run(tmp_path / "run").load_model().name


@pytest.mark.slow
def test_a_surveyed_model_is_a_row_within_its_bounds():
    with only("float32", "int8"):
        row = next(export_survey.survey("vae mlp", lambda line: None))  # the hierarchical one comes later
    assert all(artefact.written for artefact in row.artefacts)
    lines = export_survey.table([row]).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| vae | mlp | vector | ") and "**" not in lines[2]
    # Ten epochs teach it something: otherwise the figures would be those of an empty network.
    assert row.artefacts[0].verdicts["reconstruct"].figures["psnr_keras_db"] > 12


@pytest.mark.parametrize(("value", "shown"), [(0.2, "0.200"), (0.9, "**0.900**")])
def test_the_worst_figure_is_shown_and_bold_where_it_is_out_of_bound(value, shown):
    limit = BOUNDS["int8"].limit
    verdicts = [Verdict("psnr_drop_db", figure, limit, figure <= limit) for figure in (0.1, value)]
    facts = {"variant": "int8", "size_ratio": 0.27}
    row = export_survey.Row("vae", "mlp", "vector", [Artefact(str(v.value), {"decode": v}, facts) for v in verdicts])
    assert export_survey.table([row]).splitlines()[2].endswith(f"| {shown} | 0.27–0.27 |")
