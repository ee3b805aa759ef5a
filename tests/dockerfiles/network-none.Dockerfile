ARG BASE
FROM ${BASE}
RUN --network=none ls /sys/class/net >/net
