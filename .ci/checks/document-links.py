"""What the documents point at is there.

    python3 document-links.py

Looks at README.md, CONTRIBUTING.md, CHANGELOG.md and docs/**/*.md, and outside of code blocks at:

- links within the repository: the file, and the heading after `#`;
- `paths` of files and folders, from the root, from a folder of crates, or as a bare name of a file;
- `isolation::a_test` and `shared/egress/tests/hostile::a_test`: a test of that name in that file, the first one in
  infra/acceptance/tests/it. `module::item` in any other sense must be defined somewhere;
- every alarm, parameter, secret, table, queue and bucket of template.yaml is in the document that tells of them;
- the access patterns in the documentation of keys.rs are those of the deep-dive.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md"]
# What a path may be relative to, besides the document itself.
BASES = ["", "shared", "functions", "infra", "docs", "infra/acceptance/tests/it"]
EXTENSIONS = r"\.(?:rs|py|sh|ts|go|md|toml|yaml|env)"
# Named in the documents and not here: made by a tool, or an example.
ELSEWHERE = {".venv", "target", ".artisan"}
# The type of a resource or parameter in template.yaml, and the document that tells of each.
TOLD_OF = {
    "AWS::CloudWatch::Alarm": "docs/operations.md",
    "AWS::SecretsManager::Secret": "docs/operations.md",
    "AWS::DynamoDB::Table": "docs/operations.md",
    "AWS::SQS::Queue": "docs/operations.md",
    "AWS::S3::Bucket": "docs/operations.md",
    "String": "docs/deploying.md",
    "Number": "docs/deploying.md",
}

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)")
PATH = re.compile(r"\.?[\w.-]+(?:/[\w.*-]+)*/?")
ITEM = re.compile(r"([\w./-]+)::([A-Za-z]\w*)")
DEFINITION = r"\b(?:fn|struct|enum|trait|type|const|static|mod|macro_rules!)\s+{}\b"
# Variants and fields have no word before them.
MEMBER = r"\b{}\s*[,({{=]"


def prose(text):
    """The text with its blocks of code blanked, so that lines keep their numbers."""
    lines, fence = [], None
    for line in text.splitlines():
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and (fence is None or mark[1] == fence):
            fence = mark[1] if fence is None else None
            line = ""
        lines.append("" if fence else line)
    return lines


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    seen, found = {}, set()
    for line in prose(path.read_text()):
        heading = re.match(r"#+ +(.+?) *$", line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def tracked():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).exists()]


FILES = tracked()
NAMES = {path.rsplit("/", 1)[-1] for path in FILES}
TOP = {path.split("/", 1)[0] for path in FILES if "/" in path}
SOURCES = "\n".join((ROOT / path).read_text() for path in FILES if path.endswith(".rs"))


def link_fault(document, target):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.exists() or (ROOT not in path.parents and path != ROOT):
        return f"there is no {name}"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"{name or document.name} has no heading #{anchor}"
    return None


def is_there(document, path):
    path = path.rstrip("/")
    bases = [ROOT / base for base in BASES] + [document.parent]
    return any(any(base.glob(path)) if "*" in path else (base / path).exists() for base in bases)


def path_fault(document, code):
    if not PATH.fullmatch(code):
        return None
    first = code.split("/", 1)[0]
    if first in ELSEWHERE:
        return None
    named = re.search(EXTENSIONS + "$", code)
    if "/" not in code.rstrip("/"):
        if named and code not in NAMES:
            return f"there is no file {code}"
        return None
    if (named or first in TOP) and not is_there(document, code):
        return f"there is no {code}"
    return None


def item_fault(code):
    found = ITEM.fullmatch(code.removesuffix("()"))
    if not found:
        return None
    module, name = found.groups()
    # What names a file, or a file of the acceptance tests, is in that file; anything else is a type's or a crate's.
    for path in (f"infra/acceptance/tests/it/{module}.rs", f"{module}.rs"):
        if path in FILES:
            defined = re.search(DEFINITION.format(name), (ROOT / path).read_text())
            return None if defined else f"{path} has no {name}"
    if "/" in module:
        return f"there is no {module}.rs"
    if not re.search(f"{DEFINITION.format(name)}|{MEMBER.format(name)}", SOURCES):
        return f"nothing is named {name}"
    return None


def template_faults():
    """Resources and parameters of the template that the document leaves out in which they belong."""
    documents = {document: (ROOT / document).read_text() for document in set(TOLD_OF.values())}
    for name, kind in re.findall(r"^  (\w+):\n    Type: (\S+)$", (ROOT / "template.yaml").read_text(), re.MULTILINE):
        document = TOLD_OF.get(kind)
        if document and f"`{name}`" not in documents[document]:
            yield f"{document}: nothing is said of {name}"


def pattern_faults():
    """Rows of the table of keys.rs that the deep-dive has not, or in other words."""
    document = "docs/technical-deep-dive.md"
    told = set(re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", (ROOT / document).read_text(), re.MULTILINE))
    module = (ROOT / "shared/store/src/keys.rs").read_text()
    for what, where, key in re.findall(r"^//! \| ([^|]+) \| (\w[^|]+) \| ([^|]*`[^|]+|[^|]*same[^|]*) \|$", module, re.MULTILINE):
        if (what, re.sub(r"^\w+", r"`\g<0>`", where), key) not in told:
            yield f"{document}: not as in keys.rs: {what}"


def main():
    documents = {path for pattern in DOCUMENTS for path in ROOT.glob(pattern) if "node_modules" not in path.parts}
    faults, links, codes = [*template_faults(), *pattern_faults()], 0, 0
    for document in sorted(documents):
        text = "\n".join(prose(document.read_text()))
        found = [(link.start(), link_fault(document, link[1])) for link in LINK.finditer(text)]
        links += len(found)
        for code in CODE.finditer(text):
            codes += 1
            name = " ".join(code[1].split())
            found.append((code.start(), path_fault(document, name) or item_fault(name)))
        for start, fault in found:
            if fault:
                faults.append(f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, start) + 1}: {fault}")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(documents)} documents, {links} links, {codes} names in code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
