ARG BASE
FROM ${BASE}
RUN mkdir -m 777 /open
USER app
RUN id -u >/open/app
USER 5:6
RUN id -u >/open/five; id -g >>/open/five
USER 0
RUN id -u >/open/zero
USER app:root
