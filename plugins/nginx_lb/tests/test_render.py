import hashlib
import re
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsight_serve.plugin import REFUSED, Limits, Replica, Route, RouteTable
from finsight_serve_nginx.options import Options
from finsight_serve_nginx.render import decode, encode, render, upstream_group


def sha(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def files(table: RouteTable, **options: object) -> dict[str, str]:
    return {artefact.name: artefact.body for artefact in render(table, Options.model_validate(options))}


def ready(deployment: str, *addresses: str) -> tuple[Replica, ...]:
    return tuple(Replica(f"{deployment}-{address}", deployment, address, "ready") for address in addresses)


def blocks(text: str, start: str) -> list[list[str]]:
    """The lines inside each block that opens with `start`."""
    found = re.findall(rf"^ *{re.escape(start)}[^\n]*{{\n(.*?)^ *}}$", text, re.M | re.S)
    return [[line.strip() for line in block.splitlines()] for block in found]


def test_one_tenant_one_deployment() -> None:
    table = RouteTable(
        (Route("desk", (sha("k"),), {"chat": 100}, Limits(64)),),
        ready("chat", "10.0.0.2:1", "10.0.0.1:1"),
        {"chat": "s3"},
        version=7,
    )
    rendered = files(table)
    [tenants] = blocks(rendered["tenants.conf"], "map $key_sha256 $tenant")
    assert tenants == ['default "";', f'"{sha("k")}" "desk";']
    [limits] = blocks(rendered["tenants.conf"], 'map "t:$tenant" $limits')
    assert limits == ['default "";', '"t:desk" "64,-,-";']
    assert 'js_var $route_version "7";' in rendered["nginx.conf"]
    [deployments] = blocks(rendered["tenants.conf"], 'map "t:$tenant" $deployment')
    assert deployments == ['default "";', '"t:desk" "chat";']
    assert "split_clients" not in rendered["tenants.conf"]
    [upstream] = blocks(rendered["nginx.conf"], "upstream deployment-chat")
    assert [line.split()[1] for line in upstream if line.startswith("server")] == ["10.0.0.1:1", "10.0.0.2:1"]
    [keys] = blocks(rendered["upstream_keys.conf"], 'map "d:$sent_to" $upstream_authorization')
    assert keys == ["volatile;", 'default "";', '"d:chat" "Bearer s3";']


def test_equal_weights_share_a_split_and_a_zero_weight_is_none() -> None:
    routes = (
        Route("a", (sha("a"),), {"new": 10, "old": 90}),
        Route("b", (sha("b"),), {"new": 10, "none": 0, "old": 90}),
        Route("c", (sha("c"),), {"old": 0, "new": 100}),
    )
    tenants = files(RouteTable(routes))["tenants.conf"]
    assert blocks(tenants, "split_clients") == [['10% "new";', '* "old";']]
    [deployments] = blocks(tenants, 'map "t:$tenant" $deployment')
    assert deployments[1:] == ['"t:a" "$split_0";', '"t:b" "$split_0";', '"t:c" "new";']


def test_shares_stand_in_the_order_of_the_weights() -> None:
    """A share that grows in place takes sessions from its neighbour alone."""
    weights = ({"z": 50, "m": 10, "a": 40}, {"z": 20, "m": 40, "a": 40}, {"a": 30, REFUSED: 30, "z": 40})
    table = RouteTable(tuple(Route(str(n), (sha(str(n)),), each) for n, each in enumerate(weights)))
    assert sorted(blocks(files(table)["tenants.conf"], "split_clients")) == [
        ['20% "z";', '40% "m";', '* "a";'],
        ['30% "a";', '30% "";', '* "z";'],
        ['50% "z";', '10% "m";', '* "a";'],
    ]


def test_a_spare_without_an_address_is_none() -> None:
    spares = {"chat": "co de", "co de": "chat", "away": "chat", "beside": "away"}
    conf = files(RouteTable(replicas=(*ready("chat", "10.0.0.1:1"), *ready("co de", "10.0.0.1:2")), spares=spares))
    [found] = blocks(conf["nginx.conf"], 'map "d:$deployment" $spare')
    assert found == ['default "";', '"d:away" "chat";', '"d:chat" "co%20de";', '"d:co%20de" "chat";']


def test_a_deployments_bound_stands_by_its_encoded_name() -> None:
    conf = files(RouteTable(max_ongoing_requests={"co de": 16, "chat": 160}))["nginx.conf"]
    [found] = blocks(conf, 'map "d:$deployment" $max_ongoing')
    assert found == ['default "";', '"d:chat" "160";', '"d:co%20de" "16";']
    with pytest.raises(ValueError, match='deployment "chat": max_ongoing_requests must be above 0, found 0'):
        files(RouteTable(max_ongoing_requests={"chat": 0}))


def test_all_refused_is_no_deployment() -> None:
    tenants = files(RouteTable((Route("a", (sha("a"),), {REFUSED: 100}), Route("b", (sha("b"),), {}))))["tenants.conf"]
    assert set(blocks(tenants, 'map "t:$tenant" $deployment')[0]) <= {'default "";', '"t:a" "";'}


def test_limits_stand_in_one_line_for_those_who_have_any() -> None:
    limits = (Limits(), Limits(0), Limits(requests_per_s=0.5), Limits(3, 2.0, 60))
    table = RouteTable(tuple(Route(str(n), (sha(str(n)),), {}, each) for n, each in enumerate(limits)))
    [lines] = blocks(files(table)["tenants.conf"], 'map "t:$tenant" $limits')
    assert lines[1:] == ['"t:1" "0,-,-";', '"t:2" "-,0.5,-";', '"t:3" "3,2.0,60";']


def test_a_shadow_stands_only_where_some_route_has_one() -> None:
    def rendered(percent: int, socket: str = "/s/shadow.sock") -> str:
        routes = (Route("a", (sha("a"),), {"x": 100}, shadow_percent=percent), Route("b", (sha("b"),), {"x": 100}))
        return "\n".join(files(RouteTable(routes, shadow_socket=socket)).values())

    for without in (rendered(0), rendered(5, socket="")):
        assert not re.search(r"\bmirror\b|location = /shadow|shadow\.sock", without)
    shadowed = rendered(5)
    assert "mirror /shadow;" in shadowed and '"t:a" "$shadow_5";' in shadowed and '"t:b" "$shadow' not in shadowed
    assert blocks(shadowed, 'split_clients "shadow:$request_id" $shadow_5') == [['5% "1";', '* "";']]


def test_the_session_header_decides_where_a_request_goes_and_is_passed_on() -> None:
    conf = files(RouteTable(), session_header="X-Conversation-Id")["nginx.conf"]
    assert blocks(conf, "map $http_x_conversation_id $stickiness_key")
    assert "proxy_set_header X-Conversation-Id $http_x_conversation_id;" in conf and "session" not in conf


def test_only_the_key_file_is_secret() -> None:
    table = RouteTable((Route("desk", (sha("k"),), {"chat": 100}),), ready("chat", "h:1"), {"chat": "s3cr3t"})
    for artefact in render(table, Options()):
        assert artefact.secret == (artefact.name == "upstream_keys.conf")
        assert ("s3cr3t" in artefact.body) == artefact.secret


def test_rendering_depends_on_no_order_but_the_weights_and_on_no_replica_id() -> None:
    routes = (Route("a", (sha("1"), sha("2")), {"x": 30, "y": 70}), Route("b", (sha("3"),), {"x": 100}))
    replicas = ready("x", "h:1", "h:2") + ready("y", "h:3")
    renamed = tuple(Replica(f"new-{replica.id}", replica.deployment, replica.address, "ready") for replica in replicas)
    turned = tuple(Route(r.tenant, r.key_sha256[::-1], r.weights) for r in routes)[::-1]
    first = RouteTable(routes, replicas, {"x": "k", "y": "l"})
    assert render(first, Options()) == render(RouteTable(turned, renamed[::-1], {"y": "l", "x": "k"}), Options())


def test_tls_lines_stand_only_with_tls(tmp_path: object) -> None:
    plain = files(RouteTable())["nginx.conf"]
    assert "ssl" not in plain
    secured = files(RouteTable(), tls_certificate=f"{tmp_path}/c.pem", tls_certificate_key=f"{tmp_path}/k.pem")[
        "nginx.conf"
    ]
    assert "listen 127.0.0.1:8000 ssl;" in secured and f'ssl_certificate_key "{tmp_path}/k.pem";' in secured


def test_a_body_never_outgrows_its_buffer() -> None:
    conf = files(RouteTable(), max_body_size_bytes=12345)["nginx.conf"]
    assert "client_max_body_size 12345;" in conf and "client_body_buffer_size 12345;" in conf
    assert "proxy_max_temp_file_size 0;" in conf


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (RouteTable((Route("", (), {}),)), 'tenant "": a tenant needs a name'),
        (RouteTable((Route("a", (), {}), Route("a", (), {}))), 'tenant "a": a tenant needs a name of its own'),
        (RouteTable((Route("a", (), {"x": 99}),)), "weights must add up to 100"),
        (RouteTable((Route("a", (), {"x": 101, "y": -1}),)), "weights must add up to 100"),
        (RouteTable((Route("a", ("$1",), {}),)), "key hash must be 64"),
        (RouteTable((Route("a", (), {}, Limits(requests_per_s=0)),)), "requests_per_s must be above 0"),
        (RouteTable((Route("a", (), {}, Limits(tokens_per_minute=-1)),)), "tokens_per_minute must be above 0"),
        (RouteTable((Route("a", (), {}, shadow_percent=101),)), "shadow_percent must be between 0 and 100"),
        (RouteTable((), shadow_socket='/a";evil'), "shadow_socket: nginx can't take a path"),
        (RouteTable((Route("a", (sha("k"),), {}), Route("b", (sha("k"),), {}))), 'shares a key with tenant "a"'),
        (RouteTable((), ready("x", "h:1; evil")), "no host:port"),
        (RouteTable((), ready("x", "")), "no host:port"),
        (RouteTable((), (), {"x": 'a"; evil'}), "its upstream key is no bearer token"),
        (RouteTable((), (), {"x": "a,,evil"}), "its upstream key is no bearer token"),
    ],
)
def test_what_makes_no_sense_is_named(table: RouteTable, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        render(table, Options())
    assert "evil" not in str(caught.value) or "host:port" in message


NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    [
        "default",
        "hostnames",
        "volatile",
        "include",
        "~x",
        "\\",
        "$tenant",
        '"',
        "'",
        ";",
        "}",
        "#",
        "a b",
        "\n",
        "Chat",
        "chat",
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> RouteTable:
    deployments = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    tenants = draw(st.lists(NAMES, max_size=5, unique=True))

    def weights() -> Mapping[str, int]:
        chosen = draw(st.lists(st.sampled_from(deployments), unique=True))
        cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(chosen), max_size=len(chosen))))
        cuts = [0, *cuts[:-1], 100]
        return dict(zip(chosen, (high - low for low, high in pairwise(cuts)), strict=False))

    rates = st.floats(0.001, 1e6)
    some = st.integers(1, 10**9)
    limits = st.builds(Limits, st.none() | st.integers(0, 10**9), st.none() | rates, st.none() | some)
    routes = tuple(
        Route(name, (sha(name),), weights(), draw(limits), draw(st.sampled_from((0, 0, 1, 50, 100))))
        for name in tenants
    )
    replicas = tuple(
        Replica(str(n), draw(st.sampled_from(deployments)), f"10.0.0.1:{n + 1}", "ready")
        for n in range(draw(st.integers(0, 5)))
    )
    keys = {name: f"key{n}" for n, name in enumerate(deployments)}
    one = st.sampled_from(deployments)
    return RouteTable(routes, replicas, keys, draw(some), "/run/shadow.sock", spares=draw(st.dictionaries(one, one)))


