ARG BASE
FROM ${BASE}
ENV V=foobarbar EMPTY=
ENV A=${V:-x} B=${EMPTY:-x} C=${EMPTY-x} D=${NONE-x}
ENV E=${V:+x} F=${EMPTY:+x} G=${EMPTY+x} H=${NONE+x}
ENV I=${V#foo} J=${V##*o} K=${V%bar} L=${V%%bar*}
ENV M=${V/bar/baz} N=${V//bar/baz} O=${V/b?r/X} P=${NONE:-${V%bar}}
