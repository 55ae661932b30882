from striate.architectures import load_spec, summarize


def test_rows_stand_in_order_with_blocks_before_their_layers():
    summary = summarize(load_spec("mynet"), (1, 28, 28), 10)
    names = [row.name for row in summary.rows]
    assert names.index("residual1") + 1 == names.index("residual1.conv1")
    assert [row.name for row in summary.rows if row.is_block] == ["residual1", "residual2"]


def test_totals_are_the_sums_of_the_rows():
    summary = summarize(load_spec("custom-cnn"), (3, 32, 32), 10)
    assert summary.parameters == sum(row.parameters for row in summary.rows) == 2_237_610
    assert summary.multiply_adds == sum(row.multiply_adds for row in summary.rows)


def test_linear_multiply_adds_are_weights_and_biases():
    row = summarize(load_spec("fc-net"), (1, 28, 28), 10).rows[1]
    assert (row.parameters, row.multiply_adds) == (7850, 7850)


def test_table_shows_every_row_aligned_and_the_convention():
    summary = summarize(load_spec("simple-cnn"), (3, 32, 32), 10)
    lines = summary.table().splitlines()
    assert lines[0] == "simple-cnn"
    assert len({len(line) for line in lines[1:-1]}) == 1
    body = "\n".join(lines)
    for text in (
        "conv1",
        "10 x 32 x 32",
        "26,800",
        "1,244,170",
        "3 x 32 x 32",
        "logits",
        "each weight and each bias",
    ):
        assert text in body
    assert str(summary) == summary.table()
