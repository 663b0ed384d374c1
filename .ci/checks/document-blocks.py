"""The code blocks in the documents: every block of shell is run by a check, or says why it is not.

    python3 document-blocks.py                         looks at all documents
    python3 document-blocks.py README.md Walk-through  prints what is to be run of a document, or of one section of it

A block that is not run has `<!-- not run: the reason -->` in the line above it. Of the others the table RUN says which check
runs them. All of them must be shell that bash can read; blocks of JSON must be JSON, and blocks of Python must compile. Code in
a programming language is quoted from a file that checks compile or run: its lines stand there, one after the other, whatever is
between them and however they are indented; `…` stands for what is left out.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md"]
SHELL = {"sh", "bash", "shell", "console", "zsh"}
# What is run: a document, its section (or all of it), and the check that runs it.
RUN = [
    ("README.md", "Walk-through", ".ci/checks/walk-throughs.sh"),
    ("docs/quick-start.md", None, ".ci/checks/walk-throughs.sh"),
    ("docs/using-api-keys.md", "Getting a key", ".ci/checks/samples.sh"),
    ("docs/operations.md", "On the local platform", ".ci/checks/restore.sh"),
]

CODE = {"rust": ".rs", "python": ".py", "ts": ".ts", "go": ".go"}
SOURCES = ["docs/samples/**/*", "functions/*/src/**/*", "shared/*/src/**/*", "infra/acceptance/tests/**/*"]

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*(\w*)\s*$")
HEADING = re.compile(r"^(#+) +(.+?) *$")
NOT_RUN = re.compile(r"^\s*<!-- not run: \S.* -->$")


class Block:
    def __init__(self, document, line, language, sections, reason):
        self.where = f"{document}:{line}"
        self.document, self.language, self.sections, self.reason = document, language, sections, reason
        self.lines = []

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)

    def is_run(self):
        return not self.reason and any(
            document == self.document and (section is None or section in self.sections) for document, section, _ in RUN)


def blocks(document):
    """The blocks of a document, in order; each knows the headings above it."""
    sections, block, end, above = [], None, "", ""
    for number, line in enumerate((ROOT / document).read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if block is not None:
            if fence and fence[2] == end and not fence[3]:
                yield block
                block = None
            else:
                indent = len(line) - len(line.lstrip())
                block.lines.append(line[min(block.indent, indent):])
        elif fence:
            block = Block(document, number, fence[3], [text for _, text in sections], NOT_RUN.match(above))
            block.indent, end = len(fence[1]), fence[2]
        elif heading := HEADING.match(line):
            depth = len(heading[1])
            sections = [(other, text) for other, text in sections if other < depth] + [(depth, heading[2])]
        above = line
    if block is not None:
        raise SystemExit(f"{block.where}: the block does not end")


def documents():
    found = {path for pattern in DOCUMENTS for path in ROOT.glob(pattern) if "node_modules" not in path.parts}
    return sorted(str(path.relative_to(ROOT)) for path in found)


def quoted(block):
    """Whether the lines of a block stand in one file of the repository, in their order."""
    wanted = [line.strip() for line in block.lines if line.strip() and "…" not in line]
    for pattern in SOURCES:
        for path in ROOT.glob(pattern + CODE[block.language]):
            if "node_modules" not in path.parts and "target" not in path.parts:
                lines = (line.strip() for line in path.read_text().splitlines())
                if all(line in lines for line in wanted):
                    return True
    return False


def fault(block):
    """What is wrong with a block, or None."""
    if block.language in SHELL:
        read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        if read.returncode:
            return f"bash cannot read it: {read.stderr.strip()}"
        if not block.reason and not block.is_run():
            return "no check runs it, and it does not say why: <!-- not run: the reason -->"
    elif block.language in CODE:
        if not block.reason and not quoted(block):
            return "no file has these lines, and it does not say why: <!-- not run: the reason -->"
    elif block.reason:
        return "it is marked as not run, and nobody would run it"
    try:
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            compile(block.text, block.where, "exec")
    except (ValueError, SyntaxError) as error:
        return str(error)
    return None


def check():
    faults, counts = [], {"run or quoted": 0, "not run": 0, "not code": 0}
    for document, _, runner in RUN:
        if document not in (ROOT / runner).read_text():
            faults.append(f"{runner} does not name {document}")
        if runner not in (ROOT / ".ci/run").read_text():
            faults.append(f".ci/run does not call {runner}")
    for document in documents():
        for block in blocks(document):
            if wrong := fault(block):
                faults.append(f"{block.where}: {wrong}")
            runnable = block.language in SHELL or block.language in CODE
            is_run = block.is_run() or block.language in CODE and not block.reason
            counts["not code" if not runnable else "run or quoted" if is_run else "not run"] += 1
    for wrong in faults:
        print(wrong, file=sys.stderr)
    print("blocks: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if faults else 0


def script(document, section=None):
    """The blocks that are run of a document, as one script."""
    wanted = [block for block in blocks(document)
              if block.language in SHELL and block.is_run() and (section is None or section in block.sections)]
    if not wanted:
        raise SystemExit(f"{document} has no block that is run" + (f' under a heading "{section}"' if section else ""))
    return "\n".join(block.text for block in wanted)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(check())
    print(script(*sys.argv[1:]), end="")
