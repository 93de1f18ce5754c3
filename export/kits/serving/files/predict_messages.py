"""TensorFlow Serving's predict messages for protobuf alone, without TensorFlow and without tensorflow-serving-api.

The same bytes on the wire as the classes of tensorflow-serving-api: the names and numbers below are those of
tensorflow/core/framework/tensor.proto and tensorflow_serving/apis/{model,predict,prediction_log}.proto. Only fields
that a client of this model needs are here; others are skipped when a message is read, as protobuf always does.

    request = PredictRequest()
    request.model_spec.name = "digits"
    write_tensor(request.inputs["image"], images)
"""

import math

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PREDICT = "/tensorflow.serving.PredictionService/Predict"  # the method, as gRPC names it
FLOAT32 = 1  # DT_FLOAT of tensorflow.DataType

# Field: number, type. `dtype` is an enumeration in the original, which is an int32 on the wire.
MESSAGES = {
    "Int64Value": {"value": (1, "int64")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "repeated Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "repeated float"),
    },
    "ModelSpec": {"name": (1, "string"), "version": (2, "Int64Value"), "signature_name": (3, "string")},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "map TensorProto"),
        "output_filter": (3, "repeated string"),
    },
    "PredictResponse": {"outputs": (1, "map TensorProto"), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}
# A package of its own in a pool of its own, so that the real messages may live in the same process.
PACKAGE = "predict_messages"


def _classes():
    file = descriptor_pb2.FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label, _, of = kind.rpartition(" ")
            if label == "map":
                entry = message.nested_type.add(name=field.capitalize() + "Entry")
                entry.options.map_entry = True
                _add_field(entry, "key", 1, "string")
                _add_field(entry, "value", 2, of)
                _add_field(message, field, number, f"{name}.{entry.name}", repeated=True)
            else:
                _add_field(message, field, number, of, repeated=label == "repeated")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = (pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in MESSAGES)
    return {descriptor.name: message_factory.GetMessageClass(descriptor) for descriptor in found}


def _add_field(message, name, number, kind, repeated=False):
    types = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=number)
    field.label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
    if kind in ("int32", "int64", "bool", "float", "string", "bytes"):
        field.type = getattr(types, f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = types.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


CLASSES = _classes()
PredictRequest = CLASSES["PredictRequest"]
PredictResponse = CLASSES["PredictResponse"]
PredictionLog = CLASSES["PredictionLog"]


def write_tensor(proto, array):
    """Fill a TensorProto with a float32 array."""
    _describe(proto, array.shape)
    proto.tensor_content = np.ascontiguousarray(array, "<f4").tobytes()


def write_constant(proto, shape, value):
    """Fill a TensorProto with one number for every place: a few bytes, whatever the shape."""
    _describe(proto, shape)
    proto.float_val.append(value)


def read_tensor(proto):
    """The float32 array of a TensorProto, from its bytes or from its list of numbers (what Serving answers with).

    Raises:
        ValueError: When it holds something other than float32, or not as many numbers as its shape says.
    """
    if proto.dtype != FLOAT32:
        raise ValueError(f"expected a float32 tensor (type {FLOAT32}). Received: type {proto.dtype}")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_content:
        values = np.frombuffer(proto.tensor_content, "<f4")
    else:
        values = np.array(proto.float_val, np.float32)
    count = math.prod(shape)
    if 0 < len(values) < count and not proto.tensor_content:
        values = np.pad(values, (0, count - len(values)), mode="edge")  # protobuf's rule: the last number goes on
    if len(values) != count:
        raise ValueError(f"expected {count} numbers for shape {shape}. Received: {len(values)}")
    return values.reshape(shape)


def _describe(proto, shape):
    proto.dtype = FLOAT32
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
