"""The landing folder that a converter fills."""

from __future__ import annotations

from pathlib import Path

from orchestration.errors import BarometerError
from orchestration.landing.contract import DATASETS


def prepare_folder(folder: Path, own: tuple[str, ...]) -> None:
    """Make the folders of the files named in ``own`` (paths below ``folder``).

    Raises BarometerError where the folder holds other landing files: orders of two sources would be taken for one shop.
    """
    for dataset in DATASETS:
        for path in sorted((folder / dataset).rglob("*")):
            if path.is_file() and path.relative_to(folder).as_posix() not in own:
                raise BarometerError(
                    f"{folder} holds other files, {path} among them.", "Name another folder after --out."
                )
    for name in own:
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BarometerError(
                f"{folder} can't be used: {error.strerror}.", "Name another folder after --out."
            ) from None


def unfinished(path: Path) -> Path:
    """Return the name under which a file is written, which the loader passes over until it is renamed."""
    return path.with_name(f"{path.name}.tmp")
