ARG BASE
ARG TAG=x
FROM ${BASE}
RUN echo "[$TAG]" >/tag
