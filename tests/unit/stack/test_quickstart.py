from pathlib import Path

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.host import Host
from finsight_serve.stack import load_stack

from ..foreign import MEMBERS, PLUGIN, Foreign

FILE = Path(__file__).parents[3] / "examples" / "quickstart" / "fs.yaml"


def test_the_quickstart_is_a_stack_with_the_default_policy(foreign: Foreign) -> None:
    """With plugins of the names that it gives, whose options are their own affair."""
    for kind, name in (
        ("orchestrator", "ray"),
        ("load_balancer", "nginx"),
        ("health_probe", "one-token"),
        ("engine", "vllm"),
    ):
        source = PLUGIN.format(name=name, kind=kind, members=MEMBERS[kind]).replace('"forbid"', '"allow"')
        foreign.install("finsight-" + name, {kind: {name: f"fake_{name[:3]}"}}, {f"fake_{name[:3]}": source})
    stack = load_stack(FILE, Host())
    assert stack.deployments[0].policy == AutoscalingPolicy(
        min_replicas=1,
        max_replicas=4,
        target_ongoing_requests=10,
        upscale_delay_s=30,
        downscale_delay_s=300,
        smoothing_factor=0.5,
    )
    assert stack.deployments[0].model == "smollm2"
