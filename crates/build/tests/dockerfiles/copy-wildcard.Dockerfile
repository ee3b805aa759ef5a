ARG BASE
FROM ${BASE}
COPY ?  /single/
COPY d/* /star/
COPY [ab] /class/
COPY no*such /nothing/
