ARG BASE
FROM ${BASE}
ARG V=1
LABEL one=1 two="two words" "three.key"="3 $V" four='$V'
LABEL legacy the rest of the line
LABEL multi="line \
continued" version=${V}.0
