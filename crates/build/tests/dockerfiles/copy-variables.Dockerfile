ARG BASE
FROM ${BASE}
ENV SRC=a DST=/target
COPY $SRC ${DST}/
COPY ${MISSING:-b} "$DST/quoted"
WORKDIR $DST/sub
COPY a .
COPY a ./here
