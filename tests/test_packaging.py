"""What is shipped: the locked versions, the wheel's contents, and the steps of the Dockerfile.

No container engine is needed: the Dockerfile's steps are run one by one in a clean folder that stands for ``/``.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.ports import free_ports

REPOSITORY = Path(__file__).parents[1]
CONSTRAINTS = ("constraints.txt", "constraints-runtime.txt")
# What needs root or changes the machine; everything else must work here as it does in an image.
NOT_PORTABLE = ("useradd",)


def pins(name: str) -> dict[str, str]:
    """Return the version of each package in a constraints file."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return {pin[1]: pin[2] for pin in re.finditer(r"^([a-z0-9-]+)==(\S+) ", text, re.MULTILINE)}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_name_versions_and_hashes_and_nothing_else(name: str) -> None:
    """No index, host or path of any machine is in a constraints file, and every package has hashes."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    for line in text.splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|    #.*", line), line
    assert not re.search(r"://|file:|(^|\s)/", text)
    assert all(f"{package}=={version} \\\n    --hash=sha256:" in text for package, version in pins(name).items())


def test_constraints_cover_every_declared_dependency() -> None:
    """What pyproject.toml asks for is pinned; what runs in an image has the versions that were tested."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested, shipped = (pins(name) for name in CONSTRAINTS)
    extras = [wanted for group in project["optional-dependencies"].values() for wanted in group]

    assert {_name(wanted) for wanted in (*project["dependencies"], *extras)} <= tested.keys()
    assert {_name(wanted) for wanted in project["dependencies"]} <= shipped.keys()
    assert shipped.items() <= tested.items()


def _name(requirement: str) -> str:
    wanted = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert wanted is not None
    return re.sub(r"[._-]+", "-", wanted[0]).lower()


@dataclass
class Image:
    """What a Dockerfile's last stage ends up with, below a folder that stands for ``/``."""

    root: Path
    folder: str = "/"
    user: str = "root"
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def inside(self, text: str) -> str:
        """Map the absolute paths that the Dockerfile uses to the folder."""
        return re.sub(r"(?<![\w./])/(opt|src|etc|var)\b", rf"{self.root}/\1", text)

    def at(self, path: str) -> Path:
        """Return a path of the image, relative ones from its working directory."""
        return self.root / (Path(self.folder) / path).relative_to("/")

    def variables(self) -> dict[str, str]:
        """Return the environment of a step, with nothing of the environment that runs the tests."""
        kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "LANG", "HOME"))}
        return {**kept, "PATH": f"{self.root / 'usr/bin'}:/usr/bin:/bin", **self.environment}

    def shell(self, command: str) -> None:
        """Run one RUN step."""
        if command.split(maxsplit=1)[0] in NOT_PORTABLE:
            self.skipped.append(command)
            return
        done = subprocess.run(
            ["/bin/sh", "-ec", self.inside(command)],
            cwd=self.at("."),
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout}\n{done.stderr}"

    def copy(self, arguments: list[str]) -> None:
        """Do one COPY step; from another stage, everything is below the same root already."""
        if arguments[0].startswith("--from="):
            assert self.at(arguments[1]).exists(), arguments
            return
        *sources, to = arguments
        for source in sources:
            origin, target = REPOSITORY / source, self.at(to)
            assert source in _context(), f"{source} is kept from the builder by .dockerignore"
            if origin.is_dir():
                shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
            else:
                shutil.copy(origin, target)


def _context() -> set[str]:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def _instructions() -> Iterator[tuple[str, str]]:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Run the Dockerfile's steps, with the interpreter of the tests as the base image's."""
    built = Image(root=tmp_path_factory.mktemp("root"))
    for folder in ("usr/bin", "opt", "src", "etc/router", "var/lib/router"):
        (built.root / folder).mkdir(parents=True)
    (built.root / "usr/bin/python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    for word, rest in _instructions():
        match word:
            case "FROM":
                built.folder, built.user = "/", "root"
            case "WORKDIR":
                built.folder = rest
            case "USER":
                built.user = rest
            case "ENV":
                for item in shlex.split(rest):
                    key, _, value = item.partition("=")
                    built.environment[key] = built.inside(value).replace("$PATH", built.variables()["PATH"])
            case "RUN":
                built.shell(rest)
            case "COPY":
                built.copy(rest.split())
            case _:
                built.settings[word] = rest
    return built


@pytest.mark.timeout(300)
def test_the_image_has_the_router_and_what_it_needs(image: Image) -> None:
    """After the Dockerfile's steps the command runs, on the locked versions, outside the sources."""
    installed = subprocess.run(
        [image.root / "opt/router/bin/python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        cwd=image.at("."), env=image.variables(), capture_output=True, check=True,
    )  # fmt: skip
    versions = {_name(package["name"]): package["version"] for package in json.loads(installed.stdout)}
    assert pins("constraints-runtime.txt").items() <= versions.items()
    assert "router" in versions
    assert not versions.keys() & {"scikit-learn", "tea-tasting", "mypy", "pytest"}

    shown = subprocess.run(
        ["router", "--version"], cwd=image.at("."), env=image.variables(), capture_output=True, text=True, check=True
    )
    assert versions["router"] in shown.stdout
    assert len(image.skipped) == 1


def test_the_image_has_the_demo_configuration_as_a_file(image: Image) -> None:
    """The installed package carries the example that the demo runs on, not a link out of it."""
    (shipped,) = (image.root / "opt/router").glob("lib/python*/site-packages/router/demo/demo.yaml")

    assert not shipped.is_symlink()
    assert shipped.read_bytes() == (REPOSITORY / "config/demo.yaml").read_bytes()


def test_the_image_runs_as_somebody_without_rights(image: Image) -> None:
    """The last stage does not run as root."""
    assert image.user not in {"root", "0", ""}


def test_the_image_serves_what_is_mounted_and_is_healthy(image: Image) -> None:
    """Entry point and command serve the mounted folder; the health check passes then, and only then."""
    port, admin = free_ports(2)
    text = (REPOSITORY / "config/sidecar.yaml").read_text(encoding="utf-8")
    text = text.replace("0.0.0.0:8080", f"127.0.0.1:{port}").replace("127.0.0.1:9090", f"127.0.0.1:{admin}")
    image.at("/etc/router/router.yaml").write_text(text.replace("shutdown_delay: 5s", "shutdown_delay: 0s"))
    command = [image.inside(word) for name in ("ENTRYPOINT", "CMD") for word in json.loads(image.settings[name])]
    check = json.loads(image.settings["HEALTHCHECK"].partition("CMD ")[2].replace("9090", str(admin)))

    def healthy() -> bool:
        done = subprocess.run(check, cwd=image.at("."), env=image.variables(), capture_output=True, check=False)
        return done.returncode == 0

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    assert not healthy()
    with subprocess.Popen(command, cwd=image.at("."), env=image.variables()) as router:
        try:
            for holds in (healthy, ready):
                deadline = time.monotonic() + 30
                while not holds():
                    assert router.poll() is None, "the router ended"
                    assert time.monotonic() < deadline, f"the router did not become {holds.__name__}"
                    time.sleep(0.1)
        finally:
            router.terminate()
        assert router.wait(timeout=30) == 0
