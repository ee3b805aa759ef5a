ARG BASE
FROM ${BASE}
COPY .hidden /
COPY .h* /h/
