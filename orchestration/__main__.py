"""The command line: `python -m orchestration run` runs the job `nightly`; see `--help`."""

from orchestration.command_line import main

main()
