//! What the product promises, tested on the whole of it. The tests are in `tests/it`.
