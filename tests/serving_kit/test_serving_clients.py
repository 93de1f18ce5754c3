"""The clients of the folder `serving/` get Keras's answers, also over TLS."""

import ast
import datetime
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image

grpc = pytest.importorskip("grpc")
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
from kits import SSL, text  # noqa: E402
from serving_stand_in import StandIn  # noqa: E402
from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402


def test_the_clients_need_no_tensorflow(digits):
    for name, allowed in {
        "client_rest.py": {"numpy", "client"}, "client.py": {"decoding", "numpy", "PIL"}, "ssl_config.py": set(),
        "decoding.py": {"numpy", "PIL"},
        "client_grpc.py": {"client", "grpc", "predict_messages"}, "predict_messages.py": {"numpy", "google"},
    }.items():  # fmt: skip
        tree = ast.parse(text(digits[0], name))
        found = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        found = {module.partition(".")[0] for module in found}
        assert found - sys.stdlib_module_names <= allowed, name


def call(folder, way, server, *arguments, **places):
    """Runs a client as a person would; its exit code, output and error."""
    where = ["--url", f"http://127.0.0.1:{server.rest_port}"]
    if way == "grpc":
        where = ["--server", f"localhost:{server.grpc_port}"]
    script = folder / "serving" / f"client_{way}.py"
    command = [sys.executable, str(script), *map(str, arguments), *where]
    process = subprocess.run(command, capture_output=True, text=True, **places)
    return process.returncode, process.stdout, process.stderr


def pixels(path):
    return np.asarray(Image.open(path), np.int64)


