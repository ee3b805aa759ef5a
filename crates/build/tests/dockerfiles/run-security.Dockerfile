# syntax=docker/dockerfile:1-labs
ARG BASE
FROM ${BASE}
RUN --security=sandbox true
RUN --security=insecure true
RUN --device=vendor.com/class=name,required true
