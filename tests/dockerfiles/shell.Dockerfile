ARG BASE
FROM ${BASE}
SHELL ["/bin/sh", "-x", "-c"]
RUN echo $- >/flags
CMD echo cmd
ENTRYPOINT entry point
SHELL ["/bin/sh", "-c"]
RUN echo $- >/flags2
