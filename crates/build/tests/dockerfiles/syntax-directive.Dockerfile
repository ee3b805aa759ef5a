# syntax=docker/dockerfile:1
# escape=\
# unknown=directive
ARG BASE
FROM ${BASE}
RUN true
