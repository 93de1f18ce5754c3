"""Kits for TensorFlow Serving, made once for all tests of a worker."""

import pytest
from kits import made
from tiny_runs import conditional_vae, spatial_vae, vector_vae

import tfvae


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), vector_vae(), "My Digits_2")


@pytest.fixture(scope="session")
def spatial(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), spatial_vae(channels=3), "scans")


@pytest.fixture(scope="session")
def conditional(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), conditional_vae(), "labelled")


@pytest.fixture(scope="session")
def codec(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), tfvae.Codec(1, (6, 8), 5, hyper_dim=4, hyper_width=8, seed=0), "files")


@pytest.fixture(scope="session")
def server(digits):
    from serving_stand_in import StandIn  # needs grpc, without which the tests are skipped

    with StandIn(digits[0] / "saved_model/1", "My_Digits_2") as stand_in:
        yield stand_in
