#!/usr/bin/env python3
"""Records what Docker makes of the Dockerfiles here that need no network: `dockerfiles/NAME.docker.json`.

DOCKER names the client's command, BASE an image with a shell whose configuration is PATH=/bin and CMD ["sh"].
"""
import json
import os
import pathlib
import re
import subprocess

DOCKER = os.environ.get("DOCKER", "docker").split()
BASE = os.environ["BASE"]
HERE = pathlib.Path(__file__).parent / "dockerfiles"
STEP = re.compile(r"^#\d+ (\[(?!internal)[^\]]*\d+/\d+\] .*)$", re.M)


def docker(*args, **kwargs):
    return subprocess.run([*DOCKER, *args], capture_output=True, text=True, **kwargs)


def record(path):
    text = path.read_text()
    build = ["build", "--build-arg", f"BASE={BASE}", "-"]
    out = {}
    check = docker("build", "--call=check,format=json", *build[1:], input=text)
    try:
        found = json.loads(check.stdout)
    except ValueError:
        return None
    out["checks"] = [
        [w["ruleName"], w["location"]["ranges"][0]["start"]["line"], w["detail"]] for w in found.get("warnings") or []
    ]
    context = HERE / "context"
    tag = "wharf-record"
    args = ["build", "--progress", "plain", "--build-arg", f"BASE={BASE}", "-t", tag, "-f", str(path), str(context)]
    built = docker(*args)
    if built.returncode:
        print(path.name, built.stderr.strip().splitlines()[-1:])
        return out
    names = list(dict.fromkeys(STEP.findall(built.stderr)))
    out["steps"] = sorted(name.replace(BASE, "BASE") for name in names)
    image = json.loads(docker("image", "inspect", tag).stdout)[0]
    out["config"] = image["Config"]
    out["author"] = image.get("Author") or ""
    history = docker("history", "--no-trunc", "--format", "{{json .}}", tag).stdout.splitlines()
    rows = [json.loads(row) for row in history]
    out["history"] = [r["CreatedBy"].replace(BASE, "BASE") for r in rows if r["Comment"] == "buildkit.dockerfile.v0"][::-1]
    docker("image", "rm", tag)
    return out


def main():
    for path in sorted(HERE.glob("*.Dockerfile")):
        if "ARG BASE" not in path.read_text() and "scratch" not in path.read_text():
            continue
        if out := record(path):
            text = json.dumps(out, indent=1, ensure_ascii=False, sort_keys=True)
            path.with_suffix(".docker.json").write_text(text + "\n")


main()
