"""Picture files that Pillow does not write, and what they mean, both written in NumPy alone."""

import struct
import zlib

import numpy as np

ORIENTATION = 274  # the TIFF and EXIF tag
PNG_KINDS = {"grey": 0, "rgb": 2, "palette": 3, "grey alpha": 4, "rgba": 6}


def png(samples, kind, bits, *, transparency=b"", palette=b"", orientation=1):
    """A PNG of unsigned samples `(height, width[, channels])`; `transparency` is the content of tRNS."""
    height, width = samples.shape[:2]
    if bits == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        flat = samples.astype(np.uint8).reshape(height, -1)
        single = np.unpackbits(flat[:, :, None], axis=2)[:, :, 8 - bits :]
        rows = np.packbits(single.reshape(height, -1), axis=1)
    content = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, PNG_KINDS[kind], 0, 0, 0))]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"tRNS", transparency)] if transparency else []
    chunks += [(b"eXIf", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, ORIENTATION, 3, 1, orientation, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(content)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def tiff(samples, photometric=1, *, order="<", extra=None, bits=0, orientation=1, planar=False, deflated=False):
    """A TIFF of samples `(height, width[, channels])` of any integer or float type, in one strip, or one a channel.

    `extra` is the ExtraSamples tag: 1 for premultiplied alpha, 2 for plain alpha.
    """
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    stored = np.moveaxis(samples, 2, 0) if planar else samples
    data = stored.astype(samples.dtype.newbyteorder(order)).tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    depth = bits or 8 * samples.dtype.itemsize
    size, strips = len(data) // (channels if planar else 1), channels if planar else 1
    parts = [data[size * strip :][:size] for strip in range(strips)]
    parts = [zlib.compress(part) for part in parts] if deflated else parts
    data, sizes = b"".join(parts), [len(part) for part in parts]
    tags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [depth] * channels), 259: (3, [8 if deflated else 1]),
        262: (3, [photometric]), 273: (4, [8 + sum(sizes[:strip]) for strip in range(strips)]),
        ORIENTATION: (3, [orientation]), 277: (3, [channels]), 278: (4, [height]), 279: (4, sizes),
        284: (3, [2 if planar else 1]), 339: (3, [sample_format] * channels),
    }  # fmt: skip
    if extra is not None:
        tags[338] = (3, [extra])
    data += bytes(len(data) % 2)
    start = 8 + len(data)
    after = start + 2 + 12 * len(tags) + 4
    entries, beyond = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", after + len(beyond))
            beyond += packed + bytes(len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + place
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + beyond


def upright(pixels, orientation):
    """What a viewer shows of `pixels` by their EXIF orientation."""
    return {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1), 7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, 1),
    }[orientation](pixels)  # fmt: skip


def on_white(colour, alpha):
    """Real levels 0 … 255 of colour and alpha in [0, 1]; `colour` is `(height, width, channels)`."""
    return 255.0 * (1.0 - alpha[:, :, None] * (1.0 - colour))
