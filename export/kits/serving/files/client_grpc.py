"""A client of the model over TensorFlow Serving's gRPC interface. Needs NumPy, Pillow, grpcio and protobuf.

python client_grpc.py reconstruct photo.png --out rebuilt.png
python client_grpc.py encode a.png b.png --out codes.json
python client_grpc.py decode codes.json --out decoded.png
python client_grpc.py generate --count 4 --out new.png

TensorFlow is not needed: the messages are in predict_messages.py. With `pip install tensorflow-serving-api`, which
brings all of TensorFlow, PredictRequest and the stub of tensorflow_serving.apis do the same.
"""

import sys
from pathlib import Path

import client
import grpc
import predict_messages as messages

GRPC_DEFAULT = 4 * 1024 * 1024  # what a client accepts by default; Serving itself accepts 2 GiB
ENVELOPE = 64 * 1024  # names, shapes and headers, generously


def connect(options):
    """A function `(model, signature, inputs) -> outputs by name` over gRPC."""
    credentials = _credentials(options)

    def predict(model, signature, inputs):
        limit = max(GRPC_DEFAULT, client.message_bytes(model, signature, inputs) + ENVELOPE)
        settings = [("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)]
        request = messages.PredictRequest()
        request.model_spec.name = model["name"]
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            messages.write_tensor(request.inputs[name], value)
        with (
            grpc.secure_channel(options.server, credentials, settings)
            if credentials
            else grpc.insecure_channel(options.server, settings)
        ) as channel:
            method = channel.unary_unary(
                messages.PREDICT,
                request_serializer=messages.PredictRequest.SerializeToString,
                response_deserializer=messages.PredictResponse.FromString,
            )
            try:
                answer = method(request, timeout=options.timeout)
                return {name: messages.read_tensor(proto) for name, proto in answer.outputs.items()}
            except grpc.RpcError as error:
                reason = (error.details() or "no reason given").splitlines()[0]
                raise client.ClientError(f"{options.server}: {error.code().name}: {reason}") from None
            except ValueError as error:
                raise client.ClientError(f"{options.server}: {error}") from None

    return predict


def _credentials(options):
    if not (options.tls or options.ca or options.cert or options.key):
        return None
    return grpc.ssl_channel_credentials(_read(options.ca), _read(options.key), _read(options.cert))


def _read(path):
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise client.ClientError(f"{path}: {error.strerror}") from None


def parse(arguments):
    options = client.parser("client_grpc", "Call the model over gRPC.")
    options.add_argument("--server", default="localhost:8500", metavar="HOST:PORT", help="default: localhost:8500")
    options.add_argument("--tls", action="store_true", help="the server has a certificate that the system trusts")
    options.add_argument("--ca", metavar="FILE", help="TLS: the authority of the server's certificate, PEM")
    options.add_argument("--cert", metavar="FILE", help="mutual TLS: this client's certificate, PEM")
    options.add_argument("--key", metavar="FILE", help="mutual TLS: this client's key, PEM")
    return options.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(client.main("client_grpc", parse, connect))
