"""What Schemathesis is told of this API besides its document."""

import json

import schemathesis

# Faults that a schema can tell of. Others are of what is not in the request: a scope the caller does not hold, a time that is
# past, a domain that is not verified; or of what lies between fields.
FORM = {"type", "format", "length", "unknown_field"}


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
    faults = [fault for fault in problem.get("errors", []) if fault["code"] in FORM]
    if faults or response.status_code != 422:
        raise AssertionError("valid by the document, and refused: " + json.dumps(faults or problem))
