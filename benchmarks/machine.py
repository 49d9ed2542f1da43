"""The machine and the versions, for the report: what somebody needs to judge or repeat the numbers.

Responsible for: processor, cores, memory, kernel, and versions of everything that took part.
Does not know: what was measured.
"""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.peers import Peer


def describe(peers: dict[str, Peer]) -> list[tuple[str, str]]:
    """Return (what, value) for each line of the report's table of the machine."""
    total = next(
        (line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")), "0"
    )
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in ("uvloop", "httptools", "msgspec", "mmh3"))
    return [
        ("processor", f"{processor()}, {os.cpu_count()} cores{virtual()}"),
        ("memory", f"{int(total) / 2**20:.0f} GiB"),
        ("system", f"{system()}, Linux {platform.release()}"),
        ("Python", f"{platform.python_version()}; {libraries}"),
        *((name, peer.version) for name, peer in sorted(peers.items())),
    ]


def processor() -> str:
    """Return the processor's model name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def virtual() -> str:
    """Say whether this is a virtual machine, where neighbours take time that no clock here shows."""
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return ", virtual machine" if " hypervisor" in flags else ""


def system() -> str:
    """Return the distribution's name."""
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def revision() -> str:
    """Return the commit that was measured, with a mark when the tree differs from it; `unknown` outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"
