"""Where segments and plan lists go: one module a kind of destination, behind one small interface."""

from __future__ import annotations

import importlib
import pkgutil

from orchestration.activation.destinations.interface import Destination


def _kinds() -> dict[str, type[Destination]]:
    """Return what the modules of this folder define, by the name that destinations.yml uses."""
    found: dict[str, type[Destination]] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Destination) and hasattr(value, "type"):
                found[value.type] = value
    return found


#: What destinations.yml may name as type: a new kind is a new module.
KINDS = _kinds()
