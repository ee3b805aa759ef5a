ARG BASE
FROM ${BASE}
SHELL ["/bin/sh", "-e", "-c"]
RUN echo $-
CMD echo shell form
ENTRYPOINT echo entry
SHELL ["/bin/sh", "-c"]
RUN true
