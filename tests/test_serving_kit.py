"""The folder `serving/` of a bundle: its files say what Serving reads, and its clients get Keras's answers."""

import ast
import datetime
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from PIL import Image
from tiny_runs import spatial_vae, vector_vae, write_run

from export import bundle
from export.kits.serving import kit, warmup
from export.kits.serving.files import predict_messages as messages
from export.parity import BOUNDS, Bound

grpc = pytest.importorskip("grpc")
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
from serving_stand_in import StandIn  # noqa: E402
from tensorflow_serving.apis import prediction_service_pb2_grpc  # noqa: E402
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402


def made(folder, model, name, bounds=BOUNDS, **data):
    """A bundle as far as serving needs it: the SavedModel and `serving/`; with the model and the work."""
    run = write_run(folder / name, model, **data)
    work = bundle._prepare(bundle.open_run(run), None, bounds, lambda line: None)
    place = folder / f"{name}.bundle"
    place.mkdir()
    kit.write(work, [bundle._saved_model(work, place, lambda line: None)], place)
    return place, work


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), vector_vae(), "My Digits_2")


@pytest.fixture(scope="module")
def spatial(tmp_path_factory):
    return made(tmp_path_factory.mktemp("kit"), spatial_vae(channels=3), "scans")


@pytest.fixture(scope="module")
def server(digits):
    with StandIn(digits[0] / bundle.SAVED_MODEL, "My_Digits_2") as stand_in:
        yield stand_in


# The files


def message(name, fields, *parts):
    """A protobuf class by its .proto text's names, types and numbers; a type that ends in * is repeated."""
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    for part, table in [*parts, (name, fields)]:
        described = file.message_type.add(name=part)
        for field, (number, kind) in table.items():
            label = types.LABEL_REPEATED if kind.endswith("*") else types.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            entry = described.field.add(name=field, number=number, label=label)
            if hasattr(types, f"TYPE_{kind.upper()}"):
                entry.type = getattr(types, f"TYPE_{kind.upper()}")
            else:
                entry.type, entry.type_name = types.TYPE_MESSAGE, f".{name}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{name}.{name}"))


# tensorflow_serving/servables/tensorflow/session_bundle_config.proto, config/monitoring_config.proto, ssl_config.proto:
# the Python package does not have them.
WRAPPERS = [("Int64Value", {"value": (1, "int64")}), ("StringValue", {"value": (1, "string")})]
BATCHING = message(
    "BatchingParameters",
    {
        "max_batch_size": (1, "Int64Value"), "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"), "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"), "allowed_batch_sizes": (6, "int64*"),
        "pad_variable_length_inputs": (7, "bool"),
    },
    *WRAPPERS,
)  # fmt: skip
PROMETHEUS = {"enable": (1, "bool"), "path": (2, "string")}
MONITORING = message(
    "MonitoringConfig", {"prometheus_config": (1, "PrometheusConfig")}, ("PrometheusConfig", PROMETHEUS)
)
SSL_FIELDS = {"server_key": (1, "string"), "server_cert": (2, "string"), "custom_ca": (3, "string")}
SSL = message("SSLConfig", {**SSL_FIELDS, "client_verify": (4, "bool")})


def text(folder, name):
    return (folder / "serving" / name).read_text(encoding="utf-8")


