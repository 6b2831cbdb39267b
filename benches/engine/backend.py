"""A build backend that needs nothing: it zips the one package beside it into a wheel."""

import base64
import hashlib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent
NAME = "ade_engine-0.0.1"
METADATA = "Metadata-Version: 2.1\nName: ade-engine\nVersion: 0.0.1\nRequires-Python: >=3.11\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    package = ROOT / "src" / "ade_engine"
    files = {f"ade_engine/{path.name}": path.read_bytes() for path in sorted(package.glob("*.py"))}
    files[f"{NAME}.dist-info/METADATA"] = METADATA.encode()
    files[f"{NAME}.dist-info/WHEEL"] = WHEEL.encode()
    record = f"{NAME}.dist-info/RECORD"
    files[record] = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in files.items()).encode()
    files[record] += f"{record},,\n".encode()
    wheel = f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
