"""`fs ui`: the stack as a page on loopback. It reads what `fs status` reads and changes nothing."""
