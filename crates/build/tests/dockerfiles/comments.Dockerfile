# one
# two

# three
ARG BASE
FROM ${BASE}
  # indented comment
RUN echo a \
    # between
    b \
# at the start
    c # not a comment
ENV A=#value
