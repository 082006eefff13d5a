"""The command line: `python -m orchestration run` runs the job `nightly`; see `--help`."""

import atexit
import gc

# what a command makes stays until it ends; to look for garbage among it so often, and at the end, takes seconds
gc.set_threshold(50_000, 20, 50)
atexit.register(gc.freeze)

from orchestration.command_line import main  # noqa: E402

main()
