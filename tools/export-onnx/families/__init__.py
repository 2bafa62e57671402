"""The families that can be exported, by the model_type of their config.json."""

from importlib import import_module

MODULES = {
    "llava": "llava",
}


def family_of(model_type):
    """The Family of `model_type`. Raises SystemExit with the supported types for any other."""
    if model_type not in MODULES:
        raise SystemExit(f"model_type {model_type!r} can't be exported; supported: {', '.join(sorted(MODULES))}")
    return import_module(f"families.{MODULES[model_type]}").FAMILY
