"""What Schemathesis is told of this API besides its document."""

import ipaddress
import json

import schemathesis
from hypothesis import provisional
from hypothesis import strategies as st

# Faults that a schema can tell of. Others are of what is not in the request: a scope the caller does not hold, a time that is
# past, a domain that is not verified; or of what lies between fields.
FORM = {"type", "format", "length", "unknown_field"}
# JSON Schema takes 1.0 for an integer; this API does not.
WHOLE = "must be a whole number"
# Names in a map have a form, which the document says in words.
MAPS = ("/headers",)


networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(8, 32)), st.tuples(st.ip_addresses(v=6), st.integers(16, 128))
).map(lambda parts: str(ipaddress.ip_network(parts, strict=False)))
schemathesis.openapi.format("cidr", networks)
schemathesis.openapi.format("origin", provisional.domains().map(lambda domain: f"https://{domain.lower()}"))
schemathesis.openapi.format("hostname", provisional.domains().map(str.lower))


@schemathesis.check
def accepts_what_is_valid(ctx, response, case):
    """A request that is valid by the document is not refused for its form.

    Stands for `positive_data_acceptance`, which asks for more than schemas can say: it would have any 422 be a fault of the
    document, also that of a cursor of another query, or of a workspace that must be named because there are two.
    """
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 415, 422):
        return
    problem = response.json()
    faults = [
        fault for fault in problem.get("errors", [])
        if fault["code"] in FORM and not fault["message"].startswith(WHOLE) and not fault["pointer"].startswith(MAPS)
    ]
    if faults or response.status_code != 422:
        raise AssertionError("valid by the document, and refused: " + json.dumps(faults or problem))
