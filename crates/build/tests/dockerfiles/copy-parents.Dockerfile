# syntax=docker/dockerfile:1.7-labs
ARG BASE
FROM ${BASE}
COPY --parents d/s/2 /p/
COPY --parents ./d/./s/2 /q/
COPY --parents **/2 /r/
