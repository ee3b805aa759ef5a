ARG BASE
FROM ${BASE}
ARG a b=2 c="three words" d
LABEL all="$a|$b|$c|$d"
