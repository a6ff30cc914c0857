"""How agents are shown: as a shell would be told their command, and without secrets."""

import pytest

from prefect_mutagen.tasks.agent_launch import shown_command


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/bin/sh", "-c", "rm -rf /data/x"], "/bin/sh -c 'rm -rf /data/x'"),
        (["x", "--tokenizer", "t", "--max-tokens", "5"], "x --tokenizer t --max-tokens 5"),
        (["python", "auth.py", "token.json"], "python auth.py token.json"),
        (["x", "a" * 200, "end"], f"x {'a' * 58} \u2026 {'a' * 56} end"),
        (["x", "\x1b[31m"], "x '\\x1b[31m'"),
    ],
)
def test_a_command_is_shown_as_it_is(command: list[str], shown: str) -> None:
    assert shown_command(command) == shown


@pytest.mark.parametrize(
    "command",
    [
        ["claude", "--api-key", "sk-ant-hunter2hunter2"],
        ["x", "--token=hf_hunter2hunter2"],
        ["x", "--token=hunter2"],
        ["x", "--password", "hunter2"],
        ["env", "API_KEY=hunter2", "x"],
        ["env", "HF_TOKEN=hunter2", "x"],
        ["curl", "-H", "Authorization: Bearer hunter2", "https://h"],
        ["sh", "-c", "curl -H 'X-Api-Key: hunter2' https://h"],
        ["x", "https://user:hunter2@h/x"],
        ["x", "https://h/x?X-Amz-Signature=hunter2"],
        ["x", "ghp_hunter2hunter2hunter2"],
        ["x", "a" * 200, "--password", "hunter2"],
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_no_secret_is_shown(command: list[str]) -> None:
    assert "hunter2" not in shown_command(command)
