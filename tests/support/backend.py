"""Packs `src` into a wheel with nothing but the standard library, so that a build needs no network.

A file `build.json` in the package scripts the build: {"started": path} makes a file, {"count": path} adds a line to
one, {"await": path} waits until there is one, {"fail": text} prints and fails.
"""

import base64
import hashlib
import json
import pathlib
import sys
import time
import tomllib
import zipfile

HERE = pathlib.Path(__file__).parent


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    follow_script()
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    files = {path.relative_to(HERE / "src").as_posix(): path.read_bytes() for path in modules()}
    requires = "".join(f"Requires-Dist: {each}\n" for each in project.get("dependencies", []))
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    records = [f"{path},sha256={digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,", ""]).encode()
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / wheel, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


def modules():
    return [path for path in sorted((HERE / "src").rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def follow_script():
    file = next((HERE / "src").glob("*/build.json"), None)
    script = json.loads(file.read_text()) if file else {}
    if "started" in script:
        pathlib.Path(script["started"]).touch()
    if "count" in script:
        with open(script["count"], "a") as counted:
            print("built", file=counted)
    while "await" in script and not pathlib.Path(script["await"]).exists():
        time.sleep(0.02)
    if "fail" in script:
        print(script["fail"], file=sys.stderr)
        sys.exit(1)
