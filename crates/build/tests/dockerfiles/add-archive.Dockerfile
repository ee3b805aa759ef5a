ARG BASE
FROM ${BASE}
ADD d.tgz /unpacked/
ADD --unpack=false d.tgz /kept/
COPY d.tgz /copied/
