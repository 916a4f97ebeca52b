"""What the exit status says."""

OK = 0
NO = 1  # what was asked for was checked, and is not so
BAD_INPUT = 2
INTERRUPTED = 128 + 2  # as a shell reports SIGINT
CLOSED_PIPE = 128 + 13  # and SIGPIPE
