"""supervisord for `retrim up`, a script: at SIGHUP it begins anew only what its configuration has another line for.

It needs nothing but Python and supervisor, and takes its options: `supervisor_process.py -c FILE`.
"""

import signal
import sys
from contextlib import suppress

from supervisor import supervisord
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ProcessGroupConfig, ServerOptions
from supervisor.states import SupervisorStates

STAYS = ("serve",)
"""Parts that take in what is new while they run: their new line counts when they are started again."""


class Supervisor(supervisord.Supervisor):  # type: ignore[misc]  # it has no types
    """supervisord, with `reread` and `update` of its own command line in the place of a restart."""

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(options)
        # By name what takes the place of a part that is being stopped; None: nothing.
        self._leaving: dict[str, ProcessGroupConfig | None] = {}

    def handle_signal(self) -> None:
        """The signal that has come, if any; called again and again, between two looks at the parts."""
        sign = self.options.get_signal()
        if sign == signal.SIGHUP and self.options.mood == SupervisorStates.RUNNING:
            self._read_anew()
        elif sign:
            self.options.signal_receiver.receive(sign, None)
            super().handle_signal()
        if self.options.mood == SupervisorStates.RUNNING:
            self._go_on()

    def _read_anew(self) -> None:
        try:
            self.options.process_config(do_usage=False)
        except ValueError as error:
            sys.stderr.write(f"the configuration cannot be read: {error}\n")
            return
        added, changed, removed = self.diff_to_active()
        for config in added:
            self.add_process_group(config)
        for config in changed:
            if config.name in STAYS:
                self._note_line(config)
            else:
                self._leaving[config.name] = config
        self._leaving |= {config.name: None for config in removed}

    def _note_line(self, config: ProcessGroupConfig) -> None:
        config.after_setuid()
        group = self.process_groups[config.name]
        group.config = config
        for each in config.process_configs:
            group.processes[each.name].config = each

    def _go_on(self) -> None:
        """Stops what leaves, and starts what takes its place once it has stopped."""
        for name, config in list(self._leaving.items()):
            self.process_groups[name].stop_all()
            if self.remove_process_group(name):
                del self._leaving[name]
                if config is not None:
                    self.add_process_group(config)


def main() -> None:
    """Runs until it is told to stop."""
    options = ServerOptions()
    options.realize()
    options.first, options.test = True, False
    with suppress(ExitNow):
        Supervisor(options).main()
    options.close_logger()


if __name__ == "__main__":
    main()
