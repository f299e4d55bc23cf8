"""What makes a batch that keeps the contract broken, or suspicious."""

from pydantic import Field

from retrim.core.section import Section


class BatchParams(Section):
    """What a batch is held against, and how far off is too far."""

    look: bool = Field(description="whether batches are looked at beyond their contract")
    least_rows: int = Field(ge=10, description="rows of a batch below which its columns say nothing")
    least_windows: int = Field(ge=2, description="earlier windows as long as the batch, at least")
    most_windows: int = Field(ge=2, description="earlier windows, the newest, at most")
    history_rows: int = Field(ge=100, description="newest landed rows that are read for them, at most")
    novelty: float = Field(gt=1, description="how many times as new as the newest window ever a column has to be")
    piece_mb: float = Field(gt=0, description="megabytes unpacked above which a file lands in pieces of that size")
    cut_short: float = Field(gt=0, lt=1, description="share of the shortest usual span that a whole batch covers")
    skip: tuple[str, ...] = Field(
        description="columns, and checks of a whole batch (rows twice, sent before, cut short), that are not inspected"
    )
