ARG BASE
FROM ${BASE}
RUN ["/bin/sh", "-c", "echo exec >/exec"]
RUN [ "true" ]
RUN ["echo", "it's"
RUN
