"""MurmurHash3 x64 128 in plain Python, written from the reference implementation, to check the library against.

Source: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp (public domain), seed 0.
"""

_WORD = 2**64 - 1
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def x64_128(data: bytes) -> tuple[int, int]:
    """Return both halves of the digest."""
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        h1 ^= _scramble(int.from_bytes(data[at : at + 8], "little"), _C1, 31, _C2)
        h1 = ((_rotated(h1, 27) + h2) * 5 + 0x52DCE729) & _WORD
        h2 ^= _scramble(int.from_bytes(data[at + 8 : at + 16], "little"), _C2, 33, _C1)
        h2 = ((_rotated(h2, 31) + h1) * 5 + 0x38495AB5) & _WORD
    tail = data[whole:]
    h2 ^= _scramble(int.from_bytes(tail[8:], "little"), _C2, 33, _C1)
    h1 ^= _scramble(int.from_bytes(tail[:8], "little"), _C1, 31, _C2)
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = (h1 + h2) & _WORD
    h2 = (h2 + h1) & _WORD
    h1, h2 = _final(h1), _final(h2)
    h1 = (h1 + h2) & _WORD
    return h1, (h2 + h1) & _WORD


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _WORD


def _scramble(block: int, first: int, by: int, second: int) -> int:
    return _rotated(block * first & _WORD, by) * second & _WORD


def _final(word: int) -> int:
    word ^= word >> 33
    word = word * 0xFF51AFD7ED558CCD & _WORD
    word ^= word >> 33
    word = word * 0xC4CEB9FE1A85EC53 & _WORD
    return word ^ word >> 33
