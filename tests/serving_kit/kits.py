"""Bundles as far as serving needs them, Serving's configuration messages, and a client run as a person would."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tiny_runs import write_run

from export import bundle
from export.kits.serving import kit
from export.parity import BOUNDS


def made(folder, model, name, bounds=BOUNDS, **data):
    """A bundle as far as serving needs it: the SavedModel and `serving/`; with the model and the work."""
    run = write_run(folder / name, model, **data)
    work = bundle._prepare(bundle.open_run(run), None, bounds, lambda line: None)
    place = folder / f"{name}.bundle"
    place.mkdir()
    kit.write(work, [bundle._saved_model(work, place, "saved_model/1", lambda line: None)], place)
    return place, work


def text(folder, name):
    return (folder / "serving" / name).read_text(encoding="utf-8")


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
