ARG BASE
FROM ${BASE} AS parent
ONBUILD RUN echo triggered >/t
ONBUILD WORKDIR /onbuild
ONBUILD ENV FROM_PARENT=1
FROM parent
RUN pwd >/where
