"""Calls of Prefect's API without Prefect, which takes seconds to import."""

import base64
import json
import secrets
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

CSRF_METHODS = ("POST", "PUT", "PATCH", "DELETE")
LOGIN = "retrim"


@dataclass(frozen=True)
class PrefectApi:
    """The address of a server, and what it asks of those who call it.

    Args:
        url: Its address, with `/api`.
        login: `user:password`; None where the server asks for none.
    """

    url: str
    login: str | None = field(repr=False)

    def answers(self) -> bool:
        """Whether a server answers there; no login is needed to ask this."""
        return answers(self.url)

    def ask(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        """What the server answers to a request: POST with a body, GET without, or another method.

        Raises:
            urllib.error.URLError: It does not answer, or refuses.
        """
        method = method or ("GET" if body is None else "POST")
        headers = {"Content-Type": "application/json", **self.credentials()}
        if method in CSRF_METHODS:
            headers |= self._csrf_token()
        data = None if body is None else json.dumps(body).encode()
        return _send(urllib.request.Request(f"{self.url}/{path}", data, headers, method=method))

    def next_run(self, deployment: str) -> dict[str, str] | None:
        """The next scheduled run, `flow` and `at`, of deployments so named; None if the server has or gives none."""
        wanted = {
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 1,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "deployments": {"name": {"any_": [deployment]}},
        }
        with suppress(OSError, ValueError, KeyError, IndexError):
            run = self.ask("flow_runs/filter", wanted)[0]
            return {"flow": str(self.ask(f"flows/{run['flow_id']}")["name"]), "at": str(run["expected_start_time"])}
        return None

    def credentials(self) -> dict[str, str]:
        """The header that carries the login."""
        if self.login is None:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(self.login.encode()).decode()}"}

    def _csrf_token(self) -> dict[str, str]:
        """The token that a change needs; none from a server that protects itself otherwise."""
        client = secrets.token_hex(16)
        request = urllib.request.Request(f"{self.url}/csrf-token?client={client}", headers=self.credentials())
        with suppress(urllib.error.HTTPError):
            return {"Prefect-Csrf-Token": _send(request)["token"], "Prefect-Csrf-Client": client}
        return {}


def answers(url: str) -> bool:
    """Whether a Prefect server answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def make_login() -> str:
    """A login that nobody can guess."""
    return f"{LOGIN}:{secrets.token_urlsafe(32)}"


def _send(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or "null")
