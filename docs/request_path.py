"""`python docs/request_path.py > docs/request-path.svg`: the picture in the README."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 980, 470
STYLE = """
  text { font: 13px ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .small { font-size: 12px; fill: #57606a }
  .box { fill: #ffffff; stroke: #8c959f }
  .area { fill: #f6f8fa; stroke: #d0d7de }
  .request { stroke: #0969da; stroke-width: 2.5; fill: none }
  .control { stroke: #9a6700; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none }
  .label-request { fill: #0969da; font-size: 12px }
  .label-control { fill: #9a6700; font-size: 12px }
  #tip-request path { fill: #0969da }
  #tip-control path { fill: #9a6700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .box { fill: #0d1117; stroke: #6e7681 }
    .area { fill: #161b22; stroke: #30363d }
    .request { stroke: #58a6ff }
    .control { stroke: #d29922 }
    .label-request { fill: #58a6ff }
    .label-control { fill: #d29922 }
    #tip-request path { fill: #58a6ff }
    #tip-control path { fill: #d29922 }
  }
"""
ALT = (
    "A client's request goes to nginx, which finds the tenant by its API key and passes it to a replica of the "
    "tenant's deployment in Ray Serve. The controller renders nginx's configuration, sets Ray's applications by REST, "
    "probes the replicas, reads the ledger, and keeps its state in SQLite."
)


def box(x: int, y: int, width: int, height: int, title: str, lines: Sequence[str] = (), kind: str = "box") -> str:
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>']
    parts.append(text(x + 14, y + 24, title, "title"))
    parts += [text(x + 14, y + 46 + 18 * row, line, "small") for row, line in enumerate(lines)]
    return "\n".join(parts)


def text(x: int, y: int, content: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'


def arrow(kind: str, points: str) -> str:
    return f'<polyline class="{kind}" points="{points}" marker-end="url(#tip-{kind})"/>'


def tip(kind: str) -> str:
    return (
        f'<marker id="tip-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="11" markerHeight="11" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L10 5 L0 10 z"/></marker>'
    )


def parts() -> Iterator[str]:
    yield box(20, 76, 150, 80, "client", ["OpenAI's API,", "one URL, one key"])
    yield box(
        290,
        40,
        270,
        146,
        "nginx",
        [
            "API key → tenant → deployment",
            "limits; round robin over ready replicas",
            "skips a failing one, one retry before",
            "the first byte; streams unbuffered",
            "one ledger line per request",
        ],
    )
    yield box(690, 20, 270, 236, "Ray Serve", kind="area")
    for number in range(3):
        lines = ["vLLM's own HTTP server, guarded"]
        yield box(708, 54 + 64 * number, 234, 56, f"replica {number + 1}", lines)
    yield arrow("request", "170,116 286,116")
    yield text(228, 106, "HTTP, SSE", "label-request", "middle")
    for number in range(3):
        yield arrow("request", f"560,116 625,116 625,{82 + 64 * number} 704,{82 + 64 * number}")
    yield text(592, 106, "direct", "label-request", "middle")

    yield box(
        290,
        310,
        400,
        124,
        "controller",
        [
            "one reducer: state × fact → state, events",
            "want(state): deployments, route table",
            "commits before it acts; may die at any time",
            "state.db and ledger.db (SQLite)",
        ],
    )
    yield box(20, 330, 150, 74, "fs", ["serve, status, plan,", "down, tenant …"])
    yield arrow("control", "170,367 286,367")
    yield text(228, 357, "unix socket", "label-control", "middle")
    yield arrow("control", "350,310 350,190")
    yield text(340, 258, "render, test, reload", "label-control", "end")
    yield arrow("control", "480,186 480,306")
    yield text(490, 242, "ledger,", "label-control")
    yield text(490, 258, "open streams", "label-control")
    yield arrow("control", "660,310 660,228 704,228")
    yield text(650, 290, "probe", "label-control", "end")
    yield arrow("control", "690,375 790,375 790,260")
    yield text(800, 326, "Serve's REST API:", "label-control")
    yield text(800, 342, "applications, replicas", "label-control")
    yield text(712, 424, "solid: a request;  dashed: control", "small")


def draw() -> str:
    body = "\n".join(parts())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{ALT}">\n'
        f"<style>{STYLE}</style>\n<defs>{tip('request')}{tip('control')}</defs>\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    print(draw(), end="")
