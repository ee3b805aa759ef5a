ARG BASE
FROM ${BASE}
VOLUME /a /b
VOLUME ["/c d", "/e"]
RUN mkdir -p /a && echo kept >/a/file
