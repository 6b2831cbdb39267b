"""Loading a configuration package: manifest, column modules, detectors, hooks."""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .errors import ConfigError, describe
from .manifest import Field, Manifest, load_manifest
from .scripts import SCRIPT_FAILURES, Script, find_detectors, find_script


@dataclass(frozen=True)
class Column:
    """A field of the manifest with the scripts of its module."""

    field: Field
    detectors: list[Script]
    transform: Script | None
    validate: Script | None


@dataclass(frozen=True)
class Config:
    """Everything that a configuration package provides."""

    manifest: Manifest
    columns: list[Column]
    row_detectors: list[Script]
    hooks: dict[str, list[Script]]


def load_config(package_name: str) -> Config:
    package = import_package(package_name)
    manifest = load_manifest(Path(package.__path__[0]) / "manifest.json")
    return Config(
        manifest=manifest,
        columns=[load_column(package_name, field) for field in manifest.fields],
        row_detectors=load_row_detectors(package),
        hooks={
            stage: [load_hook(package_name, module) for module in modules]
            for stage, modules in manifest.hooks.items()
        },
    )


def import_package(name: str) -> ModuleType:
    package = import_module(name)
    if not hasattr(package, "__path__"):
        raise ConfigError(f"{name} must be a package with a manifest.json")
    return package


def import_module(name: str) -> ModuleType:
    """Import a module; whatever goes wrong is an error of the configuration."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"module {name} does not exist") from error
        raise ConfigError(f"{name} cannot be imported: {describe(error)}") from error
    except SCRIPT_FAILURES as error:
        raise ConfigError(f"{name} cannot be imported: {describe(error)}") from error


def load_column(package_name: str, field: Field) -> Column:
    module = import_module(f"{package_name}.{field.module}")
    return Column(
        field=field,
        detectors=find_detectors(module),
        transform=find_script(module, "transform"),
        validate=find_script(module, "validate"),
    )


def load_row_detectors(package: ModuleType) -> list[Script]:
    """Detectors of every public module in ``row_detectors``, by module name."""
    names = {module.name for module in pkgutil.iter_modules(package.__path__)}
    if "row_detectors" not in names:
        return []
    parent = import_package(f"{package.__name__}.row_detectors")
    modules = sorted(module.name for module in pkgutil.iter_modules(parent.__path__))
    return [
        script
        for name in modules
        if not name.startswith("_")
        for script in find_detectors(import_module(f"{parent.__name__}.{name}"))
    ]


def load_hook(package_name: str, module_name: str) -> Script:
    module = import_module(f"{package_name}.{module_name}")
    script = find_script(module, "run") or find_script(module, "main")
    if script is None:
        raise ConfigError(f"hook {module.__name__} needs a function run or main")
    return script