@settings(max_examples=60, deadline=None)
@given(tables())
def test_no_name_gets_out_of_its_quotes(table: RouteTable) -> None:
    rendered = files(table)
    for name in ("tenants.conf", "upstream_keys.conf"):
        for line in rendered[name].splitlines():
            entry = r'\s+("[^"$\\\s]*"|default|\*|\d+%) "(\$(split|shadow)_\d+|(Bearer )?[^"$\\\s]*)";'
            splits = r'split_clients (\$stickiness_key|"shadow:\$request_id") \$(split|shadow)_\d+ \{'
            block = r'map ("\w:\$\w+"|\$\w+) \$\w+ \{|' + splits + r"|    volatile;|\}|#.*|"
            assert re.fullmatch(f"{entry}|{block}", line), line
    confs = [text for name, text in rendered.items() if name.endswith(".conf")]
    assert confs and all(text.count("{") == text.count("}") for text in confs)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_every_tenant_with_weight_is_led_to_its_deployments(table: RouteTable) -> None:
    tenants = files(table)["tenants.conf"]
    splits = dict(re.findall(r"split_clients \$stickiness_key \$(split_\d+) \{\n(.*?)\n\}", tenants, re.S))
    lines = blocks(tenants, 'map "t:$tenant" $deployment')[0][1:]
    led = {line.split('"')[1].removeprefix("t:"): line.split('"')[3] for line in lines}
    for route in table.routes:
        wanted = {name for name, percent in route.weights.items() if percent}
        target = led.get(encode(route.tenant))
        if target is None:
            assert not wanted
        elif target.startswith("$"):
            assert {decode(name) for name in re.findall(r'"(.*?)"', splits[target[1:]])} == wanted
        else:
            assert {decode(target)} == wanted


