ARG BASE
from ${BASE} as Build
ENV KEY value
ARG API_TOKEN=x
RUN echo $NOT_CHECKED \

    && true
WORKDIR relative
EXPOSE 80/TCP 127.0.0.1:90:91
LABEL x=$UNDEFINED
MAINTAINER me
CMD echo one
CMD echo two
ENTRYPOINT start
FROM --platform=linux/amd64 ${BASE} AS build
FROM --platform=$TARGETPLATFORM ${BASE} AS context
HEALTHCHECK NONE
HEALTHCHECK CMD true
