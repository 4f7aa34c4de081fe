"""The documents as their readers use them: blocks of code and commands, in scenes that are played one after the other.

A comment before a fence says what becomes of it: `<!-- run -->`, `<!-- run SCENE -->`, `<!-- file PATH -->`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:<!-- (?P<do>run|file) ?(?P<what>[^ ]*) ?-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block. `do` is run, file or ""; `what` the scene or the path."""

    do: str
    what: str
    language: str
    text: str


def all_of_them():
    """Return the documents for users, by their path from the root."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in paths]


def read(name):
    return (ROOT / name).read_text()


def blocks(name):
    return [
        Block(m["do"] or "", m["what"] or "", m["language"], m["text"]) for m in BLOCK.finditer(read(name))
    ]


def python(name, scope=None):
    """Run the Python blocks that are marked for it; return what they define."""
    found = [block for block in blocks(name) if block.do == "run" and block.language == "python"]
    assert found, name
    scope = {} if scope is None else scope
    for block in found:
        exec(compile(block.text, name, "exec"), scope)
    return scope


def scenes(name):
    """Return the blocks of each scene of commands; files are laid out in all of them."""
    found = blocks(name)
    names = dict.fromkeys(block.what for block in found if (block.do, block.language) == ("run", "sh"))
    return {
        scene: [
            block
            for block in found
            if block.do == "file" or ((block.do, block.language, block.what) == ("run", "sh", scene))
        ]
        for scene in names
    }
