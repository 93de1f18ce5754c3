"""The folder `serving/` of a bundle: its files say what Serving reads."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tiny_runs import vector_vae

from export.kits.serving import kit, warmup
from export.kits.serving.files import predict_messages as messages
from export.parity import BOUNDS, Bound

grpc = pytest.importorskip("grpc")
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
from kits import BATCHING, MONITORING, made, text  # noqa: E402
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402


def test_serving_reads_which_model_to_serve(digits):
    config = text_format.Parse(text(digits[0], "models.config"), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("My_Digits_2", "/models/My_Digits_2", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1


@pytest.mark.parametrize("made_kit", ["digits", pytest.param("spatial", marks=pytest.mark.slow)])
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


def default_service(folder):
    """Name and settings of the one service that compose.yaml starts where no profile is asked for."""
    services = yaml.safe_load(text(folder, "compose.yaml"))["services"]
    ((name, service),) = ((name, service) for name, service in services.items() if "profiles" not in service)
    return name, service


@pytest.mark.parametrize("made_kit", ["digits", pytest.param("spatial", marks=pytest.mark.slow)])
def test_compose_mounts_what_its_flags_name(made_kit, request):
    folder, _ = request.getfixturevalue(made_kit)
    name, service = default_service(folder)
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
    assert lines[:2] == ["ARG IMAGE=tensorflow/serving:2.20.0", "FROM ${IMAGE}"]
    copied = [source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]]
    assert "saved_model" in copied and all((folder / source).exists() for source in copied)
    (command,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD"))
    assert command == default_service(folder)[1]["command"]


def test_the_profile_gpu_serves_the_same_from_the_gpu_s_image_and_reserves_a_gpu(digits):
    name, service = default_service(digits[0])
    on_gpu = yaml.safe_load(text(digits[0], "compose.yaml"))["services"][f"{name}-gpu"]
    assert on_gpu.pop("profiles") == ["gpu"]
    (device,) = on_gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert on_gpu == service | {"image": f"{kit.IMAGE}-gpu"}
    readme = text(digits[0], "README.md")
    assert f"--profile gpu up {name}-gpu" in readme and f"--build-arg IMAGE={kit.IMAGE}-gpu" in readme


def test_the_deployment_asks_for_a_gpu_once_its_line_is_uncommented(digits):
    written = text(digits[0], "kubernetes/deployment.yaml")
    changed = yaml.safe_load(written.replace("# nvidia.com/gpu", "nvidia.com/gpu"))
    limits = changed["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1 and limits["memory"].endswith("Gi")


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
    _, service = default_service(digits[0])
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
