ARG BASE
FROM ${BASE}
ARG V=/data
VOLUME /one /two
VOLUME ["/three", "$V"]
RUN mkdir -p /data && echo kept >/data/f
