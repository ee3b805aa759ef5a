ARG BASE
FROM ${BASE}
COPY src /src
RUN rm /src/a.txt && rm -r /src/deep && rm /etc/group
RUN mkdir /src/deep && echo new >/src/deep/n
RUN rm -r /src && mkdir /src && echo again >/src/x