def test_serving_reads_which_model_to_serve(digits):
    config = text_format.Parse(text(digits[0], "models.config"), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("My_Digits_2", "/models/My_Digits_2", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1


@pytest.mark.parametrize("made_kit", ["digits", "spatial"])
def test_the_allowed_batches_are_what_serving_demands(made_kit, request):
    folder, work = request.getfixturevalue(made_kit)
    batching = text_format.Parse(text(folder, "batching_parameters.txt"), BATCHING())
    allowed = list(batching.allowed_batch_sizes)
    assert allowed == sorted(set(allowed)) and allowed[-1] == batching.max_batch_size.value
    image = 4 * math.prod(work.size) * work.model.image_shape[-1]
    assert (
        batching.max_batch_size.value == 256 or image * batching.max_batch_size.value <= 2**22 < 2 * image * allowed[-1]
    )
    assert not batching.pad_variable_length_inputs


# Images of side × side × 3 float32 numbers, in the 4 MiB of a message.
@pytest.mark.parametrize(("side", "batch"), [(8, 256), (64, 64), (256, 4), (1024, 1)])
def test_a_full_batch_is_the_largest_power_of_two_that_fits_a_message(side, batch):
    assert kit.largest_batch(4 * 3 * side * side) == batch
    assert kit.allowed_batches(batch) == [n for n in range(1, 257) if n <= batch and n & (n - 1) == 0]


def test_monitoring_is_on_where_the_cluster_looks_for_it(digits):
    config = text_format.Parse(text(digits[0], "monitoring.config"), MONITORING()).prometheus_config
    deployment = yaml.safe_load(text(digits[0], "kubernetes/deployment.yaml"))
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert config.enable and annotations["prometheus.io/path"] == config.path
    assert annotations["prometheus.io/port"] == "8501"


@pytest.mark.parametrize("made_kit", ["digits", "spatial"])
def test_compose_mounts_what_its_flags_name(made_kit, request):
    folder, _ = request.getfixturevalue(made_kit)
    ((name, service),) = yaml.safe_load(text(folder, "compose.yaml"))["services"].items()
    assert name == kit.dns_name(name) and service["image"] == "tensorflow/serving:2.20.0"
    mounts = dict(volume.removesuffix(":ro").split(":") for volume in service["volumes"])
    assert all((folder / "serving" / source).exists() for source in mounts)
    files = [flag.partition("=")[2] for flag in service["command"] if "=/" in flag]
    assert files and set(files) <= set(mounts.values())
    config = text_format.Parse(text(folder, "models.config"), model_server_config_pb2.ModelServerConfig())
    assert mounts["../saved_model"] == config.model_config_list.config[0].base_path
    # Images of different sizes cannot share a batch, so a model that takes any size starts without.
    assert ("--enable_batching=true" in service["command"]) == (made_kit == "digits")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("made_kit", ["digits", "spatial"])
def test_the_image_copies_files_that_exist_and_starts_like_compose(made_kit, request):
    folder, _ = request.getfixturevalue(made_kit)
    lines = [line for line in text(folder, "Dockerfile").splitlines() if line and line[0] != "#"]
    assert lines[0] == "FROM tensorflow/serving:2.20.0"
    copied = [source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]]
    assert "saved_model" in copied and all((folder / source).exists() for source in copied)
    (command,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD"))
    (service,) = yaml.safe_load(text(folder, "compose.yaml"))["services"].values()
    assert command == service["command"]


def test_the_manifests_belong_together(digits):
    tables = [yaml.safe_load(text(digits[0], f"kubernetes/{n}.yaml")) for n in ("deployment", "service", "autoscaler")]
    deployment, service, autoscaler = tables
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    labels = template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "http": 8501}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v1/models/My_Digits_2", "port": "http"}
    target = autoscaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"] and autoscaler["spec"]["minReplicas"] >= 2
    assert {table["metadata"]["name"] for table in tables} == {"my-digits-2"}


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash, which the image has")
def test_the_health_check_tells_a_model_that_is_there(digits, server):
    (service,) = yaml.safe_load(text(digits[0], "compose.yaml"))["services"].values()
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    command = [part.replace("8501", str(server.rest_port)) for part in command]
    assert subprocess.run(command, capture_output=True).returncode == 0
    absent = [part.replace("My_Digits_2", "other") for part in command]
    assert subprocess.run(absent, capture_output=True).returncode != 0


def test_no_token_is_left_and_only_the_operator_s_are_meant_for_later(digits, spatial):
    for folder, _ in (digits, spatial):
        for file in (folder / "serving").rglob("*"):
            if file.is_file() and file.suffix not in (".template", ".py"):
                assert "@" not in file.read_text(encoding="utf-8"), file
    with pytest.raises(KeyError):
        kit.filled("@NOBODY_KNOWS@", {})


def test_the_readme_says_what_did_not_run(digits):
    readme = " ".join(text(digits[0], "README.md").split())
    assert "**Not run**: TensorFlow Serving itself, Docker, Kubernetes." in readme


@pytest.mark.parametrize(
    ("run", "name", "dns"),
    [("digits", "digits", "digits"), ("Faces (new)/é", "Faces_new", "faces-new"), ("...", "model", "model"),
     ("a" * 80, "a" * 80, "a" * 63)],
)  # fmt: skip
def test_names_are_what_urls_and_clusters_take(run, name, dns):
    assert kit.serving_name(run) == name
    assert kit.dns_name(kit.serving_name(run)) == dns


def test_a_withheld_saved_model_is_not_served(tmp_path):
    folder, _ = made(tmp_path, vector_vae(), "bad", {**BOUNDS, "saved_model": Bound("max_abs", -1.0)})
    assert not (folder / "serving").exists()


# Warm-up


@pytest.mark.parametrize("made_kit", ["digits", "spatial"])
def test_serving_s_own_messages_read_the_warm_up_and_the_model_answers_it(made_kit, request):
    folder, work = request.getfixturevalue(made_kit)
    path = folder / "saved_model" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    module = tf.saved_model.load(str(folder / "saved_model" / "1"))
    name = json.loads(text(folder, "model.json"))["name"]
    seen = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request_ = log.predict_log.request
        assert request_.model_spec.name == name
        inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request_.inputs.items()}
        outputs = module.signatures[request_.model_spec.signature_name](**inputs)
        assert all(np.isfinite(value).all() for value in outputs.values())
        seen.add((request_.model_spec.signature_name, len(next(iter(inputs.values())))))
    batches = kit.allowed_batches(kit.largest_batch(4 * math.prod(work.size) * work.model.image_shape[-1]))
    assert seen == {(signature, batch) for signature in module.signatures for batch in batches}
    assert path.stat().st_size < 200_000


