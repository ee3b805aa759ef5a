ARG BASE
FROM ${BASE}
COPY . /all
RUN ls /all | grep log >/logs
