"""What goes into `fs support-bundle`: collected part by part, each with a deadline, and freed from secrets. No plugin's
name stands in here: what plugins have to say comes through the contract."""