def as_pixels(image):
    return np.round(255.0 * np.asarray(image)).astype(np.int64).squeeze(-1)


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_client_brings_back_what_keras_answers(way, digits, server, tmp_path):
    folder, work = digits
    rng = np.random.default_rng(0)
    for i in (1, 2):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / f"{i}.png")
    images = np.stack([pixels(tmp_path / f"{i}.png") for i in (1, 2)])[..., None].astype(np.float32) / 255
    files = [tmp_path / "1.png", tmp_path / "2.png"]

    out = tmp_path / "rebuilt.png"
    code, printed, error = call(folder, way, server, "reconstruct", *files, "--out", out)
    assert (code, printed.split(), error) == (0, [str(tmp_path / f"rebuilt_{i}.png") for i in (1, 2)], "")
    assert server.seen[-1] == ("reconstruct", 2)  # one request for both
    expected = np.asarray(work.model.reconstruct(images)["image"])
    for i in (0, 1):
        # A value on the edge of two levels may fall on either side.
        assert abs(pixels(tmp_path / f"rebuilt_{i + 1}.png") - as_pixels(expected[i])).max() <= 1

    codes = tmp_path / "codes.json"
    assert call(folder, way, server, "encode", *files, "--out", codes)[0] == 0
    table = json.loads(codes.read_text())
    for name, value in work.model.encode(images).items():
        np.testing.assert_allclose(table[name], value, rtol=0, atol=1e-5)

    assert call(folder, way, server, "decode", codes, "--out", tmp_path / "decoded.png")[0] == 0
    assert abs(pixels(tmp_path / "decoded_2.png") - pixels(tmp_path / "rebuilt_2.png")).max() <= 1

    arguments = ["generate", "--count", "1", "--seed", "3", "--out", tmp_path / "new.png"]
    assert call(folder, way, server, *arguments)[0] == 0
    noise = np.random.default_rng(3).standard_normal((1, 3)).astype(np.float32)
    assert abs(pixels(tmp_path / "new.png") - as_pixels(work.model.generate(noise)["image"])).max() <= 1


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_pictures_of_any_size_go_one_by_one_where_the_model_takes_any(way, spatial, tmp_path):
    folder, _ = spatial
    sizes = [(9, 14), (12, 8)]  # height, width
    for i, (height, width) in enumerate(sizes):
        Image.fromarray(np.full((height, width, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    with StandIn(folder / "saved_model/1", "scans") as server:
        files = [tmp_path / "0.png", tmp_path / "1.png"]
        code, printed, _ = call(folder, way, server, "reconstruct", *files, "--out", tmp_path / "out.png")
        assert code == 0 and server.seen == [("reconstruct", 1)] * 2
        assert [pixels(path).shape for path in printed.split()] == [(*size, 3) for size in sizes]
        arguments = ["generate", "--count", "1", "--size", "10x6", "--out", tmp_path / "new.png"]
        assert call(folder, way, server, *arguments)[0] == 0
        assert pixels(tmp_path / "new.png").shape == (12, 8, 3)  # whole multiples of the factor, 4


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_client_names_the_label_of_a_conditional_model(way, conditional, digits, server, tmp_path):
    folder, work = conditional
    out = tmp_path / "new.png"
    with StandIn(folder / "saved_model/1", "labelled") as labelled:
        code, _, error = call(folder, way, labelled, "generate", "-n", 1, "--seed", 2, "--label", 7, "--out", out)
        assert (code, error) == (0, "")
        noise = np.random.default_rng(2).standard_normal((1, 3)).astype(np.float32)
        expected = as_pixels(work.model.generate(noise, labels=[7])["image"][0])
        assert abs(pixels(out) - expected).max() <= 1
        code, _, error = call(folder, way, labelled, "generate", "--label", "seven")
        assert code == 2 and "--label must be one of 0, 1, 2" in error
        code, _, error = call(folder, way, labelled, "generate")
        assert code == 2 and "--label must be one of" in error
    code, _, error = call(digits[0], way, server, "generate", "--label", 7)
    assert code == 2 and "takes no --label" in error


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_client_decodes_codes_of_a_codec_at_their_quality(way, codec, digits, server, tmp_path):
    (folder, work), out, codes = codec, tmp_path / "decoded.png", tmp_path / "codes.json"
    z = np.random.default_rng(0).normal(0, 3, (1, 2, 3, 5)).round().astype(np.float32)
    codes.write_text(json.dumps({"z": z.tolist()}))
    expected = {q: as_pixels(work.model.picture(z, np.float32([[q]]))[0]) for q in (50, 80)}
    assert abs(expected[50] - expected[80]).max() > 1
    with StandIn(folder / "saved_model/1", "files") as files:
        for arguments, quality in (([], 50), (["--quality", "80"], 80)):
            code, _, error = call(folder, way, files, "decode", codes, *arguments, "--out", out)
            assert (code, error) == (0, "")
            assert abs(pixels(out) - expected[quality]).max() <= 1
        code, _, error = call(folder, way, files, "decode", codes, "--quality", "101")
        assert code == 2 and "--quality must be from 0 to 100. Received: 101." in error
    code, _, error = call(digits[0], way, server, "generate", "--quality", "80")
    assert code == 2 and "takes no --quality" in error
    assert "decode codes.json --quality 50 --out decoded.png" in text(folder, "README.md")


def test_answers_above_grpc_s_default_arrive(digits, server, monkeypatch):
    folder, work = digits
    monkeypatch.syspath_prepend(str(folder / "serving"))
    for name in ("client", "client_grpc", "predict_messages"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import client
    import client_grpc

    noise = np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32)  # 5.1 MB of images
    model = client.load_model(folder / "serving" / "model.json")
    predict = client_grpc.connect(client_grpc.parse(["generate", "--server", f"localhost:{server.grpc_port}"]))
    answer = predict(model, "generate", {"noise": noise})["image"]
    assert answer.nbytes == client.message_bytes(model, "generate", {"noise": noise}) > 2**22
    np.testing.assert_allclose(answer[-8:], work.model.generate(noise[-8:])["image"], rtol=0, atol=1e-5)
    # What the client is for: without its limit the same answer is refused.
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        request = prediction_log_pb2.PredictionLog().predict_log.request
        request.model_spec.name, request.model_spec.signature_name = "My_Digits_2", "generate"
        request.inputs["noise"].CopyFrom(tf.make_tensor_proto(noise))
        with pytest.raises(grpc.RpcError) as refused:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_sizes_of_messages_of_a_spatial_model_are_known(spatial, monkeypatch):
    folder, work = spatial
    monkeypatch.syspath_prepend(str(folder / "serving"))
    monkeypatch.delitem(sys.modules, "client", raising=False)
    import client

    model = client.load_model(folder / "serving" / "model.json")
    image = np.zeros((2, 9, 14, 3), np.float32)
    for signature, inputs in {"reconstruct": {"image": image}, "encode": {"image": image},
                              "decode": {"z": np.zeros((2, 3, 4, 2), np.float32)}}.items():  # fmt: skip
        outputs = getattr(work.model, signature)(*inputs.values())
        sizes = [sum(v.nbytes for v in inputs.values()), sum(np.asarray(v).nbytes for v in outputs.values())]
        assert client.message_bytes(model, signature, inputs) == max(sizes)


def test_rows_and_columns_of_the_documented_rest_interface_agree(digits, server, tmp_path):
    import urllib.error
    import urllib.request

    def post(**body):
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/My_Digits_2:predict"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
            return json.load(answer)

    z = [[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]
    columns = post(signature_name="decode", inputs={"z": z})["outputs"]
    assert columns == post(signature_name="decode", inputs=z)["outputs"]
    assert columns == post(signature_name="decode", instances=z)["predictions"]
    assert columns == post(signature_name="decode", instances=[{"z": row} for row in z])["predictions"]
    rows = post(signature_name="encode", instances=columns)["predictions"]
    assert [row["mean"] for row in rows] == post(signature_name="encode", inputs=columns)["outputs"]["mean"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        post(signature_name="encode", instances=[{"b64": "aW1hZ2U="}])
    # The example of the kit's README, as it stands there.
    body = text(digits[0], "README.md").partition("-d \\\n")[2].strip().splitlines()[0].strip("'")
    assert np.shape(post(**json.loads(body))["outputs"]) == (1, 8, 8, 1)


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_what_cannot_be_is_one_line(way, digits, server, tmp_path):
    folder, _ = digits
    (tmp_path / "no.png").write_text("no picture")
    (tmp_path / "codes.json").write_text('{"z": [[1.0, 2.0]]}')
    (tmp_path / "other.json").write_text(text(folder, "model.json").replace("My_Digits_2", "other"))
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    nowhere = ["--url", "http://127.0.0.1:9"] if way == "rest" else ["--server", "localhost:9"]
    for arguments, said in [
        (["reconstruct", tmp_path / "no.png"], "not a picture"),
        (["reconstruct", tmp_path / "absent.png"], "No such file"),
        (["reconstruct"], "needs a file"),
        (["decode", tmp_path / "1.png"], "expected a JSON file"),
        (["decode", tmp_path / "codes.json"], "has shape (1, 2), not (None, 3)"),
        (["generate", "--count", "0"], "must be 1 or more"),
        (["generate", "--size", "10"], "must be HEIGHTxWIDTH"),
        (["paint"], "invalid choice"),
        (["generate", "--model", tmp_path / "other.json"], "Servable not found"),
        (["generate", *nowhere], "refused" if way == "rest" else "UNAVAILABLE"),
    ]:
        if nowhere[0] in arguments:
            script = folder / "serving" / f"client_{way}.py"
            process = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=tmp_path)
            code, error = process.returncode, process.stderr
        else:
            code, _, error = call(folder, way, server, *arguments, cwd=tmp_path)
        assert code == 2 and error.startswith(f"client_{way}: error: ") and error.count("\n") == 1, error
        assert said in error


# TLS


def certificates(folder):
    """A throw-away authority, with a certificate for `localhost` and one for a client; made here, kept nowhere."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    for who in ("ca", "localhost", "client"):
        key = authority if who == "ca" else ec.generate_private_key(ec.SECP256R1())
        built = x509.CertificateBuilder().subject_name(name(who)).issuer_name(name("ca")).public_key(key.public_key())
        built = built.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
        built = built.not_valid_after(now + datetime.timedelta(1))
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(who)]), False)
        built = built.add_extension(x509.BasicConstraints(who == "ca", None), True)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{who}.key").write_bytes(private)
        signed = built.sign(authority, hashes.SHA256())
        (folder / f"{who}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("mutual", [False, True])
def test_the_tls_file_holds_what_serving_wants_and_the_client_talks_to_it(mutual, digits, tmp_path):
    folder, _ = digits
    certificates(tmp_path)
    script = folder / "serving" / "ssl_config.py"
    command = [sys.executable, script, "--key", "localhost.key", "--cert", "localhost.crt"]
    command += ["--client-ca", "ca.crt"] if mutual else []
    written = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    config = text_format.Parse(written, SSL())
    assert config.server_key == (tmp_path / "localhost.key").read_text()
    # As Serving's server.cc turns the message into credentials.
    credentials = grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        config.custom_ca.encode() or None,
        config.client_verify,
    )
    with StandIn(folder / "saved_model/1", "My_Digits_2", credentials) as server:
        arguments = ["generate", "--count", "1", "--ca", "ca.crt", "--timeout", "5"]
        identity = ["--cert", "client.crt", "--key", "client.key"] if mutual else []
        assert call(folder, "grpc", server, *arguments, *identity, cwd=tmp_path)[0] == 0
        code, _, error = call(folder, "grpc", server, "generate", "--timeout", "2", cwd=tmp_path)
        assert code == 2 and error.count("\n") == 1
        if mutual:
            assert call(folder, "grpc", server, *arguments, cwd=tmp_path)[0] == 2


def test_the_tls_template_is_the_message_and_no_key_is_in_the_bundle(digits):
    template = text(digits[0], "ssl.config.template")
    config = text_format.Parse(template, SSL())
    assert config.server_key == "@SERVER_KEY@" and not config.client_verify
    open_text = template.replace("# custom_ca", "custom_ca").replace("# client_verify", "client_verify")
    assert text_format.Parse(open_text, SSL()).client_verify
    for file in Path(digits[0]).rglob("*"):
        assert not file.is_file() or b"-----BEGIN PRIVATE" not in file.read_bytes()


def test_files_that_are_no_pem_are_named(digits, tmp_path):
    (tmp_path / "key").write_text("secret")
    command = [sys.executable, digits[0] / "serving" / "ssl_config.py", "--key", "key", "--cert", "key"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode != 0 and process.stderr.count("\n") == 1 and "key: expected a PEM file" in process.stderr
