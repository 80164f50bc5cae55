"""What the reader accepts at most. A file beyond one of these is refused by the limit's meaning.

Each is several times what real models need, and small enough that a file made to hurt costs little: the reader's
time is bounded by `HEADER_BYTES_MAX` and `ARRAY_ELEMENTS_MAX`, its memory by the rest (docs/design/facts.md).
"""

from statemachines.units import KIB, MIB

WINDOW_BYTES = 256 * KIB
"""Read from the file at once."""
HEADER_BYTES_MAX = 256 * MIB
"""Everything before the tensor data. Real ones: up to about 30 MiB, nearly all of it vocabulary."""
KEYS_MAX = 4_096
"""Metadata keys. Real files have 20 to 60."""
KEY_BYTES_MAX = 1 * KIB
"""One key. The format allows 64 KiB; real ones stay below 100 bytes."""
STRING_BYTES_MAX = 1 * MIB
"""One string value. The longest real ones are chat templates and licences, below 200 KiB."""
STRINGS_COST_MAX = 6 * MIB
"""Memory of all keys and string values together, as this process holds them (four bytes for each character of a
string with a rare one)."""
TENSORS_MAX = 16_384
"""Tensors of all parts together. The largest real models have a few thousand."""
TENSOR_NAME_BYTES_MAX = 63
"""llama.cpp keeps names in 64 bytes, the last one zero, and refuses longer ones."""
DIMENSIONS_MAX = 4
"""Dimensions of a tensor, as in llama.cpp."""
ARRAY_ELEMENTS_MAX = 8_000_000
"""Elements of all arrays together. The largest real vocabularies have below a million with merges and scores."""
SMALL_ARRAY_ELEMENTS_MAX = 1_024
"""Arrays of numbers up to this length are always read: per-layer values."""
SMALL_ARRAYS_COST_MAX = 4 * MIB
"""Memory of those arrays together."""
SHOWN_BYTES_MAX = 8 * MIB
"""Array values that a caller asked for, as they travel, together with all texts. This process holds them three times
while it answers; 150,000 tokens with scores and 280,000 merges take 7 MiB."""
SHOWN_COST_MAX = 128 * MIB
"""Memory of those array values where they are unpacked again, in the process that asked."""
LAYERS_MAX = 1_024
"""Blocks of a model; llama.cpp stops at 512."""
WIDTH_MAX = 1 << 31
"""Any count, width or length that a model states of itself."""
ALIGNMENT_BYTES_MAX = 1 * MIB
"""Alignment of tensor data; 32 in practice."""
PARTS_MAX = 1_024
"""Files of one split model."""
