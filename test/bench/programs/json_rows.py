# SPDX-License-Identifier: MIT
"""What Python is measured on: dictionaries and strings, some of them past its own small-object allocator."""

import json
for _ in range(3):
    rows = [{"id": i, "name": "n%d" % i, "tags": ["x" * (i % 700), str(i)]} for i in range(40000)]
    assert len(json.loads(json.dumps(rows))) == len(rows)
