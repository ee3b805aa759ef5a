ARG BASE
FROM ${BASE}
RUN echo "[$HTTP_PROXY]" >/proxy
