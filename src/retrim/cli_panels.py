"""The panels in which the help lists the commands."""

import typer

PANELS = {
    "Every day": "demo new init profile ingest check retrain score status schedule ui batch quarantine",
    "Deciding": "why price policy drift try replay settle",
    "Versions": "versions live rollback approve reject card explain diff fairness",
    "Proof": "reproduce audit receipt log export import gc room",
}
"""Where each command stands in the help."""


def arrange(within: typer.Typer) -> None:
    """Puts each command of an app, and of the apps in it that have no name, into its panel of the help."""
    panels = {name: panel for panel, names in PANELS.items() for name in names.split()}
    for command in within.registered_commands:
        assert command.callback is not None
        command.rich_help_panel = panels.get(command.name or command.callback.__name__, "More")
    for group in within.registered_groups:
        if isinstance(group.name, str):
            group.rich_help_panel = panels.get(group.name, "More")
        elif group.typer_instance is not None:
            arrange(group.typer_instance)
