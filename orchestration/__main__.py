"""The command line: `python -m orchestration run` runs the job `daily`; see `--help`."""

from orchestration.command_line import main

main()
