ARG BASE
FROM ${BASE}
COPY src /d
RUN chmod 700 /d && chown 5:6 /d && echo old >/d/own
COPY html /d
COPY app.py /d/a.txt
