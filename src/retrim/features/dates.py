"""The event's time as features: parts of the calendar, and holidays of a country."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from retrim.features.step import TIMES, Frame, PreprocessingStep, StepColumn, StepState, TrainingRows, step
from retrim.table.derived_columns import PARTS, calendar_part
from retrim.table.reading import CalendarPart, known_zone

NEAR = 7
"""Days from a holiday beyond which a day is far from one."""
AHEAD = 20
"""Years after the last of training whose holidays are kept in the bundle; later ones are not known."""


def known_country(code: str) -> str:
    """A country, `US`, or a part of it, `US-NY`, that the package `holidays` knows."""
    import holidays

    country, _, part = code.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ValueError(f"{code!r} is not a known country; write its ISO 3166 code, such as 'DE' or 'US-NY'")
    if part and part not in known[country]:
        raise ValueError(f"{code!r}: {country} has no part {part!r}; it has {', '.join(known[country]) or 'none'}")
    return code


Zone = Annotated[str, AfterValidator(known_zone)]
Country = Annotated[str, AfterValidator(known_country)]


@step("calendar", takes=TIMES, gives="same")
class Calendar(PreprocessingStep):
    """`COLUMN:PART` for each part; as a circle `COLUMN:PART:sin` and `:cos`, so that hour 23 lies beside hour 0."""

    def learn(
        self,
        past: TrainingRows,
        *,
        parts: Annotated[tuple[CalendarPart, ...], Field(min_length=1)],
        circle: bool,
        zone: Zone,
    ) -> StepState:
        ends = ("sin", "cos") if circle else ("",)
        names = {f"{name}:{part}:{end}".rstrip(":"): name for name in past.frame for part in parts for end in ends}
        state = {"parts": list(parts), "circle": circle, "zone": zone}
        return StepState(state, {name: StepColumn("number", of) for name, of in names.items()})

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            times = pd.Series(pd.DatetimeIndex(values).tz_localize("UTC"))
            for part in state["parts"]:
                found = calendar_part(times, part, zone=state["zone"]).to_numpy()
                if not state["circle"]:
                    made[f"{name}:{part}"] = found
                    continue
                low, high = PARTS[part]
                angle = 2 * np.pi * (found - low) / (high - low + 1)
                made |= {f"{name}:{part}:sin": np.sin(angle), f"{name}:{part}:cos": np.cos(angle)}
        return made


@step("holidays", takes=TIMES, gives="same")
class Holidays(PreprocessingStep):
    """`COLUMN:holiday`, 1 or 0, and `COLUMN:to_holiday`, days to the nearest one before or after, 7 at most.

    The dates lie in the bundle, so that another release of the package changes no prediction.
    """

    def learn(self, past: TrainingRows, *, country: Country, zone: Zone) -> StepState:
        import holidays

        state: dict[str, Any] = {"dates": [], "from": None, "until": None, "zone": zone}
        times = [values[~np.isnat(values)] for values in past.frame.values()]
        years = np.concatenate([each.astype("datetime64[Y]").astype("int64") for each in times]) + 1970
        if len(years):
            first, last = int(years.min()) - 1, int(years.max()) + AHEAD
            land, _, part = country.partition("-")
            found = holidays.country_holidays(land, subdiv=part or None, years=range(first, last + 1))
            state |= {"dates": sorted(day.isoformat() for day in found), "from": first, "until": last}
        makes = {
            f"{name}:{what}": StepColumn("number", name) for name in past.frame for what in ("holiday", "to_holiday")
        }
        return StepState(state, makes)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        days = np.array(state["dates"], dtype="datetime64[D]").astype("int64")
        made = {}
        for name, values in frame.items():
            there = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(state["zone"]).tz_localize(None)
            own = there.to_numpy().astype("datetime64[D]")
            year = own.astype("datetime64[Y]").astype("int64") + 1970
            known = ~np.isnat(own)
            if state["from"] is not None:
                known &= (year >= state["from"]) & (year <= state["until"])
            else:
                known[:] = False
            away = np.full(len(own), float(NEAR))
            if len(days):
                day = own.astype("int64")
                after = np.searchsorted(days, day)
                for place in (np.clip(after - 1, 0, None), np.clip(after, None, len(days) - 1)):
                    away = np.minimum(away, np.where(known, np.abs(days[place] - np.where(known, day, 0)), NEAR))
            made[f"{name}:holiday"] = np.where(known, (away == 0).astype("float64"), np.nan)
            made[f"{name}:to_holiday"] = np.where(known, away, np.nan)
        return made
