"""How keys are divided: among the partitions of a topic as Kafka's own producer does it, and among buckets by whoever works in shares.

The first is written down once more, apart from any client, so that a client that hashes otherwise is noticed and a reader knows where to
look. The two have nothing to do with each other. Pure.
"""

from hashlib import blake2b

BUCKETS = 1 << 16  # a ring

_SEED, _M, _R = 0x9747B28C, 0x5BD1E995, 24
_WORD = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Return the hash as 32 bits without a sign."""
    length = len(key)
    h = _SEED ^ length
    for at in range(0, length - length % 4, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _WORD
        k = (k ^ k >> _R) * _M & _WORD
        h = h * _M & _WORD ^ k
    if rest := key[length - length % 4 :]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15


def bucket_of(key: bytes) -> int:
    """Return the bucket of a key, 0 to BUCKETS - 1."""
    return int.from_bytes(blake2b(key, digest_size=2).digest(), "big")