def test_more_warm_up_than_serving_takes_is_refused(digits, tmp_path):
    with pytest.raises(ValueError, match="at most 1000 records"):
        warmup.write(tmp_path, "name", digits[1].model, digits[1].size, [1] * 201)


@pytest.mark.parametrize("name", messages.MESSAGES)
def test_the_client_s_messages_have_serving_s_names_and_numbers(name):
    tensor = tf.make_tensor_proto(0.0)
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    official = {
        "Int64Value": request.model_spec.version, "Dim": tensor.tensor_shape.dim.add(),
        "TensorShapeProto": tensor.tensor_shape, "TensorProto": tensor, "ModelSpec": request.model_spec,
        "PredictRequest": request, "PredictResponse": log.predict_log.response, "PredictLog": log.predict_log,
        "PredictionLog": log,
    }[name].DESCRIPTOR  # fmt: skip
    wire = {"int32": "varint", "int64": "varint", "bool": "varint", "enum": "varint"}
    kinds = {getattr(field, f"TYPE_{kind.upper()}"): wire.get(kind, kind) for field in [official.fields[0]] for kind in
             ("int32", "int64", "bool", "enum", "float", "string", "bytes", "message")}  # fmt: skip
    for mine in messages.CLASSES[name].DESCRIPTOR.fields:
        theirs = official.fields_by_name[mine.name]
        assert (mine.number, kinds[mine.type]) == (theirs.number, kinds[theirs.type]), mine.name
        assert mine.is_repeated == theirs.is_repeated, mine.name


def test_tensors_of_too_few_numbers_are_refused():
    proto = messages.PredictRequest().inputs["x"]
    messages.write_tensor(proto, np.zeros((2, 3), np.float32))
    proto.tensor_shape.dim[0].size = 3
    with pytest.raises(ValueError, match="expected 9 numbers"):
        messages.read_tensor(proto)
    messages.write_constant(other := messages.PredictRequest().inputs["x"], (2, 2), 0.5)
    assert messages.read_tensor(other).tolist() == [[0.5, 0.5], [0.5, 0.5]]


# The clients


def test_the_clients_need_no_tensorflow(digits):
    for name, allowed in {
        "client_rest.py": {"numpy", "client"}, "client.py": {"numpy", "PIL"}, "ssl_config.py": set(),
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
    with StandIn(folder / bundle.SAVED_MODEL, "scans") as server:
        files = [tmp_path / "0.png", tmp_path / "1.png"]
        code, printed, _ = call(folder, way, server, "reconstruct", *files, "--out", tmp_path / "out.png")
        assert code == 0 and server.seen == [("reconstruct", 1)] * 2
        assert [pixels(path).shape for path in printed.split()] == [(*size, 3) for size in sizes]
        arguments = ["generate", "--count", "1", "--size", "10", "6", "--out", tmp_path / "new.png"]
        assert call(folder, way, server, *arguments)[0] == 0
        assert pixels(tmp_path / "new.png").shape == (12, 8, 3)  # whole multiples of the factor, 4


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
        (["reconstruct", tmp_path / "no.png"], "cannot identify image file"),
        (["reconstruct", tmp_path / "absent.png"], "No such file"),
        (["reconstruct"], "needs a file"),
        (["decode", tmp_path / "1.png"], "expected a JSON file"),
        (["decode", tmp_path / "codes.json"], "has shape (1, 2), not (None, 3)"),
        (["generate", "--count", "0"], "must be 1 or more"),
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
    with StandIn(folder / bundle.SAVED_MODEL, "My_Digits_2", credentials) as server:
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
