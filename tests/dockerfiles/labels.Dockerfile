ARG BASE
FROM ${BASE}
LABEL a=1 b="two words" "c d"=e
LABEL old style
LABEL multi="line \
continues" last=1
LABEL a=replaced
LABEL json='{"k": "v"}'
