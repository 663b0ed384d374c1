"""The size gate: no function's release bootstrap is larger than 8 MB when zipped.

The workflow that deploys runs it on what it has built; a person, on what is in target/lambda after `cargo lambda build --release`.
.ci/run does not: it makes no release build.

Looks at what `cargo lambda build` made (target/lambda), or at another folder such as what `sam build` made (.aws-sam/build),
where folders are called as the template calls the functions. In a folder that is named all functions must be."""

import io
import pathlib
import re
import sys
import zipfile

LIMIT_BYTES = 8 * 1000 * 1000


def zipped_bytes(path: pathlib.Path) -> int:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(path, "bootstrap")
    return archive.tell()


def function_of(folder: str) -> str:
    """The function that was built into this folder: AuditLogsFunction is audit-logs."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", folder.removesuffix("Function")).lower()


def main() -> int:
    root = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "target/lambda"
    functions = {path.parent.name for path in root.glob("functions/*/Cargo.toml")}
    bootstraps = [path for path in sorted(folder.glob("*/bootstrap")) if function_of(path.parent.name) in functions]
    too_large = 0
    for path in bootstraps:
        size = zipped_bytes(path)
        verdict = "too large" if size > LIMIT_BYTES else "ok"
        too_large += size > LIMIT_BYTES
        print(f"{path.parent.name:22} {path.stat().st_size / 1e6:6.2f} MB, zipped {size / 1e6:5.2f} MB  {verdict}")
    missing = functions - {function_of(path.parent.name) for path in bootstraps}
    if missing and (len(sys.argv) > 1 or not bootstraps):
        print(f"not in {folder}, build them with `cargo lambda build --release` or `sam build` first: {', '.join(sorted(missing))}")
        return 2
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
