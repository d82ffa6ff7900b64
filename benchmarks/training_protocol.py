"""How the sides of `training.py` are told what to do: a line of JSON in, a line of JSON out, each side a process.

Needs nothing but Python, for one side runs in an environment of its own. A side stays alive between its turns, so that
the sides can take turns without starting anew each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
READY = {"ready": True}


def serve(work: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """In the side's process: answer requests until there are no more. What libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        _say(answers, READY)
        for line in sys.stdin:
            _say(answers, work(json.loads(line)))


def _say(stream: IO[str], document: Mapping[str, Any]) -> None:
    stream.write(json.dumps(document) + "\n")
    stream.flush()


class Side(AbstractContextManager["Side"]):
    """A side's process: `python` runs `call` of a module in this folder, in the folder `scratch`."""

    def __init__(self, name: str, python: str, module: str, call: str, scratch: Path) -> None:
        self.name = name
        self._log = scratch / f"{name}.log"
        path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-c", f"import {module}; {module}.{call}"],
                cwd=scratch,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, request: Mapping[str, Any]) -> None:
        """Begin; `answer` waits for the end."""
        assert self._process.stdin is not None
        _say(self._process.stdin, request)

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises `RuntimeError` with the end of the side's log where it died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"{self.name} ended with exit code {code}:\n{said}")
        found: dict[str, Any] = json.loads(line)
        return found

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
