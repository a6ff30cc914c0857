import pytest

from prefect_mutagen.tasks.markdown import artifact_key, plain


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("blk.0_q.weight", "blk.0\\_q.weight"),
        ("**b** `c`", "\\*\\*b\\*\\* \\`c\\`"),
        ("[x](javascript:1)", "\\[x\\](javascript\\:1)"),
        ("<img src=x onerror=1>&", "&lt;img src=x onerror=1&gt;&amp;"),
        ("| a |\n# b", "\\| a \\|\\\\n\\# b"),
        ("www.evil.example a@b", "www\u2060.evil.example a\\@\u2060b"),
        ("HTTPS://evil.example", "HTTP\u2060S\\://evil.example"),
        ("http://a s3://b", "http\u2060\\://a s3\\://b"),
        ("\u2060", "\\\\u2060"),
    ],
)
def test_values_mean_nothing_in_markdown(value: str, shown: str) -> None:
    assert plain(value) == shown


def test_each_root_has_artifacts_of_its_own() -> None:
    keys = {artifact_key("summary", url) for url in ("s3://b/Models", "s3://b/models", "/größe/")}
    assert len(keys) == 3
    for key in keys:
        assert key.strip("-") == key
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
