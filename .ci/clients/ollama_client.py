"""Drives the simulated Ollama server with the official Python client.

usage: ollama_client.py URL
"""

import io
import struct
import sys
import zlib

from ollama import Client, ResponseError

MODEL = "sim-llama:latest"


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\x20\x20" * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body).getvalue()


client = Client(host=sys.argv[1])
names = [model.model for model in client.list().models]
assert MODEL in names, names
assert "completion" in client.show(MODEL).capabilities
whole = client.chat(MODEL, messages=[{"role": "user", "content": "a red fox"}])
assert whole.done and whole.message.content, whole
parts = list(client.chat(MODEL, messages=[{"role": "user", "content": "a red fox"}], stream=True))
assert len(parts) > 1 and parts[-1].done, parts
assert client.generate(MODEL, "a red fox").response
vision = next(name for name in names if "vision" in name)
seen = client.chat(vision, messages=[{"role": "user", "content": "describe", "images": [png()]}])
assert "8" in seen.message.content, seen
try:
    client.chat("no-such-model", messages=[{"role": "user", "content": "x"}])
    raise AssertionError("an unknown model must be refused")
except ResponseError as error:
    assert error.status_code == 404 and "not found" in error.error, error
assert isinstance(client.ps().models, list)
print("ollama client: list, show, chat, stream, generate, vision, error, ps: ok")
