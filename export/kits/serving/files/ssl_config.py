"""Writes ssl.config for TensorFlow Serving from the operator's own PEM files; standard library only.

python ssl_config.py --key server.key --cert server.crt [--client-ca ca.crt] > ssl.config
"""

import argparse
import json
import sys
from pathlib import Path


def pem(path, kind):
    """The text of a PEM file as a string of protobuf's text format, whose escapes are those of JSON here."""
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"ssl_config: error: {path}: {error}")
    if f"{kind}-----" not in text or "-----BEGIN" not in text:
        sys.exit(f"ssl_config: error: {path}: expected a PEM file with a block '-----BEGIN … {kind}-----'.")
    return json.dumps(text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Write ssl.config for TensorFlow Serving to standard output.")
    parser.add_argument("--key", required=True, metavar="FILE", help="the server's private key, PEM")
    parser.add_argument("--cert", required=True, metavar="FILE", help="the server's certificate chain, PEM")
    parser.add_argument("--client-ca", metavar="FILE", help="answer only clients with a certificate of this authority")
    options = parser.parse_args(arguments)
    lines = [f"server_key: {pem(options.key, 'PRIVATE KEY')}", f"server_cert: {pem(options.cert, 'CERTIFICATE')}"]
    if options.client_ca:
        lines += [f"custom_ca: {pem(options.client_ca, 'CERTIFICATE')}", "client_verify: true"]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
