ARG BASE
FROM ${BASE}
MAINTAINER Some Body <some@example.org>
