"""Commands of those who keep an installation running."""

import typer

app = typer.Typer()
