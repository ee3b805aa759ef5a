ARG BASE
FROM ${BASE} AS first
ENV A=1
RUN echo first >/first
FROM first AS second
RUN echo "$A" >/second
FROM second
LABEL end=yes
