ARG BASE
ARG V=global
FROM ${BASE}
RUN echo "[$V]"
ARG V
RUN echo "[$V]"
ARG V=local
RUN echo "[$V]"
