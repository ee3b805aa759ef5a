ARG BASE
FROM ${BASE}
RUN echo \
a \
  b\
c
ENV A=1 \
    B=2 \
    C="three \
four"
LABEL one="1" \
      two="2"
