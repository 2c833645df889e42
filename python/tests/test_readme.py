"""The examples of README run as they are typed, and print what they are said to print."""

import contextlib
import io
import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore::elbo.ElboWarning")
def test_examples_print_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names = {}
    printed = None
    for kind, text in blocks:
        if kind == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(text, str(README), "exec"), names)  # noqa: S102
            printed = output.getvalue()
        elif kind == "text":
            assert text == printed
    assert sum(kind == "python" for kind, _ in blocks) >= 1
