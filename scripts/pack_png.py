"""Packs a PNG of 8 bits a channel as tightly as zlib can, without a change of its pixels.

Usage: pack_png.py FROM TO

A browser packs in haste, and filters lines as is good for photographs. Letters repeat: unfiltered, they are found again.
"""

import struct
import sys
import zlib

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type


def read(png):
    """The header, and the raw bytes of all lines with their filters."""
    at, header, data = 8, b"", b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        if kind == b"IHDR":
            header = png[at + 8:at + 8 + size]
        elif kind == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += size + 12
    return header, zlib.decompress(data)


def paeth(left, up, corner):
    base = left + up - corner
    return min((abs(base - left), 0, left), (abs(base - up), 1, up), (abs(base - corner), 2, corner))[2]


def unfiltered(raw, width, step):
    """Lines without filters. https://www.w3.org/TR/png/#9Filters"""
    size = width * step
    before = bytearray(size)
    for start in range(0, len(raw), size + 1):
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + size])
        for i in range(size if kind else 0):
            left = line[i - step] if i >= step else 0
            corner = before[i - step] if i >= step else 0
            guess = (0, left, before[i], (left + before[i]) // 2, 0)[kind] if kind < 4 else paeth(left, before[i], corner)
            line[i] = (line[i] + guess) & 255
        yield bytes(line)
        before = line


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main(source, target):
    with open(source, "rb") as file:
        png = file.read()
    header, raw = read(png)
    width, _, _, colours = struct.unpack(">IIBB", header[:10])
    lines = b"".join(b"\0" + line for line in unfiltered(raw, width, CHANNELS[colours]))
    with open(target, "wb") as file:
        file.write(png[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


if __name__ == "__main__":
    main(*sys.argv[1:])
