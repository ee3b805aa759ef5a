# escape=`
ARG BASE
FROM ${BASE}
RUN echo a `
    b
ENV P="C:\dir" Q=`$x R=a\b
WORKDIR /w\x
