# syntax is not a directive here: docker
ARG BASE
FROM ${BASE}
# a comment
RUN echo one >/one && \
# between
    echo two >/two && \
    # indented
    echo three >/three
  # indented comment
RUN echo '# no comment' >/four
