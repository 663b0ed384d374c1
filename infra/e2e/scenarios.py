"""Names the acceptance tests that run on a deployment, one a line: those that begin with `Installation::start()`.

What an `Installation` can be asked for a deployment can give, and nothing else compiles: a test that moves the clock or
looks into the engines begins with a `TestApp`.
"""

import pathlib
import re

TESTS = pathlib.Path(__file__).parents[1] / "acceptance/tests/it"
TEST = re.compile(r"^async fn (\w+)\(\) \{\n    let \w+ = Installation::start\(\)", re.MULTILINE)

for file in sorted(TESTS.rglob("*.rs")):
    module = "::".join(file.relative_to(TESTS).with_suffix("").parts)
    for name in TEST.findall(file.read_text()):
        print(f"{module}::{name}")
