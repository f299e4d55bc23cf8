"""The environment, read once: where things are. It changes no result."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from retrim.errors import BadInputError

PREFIX = "RETRIM_"
IN_FILES = ("store_url", "mlflow_url", "predictions_table", "ping", "backup")
"""Addresses that may hold a password: `RETRIM_STORE_URL_FILE` names a file that holds the first, and so on."""


def text_in(file: Path, variable: str) -> str:
    """What stands in the file that a variable names, without space around it.

    Raises:
        BadInputError: It cannot be read, or is empty.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{variable} is set to {file}, which cannot be read: {error}; set it to a readable file"
        ) from error
    if not text:
        raise BadInputError(f"{variable} is set to {file}, which is empty; write the value into that file")
    return text


def value_files() -> list[Path]:
    """The files that variables such as `RETRIM_STORE_URL_FILE` name."""
    named = [os.environ.get(f"{PREFIX}{name.upper()}_FILE") for name in IN_FILES]
    return [Path(file) for file in named if file]


class ValuesInFiles(PydanticBaseSettingsSource):
    """Values in files that variables name, as containers and systemd lay secrets; the value itself, if set, wins."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        named = os.environ.get(variable) if field_name in IN_FILES else None
        return text_in(Path(named), variable) if named else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        stated = {name for name in IN_FILES if os.environ.get(f"{PREFIX}{name.upper()}")}
        fields = self.settings_cls.model_fields
        values = {name: self.get_field_value(fields[name], name)[0] for name in IN_FILES if name not in stated}
        return {name: value for name, value in values.items() if value is not None}


class Env(BaseSettings):
    """Where things are. Every address has an embedded default under `var/`; none changes a result."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    store_url: str | None = None
    mlflow_url: str | None = None
    mlflow_artifacts: str | None = None
    prefect_url: str | None = None
    predictions: str | None = None
    predictions_table: str | None = None
    landing: str | None = None
    alerts: SecretStr | None = None
    alerts_file: Path | None = None
    ping: SecretStr | None = None
    backup: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  there is no such file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  there is no such folder
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, ValuesInFiles(settings_cls)

    @property
    def tells(self) -> bool:
        """Whether there is anybody to tell."""
        return self.alerts is not None or self.alerts_file is not None
