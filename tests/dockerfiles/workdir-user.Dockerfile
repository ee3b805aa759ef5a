ARG BASE
FROM ${BASE}
USER app
WORKDIR /made
COPY app.py .
USER root
RUN stat -c '%u:%g %a' /made >/stat
