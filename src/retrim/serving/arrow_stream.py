"""How many bytes a stream of Arrow takes in the end, known before: a small one may hold gigabytes of zeros.

A compressed buffer begins with its length after decompression, and Arrow allocates that much. Where the buffers are
is said in the metadata of a message, a flatbuffer of which pyarrow shows the bytes alone.

Source: the Arrow columnar format, https://arrow.apache.org/docs/format/Columnar.html, and its Message.fbs.
"""

import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""Types of the header of a message."""
OF_0_17 = b"ARROW:experimental_compression"
"""By which Arrow 0.17 said in a message that its buffers are compressed, and readers still take it."""


def unpacked_bytes(body: bytes) -> int:
    """The sum of what compressed buffers say of their length; 0 where none is compressed.

    Raises:
        pa.ArrowException: It is no stream.
        struct.error: A buffer is said to be where nothing is.
    """
    messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(body))
    return sum(_unpacked_of(message.metadata.to_pybytes(), message.body) for message in messages)


def written_bytes(column: pa.ChunkedArray) -> int:
    """Bytes of a column of text with each value written out, which those of a dictionary or in views may share."""
    total = 0
    for chunk in column.chunks:
        is_shared = pa.types.is_dictionary(chunk.type)
        values = chunk.dictionary if is_shared else chunk
        if (lengths := _lengths(values)) is None:
            continue
        if is_shared:
            total += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
        if not is_shared or pa.types.is_string_view(values.type):  # which `without_views` writes out first
            total += pc.sum(lengths).as_py() or 0
    return total


def _lengths(values: pa.Array) -> pa.Array | None:
    """Bytes of each value; None if they are no text."""
    kind = values.type
    if pa.types.is_string_view(kind) and len(values):
        _, views, *_ = values.buffers()
        first = np.frombuffer(views, dtype="<i4")[4 * values.offset :: 4][: len(values)]  # of 16 bytes each
        return pc.if_else(values.is_valid(), pa.array(first, pa.int64()), None)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return pc.binary_length(values) if is_text else None


def _unpacked_of(metadata: bytes, body: pa.Buffer | None) -> int:
    message = _target(metadata, 0)
    kind, header = _field(metadata, message, 1), _field(metadata, message, 2)
    if body is None or not kind or not header or metadata[kind] not in (DICTIONARY_BATCH, RECORD_BATCH):
        return 0
    batch = _target(metadata, header)
    if metadata[kind] == DICTIONARY_BATCH:
        batch = _target(metadata, _field(metadata, batch, 1))
    buffers, compression = _field(metadata, batch, 2), _field(metadata, batch, 3)
    if not buffers or not (compression or OF_0_17 in metadata):
        return 0
    start = _target(metadata, buffers)
    (count,) = struct.unpack_from("<I", metadata, start)
    total = 0
    for place in range(start + 4, start + 4 + 16 * count, 16):
        offset, length = struct.unpack_from("<qq", metadata, place)
        if length > 0:
            total += max(struct.unpack_from("<q", body, offset)[0], 0)  # -1: this one is not compressed
    return total


def _target(metadata: bytes, place: int) -> int:
    """Where the offset at a place of a flatbuffer leads."""
    return int(place + struct.unpack_from("<I", metadata, place)[0])


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a table of a flatbuffer is; 0 if it has its default."""
    names = table - struct.unpack_from("<i", metadata, table)[0]
    (size,) = struct.unpack_from("<H", metadata, names)
    entry = 4 + 2 * number
    offset = struct.unpack_from("<H", metadata, names + entry)[0] if entry < size else 0
    return table + offset if offset else 0
