"""The examples of docs/flags.md give what the page says."""

import asyncio
import json
import re
from pathlib import Path

from tests.admin.serving import served
from tests.control.build import yaml
from tests.control.desk import Desk

PAGE = (Path(__file__).parents[2] / "docs" / "flags.md").read_text()


def test_the_first_example_is_answered_as_shown(tmp_path: Path) -> None:
    """The file of the page, asked as the page asks, gives the line of the page."""
    files = re.search(r"```yaml\n# (flags/search\.yaml)\n(.*?)```", PAGE, re.DOTALL)
    asked = re.search(r"curl -s localhost:9090(\S+) .*?-d '(.*?)'\n(\{.*?\})\n", PAGE, re.DOTALL)
    section = re.search(r"```yaml\n(flags: .*?)```", PAGE, re.DOTALL)
    assert files
    assert asked
    assert section
    (tmp_path / "flags").mkdir()
    (tmp_path / files[1]).write_text(files[2])

    async def run() -> str:
        desk, body = Desk(tmp_path, yaml(top=section[1])), json.loads(asked[2])
        async with served(desk) as client, client.post(asked[1], json=body) as response:
            return await response.text()

    assert asyncio.run(run()) == asked[3]


def test_the_experiment_of_the_page_drives_its_flag(tmp_path: Path) -> None:
    """The flag of the first example gets the values of the arms, and nothing else."""
    files = re.search(r"```yaml\n# flags/search\.yaml\n(.*?)```", PAGE, re.DOTALL)
    experiment = re.search(r"```yaml\n(experiments:\n.*?)```", PAGE, re.DOTALL)
    assert files
    assert experiment
    (tmp_path / "search.yaml").write_text(files[1])
    top = (
        "flags: {files: [search.yaml]}\n"
        "targets: [{name: t, endpoints: ['http://127.0.0.1:1']}]\n"
        "routes: [{name: search, target: t, unit: [header:x-user]}]\n"
    )

    async def run() -> set[tuple[int, str]]:
        async with served(Desk(tmp_path, top + experiment[1])) as client:
            found = set()
            for number in range(60):
                body = {"context": {"targetingKey": f"u{number}"}}
                async with client.post("/ofrep/v1/evaluate/flags/page-size", json=body) as response:
                    answer = await response.json()
                    found.add((answer["value"], answer["reason"]))
            return found

    assert asyncio.run(run()) == {(10, "SPLIT"), (50, "SPLIT")}
