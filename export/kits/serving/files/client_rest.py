"""A client of the model over TensorFlow Serving's REST interface. Needs NumPy and Pillow.

python client_rest.py reconstruct photo.png --out rebuilt.png
python client_rest.py encode a.png b.png --out codes.json
python client_rest.py decode codes.json --out decoded.png
python client_rest.py generate --count 4 --out new.png
"""

import json
import ssl
import sys
import urllib.error
import urllib.request

import client
import numpy as np


def connect(options):
    """A function `(model, signature, inputs) -> outputs by name` over HTTP."""
    context = None
    if options.url.startswith("https:"):
        context = ssl.create_default_context(cafile=options.ca)

    def predict(model, signature, inputs):
        # Column format: tensors by name. The row format ("instances") repeats the names for every image.
        body = {"signature_name": signature, "inputs": {name: _numbers(value) for name, value in inputs.items()}}
        url = f"{options.url.rstrip('/')}/v1/models/{model['name']}:predict"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=options.timeout, context=context) as answer:
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            raise client.ClientError(f"{url}: {_reason(error)}") from None
        except (OSError, ValueError, KeyError) as error:
            raise client.ClientError(f"{url}: {getattr(error, 'reason', error)}") from None
        names = list(model["signatures"][signature]["outputs"])
        if len(names) == 1:  # Serving leaves out the name of a single output
            outputs = {names[0]: outputs}
        return {name: np.array(outputs[name], np.float32) for name in names}

    return predict


def _numbers(value):
    """Nested lists with the 9 digits that a float32 needs to come back as itself; `tolist` would give 17."""
    digits = [float(f"{number:.9g}") for number in value.ravel().tolist()]
    return np.array(digits).reshape(value.shape).tolist()


def _reason(error):
    try:
        return json.load(error)["error"].splitlines()[0]
    except (ValueError, KeyError, IndexError):
        return f"HTTP {error.code} {error.reason}"


def parse(arguments):
    options = client.parser("client_rest", "Call the model over REST.")
    options.add_argument("--url", default="http://localhost:8501", help="default: http://localhost:8501")
    options.add_argument("--ca", metavar="FILE", help="authority of an https server, where the system does not know it")
    return options.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(client.main("client_rest", parse, connect))
