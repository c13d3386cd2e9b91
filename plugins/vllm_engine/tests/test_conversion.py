from finsight_serve_vllm.conversion import show, steps


def test_only_the_converters_own_lines_count():
    lines = ["5 loading libraries\n", "Fetching 3 files\n", "\n", "85\n", "95 checking it\n"]
    assert list(steps(iter(lines))) == [(5, "loading libraries"), (95, "checking it")]


def test_progress_is_a_line_per_step_where_there_is_no_terminal():
    shown: list[str] = []
    show(iter([(5, "loading libraries")]), shown.append)
    assert shown == ["Preparing the model, once: loading libraries (5 %)"]
