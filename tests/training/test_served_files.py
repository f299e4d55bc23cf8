"""The files that a served model is loaded from: one flipped byte in any of them is found, and the file is named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.errors import RefusedError
from retrim.stats.codec import to_json
from retrim.training.bundle import DIGESTS, digests_of, refuse_altered

FILES = {"features/view.json": b"{}\n", "models/all/model.txt": b"tree\nversion=v4\n"}
WHOLE = {**FILES, DIGESTS: to_json(digests_of(FILES))}


def test_files_as_they_were_published_are_taken() -> None:
    refuse_altered(WHOLE)


@given(name=st.sampled_from(sorted(WHOLE)), place=st.integers(0, 999), mask=st.integers(1, 255))
def test_a_flipped_byte_anywhere_is_refused(name: str, place: int, mask: int) -> None:
    content = bytearray(WHOLE[name])
    content[place % len(content)] ^= mask
    altered = {**WHOLE, name: bytes(content)}

    if name == DIGESTS and _says_the_same(bytes(content)):  # white space between the entries is no digest
        return
    with pytest.raises(RefusedError, match=rf"\b{re.escape(name)}\b.*\brestore\b"):
        refuse_altered(altered)


@pytest.mark.parametrize("altered", [{"models/all/model.txt": None}, {"models/all/more.txt": b"x"}])
def test_a_file_more_or_less_is_refused(altered: dict[str, bytes | None]) -> None:
    files = {name: content for name, content in {**WHOLE, **altered}.items() if content is not None}

    with pytest.raises(RefusedError, match=next(iter(altered))):
        refuse_altered(files)


def _says_the_same(content: bytes) -> bool:
    import json

    try:
        return bool(json.loads(content) == digests_of(FILES))
    except ValueError:
        return False
