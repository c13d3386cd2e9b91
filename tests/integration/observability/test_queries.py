"""What dashboards ask, as Prometheus' own tool reads it."""

import json
import re
from pathlib import Path

from finsight_serve.observability.dashboards import dashboards
from finsight_serve_nginx.dashboard import DASHBOARD as OF_NGINX
from finsight_serve_ray.dashboard import DASHBOARD as OF_RAY
from finsight_serve_vllm.dashboard import DASHBOARD as OF_VLLM

from .test_rules import run


def test_every_query_is_promql(promtool: str, tmp_path: Path) -> None:
    queries = [query.expr for one in dashboards((OF_RAY, OF_VLLM, OF_NGINX)) for query in one.queries]
    filled = [re.sub(r"\$(\w+)", "chosen", query.replace("$__rate_interval", "1m")) for query in queries]
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(filled)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"SUCCESS: {len(queries)} rules found" in run(promtool, "check", "rules", "queries.yml", cwd=tmp_path)
