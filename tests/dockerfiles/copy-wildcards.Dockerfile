ARG BASE
FROM ${BASE}
COPY src/*.txt /txt/
COPY src/?.txt /q/
COPY src/[ab].* /class/
COPY *.json /json/
COPY src/d* /deep/