def test_before_another_load_balancer_it_is_tried_twice_and_never_left_alone() -> None:
    routes = (Route("desk", (sha("k"),), {"chat+pods": 90, REFUSED: 10}),)
    table = RouteTable(routes, ready("chat+pods", "[fd00::9]:8080"), {"chat+pods": "a,b", "pods": "a,b"}, fronts=True)
    conf = files(table)["nginx.conf"]
    [upstream] = blocks(conf, f"upstream {upstream_group('chat+pods')}")
    assert [line for line in upstream if line.startswith("server")] == ["server [fd00::9]:8080 max_fails=0;"] * 2
    [placed] = blocks(conf, "map $upstream_http_x_finsight_deployment $placed_at")
    assert placed == ["default $deployment;", '"chat%2Bpods" "chat%2Bpods";', '"pods" "pods";']
    assert '"deployment":"$placed_at"' in conf and "js_header_filter" in conf
    alone = files(RouteTable(routes, ready("chat+pods", "h:1")))["nginx.conf"]
    assert "placed_at" not in alone and "js_header_filter" not in alone and '"deployment":"$deployment"' in alone


def test_whoever_is_turned_away_is_led_to_what_was_assigned() -> None:
    routes = (
        Route("asleep", (sha("a"),), {}, assigned={"pods": 100}),
        Route("both", (sha("b"),), {REFUSED: 100}, assigned={"chat": 40, "pods": 60}),
        Route("desk", (sha("c"),), {"chat": 100}, assigned={"chat": 100}),
    )
    found = files(RouteTable(routes, ready("chat", "h:1")), metrics_listen="127.0.0.1:9113")
    [lines] = blocks(found["tenants.conf"], 'map "t:$tenant" $assigned')
    assert lines == ["default $deployment;", '"t:asleep" "pods";', '"t:both" "$split_0";']
    assert blocks(found["tenants.conf"], "split_clients $stickiness_key $split_0") == [['40% "chat";', '* "pods";']]
    assert re.findall(r"'(.*)'", found["inventory.js"]) == ["asleep pods", "both chat", "both pods", "desk chat"]
    assert "$assigned" not in files(RouteTable(routes))["tenants.conf"]


@given(st.text())
def test_names_survive_encoding(name: str) -> None:
    assert decode(encode(name)) == name


@given(st.lists(NAMES, unique=True))
def test_groups_differ_even_without_regard_to_case(names: list[str]) -> None:
    assert len({upstream_group(name).lower() for name in names}) == len(names)
