"""The command line."""

import argparse
import json
import os
from pathlib import Path

from . import engine_version
from .pipeline import Options, perform

CAPABILITIES = ["validate", "input_dir"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code is 0 on success, 1 on failure, 2 on wrong usage."""
    options = build_parser().parse_args(arguments)
    return options.command(options)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ade_engine", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    add_run_command(commands)
    add_validate_command(commands)
    version = commands.add_parser("version", help="print version and capabilities")
    version.set_defaults(command=version_command)
    return parser


def add_run_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("run", help="process input files", allow_abbrev=False)
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", type=Path, action="append", default=[], metavar="FILE")
    source.add_argument("--input-dir", type=Path, metavar="FOLDER")
    command.add_argument("--output-dir", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--logs-dir", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--input-sheet", action="append", default=[], metavar="NAME")
    add_common_options(command)
    command.set_defaults(command=run_command)


def add_validate_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "validate", help="load the configuration package and stop", allow_abbrev=False
    )
    command.add_argument("--logs-dir", type=Path, metavar="FOLDER")
    add_common_options(command)
    command.set_defaults(command=validate_command)


def add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--metadata", type=key_value, action="append", default=[], metavar="K=V")
    command.add_argument("--config-package", default="ade_config", metavar="NAME")


def key_value(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return key, value


def run_command(arguments: argparse.Namespace) -> int:
    options = Options(
        config_package=arguments.config_package,
        events_path=arguments.logs_dir / "events.ndjson",
        inputs=arguments.input,
        input_dir=arguments.input_dir,
        output_dir=arguments.output_dir.absolute(),
        input_sheets=arguments.input_sheet,
        metadata=dict(arguments.metadata),
    )
    return finish(perform(options, "execute"))


def validate_command(arguments: argparse.Namespace) -> int:
    """Without a logs folder the events go nowhere; the result line says it all."""
    logs_dir = arguments.logs_dir
    options = Options(
        config_package=arguments.config_package,
        events_path=logs_dir / "events.ndjson" if logs_dir else Path(os.devnull),
    )
    return finish(perform(options, "validate"))


def version_command(_: argparse.Namespace) -> int:
    print_json({"version": engine_version(), "capabilities": CAPABILITIES})
    return 0


def finish(result: dict) -> int:
    print_json(result)
    return 0 if result["status"] == "succeeded" else 1


def print_json(document: dict) -> None:
    """One line, plain ASCII so that no locale can break it."""
    print(json.dumps(document), flush=True)
