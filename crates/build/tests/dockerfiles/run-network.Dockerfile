ARG BASE
FROM ${BASE}
RUN --network=none cat /proc/net/dev
RUN --network=host true
RUN --network=default true
