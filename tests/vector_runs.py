"""Runs a kind of vectors on a changed copy of the published ones, and says what was printed."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.vectors.__main__ import main

DATA = Path(__file__).parent / "data"
FOLDERS = ("connectivity", "targets")  # kinds whose vectors are a folder of files with `expected.json`


def run(kind: str, given: Any) -> tuple[int, list[str]]:
    """Exit status and printed lines; `given` is the file's content, as JSON or as the text itself."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
        path = Path(folder) / "vectors.json"
        if kind in FOLDERS:
            path = Path(folder) / "files"
            shutil.copytree(DATA / kind, path)
        content = given if isinstance(given, str) else json.dumps(given)
        (path / "expected.json" if kind in FOLDERS else path).write_text(content, encoding="utf-8")
        status = main([kind, str(path)])
    return status, printed.getvalue().splitlines()


def changed(value: Any) -> Any:
    """The same kind of value, but another one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + max(0.05 * abs(value), 0.01)
        case str():
            return f"{value}x"
        case None:
            return 1.0
        case list():
            return [*value[:-1], changed(value[-1])]
        case dict():
            last = list(value)[-1]
            return value | {last: changed(value[last])}
        case _:
            raise TypeError(value)
