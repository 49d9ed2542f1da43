"""A flag file for tests whose experiments drive flags: every flag in it has whole numbers."""

from pathlib import Path

FILE = str(Path(__file__).parent / "driven.json")
SECTION = f"flags: {{files: ['{FILE}']}}\n"
