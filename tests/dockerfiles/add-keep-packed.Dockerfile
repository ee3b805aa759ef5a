ARG BASE
FROM ${BASE}
ADD --unpack=false archive.tgz /packed/
COPY archive.tgz /copied/
