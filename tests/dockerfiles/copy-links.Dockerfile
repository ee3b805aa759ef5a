ARG BASE
FROM ${BASE}
COPY src/link /copied
COPY src /srcdir
COPY srclink /followed
COPY srclink/a.txt /through
