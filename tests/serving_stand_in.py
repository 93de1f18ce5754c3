"""Stands in for TensorFlow Serving, which cannot be had here: REST and gRPC as its documentation has them, one model.

REST (https://www.tensorflow.org/tfx/serving/api_rest): model status and `:predict`, rows ("instances") and columns
("inputs"), a single output without its name, errors as `{"error": …}`. gRPC: PredictionService/Predict with the
published messages, float tensors in `float_val` as Serving writes them, requests of up to 2 GiB. What is answered comes
from the SavedModel.
"""

import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class RefusedError(Exception):
    """A request that Serving would refuse: an HTTP code, a gRPC code and the text."""

    def __init__(self, http, code, text):
        super().__init__(text)
        self.http, self.code = http, code


class StandIn:
    """Serves the SavedModel at `path` under `name` on two free ports until the `with` block ends."""

    def __init__(self, path, name, credentials=None):
        self.name, self.module = name, tf.saved_model.load(str(path))
        self.seen = []  # signature and batch of every request
        self.rest = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.grpc = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 2**31 - 1)])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictor(self), self.grpc)
        if credentials:
            self.grpc_port = self.grpc.add_secure_port("localhost:0", credentials)
        else:
            self.grpc_port = self.grpc.add_insecure_port("localhost:0")
        self.rest_port = self.rest.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.rest.serve_forever, daemon=True).start()
        self.grpc.start()
        return self

    def __exit__(self, *_):
        self.rest.shutdown()
        self.rest.server_close()
        self.grpc.stop(None)

    def answer(self, name, signature, inputs):
        """Outputs by name; `inputs` gives a float32 array for the names and shapes of the signature."""
        if name != self.name:
            raise RefusedError(404, grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
        signature = signature or "serving_default"
        if signature not in self.module.signatures:
            text = f'Serving signature name: "{signature}" not found in signature def'
            raise RefusedError(400, grpc.StatusCode.INVALID_ARGUMENT, text)
        function = self.module.signatures[signature]
        specs = function.structured_input_signature[1]
        given = inputs(specs)
        for key, spec in specs.items():
            if key not in given or not spec.shape.is_compatible_with(given[key].shape):
                text = f"input {key} has shape {getattr(given.get(key), 'shape', None)}, not {spec.shape}"
                raise RefusedError(400, grpc.StatusCode.INVALID_ARGUMENT, text)
        self.seen.append((signature, len(next(iter(given.values())))))
        outputs = function(**{key: tf.constant(given[key]) for key in specs})
        return {key: value.numpy() for key, value in outputs.items()}


class _Predictor(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, stand_in):
        self.stand_in = stand_in

    def Predict(self, request, context):  # noqa: N802 — gRPC's name
        try:
            spec = request.model_spec
            arrays = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
            outputs = self.stand_in.answer(spec.name, spec.signature_name, lambda specs: arrays)
        except RefusedError as refused:
            context.abort(refused.code, str(refused))
        response = predict_pb2.PredictResponse(model_spec=spec)
        for key, value in outputs.items():
            proto = response.outputs[key]
            proto.dtype = tf.float32.as_datatype_enum
            for side in value.shape:
                proto.tensor_shape.dim.add(size=side)
            proto.float_val.extend(value.ravel().tolist())
        return response


def _handler(stand_in):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != f"/v1/models/{stand_in.name}":
                return self.reply(404, {"error": f"Could not find any versions of model {self.path}"})
            status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            self.reply(200, {"model_version_status": [status]})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.reply(200, _predict(stand_in, self.path, json.loads(body)))
            except RefusedError as refused:
                self.reply(refused.http, {"error": str(refused)})

        def reply(self, code, table):
            body = json.dumps(table).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def _predict(stand_in, path, body):
    found = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/\d+)?:predict", path)
    if not found:
        raise RefusedError(400, grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: POST {path}")
    rows = "instances" in body
    if rows == ("inputs" in body):
        text = "Request has neither or both of 'instances' and 'inputs'"
        raise RefusedError(400, grpc.StatusCode.INVALID_ARGUMENT, text)
    value = body["instances" if rows else "inputs"]

    def inputs(specs):
        columns = value
        if rows and isinstance(value[0], dict) and set(value[0]) == set(specs):
            columns = {key: [row[key] for row in value] for key in specs}
        if not isinstance(columns, dict):  # the name of a single input may be left out
            columns = {next(iter(specs)): columns}
        try:
            return {key: np.array(column, np.float32) for key, column in columns.items()}
        except (TypeError, ValueError):  # {"b64": …} is for strings, which this model has none of
            text = "JSON Value is not of expected type: number"
            raise RefusedError(400, grpc.StatusCode.INVALID_ARGUMENT, text) from None

    outputs = stand_in.answer(found[1], body.get("signature_name"), inputs)
    if not rows:
        columns = {key: value.tolist() for key, value in outputs.items()}
        return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values())).tolist()}
    count = len(next(iter(outputs.values())))
    return {"predictions": [{key: value[i].tolist() for key, value in outputs.items()} for i in range(count)]}
