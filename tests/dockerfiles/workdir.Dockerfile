ARG BASE
FROM ${BASE}
WORKDIR /one
WORKDIR two
WORKDIR ../three/./four/
RUN pwd >/pwd
WORKDIR /etc
WORKDIR "/with space"
RUN pwd >/pwd2
