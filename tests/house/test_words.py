"""What is written: no traces of a workplace in the files, no calls in the README that do not exist."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {"samples", "__pycache__", "dist", "build", "node_modules"}


def texts() -> list[Path]:
    """Every text of the repository, but for recorded answers and this file."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for room in (".ci", "poller", "sessions", "tests"):
        found += [path for path in (ROOT / room).rglob("*") if not SKIPPED & set(path.parts)]
    kinds = {".py", ".md", ".yaml", ".toml", ".j2", ".txt", ".sh", ""}
    return sorted(path for path in found if path.suffix in kinds and path.is_file() and path != Path(__file__))


#: Mocks of our own code, notes that should have become work, checks that are silenced altogether.
FORBIDDEN = re.compile(r"mock\.patch|MagicMock|\bFIXME\b|\bXXX\b|\bTODO\b|type: ignore(?!\[)|noqa(?!: [A-Z])")


def test_nothing_is_left_that_belongs_elsewhere() -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not lines


README = ROOT / "README.md"
NEWCOMER = [
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/poll demo",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
]


def calls_in_readme() -> list[list[str]]:
    """Every `poll …` and `bottle …` in the README's code blocks, split into words."""
    if not README.exists():
        return []
    found = []
    for block in re.findall(r"^```\w*\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            match = re.search(r"(?:^|[\s/])((?:poll|bottle)(?: [^#|&]*)?)(?:$|[#|&])", line)
            if match:
                found.append(shlex.split(match[1], comments=True))
    return found


def test_the_readme_begins_with_the_newcomers_two_commands() -> None:
    text = README.read_text(encoding="utf-8")
    places = [text.find(command) for command in NEWCOMER]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("words", calls_in_readme(), ids=" ".join)
def test_a_call_of_the_readme_exists(words: list[str]) -> None:
    import typer.main

    from poller.__main__ import poll
    from sessions import __main__ as bottle

    group = typer.main.get_command(poll if words[0] == "poll" else bottle.app)
    verbs = getattr(group, "commands", {})
    verb = next((word for word in words[1:] if not word.startswith("-")), "")
    command = verbs.get(verb, group)
    assert not verb or verb in verbs or words[0] == "poll", f"no verb {verb}"
    known = {option for parameter in [*group.params, *command.params] for option in parameter.opts} | {"--help", "-h"}
    asked = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert asked <= known


def configs_in_readme() -> list[str]:
    """Whole configs, of which only the log-in is left out."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for block in blocks if re.search("^gitea:", text := textwrap.dedent(block), re.MULTILINE)]


@pytest.mark.parametrize("text", configs_in_readme(), ids=("beside a machine", "in a job"))
def test_a_config_of_the_readme_is_one(text: str, tmp_path: Path) -> None:
    from poller.config import load

    file = tmp_path / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    assert load(file, environ=dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "x")).agents


def test_the_config_for_a_job_fits_the_workflow_beside_it() -> None:
    _, _, workflow = README.read_text(encoding="utf-8").partition("# .gitea/workflows/bottlepost.yaml\n")
    config, workflow = configs_in_readme()[-1], workflow.partition("```")[0]
    (token,) = re.findall(r"\$\{(\w+)\}", config)
    assert f"{token}: ${{{{ secrets.{token} }}}}" in workflow and not token.startswith("GITEA_")
    assert "state: /state" in config and ":/state" in workflow, "what is remembered is on the volume"
    assert "backend: process" in config, "there is no engine in a job"


def troubles_in_readme() -> list[str]:
    """The messages that the table of troubles explains, without the parts that differ."""
    _, _, table = README.read_text(encoding="utf-8").partition("### Troubleshooting")
    cells = [line.split(" | ")[0].lstrip("| ") for line in table.partition("\n## ")[0].splitlines() if "`" in line]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    return [part.strip(" ():;,@") for message in messages for part in message.split("…") if len(part.strip()) > 8]


@pytest.mark.parametrize("words", troubles_in_readme())
def test_a_message_that_the_readme_explains_is_still_said(words: str) -> None:
    parts = [part for part in words.removeprefix("claude: ").split(": 40")[0].split("  ") if part]
    source = "\n".join(
        path.read_text(encoding="utf-8") for room in ("poller", "sessions") for path in (ROOT / room).rglob("*.py")
    )
    flat = re.sub(r'"\s*f?"', "", source)
    assert all(part in flat for part in parts)


def blocks_in_readme(kind: str) -> list[str]:
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_yaml_and_units_of_the_readme_can_be_read() -> None:
    import configparser
    import textwrap

    import yaml

    for block in blocks_in_readme("yaml"):
        assert isinstance(yaml.safe_load(textwrap.dedent(block)), dict)
    [workflow] = [block for block in blocks_in_readme("yaml") if "runs-on" in block]
    assert "cron" in yaml.safe_load(workflow)[True]["schedule"][0]  # YAML takes `on` for a truth
    units = blocks_in_readme("ini")
    for block in units:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block)
        assert set(unit.sections()) <= {"Unit", "Service", "Timer", "Install"}
    assert len(units) == 3
