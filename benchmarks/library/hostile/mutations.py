"""Changes that any bytes can suffer."""

from __future__ import annotations

import functools
import random
import zlib

NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 257, 1000, 4096),
    *(7071, 16383, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1),
)


def mutated(rng: random.Random, data: bytes, times: int = 4) -> bytes:
    """Return bytes with up to so many changes in places that know nothing of their meaning."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, times)):
        _change(rng, changed)
    return bytes(changed)


def _change(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    length = min(rng.choice((1, 2, 4, 16, 64, 1024)), len(data) - at)
    how = rng.randrange(8)
    if how == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        data[at : at + length] = rng.randbytes(length)
    elif how == 2:
        size, order = rng.choice((1, 2, 4)), rng.choice(("little", "big"))
        data[at : at + size] = (rng.choice(NUMBERS) % 256**size).to_bytes(size, order)
    elif how == 3:
        del data[at : at + length]
    elif how == 4:
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 50))
    elif how == 5:
        data[at : at + length] = bytes(length)
    elif how == 6 and rng.random() < 0.3:
        del data[at:]
    elif how == 7:
        other = rng.randrange(len(data) + 1)
        data[at : at + length] = data[other : other + length]


@functools.cache
def bomb(n_bytes: int) -> bytes:
    """Return deflated zeros, a thousandth of so many bytes."""
    packing, parts = zlib.compressobj(9), []
    for _ in range(n_bytes >> 20):
        parts.append(packing.compress(bytes(1 << 20)))
    return b"".join([*parts, packing.flush()])
