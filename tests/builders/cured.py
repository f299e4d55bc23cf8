"""Cures that a test tries: a mark names the texts of the source, and the test has to see them printed and cured.

@pytest.mark.cures("nothing is on hold: {}; `retrim status` shows when something waits for a person")
def test_x(cure: Cure) -> None:
    cure.is_asked(what_the_error_says)
    cure.is_done(what_is_printed_after_what_it_says_was_done)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

MARK = "cures"


@dataclass
class Cure:
    """What the texts of a test's mark have been seen to do.

    Args:
        texts: As the source has them, whole or in part, with `{}` for a value.
        asked: Those that were printed.
        done: Those that are not printed any more, or whose command did what the text says of it.
    """

    texts: tuple[str, ...]
    asked: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def is_asked(self, said: str) -> None:
        """Claims that at least one of the texts is in what was printed."""
        found = {text for text in self.texts if says(text, said)}
        assert found, said
        self.asked |= found

    def is_done(self, said: str) -> None:
        """Claims that the cure was taken: of the texts that were asked, none is in what is printed now."""
        left = {text for text in self.asked if says(text, said)}
        assert not left, said
        self.done |= self.asked


@pytest.fixture
def cure(request: pytest.FixtureRequest) -> Iterator[Cure]:
    """The texts that the test's mark names; all of them have to be seen, and cured."""
    cure = Cure(tuple(text for mark in request.node.iter_markers(MARK) for text in mark.args))
    yield cure
    assert cure.done == set(cure.texts), f"not seen and cured: {set(cure.texts) - cure.done}"


def says(text: str, said: str) -> bool:
    """Whether what was printed holds a text of the source, however its lines were broken."""
    parts = (re.escape(" ".join(part.split())) for part in text.split("{}"))
    return re.search(".*?".join(parts), " ".join(said.split())) is not None
