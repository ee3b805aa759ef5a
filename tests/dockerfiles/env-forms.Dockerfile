ARG BASE
FROM ${BASE}
ENV A=1 B="two words" C='single $A' D=back\ slash
ENV OLD old style value
ENV E=$A F=${B} G="${A}-${B}"
ENV A=changed H=$A
ENV I=$A
ENV EMPTY= J=a\$b
RUN env | grep -E '^[A-J]=|^OLD|^EMPTY' | sort >/env
