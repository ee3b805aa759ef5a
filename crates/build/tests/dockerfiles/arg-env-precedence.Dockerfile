ARG BASE
FROM ${BASE}
ARG V=arg
ENV V=env
RUN echo "$V" >/v
ARG V=again
RUN echo "$V" >/v2
