"""The section `gate` of params.yaml."""

from pydantic import Field

from retrim.core.section import Section, SomeSpan


class GateParams(Section):
    """What a challenger must show."""

    min_rows: int = Field(ge=2, description="judging rows, at least")
    min_gain: float = Field(ge=0, lt=1, description="relative gain over the champion, at least")
    confidence: float = Field(gt=0.5, lt=1, description="one-sided confidence that the gain is above zero")
    folds: int = Field(ge=1, description="equal spans of the judging block")
    worst_fold: float = Field(ge=0, description="share that the challenger may lose to the champion in any of them")
    floor: tuple[str, ...] = Field(min_length=1, description="naive baselines a model must beat")
    season: SomeSpan = Field(description="one season of the seasonal mean")
    season_cells: int = Field(ge=1, description="parts a season is cut into")
    seed: int = Field(ge=0, description="of the bootstrap")
