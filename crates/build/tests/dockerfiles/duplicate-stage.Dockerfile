ARG BASE
FROM ${BASE} AS a
RUN echo first >/which
FROM ${BASE} AS a
RUN echo second >/which
FROM a
