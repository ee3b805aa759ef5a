ARG BASE
FROM ${BASE}
ENV SET=value EMPTY="" P=/usr/local/lib.tar.gz
ENV A=${SET:-d} B=${EMPTY:-d} C=${NONE:-d} D=${EMPTY-d} E=${NONE-d}
ENV F=${SET:+alt} G=${EMPTY:+alt} H=${EMPTY+alt} I=${NONE+alt}
ENV J=${P#*/} K=${P##*/} L=${P%.*} M=${P%%.*}
ENV N=${P/l/L} O=${P//l/L} Q=${P//lo?al/X}
ENV R=${NONE:-${SET:-x}} S=$SET$SET T=\${SET}
