ARG BASE
FROM ${BASE}
MAINTAINER Somebody <some@body.example>
