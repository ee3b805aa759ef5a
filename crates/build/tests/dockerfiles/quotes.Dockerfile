ARG BASE
FROM ${BASE}
ENV Q="it's" R='say "hi"' S="a\\b" T='a\\b'
RUN echo "a  b" 'c  d' e\ f
USER "app"
WORKDIR "/quoted dir"
VOLUME ["/v 1"]
