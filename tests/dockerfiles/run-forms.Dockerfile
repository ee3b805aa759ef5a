ARG BASE
FROM ${BASE}
RUN echo shell >/shell
RUN ["/bin/sh", "-c", "echo exec $HOME >/exec"]
RUN ["/bin/sh", "-c", "echo broken" >/broken || echo fell back >/fallback
RUN echo "a  b"   'c'   >/spaces
