# escape=`
ARG BASE
FROM ${BASE}
RUN echo a `
  && echo 'b\c' >/b
