"""`fs`: one module per sub-command, imported when it is used. Commands return values; `output` renders them."""
