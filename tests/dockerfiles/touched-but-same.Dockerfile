ARG BASE
FROM ${BASE}
RUN true
RUN echo x >/x && rm /x
RUN chmod 700 /root
